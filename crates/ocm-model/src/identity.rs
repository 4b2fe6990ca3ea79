//! Identities: sorted maps of text by which elements, consumers and credentials are named.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A set of named attributes, written `architecture=amd64,name=image,os=linux`.
///
/// ```
/// use ocm_model::Identity;
///
/// let image: Identity = "os=linux,name=image".parse()?;
/// assert!(image.matches(&Identity::from([("name", "image")])));
/// assert_eq!(image.to_string(), "name=image,os=linux");
/// # Ok::<(), ocm_model::identity::ParseIdentityError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Identity(BTreeMap<String, String>);

impl Identity {
    /// The attribute with the name of an element or component.
    pub const NAME: &'static str = "name";

    /// The attribute with the version of an element or component.
    pub const VERSION: &'static str = "version";

    /// Returns an identity without attributes.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Returns the value of an attribute.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets an attribute and returns its former value.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.0.insert(key.into(), value.into())
    }

    /// Removes an attribute and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// Returns this identity with one more attribute.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.insert(key, value);
        self
    }

    /// Tells whether there is no attribute.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of attributes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the attributes, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Tells whether every attribute of the selector is here with the same value.
    pub fn matches(&self, selector: &Self) -> bool {
        selector
            .iter()
            .all(|(key, value)| self.get(key) == Some(value))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Identity {
    type Err = ParseIdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut identity = Self::new();
        if text.is_empty() {
            return Ok(identity);
        }
        for attribute in text.split(',') {
            let (key, value) = attribute.split_once('=').unwrap_or(("", attribute));
            if key.trim().is_empty() {
                return Err(ParseIdentityError::NoKey {
                    attribute: attribute.to_owned(),
                });
            }
            if identity.insert(key.trim(), value).is_some() {
                return Err(ParseIdentityError::Duplicate {
                    key: key.trim().to_owned(),
                });
            }
        }
        Ok(identity)
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Identity {
    fn from(attributes: [(K, V); N]) -> Self {
        attributes.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Identity {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(attributes: I) -> Self {
        let pairs = attributes.into_iter();
        Self(
            pairs
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

/// Why a text is not an [`Identity`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseIdentityError {
    /// An attribute has no key.
    #[error("`{attribute}` is not an attribute such as `name=image`")]
    NoKey { attribute: String },
    /// A key stands twice.
    #[error("identity has the attribute `{key}` twice")]
    Duplicate { key: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_as_it_prints() {
        for text in [
            "",
            "name=image",
            "architecture=amd64,name=image,os=linux",
            "a=b=c",
        ] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_attributes_are_refused() {
        for text in ["name", "=x", "a=1,,b=2", "a=1,a=2", ","] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_selector_is_a_subset() {
        let image = Identity::from([("name", "image"), ("os", "linux")]);
        assert!(image.matches(&Identity::new()));
        assert!(image.matches(&image));
        assert!(!image.matches(&Identity::from([("os", "windows")])));
        assert!(!image.matches(&image.clone().with("version", "1")));
    }

    #[test]
    fn concatenated_attributes_do_not_collide() {
        assert_ne!(Identity::from([("ab", "c")]), Identity::from([("a", "bc")]));
    }
}
