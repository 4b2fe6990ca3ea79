//! What a descriptor lets one expect of content, and whether content is that.

use std::sync::Arc;

use ocm_blob::BlobRef;
use ocm_ctf::is_oci_layout;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::DigestSpec;
use ocm_oci::{Document, Reference, media_type};
use ocm_repository::{Artifact, Content};

use super::checked::Checked;
use super::packed::{self, Unpacked};

/// What a descriptor lets one expect of content.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expectation {
    /// Nothing: there is no digest, or it deliberately covers nothing.
    Nothing,
    /// Content with this digest.
    Digest {
        digest: Digest,
        normalisation: Normalisation,
    },
    /// Something that cannot be computed here, for the reason given.
    Unknown(String),
}

/// How content became the bytes that were hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Normalisation {
    /// Not at all. The second Go implementation also calls it so if it has hashed a manifest.
    Blob,
    /// They are the topmost manifest, however the artifact is packed.
    Artifact,
    /// In a way that is not known here.
    Other,
}

/// Content that is ready to be moved.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) content: Content,
    /// What still has to be checked once it has moved.
    pub(super) check: Check,
    /// The media type, if the target must not see it.
    pub(super) hidden_media_type: Option<String>,
    pub(super) note: Option<String>,
}

/// What still has to be checked once content has moved.
#[derive(Debug)]
pub(super) enum Check {
    /// Nothing.
    Done,
    /// That the target has stored content with this digest.
    Stored(Digest),
    /// That this blob has been read whole, which checks it; else it has to be.
    Read(Arc<Checked>),
}

/// Content does not have the digest that is expected.
#[derive(Debug)]
pub(super) enum Mismatch {
    /// It has this one.
    Digest(Digest),
    /// It could not be looked at.
    Store(ocm_oci::Error),
}

impl Expectation {
    pub(super) fn of(spec: Option<&DigestSpec>) -> Self {
        let Some(spec) = spec.filter(|spec| !spec.is_empty() && !spec.is_excluded()) else {
            return Self::Nothing;
        };
        let normalisation = match spec.normalisation_algorithm.as_str() {
            DigestSpec::GENERIC_BLOB => Normalisation::Blob,
            DigestSpec::OCI_ARTIFACT | DigestSpec::OCI_ARTIFACT_LEGACY => Normalisation::Artifact,
            _ => Normalisation::Other,
        };
        match spec.digest() {
            Ok(digest) => Self::Digest {
                digest,
                normalisation,
            },
            Err(error) => Self::Unknown(format!("its content was not checked: {error}")),
        }
    }

    /// Compares content with what is expected, as far as that is known before it is read, and
    /// prepares it so that the rest is checked as it moves.
    pub(super) async fn prepare(&self, content: Content) -> Result<Ready, Mismatch> {
        match self {
            Self::Nothing => Ok(ready(content, Check::Done)),
            Self::Unknown(reason) => Ok(unchecked(content, reason.clone())),
            Self::Digest {
                digest,
                normalisation,
            } => match content {
                Content::Artifact(artifact) => {
                    prepare_artifact(*artifact, *digest, *normalisation).await
                }
                Content::Blob(blob) => prepare_blob(blob, *digest, *normalisation).await,
            },
        }
    }
}

async fn prepare_artifact(
    artifact: Artifact,
    expected: Digest,
    normalisation: Normalisation,
) -> Result<Ready, Mismatch> {
    let actual = artifact.root.digest;
    if actual == expected {
        return Ok(ready(
            Content::Artifact(Box::new(artifact)),
            Check::Stored(expected),
        ));
    }
    // A chart that was digested as the archive it is comes in a manifest from a registry.
    if normalisation == Normalisation::Blob
        && let Some(layer) = layer(&artifact, expected).await.map_err(Mismatch::Store)?
    {
        return Ok(ready(Content::Blob(layer), Check::Stored(expected)));
    }
    let content = Content::Artifact(Box::new(artifact));
    if actual.algorithm() != expected.algorithm() {
        let note = format!("its content was not checked: it is known by {actual}");
        return Ok(unchecked(content, note));
    }
    if normalisation == Normalisation::Other {
        return Ok(unchecked(content, not_known()));
    }
    Err(Mismatch::Digest(actual))
}

/// Returns the layer of an image that has a digest.
async fn layer(artifact: &Artifact, digest: Digest) -> Result<Option<BlobRef>, ocm_oci::Error> {
    if !media_type::is_image(&artifact.root.media_type) {
        return Ok(None);
    }
    let reference = Reference::Digest(artifact.root.digest);
    let manifest = artifact
        .store
        .manifest(&artifact.repository, &reference)
        .await?;
    let Document::Image(image) = manifest.parse()? else {
        return Ok(None);
    };
    let layer = image.layers.iter().find(|layer| layer.digest == digest);
    Ok(layer.map(|layer| artifact.store.blob(&artifact.repository, layer)))
}

async fn prepare_blob(
    blob: BlobRef,
    expected: Digest,
    normalisation: Normalisation,
) -> Result<Ready, Mismatch> {
    let known = blob.digest();
    let is_layout = blob.media_type().is_some_and(is_oci_layout);
    if known == Some(expected) && !is_layout {
        return Ok(ready(Content::Blob(blob), Check::Stored(expected)));
    }
    if known == Some(expected) {
        // The archive itself was digested, so that it must stay one.
        let hidden_media_type = blob.media_type().map(str::to_owned);
        let checked: BlobRef = Arc::new(Checked::new(blob, expected).without_media_type());
        return Ok(Ready {
            hidden_media_type,
            ..ready(Content::Blob(checked), Check::Stored(expected))
        });
    }
    if is_layout && expected.algorithm() == HashAlgorithm::Sha256 {
        return Ok(ready(Content::Blob(blob), Check::Stored(expected)));
    }
    match normalisation {
        // The first Go tool packs artifacts into blobs, but states the digest of the artifact: in
        // whatever form it is stored, its digest stays the same.
        Normalisation::Artifact if expected.algorithm() == HashAlgorithm::Sha256 => {
            match packed::unpack(&blob).await.map_err(Mismatch::Store)? {
                Unpacked::Artifact(artifact) if artifact.root.digest == expected => {
                    Ok(ready(Content::Artifact(artifact), Check::Stored(expected)))
                }
                Unpacked::Artifact(artifact) => Err(Mismatch::Digest(artifact.root.digest)),
                Unpacked::Several => {
                    let checked = Arc::new(Checked::artifact(blob, expected));
                    let content = Content::Blob(Arc::<Checked>::clone(&checked));
                    Ok(ready(content, Check::Read(checked)))
                }
            }
        }
        Normalisation::Artifact => {
            let note =
                format!("its content was not checked: no layout names artifacts as {expected}");
            Ok(unchecked(Content::Blob(blob), note))
        }
        Normalisation::Other => Ok(unchecked(Content::Blob(blob), not_known())),
        Normalisation::Blob => match known {
            Some(actual) if actual.algorithm() == expected.algorithm() => {
                Err(Mismatch::Digest(actual))
            }
            _ => {
                let checked = Arc::new(Checked::new(blob, expected));
                let content = Content::Blob(Arc::<Checked>::clone(&checked));
                Ok(ready(content, Check::Read(checked)))
            }
        },
    }
}

fn not_known() -> String {
    "its content was not checked: the normalisation of its digest is not known".to_owned()
}

const fn ready(content: Content, check: Check) -> Ready {
    Ready {
        content,
        check,
        hidden_media_type: None,
        note: None,
    }
}

const fn unchecked(content: Content, note: String) -> Ready {
    Ready {
        content,
        check: Check::Done,
        hidden_media_type: None,
        note: Some(note),
    }
}

#[cfg(test)]
mod tests {
    use ocm_blob::MemoryBlob;

    use super::*;

    fn blob(media_type: &str) -> BlobRef {
        Arc::new(MemoryBlob::new("hello").with_media_type(media_type))
    }

    async fn prepare(spec: &DigestSpec, media_type: &str) -> Result<Ready, Mismatch> {
        Expectation::of(Some(spec))
            .prepare(Content::Blob(blob(media_type)))
            .await
    }

    #[tokio::test]
    async fn other_content_is_found_out_before_it_moves() {
        let spec = DigestSpec::generic_blob(&Digest::sha256("other"));
        let mismatch = prepare(&spec, "text/plain").await.unwrap_err();
        assert!(matches!(mismatch, Mismatch::Digest(actual) if actual == Digest::sha256("hello")));
    }

    #[tokio::test]
    async fn another_hash_is_checked_by_reading() {
        let spec = DigestSpec::generic_blob(&HashAlgorithm::Sha512.digest("hello"));
        let ready = prepare(&spec, "text/plain").await.unwrap();
        let Check::Read(checked) = &ready.check else {
            panic!("nothing to check");
        };
        assert!(!checked.is_proven());
        let Content::Blob(content) = &ready.content else {
            panic!("no blob");
        };
        ocm_blob::read_to_end(content.as_ref(), 100).await.unwrap();
        assert!(checked.is_proven());
    }

    #[tokio::test]
    async fn an_archive_that_was_digested_itself_stays_one() {
        const OCI_LAYOUT: &str = "application/vnd.ocm.software.oci.layout.v1+tar+gzip";
        let spec = DigestSpec::generic_blob(&Digest::sha256("hello"));
        let ready = prepare(&spec, OCI_LAYOUT).await.unwrap();
        assert_eq!(ready.content.media_type(), None);
        assert_eq!(ready.hidden_media_type.as_deref(), Some(OCI_LAYOUT));
        let of_manifest = DigestSpec::generic_blob(&Digest::sha256("manifest"));
        let ready = prepare(&of_manifest, OCI_LAYOUT).await.unwrap();
        assert_eq!(ready.content.media_type(), Some(OCI_LAYOUT));
    }

    #[tokio::test]
    async fn what_cannot_be_checked_is_noted() {
        let artifact = DigestSpec::oci_artifact(&HashAlgorithm::Sha512.digest("manifest"));
        let set = "application/vnd.oci.image.manifest.v1+tar+gzip";
        assert!(prepare(&artifact, set).await.unwrap().note.is_some());
        let other = DigestSpec::new(&Digest::sha256("x"), "acmeDigest/v1");
        assert!(prepare(&other, "text/plain").await.unwrap().note.is_some());
        let mut broken = other;
        broken.hash_algorithm = "MD5".to_owned();
        assert!(prepare(&broken, "text/plain").await.unwrap().note.is_some());
    }

    #[test]
    fn no_digest_expects_nothing() {
        assert_eq!(Expectation::of(None), Expectation::Nothing);
        assert_eq!(
            Expectation::of(Some(&DigestSpec::excluded())),
            Expectation::Nothing
        );
        assert_eq!(
            Expectation::of(Some(&DigestSpec::default())),
            Expectation::Nothing
        );
    }
}
