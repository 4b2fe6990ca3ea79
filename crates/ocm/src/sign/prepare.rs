//! Making a tree ready to be signed: every digest is there, and is right.

use ocm_model::{Descriptor, DigestSpec, NestedDigest};
use ocm_repository::RepositoryRef;
use ocm_signing::nested;
use ocm_signing::references::are_stated_anew;
use ocm_signing::sign::SignOptions;

use super::content::Looked;
use super::{DigestMode, SignRequest};
use crate::error::Error;
use crate::session::Ocm;
use crate::tree::{self, Node, below};
use crate::verify::references::check_references;

/// A tree that can be signed.
pub(super) struct Prepared {
    /// The component versions, the signed one first, with all digests where they belong.
    pub(super) nodes: Vec<Node>,
    /// Their positions, each after those that it refers to.
    pub(super) order: Vec<usize>,
    /// Them as they are to be stored, without signatures.
    pub(super) to_store: Vec<Descriptor>,
    /// Which of them have digests that they did not have.
    pub(super) completed: Vec<bool>,
    /// How many digests of resources were compared with content of how many bytes.
    pub(super) checked: (usize, u64),
}

impl Ocm {
    /// Checks the digests that a signature will cover, and fills in those that are missing.
    pub(super) async fn prepare(
        &self,
        root: Descriptor,
        repository: &RepositoryRef,
        request: &SignRequest,
    ) -> Result<Prepared, Error> {
        let mode = mode(&root, request.digests);
        if request.recursive && mode == DigestMode::Top {
            let id = root.id().clone();
            return Err(Error::RecursiveTop { id });
        }
        let root = Node {
            descriptor: root,
            repository: repository.clone(),
        };
        let stored = if looks_below(&root.descriptor, request) {
            self.gather(root, &request.lookup, None).await?
        } else {
            vec![root]
        };
        let order = tree::bottom_up(&stored)?;
        let mut nodes = tree::with_kept_digests(&stored)?;
        if !request.update {
            for node in &nodes {
                check_digestible(&node.descriptor)?;
            }
        }

        let Looked { computed, checked } = self.look_at_content(&nodes, request).await?;
        for ((position, index), digest) in computed {
            let descriptor = &mut nodes[position].descriptor;
            descriptor
                .set_resource_digest(index, &digest)
                .expect("the index is that of a resource");
        }
        if request.update {
            let SignOptions {
                normalisation,
                hash,
                ..
            } = request.options;
            tree::complete_references(&mut nodes, &order, normalisation, hash)?;
        }
        for node in &nodes {
            check_digestible(&node.descriptor)?;
        }
        if request.verify {
            check_references(&nodes, &below(&nodes))?;
        }

        let mut to_store: Vec<Descriptor> = match mode {
            DigestMode::Local => nodes.iter().map(|node| node.descriptor.clone()).collect(),
            DigestMode::Top => stored.iter().map(|node| node.descriptor.clone()).collect(),
        };
        if mode == DigestMode::Top {
            let kept = all_below(&nodes, request)?;
            to_store[0] = with_all_below(&stored[0].descriptor, &nodes[0].descriptor, kept);
        }
        let completed: Vec<bool> = to_store
            .iter()
            .zip(&stored)
            .map(|(to_store, stored)| *to_store != stored.descriptor)
            .collect();
        for (node, _) in stored.iter().zip(&completed).filter(|(_, it)| **it) {
            refuse_if_signed(&node.descriptor, mode)?;
        }
        Ok(Prepared {
            nodes,
            order,
            to_store,
            completed,
            checked,
        })
    }
}

/// Returns where the digests of a tree go: where its first ones are, else where they shall.
fn mode(root: &Descriptor, wanted: DigestMode) -> DigestMode {
    if !root.nested_digests().is_empty() {
        return DigestMode::Top;
    }
    let first = root.references().into_iter().next();
    match first.and_then(|reference| reference.digest) {
        Some(digest) if digest.is_complete() => DigestMode::Local,
        _ => wanted,
    }
}

/// Tells whether the component versions that are referred to are needed.
fn looks_below(root: &Descriptor, request: &SignRequest) -> bool {
    let references = root.references();
    !references.is_empty()
        && (request.verify
            || request.recursive
            || are_stated_anew(request.options.normalisation)
            || (request.update && !references.iter().all(|it| is_complete(it.digest.as_ref()))))
}

fn check_digestible(descriptor: &Descriptor) -> Result<(), Error> {
    let checked = descriptor.check_digestible();
    checked.map_err(|source| Error::NotDigestible {
        id: descriptor.id().clone(),
        source,
    })
}

/// Returns what a root keeps for the component versions below it.
fn all_below(nodes: &[Node], request: &SignRequest) -> Result<Vec<NestedDigest>, Error> {
    let SignOptions {
        normalisation,
        hash,
        ..
    } = request.options;
    let referenced = below(nodes);
    let kept = nodes.iter().skip(1).map(|node| {
        let digest = tree::digest(&node.descriptor, normalisation, hash, &referenced)?;
        Ok(nested::to_keep(&node.descriptor, digest))
    });
    let mut kept = kept.collect::<Result<Vec<_>, Error>>()?;
    kept.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(kept)
}

fn is_complete(digest: Option<&DigestSpec>) -> bool {
    digest.is_some_and(DigestSpec::is_complete)
}

/// Returns a root that keeps the digests of what is below it, and has those of its own resources.
/// What it keeps already stays, since there may be signatures of it.
fn with_all_below(
    stored: &Descriptor,
    completed: &Descriptor,
    mut kept: Vec<NestedDigest>,
) -> Descriptor {
    let mut root = stored.clone();
    for (index, resource) in completed.resources().into_iter().enumerate() {
        if let Some(digest) = resource.digest {
            root.set_resource_digest(index, &digest)
                .expect("the index is that of a resource");
        }
    }
    let before = stored.nested_digests();
    for kept in &mut kept {
        let is_same = |it: &&NestedDigest| it.name == kept.name && it.version == kept.version;
        if let Some(before) = before.iter().find(is_same) {
            kept.clone_from(before);
        }
    }
    root.set_nested_digests(&kept);
    root
}

/// Refuses to complete a component version that has signatures: they are of what it was.
fn refuse_if_signed(stored: &Descriptor, mode: DigestMode) -> Result<(), Error> {
    match stored.signatures().into_iter().next() {
        Some(signature) if mode == DigestMode::Local => Err(Error::Invalidates {
            id: stored.id().clone(),
            signature: signature.name,
        }),
        _ => Ok(()),
    }
}
