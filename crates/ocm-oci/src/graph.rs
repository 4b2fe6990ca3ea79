//! The graph of an artifact: manifests that point to manifests and blobs.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;

use crate::document::{Descriptor, Document, RawManifest};
use crate::error::Error;
use crate::name::{Reference, RepositoryName};
use crate::store::StoreRef;

/// How many manifests one artifact may consist of. Real indexes have dozens.
pub(crate) const MAX_MANIFESTS: usize = 10_000;

/// How much of manifests is kept in memory between reading and writing, in bytes. What is more is
/// read a second time.
const KEPT: usize = 16 * 1024 * 1024;

/// As what a node is stored. The same bytes may be both.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Blob,
    Manifest,
}

/// What a manifest points to.
#[derive(Debug)]
pub(crate) struct Children {
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) blobs: Vec<Descriptor>,
}

impl Children {
    /// Tells manifests from blobs. What an image points to is a blob, whatever its media type; an
    /// index may point to blobs, too, as the indexes of build caches do.
    pub(crate) fn of(manifest: &RawManifest) -> Result<Self, Error> {
        let document = manifest.parse()?;
        let children = document.children().into_iter().cloned();
        let (manifests, blobs) = match document {
            Document::Image(_) => (Vec::new(), children.collect()),
            Document::Index(_) => children.partition(Descriptor::is_manifest),
        };
        Ok(Self { manifests, blobs })
    }
}

/// A manifest that the target lacks.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) descriptor: Descriptor,
    /// The manifest itself, unless too many are kept.
    pub(crate) manifest: Option<RawManifest>,
    /// The manifests that it points to.
    children: BTreeSet<Digest>,
}

/// What a target lacks of an artifact.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) nodes: BTreeMap<Digest, Node>,
    /// The blobs of those manifests, each once. The target may have some of them.
    pub(crate) blobs: Vec<Descriptor>,
    /// The manifests that the target has, and so everything that they point to.
    pub(crate) existing: Vec<Descriptor>,
}

impl Missing {
    /// Asks the target for each manifest from the root down, and reads what it lacks.
    pub(crate) async fn find(
        source: (&StoreRef, &RepositoryName),
        root: &Descriptor,
        target: (&StoreRef, &RepositoryName),
        parallel: usize,
    ) -> Result<Self, Error> {
        let mut missing = Self::default();
        let mut seen = BTreeSet::from([(Kind::Manifest, root.digest)]);
        let (mut kept, mut visited) = (0, 0);
        let mut wave = vec![root.clone()];
        while !wave.is_empty() {
            visited += wave.len();
            if visited > MAX_MANIFESTS {
                return Err(too_many(root));
            }
            let mut next = Vec::new();
            let mut found = stream::iter(wave)
                .map(|node| async move {
                    let manifest = read_if_missing(source, &node, target).await?;
                    Ok::<_, Error>((node, manifest))
                })
                .buffered(parallel);
            while let Some((descriptor, manifest)) = found.try_next().await? {
                let Some(manifest) = manifest else {
                    missing.existing.push(descriptor);
                    continue;
                };
                let Children { manifests, blobs } = Children::of(&manifest)?;
                let children = manifests.iter().map(|child| child.digest).collect();
                let mut fresh = |kind, child: &Descriptor| seen.insert((kind, child.digest));
                next.extend(
                    manifests
                        .into_iter()
                        .filter(|child| fresh(Kind::Manifest, child)),
                );
                let blobs = blobs.into_iter();
                missing
                    .blobs
                    .extend(blobs.filter(|blob| fresh(Kind::Blob, blob)));
                kept += manifest.bytes().len();
                let node = Node {
                    manifest: Some(manifest).filter(|_| kept <= KEPT),
                    children,
                    descriptor: descriptor.clone(),
                };
                missing.nodes.insert(descriptor.digest, node);
            }
            wave = next;
        }
        Ok(missing)
    }
}

/// Sorts manifests into levels: each points only to manifests of the levels before its own, and to
/// manifests that are not among them.
pub(crate) fn levels(mut nodes: BTreeMap<Digest, Node>) -> Vec<Vec<Node>> {
    let mut parents: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    let mut waiting: BTreeMap<Digest, usize> = BTreeMap::new();
    for (digest, node) in &nodes {
        let open = node
            .children
            .iter()
            .filter(|child| nodes.contains_key(child));
        let count = open
            .map(|child| parents.entry(*child).or_default().push(*digest))
            .count();
        waiting.insert(*digest, count);
    }
    let mut ready: Vec<Digest> = waiting
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(digest, _)| *digest)
        .collect();
    let mut levels = Vec::new();
    while !ready.is_empty() {
        let mut next = Vec::new();
        for parent in ready
            .iter()
            .filter_map(|digest| parents.get(digest))
            .flatten()
        {
            if let Some(count) = waiting.get_mut(parent) {
                *count -= 1;
                if *count == 0 {
                    next.push(*parent);
                }
            }
        }
        levels.push(
            ready
                .iter()
                .filter_map(|digest| nodes.remove(digest))
                .collect(),
        );
        ready = next;
    }
    levels
}

async fn read_if_missing(
    source: (&StoreRef, &RepositoryName),
    descriptor: &Descriptor,
    (target, to): (&StoreRef, &RepositoryName),
) -> Result<Option<RawManifest>, Error> {
    let reference = Reference::Digest(descriptor.digest);
    match target.resolve(to, &reference).await {
        Ok(_) => Ok(None),
        Err(error) if error.is_not_found() => fetch(source, descriptor).await.map(Some),
        Err(error) => Err(error),
    }
}

/// Reads a manifest and checks that it has the size that its descriptor promises.
pub(crate) async fn fetch(
    (store, repository): (&StoreRef, &RepositoryName),
    descriptor: &Descriptor,
) -> Result<RawManifest, Error> {
    let reference = Reference::Digest(descriptor.digest);
    let manifest = store.manifest(repository, &reference).await?;
    let actual = manifest.bytes().len() as u64;
    if actual == descriptor.size {
        return Ok(manifest);
    }
    let source = ocm_blob::Error::SizeMismatch {
        expected: descriptor.size,
        actual,
    };
    let what = format!("manifest {} of {repository}", descriptor.digest);
    Err(Error::blob("read", what, source))
}

/// Says that an artifact is larger than any real one.
pub(crate) fn too_many(root: &Descriptor) -> Error {
    Error::malformed(
        format!("artifact {}", root.digest),
        format!("it has more than {MAX_MANIFESTS} manifests"),
    )
}
