//! What a place has of a component version.

use std::collections::{BTreeMap, BTreeSet};

use ocm_digest::Digest;
use ocm_model::access::AccessKind;
use ocm_model::{Access, ComponentVersionId, Descriptor};
use ocm_oci::{
    CopyOptions, Depth, ImageReference, RepositoryName, StoreRef, list_referrers, survey,
};
use ocm_repository::{Artifact, RepositoryRef};

use crate::error::Error;

/// What is stored of a component version in one repository.
pub(super) struct Found {
    /// The repository, below the place of the components.
    pub(super) below: String,
    /// The component version, or an image beside it.
    pub(super) artifact: Artifact,
    /// Blobs and manifests, with their sizes in bytes.
    pub(super) blobs: BTreeMap<Digest, u64>,
}

/// Returns what names the stored form of a component version, and what is there of it: in the
/// repository of the component, and in those of images beside it, below the same prefix of the same
/// registry. What refers to an artifact is part of it.
///
/// # Errors
///
/// The component version is not there, or the place cannot be asked.
pub(super) async fn placed(
    repository: &RepositoryRef,
    id: &ComponentVersionId,
    prefix: &str,
    copy: &CopyOptions,
) -> Result<(Digest, Vec<Found>), Error> {
    let Some(artifact) = repository.stored_artifact(id).await? else {
        let stored = repository.component_version(id).await?;
        return Ok((stored.stored_digest, Vec::new()));
    };
    let below = |name: &RepositoryName| {
        let name = name.as_str();
        name.strip_prefix(prefix).map(str::to_owned)
    };
    let name = below(&artifact.repository).unwrap_or_else(|| artifact.repository.to_string());
    let mut found = vec![content_of(name, artifact.clone(), copy).await?];
    let stored = repository.component_version(id).await?;
    for image in images(&stored.descriptor) {
        if !is_in(&artifact.store, &image) {
            continue;
        }
        let (Some(name), Some(reference)) = (below(&image.repository), image.reference()) else {
            continue;
        };
        let root = match artifact.store.resolve(&image.repository, &reference).await {
            Ok(root) => root,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        let image = Artifact {
            store: StoreRef::clone(&artifact.store),
            repository: image.repository,
            root,
        };
        found.push(content_of(name, image, copy).await?);
    }
    Ok((artifact.root.digest, found))
}

/// Lists what is there of an artifact, and of what refers to it.
async fn content_of(below: String, artifact: Artifact, copy: &CopyOptions) -> Result<Found, Error> {
    let Artifact {
        store,
        repository,
        root,
    } = &artifact;
    let mut roots = vec![root.clone()];
    for (_, referrers) in list_referrers((store, repository), root, copy).await? {
        roots.extend(referrers.into_iter().map(|referrer| referrer.manifest));
    }
    let mut blobs = BTreeMap::new();
    let nothing = BTreeSet::new();
    for root in &roots {
        let surveyed = survey(store, repository, root, &nothing, Depth::Presence, copy).await?;
        blobs.extend(surveyed.found_manifests);
        blobs.extend(surveyed.found_blobs);
    }
    Ok(Found {
        below,
        artifact,
        blobs,
    })
}

/// Returns the images that resources and sources are.
fn images(descriptor: &Descriptor) -> Vec<ImageReference> {
    let resources = descriptor.resources();
    let sources = descriptor.sources();
    let accesses = resources.iter().map(|it| it.access.as_ref());
    let accesses = accesses.chain(sources.iter().map(|it| it.access.as_ref()));
    let reference = |access: &Access| match access.kind() {
        Ok(AccessKind::OciImage(image)) => image.image_reference.parse().ok(),
        _ => None,
    };
    accesses.flatten().filter_map(reference).collect()
}

/// Tells whether an image is in the registry that is a store.
fn is_in(store: &StoreRef, image: &ImageReference) -> bool {
    let location = store.location();
    let host = location.split_once("://").map(|(_, host)| host);
    host.is_some_and(|host| host.trim_end_matches('/') == image.registry)
}
