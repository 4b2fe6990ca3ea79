//! A partial archive that is a compressed tar.
//!
//! Gzip content may consist of several members, one after another. A large blob is a member of its
//! own, and small entries share one. So a blob that fails half-way is cut off again, and what has
//! been written can be read back from where its member starts.
//!
//! The first member is kept for the index, as large as the space that was reserved: the rest is an
//! extra field of its header. If the index does not fit there, it stands last.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use futures::StreamExt as _;
use ocm_blob::{
    Blob, BlobRef, ByteStream, Counted, Error, OpenFile, Promise, TAR_END, gunzip, gzip, once,
    tar_header, tar_padding, verify,
};
use ocm_digest::Digest;
use ocm_oci::{Outcome, Pushed};
use tokio::sync::OwnedMutexGuard;

use super::packing::{EntryName, Hold, MODE, Packing, SMALL};
use super::partial::{Partial, copy_range};
use crate::content::Content;
use crate::index::INDEX_FILE;
use crate::sink::{blocking, write_stream};

/// The space for the index at the start: enough for some 800 manifests. An extra field, which
/// fills it up, has at most 64 KiB.
const REGION: u64 = 48 * 1024;

/// The size at which small entries are compressed together.
const GROUP: usize = 1024 * 1024;

/// The total size of small blobs that are kept in memory to be read back quickly.
const REMEMBERED: usize = 16 * 1024 * 1024;

/// A compressed tar that is being written.
#[derive(Clone, Debug)]
pub(super) struct GzipPacking {
    state: Arc<Mutex<State>>,
    /// Whoever appends has this, until nothing is written any more.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct State {
    file: OpenFile,
    /// Where the next member starts.
    end: u64,
    /// Entries that have not been compressed yet.
    group: Vec<u8>,
    blobs: BTreeMap<Digest, Place>,
    remembered: BTreeMap<Digest, Bytes>,
    remembered_size: usize,
}

/// Where the content of a blob stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// `None` as long as it stands in the group.
    member: Option<Member>,
    /// The first byte within the decompressed member or the group.
    offset: u64,
    size: u64,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    start: u64,
    len: u64,
}

impl GzipPacking {
    pub(super) fn new(file: OpenFile) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                file,
                end: REGION,
                group: Vec::new(),
                blobs: BTreeMap::new(),
                remembered: BTreeMap::new(),
                remembered_size: 0,
            })),
            turn: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that changes the state can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Compresses the group. Needs the turn.
    fn flush(&self) -> Result<(), Error> {
        let (file, start, group) = {
            let state = self.state();
            (state.file.clone(), state.end, state.group.clone())
        };
        if group.is_empty() {
            return Ok(());
        }
        let bytes = member(&group, None);
        file.write_at(&bytes, start)?;
        let len = bytes.len() as u64;
        let mut state = self.state();
        state.group.clear();
        state.end += len;
        for place in state.blobs.values_mut() {
            place.member.get_or_insert(Member { start, len });
        }
        Ok(())
    }

    /// Appends a member with one entry. Needs the turn, which is kept until nobody writes.
    async fn append_member(
        &self,
        name: &EntryName,
        size: u64,
        content: ByteStream,
        turn: OwnedMutexGuard<()>,
        hold: &Hold,
    ) -> Result<(), Error> {
        let header = tar_header(&name.path(), size, MODE)?;
        let offset = header.len() as u64;
        let promise = Promise {
            size: Some(size),
            digest: None,
        };
        let padding = Bytes::from_static(&TAR_END[..tar_padding(size)]);
        let entry = once(header.into())
            .chain(verify(content, promise))
            .chain(once(padding));
        let (file, start) = {
            let state = self.state();
            (state.file.clone(), state.end)
        };
        let turn = Arc::new(turn);
        let keep = (Arc::clone(&turn), Arc::clone(hold));
        let compressed = gzip(entry.boxed());
        let written = write_stream(compressed, file, start, u64::MAX, None, keep).await?;
        let member = Member {
            start,
            len: written.size,
        };
        let mut state = self.state();
        state.end += member.len;
        if let EntryName::Blob(digest) = name {
            let place = Place {
                member: Some(member),
                offset,
                size,
            };
            state.blobs.insert(*digest, place);
        }
        drop(state);
        drop(turn);
        Ok(())
    }
}

impl State {
    fn push(&mut self, name: &EntryName, bytes: &Bytes) -> Result<(), Error> {
        let size = bytes.len() as u64;
        let header = tar_header(&name.path(), size, MODE)?;
        self.group.extend_from_slice(&header);
        let offset = self.group.len() as u64;
        self.group.extend_from_slice(bytes);
        self.group.resize(self.group.len() + tar_padding(size), 0);
        if let EntryName::Blob(digest) = name {
            let place = Place {
                member: None,
                offset,
                size,
            };
            self.blobs.insert(*digest, place);
            if self.remembered_size + bytes.len() <= REMEMBERED {
                self.remembered_size += bytes.len();
                self.remembered.insert(*digest, bytes.clone());
            }
        }
        Ok(())
    }

    /// Returns whether somebody else was quicker. What is there cannot be replaced.
    fn has(&self, name: &EntryName, size: u64) -> Result<bool, Error> {
        let EntryName::Blob(digest) = name else {
            return Ok(false);
        };
        match self.blobs.get(digest) {
            Some(place) if place.size != size => Err(Error::SizeMismatch {
                expected: size,
                actual: place.size,
            }),
            found => Ok(found.is_some()),
        }
    }

    /// Returns bytes that are in memory.
    fn in_memory(&self, digest: &Digest, place: &Place) -> Option<Bytes> {
        if let Some(bytes) = self.remembered.get(digest) {
            return Some(bytes.clone());
        }
        if place.member.is_some() {
            return None;
        }
        let start = usize::try_from(place.offset).ok()?;
        let end = start.checked_add(usize::try_from(place.size).ok()?)?;
        self.group.get(start..end).map(Bytes::copy_from_slice)
    }
}

/// Compresses bytes into a member that is filled up to a length, or `None` if it is too long.
fn padded_member(content: &[u8], len: u64) -> Option<Vec<u8>> {
    let missing = usize::try_from(len)
        .ok()?
        .checked_sub(member(content, None).len())?;
    // Two bytes say how long the extra field is, four are the head of its one subfield.
    let data = missing.checked_sub(6)?;
    let mut extra = b"OC".to_vec();
    extra.extend(u16::try_from(data).ok()?.to_le_bytes());
    extra.resize(extra.len() + data, 0);
    Some(member(content, Some(extra)))
}

fn member(content: &[u8], extra: Option<Vec<u8>>) -> Vec<u8> {
    let mut header = GzBuilder::new().mtime(0);
    if let Some(extra) = extra {
        header = header.extra(extra);
    }
    let mut encoder = header.write(Vec::new(), Compression::new(6));
    encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .expect("memory can be written")
}

fn index_entry(index: &[u8]) -> Result<Vec<u8>, Error> {
    let mut entry = tar_header(INDEX_FILE, index.len() as u64, MODE)?;
    entry.extend_from_slice(index);
    entry.resize(entry.len() + tar_padding(index.len() as u64), 0);
    Ok(entry)
}

#[async_trait]
impl Packing for GzipPacking {
    async fn append(&self, name: EntryName, bytes: Bytes, hold: &Hold) -> Result<(), Error> {
        let turn = self.turn().await;
        let full = {
            let mut state = self.state();
            if state.has(&name, bytes.len() as u64)? {
                return Ok(());
            }
            state.push(&name, &bytes)?;
            state.group.len() >= GROUP
        };
        if full {
            let (this, keep) = (self.clone(), (turn, Arc::clone(hold)));
            blocking(move || {
                let _keep = keep;
                this.flush()
            })
            .await?;
        }
        Ok(())
    }

    async fn append_stream(
        &self,
        name: EntryName,
        size: u64,
        stream: ByteStream,
        hold: &Hold,
    ) -> Result<(), Error> {
        let (this, keep) = (self.clone(), (self.turn().await, Arc::clone(hold)));
        if self.state().has(&name, size)? {
            return Ok(());
        }
        let (turn, _) = blocking(move || this.flush().map(|()| keep)).await?;
        self.append_member(&name, size, stream, turn, hold).await
    }

    /// Reads the blob twice, as its digest stands before its content.
    async fn append_unhashed(
        &self,
        blob: &BlobRef,
        size: u64,
        hold: &Hold,
    ) -> Result<Pushed, Error> {
        let mut counted = Counted::default();
        let mut stream = blob.open().await?;
        while let Some(chunk) = stream.next().await {
            counted.update(&chunk?);
        }
        let (digest, actual) = counted.finish();
        if actual != size {
            return Err(Error::SizeMismatch {
                expected: size,
                actual,
            });
        }
        let mut outcome = Outcome::Existed;
        if self.size(&digest)?.is_none() {
            let promise = Promise {
                size: Some(size),
                digest: Some(digest),
            };
            let stream = verify(blob.open().await?, promise);
            let name = EntryName::Blob(digest);
            self.append_stream(name, size, stream, hold).await?;
            outcome = Outcome::Copied;
        }
        Ok(Pushed {
            digest,
            size,
            outcome,
        })
    }

    fn remove(&self, _digest: &Digest) -> bool {
        false
    }

    fn finish(&self, index: &[u8], partial: &Partial) -> Result<(), Error> {
        let entry = index_entry(index)?;
        let before = self.state().end;
        let small = before - REGION <= SMALL;
        let first = if small {
            Some(member(&entry, None))
        } else {
            padded_member(&entry, REGION)
        };
        let group = self.state().group.clone();
        let last = if first.is_some() { Vec::new() } else { entry };
        let tail = member(&[group, last, TAR_END.to_vec()].concat(), None);
        let file = self.state().file.clone();
        file.write_at(&tail, before)?;
        let end = before + tail.len() as u64;
        let first = match first {
            Some(first) => first,
            None => padded_member(b"", REGION).expect("an empty member fits"),
        };
        if small {
            let target = partial.rewrite()?;
            target.write_at(&first, 0)?;
            copy_range(&file, (REGION, end - REGION), &target, first.len() as u64)?;
            return partial.replace(&target);
        }
        file.write_at(&first, 0)?;
        let cut = file.file().set_len(end);
        cut.map_err(|source| Error::file("write", file.path(), source))?;
        partial.replace(&file)
    }

    fn into_content(self: Arc<Self>) -> Arc<dyn Content> {
        self
    }
}

impl Content for GzipPacking {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.state().blobs.get(digest).map(|place| place.size))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let state = self.state();
        let Some(place) = state.blobs.get(digest) else {
            return Ok(None);
        };
        Ok(Some(match (state.in_memory(digest, place), place.member) {
            (Some(bytes), _) => Arc::new(ocm_blob::MemoryBlob::new(bytes)),
            (None, Some(member)) => Arc::new(MemberBlob {
                file: state.file.clone(),
                member,
                offset: place.offset,
                size: place.size,
            }),
            (None, None) => return Ok(None),
        }))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        let (file, place) = {
            let state = self.state();
            let Some(place) = state.blobs.get(digest).copied() else {
                return Ok(None);
            };
            if place.size > limit {
                return Err(Error::TooLarge { limit });
            }
            if let Some(bytes) = state.in_memory(digest, &place) {
                return Ok(Some(bytes));
            }
            (state.file.clone(), place)
        };
        let Some(Member { start, len }) = place.member else {
            return Ok(None);
        };
        let len = usize::try_from(len).map_err(|_| Error::TooLarge { limit })?;
        let packed = file.read_at(start, len)?;
        let mut content = Vec::new();
        let mut decoder = MultiGzDecoder::new(&packed[..]).take(place.offset + place.size);
        let malformed = |error: std::io::Error| Error::malformed("gzip", error.to_string());
        decoder.read_to_end(&mut content).map_err(malformed)?;
        let offset = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let content = Bytes::from(content);
        Ok(Some(content.slice(offset.min(content.len())..)))
    }
}

/// A blob within a member, decompressed when it is read.
#[derive(Debug)]
struct MemberBlob {
    file: OpenFile,
    member: Member,
    offset: u64,
    size: u64,
}

#[async_trait]
impl Blob for MemberBlob {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let Member { start, len } = self.member;
        let packed = self.file.blob(start, len).open().await?;
        Ok(part(gunzip(packed, u64::MAX), self.offset, self.size))
    }
}

/// Returns a part of a stream.
fn part(stream: ByteStream, mut skip: u64, mut take: u64) -> ByteStream {
    let part = stream.map(move |chunk| {
        let mut chunk = chunk?;
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
        skip -= skipped as u64;
        let mut chunk = chunk.split_off(skipped);
        chunk.truncate(usize::try_from(take).unwrap_or(usize::MAX));
        take -= chunk.len() as u64;
        Ok(chunk)
    });
    part.filter(|chunk| {
        let keep = !matches!(chunk, Ok(chunk) if chunk.is_empty());
        std::future::ready(keep)
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_can_be_filled_up_to_a_length() {
        for content in [&b""[..], b"hello"] {
            let bytes = padded_member(content, REGION).unwrap();
            assert_eq!(bytes.len() as u64, REGION);
            let mut found = Vec::new();
            let mut decoder = MultiGzDecoder::new(&bytes[..]);
            decoder.read_to_end(&mut found).unwrap();
            assert_eq!(found, content);
            let least = member(content, None).len() as u64;
            assert!(padded_member(content, least + 5).is_none());
            assert!(padded_member(content, least + 6).is_some());
        }
    }
}
