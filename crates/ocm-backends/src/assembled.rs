//! Artifacts that are put together here, of blobs that stand elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{
    Delete, Descriptor, Error, Fetch, List, MemoryStore, Push, Pushed, RawManifest, Reference,
    Referrers, RepositoryName, Store, StoreRef, Tag,
};
use ocm_repository::Artifact;

/// A store of one repository with manifests that have just been made, and with blobs that are
/// opened where they are. What it does not have itself, it looks up in another repository.
#[derive(Clone, Debug)]
pub(crate) struct Assembled {
    name: String,
    manifests: BTreeMap<Digest, RawManifest>,
    blobs: BTreeMap<Digest, BlobRef>,
    base: StoreRef,
    repository: RepositoryName,
}

impl Assembled {
    /// Starts with nothing; `name` is how messages call it.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        let repository = "assembled".parse().expect("a well-formed name");
        Self::over(name, Arc::new(MemoryStore::new()), repository)
    }

    /// Starts with what a repository has.
    pub(crate) fn over(
        name: impl Into<String>,
        base: StoreRef,
        repository: RepositoryName,
    ) -> Self {
        Self {
            name: name.into(),
            manifests: BTreeMap::new(),
            blobs: BTreeMap::new(),
            base,
            repository,
        }
    }

    /// Adds a manifest.
    pub(crate) fn add_manifest(&mut self, manifest: RawManifest) {
        self.manifests.insert(manifest.digest(), manifest);
    }

    /// Adds a blob. It must know its size, and check its digest while it is read.
    pub(crate) fn add_blob(&mut self, digest: Digest, blob: BlobRef) {
        self.blobs.insert(digest, blob);
    }

    /// Takes over what another one has.
    pub(crate) fn merge(&mut self, other: Self) {
        self.manifests.extend(other.manifests);
        self.blobs.extend(other.blobs);
    }

    /// Returns the artifact that has a manifest of these at its top.
    pub(crate) fn artifact(self, root: Descriptor) -> Artifact {
        Artifact {
            repository: self.repository.clone(),
            store: Arc::new(self),
            root,
        }
    }

    fn read_only<T>(&self) -> Result<T, Error> {
        let store = self.name.clone();
        Err(Error::ReadOnly { store })
    }
}

impl Store for Assembled {
    fn location(&self) -> String {
        self.name.clone()
    }
}

#[async_trait]
impl Fetch for Assembled {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        let own = match reference {
            Reference::Digest(digest) => self.manifests.get(digest),
            Reference::Tag(_) => None,
        };
        match own {
            Some(manifest) => Ok(manifest.clone()),
            None => self.base.manifest(repository, reference).await,
        }
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        match self.blobs.get(digest) {
            Some(blob) => Ok(blob.size()),
            None => self.base.stat_blob(repository, digest).await,
        }
    }

    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef {
        match self.blobs.get(&descriptor.digest) {
            Some(blob) => Arc::clone(blob),
            None => self.base.blob(repository, descriptor),
        }
    }
}

#[async_trait]
impl List for Assembled {
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        Ok(vec![self.repository.clone()])
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        self.base.tags(repository).await
    }
}

#[async_trait]
impl Referrers for Assembled {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        self.base.referrers(repository, subject).await
    }
}

#[async_trait]
impl Push for Assembled {
    async fn push_blob(&self, _: &RepositoryName, _: &BlobRef) -> Result<Pushed, Error> {
        self.read_only()
    }

    async fn push_manifest(
        &self,
        _: &RepositoryName,
        _: &RawManifest,
        _: Option<&Tag>,
    ) -> Result<(), Error> {
        self.read_only()
    }
}

#[async_trait]
impl Delete for Assembled {
    async fn delete_manifest(&self, _: &RepositoryName, _: &Reference) -> Result<(), Error> {
        self.read_only()
    }

    async fn delete_blob(&self, _: &RepositoryName, _: &Digest) -> Result<(), Error> {
        self.read_only()
    }
}
