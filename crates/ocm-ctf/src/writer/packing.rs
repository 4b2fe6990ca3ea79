//! What a partial archive can do, whether it is compressed or not.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::{BlobRef, Error, OpenFile};
use ocm_digest::Digest;
use ocm_oci::{Outcome, Pace, Pushed};

use super::loose::Loose;
use super::partial::Partial;
use crate::content::{Content, blob_path};
use crate::packed::Extent;

/// The permissions of all entries.
pub(super) const MODE: u32 = 0o644;

/// The size up to which an archive is copied on commit, to have its index first without blanks.
pub(super) const SMALL: u64 = 32 * 1024 * 1024;

/// Where in an archive stands what is not complete.
pub(super) const UNFINISHED: &str = "unfinished/";

/// The entry there behind which all others are loose.
pub(super) const LOOSE_BEHIND: &str = "loose";

/// Something that must stay until nothing is written any more, whoever waits for that.
pub(super) type Hold = Arc<dyn Any + Send + Sync>;

/// What an entry is called.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
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

    pub(super) const fn digest(&self) -> Option<Digest> {
        match self {
            Self::Blob(digest) => Some(*digest),
            Self::File(_) => None,
        }
    }
}

/// Whether an archive has all that it is going to have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Complete,
    /// Somebody will go on with what is in it.
    Unfinished,
}

/// A partial archive, to which entries are added: loose ones, and those that stand in the order in
/// which their space was set aside.
#[async_trait]
pub(super) trait Packing: Content {
    fn loose(&self) -> &Loose;

    /// Sets space aside for a large blob, behind what is there.
    fn arrange(&self, digest: &Digest, size: u64) -> Result<Pace, Error>;

    /// Adds an entry of a known size, at its place if there is one, otherwise behind what is there.
    /// Content that a killed writer has left there is not read again.
    async fn append(
        &self,
        name: EntryName,
        size: u64,
        blob: &BlobRef,
        hold: &Hold,
    ) -> Result<Outcome, Error>;

    /// Adds a blob of a known size and an unknown digest, unless it turns out to be there.
    async fn append_unhashed(
        &self,
        blob: &BlobRef,
        size: u64,
        hold: &Hold,
    ) -> Result<Pushed, Error>;

    /// Sets space aside for a blob of which another archive has part.
    fn take_over(&self, digest: &Digest, part: (&OpenFile, Extent)) -> Result<(), Error>;

    /// Takes a blob out again; returns `false` if that is not possible.
    fn remove(&self, digest: &Digest) -> bool;

    /// Returns whether there is nothing worth being kept.
    fn is_empty(&self) -> Result<bool, Error>;

    /// Adds the index and the end, makes everything durable, and gives it the archive's name.
    /// Blocks. May be called again when it has failed.
    fn finish(&self, index: &[u8], partial: &Partial, ending: Ending) -> Result<(), Error>;

    fn into_content(self: Arc<Self>) -> Arc<dyn Content>;
}

/// Adds the header and what fills up the last block to the content of the index.
pub(super) fn index_entry(index: &[u8], header: Vec<u8>) -> Vec<u8> {
    let mut entry = header;
    entry.extend_from_slice(index);
    entry.resize(entry.len() + ocm_blob::tar_padding(index.len() as u64), 0);
    entry
}
