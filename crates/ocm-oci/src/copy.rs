//! Copying artifacts: graphs of manifests and blobs.
//!
//! A copy first reads the manifests that the target lacks, from the root down; then it moves their
//! blobs, in parallel; then it writes the manifests, children before parents. So the target never
//! has a manifest whose content is missing, and a copy that was interrupted is continued by doing
//! it again: what is there is not moved twice. The bytes of manifests are never changed.

mod options;
mod progress;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::{Blob as _, BlobRef};
use ocm_digest::Digest;

pub use self::options::CopyOptions;
use self::progress::Metered;
pub use self::progress::{CopyProgress, Meter, Moved};
use crate::document::Descriptor;
use crate::error::Error;
use crate::graph::{Missing, Node, fetch, levels};
use crate::name::{Reference, RepositoryName, Tag};
use crate::referrers::list_referrers;
use crate::store::{Outcome, Pace, Pushed, StoreRef};
use crate::task::on_own_task;

/// Up to which size a blob is pushed where it is, in bytes: it is hashed sooner than another core
/// could take it over.
const SMALL: u64 = 64 * 1024;

/// What a copy did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CopyReport {
    /// Blobs and manifests whose bytes were moved.
    pub copied: u64,
    /// Blobs that the target took over from another of its repositories.
    pub mounted: u64,
    /// Blobs and manifests that were there.
    pub existed: u64,
    /// The bytes of everything, wherever it came from.
    pub size: u64,
    /// The bytes that were moved.
    pub moved: u64,
}

impl CopyReport {
    /// Counts one blob or manifest.
    pub const fn count(&mut self, pushed: &Pushed) {
        self.size += pushed.size;
        self.moved += pushed.moved;
        match pushed.outcome {
            Outcome::Copied => self.copied += 1,
            Outcome::Mounted => self.mounted += 1,
            Outcome::Existed => self.existed += 1,
        }
    }

    /// Adds what another copy did.
    pub const fn add(&mut self, other: &Self) {
        self.copied += other.copied;
        self.mounted += other.mounted;
        self.existed += other.existed;
        self.size += other.size;
        self.moved += other.moved;
    }

    /// Returns what was done on the whole: a copy as soon as one part was moved.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self { copied: 1.., .. } => Outcome::Copied,
            Self { mounted: 1.., .. } => Outcome::Mounted,
            _ => Outcome::Existed,
        }
    }
}

/// Pushes one blob within the limits, and tells who wants to know.
///
/// # Errors
///
/// As [`crate::Push::push_blob`].
pub async fn push_blob(
    target: &StoreRef,
    repository: &RepositoryName,
    blob: &BlobRef,
    options: &CopyOptions,
) -> Result<Pushed, Error> {
    let mut metered = options.meter(blob);
    if let Some(arrange) = target.arrange() {
        if let Some(turn) = &options.turn {
            turn.come().await;
        }
        match (blob.digest(), blob.size()) {
            (Some(digest), Some(size)) => {
                let blobs = [Descriptor::new("", digest, size)];
                options.arranged(arrange.arrange(&blobs).await?);
            }
            // Its space is set aside before it is opened.
            (None, Some(_)) if arrange.arrange(&[]).await? == Pace::SideBySide => {
                metered.at_opening.clone_from(&options.turn);
            }
            // There is space for it when it has passed.
            _ => {}
        }
    }
    push_arranged(target, repository, metered, options).await
}

async fn push_arranged(
    target: &StoreRef,
    repository: &RepositoryName,
    blob: Metered,
    options: &CopyOptions,
) -> Result<Pushed, Error> {
    let _slot = options.slots.acquire().await;
    let progress = options.progress();
    progress.started(blob.size());
    let is_small = blob.size().is_some_and(|size| size <= SMALL);
    let first = blob.first();
    let blob: BlobRef = Arc::new(blob);
    let mut pushed = if is_small {
        target.push_blob(repository, &blob).await?
    } else {
        let (target, repository) = (Arc::clone(target), repository.clone());
        on_own_task(async move { target.push_blob(&repository, &blob).await }).await?
    };
    pushed.moved = pushed.moved.min(pushed.size.saturating_sub(first.get()));
    progress.finished(&pushed);
    Ok(pushed)
}

/// Copies an artifact with everything it points to, and tags it if asked to.
///
/// # Errors
///
/// The artifact is not whole, content is not what it promised, or a store fails.
pub async fn copy_graph(
    source: (&StoreRef, &RepositoryName),
    root: &Descriptor,
    target: (&StoreRef, &RepositoryName),
    tag: Option<&Tag>,
    options: &CopyOptions,
) -> Result<CopyReport, Error> {
    let missing = Missing::find(source, root, target, options).await?;
    let move_all = (missing, options.parallel());
    copy_missing(source, (root, tag), target, move_all, options).await
}

/// Copies an artifact as [`copy_graph`] does, when it is its [turn](CopyOptions::in_turn). Space
/// is set aside for what refers to it, too, which
/// [`copy_referrers`](crate::copy_referrers) copies.
///
/// # Errors
///
/// As [`copy_graph`].
pub async fn copy_artifact(
    source: (&StoreRef, &RepositoryName),
    root: &Descriptor,
    target: (&StoreRef, &RepositoryName),
    tag: Option<&Tag>,
    options: &CopyOptions,
) -> Result<CopyReport, Error> {
    let Some(arrange) = target.0.arrange() else {
        return copy_graph(source, root, target, tag, options).await;
    };
    let missing = Missing::find(source, root, target, options).await?;
    let mut blobs = Vec::new();
    add_at_hand(source, &missing.blobs, &mut blobs).await?;
    for (_, referrers) in list_referrers(source, root, options).await? {
        for referrer in referrers {
            let missing = Missing::find(source, &referrer.manifest, target, options).await?;
            add_at_hand(source, &missing.blobs, &mut blobs).await?;
        }
    }
    if let Some(turn) = &options.turn {
        turn.come().await;
    }
    let pace = arrange.arrange(&blobs).await?;
    options.arranged(pace);
    let parallel = match pace {
        Pace::SideBySide => options.parallel(),
        Pace::OneByOne => 1,
    };
    copy_missing(source, (root, tag), target, (missing, parallel), options).await
}

/// Adds blobs without those that are kept elsewhere (`urls`) and not in the source.
async fn add_at_hand(
    (source, from): (&StoreRef, &RepositoryName),
    blobs: &[Descriptor],
    found: &mut Vec<Descriptor>,
) -> Result<(), Error> {
    for blob in blobs {
        if blob.urls.is_empty() || source.stat_blob(from, &blob.digest).await?.is_some() {
            found.push(blob.clone());
        }
    }
    Ok(())
}

/// Moves what a target lacks of an artifact.
async fn copy_missing(
    source: (&StoreRef, &RepositoryName),
    (root, tag): (&Descriptor, Option<&Tag>),
    target: (&StoreRef, &RepositoryName),
    (missing, parallel): (Missing, usize),
    options: &CopyOptions,
) -> Result<CopyReport, Error> {
    let mut report = CopyReport::default();
    let Missing {
        nodes,
        blobs,
        existing,
    } = missing;
    for found in &existing {
        report.count(&pushed(found, Outcome::Existed));
    }
    let moved: Vec<Option<Pushed>> = stream::iter(blobs)
        .map(|blob| async move { copy_blob(source, &blob, target, options).await })
        .buffer_unordered(parallel)
        .try_collect()
        .await?;
    for pushed in moved.iter().flatten() {
        report.count(pushed);
    }

    let is_there = !nodes.contains_key(&root.digest);
    for level in levels(nodes) {
        let written: Vec<Pushed> = stream::iter(level)
            .map(|mut node| async move {
                let left_out = std::mem::take(&mut node.left_out);
                let tag = tag.filter(|_| node.descriptor.digest == root.digest);
                let written = write(source, node, target, tag).await;
                written.map_err(|error| refused(error, &left_out, target.0))
            })
            .buffer_unordered(options.parallel())
            .try_collect()
            .await?;
        for pushed in &written {
            report.count(pushed);
        }
    }
    if let (true, Some(tag)) = (is_there, tag) {
        tag_existing(target, root, tag).await?;
    }
    Ok(report)
}

/// Writes one manifest, all of whose children are there.
async fn write(
    source: (&StoreRef, &RepositoryName),
    node: Node,
    (target, to): (&StoreRef, &RepositoryName),
    tag: Option<&Tag>,
) -> Result<Pushed, Error> {
    let manifest = match node.manifest {
        Some(manifest) => manifest,
        None => fetch(source, &node.descriptor).await?,
    };
    target.push_manifest(to, &manifest, tag).await?;
    Ok(pushed(&node.descriptor, Outcome::Copied))
}

/// Says of a store that does not take an index because an image is missing, which was left out,
/// that it does not take such indexes.
fn refused(error: Error, left_out: &BTreeSet<Digest>, target: &StoreRef) -> Error {
    match error {
        Error::Dangling { digest, .. } if left_out.contains(&digest) => Error::Unsupported {
            store: target.location(),
            operation: "indexes without all of their images",
        },
        other => other,
    }
}

const fn pushed(descriptor: &Descriptor, outcome: Outcome) -> Pushed {
    Pushed::new(descriptor.digest, descriptor.size, outcome)
}

/// Tags a manifest that the target has, unless it bears that tag.
async fn tag_existing(
    (store, repository): (&StoreRef, &RepositoryName),
    root: &Descriptor,
    tag: &Tag,
) -> Result<(), Error> {
    match store
        .resolve(repository, &Reference::Tag(tag.clone()))
        .await
    {
        Ok(tagged) if tagged.digest == root.digest => return Ok(()),
        Ok(_) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let manifest = store
        .manifest(repository, &Reference::Digest(root.digest))
        .await?;
    store.push_manifest(repository, &manifest, Some(tag)).await
}

/// Copies one blob; a layer that is kept elsewhere (`urls`) and not in the source is left there.
async fn copy_blob(
    (source, from): (&StoreRef, &RepositoryName),
    blob: &Descriptor,
    (target, to): (&StoreRef, &RepositoryName),
    options: &CopyOptions,
) -> Result<Option<Pushed>, Error> {
    if !blob.urls.is_empty() && source.stat_blob(from, &blob.digest).await?.is_none() {
        return Ok(None);
    }
    if source.location() == target.location()
        && from != to
        && target.stat_blob(to, &blob.digest).await?.is_none()
        && target.mount_blob(to, from, &blob.digest).await?
    {
        let pushed = pushed(blob, Outcome::Mounted);
        options.progress().started(Some(blob.size));
        options.progress().finished(&pushed);
        return Ok(Some(pushed));
    }
    let blob = options.meter(&source.blob(from, blob));
    push_arranged(target, to, blob, options).await.map(Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ocm_blob::MemoryBlob;

    use super::*;
    use crate::document::{ImageIndex, ImageManifest, Platform, RawManifest};
    use crate::selection::Selection;
    use crate::store::Push as _;
    use crate::{MemoryStore, check_graph};

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    async fn push(
        store: &MemoryStore,
        repository: &RepositoryName,
        content: &'static str,
    ) -> Descriptor {
        let blob: BlobRef = Arc::new(MemoryBlob::new(content));
        store.push_blob(repository, &blob).await.unwrap();
        Descriptor::of("text/plain", content.as_bytes())
    }

    /// An index of two images that share a layer, and of an index that holds one of them again.
    async fn artifact(store: &MemoryStore, repository: &RepositoryName) -> Descriptor {
        let shared = push(store, repository, "shared").await;
        let mut images = Vec::new();
        for content in ["one", "two"] {
            let own = push(store, repository, content).await;
            let image = ImageManifest::new(own, vec![shared.clone()]);
            images.push(RawManifest::image(&image));
        }
        let inner = RawManifest::index(&ImageIndex::new(vec![images[0].descriptor()]));
        let mut children: Vec<_> = images.iter().map(RawManifest::descriptor).collect();
        children.push(inner.descriptor());
        let root = RawManifest::index(&ImageIndex::new(children));
        for manifest in images.iter().chain([&inner, &root]) {
            store
                .push_manifest(repository, manifest, None)
                .await
                .unwrap();
        }
        root.descriptor()
    }

    /// An index of an image for each of two platforms.
    async fn platforms(store: &MemoryStore, repository: &RepositoryName) -> Descriptor {
        let mut images = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let own = push(store, repository, architecture).await;
            let layer = push(store, repository, "layer").await;
            let image = RawManifest::image(&ImageManifest::new(own, vec![layer]));
            store.push_manifest(repository, &image, None).await.unwrap();
            let mut entry = image.descriptor();
            entry.platform = Some(Platform {
                os: "linux".to_owned(),
                architecture: architecture.to_owned(),
                ..Platform::default()
            });
            images.push(entry);
        }
        let root = RawManifest::index(&ImageIndex::new(images));
        store.push_manifest(repository, &root, None).await.unwrap();
        root.descriptor()
    }

    #[derive(Debug, Default)]
    struct Tally(Mutex<(u64, Vec<Outcome>)>);

    impl CopyProgress for Tally {
        fn advanced(&self, bytes: u64) {
            self.0.lock().unwrap().0 += bytes;
        }

        fn finished(&self, pushed: &Pushed) {
            self.0.lock().unwrap().1.push(pushed.outcome);
        }
    }

    #[tokio::test]
    async fn a_graph_is_copied_whole_and_each_blob_once() {
        let (source, target) = (MemoryStore::new(), MemoryStore::new());
        let (from, to) = (name("from"), name("to"));
        let root = artifact(&source, &from).await;
        let (source, target): (StoreRef, StoreRef) = (Arc::new(source), Arc::new(target));
        let tally = Arc::new(Tally::default());
        let progress: Arc<dyn CopyProgress> = Arc::<Tally>::clone(&tally);
        let options = CopyOptions::new(2).with_progress(progress);
        let tag: Tag = "1.0".parse().unwrap();

        let first = copy_graph(
            (&source, &from),
            &root,
            (&target, &to),
            Some(&tag),
            &options,
        );
        let first = first.await.unwrap();
        assert_eq!((first.copied, first.existed), (3 + 4, 0));
        assert_eq!(
            tally.0.lock().unwrap().0,
            12,
            "shared, one, two: each read once"
        );
        assert_eq!(
            target.resolve(&to, &tag.clone().into()).await.unwrap(),
            root
        );

        let again = copy_graph(
            (&source, &from),
            &root,
            (&target, &to),
            Some(&tag),
            &options,
        );
        assert_eq!(again.await.unwrap().moved, 0);

        let report = check_graph(&target, &to, &root, &options).await.unwrap();
        assert_eq!((report.manifests, report.blobs), (4, 3));
    }

    #[tokio::test]
    async fn an_index_that_is_completed_gets_its_new_tag() {
        let (source, target) = (MemoryStore::new(), MemoryStore::new());
        let (from, to) = (name("from"), name("to"));
        let root = platforms(&source, &from).await;
        let (source, target): (StoreRef, StoreRef) = (Arc::new(source), Arc::new(target));
        let some = Selection::all().of(&["linux/amd64".parse().unwrap()]);
        let options = CopyOptions::default();
        for (tag, options, copied) in [
            ("1.0", options.clone().with_selection(some), 4),
            ("2.0", options, 2),
        ] {
            let tag: Tag = tag.parse().unwrap();
            let (source, target) = ((&source, &from), (&target, &to));
            let copied_now = copy_graph(source, &root, target, Some(&tag), &options).await;
            assert_eq!(copied_now.unwrap().copied, copied, "{tag}");
            let tagged = target.0.resolve(&to, &tag.into()).await.unwrap();
            assert_eq!(tagged.digest, root.digest);
        }
    }

    #[tokio::test]
    async fn pieces_of_work_are_counted_apart_and_told_together() {
        let (source, target) = (MemoryStore::new(), MemoryStore::new());
        let (from, to) = (name("from"), name("to"));
        let root = artifact(&source, &from).await;
        let (source, target): (StoreRef, StoreRef) = (Arc::new(source), Arc::new(target));
        let tally = Arc::new(Tally::default());
        let options = CopyOptions::new(2).with_progress(Arc::<Tally>::clone(&tally));
        let (one, first) = options.metered();
        let (other, second) = options.metered();
        let copied = copy_graph((&source, &from), &root, (&target, &to), None, &one);
        copied.await.unwrap();
        let checked = check_graph(&target, &to, &root, &other).await.unwrap();
        assert_eq!((first.bytes(), second.bytes()), (12, 12));
        assert_eq!(tally.0.lock().unwrap().0, 24);
        let size = crate::graph_size(&source, &from, &root, &options)
            .await
            .unwrap();
        assert_eq!(size, checked.size);
    }

    #[tokio::test]
    async fn blobs_are_mounted_within_one_store() {
        let store = MemoryStore::new();
        let (from, to) = (name("from"), name("to"));
        let root = artifact(&store, &from).await;
        let store: StoreRef = Arc::new(store);
        let options = CopyOptions::default();
        let report = copy_graph((&store, &from), &root, (&store, &to), None, &options);
        let report = report.await.unwrap();
        assert_eq!((report.mounted, report.copied), (3, 4));
    }

    #[tokio::test]
    async fn an_artifact_with_a_missing_blob_is_named() {
        let store = MemoryStore::new();
        let repository = name("a");
        let root = artifact(&store, &repository).await;
        let lost = Digest::sha256("two");
        crate::store::Delete::delete_blob(&store, &repository, &lost)
            .await
            .unwrap();
        let store: StoreRef = Arc::new(store);
        let error = check_graph(&store, &repository, &root, &CopyOptions::default()).await;
        assert!(error.unwrap_err().to_string().contains(&lost.to_string()));
    }
}
