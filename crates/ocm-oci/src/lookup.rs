//! What many references point to, asked in one request.
//!
//! This extends the distribution API where its specification leaves room for extensions, below
//! `/v2/_<extension>/`. A registry that has it names in [`HEADER`], whenever it answers about a manifest, how
//! many references it takes at a time; the client asks no other.
//!
//! ```text
//! POST /v2/_ocm/manifests/resolve
//! {"manifests":[{"repository":"acme/shop","reference":"1.0.0"},{"repository":"acme/till","reference":"2"}]}
//!
//! 200 OK
//! {"manifests":[{"status":200,"descriptor":{"mediaType":"…","digest":"sha256:…","size":733}},{"status":404}]}
//! ```
//!
//! What is answered stands in the order of what was asked. Each status is that of a `HEAD` for the
//! manifest; with any but 200 and 404 nothing is said of the manifest.

use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::document::Descriptor;
use crate::error::Error;
use crate::name::{Reference, RepositoryName};

/// The path of the extension.
pub const PATH: &str = "/v2/_ocm/manifests/resolve";

/// The header by which a registry announces the extension. Its value is a number of references.
pub const HEADER: HeaderName = HeaderName::from_static("ocm-resolve-manifests");

/// How many references are asked for or answered at a time, at most. A token for as many repositories
/// still fits in a header, and what asks for it in a URL.
pub const MAX_REFERENCES: usize = 32;

/// The size beyond which neither a request nor an answer is read, in bytes.
pub const MAX_BYTES: u64 = 32 * 1024;

/// What is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lookup {
    /// What is looked up.
    pub manifests: Vec<Wanted>,
}

/// A manifest that is looked up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Wanted {
    /// The repository that may have it.
    pub repository: RepositoryName,
    /// What names it there.
    pub reference: Reference,
}

/// What is answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// What has been found, in the order of what was asked.
    pub manifests: Vec<Found>,
}

/// What is there where a manifest was looked up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Found {
    /// The status of a `HEAD` for the manifest.
    pub status: u16,
    /// What points to the manifest, with a status of 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
}

/// What an answer says of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// It is there, and this points to it.
    There(Box<Descriptor>),
    /// It is not there.
    Missing,
    /// Nothing: it has to be asked for by itself.
    Unknown,
}

impl Lookup {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// It is malformed, or asks for more than [`MAX_REFERENCES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let what = "what is looked up";
        let lookup: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::malformed(what, error.to_string()))?;
        if lookup.manifests.len() > MAX_REFERENCES {
            let reason = format!("it has more than {MAX_REFERENCES} references");
            return Err(Error::malformed(what, reason));
        }
        Ok(lookup)
    }
}

impl Answer {
    /// Reads the answer to a request: what it says of each manifest.
    ///
    /// # Errors
    ///
    /// It is malformed, or has too little or too much to be one.
    pub fn parse(bytes: &[u8], wanted: &[Wanted]) -> Result<Vec<Presence>, Error> {
        let what = "what has been looked up";
        let answer: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::malformed(what, error.to_string()))?;
        if answer.manifests.len() != wanted.len() {
            let reason = format!(
                "it has {} answers to {} references",
                answer.manifests.len(),
                wanted.len()
            );
            return Err(Error::malformed(what, reason));
        }
        let said = answer.manifests.into_iter().zip(wanted);
        Ok(said.map(|(found, wanted)| found.of(wanted)).collect())
    }
}

impl Found {
    /// Says what points to a manifest.
    pub fn at(descriptor: Descriptor) -> Self {
        Self {
            status: 200,
            descriptor: Some(descriptor),
        }
    }

    /// Says by a status why nothing is pointed to.
    pub const fn nothing(status: u16) -> Self {
        Self {
            status,
            descriptor: None,
        }
    }

    /// Returns what this says of what was wanted.
    fn of(self, wanted: &Wanted) -> Presence {
        let is_wanted = |descriptor: &Descriptor| match &wanted.reference {
            Reference::Tag(_) => true,
            Reference::Digest(digest) => *digest == descriptor.digest,
        };
        match (self.status, self.descriptor) {
            (404, _) => Presence::Missing,
            (200, Some(descriptor))
                if is_wanted(&descriptor)
                    && !descriptor.media_type.is_empty()
                    && descriptor.size > 0 =>
            {
                Presence::There(Box::new(descriptor))
            }
            _ => Presence::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use ocm_digest::{Digest, HashAlgorithm};

    use super::*;

    fn wanted(reference: &str) -> Wanted {
        Wanted {
            repository: "acme/shop".parse().unwrap(),
            reference: reference.parse().unwrap(),
        }
    }

    fn manifest() -> Descriptor {
        Descriptor::of("application/x", b"{}")
    }

    fn said(found: Found, reference: &str) -> Presence {
        let answer = Answer {
            manifests: vec![found],
        };
        let bytes = serde_json::to_vec(&answer).unwrap();
        let mut said = Answer::parse(&bytes, &[wanted(reference)]).unwrap();
        said.pop().unwrap()
    }

    #[test]
    fn what_is_asked_is_plain_json() {
        let digest = manifest().digest;
        let lookup = Lookup {
            manifests: vec![wanted("1.0.0"), wanted(&digest.to_string())],
        };
        let text = format!(
            r#"{{"manifests":[{{"repository":"acme/shop","reference":"1.0.0"}},{{"repository":"acme/shop","reference":"{digest}"}}]}}"#
        );
        assert_eq!(serde_json::to_string(&lookup).unwrap(), text);
        assert_eq!(Lookup::parse(text.as_bytes()).unwrap(), lookup);
    }

    #[test]
    fn what_is_malformed_or_too_much_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"manifests":[{"repository":"acme/shop"}]}"#,
            r#"{"manifests":[{"repository":"../shop","reference":"1"}]}"#,
            r#"{"manifests":[{"repository":"acme","reference":"a/b"}]}"#,
            r#"{"manifests":[{"repository":"acme","reference":"sha256:1234"}]}"#,
        ] {
            assert!(Lookup::parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = |number| Lookup {
            manifests: vec![wanted("1"); number],
        };
        let parse = |lookup| Lookup::parse(&serde_json::to_vec(&lookup).unwrap());
        assert!(parse(many(MAX_REFERENCES)).is_ok());
        assert!(parse(many(MAX_REFERENCES + 1)).is_err());
    }

    #[test]
    fn an_answer_says_what_is_there_what_is_not_or_nothing() {
        let there = Presence::There(Box::new(manifest()));
        assert_eq!(said(Found::at(manifest()), "1"), there);
        assert_eq!(said(Found::nothing(404), "1"), Presence::Missing);
        for status in [0, 200, 401, 403, 500] {
            assert_eq!(
                said(Found::nothing(status), "1"),
                Presence::Unknown,
                "{status}"
            );
        }
        let digest = manifest().digest.to_string();
        assert_eq!(said(Found::at(manifest()), &digest), there);
        let other = Digest::sha256(b"other").to_string();
        assert_eq!(said(Found::at(manifest()), &other), Presence::Unknown);
        for vague in [
            Descriptor {
                size: 0,
                ..manifest()
            },
            Descriptor {
                media_type: String::new(),
                ..manifest()
            },
        ] {
            assert_eq!(said(Found::at(vague), "1"), Presence::Unknown);
        }
    }

    #[test]
    fn an_answer_to_something_else_is_refused() {
        for text in ["", "{}", r#"{"manifests":[]}"#, r#"{"manifests":[{}]}"#] {
            assert!(
                Answer::parse(text.as_bytes(), &[wanted("1")]).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn as_much_as_is_asked_for_has_room() {
        let lookup = Lookup {
            manifests: vec![
                Wanted {
                    repository: "a".repeat(255).parse().unwrap(),
                    reference: "1".repeat(128).parse().unwrap(),
                };
                MAX_REFERENCES
            ],
        };
        assert!(serde_json::to_vec(&lookup).unwrap().len() as u64 <= MAX_BYTES);
        let descriptor =
            Descriptor::new("m".repeat(255), HashAlgorithm::Sha512.digest(b""), u64::MAX);
        let answer = Answer {
            manifests: vec![Found::at(descriptor); MAX_REFERENCES],
        };
        assert!(serde_json::to_vec(&answer).unwrap().len() as u64 <= MAX_BYTES);
    }
}
