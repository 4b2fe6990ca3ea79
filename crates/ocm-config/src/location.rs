//! Where a value stands: which document, which line, which path in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocm_model::yaml::{Located, Position};

/// Where a value stands, shown as `file:line:column: path`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// The document.
    pub origin: Origin,
    /// Line and column, if the document came as text.
    pub position: Option<Position>,
    /// The path in the document.
    pub place: Place,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.origin, self.place)
            }
            None => write!(f, "{}: {}", self.origin, self.place),
        }
    }
}

/// Where a document came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin(Arc<Kind>);

#[derive(Debug, Eq, PartialEq)]
enum Kind {
    File(PathBuf),
    Named(String),
}

impl Origin {
    /// A file, whose directory is a base of relative paths.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Kind::File(path.into())))
    }

    /// Something else with a name, such as `standard input`.
    pub fn named(name: impl Into<String>) -> Self {
        Self(Arc::new(Kind::Named(name.into())))
    }

    /// The directory of the file.
    pub fn directory(&self) -> Option<&Path> {
        match &*self.0 {
            Kind::File(path) => path.parent(),
            Kind::Named(_) => None,
        }
    }
}

impl From<PathBuf> for Origin {
    fn from(path: PathBuf) -> Self {
        Self::file(path)
    }
}

impl From<&Path> for Origin {
    fn from(path: &Path) -> Self {
        Self::file(path)
    }
}

impl From<&str> for Origin {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::File(path) => path.display().fmt(f),
            Kind::Named(name) => f.write_str(name),
        }
    }
}

/// A place in a document: `configurations[1].consumers[0].identity`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place(Vec<Step>);

/// One step down into a document.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Field(String),
    Index(usize),
}

impl Place {
    pub(crate) fn field(&self, name: &str) -> Self {
        self.then(Step::Field(name.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    pub(crate) const fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the place as a JSON pointer.
    fn pointer(&self) -> String {
        self.0
            .iter()
            .fold(String::new(), |pointer, step| match step {
                Step::Field(name) => {
                    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
                }
                Step::Index(index) => format!("{pointer}/{index}"),
            })
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("document");
        }
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A document while its entries are in use: its origin, and where its values stand.
pub(crate) struct Source {
    pub(crate) origin: Origin,
    located: Option<Located>,
}

impl Source {
    pub(crate) fn new(origin: Origin, located: Option<Located>) -> Arc<Self> {
        Arc::new(Self { origin, located })
    }

    pub(crate) fn locate(&self, place: &Place) -> Location {
        Location {
            origin: self.origin.clone(),
            position: self
                .located
                .as_ref()
                .map(|located| located.position(&place.pointer())),
            place: place.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_a_path() {
        let place = Place::default().field("a").index(2).field("b/c");
        assert_eq!(place.to_string(), "a[2].b/c");
        assert_eq!(place.pointer(), "/a/2/b~1c");
        assert_eq!(Place::default().to_string(), "document");
    }
}
