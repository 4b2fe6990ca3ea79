//! Names: of components, such as `acme.org/shop/notes`, and of the elements in one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The globally unique name of a component: a DNS domain and a path (OCM specification,
/// "Component Identity").
///
/// A value has been checked once, on the way in. Code that holds one does not check again.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ComponentName(String);

impl ComponentName {
    /// The longest name, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the DNS domain before the first slash.
    pub fn domain(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl FromStr for ComponentName {
    type Err = ParseComponentNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        use ParseComponentNameError as E;
        let named = || name.to_owned();
        if name.len() > Self::MAX_LENGTH {
            return Err(E::TooLong { length: name.len() });
        }
        let (domain, path) = name
            .split_once('/')
            .ok_or_else(|| E::NoPath { name: named() })?;
        if !is_domain(domain) {
            return Err(E::NoDomain { name: named() });
        }
        for segment in path.split('/') {
            if !is_segment(segment) {
                return Err(E::Segment {
                    name: named(),
                    segment: segment.to_owned(),
                });
            }
        }
        Ok(Self(named()))
    }
}

/// Labels that start with a letter, at least two, the last of letters only.
fn is_domain(domain: &str) -> bool {
    let Some((labels, top)) = domain.rsplit_once('.') else {
        return false;
    };
    top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_lowercase())
        && labels.split('.').all(|label| is_label(label, ""))
}

fn is_segment(segment: &str) -> bool {
    segment.split('.').all(|label| is_label(label, "_"))
}

fn is_label(label: &str, also: &str) -> bool {
    label.starts_with(|first: char| first.is_ascii_lowercase())
        && label.chars().all(|character| {
            character.is_ascii_lowercase()
                || character.is_ascii_digit()
                || character == '-'
                || also.contains(character)
        })
}

/// The name of a resource, source or reference, or a key of an extra identity, such as `image`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ElementName(String);

impl ElementName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ElementName {
    /// Checks that a text is such a name.
    pub(crate) fn check(name: &str) -> Result<(), ParseElementNameError> {
        let outer = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = name.as_bytes();
        let well_formed = bytes.len() >= 2
            && bytes.first().is_some_and(outer)
            && bytes.last().is_some_and(outer)
            && bytes
                .iter()
                .all(|byte| outer(byte) || b"-_+".contains(byte));
        if well_formed {
            return Ok(());
        }
        Err(ParseElementNameError {
            name: name.to_owned(),
        })
    }
}

impl FromStr for ElementName {
    type Err = ParseElementNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::check(name)?;
        Ok(Self(name.to_owned()))
    }
}

macro_rules! text_type {
    ($type:ty, $error:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

text_type!(ComponentName, ParseComponentNameError);
text_type!(ElementName, ParseElementNameError);

/// Why a text is not a [`ComponentName`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseComponentNameError {
    /// More than [`ComponentName::MAX_LENGTH`] bytes.
    #[error(
        "component name has {length} characters, more than {}",
        ComponentName::MAX_LENGTH
    )]
    TooLong { length: usize },
    /// No slash.
    #[error("component name `{name}` has no path after its domain, as in `acme.org/shop`")]
    NoPath { name: String },
    /// What stands before the first slash is no DNS domain.
    #[error("component name `{name}` does not start with a DNS domain in lower case")]
    NoDomain { name: String },
    /// A part between slashes is not allowed.
    #[error(
        "component name `{name}` has the part `{segment}`, which is not a lower-case letter \
         followed by lower-case letters, digits, `-`, `_` and `.`"
    )]
    Segment { name: String, segment: String },
}

/// Why a text is not an [`ElementName`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "`{name}` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end \
     with a letter or digit"
)]
#[expect(missing_docs, reason = "the message names its field")]
pub struct ParseElementNameError {
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_names_follow_the_schema() {
        for name in [
            "acme.org/shop",
            "github.com/vasu1124/introspect",
            "ocm.software/duplicate-resource/test",
            "a.b-c.io/x_y/z.w",
            "a1.bc/d",
        ] {
            assert_eq!(name.parse::<ComponentName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_the_schema_forbids_are_refused() {
        for name in [
            "",
            "acme.org",
            "acme/shop",
            "Acme.org/shop",
            "acme.org/",
            "acme.org//x",
            "acme.org/Shop",
            "acme.org/1shop",
            "acme.o/shop",
            "acme.o1/shop",
            ".org/shop",
            "1acme.org/shop",
            "acme.org/shop.",
            "acme.org/sh op",
            "acme_x.org/shop",
            "acme..org/x",
            "acme.org/\u{fc}",
            "acme.org/x:1",
        ] {
            assert!(name.parse::<ComponentName>().is_err(), "{name}");
        }
        let long = format!("acme.org/{}", "x".repeat(247));
        assert!(long.parse::<ComponentName>().is_err());
        assert!(long[..255].parse::<ComponentName>().is_ok());
    }

    #[test]
    fn the_message_names_the_offending_part() {
        assert_eq!(
            "acme.org/Shop"
                .parse::<ComponentName>()
                .unwrap_err()
                .to_string(),
            "component name `acme.org/Shop` has the part `Shop`, which is not a lower-case letter \
             followed by lower-case letters, digits, `-`, `_` and `.`"
        );
    }

    #[test]
    fn element_names_have_two_characters_at_least() {
        for name in ["ab", "1a", "a-b", "a_+b", "image2"] {
            assert!(name.parse::<ElementName>().is_ok(), "{name}");
        }
        for name in ["", "a", "-a", "a-", "A1", "a.b", "a b"] {
            assert!(name.parse::<ElementName>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_domain_is_what_stands_before_the_path() {
        let name: ComponentName = "acme.org/shop/notes".parse().unwrap();
        assert_eq!(name.domain(), "acme.org");
    }
}
