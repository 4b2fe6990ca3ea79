//! Blobs that are OCI layouts, opened as the artifact they hold.

use ocm_blob::BlobRef;
use ocm_repository::{Artifact, Error};

/// Opens a blob that is an OCI layout in a tar.
pub(super) fn open(blob: &BlobRef) -> Result<Artifact, Error> {
    let location = blob.media_type().unwrap_or("a blob").to_owned();
    Err(Error::Unsupported {
        location,
        operation: "being read as an OCI layout",
    })
}
