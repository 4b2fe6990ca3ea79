//! Reading a delta archive together with the place that has what it leaves out.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{
    Delete, Descriptor, Error, Fetch, List, Push, Pushed, RawManifest, Reference, Referrers,
    RepositoryName, Store, StoreRef, Tag,
};

use super::reassembled::{Reassembled, Sources};
use super::{DeltaRecord, LeftOut, Reassembly};

/// How many blobs are looked for at a time.
const PARALLEL: usize = 8;

/// A delta archive with what it leaves out, which is read from the place that it goes to. It cannot
/// be written.
#[derive(Debug)]
pub struct Completed {
    delta: StoreRef,
    base: StoreRef,
    /// What is left out, and where it is.
    found: Sources,
    /// What is put together: its size, and the manifest of its recipe.
    reassembled: BTreeMap<Digest, (u64, Digest)>,
    /// What that takes, and where it is.
    sources: Sources,
}

impl Completed {
    /// Looks for everything that a delta archive leaves out in a store, below a prefix. Returns
    /// the digests of what is not there, if anything is not.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    pub async fn new(
        delta: StoreRef,
        record: &DeltaRecord,
        base: StoreRef,
        prefix: Option<&RepositoryName>,
    ) -> Result<Result<Self, Vec<Digest>>, Error> {
        let (found, mut missing) = look_for_all(&base, prefix, &record.left_out).await?;
        let (sources, more) = look_for_all(&base, prefix, &record.sources).await?;
        missing.extend(more);
        if !missing.is_empty() {
            missing.sort();
            missing.dedup();
            return Ok(Err(missing));
        }
        let whole = |(digest, whole): (&Digest, &Reassembly)| (*digest, (whole.size, whole.recipe));
        Ok(Ok(Self {
            delta,
            base,
            found: Arc::new(found),
            reassembled: record.reassembled.iter().map(whole).collect(),
            sources: Arc::new(sources),
        }))
    }

    fn read_only(&self) -> Error {
        Error::ReadOnly {
            store: self.delta.location(),
        }
    }
}

/// Returns where blobs are, and the digests of those that are not there.
async fn look_for_all(
    base: &StoreRef,
    prefix: Option<&RepositoryName>,
    blobs: &BTreeMap<Digest, LeftOut>,
) -> Result<(BTreeMap<Digest, (u64, RepositoryName)>, Vec<Digest>), Error> {
    let looked = stream::iter(blobs)
        .map(|(digest, left)| async move {
            let found = look_for(base, prefix, digest, left).await?;
            Ok::<_, Error>((*digest, left.size, found))
        })
        .buffered(PARALLEL);
    let looked: Vec<_> = looked.try_collect().await?;
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for (digest, size, repository) in looked {
        match repository {
            Some(repository) => drop(found.insert(digest, (size, repository))),
            None => missing.push(digest),
        }
    }
    Ok((found, missing))
}

/// Returns a repository that has a blob, with the size that the record states.
async fn look_for(
    base: &StoreRef,
    prefix: Option<&RepositoryName>,
    digest: &Digest,
    left: &LeftOut,
) -> Result<Option<RepositoryName>, Error> {
    for name in &left.repositories {
        let repository = match prefix {
            Some(prefix) => prefix.join(name),
            None => name.parse(),
        };
        let malformed = |error: ocm_oci::ParseNameError| Error::malformed(name, error.to_string());
        let repository = repository.map_err(malformed)?;
        match base.stat_blob(&repository, digest).await {
            Ok(Some(size)) if size == left.size => return Ok(Some(repository)),
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl Store for Completed {
    fn location(&self) -> String {
        self.delta.location()
    }
}

#[async_trait]
impl Fetch for Completed {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        self.delta.manifest(repository, reference).await
    }

    async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Descriptor, Error> {
        self.delta.resolve(repository, reference).await
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        let found = self.found.get(digest).map(|(size, _)| *size);
        let size = found.or_else(|| Some(self.reassembled.get(digest)?.0));
        if size.is_some() {
            return Ok(size);
        }
        self.delta.stat_blob(repository, digest).await
    }

    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef {
        if let Some((_, there)) = self.found.get(&descriptor.digest) {
            return self.base.blob(there, descriptor);
        }
        if let Some((_, recipe)) = self.reassembled.get(&descriptor.digest) {
            return Arc::new(Reassembled {
                delta: Arc::clone(&self.delta),
                base: Arc::clone(&self.base),
                sources: Arc::clone(&self.sources),
                descriptor: descriptor.clone(),
                recipe: *recipe,
            });
        }
        self.delta.blob(repository, descriptor)
    }
}

#[async_trait]
impl List for Completed {
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        self.delta.repositories().await
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        self.delta.tags(repository).await
    }
}

#[async_trait]
impl Referrers for Completed {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        self.delta.referrers(repository, subject).await
    }
}

#[async_trait]
impl Push for Completed {
    async fn push_blob(&self, _: &RepositoryName, _: &BlobRef) -> Result<Pushed, Error> {
        Err(self.read_only())
    }

    async fn push_manifest(
        &self,
        _: &RepositoryName,
        _: &RawManifest,
        _: Option<&Tag>,
    ) -> Result<(), Error> {
        Err(self.read_only())
    }
}

#[async_trait]
impl Delete for Completed {
    async fn delete_manifest(&self, _: &RepositoryName, _: &Reference) -> Result<(), Error> {
        Err(self.read_only())
    }

    async fn delete_blob(&self, _: &RepositoryName, _: &Digest) -> Result<(), Error> {
        Err(self.read_only())
    }
}
