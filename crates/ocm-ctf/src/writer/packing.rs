//! What a partial archive can do, whether it is compressed or not.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ocm_blob::{BlobRef, ByteStream, Error};
use ocm_digest::Digest;
use ocm_oci::Pushed;

use super::partial::Partial;
use crate::content::{Content, blob_path};

/// The permissions of all entries.
pub(super) const MODE: u32 = 0o644;

/// The size up to which an archive is copied on commit, to have its index first without blanks.
pub(super) const SMALL: u64 = 32 * 1024 * 1024;

/// Something that must stay until nothing is written any more, whoever waits for that.
pub(super) type Hold = Arc<dyn Any + Send + Sync>;

/// What an entry is called.
#[derive(Clone, Debug)]
pub(crate) enum EntryName {
    Blob(Digest),
    File(String),
}

impl EntryName {
    pub(super) fn path(&self) -> String {
        match self {
            Self::Blob(digest) => blob_path(digest),
            Self::File(path) => path.clone(),
        }
    }
}

/// A partial archive, to which entries are appended.
#[async_trait]
pub(super) trait Packing: Content {
    /// Appends an entry that is in memory.
    async fn append(&self, name: EntryName, bytes: Bytes, hold: &Hold) -> Result<(), Error>;

    /// Appends an entry of a known size. Nothing is left of one that fails.
    async fn append_stream(
        &self,
        name: EntryName,
        size: u64,
        stream: ByteStream,
        hold: &Hold,
    ) -> Result<(), Error>;

    /// Appends a blob of a known size and an unknown digest, unless it turns out to be there.
    async fn append_unhashed(
        &self,
        blob: &BlobRef,
        size: u64,
        hold: &Hold,
    ) -> Result<Pushed, Error>;

    /// Takes a blob out again; returns `false` if that is not possible.
    fn remove(&self, digest: &Digest) -> bool;

    /// Adds the index and the end, makes everything durable, and gives it the archive's name.
    /// Blocks. May be called again when it has failed.
    fn finish(&self, index: &[u8], partial: &Partial) -> Result<(), Error>;

    fn into_content(self: Arc<Self>) -> Arc<dyn Content>;
}
