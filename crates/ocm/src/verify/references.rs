//! The digests in references, compared with the component versions that they name.

use std::collections::BTreeMap;

use ocm_digest::Digest;
use ocm_model::element::Reference;
use ocm_model::normalisation::UnknownNormalisation;
use ocm_model::{ComponentVersionId, Descriptor, DigestSpec, NormalisationAlgorithm};
use ocm_signing::references::{Referenced, restate};

use super::{ReferenceCheck, VerifyError};
use crate::tree::Node;

/// Compares the digest in every reference with the descriptor that it names.
pub(crate) fn check_references(
    nodes: &[Node],
    referenced: &Referenced,
) -> Result<Vec<ReferenceCheck>, VerifyError> {
    let descriptors: BTreeMap<_, _> = nodes
        .iter()
        .map(|node| (node.descriptor.id(), &node.descriptor))
        .collect();
    let mut report = BTreeMap::new();
    for parent in nodes {
        for reference in parent.descriptor.references() {
            let id = reference.component();
            let Some(child) = descriptors.get(&id) else {
                continue;
            };
            let digest = check_reference(parent.descriptor.id(), &reference, child, referenced)?;
            report.entry(id).or_insert(digest);
        }
    }
    let checks = report.into_iter();
    Ok(checks
        .map(|(component, digest)| ReferenceCheck { component, digest })
        .collect())
}

/// Compares the digest in a reference with the descriptor that it names, by the algorithms that
/// the reference states.
pub(crate) fn check_reference(
    parent: &ComponentVersionId,
    reference: &Reference,
    child: &Descriptor,
    referenced: &Referenced,
) -> Result<DigestSpec, VerifyError> {
    let (id, name) = (parent.clone(), reference.component());
    let Some(spec) = reference.digest.clone().filter(DigestSpec::is_complete) else {
        return Err(VerifyError::ReferenceWithoutDigest {
            id,
            reference: name,
        });
    };
    match compare(child, &spec, referenced) {
        Ok(()) => Ok(spec),
        Err(actual) => Err(VerifyError::ReferenceDigest {
            id,
            reference: name,
            expected: spec.value,
            actual,
        }),
    }
}

/// Compares a digest with that of a descriptor, by the algorithms that it states. The error is the
/// digest that the descriptor has, or why there is none.
pub(crate) fn compare(
    child: &Descriptor,
    spec: &DigestSpec,
    referenced: &Referenced,
) -> Result<(), String> {
    let algorithm: NormalisationAlgorithm = spec
        .normalisation_algorithm
        .parse()
        .map_err(|error: UnknownNormalisation| error.to_string())?;
    let expected = spec.digest().map_err(|error| error.to_string())?;
    let digests = |descriptor: &Descriptor| -> Vec<Digest> {
        let candidates = descriptor.normalise_candidates(algorithm);
        candidates
            .iter()
            .map(|candidate| candidate.digest(expected.algorithm()))
            .collect()
    };
    let stored = digests(child);
    let restated = || restate(child, algorithm, expected.algorithm(), referenced).ok();
    if stored.contains(&expected)
        || restated().is_some_and(|restated| digests(&restated).contains(&expected))
    {
        return Ok(());
    }
    Err(stored.first().map_or_else(String::new, Digest::to_hex))
}
