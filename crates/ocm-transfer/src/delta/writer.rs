//! Writing a delta archive.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{
    Arrange, Delete, Descriptor, Document, Error, Fetch, List, Outcome, Pace, Push, Pushed,
    RawManifest, Reference, Referrers, RepositoryName, Store, StoreRef, Tag,
};

use super::{Base, DeltaRecord, LeftOut};

/// An archive that is written without the blobs that the other side has, as a store.
///
/// It answers for those blobs as if it had them, so that nobody brings them. Manifests, and what is
/// in memory when it is pushed, as component descriptors are, are written in any case. The record
/// is written with each [`commit`](Push::commit) and [`suspend`](Push::suspend), also where nothing
/// is left out: it says that the archive may grow as one that leaves out what the base has.
#[derive(Debug)]
pub struct DeltaWriter {
    inner: StoreRef,
    base: Base,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: DeltaRecord,
    /// The sizes of blobs that were to be pushed, where the base does not say them.
    sizes: BTreeMap<Digest, u64>,
}

impl DeltaWriter {
    /// Takes the archive, which must accept manifests of which it lacks blobs, what the other side
    /// has, and the record that the archive has already.
    pub fn new(inner: StoreRef, mut base: Base, before: Option<DeltaRecord>) -> Self {
        let mut record = DeltaRecord::new(base.names.clone());
        if let Some(before) = before {
            base.add_record(&before);
            record.base.extend(before.base);
            record.left_out = before.left_out;
        }
        let sizes = BTreeMap::new();
        Self {
            inner,
            base,
            state: Mutex::new(State { record, sizes }),
        }
    }

    /// Returns what has been left out so far.
    pub fn record(&self) -> DeltaRecord {
        self.state().record.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one insertion.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the size of a blob that the other side has.
    fn size_there(&self, digest: &Digest) -> Option<u64> {
        let known = self.base.blobs.get(digest)?;
        known
            .size
            .or_else(|| self.state().sizes.get(digest).copied())
    }

    /// Takes down what a manifest names that is not in the archive.
    async fn note(&self, repository: &RepositoryName, manifest: &RawManifest) -> Result<(), Error> {
        let document = manifest.parse()?;
        let is_index = matches!(document, Document::Index(_));
        for child in document.children() {
            // Manifests always travel, but for those of platforms that nobody has asked for.
            if is_index && child.is_manifest() {
                continue;
            }
            let Some(known) = self.base.blobs.get(&child.digest) else {
                continue;
            };
            let there = self.inner.stat_blob(repository, &child.digest).await?;
            if there.is_some() {
                continue;
            }
            let mut repositories = known.repositories.clone();
            if repositories.is_empty() {
                repositories.insert(repository.to_string());
            }
            let left = LeftOut {
                size: child.size,
                repositories,
            };
            let mut state = self.state();
            match state.record.left_out.get_mut(&child.digest) {
                Some(before) => before.repositories.extend(left.repositories),
                None => drop(state.record.left_out.insert(child.digest, left)),
            }
        }
        Ok(())
    }
}

impl Store for DeltaWriter {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn arrange(&self) -> Option<&dyn Arrange> {
        self.inner.arrange().map(|_| self as &dyn Arrange)
    }
}

#[async_trait]
impl Arrange for DeltaWriter {
    /// Sets space aside for what is going to be written: what the other side has is not.
    async fn arrange(&self, blobs: &[Descriptor]) -> Result<Pace, Error> {
        let Some(arrange) = self.inner.arrange() else {
            return Ok(Pace::SideBySide);
        };
        let lacking = blobs.iter().filter(|blob| !self.base.has(&blob.digest));
        let lacking: Vec<Descriptor> = lacking.cloned().collect();
        arrange.arrange(&lacking).await
    }
}

#[async_trait]
impl Fetch for DeltaWriter {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        self.inner.manifest(repository, reference).await
    }

    async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Descriptor, Error> {
        self.inner.resolve(repository, reference).await
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        let there = self.inner.stat_blob(repository, digest).await?;
        Ok(there.or_else(|| self.size_there(digest)))
    }

    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef {
        self.inner.blob(repository, descriptor)
    }
}

#[async_trait]
impl Push for DeltaWriter {
    async fn push_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        if let (Some(digest), Some(size), None) = (blob.digest(), blob.size(), blob.bytes())
            && self.base.has(&digest)
        {
            self.state().sizes.insert(digest, size);
            return Ok(Pushed {
                digest,
                size,
                outcome: Outcome::Existed,
            });
        }
        self.inner.push_blob(repository, blob).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        self.inner.mount_blob(repository, from, digest).await
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        self.note(repository, manifest).await?;
        self.inner.push_manifest(repository, manifest, tag).await
    }

    async fn replace_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: &Tag,
        expected: Option<&Digest>,
    ) -> Result<(), Error> {
        self.note(repository, manifest).await?;
        self.inner
            .replace_manifest(repository, manifest, tag, expected)
            .await
    }

    async fn commit(&self) -> Result<(), Error> {
        self.record().store(&self.inner).await?;
        self.inner.commit().await
    }

    async fn suspend(&self) -> Result<(), Error> {
        self.record().store(&self.inner).await?;
        self.inner.suspend().await
    }
}

#[async_trait]
impl List for DeltaWriter {
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        self.inner.repositories().await
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        self.inner.tags(repository).await
    }
}

#[async_trait]
impl Referrers for DeltaWriter {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        self.inner.referrers(repository, subject).await
    }
}

#[async_trait]
impl Delete for DeltaWriter {
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        self.inner.delete_manifest(repository, reference).await
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        self.inner.delete_blob(repository, digest).await
    }
}
