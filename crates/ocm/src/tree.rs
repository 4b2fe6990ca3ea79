//! A component version and everything that it refers to.

use std::collections::{BTreeMap, BTreeSet};

use ocm_digest::HashAlgorithm;
use ocm_model::{Descriptor, DigestSpec, NormalisationAlgorithm, RepositorySpec};
use ocm_repository::RepositoryRef;
use ocm_signing::nested;
use ocm_signing::references::{Referenced, digest_of};

use crate::error::Error;
use crate::rules::Rules;
use crate::session::Ocm;

/// A component version that was read, and where.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) descriptor: Descriptor,
    pub(crate) repository: RepositoryRef,
}

impl Ocm {
    /// Reads a component version and everything below it, each version once, the root first. What
    /// is neither beside the root nor where the configuration says is looked for in `lookup`.
    ///
    /// # Errors
    ///
    /// [`Error::Reference`] if one of them cannot be read, [`Error::BrokenRules`] if one does not
    /// pass.
    pub(crate) async fn gather(
        &self,
        root: Node,
        lookup: &[RepositorySpec],
        rules: Option<&Rules>,
    ) -> Result<Vec<Node>, Error> {
        self.gather_readable(root, lookup, rules, Err).await
    }

    /// Reads as [`Ocm::gather`] does. What is to become of a component version that cannot be read
    /// is up to the caller.
    ///
    /// # Errors
    ///
    /// What the caller makes of [`Error::Reference`], or [`Error::BrokenRules`].
    pub(crate) async fn gather_readable(
        &self,
        root: Node,
        lookup: &[RepositorySpec],
        rules: Option<&Rules>,
        mut unreadable: impl FnMut(Error) -> Result<(), Error>,
    ) -> Result<Vec<Node>, Error> {
        let resolvers = self.resolvers(&root.repository).await?.and_in(lookup);
        let mut seen = BTreeSet::from([root.descriptor.id().clone()]);
        let mut nodes = vec![root];
        let mut next = 0;
        while next < nodes.len() {
            let parent = nodes[next].descriptor.id().clone();
            for reference in nodes[next].descriptor.references() {
                let child = reference.component();
                if !seen.insert(child.clone()) {
                    continue;
                }
                match resolvers.component_version(&child).await {
                    Ok((repository, stored)) => {
                        rules.map_or(Ok(()), |rules| rules.check(&stored))?;
                        nodes.push(Node {
                            descriptor: stored.descriptor,
                            repository,
                        });
                    }
                    Err(source) => unreadable(Error::Reference {
                        id: parent.clone(),
                        reference: child,
                        source: source.into(),
                    })?,
                }
            }
            next += 1;
        }
        Ok(nodes)
    }
}

/// Returns the component versions below the root.
pub(crate) fn below(nodes: &[Node]) -> Referenced {
    let below = nodes.iter().skip(1);
    below.map(|node| node.descriptor.clone()).collect()
}

/// Returns the positions of component versions in an order in which each comes after those that it
/// refers to.
///
/// # Errors
///
/// [`Error::Cycle`] if there is no such order.
pub(crate) fn bottom_up(nodes: &[Node]) -> Result<Vec<usize>, Error> {
    let positions: BTreeMap<_, _> = nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (node.descriptor.id(), position))
        .collect();
    let mut waiting = vec![0_usize; nodes.len()];
    let mut parents = vec![Vec::new(); nodes.len()];
    for (position, node) in nodes.iter().enumerate() {
        let children: BTreeSet<usize> = (node.descriptor.references().iter())
            .filter_map(|reference| positions.get(&reference.component()).copied())
            .collect();
        waiting[position] = children.len();
        for child in children {
            parents[child].push(position);
        }
    }
    let mut order: Vec<usize> = (0..nodes.len()).filter(|&it| waiting[it] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for &parent in &parents[order[next]] {
            waiting[parent] -= 1;
            if waiting[parent] == 0 {
                order.push(parent);
            }
        }
        next += 1;
    }
    match waiting.iter().position(|&children| children > 0) {
        None => Ok(order),
        Some(stuck) => Err(Error::Cycle {
            id: nodes[stuck].descriptor.id().clone(),
        }),
    }
}

/// Returns the component versions with the digests that the root keeps for them.
///
/// The first Go tool forgets those of component versions when it signs once more. They are computed
/// then: a signature that holds with them is of what is there.
///
/// # Errors
///
/// [`Error::Kept`] if one states another digest, otherwise as [`complete_kept_digests`].
pub(crate) fn with_kept_digests(nodes: &[Node]) -> Result<Vec<Node>, Error> {
    let (mut filled, contradictions) = fill_kept_digests(nodes);
    if let Some(contradiction) = contradictions.into_iter().next() {
        return Err(contradiction.into());
    }
    complete_kept_digests(&mut filled)?;
    Ok(filled)
}

/// Returns the component versions with the digests that the root keeps for them, except for those
/// that state another one: they stay as they are, and what contradicts is returned with them.
pub(crate) fn fill_kept_digests(nodes: &[Node]) -> (Vec<Node>, Vec<nested::Error>) {
    let kept = nodes[0].descriptor.nested_digests();
    let (mut filled, mut contradictions) = (nodes.to_vec(), Vec::new());
    if kept.is_empty() {
        return (filled, contradictions);
    }
    for node in &mut filled {
        match nested::with_kept(&node.descriptor, &kept) {
            Ok(descriptor) => node.descriptor = descriptor,
            Err(contradiction) => contradictions.push(contradiction),
        }
    }
    (filled, contradictions)
}

/// Computes what a root that keeps digests has lost of them.
///
/// # Errors
///
/// [`Error::Restate`] or [`Error::Cycle`] if it cannot be computed. What the root signs cannot be
/// told then.
pub(crate) fn complete_kept_digests(nodes: &mut [Node]) -> Result<(), Error> {
    let root = &nodes[0].descriptor;
    if root.nested_digests().is_empty() {
        return Ok(());
    }
    let algorithms = root.signatures().into_iter().find_map(|signature| {
        let normalisation = signature.digest.normalisation_algorithm.parse().ok()?;
        Some((normalisation, signature.digest.algorithm()?))
    });
    let Some((normalisation, hash)) = algorithms else {
        return Ok(());
    };
    let order = bottom_up(nodes)?;
    complete_references(nodes, &order, normalisation, hash)
}

/// Fills in digests of references that are missing, from the bottom up.
///
/// # Errors
///
/// [`Error::Restate`] if one cannot be computed.
pub(crate) fn complete_references(
    nodes: &mut [Node],
    order: &[usize],
    normalisation: NormalisationAlgorithm,
    hash: HashAlgorithm,
) -> Result<(), Error> {
    let positions: BTreeMap<_, _> = nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (node.descriptor.id().clone(), position))
        .collect();
    let mut complete = Referenced::default();
    for &position in order {
        let references = nodes[position].descriptor.references();
        for (index, reference) in references.iter().enumerate() {
            if reference
                .digest
                .as_ref()
                .is_some_and(DigestSpec::is_complete)
            {
                continue;
            }
            let Some(&target) = positions.get(&reference.component()) else {
                continue;
            };
            let digest = digest(&nodes[target].descriptor, normalisation, hash, &complete)?;
            nodes[position]
                .descriptor
                .set_reference_digest(index, &digest)
                .expect("the index is that of a reference");
        }
        complete.insert(nodes[position].descriptor.clone());
    }
    Ok(())
}

/// Returns the digest that a reference to a component version states.
///
/// # Errors
///
/// [`Error::Restate`] if what it refers to itself is missing, or is not what it states.
pub(crate) fn digest(
    descriptor: &Descriptor,
    normalisation: NormalisationAlgorithm,
    hash: HashAlgorithm,
    referenced: &Referenced,
) -> Result<DigestSpec, Error> {
    let digest = digest_of(descriptor, normalisation, hash, referenced);
    digest.map_err(|source| Error::Restate {
        id: descriptor.id().clone(),
        normalisation,
        source,
    })
}
