//! OCI artifacts that are packed into blobs: layouts, and the artifact sets of the first Go tool.

use std::sync::Arc;

use ocm_blob::BlobRef;
use ocm_ctf::{OciLayout, Scratch, is_artifact_set, is_oci_layout};
use ocm_model::DigestSpec;
use ocm_oci::Error;
use ocm_repository::Artifact;

/// What a packed artifact is without its packing.
#[derive(Debug)]
pub(super) enum Unpacked {
    /// The artifact, and nothing else was there.
    Artifact(Box<Artifact>),
    /// There are others beside it, which would be lost.
    Several,
}

/// Opens a blob that holds an artifact.
///
/// # Errors
///
/// It cannot be read, or holds no artifact that is the main one.
pub(super) async fn unpack(blob: &BlobRef) -> Result<Unpacked, Error> {
    const NAME: &str = "packed artifact";
    let repository = "artifact"
        .parse()
        .map_err(|error: ocm_oci::ParseNameError| Error::malformed(NAME, error.to_string()))?;
    let layout = OciLayout::read(blob, NAME, repository, &Scratch::default()).await?;
    if layout.holds_more()? {
        return Ok(Unpacked::Several);
    }
    let root = layout.main_artifact()?;
    let repository = layout.repository().clone();
    Ok(Unpacked::Artifact(Box::new(Artifact {
        store: Arc::new(layout),
        repository,
        root,
    })))
}

/// Returns whether nothing says that a blob must stay what it is: its digest is not that of its
/// bytes.
pub(super) fn is_free(blob: &BlobRef, digest: Option<&DigestSpec>) -> bool {
    let covers_nothing = digest.is_none_or(|digest| digest.is_empty() || digest.is_excluded());
    blob.media_type().is_some_and(|media_type| {
        // A layout whose own digest is stated does not show its media type.
        is_oci_layout(media_type) || (covers_nothing && is_artifact_set(media_type))
    })
}
