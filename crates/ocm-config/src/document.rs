//! One configuration document: a container of typed entries.
//!
//! The container type is `generic.config.ocm.software/v1`. Containers may stand inside containers;
//! they are flattened, and the entries of an inner one come after its siblings. An entry of a type
//! that nobody here knows is kept, since a plugin may ask for it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use ocm_model::yaml;
use serde_json::Value;

use crate::location::{Location, Origin, Place, Source};
use crate::masked;
use crate::node::Node;
use crate::typed;

/// The largest document that is read, in bytes.
pub const MAX_DOCUMENT_SIZE: usize = 1 << 20;

/// The type of a container, without its version.
const CONTAINER: &str = "generic.config.ocm.software";

/// A parsed document, flattened to its entries.
#[derive(Clone, Debug)]
pub struct ConfigDocument {
    origin: Origin,
    entries: Vec<ConfigEntry>,
    warnings: Vec<Warning>,
}

impl ConfigDocument {
    /// Reads a document in YAML or JSON.
    ///
    /// A document whose top level is no container but another typed object counts as that one
    /// entry, with a [`Warning::NotAContainer`].
    ///
    /// # Errors
    ///
    /// When the text is too large, no YAML, or not made of typed objects. All but the first name
    /// line and column.
    pub fn parse(text: &str, origin: impl Into<Origin>) -> Result<Self, Error> {
        let origin = origin.into();
        if text.len() > MAX_DOCUMENT_SIZE {
            return Err(Error::TooLarge {
                origin,
                limit: MAX_DOCUMENT_SIZE,
            });
        }
        if is_blank(text) {
            return Self::read(&Value::Null, &Source::new(origin, None));
        }
        match yaml::parse_located(text) {
            Ok(located) => {
                let value = located.value.clone();
                Self::read(&value, &Source::new(origin, Some(located)))
            }
            Err(error) => Err(Error::Syntax {
                origin,
                line: error.line,
                column: error.column,
                message: error.message,
            }),
        }
    }

    /// Takes a document that is parsed already, such as one from a Kubernetes object.
    ///
    /// # Errors
    ///
    /// When the value is not made of typed objects.
    pub fn from_value(value: &Value, origin: impl Into<Origin>) -> Result<Self, Error> {
        Self::read(value, &Source::new(origin.into(), None))
    }

    /// Where the document came from.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The entries in the order in which they count.
    pub fn entries(&self) -> &[ConfigEntry] {
        &self.entries
    }

    /// What was accepted although it looks like a mistake.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn read(value: &Value, source: &Arc<Source>) -> Result<Self, Error> {
        let top = Node::top(value, source);
        if value.is_null() {
            return Ok(Self {
                origin: source.origin.clone(),
                entries: Vec::new(),
                warnings: Vec::new(),
            });
        }
        Ok(Self {
            origin: source.origin.clone(),
            warnings: warnings_of(&top)?,
            entries: flatten(top, source)?,
        })
    }
}

/// Tells whether a text has nothing but comments and markers, which is an empty configuration.
fn is_blank(text: &str) -> bool {
    text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    })
}

/// Checks the top level, and says what is unusual about it.
fn warnings_of(top: &Node<'_>) -> Result<Vec<Warning>, Error> {
    top.object()?;
    let origin = top.source.origin.clone();
    let Some(kind) = top.get("type") else {
        return match top.get("configurations") {
            Some(_) => Ok(vec![Warning::NoContainerType { origin }]),
            None => Err(top.missing("type")),
        };
    };
    let kind = kind.text()?.to_owned();
    if typed::name(&kind) == CONTAINER {
        return Ok(Vec::new());
    }
    Ok(vec![Warning::NotAContainer { origin, kind }])
}

/// Collects the entries level by level.
fn flatten(top: Node<'_>, source: &Arc<Source>) -> Result<Vec<ConfigEntry>, Error> {
    let mut entries = Vec::new();
    let mut waiting = VecDeque::from([top]);
    while let Some(node) = waiting.pop_front() {
        node.object()?;
        let kind = match node.get("type") {
            Some(kind) => kind.text()?,
            None if node.place.is_top() => CONTAINER,
            None => return Err(node.missing("type")),
        };
        if typed::name(kind) == CONTAINER {
            waiting.extend(node.items("configurations")?);
            continue;
        }
        entries.push(ConfigEntry {
            kind: kind.to_owned(),
            value: node.value.clone(),
            place: node.place,
            source: Arc::clone(source),
        });
    }
    Ok(entries)
}

/// One typed entry of a document.
#[derive(Clone)]
pub struct ConfigEntry {
    kind: String,
    place: Place,
    source: Arc<Source>,
    value: Value,
}

impl ConfigEntry {
    /// The type as it is written, with or without a version.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The type without its version.
    pub fn name(&self) -> &str {
        typed::name(&self.kind)
    }

    /// Where it stands.
    pub fn location(&self) -> Location {
        self.source.locate(&self.place)
    }

    /// The entry as it is written, **with its secrets**.
    pub const fn exposed(&self) -> &Value {
        &self.value
    }

    /// The entry with every secret replaced by asterisks, for people to look at.
    pub fn masked(&self) -> Value {
        masked::entry(self.name(), &self.value)
    }

    pub(crate) fn node(&self) -> Node<'_> {
        Node {
            value: &self.value,
            place: self.place.clone(),
            source: &self.source,
        }
    }
}

impl fmt::Debug for ConfigEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigEntry")
            .field("kind", &self.kind)
            .field("location", &format_args!("{}", self.location()))
            .finish_non_exhaustive()
    }
}

/// Something that works, but hardly as its author thinks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Warning {
    /// The top level has another type; the reference implementation ignores such a file.
    #[error(
        "{origin}: the top level is `{kind}` instead of a `generic.config.ocm.software/v1`; it is read as its only entry"
    )]
    NotAContainer { origin: Origin, kind: String },
    /// The top level has no type, but a list of configurations.
    #[error(
        "{origin}: the top level has no `type`; it is read as `generic.config.ocm.software/v1`"
    )]
    NoContainerType { origin: Origin },
    /// A file was found, but cannot be read.
    #[error("{origin}: skipped, as it cannot be read: {reason}")]
    Unreadable { origin: Origin, reason: String },
    /// A credential has a type that nobody knows.
    #[error("{at}: credentials of the unknown type `{kind}` are skipped")]
    UnknownCredentialType { at: Location, kind: String },
    /// A credential repository has a type that nobody knows.
    #[error("{at}: the credential repository of the unknown type `{kind}` is skipped")]
    UnknownRepositoryType { at: Location, kind: String },
    /// A part cannot be understood, and the rest does not depend on it.
    #[error("{reason}; it is skipped")]
    Skipped { reason: String },
}

/// Why a document, or a part of it, is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// The document is larger than any configuration.
    #[error("{origin} is larger than {limit} bytes")]
    TooLarge { origin: Origin, limit: usize },
    /// The text is no YAML.
    #[error("{origin}:{line}:{column}: {message}")]
    Syntax {
        origin: Origin,
        line: u64,
        column: u64,
        message: String,
    },
    /// A value is of another kind than the specification says.
    #[error("{at}: expected {expected}, found {found}")]
    Unexpected {
        at: Location,
        expected: &'static str,
        found: &'static str,
    },
    /// A field that cannot be left out is left out.
    #[error("{at}: `{field}` is missing")]
    Missing { at: Location, field: &'static str },
    /// A value is of the right kind, but makes no sense.
    #[error("{at}: {reason}")]
    Invalid { at: Location, reason: String },
}
