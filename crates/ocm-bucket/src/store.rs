//! The store: names, manifests, and what refers to what.
//!
//! Several processes write at the same time, and nothing locks. Each step leaves what others can
//! live with: a manifest is there before a tag points to it, and a blob before a manifest does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{
    BlobUpload, Collect, Delete, Descriptor, Direct, Error, Fetch, Ingest, List, Outcome, Push,
    Pushed, RawManifest, Reference, Referrers, RepositoryName, Store, Tag,
};
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::blob::BucketBlob;
use crate::client::{Client, Condition};
use crate::layout::{self, JSON, Stored};
use crate::options::BucketOptions;
use crate::place::Place;
use crate::tags::{changed, missing};
use crate::upload::Upload;
use crate::xml::Listed;

/// How many objects a page of a list has.
const PAGE: usize = 1000;

/// How many places of blobs, and repositories that are known to be there, are remembered.
const REMEMBERED: usize = 10_000;

/// How long the address of a blob is good.
const DIRECT: Duration = Duration::from_mins(20);

/// Repositories in a bucket.
///
/// Clones share connections. What one process has written others see at once.
#[derive(Clone)]
pub struct BucketStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) part_size: usize,
    pub(crate) parallel: usize,
    /// Where blobs are, as far as somebody has asked. The bytes behind it never change.
    places: Mutex<BTreeMap<(RepositoryName, Digest), Stored>>,
    /// Repositories that are in the catalogue, from which nothing is ever removed.
    listed: Mutex<BTreeSet<RepositoryName>>,
    pub(crate) conditional: OnceCell<bool>,
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BucketStore")
            .field(&self.0.client.name())
            .finish()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl BucketStore {
    /// Opens a bucket, which is asked for whether it is there.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such bucket, [`Error::Denied`] if it may not be listed,
    /// [`Error::Remote`] if its server cannot be asked.
    pub async fn open(place: &Place, options: BucketOptions) -> Result<Self, Error> {
        let part_size = options.part_size.max(BucketOptions::MIN_PART);
        let client = Client::new(place, options.keys, options.clock, &options.http)?;
        let listed = client.list(layout::CATALOG, None, 1).await;
        listed.map_err(|error| match error {
            Error::Remote {
                what,
                reason,
                status: Some(401 | 403),
                ..
            } => Error::Denied {
                what: format!("listing of bucket {what} ({reason})"),
            },
            other => other,
        })?;
        Ok(Self(Arc::new(Inner {
            client,
            part_size,
            parallel: options.parallel.max(1),
            places: Mutex::default(),
            listed: Mutex::default(),
            conditional: OnceCell::new(),
        })))
    }

    /// Returns whether the server refuses a write whose condition does not hold. It is tried once,
    /// with an object of its own.
    ///
    /// # Errors
    ///
    /// The server cannot be asked.
    pub async fn has_conditional_writes(&self) -> Result<bool, Error> {
        self.0.has_conditional_writes().await
    }
}

impl Inner {
    fn places(&self) -> std::sync::MutexGuard<'_, BTreeMap<(RepositoryName, Digest), Stored>> {
        // Each change is one insertion or removal.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, repository: &RepositoryName, digest: &Digest) {
        self.places().remove(&(repository.clone(), *digest));
    }

    fn remember(&self, repository: &RepositoryName, digest: &Digest, stored: &Stored) {
        let mut places = self.places();
        if places.len() >= REMEMBERED {
            places.clear();
        }
        places.insert((repository.clone(), *digest), stored.clone());
    }

    /// Returns where the bytes of a blob are, as it is remembered.
    pub(crate) async fn look_up(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Stored>, Error> {
        let remembered = self.places().get(&(repository.clone(), *digest)).cloned();
        match remembered {
            Some(stored) => Ok(Some(stored)),
            None => self.linked(repository, digest).await,
        }
    }

    /// Returns where the bytes of a blob are, as the bucket says now.
    pub(crate) async fn linked(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Stored>, Error> {
        let found: Option<Stored> = self.document(&layout::link(repository, digest)).await?;
        match &found {
            Some(stored) => self.remember(repository, digest, stored),
            None => self.forget(repository, digest),
        }
        Ok(found)
    }

    pub(crate) async fn document<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<T>, Error> {
        let Some(object) = self.client.get(key, layout::LIMIT).await? else {
            return Ok(None);
        };
        layout::from_json(self.client.what(key), &object.bytes).map(Some)
    }

    pub(crate) async fn write(&self, key: &str, document: &impl Serialize) -> Result<(), Error> {
        let json = layout::to_json(document)?;
        let written = self.client.put(key, JSON, json, &Condition::Always).await?;
        match written {
            Some(_) => Ok(()),
            None => Err(Error::not_found(format!(
                "bucket of {}",
                self.client.what(key)
            ))),
        }
    }

    /// Makes a blob part of a repository.
    pub(crate) async fn link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        stored: &Stored,
    ) -> Result<(), Error> {
        self.list_in_catalog(repository).await?;
        let key = layout::link(repository, digest);
        self.write(&key, stored).await?;
        self.remember(repository, digest, stored);
        Ok(())
    }

    pub(crate) async fn list_in_catalog(&self, repository: &RepositoryName) -> Result<(), Error> {
        let listed = || self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed().contains(repository) {
            return Ok(());
        }
        let key = layout::catalog(repository);
        self.write(&key, &serde_json::json!({})).await?;
        let mut listed = listed();
        if listed.len() >= REMEMBERED {
            listed.clear();
        }
        listed.insert(repository.clone());
        Ok(())
    }

    /// Lists all objects below a prefix.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        let (mut objects, mut next) = (Vec::new(), None);
        loop {
            let (page, _) = self.client.list(prefix, next.as_deref(), PAGE).await?;
            objects.extend(page.objects);
            next = page.next;
            if next.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Runs something for each of many, several at a time.
    pub(crate) async fn each<T, F, R>(
        &self,
        items: impl IntoIterator<Item = T>,
        work: impl Fn(T) -> F,
    ) -> Result<Vec<R>, Error>
    where
        F: Future<Output = Result<R, Error>>,
    {
        let running = stream::iter(items).map(work).buffered(self.parallel);
        running.try_collect().await
    }
}

/// Returns a name that nobody has had.
pub(crate) fn random() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::malformed("random number", error.to_string()))?;
    Ok(hex::encode(bytes))
}

impl Store for BucketStore {
    fn location(&self) -> String {
        self.0.client.name().to_owned()
    }

    fn ingest(&self) -> Option<&dyn Ingest> {
        Some(self)
    }

    fn direct(&self) -> Option<&dyn Direct> {
        Some(self)
    }

    fn collector(&self) -> Option<&dyn Collect> {
        Some(self)
    }
}

#[async_trait]
impl Direct for BucketStore {
    async fn address(&self, repository: &RepositoryName, digest: &Digest) -> Result<String, Error> {
        let stored = self.0.look_up(repository, digest).await?;
        let stored =
            stored.ok_or_else(|| Error::not_found(format!("blob {digest} of {repository}")))?;
        let key = layout::data(&stored.data);
        Ok(self.0.client.address(&key, DIRECT).await?.into())
    }
}

#[async_trait]
impl Fetch for BucketStore {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        let digest = self.0.digest_of(repository, reference).await?;
        let key = layout::manifest(repository, &digest);
        let object = self.0.client.get(&key, RawManifest::LIMIT).await?;
        let object = object.ok_or_else(|| missing(repository, reference))?;
        RawManifest::new(object.bytes, object.media_type).with_digest(digest)
    }

    async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Descriptor, Error> {
        let digest = self.0.digest_of(repository, reference).await?;
        let key = layout::manifest(repository, &digest);
        let head = self.0.client.head(&key).await?;
        let head = head.ok_or_else(|| missing(repository, reference))?;
        Ok(Descriptor::new(head.media_type, digest, head.size))
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        let found = self.0.linked(repository, digest).await?;
        Ok(found.map(|stored| stored.size))
    }

    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef {
        Arc::new(BucketBlob {
            store: Arc::clone(&self.0),
            repository: repository.clone(),
            descriptor: descriptor.clone(),
        })
    }
}

#[async_trait]
impl Push for BucketStore {
    async fn push_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        if let Some(digest) = blob.digest()
            && let Some(stored) = self.0.linked(repository, &digest).await?
        {
            return Ok(Pushed::new(digest, stored.size, Outcome::Existed));
        }
        let failed = |source| Error::blob("store", format!("blob of {repository}"), source);
        let mut content = blob.open().await.map_err(failed)?;
        let mut upload = Upload::new(&self.0, repository)?;
        while let Some(chunk) = content.try_next().await.map_err(failed)? {
            upload.append(&chunk).await?;
        }
        upload.store(blob.digest()).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let Some(stored) = self.0.linked(from, digest).await? else {
            return Ok(false);
        };
        self.0.link(repository, digest, &stored).await?;
        Ok(true)
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        self.0.store_manifest(repository, manifest, tag).await?;
        if let Some(tag) = tag {
            let always = &Condition::Always;
            self.0.point(repository, manifest, tag, always).await?;
        }
        Ok(())
    }

    /// Compares and writes in one step where the server has conditional writes. Where it has none,
    /// it compares right before.
    async fn replace_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: &Tag,
        expected: Option<&Digest>,
    ) -> Result<(), Error> {
        let inner = &self.0;
        inner
            .store_manifest(repository, manifest, Some(tag))
            .await?;
        let now = inner.pointer(repository, tag).await?;
        if now.as_ref().map(|(now, _)| &now.manifest.digest) != expected {
            return Err(changed(repository, tag));
        }
        let condition = match now {
            _ if !self.has_conditional_writes().await? => Condition::Always,
            None => Condition::Absent,
            Some((_, version)) => Condition::Is(version),
        };
        if inner.point(repository, manifest, tag, &condition).await? {
            Ok(())
        } else {
            Err(changed(repository, tag))
        }
    }
}

#[async_trait]
impl List for BucketStore {
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        let listed = self.0.list(layout::CATALOG).await?;
        let names = listed
            .iter()
            .filter_map(|object| layout::of_catalog(&object.key));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let prefix = layout::tags(repository);
        let listed = self.0.list(&prefix).await?;
        if listed.is_empty() {
            let known = self.0.client.head(&layout::catalog(repository)).await?;
            known.ok_or_else(|| Error::not_found(repository.as_str()))?;
        }
        let tags = listed.iter().filter_map(|object| {
            let tag = object.key.strip_prefix(&prefix)?;
            tag.parse().ok()
        });
        let mut tags: Vec<_> = tags.collect();
        tags.sort_unstable();
        Ok(tags)
    }
}

#[async_trait]
impl Referrers for BucketStore {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let listed = self.0.list(&layout::referrers(repository, subject)).await?;
        let found = self
            .0
            .each(listed, async |object| {
                self.0.document::<Descriptor>(&object.key).await
            })
            .await?;
        Ok(found.into_iter().flatten().collect())
    }
}

#[async_trait]
impl Delete for BucketStore {
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        let inner = &self.0;
        let digest = match reference {
            Reference::Tag(tag) => {
                return if inner.remove_tag(repository, tag, None).await? {
                    Ok(())
                } else {
                    Err(missing(repository, reference))
                };
            }
            Reference::Digest(digest) => digest,
        };
        // What leads to the manifest goes before it, so that nothing leads nowhere.
        let manifest = self.manifest(repository, reference).await?;
        let prefix = layout::tagged(repository, digest);
        let tagged = inner.list(&prefix).await?;
        inner
            .each(tagged, async |object| {
                let tag = object.key.strip_prefix(&prefix).unwrap_or_default();
                if let Ok(tag) = tag.parse() {
                    inner.remove_tag(repository, &tag, Some(digest)).await?;
                }
                inner.client.delete(&object.key).await
            })
            .await?;
        let document = manifest.parse()?;
        if let Some(subject) = document.subject() {
            let key = layout::referrer(repository, &subject.digest, digest);
            inner.client.delete(&key).await?;
        }
        let key = layout::manifest(repository, digest);
        inner.client.delete(&key).await
    }

    /// Removes a blob from a repository. Its bytes stay until garbage is collected.
    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let found = self.0.linked(repository, digest).await?;
        found.ok_or_else(|| Error::not_found(format!("blob {digest} of {repository}")))?;
        let key = layout::link(repository, digest);
        self.0.client.delete(&key).await?;
        self.0.forget(repository, digest);
        Ok(())
    }
}

#[async_trait]
impl Ingest for BucketStore {
    async fn begin(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Box<dyn BlobUpload>, Error> {
        Ok(Box::new(Upload::named(&self.0, repository, id.to_owned())))
    }

    async fn resume(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Box<dyn BlobUpload>>, Error> {
        let found = Upload::resume(&self.0, repository, id).await?;
        Ok(found.map(|upload| Box::new(upload) as Box<dyn BlobUpload>))
    }

    async fn expire(&self, before: SystemTime) -> Result<(), Error> {
        let before = Timestamp::try_from(before).unwrap_or(Timestamp::MIN);
        self.0.expire_uploads(before).await.map(drop)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

#[async_trait]
impl BlobUpload for Upload {
    fn size(&self) -> u64 {
        Self::size(self)
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.append(&chunk).await
    }

    async fn save(&mut self) -> Result<(), Error> {
        Self::save(self).await
    }

    async fn cancel(mut self: Box<Self>) -> Result<(), Error> {
        self.discard().await
    }

    async fn finish(self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        self.store(Some(expected)).await
    }
}
