//! The graph of an artifact: manifests that point to manifests and blobs.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;

use crate::copy::CopyOptions;
use crate::document::{Descriptor, Document, RawManifest, media_type};
use crate::error::Error;
use crate::name::{Reference, RepositoryName};
use crate::selection::Selection;
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
    /// The manifests that are not wanted.
    pub(crate) left_out: BTreeSet<Digest>,
}

impl Children {
    /// Tells manifests from blobs, and leaves out what is not wanted. What an image points to is a
    /// blob, whatever its media type; an index may point to blobs, too, as the indexes of build
    /// caches do.
    pub(crate) fn of(manifest: &RawManifest, selection: &Selection) -> Result<Self, Error> {
        let document = manifest.parse()?;
        let children = document.children().into_iter().cloned();
        if let Document::Image(_) = document {
            return Ok(Self {
                manifests: Vec::new(),
                blobs: children.collect(),
                left_out: BTreeSet::new(),
            });
        }
        let (manifests, blobs): (Vec<_>, _) = children.partition(Descriptor::is_manifest);
        let mut left_out: BTreeSet<_> = manifests.iter().map(|child| child.digest).collect();
        let what = || format!("index {}", manifest.digest());
        let manifests = selection.choose(what, manifests)?;
        for chosen in &manifests {
            left_out.remove(&chosen.digest);
        }
        Ok(Self {
            manifests,
            blobs,
            left_out,
        })
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
    /// The manifests that it points to and that are not wanted.
    pub(crate) left_out: BTreeSet<Digest>,
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
    /// Asks the target for each manifest from the root down, and reads what it lacks. An image that
    /// the target has is whole; an index may lack images that were left out before, so it is read
    /// all the same.
    pub(crate) async fn find(
        source: (&StoreRef, &RepositoryName),
        root: &Descriptor,
        target: (&StoreRef, &RepositoryName),
        options: &CopyOptions,
    ) -> Result<Self, Error> {
        let parallel = options.parallel();
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
                    let found = look(source, &node, target).await?;
                    Ok::<_, Error>((node, found))
                })
                .buffered(parallel);
            while let Some((descriptor, found)) = found.try_next().await? {
                let (manifest, is_missing) = match found {
                    Looked::Whole => (None, false),
                    Looked::Index(manifest) => (Some(manifest), false),
                    Looked::Missing(manifest) => (Some(manifest), true),
                };
                if !is_missing {
                    missing.existing.push(descriptor.clone());
                }
                let Some(manifest) = manifest else {
                    continue;
                };
                let Children {
                    manifests,
                    blobs,
                    left_out,
                } = Children::of(&manifest, options.selection())?;
                let children = manifests.iter().map(|child| child.digest).collect();
                let mut fresh = |kind, child: &Descriptor| seen.insert((kind, child.digest));
                next.extend(
                    manifests
                        .into_iter()
                        .filter(|child| fresh(Kind::Manifest, child)),
                );
                if !is_missing {
                    continue;
                }
                let blobs = blobs.into_iter();
                missing
                    .blobs
                    .extend(blobs.filter(|blob| fresh(Kind::Blob, blob)));
                kept += manifest.bytes().len();
                let node = Node {
                    manifest: Some(manifest).filter(|_| kept <= KEPT),
                    children,
                    left_out,
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

/// What a target has of a manifest.
enum Looked {
    /// The manifest with everything it points to.
    Whole,
    /// An index, of which images may be missing.
    Index(RawManifest),
    /// Nothing. The manifest is the source's.
    Missing(RawManifest),
}

async fn look(
    source: (&StoreRef, &RepositoryName),
    descriptor: &Descriptor,
    (target, to): (&StoreRef, &RepositoryName),
) -> Result<Looked, Error> {
    let reference = Reference::Digest(descriptor.digest);
    if media_type::is_index(&descriptor.media_type) {
        return match target.manifest(to, &reference).await {
            Ok(index) => Ok(Looked::Index(index)),
            Err(error) if error.is_not_found() => {
                fetch(source, descriptor).await.map(Looked::Missing)
            }
            Err(error) => Err(error),
        };
    }
    match target.resolve(to, &reference).await {
        Ok(_) => Ok(Looked::Whole),
        Err(error) if error.is_not_found() => fetch(source, descriptor).await.map(Looked::Missing),
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
