//! Digests as component descriptors state them.

use ocm_digest::{Digest, HashAlgorithm, ParseDigestError};
use serde::{Deserialize, Serialize};

use crate::label::null_as_default;

/// A digest, and how it was computed (OCM specification, "Digest Info").
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DigestSpec {
    /// The hash algorithm, such as `SHA-256`.
    #[serde(deserialize_with = "null_as_default")]
    pub hash_algorithm: String,
    /// How the content became the bytes that were hashed.
    #[serde(deserialize_with = "null_as_default")]
    pub normalisation_algorithm: String,
    /// The hash value in lower-case hexadecimal.
    #[serde(deserialize_with = "null_as_default")]
    pub value: String,
}

impl DigestSpec {
    /// The normalisation of content that is hashed as it is.
    pub const GENERIC_BLOB: &'static str = "genericBlobDigest/v1";

    /// The normalisation of an OCI artifact: the digest of its manifest or index.
    pub const OCI_ARTIFACT: &'static str = "ociArtifactDigest/v1";

    /// The old spelling of [`DigestSpec::OCI_ARTIFACT`].
    pub const OCI_ARTIFACT_LEGACY: &'static str = "ociArtefactDigest/v1";

    /// The normalisation of content that no signature covers.
    pub const EXCLUDED: &'static str = "EXCLUDE-FROM-SIGNATURE";

    /// The hash algorithm and value of content that no signature covers.
    pub const NO_DIGEST: &'static str = "NO-DIGEST";

    /// States a digest under a normalisation.
    pub fn new(digest: &Digest, normalisation: &str) -> Self {
        Self {
            hash_algorithm: digest.algorithm().ocm_name().to_owned(),
            normalisation_algorithm: normalisation.to_owned(),
            value: digest.to_hex(),
        }
    }

    /// States the digest of a blob.
    pub fn generic_blob(digest: &Digest) -> Self {
        Self::new(digest, Self::GENERIC_BLOB)
    }

    /// States the digest of the manifest or index of an OCI artifact.
    pub fn oci_artifact(digest: &Digest) -> Self {
        Self::new(digest, Self::OCI_ARTIFACT)
    }

    /// States that no signature covers the content.
    pub fn excluded() -> Self {
        Self {
            hash_algorithm: Self::NO_DIGEST.to_owned(),
            normalisation_algorithm: Self::EXCLUDED.to_owned(),
            value: Self::NO_DIGEST.to_owned(),
        }
    }

    /// Tells whether the content is deliberately not covered.
    pub fn is_excluded(&self) -> bool {
        *self == Self::excluded()
    }

    /// Tells whether all fields are empty. The Go implementation writes that for an absent digest.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether all fields have some text.
    pub fn is_complete(&self) -> bool {
        [
            &self.hash_algorithm,
            &self.normalisation_algorithm,
            &self.value,
        ]
        .iter()
        .all(|field| !field.is_empty())
    }

    /// Returns the hash algorithm, if it is one that can be computed.
    pub fn algorithm(&self) -> Option<HashAlgorithm> {
        HashAlgorithm::from_name(&self.hash_algorithm)
    }

    /// Returns the digest.
    ///
    /// # Errors
    ///
    /// The algorithm is not known or the value is malformed.
    pub fn digest(&self) -> Result<Digest, ParseDigestError> {
        let algorithm = self
            .algorithm()
            .ok_or_else(|| ParseDigestError::UnknownAlgorithm {
                algorithm: self.hash_algorithm.clone(),
            })?;
        Digest::from_hex(algorithm, &self.value)
    }

    /// Tells whether this states a digest, whatever the spelling of the algorithm and whatever
    /// the normalisation.
    pub fn states(&self, digest: &Digest) -> bool {
        self.digest().as_ref() == Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_compared_by_value_whatever_its_spelling() {
        let digest = Digest::sha256(b"x");
        let mut spec = DigestSpec::generic_blob(&digest);
        assert_eq!(spec.hash_algorithm, "SHA-256");
        spec.hash_algorithm = "sha256".to_owned();
        spec.normalisation_algorithm = DigestSpec::OCI_ARTIFACT.to_owned();
        assert!(spec.states(&digest));
        assert!(!spec.states(&Digest::sha256(b"y")));
    }

    #[test]
    fn an_excluded_digest_has_no_value() {
        let spec = DigestSpec::excluded();
        assert!(spec.is_excluded() && spec.is_complete() && !spec.is_empty());
        assert_eq!(
            spec.digest().unwrap_err().to_string(),
            "digest algorithm `NO-DIGEST` is not known"
        );
    }
}
