//! Stores: repositories with tags, manifests and blobs.
//!
//! Each trait is one ability; [`Store`] is their sum. What a store cannot do has a default that
//! says so. A blob or manifest is always named together with its repository, as registries do;
//! stores that share blobs among repositories ignore it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use ocm_blob::BlobRef;
use ocm_digest::Digest;

use crate::document::{Descriptor, RawManifest};
use crate::error::Error;
use crate::name::{Reference, RepositoryName, Tag};

/// A store that is shared between tasks.
pub type StoreRef = Arc<dyn Store>;

/// A place that keeps OCI artifacts, whatever its technology.
pub trait Store: Fetch + Push + List + Referrers + Delete + fmt::Debug {
    /// Returns how messages name this store, such as `http://127.0.0.1:5001` or `./shop.ctf`.
    fn location(&self) -> String;

    /// Returns whether reading waits for nobody else, as where everything is in a file of this machine.
    fn is_at_hand(&self) -> bool {
        false
    }

    /// Returns the way to take in uploads piece by piece, for a server in front of this store.
    fn ingest(&self) -> Option<&dyn Ingest> {
        None
    }

    /// Returns the way to say in which order blobs shall stand, for a store where they stand in
    /// one.
    fn arrange(&self) -> Option<&dyn Arrange> {
        None
    }

    /// Returns the way to send readers of blobs to where the bytes are, for a server in front of
    /// this store.
    fn direct(&self) -> Option<&dyn Direct> {
        None
    }

    /// Returns the way to remove what nothing needs, beside those who read and write.
    fn collector(&self) -> Option<&dyn Collect> {
        None
    }
}

/// Reading by name and by digest.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Returns a manifest as it is stored. Its digest has been checked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none, [`Error::TooLarge`] beyond [`RawManifest::LIMIT`].
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error>;

    /// Returns what a reference points to, without the manifest itself.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Descriptor, Error> {
        Ok(self.manifest(repository, reference).await?.descriptor())
    }

    /// Returns the size of a blob in bytes, or `None` if the store does not have it.
    ///
    /// # Errors
    ///
    /// The store could not be asked.
    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error>;

    /// Returns a blob of which digest and size are known. Nothing is asked before it is opened;
    /// a blob that is missing says so then. Reading verifies.
    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef;
}

/// What a push did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The bytes were moved.
    Copied,
    /// The store took the blob over from another of its repositories.
    Mounted,
    /// The blob was there.
    Existed,
}

/// What is known of a blob once it is in a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pushed {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What had to be done.
    pub outcome: Outcome,
    /// The bytes that were moved for that: all of a copy, or those of it that were missing.
    pub moved: u64,
}

impl Pushed {
    /// Says what was done with a blob as a whole.
    pub const fn new(digest: Digest, size: u64, outcome: Outcome) -> Self {
        let moved = match outcome {
            Outcome::Copied => size,
            Outcome::Mounted | Outcome::Existed => 0,
        };
        Self {
            digest,
            size,
            outcome,
            moved,
        }
    }
}

/// Writing.
#[async_trait]
pub trait Push: Send + Sync {
    /// Stores a blob, unless it is there.
    ///
    /// A blob without digest is hashed as it passes. One with a digest is looked for first.
    ///
    /// # Errors
    ///
    /// The blob is not what it promised, cannot be read, or the store refuses it. Nothing is kept
    /// of a blob that failed.
    async fn push_blob(&self, repository: &RepositoryName, blob: &BlobRef)
    -> Result<Pushed, Error>;

    /// Stores a blob that is hardly there already, such as a document that was just made. A registry
    /// is not asked for it first.
    ///
    /// # Errors
    ///
    /// As [`Push::push_blob`].
    async fn push_new_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        self.push_blob(repository, blob).await
    }

    /// Takes a blob over from another repository of the same store; returns `false` if the store
    /// cannot, upon which the caller pushes it.
    ///
    /// # Errors
    ///
    /// The store could not be asked.
    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let _ = (repository, from, digest);
        Ok(false)
    }

    /// Stores a manifest, under a tag if one is given. What it points to must be there.
    ///
    /// # Errors
    ///
    /// The manifest is malformed, refers to missing content, or the store refuses it.
    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error>;

    /// Stores a manifest under a tag, if that points to `expected`, `None` being nowhere.
    ///
    /// Stores that can, compare and write in one step, which may only be when they
    /// [`commit`](Push::commit). Registries cannot: the distribution specification has no such
    /// request. There the tag is written whatever it points to, so callers compare right before,
    /// and look again after.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`], or as [`Push::push_manifest`].
    async fn replace_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: &Tag,
        expected: Option<&Digest>,
    ) -> Result<(), Error> {
        let _ = expected;
        self.push_manifest(repository, manifest, Some(tag)).await
    }

    /// Makes durable what has been pushed so far. Callers do so at the end of their work; until
    /// then an archive may hold back its table of contents.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn commit(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Makes durable what has been pushed so far, as [`commit`](Push::commit) does, for one of
    /// several who push through this store at the same time. `own` is the manifest that the caller
    /// has pushed, if any: what becomes of it is told here, and what becomes of those of others is
    /// told to them.
    ///
    /// # Errors
    ///
    /// As [`Push::commit`].
    async fn commit_own(&self, own: Option<(&RepositoryName, &Digest)>) -> Result<(), Error> {
        let _ = own;
        self.commit().await
    }

    /// Makes durable what has been pushed so far, as [`commit`](Push::commit) does, for somebody
    /// who will go on: what is not complete is kept as well where the store can, and no reader
    /// sees it.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn suspend(&self) -> Result<(), Error> {
        self.commit().await
    }
}

/// Saying in which order blobs shall stand before they come.
#[async_trait]
pub trait Arrange: Send + Sync {
    /// Sets space aside for blobs of known digest and size that are going to be pushed, in this
    /// order, behind all that has been arranged before. What is there already keeps its place, and
    /// so does what the store orders by itself.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn arrange(&self, blobs: &[Descriptor]) -> Result<Pace, Error>;
}

/// How blobs that have been arranged may be pushed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pace {
    /// In any order, and at the same time.
    SideBySide,
    /// In the order in which they were arranged, one after the other.
    OneByOne,
}

/// Listing.
#[async_trait]
pub trait List: Send + Sync {
    /// Returns the names of all repositories, sorted.
    ///
    /// # Errors
    ///
    /// The store has no list, or does not show it.
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error>;

    /// Returns the tags of a repository, sorted as text.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such repository.
    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error>;
}

/// Finding the manifests that refer to one.
#[async_trait]
pub trait Referrers: Send + Sync {
    /// Returns what points to the manifests whose subject is `subject`, with their artifact types
    /// and annotations. None is an empty list.
    ///
    /// # Errors
    ///
    /// The store could not be asked.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error>;
}

/// Removing.
#[async_trait]
pub trait Delete: Send + Sync {
    /// Removes a manifest and its tags, or a tag alone.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none, [`Error::Unsupported`] if the store keeps everything.
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error>;

    /// Removes a blob from a repository.
    ///
    /// # Errors
    ///
    /// As [`Delete::delete_manifest`].
    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error>;
}

/// Removing what no manifest needs, while others read and write.
#[async_trait]
pub trait Collect: Send + Sync {
    /// Removes blobs that nothing reaches, and uploads that nobody has gone on with, as far as they
    /// are older than the grace time.
    ///
    /// What is younger is left alone, so that the grace time has to be longer than what clients take
    /// from their first blob to the manifest. A push that has found an older blob keeps it with its
    /// manifest, or the manifest is refused; one that is accepted is whole.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written, or has a manifest that cannot be understood. What has
    /// been removed until then stays so; nothing that is needed has been.
    async fn collect(&self, grace: Duration) -> Result<Collected, Error>;

    /// Tells others who collect in the same place that clients of this process are promised a grace
    /// time, so that they leave alone what is younger. Stores where each collects for itself have
    /// nobody to tell.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn announce(&self, grace: Duration) -> Result<(), Error> {
        let _ = grace;
        Ok(())
    }
}

/// What a collection has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Collected {
    /// Blobs that are no longer part of a repository, as no manifest of it needs them. None in
    /// stores whose repositories share all blobs.
    pub links: u64,
    /// Blobs that have been removed.
    pub blobs: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Uploads that nobody has gone on with.
    pub uploads: u64,
    /// Blobs that go with a later collection, unless something needs them by then.
    pub condemned: u64,
}

/// Letting others read blobs without this process.
#[async_trait]
pub trait Direct: Send + Sync {
    /// Returns a URL under which anybody who knows it reads a blob for some minutes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the store does not have the blob.
    async fn address(&self, repository: &RepositoryName, digest: &Digest) -> Result<String, Error>;
}

/// Taking in blobs piece by piece, as a server does whose clients send chunks.
#[async_trait]
pub trait Ingest: Send + Sync {
    /// Starts an upload under a name that no other has had. Dropping it unfinished leaves nothing
    /// behind, unless it has been [saved](BlobUpload::save).
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn begin(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Box<dyn BlobUpload>, Error>;

    /// Goes on with an upload of this repository as it was saved; `None` if there is none, or if
    /// the store does not keep uploads.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    async fn resume(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Box<dyn BlobUpload>>, Error> {
        let _ = (repository, id);
        Ok(None)
    }

    /// Removes saved uploads that nobody has written to since then. Those that are open stay.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn expire(&self, before: SystemTime) -> Result<(), Error> {
        let _ = before;
        Ok(())
    }

    /// Returns whether other processes go on with uploads of this one. A server then keeps nothing
    /// of an upload between two requests of its client.
    fn is_shared(&self) -> bool {
        false
    }
}

/// A blob on its way in.
#[async_trait]
pub trait BlobUpload: fmt::Debug + Send + Sync {
    /// Returns the number of bytes that have been written.
    fn size(&self) -> u64;

    /// Appends a chunk.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn write(&mut self, chunk: Bytes) -> Result<(), Error>;

    /// Has the store keep what has come, so that [`Ingest::resume`] finds it, also after the process
    /// has been killed. Stores that do not keep uploads do nothing.
    ///
    /// # Errors
    ///
    /// The store cannot be written, or [`Error::Changed`] if another process has gone on with the
    /// upload meanwhile.
    async fn save(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Gives the upload up, with what has been saved of it.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    async fn cancel(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }

    /// Makes the bytes a blob of the store, under the digest they must have.
    ///
    /// # Errors
    ///
    /// [`Error::DigestMismatch`] if they have another; then nothing is kept.
    async fn finish(self: Box<Self>, expected: Digest) -> Result<Pushed, Error>;
}
