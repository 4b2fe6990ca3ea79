//! The writer as a store: what is asked of every archive, and when it is complete.

use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{
    Arrange, BlobUpload, Delete, Descriptor, Error, Fetch as _, Ingest, Pace, Push, Pushed,
    RawManifest, Reference, RepositoryName, Store, Tag,
};

use super::packing::Ending;
use super::upload::ArchiveUpload;
use super::{CtfArchiveWriter, lock};
use crate::content::Content;
use crate::facts::FactCache;
use crate::index::ArtifactIndex;
use crate::open::CtfFormat;
use crate::reading::{self, Archive, impl_reading};
use crate::sink::Panicked;
use crate::tags::Replaces;

impl Archive for CtfArchiveWriter {
    fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    fn content(&self) -> &Arc<dyn Content> {
        &self.0.content
    }

    fn with_index<R>(&self, look: impl FnOnce(&ArtifactIndex) -> R) -> Result<R, Error> {
        Ok(look(&lock(&self.0.names)))
    }

    fn facts(&self) -> &FactCache {
        &self.0.facts
    }
}

impl_reading!(CtfArchiveWriter);

impl Store for CtfArchiveWriter {
    fn location(&self) -> String {
        self.0.name.to_string()
    }

    fn ingest(&self) -> Option<&dyn Ingest> {
        Some(self)
    }

    fn arrange(&self) -> Option<&dyn Arrange> {
        Some(self)
    }
}

#[async_trait]
impl Push for CtfArchiveWriter {
    async fn push_blob(
        &self,
        _repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        self.store(blob).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        _from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        Ok(self.stat_blob(repository, digest).await?.is_some())
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        self.put_manifest(repository, manifest, tag, Replaces::Anything)
            .await
    }

    /// Compares with the archive as it is under the lock that writing takes.
    async fn replace_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: &Tag,
        expected: Option<&Digest>,
    ) -> Result<(), Error> {
        let replaces = Replaces::Only(expected.copied());
        self.put_manifest(repository, manifest, Some(tag), replaces)
            .await
    }

    /// Completes the archive, and replaces what was there by it.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if that is not what was copied at first, as may happen where there are no
    /// locks; what has been pushed since is given up then.
    async fn commit(&self) -> Result<(), Error> {
        self.end(Ending::Complete).await
    }

    /// Completes the archive as [`Push::commit`] does, and keeps in it what is not complete. What
    /// is unfinished is not read by anybody; the next writer goes on there, or drops it.
    async fn suspend(&self) -> Result<(), Error> {
        self.end(Ending::Unfinished).await
    }
}

impl CtfArchiveWriter {
    async fn end(&self, ending: Ending) -> Result<(), Error> {
        let mut session = Arc::clone(&self.0.session).write_owned().await;
        let Some(current) = session.clone() else {
            return Ok(());
        };
        let failed = |source| Error::blob("commit", &*self.0.name, source);
        if !current.partial.is_target_unchanged().map_err(failed)? {
            *session = None;
            drop(current);
            self.show(self.reopen().await?);
            return Err(Error::Changed {
                what: self.0.name.to_string(),
            });
        }
        let index = lock(&self.0.names).write();
        // The session ends with the work, also where nobody waits for it any more.
        let work = tokio::task::spawn_blocking(move || {
            let is_worth = ending == Ending::Complete || !current.packing.is_empty()?;
            let finish = || current.packing.finish(&index, &current.partial, ending);
            let outcome = if is_worth { finish() } else { Ok(()) };
            if outcome.is_err() && ending == Ending::Unfinished {
                // On a full disk the archive cannot be made. The next writer goes on all the same.
                current.partial.leave();
            }
            outcome?;
            *session = None;
            Ok(())
        });
        let outcome = work
            .await
            .unwrap_or_else(|error| Err(Panicked::from(error).into()));
        outcome.map_err(failed)
    }
}

#[async_trait]
impl Arrange for CtfArchiveWriter {
    async fn arrange(&self, blobs: &[Descriptor]) -> Result<Pace, Error> {
        self.set_aside(blobs).await
    }
}

#[async_trait]
impl Delete for CtfArchiveWriter {
    /// Removes a tag, or a manifest with its tags, and its content unless something else refers to
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none; [`Error::Unsupported`] for a large manifest of a
    /// compressed archive, whose content cannot be taken out.
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        if self.with_index(|index| index.resolve(repository, reference).is_none())? {
            return Err(reading::missing(self, repository, reference));
        }
        let writing = self.writing().await?;
        let digest = match reference {
            Reference::Tag(tag) => {
                lock(&self.0.names).remove_tag(repository, tag);
                return Ok(());
            }
            Reference::Digest(digest) => digest,
        };
        let failed = |source| Error::blob("read", &*self.0.name, source);
        let is_loose = writing
            .packing
            .loose()
            .size(digest)
            .map_err(failed)?
            .is_some();
        if self.0.format == CtfFormat::TarGzip && !is_loose {
            return self.remove(&writing, digest);
        }
        lock(&self.0.names).remove_manifest(repository, digest);
        match reading::need_of(self, digest)? {
            Some(_) => Ok(()),
            None => self.remove(&writing, digest),
        }
    }

    /// Removes a blob that nothing refers to.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none, [`Error::Denied`] if it is still needed,
    /// [`Error::Unsupported`] for a large one of a compressed archive.
    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        if self.stat_blob(repository, digest).await?.is_none() {
            let what = format!("blob {digest} of {}", self.0.name);
            return Err(Error::not_found(what));
        }
        reading::refuse_needed(self, digest)?;
        self.remove(&self.writing().await?, digest)
    }
}

#[async_trait]
impl Ingest for CtfArchiveWriter {
    async fn begin(
        &self,
        _repository: &RepositoryName,
        _id: &str,
    ) -> Result<Box<dyn BlobUpload>, Error> {
        Ok(Box::new(ArchiveUpload::begin(self.clone()).await?))
    }
}
