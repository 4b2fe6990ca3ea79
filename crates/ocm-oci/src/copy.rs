//! Copying and checking artifacts: graphs of manifests and blobs.
//!
//! A copy first reads the manifests that the target lacks, from the root down; then it moves their
//! blobs, in parallel; then it writes the manifests, children before parents. So the target never
//! has a manifest whose content is missing, and a copy that was interrupted is continued by doing
//! it again: what is there is not moved twice. The bytes of manifests are never changed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes};
use ocm_digest::Digest;
use tokio::sync::Semaphore;

use crate::document::{Descriptor, RawManifest, media_type};
use crate::error::Error;
use crate::name::{Reference, RepositoryName, Tag};
use crate::store::{Outcome, Pushed, StoreRef};

/// How many manifests one artifact may consist of. Real indexes have dozens.
const MAX_MANIFESTS: usize = 10_000;

/// How blobs are moved: how many at a time, and who is told.
///
/// Clones share the limit, so that one limit holds for a whole program run.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    slots: Arc<Semaphore>,
    parallel: usize,
    progress: Arc<dyn CopyProgress>,
}

impl CopyOptions {
    /// Moves up to `parallel` blobs at a time (at least one), telling nobody.
    pub fn new(parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            slots: Arc::new(Semaphore::new(parallel)),
            parallel,
            progress: Arc::new(Silent),
        }
    }

    /// Tells somebody how blobs move.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn CopyProgress>) -> Self {
        self.progress = progress;
        self
    }

    /// Returns how many blobs may move at a time.
    pub const fn parallel(&self) -> usize {
        self.parallel
    }
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self::new(4)
    }
}

/// Learns how blobs move. Every method has a default that does nothing.
pub trait CopyProgress: fmt::Debug + Send + Sync {
    /// A blob is going to be moved, if it is not there. The size is known for most.
    fn started(&self, size: Option<u64>) {
        let _ = size;
    }

    /// So many more bytes have been read. Bytes that are read again after a fault do not count.
    fn advanced(&self, bytes: u64) {
        let _ = bytes;
    }

    /// A blob is at the target.
    fn finished(&self, pushed: &Pushed) {
        let _ = pushed;
    }
}

#[derive(Debug)]
struct Silent;

impl CopyProgress for Silent {}

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
        match pushed.outcome {
            Outcome::Copied => {
                self.copied += 1;
                self.moved += pushed.size;
            }
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
    let _slot = options.slots.acquire().await;
    let progress = &options.progress;
    progress.started(blob.size());
    let metered: BlobRef = Arc::new(Metered {
        inner: Arc::clone(blob),
        progress: Arc::clone(progress),
        seen: Arc::default(),
    });
    let pushed = target.push_blob(repository, &metered).await?;
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
    let mut report = CopyReport::default();
    let missing = missing_manifests(source, root, target, &mut report).await?;

    let mut blobs: Vec<Descriptor> = Vec::new();
    let mut seen = BTreeSet::new();
    for manifest in &missing {
        for child in manifest.parse()?.children() {
            if !media_type::is_manifest(&child.media_type) && seen.insert(child.digest) {
                blobs.push(child.clone());
            }
        }
    }
    let pushed: Vec<Option<Pushed>> = stream::iter(blobs)
        .map(|blob| async move { copy_blob(source, &blob, target, options).await })
        .buffer_unordered(options.parallel)
        .try_collect()
        .await?;
    pushed
        .iter()
        .flatten()
        .for_each(|pushed| report.count(pushed));

    // Children were found after their parents, so they are written before them.
    for manifest in missing.iter().rev() {
        let is_root = manifest.digest() == root.digest;
        target
            .0
            .push_manifest(target.1, manifest, tag.filter(|_| is_root))
            .await?;
        let size = manifest.bytes().len() as u64;
        report.count(&Pushed {
            digest: manifest.digest(),
            size,
            outcome: Outcome::Copied,
        });
    }
    if let (true, Some(tag)) = (missing.is_empty(), tag) {
        tag_existing(target, root, tag).await?;
    }
    Ok(report)
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

/// Reads the manifests that the target lacks, parents before children. Each stands behind all
/// that point to it.
async fn missing_manifests(
    (source, from): (&StoreRef, &RepositoryName),
    root: &Descriptor,
    (target, to): (&StoreRef, &RepositoryName),
    report: &mut CopyReport,
) -> Result<Vec<RawManifest>, Error> {
    let mut order: Vec<RawManifest> = Vec::new();
    let mut existing = BTreeSet::new();
    let mut open = std::collections::VecDeque::from([root.plain()]);
    let mut visits = 0;
    while let Some(node) = open.pop_front() {
        visits += 1;
        if visits > MAX_MANIFESTS {
            let reason = format!("it has more than {MAX_MANIFESTS} manifests");
            return Err(Error::malformed(
                format!("artifact {}", root.digest),
                reason,
            ));
        }
        if existing.contains(&node.digest) {
            continue;
        }
        let reference = Reference::Digest(node.digest);
        let manifest = match order.iter().position(|known| known.digest() == node.digest) {
            // A second parent: the manifest moves behind it, and so do its children.
            Some(index) => order.remove(index),
            None => match target.resolve(to, &reference).await {
                Ok(_) => {
                    existing.insert(node.digest);
                    report.count(&Pushed {
                        digest: node.digest,
                        size: node.size,
                        outcome: Outcome::Existed,
                    });
                    continue;
                }
                Err(error) if error.is_not_found() => source.manifest(from, &reference).await?,
                Err(error) => return Err(error),
            },
        };
        let document = manifest.parse()?;
        open.extend(
            document
                .children()
                .into_iter()
                .filter(|child| child.is_manifest())
                .cloned(),
        );
        order.push(manifest);
    }
    Ok(order)
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
        let pushed = Pushed {
            digest: blob.digest,
            size: blob.size,
            outcome: Outcome::Mounted,
        };
        options.progress.started(Some(blob.size));
        options.progress.finished(&pushed);
        return Ok(Some(pushed));
    }
    push_blob(target, to, &source.blob(from, blob), options)
        .await
        .map(Some)
}

/// What checking an artifact found to be right.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CheckReport {
    /// Manifests read and checked.
    pub manifests: u64,
    /// Blobs read and checked.
    pub blobs: u64,
    /// Bytes read.
    pub size: u64,
}

/// Reads an artifact with everything it points to and checks each digest and size.
///
/// # Errors
///
/// Something is missing, is not what it promised, or cannot be read. The error names it.
pub async fn check_graph(
    store: &StoreRef,
    repository: &RepositoryName,
    root: &Descriptor,
    options: &CopyOptions,
) -> Result<CheckReport, Error> {
    let mut report = CheckReport::default();
    let (mut seen, mut blobs) = (BTreeSet::new(), Vec::new());
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        if !seen.insert(node.digest) {
            continue;
        }
        if !node.is_manifest() {
            blobs.push(node);
            continue;
        }
        let manifest = store
            .manifest(repository, &Reference::Digest(node.digest))
            .await?;
        report.manifests += 1;
        report.size += manifest.bytes().len() as u64;
        if report.manifests > MAX_MANIFESTS as u64 {
            let reason = format!("it has more than {MAX_MANIFESTS} manifests");
            return Err(Error::malformed(
                format!("artifact {}", root.digest),
                reason,
            ));
        }
        open.extend(manifest.parse()?.children().into_iter().cloned());
    }
    let sizes: Vec<u64> = stream::iter(blobs)
        .map(|blob| async move {
            if !blob.urls.is_empty() && store.stat_blob(repository, &blob.digest).await?.is_none() {
                return Ok(0);
            }
            check_blob(&store.blob(repository, &blob), options)
                .await
                .map_err(|source| Error::blob("check", format!("blob {}", blob.digest), source))
        })
        .buffer_unordered(options.parallel)
        .try_collect()
        .await?;
    report.blobs = sizes.len() as u64;
    report.size += sizes.iter().sum::<u64>();
    Ok(report)
}

/// Reads a blob to its end, which checks it, and returns its size.
///
/// # Errors
///
/// It cannot be read or is not what it promised.
pub async fn check_blob(blob: &BlobRef, options: &CopyOptions) -> Result<u64, ocm_blob::Error> {
    let _slot = options.slots.acquire().await;
    let mut stream = blob.open().await?;
    let mut size = 0;
    while let Some(chunk) = stream.try_next().await? {
        size += chunk.len() as u64;
    }
    Ok(size)
}

/// A blob that tells how it is read.
#[derive(Debug)]
struct Metered {
    inner: BlobRef,
    progress: Arc<dyn CopyProgress>,
    /// The furthest position that was read, over all readings.
    seen: Arc<AtomicU64>,
}

impl Metered {
    fn meter(&self, stream: ByteStream, offset: u64) -> ByteStream {
        let (progress, seen) = (Arc::clone(&self.progress), Arc::clone(&self.seen));
        let mut position = offset;
        stream
            .inspect_ok(move |chunk| {
                position += chunk.len() as u64;
                let before = seen.fetch_max(position, Ordering::Relaxed);
                if position > before {
                    progress.advanced(position - before);
                }
            })
            .boxed()
    }
}

#[async_trait]
impl Blob for Metered {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        self.inner.digest()
    }

    fn media_type(&self) -> Option<&str> {
        self.inner.media_type()
    }

    fn bytes(&self) -> Option<Bytes> {
        self.inner.bytes()
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        Ok(self.meter(self.inner.open().await?, 0))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        Ok(self.meter(self.inner.open_at(offset).await?, offset))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ocm_blob::MemoryBlob;

    use super::*;
    use crate::MemoryStore;
    use crate::document::{ImageIndex, ImageManifest};
    use crate::store::Push as _;

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
