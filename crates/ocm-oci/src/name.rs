//! Names of repositories, tags and images, checked once on the way in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ocm_digest::Digest;
use serde::{Deserialize, Serialize};

/// The name of a repository within a store, such as `team/shop`.
///
/// OCI distribution specification, "Pulling manifests": lower-case path components separated by
/// slashes, at most 255 characters. A clone shares the text.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends path components to this name.
    ///
    /// # Errors
    ///
    /// The result is no repository name.
    pub fn join(&self, path: impl fmt::Display) -> Result<Self, ParseNameError> {
        format!("{}/{path}", self.0).parse()
    }
}

impl FromStr for RepositoryName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| ParseNameError {
            kind: "repository name",
            text: text.into(),
            reason,
        };
        if text.len() > 255 {
            return Err(refuse("it is longer than 255 characters"));
        }
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.split('/').all(is_path_component) {
            Ok(Self(text.into()))
        } else {
            Err(refuse(
                "each part between slashes consists of lower-case letters and digits, separated by \
                 single dots, one or two underscores, or dashes",
            ))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|&byte| !alphanumeric(byte)) {
        rest = &rest[start..];
        let end = rest.iter().position(|&byte| alphanumeric(byte));
        let (separator, after) = rest.split_at(end.unwrap_or(rest.len()));
        let is_dashes = || separator.iter().all(|&byte| byte == b'-');
        if !matches!(separator, b"." | b"_" | b"__") && !is_dashes() {
            return false;
        }
        rest = after;
    }
    true
}

/// A tag, such as `1.0.0` or `latest`: at most 128 word characters, dots and dashes. A clone
/// shares the text.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

impl Tag {
    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag under which stores without a referrers API keep the referrers of a
    /// manifest (OCI distribution specification, "Referrers Tag Schema").
    pub fn for_referrers(digest: &Digest) -> Self {
        Self(format!("{}-{}", digest.algorithm(), digest.to_hex()).into())
    }

    /// Returns the tag under which cosign keeps what it attaches to a manifest, by its kind, such as
    /// `sig`.
    pub(crate) fn attached(digest: &Digest, kind: &str) -> Self {
        let Self(listing) = Self::for_referrers(digest);
        Self(format!("{listing}.{kind}").into())
    }
}

impl FromStr for Tag {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= 128
            && text.bytes().next().is_some_and(word)
            && text
                .bytes()
                .all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(ParseNameError {
                kind: "tag",
                text: text.into(),
                reason: "a tag has up to 128 letters, digits, underscores, dots and dashes, and \
                         starts with none of the last two",
            })
        }
    }
}

/// What names a manifest within a repository.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reference {
    /// A name that may move.
    Tag(Tag),
    /// The content itself.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(digest) => Ok(Self::Digest(digest)),
            Err(_) => text.parse().map(Self::Tag),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = ParseNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

/// An image in a registry, such as `ghcr.io/acme/shop:1.0.0@sha256:…`.
///
/// The first part of the path is always the registry. Tag and digest may both be given; then the
/// digest decides.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ImageReference {
    /// `http` or `https`, if the text said so; `oci` counts as `https`.
    pub scheme: Option<String>,
    /// The registry's host, with its port if there is one.
    pub registry: String,
    /// The repository in the registry.
    pub repository: RepositoryName,
    /// The tag, if given.
    pub tag: Option<Tag>,
    /// The digest, if given.
    pub digest: Option<Digest>,
}

impl ImageReference {
    /// Returns what names the manifest: the digest, else the tag.
    pub fn reference(&self) -> Option<Reference> {
        self.digest
            .map(Reference::Digest)
            .or_else(|| self.tag.clone().map(Reference::Tag))
    }

    /// Returns the text without its scheme.
    #[must_use]
    pub fn without_scheme(&self) -> Self {
        Self {
            scheme: None,
            ..self.clone()
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}://")?;
        }
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageReference {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| ParseNameError {
            kind: "image reference",
            text: text.into(),
            reason,
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme.to_owned()), rest),
            Some(("oci", rest)) => (None, rest),
            Some(_) => return Err(refuse("its scheme is none of http, https and oci")),
            None => (None, text),
        };
        let (registry, path) = rest
            .split_once('/')
            .ok_or_else(|| refuse("it has no repository after the registry"))?;
        if registry.is_empty() || registry.contains(['@', ' ']) {
            return Err(refuse("it does not start with a registry"));
        }
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (
                path,
                Some(
                    digest
                        .parse()
                        .map_err(|_| refuse("its digest is malformed"))?,
                ),
            ),
            None => (path, None),
        };
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag.parse()?)),
            None => (path, None),
        };
        Ok(Self {
            scheme,
            registry: registry.to_owned(),
            repository: path.parse()?,
            tag,
            digest,
        })
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseNameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }
    };
}

text_type!(RepositoryName);
text_type!(Tag);

/// Why a text is no name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is no {kind}: {reason}")]
pub struct ParseNameError {
    kind: &'static str,
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_repository(text: &str, valid: bool) {
        assert_eq!(text.parse::<RepositoryName>().is_ok(), valid, "{text}");
    }

    #[test]
    fn repository_names_follow_the_specification() {
        for text in [
            "a",
            "a/b",
            "a.b-c__d/e_f",
            "a--b",
            "component-descriptors/acme.org/x",
            "0/1",
        ] {
            check_repository(text, true);
        }
        for text in [
            "", "/", "a/", "/a", "A", "a..b", "a___b", "-a", "a-", "a//b", "a._b", "a b",
        ] {
            check_repository(text, false);
        }
        check_repository(&"a".repeat(256), false);
    }

    #[test]
    fn tags_follow_the_specification() {
        for (text, valid) in [("1.0.0", true), ("_x", true), (".x", false), ("a+b", false)] {
            assert_eq!(text.parse::<Tag>().is_ok(), valid, "{text}");
        }
        assert!("a".repeat(129).parse::<Tag>().is_err());
    }

    #[test]
    fn image_references_print_as_they_read() {
        let digest = Digest::sha256(b"");
        for text in [
            "ghcr.io/acme/shop:1.0".to_owned(),
            format!("localhost:5001/a/b:v1@{digest}"),
            format!("http://127.0.0.1:5001/a@{digest}"),
            "host/a".to_owned(),
        ] {
            assert_eq!(text.parse::<ImageReference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_digest_decides() {
        let digest = Digest::sha256(b"");
        let image: ImageReference = format!("h/a:t@{digest}").parse().unwrap();
        assert_eq!(image.reference(), Some(Reference::Digest(digest)));
    }

    #[test]
    fn malformed_image_references_say_why() {
        for text in ["", "a", "ftp://h/a", "h/A", "h/a@sha256:x", "h/a:", "/a"] {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }
}
