//! Versions of components and elements, and the identity of a component version.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::name::{ComponentName, ParseComponentNameError};

/// A version, kept as it was written.
///
/// The grammar is relaxed semantic versioning (OCM specification, "Component Identity"): a leading
/// `v`, and the minor and patch number, are optional. Old data has other texts;
/// [`Version::lenient`] takes them, and [`Version::is_semver`] tells them apart.
///
/// Versions are ordered by semantic precedence, then by text; those without semantics come first.
/// They are equal only if their texts are.
///
/// ```
/// use ocm_model::Version;
///
/// let versions: Vec<Version> = ["1.10", "v1.9.0", "1.10.0-rc.1"].map(|v| v.parse().unwrap()).into();
/// assert_eq!(versions.iter().max().unwrap().as_str(), "1.10");
/// ```
#[derive(Clone, Serialize)]
#[serde(into = "String")]
pub struct Version {
    text: String,
    semver: Option<semver::Version>,
}

impl Version {
    /// The longest version, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Takes any text that could name a version: not empty, no white space, no control characters.
    ///
    /// # Errors
    ///
    /// The text is none of these.
    pub fn lenient(text: &str) -> Result<Self, ParseVersionError> {
        if let Ok(version) = text.parse() {
            return Ok(version);
        }
        let printable = |character: char| !character.is_whitespace() && !character.is_control();
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.chars().all(printable) {
            return Err(ParseVersionError::new(text));
        }
        Ok(Self {
            text: text.to_owned(),
            semver: None,
        })
    }

    /// Returns the version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Tells whether the text follows relaxed semantic versioning.
    pub fn is_semver(&self) -> bool {
        self.semver.is_some()
    }

    /// Returns the semantic version, missing numbers being zero.
    pub fn semver(&self) -> Option<&semver::Version> {
        self.semver.as_ref()
    }

    /// Tells whether this is a semantic pre-release, such as `1.0.0-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        self.semver
            .as_ref()
            .is_some_and(|version| !version.pre.is_empty())
    }

    /// Returns the tag under which an OCI registry keeps this version: the first `+`, which a tag
    /// must not have, becomes `.build-` (OCM specification, "OCI Storage Backend").
    pub fn to_tag(&self) -> String {
        self.text.replacen('+', BUILD_MARK, 1)
    }

    /// Reads a version from a tag; the inverse of [`Version::to_tag`].
    ///
    /// A version that itself contains `.build-` cannot be told apart.
    ///
    /// # Errors
    ///
    /// The tag could not name a version.
    pub fn from_tag(tag: &str) -> Result<Self, ParseVersionError> {
        match tag.replacen(BUILD_MARK, "+", 1).parse() {
            Ok(version) => Ok(version),
            Err(_) => Self::lenient(tag),
        }
    }

    /// Compares by semantic precedence, in which build metadata does not count.
    ///
    /// Versions without semantics come before those with, in the order of their texts.
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        match (&self.semver, &other.semver) {
            (Some(left), Some(right)) => left.cmp_precedence(right),
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (None, None) => self.text.cmp(&other.text),
        }
    }
}

const BUILD_MARK: &str = ".build-";

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let semver = parse_relaxed(text).ok_or_else(|| ParseVersionError::new(text))?;
        Ok(Self {
            text: text.to_owned(),
            semver: Some(semver),
        })
    }
}

/// Parses `[v]MAJOR[.MINOR[.PATCH]][-pre][+build]`.
fn parse_relaxed(text: &str) -> Option<semver::Version> {
    if text.len() > Version::MAX_LENGTH {
        return None;
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let core_end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(core_end);
    let missing = match core.matches('.').count() {
        0 => ".0.0",
        1 => ".0",
        _ => return semver::Version::parse(text).ok(),
    };
    semver::Version::parse(&format!("{core}{missing}{rest}")).ok()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_precedence(other)
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

impl AsRef<str> for Version {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The identity of a component version, written `acme.org/shop:1.0.0`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ComponentVersionId {
    /// The component.
    pub name: ComponentName,
    /// The version of it.
    pub version: Version,
}

impl ComponentVersionId {
    /// Joins a name and a version.
    pub const fn new(name: ComponentName, version: Version) -> Self {
        Self { name, version }
    }
}

impl fmt::Display for ComponentVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

impl FromStr for ComponentVersionId {
    type Err = ParseComponentVersionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, version) =
            text.split_once(':')
                .ok_or_else(|| ParseComponentVersionIdError::NoVersion {
                    text: text.to_owned(),
                })?;
        Ok(Self::new(name.parse()?, Version::lenient(version)?))
    }
}

/// Why a text is not a [`Version`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not a version such as `1.2.3`, `v1.2` or `1.0.0-rc.1+build`")]
#[expect(missing_docs, reason = "the message names its field")]
pub struct ParseVersionError {
    pub text: String,
}

impl ParseVersionError {
    fn new(text: &str) -> Self {
        Self {
            text: text.chars().take(Version::MAX_LENGTH).collect(),
        }
    }
}

/// Why a text is not a [`ComponentVersionId`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseComponentVersionIdError {
    /// There is no colon.
    #[error("`{text}` has no version, as in `acme.org/shop:1.0.0`")]
    NoVersion { text: String },
    /// The name is malformed.
    #[error(transparent)]
    Name(#[from] ParseComponentNameError),
    /// The version is malformed.
    #[error(transparent)]
    Version(#[from] ParseVersionError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::lenient(text).unwrap()
    }

    #[test]
    fn relaxed_versions_follow_the_schema() {
        for text in [
            "1",
            "v1",
            "1.2",
            "v1.2.3",
            "1.2.3-rc.1+b.02",
            "0.0.0",
            "1-rc",
            "1.2+b",
            "1.0.0-0a.-",
        ] {
            assert!(text.parse::<Version>().unwrap().is_semver(), "{text}");
        }
        for text in [
            "",
            "v",
            "V1",
            "01.2.3",
            "1.02",
            "1.2.3.4",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-01",
            "1.2.3-a..b",
            " 1.2.3",
            "1.2.3 ",
            "1.2.3-a_b",
            "latest",
            "1..2",
            "1.",
            "v v1",
            "-1",
            "1.2.3+a+b",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn old_texts_are_taken_leniently() {
        assert!(!version("latest").is_semver());
        assert!(version("v1").is_semver());
        for text in ["", "a b", "a\n", "a\u{7f}"] {
            assert!(Version::lenient(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn versions_are_sorted_by_precedence_and_never_collapse() {
        let mut versions = [
            "1.0.0+b",
            "latest",
            "v1.0.0",
            "1.0.0+a",
            "1.10.0",
            "1.9",
            "1.0.0-rc.2",
        ]
        .map(version);
        versions.sort();
        assert_eq!(
            versions.each_ref().map(Version::as_str),
            [
                "latest",
                "1.0.0-rc.2",
                "1.0.0+a",
                "1.0.0+b",
                "v1.0.0",
                "1.9",
                "1.10.0"
            ]
        );
    }

    #[test]
    fn a_plus_is_mapped_for_tags_and_back() {
        for (text, tag) in [
            ("1.2.3+ci.42", "1.2.3.build-ci.42"),
            ("1.2.3", "1.2.3"),
            ("latest", "latest"),
        ] {
            assert_eq!(version(text).to_tag(), tag);
            assert_eq!(Version::from_tag(tag).unwrap().as_str(), text);
        }
        assert_eq!(
            Version::from_tag("some.build-tag").unwrap().as_str(),
            "some.build-tag"
        );
    }

    #[test]
    fn a_component_version_reads_as_it_prints() {
        let id: ComponentVersionId = "acme.org/shop:1.0.0".parse().unwrap();
        assert_eq!(id.to_string(), "acme.org/shop:1.0.0");
        assert!("acme.org/shop".parse::<ComponentVersionId>().is_err());
    }
}
