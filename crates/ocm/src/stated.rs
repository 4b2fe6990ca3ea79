//! Content as that of which a descriptor states the digest.

use ocm_backends::open_layout;
use ocm_model::DigestSpec;
use ocm_repository::{Content, Error};

/// Returns content as that of which a digest is stated: the first Go tool packs artifacts into
/// blobs, and states the digests of the artifacts.
///
/// # Errors
///
/// An artifact is stated, and the blob holds none.
pub(crate) async fn as_stated(
    content: Content,
    digest: Option<&DigestSpec>,
) -> Result<Content, Error> {
    match content {
        Content::Blob(blob) if digest.is_some_and(states_artifact) => {
            Ok(Content::Artifact(Box::new(open_layout(&blob).await?)))
        }
        content => Ok(content),
    }
}

/// Returns whether a digest is that of an OCI artifact, however it is packed.
fn states_artifact(spec: &DigestSpec) -> bool {
    [DigestSpec::OCI_ARTIFACT, DigestSpec::OCI_ARTIFACT_LEGACY]
        .contains(&spec.normalisation_algorithm.as_str())
}
