//! Content as that of which a descriptor states the digest.

use std::error::Error as StdError;

use ocm_backends::open_layout;
use ocm_digest::HashAlgorithm;
use ocm_model::DigestSpec;
use ocm_oci::CopyOptions;
use ocm_repository::{Content, Error};

use crate::verify::content::hash;

/// Returns content as that of which a digest is stated: the first Go tool packs artifacts into
/// blobs, and states the digests of the artifacts.
///
/// # Errors
///
/// An artifact is stated, and the blob holds none.
pub async fn as_stated(content: Content, digest: Option<&DigestSpec>) -> Result<Content, Error> {
    match content {
        Content::Blob(blob) if digest.is_some_and(states_artifact) => {
            Ok(Content::Artifact(Box::new(open_layout(&blob).await?)))
        }
        content => Ok(content),
    }
}

/// Returns the digest that is to be stated of content whose digest is missing, and the content that
/// it is of. A blob is read to its end; an artifact is named by its manifest.
///
/// # Errors
///
/// The content cannot be read.
pub(crate) async fn to_state(
    content: Content,
    algorithm: HashAlgorithm,
    options: &CopyOptions,
) -> Result<(DigestSpec, Content), Box<dyn StdError + Send + Sync>> {
    let content = unpacked(content).await?;
    let digest = match &content {
        Content::Artifact(artifact) => DigestSpec::oci_artifact(&artifact.root.digest),
        Content::Blob(blob) => {
            let (digest, _) = hash(&options.watch(blob), algorithm).await?;
            DigestSpec::generic_blob(&digest)
        }
    };
    Ok((digest, content))
}

/// Returns content as that of which a digest is to be stated: an artifact set, as the first Go tool
/// packs artifacts, is the artifact that it holds.
///
/// # Errors
///
/// The blob holds no artifact.
async fn unpacked(content: Content) -> Result<Content, Error> {
    match content {
        Content::Blob(blob) if blob.media_type().is_some_and(is_artifact_set) => {
            Ok(Content::Artifact(Box::new(open_layout(&blob).await?)))
        }
        content => Ok(content),
    }
}

/// Returns whether a media type is that of a manifest, packed with all that belongs to it.
fn is_artifact_set(media_type: &str) -> bool {
    let packed = media_type.strip_suffix("+tar+gzip");
    let manifest = packed.or_else(|| media_type.strip_suffix("+tar"));
    manifest.is_some_and(|manifest| {
        [
            "application/vnd.oci.image.manifest.v1",
            "application/vnd.oci.image.index.v1",
            "application/vnd.docker.distribution.manifest.v2",
            "application/vnd.docker.distribution.manifest.list.v2",
        ]
        .contains(&manifest)
    })
}

/// Returns whether a digest is that of an OCI artifact, however it is packed.
pub(crate) fn states_artifact(spec: &DigestSpec) -> bool {
    [DigestSpec::OCI_ARTIFACT, DigestSpec::OCI_ARTIFACT_LEGACY]
        .contains(&spec.normalisation_algorithm.as_str())
}
