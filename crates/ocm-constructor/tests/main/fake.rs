//! A component repository in memory that knows nothing of OCI.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ocm_blob::{Bytes, MemoryBlob, read_to_end};
use ocm_constructor::Constructor;
use ocm_digest::Digest;
use ocm_model::access::LocalBlob;
use ocm_model::{Access, ComponentName, ComponentVersionId, Descriptor, DigestSpec, Version};
use ocm_oci::Outcome;
use ocm_repository::{
    AddedContent, ComponentRepository, Content, CopyOptions, Error, Expected, RepositoryRef,
    StoredVersion,
};

/// Component versions and blobs; `log` tells in which order they came.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    versions: Mutex<BTreeMap<ComponentVersionId, Descriptor>>,
    pub(crate) blobs: Mutex<BTreeMap<Digest, Bytes>>,
    pub(crate) log: Mutex<Vec<String>>,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn as_ref(self: &Arc<Self>) -> RepositoryRef {
        Arc::clone(self) as RepositoryRef
    }

    pub(crate) fn descriptor(&self, id: &str) -> Descriptor {
        self.versions.lock().unwrap()[&id.parse().unwrap()].clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        let versions = self.versions.lock().unwrap();
        versions.keys().map(ToString::to_string).collect()
    }

    pub(crate) fn blob(&self, digest: &str) -> Bytes {
        self.blobs.lock().unwrap()[&digest.parse().unwrap()].clone()
    }

    fn log(&self, entry: String) {
        self.log.lock().unwrap().push(entry);
    }

    fn stored(descriptor: &Descriptor) -> Digest {
        Digest::sha256(descriptor.write_json())
    }
}

#[async_trait]
impl ComponentRepository for Fake {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn components(&self) -> Result<Vec<ComponentName>, Error> {
        unreachable!("building lists nothing")
    }

    async fn versions(&self, _: &ComponentName) -> Result<Vec<Version>, Error> {
        unreachable!("building lists nothing")
    }

    async fn stored_digest(&self, id: &ComponentVersionId) -> Result<Option<Digest>, Error> {
        Ok(self.versions.lock().unwrap().get(id).map(Self::stored))
    }

    async fn component_version(&self, id: &ComponentVersionId) -> Result<StoredVersion, Error> {
        let found = self.versions.lock().unwrap().get(id).cloned();
        let Some(descriptor) = found else {
            return Err(Error::NotFound {
                id: id.clone(),
                location: self.location(),
            });
        };
        Ok(StoredVersion {
            stored_digest: Self::stored(&descriptor),
            yaml: None,
            descriptor,
        })
    }

    async fn local_content(
        &self,
        _: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error> {
        let local = access.as_local_blob().unwrap();
        let bytes = self.blob(&local.local_reference);
        let blob = MemoryBlob::new(bytes).with_media_type(local.media_type);
        Ok(Content::Blob(Arc::new(blob)))
    }

    async fn add_content(
        &self,
        id: &ComponentVersionId,
        content: &Content,
        reference_name: Option<&str>,
        _: &CopyOptions,
    ) -> Result<AddedContent, Error> {
        let Content::Blob(blob) = content else {
            unreachable!("the tests have no artifacts")
        };
        let bytes = read_to_end(blob.as_ref(), u64::MAX)
            .await
            .map_err(|source| Error::backend("read", "a blob", source))?;
        let digest = Digest::sha256(&bytes);
        let size = bytes.len() as u64;
        let old = self.blobs.lock().unwrap().insert(digest, bytes);
        self.log(format!("content of {id}"));
        let mut local = LocalBlob::new(&digest, blob.media_type().unwrap());
        local.reference_name = reference_name.map(str::to_owned);
        Ok(AddedContent {
            access: Access::local_blob(&local),
            digest: DigestSpec::generic_blob(&digest),
            size,
            outcome: if old.is_some() {
                Outcome::Existed
            } else {
                Outcome::Copied
            },
        })
    }

    async fn put(&self, descriptor: &Descriptor, expected: Expected) -> Result<Digest, Error> {
        let id = descriptor.id();
        let stored = self.stored_digest(id).await?;
        let as_expected = match expected {
            Expected::Anything => true,
            Expected::Absent => stored.is_none(),
            Expected::Stored(digest) => stored == Some(digest),
        };
        assert!(as_expected, "{id} is not as expected");
        self.versions
            .lock()
            .unwrap()
            .insert(id.clone(), descriptor.clone());
        self.log(format!("descriptor of {id}"));
        Ok(Self::stored(descriptor))
    }

    async fn commit(&self) -> Result<(), Error> {
        self.log("commit".to_owned());
        Ok(())
    }
}

/// Reads a constructor file that has nothing wrong with it.
pub(crate) fn constructor(text: &str) -> Constructor {
    Constructor::parse(text, "c.yaml").unwrap()
}
