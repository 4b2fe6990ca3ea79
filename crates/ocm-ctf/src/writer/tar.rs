//! A partial archive that is a tar: extents are reserved, and filled in any order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use ocm_blob::{BlobRef, ByteStream, Error, OpenFile, TAR_END, tar_header, tar_padding};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{Outcome, Pushed};

use super::packing::{EntryName, Hold, MODE, Packing, SMALL};
use super::partial::{Partial, copy_range};
use crate::content::Content;
use crate::index::INDEX_FILE;
use crate::packed::Extent;
use crate::sink::write_stream;

/// The space at the start that is kept for the index: enough for some 5000 manifests. If it turns
/// out too small, the archive is copied once more.
const REGION: u64 = 1024 * 1024;

/// A tar that is being written.
#[derive(Clone, Debug)]
pub(super) struct TarPacking(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    file: OpenFile,
    /// Where the next entry starts.
    end: u64,
    /// The entries that are complete, each with header and padding, by where they start.
    slots: BTreeMap<u64, u64>,
    /// What was reserved and given up, by where it starts.
    holes: BTreeMap<u64, u64>,
    /// The content of complete blobs.
    blobs: BTreeMap<Digest, Extent>,
}

impl TarPacking {
    pub(super) fn new(file: OpenFile) -> Self {
        Self(Arc::new(Mutex::new(State {
            file,
            end: REGION,
            slots: BTreeMap::new(),
            holes: BTreeMap::new(),
            blobs: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that changes the state can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, path: &str, size: u64, hold: &Hold) -> Result<Arc<Reservation>, Error> {
        let header = tar_header(path, size, MODE)?.len() as u64;
        let len = header + size + tar_padding(size) as u64;
        let mut state = self.state();
        // A blob that is tried again fits where it was.
        let fitting = state.holes.iter().find(|(_, hole)| **hole == len);
        let start = fitting.map_or(state.end, |(start, _)| *start);
        if state.holes.remove(&start).is_none() {
            state.end += len;
        }
        Ok(Arc::new(Reservation {
            packing: self.clone(),
            file: state.file.clone(),
            start,
            len,
            header,
            size,
            complete: Mutex::new(false),
            _hold: Arc::clone(hold),
        }))
    }

    /// Puts the index where space was kept, filled up with blanks.
    fn write_index(state: &State, index: &[u8]) -> Result<(), Error> {
        let len = REGION - tar_header(INDEX_FILE, REGION, MODE)?.len() as u64;
        let mut entry = tar_header(INDEX_FILE, len, MODE)?;
        entry.extend_from_slice(index);
        entry.resize(usize::try_from(REGION).unwrap_or(entry.len()), b' ');
        state.file.write_at(&entry, 0)?;
        state.file.write_at(&TAR_END, state.end)?;
        let end = state.end + TAR_END.len() as u64;
        let cut = state.file.file().set_len(end);
        cut.map_err(|source| Error::file("write", state.file.path(), source))
    }

    /// Copies all entries behind an index that takes no more than it needs.
    fn rewrite(state: &State, index: &[u8], target: &OpenFile) -> Result<State, Error> {
        let mut entry = tar_header(INDEX_FILE, index.len() as u64, MODE)?;
        entry.extend_from_slice(index);
        entry.resize(entry.len() + tar_padding(index.len() as u64), 0);
        target.write_at(&entry, 0)?;
        let mut end = entry.len() as u64;
        let mut slots = BTreeMap::new();
        let mut moved = BTreeMap::new();
        for (&start, &len) in &state.slots {
            copy_range(&state.file, (start, len), target, end)?;
            slots.insert(end, len);
            moved.insert(start, end);
            end += len;
        }
        target.write_at(&TAR_END, end)?;
        let place = |&(at, size): &Extent| {
            let (from, to) = moved.range(..at).next_back()?;
            Some((at - from + to, size))
        };
        let blobs = state.blobs.iter();
        Ok(State {
            file: target.clone(),
            end,
            slots,
            holes: BTreeMap::new(),
            blobs: blobs
                .filter_map(|(digest, extent)| Some((*digest, place(extent)?)))
                .collect(),
        })
    }
}

/// Space for an entry. Given back unless it is completed, once nobody writes there any more.
#[derive(Debug)]
struct Reservation {
    packing: TarPacking,
    file: OpenFile,
    start: u64,
    len: u64,
    header: u64,
    size: u64,
    complete: Mutex<bool>,
    _hold: Hold,
}

impl Reservation {
    const fn content(&self) -> u64 {
        self.start + self.header
    }

    async fn fill(
        self: &Arc<Self>,
        stream: ByteStream,
        algorithm: Option<HashAlgorithm>,
    ) -> Result<Option<Digest>, Error> {
        let (file, keep) = (self.file.clone(), Arc::clone(self));
        let written =
            write_stream(stream, file, self.content(), self.size, algorithm, keep).await?;
        if written.size == self.size {
            Ok(written.digest)
        } else {
            Err(Error::SizeMismatch {
                expected: self.size,
                actual: written.size,
            })
        }
    }

    /// Adds header and padding to the content, and the entry to the archive.
    fn complete(&self, name: &EntryName) -> Result<(), Error> {
        let header = tar_header(&name.path(), self.size, MODE)?;
        self.file.write_at(&header, self.start)?;
        let padding = tar_padding(self.size);
        self.file
            .write_at(&TAR_END[..padding], self.content() + self.size)?;
        self.register(name);
        Ok(())
    }

    fn register(&self, name: &EntryName) {
        *self.complete.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let mut state = self.packing.state();
        state.slots.insert(self.start, self.len);
        if let EntryName::Blob(digest) = name {
            let old = state.blobs.insert(*digest, (self.content(), self.size));
            if let Some((at, _)) = old {
                state.give_up_entry(at);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !*self.complete.lock().unwrap_or_else(PoisonError::into_inner) {
            self.packing.state().give_up(self.start, self.len);
        }
    }
}

impl State {
    fn give_up(&mut self, start: u64, len: u64) {
        self.holes.insert(start, len);
        // Space at the end is free again.
        while let Some((&start, &len)) = self.holes.last_key_value()
            && start + len == self.end
        {
            self.holes.remove(&start);
            self.end = start;
        }
    }

    /// Gives up the entry with content at a place.
    fn give_up_entry(&mut self, at: u64) {
        let start = self.slots.range(..at).next_back().map(|(start, _)| *start);
        if let Some(start) = start
            && let Some(len) = self.slots.remove(&start)
        {
            self.give_up(start, len);
        }
    }
}

#[async_trait]
impl Packing for TarPacking {
    async fn append(&self, name: EntryName, bytes: Bytes, hold: &Hold) -> Result<(), Error> {
        let path = name.path();
        let size = bytes.len() as u64;
        let reservation = self.reserve(&path, size, hold)?;
        let mut entry = tar_header(&path, size, MODE)?;
        entry.extend_from_slice(&bytes);
        entry.resize(entry.len() + tar_padding(size), 0);
        reservation.file.write_at(&entry, reservation.start)?;
        reservation.register(&name);
        Ok(())
    }

    async fn append_stream(
        &self,
        name: EntryName,
        size: u64,
        stream: ByteStream,
        hold: &Hold,
    ) -> Result<(), Error> {
        let reservation = self.reserve(&name.path(), size, hold)?;
        reservation.fill(stream, None).await?;
        reservation.complete(&name)
    }

    async fn append_unhashed(
        &self,
        blob: &BlobRef,
        size: u64,
        hold: &Hold,
    ) -> Result<Pushed, Error> {
        let algorithm = HashAlgorithm::default();
        // All digests of one algorithm give a header of the same length.
        let path = EntryName::Blob(algorithm.digest(b"")).path();
        let reservation = self.reserve(&path, size, hold)?;
        let digest = reservation
            .fill(blob.open().await?, Some(algorithm))
            .await?;
        let digest = digest.expect("a digest was asked for");
        let outcome = if self.size(&digest)? == Some(size) {
            Outcome::Existed
        } else {
            reservation.complete(&EntryName::Blob(digest))?;
            Outcome::Copied
        };
        Ok(Pushed {
            digest,
            size,
            outcome,
        })
    }

    fn remove(&self, digest: &Digest) -> bool {
        let mut state = self.state();
        if let Some((at, _)) = state.blobs.remove(digest) {
            state.give_up_entry(at);
        }
        true
    }

    fn finish(&self, index: &[u8], partial: &Partial) -> Result<(), Error> {
        // Nobody pushes now, but readers should not wait.
        let state = self.state().clone();
        let header = tar_header(INDEX_FILE, index.len() as u64, MODE)?.len();
        let fits = (header + index.len()) as u64 <= REGION;
        if fits && state.holes.is_empty() && state.end - REGION > SMALL {
            Self::write_index(&state, index)?;
            return partial.replace(&state.file);
        }
        let target = partial.rewrite()?;
        let rewritten = Self::rewrite(&state, index, &target)?;
        partial.replace(&target)?;
        *self.state() = rewritten;
        Ok(())
    }

    fn into_content(self: Arc<Self>) -> Arc<dyn Content> {
        self
    }
}

impl Content for TarPacking {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.state().blobs.get(digest).map(|(_, size)| *size))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let state = self.state();
        let found = state.blobs.get(digest);
        Ok(found.map(|&(at, size)| Arc::new(state.file.blob(at, size)) as BlobRef))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        let (file, found) = {
            let state = self.state();
            (state.file.clone(), state.blobs.get(digest).copied())
        };
        let Some((at, size)) = found else {
            return Ok(None);
        };
        match usize::try_from(size) {
            Ok(len) if size <= limit => file.read_at(at, len).map(Some),
            _ => Err(Error::TooLarge { limit }),
        }
    }
}
