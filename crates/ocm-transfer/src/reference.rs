//! Whether a component version is the one that a reference promises.

use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::{Descriptor, DigestSpec, NormalisationAlgorithm};

/// The digest of a component version under the algorithms that nearly all references use, so that
/// its descriptor need not be kept.
#[derive(Clone, Debug)]
pub(crate) struct KnownDigest(Digest);

impl KnownDigest {
    const ALGORITHM: NormalisationAlgorithm = NormalisationAlgorithm::JsonV4Alpha1;

    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        let normalised = descriptor.normalise(Self::ALGORITHM);
        Self(normalised.digest(HashAlgorithm::Sha256))
    }

    /// Returns the digest that is written for this component version.
    pub(crate) fn digest_spec(&self) -> DigestSpec {
        DigestSpec::new(&self.0, Self::ALGORITHM.as_str())
    }

    /// Returns whether a digest in a reference is this one. If not, [`check`] may still find it
    /// right: there are other algorithms, and other ways in which they have been implemented.
    pub(crate) fn is(&self, promised: &DigestSpec) -> bool {
        matches!(
            read(promised),
            Ok((
                // Either has been implemented in the ways of both.
                NormalisationAlgorithm::JsonV3 | NormalisationAlgorithm::JsonV4Alpha1,
                digest,
            )) if digest == self.0
        )
    }
}

/// Checks that a component version has the digest which a reference promises, computed in any of
/// the ways in which the algorithm has been implemented.
///
/// # Errors
///
/// Says why it has not.
pub(crate) fn check(descriptor: &Descriptor, promised: &DigestSpec) -> Result<(), String> {
    let (algorithm, digest) = read(promised)?;
    compare(
        &digest,
        &candidates(descriptor, algorithm, digest.algorithm()),
    )
}

fn read(promised: &DigestSpec) -> Result<(NormalisationAlgorithm, Digest), String> {
    let algorithm = promised
        .normalisation_algorithm
        .parse::<NormalisationAlgorithm>();
    let algorithm = algorithm.map_err(|error| error.to_string())?;
    let digest = promised.digest().map_err(|error| error.to_string())?;
    Ok((algorithm, digest))
}

fn candidates(
    descriptor: &Descriptor,
    algorithm: NormalisationAlgorithm,
    hash: HashAlgorithm,
) -> Vec<Digest> {
    let normalised = descriptor.normalise_candidates(algorithm);
    normalised
        .iter()
        .map(|normalised| normalised.digest(hash))
        .collect()
}

fn compare(promised: &Digest, known: &[Digest]) -> Result<(), String> {
    if known.contains(promised) {
        return Ok(());
    }
    let actual = known.first().map(ToString::to_string).unwrap_or_default();
    Err(format!(
        "the reference states {promised}, the component version has {actual}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{component, descriptor};

    #[test]
    fn every_algorithm_is_checked_with_and_without_the_descriptor() {
        let descriptor = descriptor(&component(json!({})));
        let known = KnownDigest::of(&descriptor);
        for algorithm in NormalisationAlgorithm::ALL {
            for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
                let right = descriptor.normalise(algorithm).digest_spec(hash);
                let wrong = DigestSpec::new(&hash.digest("other"), algorithm.as_str());
                assert_eq!(check(&descriptor, &right), Ok(()));
                assert!(check(&descriptor, &wrong).is_err());
                assert!(!known.is(&wrong));
            }
        }
        assert!(known.is(&known.digest_spec()));
        let mut old = known.digest_spec();
        old.normalisation_algorithm = NormalisationAlgorithm::JsonV1.as_str().to_owned();
        assert!(!known.is(&old));
    }

    #[test]
    fn either_algorithm_has_been_implemented_in_the_ways_of_both() {
        // Every place where the two differ: label versions, `null`, digests that are absent.
        let descriptor = descriptor(&component(json!({
            "labels": [{"name": "a", "value": {"b": null}, "version": "v1", "signing": true}],
            "componentReferences": [{"name": "base", "componentName": "acme.org/base", "version": "1.0.0"}],
        })));
        let digests = |algorithm| {
            let mut digests = candidates(&descriptor, algorithm, HashAlgorithm::Sha256);
            digests.sort_unstable();
            digests
        };
        let v3 = digests(NormalisationAlgorithm::JsonV3);
        assert_eq!(v3.len(), 3);
        assert_eq!(v3, digests(NormalisationAlgorithm::JsonV4Alpha1));
    }

    #[test]
    fn what_cannot_be_computed_is_not_taken_as_right() {
        let descriptor = descriptor(&component(json!({})));
        let mut promised = KnownDigest::of(&descriptor).digest_spec();
        promised.normalisation_algorithm = "jsonNormalisation/v9".to_owned();
        assert!(check(&descriptor, &promised).unwrap_err().contains("v9"));
        assert!(check(&descriptor, &DigestSpec::excluded()).is_err());
    }
}
