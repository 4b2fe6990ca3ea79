//! References to component versions, as users write them:
//! `[type::]repository//component[:version][@digest]`.
//!
//! The grammar is that of the Go implementation. Beyond it, `//` may be left out where the
//! component can be told from its repository, and the repository may be left out altogether, for
//! whoever has configured where components are.

use std::fmt;
use std::str::FromStr;

use ocm_digest::{Digest, ParseDigestError};
use thiserror::Error;

use crate::name::{ComponentName, ParseComponentNameError};
use crate::repository::{
    ParseRepositoryError, RepositorySpec, is_windows_path, split_create, split_scheme, split_type,
};
use crate::version::{ComponentVersionId, ParseVersionError, Version};

/// A component or component version, and where it is.
///
/// ```
/// use ocm_model::ComponentRef;
///
/// let reference: ComponentRef = "ghcr.io/acme//acme.org/shop:1.0.0".parse()?;
/// assert_eq!(reference.component.as_str(), "acme.org/shop");
/// assert_eq!(reference.repository.unwrap().to_string(), "ghcr.io/acme");
/// # Ok::<(), ocm_model::reference::ParseReferenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentRef {
    /// Where it is, if that was said.
    pub repository: Option<RepositorySpec>,
    /// The component.
    pub component: ComponentName,
    /// The version, if it is about one. Texts that are no semantic versions are taken, too; see
    /// [`Version::is_semver`].
    pub version: Option<Version>,
    /// The digest that the component version must have.
    pub digest: Option<Digest>,
}

/// What stands between repository and component.
const SEPARATORS: [&str; 2] = ["/component-descriptors/", "//"];

impl ComponentRef {
    /// Parses a reference. `exists` tells whether a text is the path of an existing file or
    /// directory.
    ///
    /// Without separator, the repository is, by the first rule that applies: the longest path that
    /// exists and has a component name after it; if the text starts with a host, all before the
    /// right-most component name; none, if the whole text is a component name.
    ///
    /// # Errors
    ///
    /// A part is malformed, or there is no component.
    pub fn parse(text: &str, exists: impl Fn(&str) -> bool) -> Result<Self, ParseReferenceError> {
        let (create, rest) = split_create(text);
        let (kind, rest) = split_type(rest);
        let slashed;
        let rest = if is_windows_path(rest) {
            slashed = rest.replace('\\', "/");
            slashed.as_str()
        } else {
            rest
        };
        let (rest, digest) = match split_last(rest, '@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (rest, None),
        };
        let (rest, version) = match split_last(rest, ':') {
            Some((rest, version)) => (rest, Some(Version::lenient(version)?)),
            None => (rest, None),
        };
        let parts = Parts {
            kind,
            rest,
            exists: &exists,
        };
        let (repository, component) = match parts.split_at_separator()? {
            Some(found) => found,
            None => parts.split_without_separator().ok_or_else(|| {
                ParseReferenceError::NoComponent {
                    text: text.to_owned(),
                }
            })??,
        };
        Ok(Self {
            repository: repository.map(|repository| repository.create_if(create)),
            component,
            version,
            digest,
        })
    }

    /// Returns a reference without repository.
    pub fn bare(id: ComponentVersionId) -> Self {
        Self {
            repository: None,
            component: id.name,
            version: Some(id.version),
            digest: None,
        }
    }

    /// Returns the component version, if there is a version.
    pub fn id(&self) -> Option<ComponentVersionId> {
        let version = self.version.clone()?;
        Some(ComponentVersionId::new(self.component.clone(), version))
    }
}

/// Splits at the last mark, if no slash or brace comes after it.
fn split_last(text: &str, mark: char) -> Option<(&str, &str)> {
    text.rsplit_once(mark)
        .filter(|(_, last)| !last.contains(['/', '}', ']']))
}

type Split = (Option<RepositorySpec>, ComponentName);

/// Repository and component, not yet told apart.
struct Parts<'a> {
    kind: Option<&'a str>,
    rest: &'a str,
    exists: &'a dyn Fn(&str) -> bool,
}

impl Parts<'_> {
    fn split_at_separator(&self) -> Result<Option<Split>, ParseReferenceError> {
        // The slashes of a scheme are no separator, nor is anything in a specification as JSON.
        let scheme_end = self.rest.len() - split_scheme(self.rest).1.len();
        let spec_end = self.rest.rfind('}').map_or(0, |end| end + 1);
        let start = scheme_end.max(spec_end);
        for separator in SEPARATORS {
            if let Some(found) = self.rest[start..].rfind(separator) {
                let repository = &self.rest[..start + found];
                let component = &self.rest[start + found + separator.len()..];
                return self.repository(self.kind, repository, component).map(Some);
            }
        }
        Ok(None)
    }

    fn split_without_separator(&self) -> Option<Result<Split, ParseReferenceError>> {
        let has_scheme = split_scheme(self.rest).0.is_some();
        // From right to left: the longest repository first.
        let mut splits = self
            .rest
            .rmatch_indices('/')
            .map(|(index, _)| (&self.rest[..index], &self.rest[index + 1..]))
            .filter(|(repository, component)| {
                is_location(repository) && component.parse::<ComponentName>().is_ok()
            });
        if !has_scheme && let Some((path, component)) = splits.clone().find(|s| (self.exists)(s.0))
        {
            return Some(self.repository(Some(self.kind.unwrap_or("ctf")), path, component));
        }
        if (self.kind.is_some() || has_scheme || starts_with_host(self.rest))
            && let Some((repository, component)) = splits.next()
        {
            let kind = if has_scheme {
                self.kind
            } else {
                Some(self.kind.unwrap_or("oci"))
            };
            return Some(self.repository(kind, repository, component));
        }
        let component = self.rest.parse().ok().filter(|_| self.kind.is_none())?;
        Some(Ok((None, component)))
    }

    fn repository(
        &self,
        kind: Option<&str>,
        repository: &str,
        component: &str,
    ) -> Result<Split, ParseReferenceError> {
        let component = component.parse()?;
        let repository = RepositorySpec::of(kind, repository, self.exists)?;
        Ok((Some(repository), component))
    }
}

/// Whether something can be a location: not empty, and more than a scheme.
fn is_location(text: &str) -> bool {
    !text.is_empty() && !text.ends_with(":/") && !text.ends_with('/')
}

/// Whether the first segment has a dot or a port, or is `localhost`.
fn starts_with_host(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    first == "localhost" || first.contains(':') || first.trim_start_matches('.').contains('.')
}

impl FromStr for ComponentRef {
    type Err = ParseReferenceError;

    /// Parses as if no local path existed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, |_| false)
    }
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(repository) = &self.repository {
            // The long separator is looked for first, and the short one can be taken for a part
            // of what stands before it.
            let repository = repository.to_string();
            let [long, short] = SEPARATORS;
            let is_ambiguous = repository.contains(long) || repository.ends_with([':', '/']);
            let separator = if is_ambiguous { long } else { short };
            write!(f, "{repository}{separator}")?;
        }
        write!(f, "{}", self.component)?;
        if let Some(version) = &self.version {
            write!(f, ":{version}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Why a text is no reference to a component version.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseReferenceError {
    /// There is no separator, and no component name to be told from the repository.
    #[error(
        "`{text}` names no component; separate repository and component with `//`, as in \
         `ghcr.io/acme//acme.org/shop:1.0.0`"
    )]
    NoComponent { text: String },
    /// What stands after the separator is no component name.
    #[error(transparent)]
    Component(#[from] ParseComponentNameError),
    /// What stands after the last colon is no version.
    #[error(transparent)]
    Version(#[from] ParseVersionError),
    /// What stands after the `@` is no digest.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// What stands before the separator is no repository.
    #[error(transparent)]
    Repository(#[from] ParseRepositoryError),
}

#[cfg(test)]
mod tests;
