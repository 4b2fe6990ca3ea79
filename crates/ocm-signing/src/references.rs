//! Stating the digests of references anew, under the algorithms of a signature.
//!
//! A descriptor states the digest of each component version it refers to, and the name of the
//! normalisation under which it was computed. Signatures cover both. The first version of OCM
//! states all of them anew whenever it signs a tree of component versions, so that of signatures
//! under several normalisations only the last one holds for the descriptor as it is stored; to
//! verify the others it does the same again. So must whoever verifies them here, and whoever signs
//! a tree needs it as well (OCM specification, "Signing Process").

use std::collections::BTreeMap;

use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::{
    ComponentVersionId, Descriptor, DigestSpec, NormalisationAlgorithm, Reference, Signature,
};
use thiserror::Error;

/// The deepest nesting of component versions that is followed.
const MAX_DEPTH: usize = 100;

/// Component versions that are referred to, directly or by others.
#[derive(Clone, Debug, Default)]
pub struct Referenced(BTreeMap<ComponentVersionId, Descriptor>);

impl Referenced {
    /// Adds a component version.
    pub fn insert(&mut self, descriptor: Descriptor) {
        self.0.insert(descriptor.id().clone(), descriptor);
    }
}

impl FromIterator<Descriptor> for Referenced {
    fn from_iter<T: IntoIterator<Item = Descriptor>>(descriptors: T) -> Self {
        let with_id = |it: Descriptor| (it.id().clone(), it);
        Self(descriptors.into_iter().map(with_id).collect())
    }
}

/// Tells whether a descriptor states digests of references under other algorithms than those of
/// a signature, so that it may have to be stated anew before the signature holds.
pub fn are_stated_otherwise(descriptor: &Descriptor, signature: &Signature) -> bool {
    let digests = descriptor.references().into_iter().map(|it| it.digest);
    digests.flatten().any(|stated| {
        stated.normalisation_algorithm != signature.digest.normalisation_algorithm
            || stated.algorithm() != signature.digest.algorithm()
    })
}

/// Tells whether whoever verifies signatures under a normalisation states the digests of
/// references anew before. The first version of OCM does, and knows `jsonNormalisation/v1` to
/// `v3`; the second one signs under `jsonNormalisation/v4alpha1`, and takes them as they are.
pub fn are_stated_anew(normalisation: NormalisationAlgorithm) -> bool {
    normalisation != NormalisationAlgorithm::JsonV4Alpha1
}

/// Returns a descriptor whose references have the digests of `referenced` under the given
/// algorithms.
///
/// What was stated before is checked, so that the descriptor stands for the same content as
/// before. References without a digest get one.
///
/// # Errors
///
/// A component version is missing, refers to itself, or has another digest than is stated for it.
pub fn restate(
    descriptor: &Descriptor,
    normalisation: NormalisationAlgorithm,
    hash: HashAlgorithm,
    referenced: &Referenced,
) -> Result<Descriptor, RestateError> {
    let mut run = Run {
        referenced,
        known: BTreeMap::new(),
        path: vec![descriptor.id().clone()],
    };
    run.restate(descriptor, Algorithms(normalisation, hash))
}

/// Returns the digest that a reference to `target` states under the given algorithms.
///
/// # Errors
///
/// As [`restate`], where the normalisation has the references of the target stated anew.
pub fn digest_of(
    target: &Descriptor,
    normalisation: NormalisationAlgorithm,
    hash: HashAlgorithm,
    referenced: &Referenced,
) -> Result<DigestSpec, RestateError> {
    if !are_stated_anew(normalisation) || target.references().is_empty() {
        return Ok(target.normalise(normalisation).digest_spec(hash));
    }
    let restated = restate(target, normalisation, hash, referenced)?;
    Ok(restated.normalise(normalisation).digest_spec(hash))
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Algorithms(NormalisationAlgorithm, HashAlgorithm);

struct Run<'a> {
    referenced: &'a Referenced,
    known: BTreeMap<(ComponentVersionId, Algorithms), Digest>,
    path: Vec<ComponentVersionId>,
}

impl Run<'_> {
    fn restate(
        &mut self,
        descriptor: &Descriptor,
        algorithms: Algorithms,
    ) -> Result<Descriptor, RestateError> {
        let mut restated = descriptor.clone();
        for (index, reference) in descriptor.references().iter().enumerate() {
            let id = reference.component();
            let target = self.referenced.0.get(&id);
            let target = target.ok_or(RestateError::Missing { id })?;
            self.check(reference, target)?;
            let digest = self.digest(target, algorithms)?;
            restated
                .set_reference_digest(index, &DigestSpec::new(&digest, algorithms.0.as_str()))
                .expect("the index is that of a reference");
        }
        Ok(restated)
    }

    /// Returns the digest of a component version that is stated anew itself.
    fn digest(
        &mut self,
        target: &Descriptor,
        algorithms: Algorithms,
    ) -> Result<Digest, RestateError> {
        let key = (target.id().clone(), algorithms);
        if let Some(digest) = self.known.get(&key) {
            return Ok(*digest);
        }
        if self.path.contains(target.id()) || self.path.len() == MAX_DEPTH {
            let id = target.id().clone();
            return Err(RestateError::TooDeep { id });
        }
        self.path.push(target.id().clone());
        let restated = self.restate(target, algorithms)?;
        self.path.pop();
        let digest = restated.normalise(algorithms.0).digest(algorithms.1);
        self.known.insert(key, digest);
        Ok(digest)
    }

    /// Checks that a reference states the digest of its target: as it is stored, or as it was
    /// when the digest was stated.
    fn check(&mut self, reference: &Reference, target: &Descriptor) -> Result<(), RestateError> {
        let Some(stated) = &reference.digest else {
            return Ok(());
        };
        let differs = || RestateError::Differs {
            name: reference.name.clone(),
            id: target.id().clone(),
        };
        let normalisation: NormalisationAlgorithm =
            (stated.normalisation_algorithm.parse()).map_err(|_| differs())?;
        let hash = stated.algorithm().ok_or_else(differs)?;
        let candidates = target.normalise_candidates(normalisation);
        let as_stored = (candidates.iter()).any(|it| stated.states(&it.digest(hash)));
        if as_stored || stated.states(&self.digest(target, Algorithms(normalisation, hash))?) {
            return Ok(());
        }
        Err(differs())
    }
}

/// Why digests of references cannot be stated anew.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum RestateError {
    /// A component version that is referred to is not at hand.
    #[error("component version {id} is referred to, but not available")]
    Missing { id: ComponentVersionId },
    /// A component version refers to itself, maybe by others, or nests without end.
    #[error("component version {id} refers to itself, or is nested more than {MAX_DEPTH} deep")]
    TooDeep { id: ComponentVersionId },
    /// The digest that is stated is not that of the component version.
    #[error("reference `{name}` does not state the digest of component version {id}")]
    Differs {
        name: String,
        id: ComponentVersionId,
    },
}
