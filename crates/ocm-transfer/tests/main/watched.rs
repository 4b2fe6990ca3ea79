//! A repository that counts what is asked of it, and fails when it is told to.

use std::borrow::Borrow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ocm_digest::Digest;
use ocm_model::{Access, ComponentName, ComponentVersionId, Descriptor, Version};
use ocm_repository::{
    AddedContent, Artifact, ComponentRepository, Content, CopyOptions, Error, Expected,
    ForeseenBlob, LocalAccess, RepositoryRef, StoredVersion,
};
use tokio::sync::Notify;

/// What is asked before each write: it returns the error to fail with.
type Before = Box<dyn Fn(usize) -> Option<Error> + Send + Sync>;
/// What is told of each look at what is stored, before it is answered.
type Look = Box<dyn Fn() + Send + Sync>;
/// What becomes of local content.
type Change = Box<dyn Fn(Content) -> Content + Send + Sync>;

pub(crate) struct Watched {
    inner: RepositoryRef,
    pub(crate) reads: AtomicUsize,
    descriptors: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    pub(crate) commits: AtomicUsize,
    /// The component versions in the order in which they were written.
    pub(crate) written: Mutex<Vec<String>>,
    /// What somebody else writes just before our descriptor is written.
    pub(crate) intruders: Mutex<Vec<Descriptor>>,
    /// Told when the write is reached that never ends.
    pub(crate) hangs: Arc<Notify>,
    hangs_at: Option<usize>,
    before_write: Before,
    before_look: Look,
    change: Change,
}

impl Watched {
    pub(crate) fn new(inner: &impl Borrow<RepositoryRef>) -> Self {
        Self {
            inner: Arc::clone(inner.borrow()),
            reads: AtomicUsize::new(0),
            descriptors: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            written: Mutex::default(),
            intruders: Mutex::default(),
            hangs: Arc::default(),
            hangs_at: None,
            before_write: Box::new(|_| None),
            before_look: Box::new(|| ()),
            change: Box::new(|content| content),
        }
    }

    /// Fails at one write, counted from zero.
    pub(crate) fn failing_at(inner: &impl Borrow<RepositoryRef>, write: usize) -> Self {
        let error = || Error::Unsupported {
            location: "the network".to_owned(),
            operation: "working just now",
        };
        Self {
            before_write: Box::new(move |number| (number == write).then(error)),
            ..Self::new(inner)
        }
    }

    /// Never ends one write, counted from zero.
    pub(crate) fn hanging_at(inner: &impl Borrow<RepositoryRef>, write: usize) -> Self {
        Self {
            hangs_at: Some(write),
            ..Self::new(inner)
        }
    }

    /// Tells of each look at what is stored.
    pub(crate) fn telling(
        inner: &impl Borrow<RepositoryRef>,
        look: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            before_look: Box::new(look),
            ..Self::new(inner)
        }
    }

    /// Hands out other content than it has.
    pub(crate) fn changing(
        inner: &impl Borrow<RepositoryRef>,
        change: impl Fn(Content) -> Content + Send + Sync + 'static,
    ) -> Self {
        Self {
            change: Box::new(change),
            ..Self::new(inner)
        }
    }

    /// Returns this repository twice: to ask afterwards, and to transfer to or from.
    pub(crate) fn shared(self) -> (Arc<Self>, RepositoryRef) {
        let watched = Arc::new(self);
        let shared: RepositoryRef = Arc::<Self>::clone(&watched);
        (watched, shared)
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// How many descriptors have been read.
    pub(crate) fn descriptors(&self) -> usize {
        self.descriptors.load(Ordering::SeqCst)
    }

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    fn read(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }

    async fn write(&self) -> Result<(), Error> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        if self.hangs_at == Some(number) {
            self.hangs.notify_one();
            std::future::pending::<()>().await;
        }
        (self.before_write)(number).map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watched").field(&self.inner).finish()
    }
}

#[async_trait]
impl ComponentRepository for Watched {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn components(&self) -> Result<Vec<ComponentName>, Error> {
        self.read();
        self.inner.components().await
    }

    async fn versions(&self, component: &ComponentName) -> Result<Vec<Version>, Error> {
        self.read();
        self.inner.versions(component).await
    }

    async fn stored_digest(&self, id: &ComponentVersionId) -> Result<Option<Digest>, Error> {
        self.read();
        (self.before_look)();
        self.inner.stored_digest(id).await
    }

    async fn has_at_hand(&self, id: &ComponentVersionId) -> bool {
        self.inner.has_at_hand(id).await
    }

    async fn component_version(&self, id: &ComponentVersionId) -> Result<StoredVersion, Error> {
        self.read();
        self.descriptors.fetch_add(1, Ordering::SeqCst);
        self.inner.component_version(id).await
    }

    async fn local_content(
        &self,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error> {
        self.read();
        Ok((self.change)(self.inner.local_content(id, access).await?))
    }

    async fn add_content(
        &self,
        id: &ComponentVersionId,
        content: &Content,
        reference_name: Option<&str>,
        options: &CopyOptions,
    ) -> Result<AddedContent, Error> {
        self.write().await?;
        self.inner
            .add_content(id, content, reference_name, options)
            .await
    }

    async fn add_artifact(
        &self,
        artifact: &Artifact,
        path: &str,
        tag: Option<&str>,
        options: &CopyOptions,
    ) -> Result<AddedContent, Error> {
        self.write().await?;
        self.inner.add_artifact(artifact, path, tag, options).await
    }

    fn foreseen_accesses(
        &self,
        component: &ComponentName,
        blobs: &[ForeseenBlob],
    ) -> Option<Vec<LocalAccess>> {
        self.inner.foreseen_accesses(component, blobs)
    }

    fn foreseen_digest(
        &self,
        id: &ComponentVersionId,
        descriptor: Vec<u8>,
        blobs: Vec<ForeseenBlob>,
    ) -> Option<Digest> {
        self.inner.foreseen_digest(id, descriptor, blobs)
    }

    async fn put(&self, descriptor: &Descriptor, expected: Expected) -> Result<Digest, Error> {
        self.write().await?;
        let intruder = self.intruders.lock().unwrap().pop();
        if let Some(intruder) = intruder {
            self.inner.put(&intruder, Expected::Anything).await?;
        }
        let stored = self.inner.put(descriptor, expected).await?;
        self.written
            .lock()
            .unwrap()
            .push(descriptor.id().to_string());
        Ok(stored)
    }

    async fn commit(&self) -> Result<(), Error> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.inner.commit().await
    }
}
