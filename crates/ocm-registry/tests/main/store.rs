//! A store whose every answer a test can change.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use ocm_blob::{Blob, BlobRef, ByteStream, CHUNK, Promise, verify};
use ocm_digest::{Digest, Digester};
use ocm_oci::{
    BlobUpload, Collect, Collected, Delete, Descriptor, Error, Fetch, Ingest, List, MemoryStore,
    Outcome, Push, Pushed, RawManifest, Reference, Referrers, RepositoryName, Store, Tag,
};
use tokio::sync::Semaphore;

/// Memory, except for what a test sets.
#[derive(Default)]
pub(crate) struct TestStore {
    pub(crate) memory: MemoryStore,
    /// Answers every question, if set.
    pub(crate) fault: Mutex<Option<fn() -> Error>>,
    /// Takes blobs in one piece only.
    pub(crate) whole_only: bool,
    /// Is all blobs, if set, and takes in all blobs without keeping them.
    pub(crate) endless: Option<Arc<Endless>>,
    /// Has room for so many bytes in each upload, if set.
    pub(crate) room: Option<u64>,
    pub(crate) commits: AtomicUsize,
    /// The grace times of the collections that have been asked for.
    pub(crate) collections: Mutex<Vec<Duration>>,
    /// Has begun each upload in another process, if set, with [`ELSEWHERE`].
    pub(crate) elsewhere: Option<Arc<Gate>>,
}

/// What has come to another process of an upload.
pub(crate) const ELSEWHERE: &str = "abc";

/// Where a store keeps a question until the test lets it pass.
#[derive(Debug)]
pub(crate) struct Gate {
    reached: Semaphore,
    open: Semaphore,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            reached: Semaphore::new(0),
            open: Semaphore::new(0),
        })
    }

    /// Waits until a question is there.
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub(crate) fn let_one_pass(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

pub(crate) fn disk_full() -> Error {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    Error::blob("store", "blob", ocm_blob::Error::file("write", "x", full))
}

impl std::fmt::Debug for TestStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestStore")
    }
}

impl TestStore {
    pub(crate) fn fail(&self, fault: fn() -> Error) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    fn check(&self) -> Result<(), Error> {
        match *self.fault.lock().unwrap() {
            Some(fault) => Err(fault()),
            None => Ok(()),
        }
    }
}

impl Store for TestStore {
    fn location(&self) -> String {
        "test".to_owned()
    }

    fn ingest(&self) -> Option<&dyn Ingest> {
        (!self.whole_only).then_some(self)
    }

    fn collector(&self) -> Option<&dyn Collect> {
        Some(self)
    }
}

#[async_trait]
impl Collect for TestStore {
    async fn collect(&self, grace: Duration) -> Result<Collected, Error> {
        self.collections.lock().unwrap().push(grace);
        self.check()?;
        Ok(Collected {
            links: 1,
            blobs: 2,
            bytes: 3,
            uploads: 4,
            condemned: 5,
        })
    }
}

#[async_trait]
impl Fetch for TestStore {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        self.check()?;
        self.memory.manifest(repository, reference).await
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        self.check()?;
        match &self.endless {
            Some(endless) => Ok(Some(endless.size)),
            None => self.memory.stat_blob(repository, digest).await,
        }
    }

    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef {
        match &self.endless {
            Some(endless) => Arc::new(EndlessBlob {
                endless: Arc::clone(endless),
                digest: descriptor.digest,
            }),
            None => self.memory.blob(repository, descriptor),
        }
    }
}

#[async_trait]
impl Push for TestStore {
    async fn push_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        self.check()?;
        self.memory.push_blob(repository, blob).await
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        self.check()?;
        self.memory.push_manifest(repository, manifest, tag).await
    }

    async fn commit(&self) -> Result<(), Error> {
        self.check()?;
        self.commits.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl List for TestStore {
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        self.check()?;
        self.memory.repositories().await
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        self.check()?;
        self.memory.tags(repository).await
    }
}

#[async_trait]
impl Referrers for TestStore {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        self.check()?;
        self.memory.referrers(repository, subject).await
    }
}

#[async_trait]
impl Delete for TestStore {
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        self.check()?;
        self.memory.delete_manifest(repository, reference).await
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        self.check()?;
        self.memory.delete_blob(repository, digest).await
    }
}

#[async_trait]
impl Ingest for TestStore {
    async fn begin(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Box<dyn BlobUpload>, Error> {
        self.check()?;
        if let Some(endless) = &self.endless {
            return Ok(Box::new(Swallow {
                endless: Arc::clone(endless),
                digester: Digester::default(),
                size: 0,
            }));
        }
        let inner = self.memory.begin(repository, id).await?;
        let room = self.room.unwrap_or(u64::MAX);
        Ok(Box::new(Limited { inner, room }))
    }

    async fn resume(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Box<dyn BlobUpload>>, Error> {
        let Some(gate) = &self.elsewhere else {
            return Ok(None);
        };
        gate.pass().await;
        let mut upload = self.begin(repository, id).await?;
        upload
            .write(Bytes::from_static(ELSEWHERE.as_bytes()))
            .await?;
        Ok(Some(upload))
    }

    fn is_shared(&self) -> bool {
        self.elsewhere.is_some()
    }
}

/// An upload to a disk with so much room.
#[derive(Debug)]
struct Limited {
    inner: Box<dyn BlobUpload>,
    room: u64,
}

#[async_trait]
impl BlobUpload for Limited {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        if self.size() + chunk.len() as u64 > self.room {
            return Err(disk_full());
        }
        self.inner.write(chunk).await
    }

    async fn finish(self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        self.inner.finish(expected).await
    }
}

/// A blob that is made while it is read, and an upload that is forgotten while it is written. Both
/// note how far the store and the client are apart.
#[derive(Debug, Default)]
pub(crate) struct Endless {
    pub(crate) size: u64,
    /// Bytes that have passed the client.
    pub(crate) client: AtomicU64,
    /// Bytes that have passed the store.
    pub(crate) store: AtomicU64,
    /// The most bytes that were ever between the two.
    pub(crate) between: AtomicU64,
    /// The largest chunk that the store has seen.
    pub(crate) chunk: AtomicU64,
}

impl Endless {
    pub(crate) fn new(size: u64) -> Arc<Self> {
        Arc::new(Self {
            size,
            ..Self::default()
        })
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut digester = Digester::default();
        let chunk = vec![7; CHUNK];
        for _ in 0..self.size / CHUNK as u64 {
            digester.update(&chunk);
        }
        digester.finish()
    }

    /// Makes the content; `passed` counts the bytes as they are made.
    pub(crate) fn content(self: &Arc<Self>, passed: fn(&Self) -> &AtomicU64) -> ByteStream {
        let this = Arc::clone(self);
        stream::iter(0..self.size / CHUNK as u64)
            .map(move |_| {
                this.pass(passed, CHUNK as u64);
                Ok(Bytes::from(vec![7; CHUNK]))
            })
            .boxed()
    }

    pub(crate) fn pass(&self, passed: fn(&Self) -> &AtomicU64, count: u64) {
        passed(self).fetch_add(count, Ordering::SeqCst);
        let store = self.store.load(Ordering::SeqCst);
        let between = store.abs_diff(self.client.load(Ordering::SeqCst));
        self.between.fetch_max(between, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct EndlessBlob {
    endless: Arc<Endless>,
    digest: Digest,
}

#[async_trait]
impl Blob for EndlessBlob {
    fn size(&self) -> Option<u64> {
        Some(self.endless.size)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = Promise {
            size: self.size(),
            digest: self.digest(),
        };
        Ok(verify(self.open_at(0).await?, promise))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        assert_eq!(offset, 0);
        Ok(self.endless.content(|endless| &endless.store))
    }
}

#[derive(Debug)]
struct Swallow {
    endless: Arc<Endless>,
    digester: Digester,
    size: u64,
}

#[async_trait]
impl BlobUpload for Swallow {
    fn size(&self) -> u64 {
        self.size
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let count = chunk.len() as u64;
        self.endless.chunk.fetch_max(count, Ordering::SeqCst);
        self.endless.pass(|endless| &endless.store, count);
        self.digester.update(&chunk);
        self.size += count;
        Ok(())
    }

    async fn finish(self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        let actual = self.digester.finish();
        if actual != expected {
            let what = "upload".to_owned();
            return Err(Error::DigestMismatch {
                what,
                expected,
                actual,
            });
        }
        Ok(Pushed::new(actual, self.size, Outcome::Copied))
    }
}
