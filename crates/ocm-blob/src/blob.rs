//! The trait that everything readable implements.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ocm_digest::Digest;

use crate::error::Error;
use crate::stream::{ByteStream, skip};

/// A blob that is shared between tasks.
pub type BlobRef = Arc<dyn Blob>;

/// Where content lies in a store with repositories. The same store may take it over into another
/// repository without moving it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Where the store is.
    pub store: String,
    /// The name of the repository in it.
    pub repository: String,
}

/// Content that can be opened any number of times.
///
/// # Guarantees
///
/// [`Blob::open`] verifies: when size or digest are known, its stream ends with
/// [`Error::SizeMismatch`] or [`Error::DigestMismatch`] unless the bytes are those.
#[async_trait]
pub trait Blob: fmt::Debug + Send + Sync {
    /// Returns the size in bytes, if known before reading.
    fn size(&self) -> Option<u64>;

    /// Returns the digest, if known before reading.
    fn digest(&self) -> Option<Digest>;

    /// Returns the media type, if the blob carries one.
    fn media_type(&self) -> Option<&str> {
        None
    }

    /// Returns the content if it is in memory already.
    fn bytes(&self) -> Option<Bytes> {
        None
    }

    /// Returns where the content lies, if it is in a store with repositories.
    fn origin(&self) -> Option<Origin> {
        None
    }

    /// Reads the content at once, verified as [`Blob::open`] does, where it is close at hand and no
    /// longer than a chunk; `None` if it has to be opened.
    ///
    /// # Errors
    ///
    /// The content cannot be read, or is not what it promised.
    fn read_at_hand(&self) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }

    /// Opens the content from its start.
    ///
    /// # Errors
    ///
    /// The content cannot be opened. Errors while reading are items of the stream.
    async fn open(&self) -> Result<ByteStream, Error>;

    /// Opens the content from its start to pass it on to whoever checks its digest, as many
    /// registries do with what they are sent: where it is cheaper, only the size is checked here, and
    /// what is large does not stay in the memory of the system.
    ///
    /// # Errors
    ///
    /// The same as those of [`Blob::open`].
    async fn open_unchecked(&self) -> Result<ByteStream, Error> {
        self.open().await
    }

    /// Opens the content from an offset. The digest is not checked, as part of the bytes is not
    /// seen; a caller that puts parts together checks the whole.
    ///
    /// # Errors
    ///
    /// The content cannot be opened, or ends before the offset.
    async fn open_at(&self, offset: u64) -> Result<ByteStream, Error> {
        let whole = self.open().await?;
        if offset == 0 {
            Ok(whole)
        } else {
            skip(whole, offset).await
        }
    }
}
