//! Blobs in memory.

use async_trait::async_trait;
use bytes::Bytes;
use ocm_digest::Digest;

use crate::blob::Blob;
use crate::error::Error;
use crate::stream::{ByteStream, CHUNK, once};

/// A blob whose bytes are in memory: manifests, descriptors, short texts.
#[derive(Clone, Debug)]
pub struct MemoryBlob {
    bytes: Bytes,
    digest: Digest,
    media_type: Option<String>,
}

impl MemoryBlob {
    /// Takes bytes and computes their SHA-256 digest.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: Digest::sha256(&bytes),
            bytes,
            media_type: None,
        }
    }

    /// Gives the blob a media type.
    #[must_use]
    pub fn with_media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }
}

#[async_trait]
impl Blob for MemoryBlob {
    fn size(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    fn bytes(&self) -> Option<Bytes> {
        Some(self.bytes.clone())
    }

    fn read_at_hand(&self) -> Result<Option<Bytes>, Error> {
        Ok((self.bytes.len() <= CHUNK).then(|| self.bytes.clone()))
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        Ok(once(self.bytes.clone()))
    }
}
