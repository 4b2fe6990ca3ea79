//! Blobs that are OCI layouts, opened as the artifact they hold.

use std::sync::Arc;

use ocm_blob::BlobRef;
use ocm_ctf::{OciLayout, Scratch};
use ocm_oci::RepositoryName;
use ocm_repository::{Artifact, Error};

/// Opens a blob that is an OCI layout or an artifact set in a tar, compressed or not, as the
/// artifact that it holds.
///
/// # Errors
///
/// The blob cannot be read, or holds no artifact that is the main one.
pub async fn open_layout(blob: &BlobRef) -> Result<Artifact, Error> {
    let failed = |source: ocm_oci::Error| Error::backend("read", "OCI layout", source);
    let name: RepositoryName = "layout"
        .parse()
        .map_err(|source| Error::backend("name", "OCI layout", source))?;
    let layout = OciLayout::read(blob, "OCI layout", name, &Scratch::default())
        .await
        .map_err(failed)?;
    let root = layout.main_artifact().map_err(failed)?;
    let repository = layout.repository().clone();
    Ok(Artifact {
        store: Arc::new(layout),
        repository,
        root,
    })
}
