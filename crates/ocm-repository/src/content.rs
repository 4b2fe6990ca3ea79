//! What a resource or source consists of.

use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_model::Access;
use ocm_oci::{Descriptor, PlatformFilter, RepositoryName, Selection, StoreRef};

/// The content behind an access.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes. Their media type is the blob's.
    Blob(BlobRef),
    /// An OCI artifact that stands in a store.
    Artifact(Box<Artifact>),
}

impl Content {
    /// Returns the media type, if known.
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Self::Blob(blob) => blob.media_type(),
            Self::Artifact(artifact) => Some(&artifact.root.media_type),
        }
    }

    /// Returns the digest, if known: of the bytes, or of the topmost manifest.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Blob(blob) => blob.digest(),
            Self::Artifact(artifact) => Some(artifact.root.digest),
        }
    }
}

/// An OCI artifact that stands in a store.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The store.
    pub store: StoreRef,
    /// The repository in the store.
    pub repository: RepositoryName,
    /// The topmost manifest or index.
    pub root: Descriptor,
}

/// Returns the platforms of which images were copied, where an access says that it was not all.
/// What cannot be read says nothing.
pub fn platforms_of(access: &Access) -> Option<Vec<PlatformFilter>> {
    let stated = access.platforms()?;
    stated.iter().map(|it| it.parse().ok()).collect()
}

/// Returns what is there of an index behind an access: what the access says that was copied, or
/// everything.
pub fn selection_of(access: &Access) -> Selection {
    Selection::all().of(&platforms_of(access).unwrap_or_default())
}
