//! The trait of places with component versions.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_digest::Digest;
use ocm_model::access::LocalBlob;
use ocm_model::schema::Violation;
use ocm_model::{
    Access, ComponentName, ComponentVersionId, Descriptor, DigestSpec, ElementKind, Identity,
    Version,
};
pub use ocm_oci::CopyOptions;
use ocm_oci::Outcome;

use crate::content::{Artifact, Content};
use crate::error::Error;
use crate::removal::Removal;

/// A component repository that is shared between tasks.
pub type RepositoryRef = Arc<dyn ComponentRepository>;

/// A component version as it is stored.
#[derive(Clone, Debug)]
pub struct StoredVersion {
    /// The component descriptor.
    pub descriptor: Descriptor,
    /// What names the stored form, to notice that somebody else has changed it: for OCI the digest
    /// of the topmost manifest. It is not the digest that signatures sign.
    pub stored_digest: Digest,
    /// The text that the component descriptor was read from, if it is YAML.
    pub yaml: Option<Arc<str>>,
}

impl StoredVersion {
    /// Finds every rule of its schema that the component descriptor breaks, with its JSON path, and
    /// with line and column if it is stored as YAML.
    pub fn validate(&self) -> Vec<Violation> {
        let located = |text: &Arc<str>| self.descriptor.validate_located(text).ok();
        let located = self.yaml.as_ref().and_then(located);
        located.unwrap_or_else(|| self.descriptor.validate())
    }
}

/// What must be true of the target for a component version to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Anything: an existing component version is replaced.
    Anything,
    /// The component version does not exist.
    Absent,
    /// The component version is stored as it was read.
    Stored(Digest),
}

/// Content that has become part of a repository.
#[derive(Clone, Debug)]
pub struct AddedContent {
    /// How the content is reached from now on.
    pub access: Access,
    /// The digest of the content, as descriptors state it.
    pub digest: DigestSpec,
    /// The number of bytes that the content has, manifests included.
    pub size: u64,
    /// What had to be done; [`Outcome::Copied`] when at least one part was moved.
    pub outcome: Outcome,
}

/// A blob that may become a local blob: the content of an element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForeseenBlob {
    /// Which list the element is in.
    pub kind: ElementKind,
    /// The element, with its version.
    pub element: Identity,
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// How a local blob is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalAccess {
    /// By those who know the component version.
    pub blob: LocalBlob,
    /// By others, if that is possible.
    pub global: Option<Access>,
}

impl LocalAccess {
    /// Reads an access; `None` if it is not that of a local blob.
    pub fn of(access: &Access) -> Option<Self> {
        let global = access.global_access().cloned();
        Some(Self {
            blob: access.as_local_blob()?,
            global: global.and_then(|global| Access::from_json(global).ok()),
        })
    }
}

impl From<LocalAccess> for Access {
    fn from(LocalAccess { blob, global }: LocalAccess) -> Self {
        let access = Self::local_blob(&blob);
        match global {
            Some(global) => access.with_global_access(global),
            None => access,
        }
    }
}

/// A place with component versions.
///
/// Content is added before the descriptor that names it, so that a reader never sees a component
/// version that is not whole, and an interrupted writer is continued by running it again.
#[async_trait]
pub trait ComponentRepository: fmt::Debug + Send + Sync {
    /// Returns how messages name this repository, such as `./shop.ctf`.
    fn location(&self) -> String;

    /// Returns the names of all components, sorted.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the repository cannot list.
    async fn components(&self) -> Result<Vec<ComponentName>, Error>;

    /// Returns the versions of a component, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::NoComponent`] if there is none.
    async fn versions(&self, component: &ComponentName) -> Result<Vec<Version>, Error>;

    /// Returns what names the stored form of a component version, `None` if there is none.
    ///
    /// # Errors
    ///
    /// The repository could not be asked.
    async fn stored_digest(&self, id: &ComponentVersionId) -> Result<Option<Digest>, Error>;

    /// Returns whether a component version is there, and reading it waits for nobody else, as where
    /// everything is in a file of this machine.
    async fn has_at_hand(&self, id: &ComponentVersionId) -> bool {
        let _ = id;
        false
    }

    /// Reads a component version.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    async fn component_version(&self, id: &ComponentVersionId) -> Result<StoredVersion, Error>;

    /// Returns the OCI artifact that a component version is stored as, `None` where it is none.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such component version.
    async fn stored_artifact(&self, id: &ComponentVersionId) -> Result<Option<Artifact>, Error> {
        let _ = id;
        Ok(None)
    }

    /// Returns the content behind a local blob access of a component version.
    ///
    /// # Errors
    ///
    /// [`Error::NoLocalBlob`] if the repository does not have it.
    async fn local_content(
        &self,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error>;

    /// Makes content a local blob of the component version that is going to be written.
    ///
    /// A blob that is an OCI layout (by media type) is stored as the artifact it holds, and so is
    /// [`Content::Artifact`]; then its digest is that of the topmost manifest. `reference_name` is
    /// the name that the artifact had where it came from; it is kept in the access.
    ///
    /// # Errors
    ///
    /// The content is not what it promised, or the repository refuses it.
    async fn add_content(
        &self,
        id: &ComponentVersionId,
        content: &Content,
        reference_name: Option<&str>,
        options: &CopyOptions,
    ) -> Result<AddedContent, Error>;

    /// Uploads an OCI artifact beside the components, under a path and a tag of its own, and
    /// returns an access that reaches it from anywhere.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the repository is not reached from elsewhere.
    async fn add_artifact(
        &self,
        artifact: &Artifact,
        path: &str,
        tag: Option<&str>,
        options: &CopyOptions,
    ) -> Result<AddedContent, Error> {
        let _ = (artifact, path, tag, options);
        Err(Error::Unsupported {
            location: self.location(),
            operation: "OCI artifacts beside components",
        })
    }

    /// Records beside a local blob that has been added, and is an OCI artifact, that it is a
    /// resource of the component version. Returns the names of other components that own it, too.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the repository keeps no such records, [`Error::NoLocalBlob`] if
    /// there is no such artifact.
    async fn add_ownership(
        &self,
        id: &ComponentVersionId,
        access: &Access,
        resource: &Identity,
    ) -> Result<Vec<String>, Error> {
        let _ = (id, access, resource);
        Err(Error::Unsupported {
            location: self.location(),
            operation: "records of ownership",
        })
    }

    /// Writes a component version whose local blobs have been added; returns what names the
    /// stored form.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if the target is not as expected, [`Error::NoLocalBlob`] if a local
    /// blob is missing.
    async fn put(&self, descriptor: &Descriptor, expected: Expected) -> Result<Digest, Error>;

    /// Returns how blobs will be reached once they are local blobs of a component version, as
    /// [`ComponentRepository::add_content`] will say, in their order, and adds nothing. `None` if that
    /// is not known before.
    fn foreseen_accesses(
        &self,
        component: &ComponentName,
        blobs: &[ForeseenBlob],
    ) -> Option<Vec<LocalAccess>> {
        let _ = (component, blobs);
        None
    }

    /// Returns what will name the stored form of a component version that
    /// [`ComponentRepository::put`] writes, and writes nothing: whoever finds that at the target need
    /// not read it. `descriptor` is what [`Descriptor::write_json`] makes of it, `blobs` are all its
    /// local blobs in their order, resources first. `None` if that is not known before.
    fn foreseen_digest(
        &self,
        id: &ComponentVersionId,
        descriptor: Vec<u8>,
        blobs: Vec<ForeseenBlob>,
    ) -> Option<Digest> {
        let _ = (id, descriptor, blobs);
        None
    }

    /// Returns what goes with versions of a component: all that nothing else needs. Content that
    /// other versions share stays, and so does whatever somebody else keeps beside them.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if one of the versions is not there, [`Error::Unsupported`] if the
    /// repository keeps everything.
    async fn removal(
        &self,
        component: &ComponentName,
        versions: &BTreeSet<Version>,
    ) -> Result<Removal, Error> {
        let _ = (component, versions);
        Err(Error::Unsupported {
            location: self.location(),
            operation: "removing component versions",
        })
    }

    /// Removes versions of a component: each as a whole first, then what it has left behind. What
    /// is gone already is no error, so that a removal that broke off is continued by another.
    ///
    /// # Errors
    ///
    /// The repository cannot be written, or does not allow it.
    async fn remove(&self, removal: &Removal) -> Result<(), Error> {
        let _ = removal;
        Err(Error::Unsupported {
            location: self.location(),
            operation: "removing component versions",
        })
    }

    /// Tells whether a removal of versions of a component broke off, and has left something that no
    /// version has: [`removal`](Self::removal) of no versions says what, and goes on.
    ///
    /// # Errors
    ///
    /// The repository cannot be asked.
    async fn has_unfinished_removal(&self, component: &ComponentName) -> Result<bool, Error> {
        let _ = component;
        Ok(false)
    }

    /// Makes durable what has been written so far. Called at the end of the work.
    ///
    /// # Errors
    ///
    /// The repository cannot be written.
    async fn commit(&self) -> Result<(), Error>;

    /// Makes durable what has been written so far by work that is not done and will be continued,
    /// content that is not complete included, as far as the place can keep that.
    ///
    /// # Errors
    ///
    /// The repository cannot be written.
    async fn suspend(&self) -> Result<(), Error> {
        self.commit().await
    }
}
