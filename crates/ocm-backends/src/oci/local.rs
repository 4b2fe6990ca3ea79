//! Local blobs: how they are pushed, named in descriptors, and found again by manifests.

use std::sync::Arc;

use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_model::access::{LocalBlob, OciImageLayer};
use ocm_model::{Access, ComponentVersionId, DigestSpec};
use ocm_oci::{
    CopyOptions, Descriptor as Entry, ImageReference, Outcome, Reference, RepositoryName, Tag,
    push_blob,
};
use ocm_repository::{
    AddedContent, Artifact, ComponentRepository as _, Content, Error, LocalAccess,
};

use super::manifest::Layout;
use super::{OciComponentRepository, Registry, lock};
use crate::access::NO_REFERENCE;

impl OciComponentRepository {
    /// Returns how an artifact is named from elsewhere, if the store can be reached from there.
    pub(super) fn image_reference(
        &self,
        repository: &RepositoryName,
        tag: Option<Tag>,
        digest: Digest,
    ) -> Option<String> {
        let registry = self.registry.as_ref()?;
        let reference = ImageReference {
            scheme: registry.scheme.clone(),
            registry: registry.host.clone(),
            repository: repository.clone(),
            tag,
            digest: Some(digest),
        };
        Some(reference.to_string())
    }

    /// Returns the artifact that a reference without registry names: in this store, or below the
    /// prefix of the components.
    pub(super) async fn relative_artifact(&self, text: &str) -> Result<Content, Error> {
        let failed = |source| Error::backend("reach", text, source);
        let image: ImageReference = format!("here/{}", text.trim_start_matches('/'))
            .parse()
            .map_err(|source| Error::backend("address", text, source))?;
        let reference = image
            .reference()
            .ok_or_else(|| failed(ocm_oci::Error::malformed(text, NO_REFERENCE)))?;
        let mut repository = image.repository;
        let mut found = self.store.resolve(&repository, &reference).await;
        if matches!(&found, Err(error) if error.is_not_found()) && self.prefix.is_some() {
            repository = self.below_prefix(repository.as_str())?;
            found = self.store.resolve(&repository, &reference).await;
        }
        Ok(Content::Artifact(Box::new(Artifact {
            store: Arc::clone(&self.store),
            repository,
            root: found.map_err(failed)?.plain(),
        })))
    }

    /// Returns the access to a local blob that also holds from elsewhere; `place` is what
    /// [`Self::place`] says of the repository.
    fn global_access(
        &self,
        repository: &RepositoryName,
        place: Option<&str>,
        entry: &Entry,
    ) -> Option<Access> {
        if entry.is_manifest() {
            let reference = self.image_reference(repository, None, entry.digest)?;
            return Some(Access::oci_artifact(&reference));
        }
        Some(Access::oci_image_layer(&OciImageLayer {
            reference: place?.to_owned(),
            digest: entry.digest,
            size: entry.size,
            media_type: Some(entry.media_type.clone()),
        }))
    }

    /// Returns how a repository is named from elsewhere, if the store can be reached from there.
    pub(super) fn place(&self, repository: &RepositoryName) -> Option<String> {
        let Registry { scheme, host } = self.registry.as_ref()?;
        let scheme = scheme.as_ref().map(|scheme| format!("{scheme}://"));
        let scheme = scheme.unwrap_or_default();
        Some(format!("{scheme}{host}/{repository}"))
    }

    /// Returns what a descriptor says of content that was pushed, and keeps what points to it for
    /// the manifest.
    pub(super) fn added(
        &self,
        repository: &RepositoryName,
        entry: Entry,
        reference_name: Option<&str>,
        size: u64,
        outcome: Outcome,
    ) -> AddedContent {
        let place = self.place(repository);
        let mut access = self.local_access(repository, place.as_deref(), &entry);
        access.blob.reference_name = reference_name.map(str::to_owned);
        let digest = if entry.is_manifest() {
            DigestSpec::oci_artifact(&entry.digest)
        } else {
            DigestSpec::generic_blob(&entry.digest)
        };
        lock(&self.added).insert((repository.clone(), entry.digest), entry);
        AddedContent {
            access: access.into(),
            digest,
            size,
            outcome,
        }
    }

    /// Returns how what an entry points to is reached as a local blob; `place` is what [`Self::place`]
    /// says of the repository.
    pub(super) fn local_access(
        &self,
        repository: &RepositoryName,
        place: Option<&str>,
        entry: &Entry,
    ) -> LocalAccess {
        LocalAccess {
            blob: LocalBlob::new(&entry.digest, &entry.media_type),
            global: self.global_access(repository, place, entry),
        }
    }

    /// Pushes a blob, and returns what points to it.
    pub(super) async fn add_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
        options: &CopyOptions,
    ) -> Result<(Entry, Outcome), Error> {
        let pushed = push_blob(&self.store, repository, blob, options)
            .await
            .map_err(|source| Error::backend("write to", self.location(), source))?;
        let media_type = blob.media_type().unwrap_or("application/octet-stream");
        Ok((
            Entry::new(media_type, pushed.digest, pushed.size),
            pushed.outcome,
        ))
    }

    /// Returns what points to a local blob, for the manifest that is going to name it.
    pub(super) async fn entry_of(
        &self,
        id: &ComponentVersionId,
        repository: &RepositoryName,
        blob: &LocalBlob,
        before: Option<&Layout>,
    ) -> Result<Entry, Error> {
        let missing = || Error::NoLocalBlob {
            id: id.clone(),
            reference: blob.local_reference.clone(),
        };
        let digest = blob.digest().ok_or_else(missing)?;
        if let Some(entry) = lock(&self.added).get(&(repository.clone(), digest)) {
            return Ok(entry.clone());
        }
        if let Some(entry) = before.and_then(|layout| layout.local_blob(&digest)) {
            return Ok(entry);
        }
        let ask = |source| Error::backend("read", format!("local blob {digest} of {id}"), source);
        if ocm_oci::media_type::is_manifest(&blob.media_type) {
            let found = self
                .store
                .resolve(repository, &Reference::Digest(digest))
                .await;
            return match found {
                Ok(entry) => Ok(entry.plain()),
                Err(error) if error.is_not_found() => Err(missing()),
                Err(error) => Err(ask(error)),
            };
        }
        let size = self
            .store
            .stat_blob(repository, &digest)
            .await
            .map_err(ask)?;
        Ok(Entry::new(
            blob.media_type.clone(),
            digest,
            size.ok_or_else(missing)?,
        ))
    }
}
