//! A store in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use ocm_blob::{Blob, BlobRef, ByteStream, verify};
use ocm_digest::Digest;

use crate::document::{Descriptor, Link, RawManifest};
use crate::error::Error;
use crate::name::{Reference, RepositoryName, Tag};
use crate::store::{
    BlobUpload, Delete, Fetch, Ingest, List, Outcome, Push, Pushed, Referrers, Store,
};

/// A store in memory, for tests and for short-lived registries.
///
/// Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    content: Arc<Mutex<BTreeMap<RepositoryName, Repository>>>,
}

#[derive(Debug, Default)]
struct Repository {
    blobs: BTreeMap<Digest, Bytes>,
    manifests: BTreeMap<Digest, RawManifest>,
    tags: BTreeMap<Tag, Digest>,
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RepositoryName, Repository>> {
        // Each change is one insertion, so content is whole even where a holder panicked.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_blob(&self, repository: &RepositoryName, digest: &Digest) -> Option<Bytes> {
        self.lock().get(repository)?.blobs.get(digest).cloned()
    }

    fn insert(&self, repository: &RepositoryName, digest: Digest, bytes: Bytes) -> Pushed {
        let size = bytes.len() as u64;
        let old = self
            .lock()
            .entry(repository.clone())
            .or_default()
            .blobs
            .insert(digest, bytes);
        let outcome = if old.is_some() {
            Outcome::Existed
        } else {
            Outcome::Copied
        };
        Pushed::new(digest, size, outcome)
    }
}

impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn is_at_hand(&self) -> bool {
        true
    }

    fn ingest(&self) -> Option<&dyn Ingest> {
        Some(self)
    }
}

#[async_trait]
impl Fetch for MemoryStore {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        let content = self.lock();
        let manifest = content.get(repository).and_then(|repository| {
            let digest = match reference {
                Reference::Digest(digest) => digest,
                Reference::Tag(tag) => repository.tags.get(tag)?,
            };
            repository.manifests.get(digest)
        });
        manifest
            .cloned()
            .ok_or_else(|| Error::not_found(format!("{repository}:{reference}")))
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        Ok(self
            .find_blob(repository, digest)
            .map(|bytes| bytes.len() as u64))
    }

    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef {
        Arc::new(StoredBlob {
            store: self.clone(),
            repository: repository.clone(),
            descriptor: descriptor.clone(),
        })
    }
}

#[async_trait]
impl Push for MemoryStore {
    async fn push_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        let algorithm = blob
            .digest()
            .map(|digest| digest.algorithm())
            .unwrap_or_default();
        let bytes = ocm_blob::read_to_end(blob.as_ref(), u64::MAX)
            .await
            .map_err(|source| Error::blob("store", "blob", source))?;
        Ok(self.insert(repository, algorithm.digest(&bytes), bytes))
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let bytes = self.find_blob(from, digest);
        Ok(bytes
            .map(|bytes| self.insert(repository, *digest, bytes))
            .is_some())
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        let document = manifest.parse()?;
        let mut content = self.lock();
        let repository_content = content.entry(repository.clone()).or_default();
        for child in document.children() {
            let known = repository_content.blobs.contains_key(&child.digest)
                || repository_content.manifests.contains_key(&child.digest);
            if !known && !Link::from(child).may_be_missing() {
                return Err(Error::Dangling {
                    what: format!("manifest {} of {repository}", manifest.digest()),
                    digest: child.digest,
                });
            }
        }
        repository_content
            .manifests
            .insert(manifest.digest(), manifest.clone());
        if let Some(tag) = tag {
            repository_content
                .tags
                .insert(tag.clone(), manifest.digest());
        }
        Ok(())
    }
}

#[async_trait]
impl List for MemoryStore {
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        Ok(self.lock().keys().cloned().collect())
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let content = self.lock();
        let found = content
            .get(repository)
            .ok_or_else(|| Error::not_found(repository.as_str()))?;
        Ok(found.tags.keys().cloned().collect())
    }
}

#[async_trait]
impl Referrers for MemoryStore {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let content = self.lock();
        let Some(found) = content.get(repository) else {
            return Ok(Vec::new());
        };
        Ok(found
            .manifests
            .values()
            .filter_map(|raw| raw.as_referrer_of(subject))
            .collect())
    }
}

#[async_trait]
impl Delete for MemoryStore {
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        let mut content = self.lock();
        let missing = || Error::not_found(format!("{repository}:{reference}"));
        let found = content.get_mut(repository).ok_or_else(missing)?;
        let removed = match reference {
            Reference::Tag(tag) => found.tags.remove(tag).is_some(),
            Reference::Digest(digest) => {
                found.tags.retain(|_, tagged| tagged != digest);
                found.manifests.remove(digest).is_some()
            }
        };
        if removed { Ok(()) } else { Err(missing()) }
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let mut content = self.lock();
        let removed = content
            .get_mut(repository)
            .and_then(|found| found.blobs.remove(digest));
        removed
            .map(drop)
            .ok_or_else(|| Error::not_found(format!("{repository}@{digest}")))
    }
}

#[async_trait]
impl Ingest for MemoryStore {
    async fn begin(
        &self,
        repository: &RepositoryName,
        _id: &str,
    ) -> Result<Box<dyn BlobUpload>, Error> {
        Ok(Box::new(MemoryUpload {
            store: self.clone(),
            repository: repository.clone(),
            bytes: BytesMut::new(),
        }))
    }
}

#[derive(Debug)]
struct MemoryUpload {
    store: MemoryStore,
    repository: RepositoryName,
    bytes: BytesMut,
}

#[async_trait]
impl BlobUpload for MemoryUpload {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        let actual = expected.algorithm().digest(&self.bytes);
        if actual != expected {
            return Err(Error::DigestMismatch {
                what: "upload".to_owned(),
                expected,
                actual,
            });
        }
        Ok(self
            .store
            .insert(&self.repository, actual, self.bytes.freeze()))
    }
}

/// A blob that is looked up when it is opened.
#[derive(Debug)]
struct StoredBlob {
    store: MemoryStore,
    repository: RepositoryName,
    descriptor: Descriptor,
}

impl StoredBlob {
    fn find(&self) -> Result<Bytes, ocm_blob::Error> {
        let Descriptor { digest, .. } = self.descriptor;
        self.store
            .find_blob(&self.repository, &digest)
            .ok_or_else(|| {
                let what = format!("blob {digest} of {}", self.repository);
                ocm_blob::Error::source(what.clone(), Error::not_found(what))
            })
    }
}

#[async_trait]
impl Blob for StoredBlob {
    fn size(&self) -> Option<u64> {
        Some(self.descriptor.size)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.descriptor.digest)
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.descriptor.media_type)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = self.descriptor.promise();
        Ok(verify(ocm_blob::once(self.find()?), promise))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        let mut bytes = self.find()?;
        match usize::try_from(offset) {
            Ok(offset) if offset <= bytes.len() => Ok(ocm_blob::once(bytes.split_off(offset))),
            _ => Err(ocm_blob::Error::SizeMismatch {
                expected: offset,
                actual: bytes.len() as u64,
            }),
        }
    }
}
