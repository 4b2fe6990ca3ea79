//! Writing a delta archive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ocm_blob::BlobRef;
use ocm_ctf::Elsewhere;
use ocm_digest::Digest;
use ocm_oci::{
    Arrange, Delete, Descriptor, Document, Error, Fetch, List, Outcome, Pace, Push, Pushed,
    RawManifest, Reference, Referrers, RepositoryName, Store, StoreRef, Tag,
};

use super::chunked::{Chunked, chunked};
use super::chunks::{ChunkList, KnownChunks};
use super::{Base, DeltaRecord, LeftOut, Reassembly};

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
    chunks: Option<Chunks>,
    state: Mutex<State>,
}

/// What it takes to leave out parts of blobs.
#[derive(Debug)]
struct Chunks {
    known: KnownChunks,
    /// Blobs that manifests may name all the same.
    elsewhere: Elsewhere,
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
            base.add_left_out(&before);
            record.base.extend(before.base);
            record.left_out = before.left_out;
            record.reassembled = before.reassembled;
            record.sources = before.sources;
        }
        let sizes = BTreeMap::new();
        Self {
            inner,
            base,
            chunks: None,
            state: Mutex::new(State { record, sizes }),
        }
    }

    /// Has parts of large blobs left out as well, of which the base has the chunks. `elsewhere` is
    /// what manifests of the archive may name that it does not have.
    #[must_use]
    pub fn with_chunks(mut self, elsewhere: Elsewhere) -> Self {
        let known = KnownChunks::new(&self.base.chunks);
        self.chunks = Some(Chunks { known, elsewhere });
        self
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

    /// Pushes a blob of which parts may be left out.
    async fn push_chunked(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
        (digest, size): (Digest, u64),
    ) -> Result<Option<Pushed>, Error> {
        let Some(Chunks { known, elsewhere }) = &self.chunks else {
            return Ok(None);
        };
        let (records, tag) = (super::repository()?, super::tag(&recipe_tag(&digest))?);
        let made = chunked(blob, known, (&self.inner, &records)).await?;
        let Chunked::Recipe { recipe, new_bytes } = made else {
            return Ok(None);
        };
        let manifest = recipe
            .store(&self.inner, (&records, &tag), &new_bytes)
            .await?;
        let mut state = self.state();
        for source in recipe.sources.iter().copied() {
            let known = self.base.blobs.get(&source);
            let mut repositories = known.map(|it| it.repositories.clone()).unwrap_or_default();
            if repositories.is_empty() {
                repositories.insert(repository.to_string());
            }
            let size = known.and_then(|it| it.size).unwrap_or_default();
            let source = state.record.sources.entry(source).or_insert(LeftOut {
                size,
                repositories: BTreeSet::new(),
            });
            source.repositories.extend(repositories);
        }
        let new_bytes = recipe.new_bytes();
        let whole = Reassembly {
            size,
            new_bytes,
            recipe: manifest,
            repositories: BTreeSet::new(),
        };
        state.record.reassembled.insert(digest, whole);
        elsewhere.insert(digest);
        Ok(Some(Pushed {
            moved: new_bytes,
            ..Pushed::new(digest, size, Outcome::Copied)
        }))
    }

    /// Takes down what a manifest names that is not in the archive.
    async fn note(&self, repository: &RepositoryName, manifest: &RawManifest) -> Result<(), Error> {
        let document = manifest.parse()?;
        let is_index = matches!(document, Document::Index(_));
        for child in document.children() {
            if let Some(whole) = self.state().record.reassembled.get_mut(&child.digest) {
                whole.repositories.insert(repository.to_string());
                continue;
            }
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

/// Returns the tag of the recipe of a blob.
fn recipe_tag(digest: &Digest) -> String {
    format!("recipe-{}-{}", digest.algorithm(), digest.to_hex())
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
    ///
    /// Where parts of blobs may be left out, that shows only when they come. Then they come one by
    /// one, and each gets its space when it is its turn.
    async fn arrange(&self, blobs: &[Descriptor]) -> Result<Pace, Error> {
        if self.chunks.is_some() {
            return Ok(Pace::OneByOne);
        }
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
        let whole = || {
            self.state()
                .record
                .reassembled
                .get(digest)
                .map(|it| it.size)
        };
        Ok(there.or_else(|| self.size_there(digest)).or_else(whole))
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
        if let (Some(digest), Some(size), None) = (blob.digest(), blob.size(), blob.bytes()) {
            let existed = Pushed::new(digest, size, Outcome::Existed);
            if self.base.has(&digest) {
                self.state().sizes.insert(digest, size);
                return Ok(existed);
            }
            if self.chunks.is_some() {
                let there = self.stat_blob(repository, &digest).await?;
                if there == Some(size) {
                    return Ok(existed);
                }
                if ChunkList::is_for(size)
                    && let Some(pushed) =
                        self.push_chunked(repository, blob, (digest, size)).await?
                {
                    return Ok(pushed);
                }
                if let Some(arrange) = self.inner.arrange() {
                    arrange
                        .arrange(&[Descriptor::new("", digest, size)])
                        .await?;
                }
            }
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
