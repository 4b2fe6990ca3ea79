//! Normalisation: the bytes of a descriptor that signatures cover.
//!
//! What may change in transport (access, repositories, labels that are not signed, signatures)
//! stays out; the rest is written in one way only (OCM specification, "Normalization"). The four
//! algorithms agree on ordinary descriptors but for their form. Where they differ, each is
//! reproduced as the Go implementation that owns it computes it, faults included, because
//! signatures depend on them.

mod project;
mod writer;

use std::fmt;
use std::str::FromStr;

use ocm_digest::{Digest, HashAlgorithm};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::project::{Labels, Rules};
use crate::descriptor::Descriptor;
use crate::digest_spec::DigestSpec;
use crate::element::{Element, ElementKind};
use crate::identity::Identity;

/// How a descriptor becomes the bytes that are hashed.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum NormalisationAlgorithm {
    /// `jsonNormalisation/v1`: every object a list of its entries; depends on the schema version.
    JsonV1,
    /// `jsonNormalisation/v2`: RFC 8785, versions added to identities that are not unique.
    JsonV2,
    /// `jsonNormalisation/v3`: RFC 8785.
    JsonV3,
    /// `jsonNormalisation/v4alpha1`: RFC 8785, without `null`.
    #[default]
    JsonV4Alpha1,
}

impl NormalisationAlgorithm {
    /// All algorithms, the oldest first.
    pub const ALL: [Self; 4] = [Self::JsonV1, Self::JsonV2, Self::JsonV3, Self::JsonV4Alpha1];

    /// Returns the name in descriptors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonV1 => "jsonNormalisation/v1",
            Self::JsonV2 => "jsonNormalisation/v2",
            Self::JsonV3 => "jsonNormalisation/v3",
            Self::JsonV4Alpha1 => "jsonNormalisation/v4alpha1",
        }
    }

    const fn rules(self) -> Rules {
        match self {
            Self::JsonV1 | Self::JsonV2 => Rules {
                default_versions: true,
                ..Rules::V3
            },
            Self::JsonV3 => Rules::V3,
            Self::JsonV4Alpha1 => Rules::V4,
        }
    }
}

impl fmt::Display for NormalisationAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NormalisationAlgorithm {
    type Err = UnknownNormalisation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name);
        known.ok_or_else(|| UnknownNormalisation {
            name: name.to_owned(),
        })
    }
}

impl TryFrom<String> for NormalisationAlgorithm {
    type Error = UnknownNormalisation;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<NormalisationAlgorithm> for String {
    fn from(algorithm: NormalisationAlgorithm) -> Self {
        algorithm.as_str().to_owned()
    }
}

/// The bytes of a descriptor that signatures cover.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NormalisedDescriptor {
    algorithm: NormalisationAlgorithm,
    bytes: Vec<u8>,
}

impl NormalisedDescriptor {
    /// Returns the algorithm by whose name the bytes go.
    pub const fn algorithm(&self) -> NormalisationAlgorithm {
        self.algorithm
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the digest of the bytes: what is signed.
    pub fn digest(&self, hash: HashAlgorithm) -> Digest {
        hash.digest(&self.bytes)
    }

    /// Returns the digest of the bytes as descriptors state it.
    pub fn digest_spec(&self, hash: HashAlgorithm) -> DigestSpec {
        DigestSpec::new(&self.digest(hash), self.algorithm.as_str())
    }
}

impl Descriptor {
    /// Normalises the descriptor.
    ///
    /// ```
    /// use ocm_digest::HashAlgorithm;
    /// use ocm_model::{Descriptor, NormalisationAlgorithm, Provider};
    ///
    /// let descriptor =
    ///     Descriptor::new("acme.org/x".parse()?, "1.0.0".parse()?, &Provider::new("acme.org"));
    /// let normalised = descriptor.normalise(NormalisationAlgorithm::JsonV4Alpha1);
    /// let digest = normalised.digest_spec(HashAlgorithm::Sha256);
    /// assert_eq!(digest.normalisation_algorithm, "jsonNormalisation/v4alpha1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn normalise(&self, algorithm: NormalisationAlgorithm) -> NormalisedDescriptor {
        let bytes = match algorithm {
            NormalisationAlgorithm::JsonV1 => project::stored_form(self, algorithm.rules()),
            _ => project::neutral_form(self, algorithm.rules()),
        };
        NormalisedDescriptor { algorithm, bytes }
    }

    /// Normalises the descriptor in every way in which a signature under this algorithm may have
    /// been made, the right one first, none twice.
    ///
    /// The Go implementations compute v4alpha1 for signatures under v3, lose the versions of
    /// labels on the way, and treat `null` and absent digests differently. A signature over any of
    /// these covers the same content.
    pub fn normalise_candidates(
        &self,
        algorithm: NormalisationAlgorithm,
    ) -> Vec<NormalisedDescriptor> {
        use NormalisationAlgorithm::{JsonV1, JsonV2, JsonV3, JsonV4Alpha1};
        let versioned = Rules {
            labels: Labels::Versioned,
            ..Rules::V4
        };
        let others: &[Rules] = match algorithm {
            JsonV1 | JsonV2 => &[],
            JsonV3 => &[Rules::V4, versioned],
            JsonV4Alpha1 => &[versioned, Rules::V3],
        };
        let mut candidates = vec![self.normalise(algorithm)];
        for rules in others {
            let bytes = project::neutral_form(self, *rules);
            let candidate = NormalisedDescriptor { algorithm, bytes };
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }

    /// Checks that a signature of this descriptor would cover all content: every resource with
    /// content and every reference has a digest, and no resource without content has one.
    ///
    /// # Errors
    ///
    /// Names each element that falls short.
    pub fn check_digestible(&self) -> Result<(), NotDigestible> {
        let mut gaps = Vec::new();
        let mut gap = |kind, identity, problem| {
            gaps.push(DigestGap {
                kind,
                identity,
                problem,
            });
        };
        for resource in self.resources() {
            let has_content = resource
                .access
                .as_ref()
                .is_some_and(|access| !access.is_none());
            let complete = resource
                .digest
                .as_ref()
                .is_some_and(DigestSpec::is_complete);
            let kind = ElementKind::Resource;
            if has_content && !complete {
                gap(kind, resource.identity(), DigestProblem::Missing);
            } else if !has_content
                && resource
                    .digest
                    .as_ref()
                    .is_some_and(|digest| !digest.is_empty())
            {
                gap(kind, resource.identity(), DigestProblem::Unexpected);
            }
        }
        for reference in self.references() {
            if !reference
                .digest
                .as_ref()
                .is_some_and(DigestSpec::is_complete)
            {
                gap(
                    ElementKind::Reference,
                    reference.identity(),
                    DigestProblem::Missing,
                );
            }
        }
        if gaps.is_empty() {
            Ok(())
        } else {
            Err(NotDigestible { gaps })
        }
    }

    /// Tells whether a signature of this descriptor would cover all content.
    pub fn is_safely_digestible(&self) -> bool {
        self.check_digestible().is_ok()
    }
}

/// A name is not that of a [`NormalisationAlgorithm`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("normalisation algorithm `{name}` is not known")]
#[expect(missing_docs, reason = "the message names its field")]
pub struct UnknownNormalisation {
    pub name: String,
}

/// A signature would not cover all content.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("a signature would not cover all content: {}", list(.gaps))]
pub struct NotDigestible {
    /// The elements that fall short; never empty.
    pub gaps: Vec<DigestGap>,
}

/// An element whose digest does not fit its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DigestGap {
    /// Which list it is in.
    pub kind: ElementKind,
    /// Which element of it.
    pub identity: Identity,
    /// What is wrong.
    pub problem: DigestProblem,
}

/// How a digest does not fit its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DigestProblem {
    /// There is content, but no complete digest.
    Missing,
    /// There is a digest, but no content.
    Unexpected,
}

impl fmt::Display for DigestGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            DigestProblem::Missing => "has no digest",
            DigestProblem::Unexpected => "has a digest but no content",
        };
        write!(f, "{} `{}` {problem}", self.kind, self.identity)
    }
}

fn list(gaps: &[DigestGap]) -> String {
    let gaps: Vec<String> = gaps.iter().map(ToString::to_string).collect();
    gaps.join(", ")
}

#[cfg(test)]
mod tests;
