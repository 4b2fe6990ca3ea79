//! Component versions in OCI stores: registries, archives, memory.
//!
//! A component version is an image manifest whose first layer is the component descriptor and whose
//! further layers are local blobs. Where a local blob is itself an OCI artifact, an index stands
//! around it: its first entry is that manifest, the others are the artifacts, so that any client
//! can pull them (OCM specification, "OCI storage backend").
//!
//! ```text
//! <prefix>/component-descriptors/acme.org/notes:1.0.0  ─► index
//!    ├─ manifest ── config (names the descriptor layer)
//!    │           ├─ layer 0: component descriptor
//!    │           └─ layer 1…: local blobs
//!    └─ artifact (an image, a chart), one for each local blob that is one
//! ```

mod annotation;
mod component_index;
mod layout;
mod list;
mod local;
mod manifest;
mod read;
mod referrers;
mod remembered;
mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ocm_ctf::is_oci_layout;
use ocm_digest::Digest;
use ocm_model::access::AccessKind;
use ocm_model::{
    Access, ComponentName, ComponentVersionId, Descriptor, DigestSpec, Identity, Version,
};
use ocm_oci::{
    CopyOptions, Descriptor as Entry, Reference, RepositoryName, StoreRef, Tag, copy_artifact,
};
use ocm_repository::{
    AddedContent, Artifact, ComponentRepository, Content, Error, Expected, ForeseenBlob,
    LocalAccess, Removal, StoredVersion, record_ownership,
};

use self::annotation::Local;
pub use self::component_index::component_index;
pub use self::layout::open_layout;
use self::manifest::Layout;
pub use self::manifest::is_component_version;
pub use self::read::decode_descriptor;
use self::remembered::Remembered;

/// Where component versions stand below the prefix of a store.
const COMPONENTS: &str = "component-descriptors";

/// Component versions in an OCI store.
#[derive(Debug)]
pub struct OciComponentRepository {
    store: StoreRef,
    prefix: Option<RepositoryName>,
    registry: Option<Registry>,
    location: String,
    versions: Mutex<Remembered<Known>>,
    /// Local blobs that have been added and that no manifest names yet.
    added: Mutex<BTreeMap<(RepositoryName, Digest), Entry>>,
}

/// Where a component version is, and how it is stored.
#[derive(Debug)]
struct Known {
    repository: RepositoryName,
    layout: Layout,
}

/// How a store is reached from elsewhere, for accesses that hold everywhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registry {
    /// `http` where that must be said, else `None`.
    pub scheme: Option<String>,
    /// The host, with its port if it has one.
    pub host: String,
}

impl OciComponentRepository {
    /// Takes a store, and the path below which its components stand.
    pub fn new(store: StoreRef, prefix: Option<RepositoryName>) -> Self {
        let location = match &prefix {
            Some(prefix) => format!("{}/{prefix}", store.location()),
            None => store.location(),
        };
        Self {
            store,
            prefix,
            registry: None,
            location,
            versions: Mutex::default(),
            added: Mutex::default(),
        }
    }

    /// Says by which name the repository is found again, where the store does not know it.
    #[must_use]
    pub fn with_location(mut self, location: String) -> Self {
        self.location = location;
        self
    }

    /// Says how the store is reached from elsewhere; then local blobs get a `globalAccess`, and
    /// artifacts can be uploaded beside the components.
    #[must_use]
    pub fn with_registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Returns the store underneath.
    pub const fn store(&self) -> &StoreRef {
        &self.store
    }

    fn below_prefix(&self, path: impl fmt::Display) -> Result<RepositoryName, Error> {
        let name = match &self.prefix {
            Some(prefix) => prefix.join(&path),
            None => path.to_string().parse(),
        };
        name.map_err(|source| Error::backend("address", path.to_string(), source))
    }

    fn repository(&self, component: &ComponentName) -> Result<RepositoryName, Error> {
        self.below_prefix(format_args!("{COMPONENTS}/{component}"))
    }

    fn remember(&self, id: &ComponentVersionId, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        lock(&self.versions).insert(id.clone(), Arc::clone(&known));
        known
    }

    /// Returns how a component version is stored, asking the store at most once.
    async fn known(&self, id: &ComponentVersionId) -> Result<Arc<Known>, Error> {
        if let Some(known) = lock(&self.versions).get(id) {
            return Ok(Arc::clone(known));
        }
        let repository = self.repository(&id.name)?;
        let layout = self.look_up(id, &repository).await?.layout;
        Ok(self.remember(id, Known { repository, layout }))
    }

    async fn look_up(
        &self,
        id: &ComponentVersionId,
        repository: &RepositoryName,
    ) -> Result<read::Manifests, Error> {
        read::manifests(&self.store, repository, &tag_of(id)?)
            .await
            .map_err(|error| match error {
                read::Error::Store(source) if source.is_not_found() => Error::NotFound {
                    id: id.clone(),
                    location: self.location(),
                },
                read::Error::Store(source) => Error::backend("read", id.to_string(), source),
                read::Error::Malformed(reason) => Error::Malformed {
                    what: format!("component version {id}"),
                    location: self.location(),
                    reason,
                },
            })
    }
}

#[async_trait]
impl ComponentRepository for OciComponentRepository {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn components(&self) -> Result<Vec<ComponentName>, Error> {
        self.list_components().await
    }

    async fn versions(&self, component: &ComponentName) -> Result<Vec<Version>, Error> {
        self.list_versions(component).await
    }

    async fn stored_digest(&self, id: &ComponentVersionId) -> Result<Option<Digest>, Error> {
        let reference = Reference::Tag(tag_of(id)?);
        match self
            .store
            .resolve(&self.repository(&id.name)?, &reference)
            .await
        {
            Ok(entry) => Ok(Some(entry.digest)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(source) => Err(Error::backend("look for", id.to_string(), source)),
        }
    }

    async fn has_at_hand(&self, id: &ComponentVersionId) -> bool {
        self.store.is_at_hand() && matches!(self.stored_digest(id).await, Ok(Some(_)))
    }

    async fn component_version(&self, id: &ComponentVersionId) -> Result<StoredVersion, Error> {
        let repository = self.repository(&id.name)?;
        let manifests = self.look_up(id, &repository).await?;
        let malformed = |reason: String| Error::Malformed {
            what: format!("component version {id}"),
            location: self.location(),
            reason,
        };
        let (descriptor, yaml) = read::descriptor(&self.store, &repository, &manifests)
            .await
            .map_err(|error| match error {
                read::Error::Store(source) => {
                    Error::backend("read the descriptor of", id.to_string(), source)
                }
                read::Error::Malformed(reason) => malformed(reason),
            })?;
        if descriptor.id() != id {
            return Err(malformed(format!(
                "its descriptor is that of {}",
                descriptor.id()
            )));
        }
        let layout = manifests.layout;
        let stored_digest = layout.stored_digest;
        self.remember(id, Known { repository, layout });
        Ok(StoredVersion {
            descriptor,
            stored_digest,
            yaml,
        })
    }

    async fn stored_artifact(&self, id: &ComponentVersionId) -> Result<Option<Artifact>, Error> {
        let repository = self.repository(&id.name)?;
        let root = self.store.resolve(&repository, &tag_of(id)?.into()).await;
        let root = root.map_err(|error| {
            if error.is_not_found() {
                Error::NotFound {
                    id: id.clone(),
                    location: self.location(),
                }
            } else {
                Error::backend("look for", id.to_string(), error)
            }
        })?;
        Ok(Some(Artifact {
            store: Arc::clone(&self.store),
            repository,
            root,
        }))
    }

    async fn local_content(
        &self,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error> {
        let blob = match access.kind() {
            Ok(AccessKind::RelativeOciReference(reference)) => {
                return self.relative_artifact(&reference).await;
            }
            kind => kind.ok().and_then(AccessKind::into_local_blob),
        };
        let blob = blob.ok_or_else(|| Error::UnsupportedAccess {
            access_type: access.type_text().to_owned(),
            operation: "reading a local blob",
        })?;
        let known = self.known(id).await?;
        let Known { repository, layout } = known.as_ref();
        let entry = blob.digest().and_then(|digest| layout.local_blob(&digest));
        let Some(mut entry) = entry else {
            return Err(Error::NoLocalBlob {
                id: id.clone(),
                reference: blob.local_reference.clone(),
            });
        };
        if entry.is_manifest() {
            let store = Arc::clone(&self.store);
            return Ok(Content::Artifact(Box::new(Artifact {
                store,
                repository: repository.clone(),
                root: entry,
            })));
        }
        // The access says what the resource is; a layer entry may be more general.
        if !blob.media_type.is_empty() {
            entry.media_type = blob.media_type;
        }
        Ok(Content::Blob(self.store.blob(repository, &entry)))
    }

    async fn add_content(
        &self,
        id: &ComponentVersionId,
        content: &Content,
        reference_name: Option<&str>,
        options: &CopyOptions,
    ) -> Result<AddedContent, Error> {
        let repository = self.repository(&id.name)?;
        let artifact = match content {
            Content::Artifact(artifact) => artifact.as_ref().clone(),
            Content::Blob(blob) if blob.media_type().is_some_and(is_oci_layout) => {
                open_layout(blob).await?
            }
            Content::Blob(blob) => {
                let (entry, outcome) = self.add_blob(&repository, blob, options).await?;
                let size = entry.size;
                return Ok(self.added(&repository, entry, reference_name, size, outcome));
            }
        };
        let Artifact {
            store,
            repository: from,
            root,
        } = &artifact;
        let report = copy_artifact(
            (store, from),
            root,
            (&self.store, &repository),
            None,
            options,
        )
        .await
        .map_err(|source| Error::backend("copy", format!("artifact {}", root.digest), source))?;
        let from = (store, from);
        self.bring_referrers(from, root, &repository, options)
            .await?;
        let entry = root.plain();
        Ok(self.added(
            &repository,
            entry,
            reference_name,
            report.size,
            report.outcome(),
        ))
    }

    async fn add_artifact(
        &self,
        artifact: &Artifact,
        path: &str,
        tag: Option<&str>,
        options: &CopyOptions,
    ) -> Result<AddedContent, Error> {
        let repository = self.below_prefix(path)?;
        let tag: Option<Tag> = tag
            .map(str::parse)
            .transpose()
            .map_err(|source| Error::backend("address", path, source))?;
        let root = &artifact.root;
        let Some(reference) = self.image_reference(&repository, tag.clone(), root.digest) else {
            return Err(Error::Unsupported {
                location: self.location(),
                operation: "OCI artifacts beside components",
            });
        };
        let source = (&artifact.store, &artifact.repository);
        let target = (&self.store, &repository);
        let report = copy_artifact(source, root, target, tag.as_ref(), options)
            .await
            .map_err(|source| {
                Error::backend("copy", format!("artifact {}", root.digest), source)
            })?;
        self.bring_referrers(source, root, &repository, options)
            .await?;
        Ok(AddedContent {
            access: Access::oci_artifact(&reference),
            digest: DigestSpec::oci_artifact(&root.digest),
            size: report.size,
            outcome: report.outcome(),
        })
    }

    async fn add_ownership(
        &self,
        id: &ComponentVersionId,
        access: &Access,
        resource: &Identity,
    ) -> Result<Vec<String>, Error> {
        let repository = self.repository(&id.name)?;
        let blob = access
            .as_local_blob()
            .ok_or_else(|| Error::UnsupportedAccess {
                access_type: access.type_text().to_owned(),
                operation: "recording the ownership of a local blob",
            })?;
        let root = self.entry_of(id, &repository, &blob, None).await?;
        if !root.is_manifest() {
            return Err(Error::NoLocalBlob {
                id: id.clone(),
                reference: blob.local_reference,
            });
        }
        let artifact = Artifact {
            store: Arc::clone(&self.store),
            repository,
            root,
        };
        let others = record_ownership(&artifact, id, resource).await?;
        let subject = &artifact.root.digest;
        self.tag_referrers(&artifact.repository, subject)
            .await
            .map_err(|source| Error::backend("write", format!("referrers of {subject}"), source))?;
        Ok(others)
    }

    async fn put(&self, descriptor: &Descriptor, expected: Expected) -> Result<Digest, Error> {
        let id = descriptor.id();
        let repository = self.repository(&id.name)?;
        let tag = tag_of(id)?;
        let stored = match expected {
            Expected::Anything => None,
            _ => self.stored_digest(id).await?,
        };
        let as_expected = match expected {
            Expected::Anything => true,
            Expected::Absent => stored.is_none(),
            Expected::Stored(digest) => stored == Some(digest),
        };
        if !as_expected {
            return Err(Error::Changed {
                id: id.clone(),
                location: self.location(),
            });
        }

        let before = match expected {
            // That was asked just now.
            Expected::Absent => None,
            _ => match self.known(id).await {
                Ok(known) => Some(known),
                Err(error) if error.is_not_found() => None,
                // What is there is going to be replaced, so that it need not be readable.
                Err(_) if expected == Expected::Anything => None,
                Err(error) => return Err(error),
            },
        };
        let mut entries = Vec::new();
        let mut named = Vec::new();
        for (local, blob) in annotation::local_blobs(descriptor) {
            let mut entry = self
                .entry_of(id, &repository, &blob, before.as_ref().map(|it| &it.layout))
                .await?;
            named.push((repository.clone(), entry.digest));
            if !entry.is_manifest() && !blob.media_type.is_empty() {
                entry.media_type = blob.media_type;
            }
            entries.push((local, entry));
        }
        let written = manifest::build(id, descriptor.write_json(), entries);
        let layout = manifest::write(&self.store, &repository, &tag, written, expected).await;
        let layout = layout.map_err(|error| match error {
            ocm_oci::Error::Changed { .. } => Error::Changed {
                id: id.clone(),
                location: self.location(),
            },
            source => Error::backend("write", id.to_string(), source),
        })?;
        let mut added = lock(&self.added);
        for blob in named {
            added.remove(&blob);
        }
        drop(added);
        let known = self.remember(id, Known { repository, layout });
        Ok(known.layout.stored_digest)
    }

    fn foreseen_accesses(
        &self,
        component: &ComponentName,
        blobs: &[ForeseenBlob],
    ) -> Option<Vec<LocalAccess>> {
        let repository = self.repository(component).ok()?;
        let place = self.place(&repository);
        let access = |blob: &ForeseenBlob| {
            let entry = Entry::new(blob.media_type.clone(), blob.digest, blob.size);
            self.local_access(&repository, place.as_deref(), &entry)
        };
        Some(blobs.iter().map(access).collect())
    }

    fn foreseen_digest(
        &self,
        id: &ComponentVersionId,
        descriptor: Vec<u8>,
        blobs: Vec<ForeseenBlob>,
    ) -> Option<Digest> {
        let entries = blobs.into_iter().map(|blob| {
            let local = Local {
                kind: blob.kind,
                identity: blob.element,
            };
            (local, Entry::new(blob.media_type, blob.digest, blob.size))
        });
        let written = manifest::build(id, descriptor, entries.collect());
        Some(written.stored_digest())
    }

    async fn removal(
        &self,
        component: &ComponentName,
        versions: &BTreeSet<Version>,
    ) -> Result<Removal, Error> {
        self.plan_removal(component, versions).await
    }

    async fn remove(&self, removal: &Removal) -> Result<(), Error> {
        self.carry_out(removal).await
    }

    async fn has_unfinished_removal(&self, component: &ComponentName) -> Result<bool, Error> {
        self.is_removal_unfinished(component).await
    }

    async fn commit(&self) -> Result<(), Error> {
        self.store
            .commit()
            .await
            .map_err(|source| Error::backend("write", self.location(), source))
    }

    async fn suspend(&self) -> Result<(), Error> {
        self.store
            .suspend()
            .await
            .map_err(|source| Error::backend("write", self.location(), source))
    }
}

fn tag_of(id: &ComponentVersionId) -> Result<Tag, Error> {
    let tag = id.version.to_tag();
    tag.parse()
        .map_err(|source| Error::backend("address", id.to_string(), source))
}

/// Each change is one insertion, so that content is whole even where a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
