//! Type names of typed specifications, such as `LocalBlob/v1`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The type of a typed specification: a name, and the version of its format if it has one.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypeName {
    name: String,
    version: Option<String>,
}

impl TypeName {
    /// Returns the name without the version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the version, such as `v1` or `v1alpha1`.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl FromStr for TypeName {
    type Err = ParseTypeNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseTypeNameError {
            text: text.to_owned(),
        };
        let (name, version) = match text.split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let well_formed = name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || character == '.')
            && version.is_none_or(is_format_version);
        if !well_formed {
            return Err(malformed());
        }
        Ok(Self {
            name: name.to_owned(),
            version: version.map(str::to_owned),
        })
    }
}

/// Whether a text is `v1`, `v1alpha1` or `v1beta1`.
fn is_format_version(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(rest) = text.strip_prefix('v') else {
        return false;
    };
    let stage = ["alpha", "beta"]
        .into_iter()
        .find_map(|stage| rest.split_once(stage));
    match stage {
        Some((major, minor)) => is_number(major) && is_number(minor),
        None => is_number(rest),
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "/{version}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for TypeName {
    type Error = ParseTypeNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TypeName> for String {
    fn from(name: TypeName) -> Self {
        name.to_string()
    }
}

/// Why a text is not a [`TypeName`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not a type such as `LocalBlob` or `LocalBlob/v1`")]
#[expect(missing_docs, reason = "the message names its field")]
pub struct ParseTypeNameError {
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_read_as_they_print() {
        for text in [
            "LocalBlob",
            "LocalBlob/v1",
            "my.type/v1alpha1",
            "x/v2beta10",
            "0",
        ] {
            assert_eq!(text.parse::<TypeName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_type_names_are_refused() {
        for text in [
            "",
            "/v1",
            "a/",
            "a/1",
            "a/v",
            "a/v1/v2",
            "a/v1gamma1",
            "a-b",
            ".a",
            "a/v1alpha",
        ] {
            assert!(text.parse::<TypeName>().is_err(), "{text}");
        }
    }
}
