//! A partial archive that is a tar: extents are set aside, and filled in any order.
//!
//! A header is written as soon as there is space for its entry. So the next writer sees where a
//! killed one has filled what, as long as it sets aside the same in the same order. What it
//! finds is hashed before it counts: no byte is trusted because it is there.

mod extent;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use ocm_blob::{BlobRef, Error, OpenFile, TAR_END, tar_header, tar_padding};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{Outcome, Pace, Pushed};

use self::extent::{Gap, Reservation, filled};
use super::loose::Loose;
use super::packing::{
    Ending, EntryName, Hold, LOOSE_BEHIND, MODE, Packing, SMALL, UNFINISHED, index_entry,
};
use super::partial::{Partial, copy_range};
use crate::content::{Content, blob_file};
use crate::index::INDEX_FILE;
use crate::packed::Extent;

/// The space at the start that is kept for the index: enough for some 5000 manifests. If it turns
/// out too small, the archive is copied once more.
const REGION: u64 = 1024 * 1024;

/// Headers of entries, and where they stand.
type Headers = Vec<(u64, Vec<u8>)>;

/// A tar that is being written.
#[derive(Clone, Debug)]
pub(super) struct TarPacking {
    state: Arc<Mutex<State>>,
    loose: Arc<Loose>,
}

#[derive(Clone, Debug)]
struct State {
    file: OpenFile,
    /// Where the next entry starts.
    end: u64,
    /// Whether a killed writer may have left something there.
    follows: bool,
    /// The entries that are complete, each with header and padding, by where they start.
    slots: BTreeMap<u64, u64>,
    /// The space for blobs that are not complete.
    open: BTreeMap<Digest, Gap>,
    /// What was set aside and given up, by where it starts.
    holes: BTreeMap<u64, u64>,
    /// The content of complete blobs.
    blobs: BTreeMap<Digest, Extent>,
}

impl TarPacking {
    pub(super) fn new(file: OpenFile, loose: Loose) -> Self {
        let state = State {
            file,
            end: REGION,
            follows: true,
            slots: BTreeMap::new(),
            open: BTreeMap::new(),
            holes: BTreeMap::new(),
            blobs: BTreeMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            loose: Arc::new(loose),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that changes the state can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the space that was set aside for a blob, or what comes next.
    fn reserve(&self, name: &EntryName, size: u64, hold: &Hold) -> Result<Arc<Reservation>, Error> {
        let mut state = self.state();
        let digest = name.digest();
        if let Some(digest) = &digest {
            state.set_aside(digest, size)?;
        }
        let open = digest.and_then(|digest| state.open.get_mut(&digest));
        let gap = match open {
            Some(gap) if gap.size == size && !gap.is_taken => {
                gap.is_taken = true;
                gap.clone()
            }
            // Somebody may still be writing there who was given up.
            _ => state.allot(&name.path(), size, false)?,
        };
        Ok(Arc::new(Reservation {
            packing: self.clone(),
            file: state.file.clone(),
            gap,
            digest,
            complete: Mutex::new(false),
            _hold: Arc::clone(hold),
        }))
    }

    /// Writes what stands behind the extents, and returns where it ends.
    fn write_tail(&self, file: &OpenFile, at: u64, ending: Ending) -> Result<u64, Error> {
        let mut end = at;
        let mut append = |bytes: &[u8]| {
            file.write_at(bytes, end)?;
            end += bytes.len() as u64;
            Ok(())
        };
        if ending == Ending::Unfinished {
            append(&tar_header(
                &format!("{UNFINISHED}{LOOSE_BEHIND}"),
                0,
                MODE,
            )?)?;
        }
        self.loose.write(&mut append)?;
        append(&TAR_END)?;
        Ok(end)
    }

    /// Completes the file as it is.
    fn finish_in_place(&self, state: &State, index: &[u8], ending: Ending) -> Result<(), Error> {
        let file = &state.file;
        let end = self.write_tail(file, state.end, ending)?;
        file.write_at(&padded_index(index)?, 0)?;
        let cut = file.file().set_len(end);
        cut.map_err(|source| Error::file("write", file.path(), source))
    }

    /// Copies everything but the gaps.
    fn rewrite(&self, state: &State, index: &[u8], target: &OpenFile) -> Result<State, Error> {
        target.write_at(index, 0)?;
        let mut end = index.len() as u64;
        let mut slots = BTreeMap::new();
        let mut moved = BTreeMap::new();
        for (&start, &len) in &state.slots {
            copy_range(&state.file, (start, len), target, end)?;
            slots.insert(end, len);
            moved.insert(start, end);
            end += len;
        }
        self.write_tail(target, end, Ending::Complete)?;
        let place = |&(at, size): &Extent| {
            let (from, to) = moved.range(..at).next_back()?;
            Some((at - from + to, size))
        };
        let blobs = state.blobs.iter();
        Ok(State {
            file: target.clone(),
            end,
            follows: false,
            slots,
            open: BTreeMap::new(),
            holes: BTreeMap::new(),
            blobs: blobs
                .filter_map(|(digest, extent)| Some((*digest, place(extent)?)))
                .collect(),
        })
    }
}

/// Returns the entry of an index that takes no more than it needs.
fn exact_index(index: &[u8]) -> Result<Vec<u8>, Error> {
    let header = tar_header(INDEX_FILE, index.len() as u64, MODE)?;
    Ok(index_entry(index, header))
}

/// Returns the entry of an index that is filled up with blanks.
fn padded_index(index: &[u8]) -> Result<Vec<u8>, Error> {
    let len = REGION - tar_header(INDEX_FILE, REGION, MODE)?.len() as u64;
    let mut entry = tar_header(INDEX_FILE, len, MODE)?;
    entry.extend_from_slice(index);
    entry.resize(usize::try_from(REGION).unwrap_or(entry.len()), b' ');
    Ok(entry)
}

/// Returns whether the index of an archive of this size stands in the space that is kept for it.
/// That depends on nothing else, so that the same content gives the same archive.
fn is_padded(index: &[u8], size: u64) -> Result<bool, Error> {
    let header = tar_header(INDEX_FILE, index.len() as u64, MODE)?.len();
    Ok(size > SMALL && (header + index.len()) as u64 <= REGION)
}

impl State {
    /// Sets space aside for a blob unless there is some. Space that is being filled stays.
    fn set_aside(&mut self, digest: &Digest, size: u64) -> Result<(), Error> {
        match self.open.get(digest) {
            Some(gap) if gap.size == size || gap.is_taken => return Ok(()),
            Some(gap) => {
                let (start, len) = (gap.start, gap.len);
                self.open.remove(digest);
                self.give_up(start, len);
            }
            None => {}
        }
        let gap = self.allot(&EntryName::Blob(*digest).path(), size, true)?;
        self.open.insert(*digest, gap);
        Ok(())
    }

    /// Sets space aside at the end. `may_follow` says whether what a killed writer has left there
    /// is of use.
    fn allot(&mut self, path: &str, size: u64, may_follow: bool) -> Result<Gap, Error> {
        let header = tar_header(path, size, MODE)?;
        let start = self.end;
        let found = self.follows && may_follow && self.is_there(&header, start)?;
        if self.follows && !found {
            // From here on it was another archive.
            self.follows = false;
            if self.file.size()? > start {
                let cut = self.file.file().set_len(start);
                cut.map_err(|source| Error::file("write", self.file.path(), source))?;
            }
        }
        if !found {
            self.file.write_at(&header, start)?;
        }
        let header = header.len() as u64;
        let len = header + size + tar_padding(size) as u64;
        self.end += len;
        Ok(Gap {
            start,
            len,
            header,
            size,
            is_kept: found,
            is_taken: false,
        })
    }

    fn is_there(&self, header: &[u8], start: u64) -> Result<bool, Error> {
        let end = start + header.len() as u64;
        Ok(end <= self.file.size()? && self.file.read_at(start, header.len())? == header)
    }

    fn give_up(&mut self, start: u64, len: u64) {
        self.holes.insert(start, len);
        // Space at the end is free again.
        while let Some((&start, &len)) = self.holes.last_key_value()
            && start + len == self.end
        {
            self.holes.remove(&start);
            self.end = start;
            self.follows = false;
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

    /// Adds a complete entry. Of two with the same blob, the first in the archive stays.
    fn register(&mut self, name: &EntryName, gap: &Gap) {
        self.slots.insert(gap.start, gap.len);
        let Some(digest) = name.digest() else {
            return;
        };
        if self
            .open
            .get(&digest)
            .is_some_and(|open| open.start == gap.start)
        {
            self.open.remove(&digest);
        }
        let content = (gap.content(), gap.size);
        match self.blobs.get(&digest).copied() {
            Some((first, size)) if first < content.0 && size == gap.size => {
                self.give_up_entry(content.0);
            }
            other => {
                self.blobs.insert(digest, content);
                if let Some((at, _)) = other {
                    self.give_up_entry(at);
                }
            }
        }
    }

    /// Gives up what is not complete.
    fn without_gaps(mut self) -> Self {
        for gap in std::mem::take(&mut self.open).into_values() {
            self.give_up(gap.start, gap.len);
        }
        self
    }

    /// Gives up what has not been begun at the end: the next writer sets it aside there again.
    fn without_empty_end(mut self) -> Result<Self, Error> {
        loop {
            let last = self.open.iter().max_by_key(|(_, gap)| gap.start);
            let Some((digest, gap)) = last else {
                return Ok(self);
            };
            let content = (gap.content(), gap.size);
            if gap.start + gap.len != self.end || filled(&self.file, content)? > 0 {
                return Ok(self);
            }
            let (digest, start, len) = (*digest, gap.start, gap.len);
            self.open.remove(&digest);
            self.give_up(start, len);
        }
    }

    /// Returns headers, and where they stand, by which nobody takes what is not complete for a
    /// blob; `None` if they do not fit.
    fn names_of_gaps(&self) -> Result<Option<Headers>, Error> {
        let mut headers = Vec::new();
        for (digest, gap) in &self.open {
            let path = format!("{UNFINISHED}{}", blob_file(digest));
            let header = tar_header(&path, gap.size, MODE)?;
            if header.len() as u64 != gap.header {
                return Ok(None);
            }
            headers.push((gap.start, header));
        }
        for (&start, &len) in &self.holes {
            let path = format!("{UNFINISHED}{start}");
            let header = tar_header(&path, len, MODE)?.len() as u64;
            headers.push((start, tar_header(&path, len.saturating_sub(header), MODE)?));
        }
        Ok(Some(headers))
    }
}

#[async_trait]
impl Packing for TarPacking {
    fn loose(&self) -> &Loose {
        &self.loose
    }

    fn arrange(&self, digest: &Digest, size: u64) -> Result<Pace, Error> {
        let mut state = self.state();
        if !state.blobs.contains_key(digest) {
            state.set_aside(digest, size)?;
        }
        Ok(Pace::SideBySide)
    }

    async fn append(
        &self,
        name: EntryName,
        size: u64,
        blob: &BlobRef,
        hold: &Hold,
    ) -> Result<Outcome, Error> {
        let reservation = self.reserve(&name, size, hold)?;
        let outcome = reservation.fill(blob).await?;
        reservation.complete(&name)?;
        Ok(outcome)
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
        let reservation = self.reserve(&EntryName::File(path), size, hold)?;
        let digest = reservation.fill_and_hash(blob, algorithm).await?;
        let outcome = match self.size(&digest)? {
            Some(known) if known == size => Outcome::Existed,
            _ => Outcome::Copied,
        };
        reservation.complete(&EntryName::Blob(digest))?;
        Ok(Pushed::new(digest, size, outcome))
    }

    fn take_over(&self, digest: &Digest, (file, part): (&OpenFile, Extent)) -> Result<(), Error> {
        let len = filled(file, part)?;
        let mut state = self.state();
        state.set_aside(digest, part.1)?;
        let target = state.file.clone();
        if let Some(gap) = state.open.get_mut(digest)
            && !gap.is_kept
        {
            copy_range(file, (part.0, len), &target, gap.content())?;
            gap.is_kept = true;
        }
        Ok(())
    }

    fn remove(&self, digest: &Digest) -> bool {
        let mut state = self.state();
        if let Some((at, _)) = state.blobs.remove(digest) {
            state.give_up_entry(at);
        }
        drop(state);
        self.loose.remove(digest);
        true
    }

    fn is_empty(&self) -> Result<bool, Error> {
        let state = self.state().clone().without_empty_end()?;
        Ok(state.slots.is_empty() && state.open.is_empty() && self.loose.len()? == 0)
    }

    fn finish(&self, index: &[u8], partial: &Partial, ending: Ending) -> Result<(), Error> {
        // Nobody pushes now, but readers should not wait.
        let state = self.state().clone();
        for digest in state.blobs.keys() {
            self.loose.remove(digest);
        }
        if ending == Ending::Unfinished {
            let state = state.clone().without_empty_end()?;
            if is_padded(index, u64::MAX)?
                && let Some(headers) = state.names_of_gaps()?
            {
                self.finish_in_place(&state, index, ending)?;
                // Nothing that the next writer goes on from is touched before there was space for
                // everything.
                for (start, header) in headers {
                    state.file.write_at(&header, start)?;
                }
                return partial.replace(&state.file);
            }
        }
        let state = state.without_gaps();
        let size = state.slots.values().sum::<u64>() + self.loose.len()?;
        let is_padded = is_padded(index, size)?;
        if is_padded && state.holes.is_empty() {
            self.finish_in_place(&state, index, Ending::Complete)?;
            return partial.replace(&state.file);
        }
        let index = if is_padded {
            padded_index(index)?
        } else {
            exact_index(index)?
        };
        let target = partial.rewrite()?;
        let rewritten = self.rewrite(&state, &index, &target)?;
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
        match self.state().blobs.get(digest) {
            Some((_, size)) => Ok(Some(*size)),
            None => self.loose.size(digest),
        }
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let state = self.state();
        match state.blobs.get(digest) {
            Some(&(at, size)) => Ok(Some(Arc::new(state.file.blob(at, size)))),
            None => self.loose.open(digest),
        }
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        let (file, found) = {
            let state = self.state();
            (state.file.clone(), state.blobs.get(digest).copied())
        };
        let Some((at, size)) = found else {
            return self.loose.read(digest, limit);
        };
        match usize::try_from(size) {
            Ok(len) if size <= limit => file.read_at(at, len).map(Some),
            _ => Err(Error::TooLarge { limit }),
        }
    }
}
