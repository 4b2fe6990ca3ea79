//! Space for an entry, and how it is filled.

use std::sync::{Arc, Mutex, PoisonError};

use ocm_blob::{BlobRef, CHUNK, Error, OpenFile, TAR_END, lazily, tar_header, tar_padding};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::Outcome;

use super::TarPacking;
use crate::packed::Extent;
use crate::sink::{blocking, go_on, write_stream};
use crate::writer::packing::{EntryName, Hold, MODE};

/// Space that was set aside for an entry, header and padding included.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) header: u64,
    pub(super) size: u64,
    /// Whether content was written there that may be of use.
    pub(super) is_kept: bool,
    pub(super) is_taken: bool,
}

impl Gap {
    pub(super) const fn content(&self) -> u64 {
        self.start + self.header
    }
}

/// Space for an entry that is being filled. Unless it is completed, it is given back once nobody
/// writes there any more: to the blob that it was set aside for.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) packing: TarPacking,
    pub(super) file: OpenFile,
    pub(super) gap: Gap,
    pub(super) digest: Option<Digest>,
    pub(super) complete: Mutex<bool>,
    pub(super) _hold: Hold,
}

impl Reservation {
    /// Writes the content. Where part of it is there, that is hashed, and the source is read from
    /// there on; if the whole is not what it must be then, all is read again.
    pub(super) async fn fill(self: &Arc<Self>, blob: &BlobRef) -> Result<Outcome, Error> {
        if let (true, Some(digest)) = (self.gap.is_kept, self.digest) {
            let extent = (self.gap.content(), self.gap.size);
            let there = self.file.clone();
            let len = blocking(move || filled(&there, extent)).await?;
            let keep = Arc::clone(self);
            if len > 0
                && let Some(outcome) = go_on(blob, digest, (&self.file, extent), len, keep).await?
            {
                return Ok(outcome);
            }
        }
        self.write(blob, None).await?;
        Ok(Outcome::Copied)
    }

    /// Writes content of an unknown digest, and returns that.
    pub(super) async fn fill_and_hash(
        self: &Arc<Self>,
        blob: &BlobRef,
        algorithm: HashAlgorithm,
    ) -> Result<Digest, Error> {
        let digest = self.write(blob, Some(algorithm)).await?;
        Ok(digest.expect("a digest was asked for"))
    }

    async fn write(
        self: &Arc<Self>,
        blob: &BlobRef,
        algorithm: Option<HashAlgorithm>,
    ) -> Result<Option<Digest>, Error> {
        let (file, keep) = (self.file.clone(), Arc::clone(self));
        let stream = lazily(Arc::clone(blob));
        let (at, size) = (self.gap.content(), self.gap.size);
        let written = write_stream(stream, file, at, size, algorithm, keep).await?;
        self.check_size(written.size)?;
        Ok(written.digest)
    }

    const fn check_size(&self, actual: u64) -> Result<(), Error> {
        let expected = self.gap.size;
        if actual == expected {
            Ok(())
        } else {
            Err(Error::SizeMismatch { expected, actual })
        }
    }

    /// Adds header and padding to the content, and the entry to the archive.
    pub(super) fn complete(&self, name: &EntryName) -> Result<(), Error> {
        let (gap, size) = (&self.gap, self.gap.size);
        let header = tar_header(&name.path(), size, MODE)?;
        self.file.write_at(&header, gap.start)?;
        let padding = &TAR_END[..tar_padding(size)];
        self.file.write_at(padding, gap.content() + size)?;
        *self.complete.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.packing.state().register(name, gap);
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if *self.complete.lock().unwrap_or_else(PoisonError::into_inner) {
            return;
        }
        let mut state = self.packing.state();
        let open = self.digest.and_then(|digest| state.open.get_mut(&digest));
        match open.filter(|gap| gap.start == self.gap.start) {
            Some(gap) => {
                gap.is_taken = false;
                gap.is_kept = true;
            }
            None => state.give_up(self.gap.start, self.gap.len),
        }
    }
}

/// Returns how far an extent was filled, which is done from its start: up to the last byte that is
/// not zero. It may have been more, and what is in between may be wrong.
pub(super) fn filled(file: &OpenFile, (at, size): Extent) -> Result<u64, Error> {
    let mut left = file.size()?.saturating_sub(at).min(size);
    while left > 0 {
        let len = left.min(CHUNK as u64);
        let chunk = file.read_at(at + left - len, usize::try_from(len).unwrap_or(CHUNK))?;
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            return Ok(left - len + last as u64 + 1);
        }
        left -= len;
    }
    Ok(0)
}
