//! A partial archive that is a compressed tar.
//!
//! Gzip content may consist of several members, one after another. A large blob is a member of its
//! own, and loose entries share some at the end. So a blob that fails half-way is cut off again,
//! what has been written can be read back from where its member starts, and members that a killed
//! writer has completed are of use to the next one. Where it was within a member is lost, since a
//! compressed stream cannot be taken up in the middle.
//!
//! The first member is kept for the index, as large as the space that was reserved: the rest is an
//! extra field of its header. If the index does not fit there, it stands last.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::{Compression, GzBuilder};
use futures::StreamExt as _;
use ocm_blob::{
    Blob, BlobRef, ByteStream, CHUNK, Error, OpenFile, Promise, TAR_END, gunzip, gzip, lazily,
    once, tar_header, tar_padding, verify,
};
use ocm_digest::{Digest, Digester};
use ocm_oci::{Outcome, Pace, Pushed};
use tokio::sync::OwnedMutexGuard;

use super::loose::Loose;
use super::packing::{
    Ending, EntryName, Hold, LOOSE_BEHIND, MODE, Packing, SMALL, UNFINISHED, index_entry,
};
use super::partial::{Partial, copy_range};
use super::unhashed::append_unhashed;
use crate::content::Content;
use crate::index::INDEX_FILE;
use crate::packed::Extent;
use crate::sink::{blocking, write_stream};

/// The space for the index at the start: enough for some 800 manifests. An extra field, which
/// fills it up, has at most 64 KiB.
const REGION: u64 = 48 * 1024;

/// The size at which loose entries are compressed together.
const GROUP: usize = 1024 * 1024;

/// A compressed tar that is being written.
#[derive(Clone, Debug)]
pub(super) struct GzipPacking {
    state: Arc<Mutex<State>>,
    loose: Arc<Loose>,
    /// Whoever appends has this, until nothing is written any more.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct State {
    file: OpenFile,
    /// Where the next member starts.
    end: u64,
    /// Whether a killed writer may have left something there.
    follows: bool,
    blobs: BTreeMap<Digest, Place>,
}

/// Where the content of a blob stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    member: Member,
    /// The first byte within the decompressed member.
    offset: u64,
    size: u64,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    start: u64,
    len: u64,
}

impl GzipPacking {
    pub(super) fn new(file: OpenFile, loose: Loose) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                file,
                end: REGION,
                follows: true,
                blobs: BTreeMap::new(),
            })),
            loose: Arc::new(loose),
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

    /// Takes over the member that a killed writer has left at the end, if it has that blob and
    /// nothing else. Otherwise nothing that comes there is of use. Needs the turn.
    fn follow(&self, name: &EntryName, size: u64) -> Result<bool, Error> {
        let (file, start, follows) = {
            let state = self.state();
            (state.file.clone(), state.end, state.follows)
        };
        if !follows {
            return Ok(false);
        }
        let header = tar_header(&name.path(), size, MODE)?;
        let found = match name.digest() {
            Some(digest) => whole_member(&file, start, &header, size, digest),
            None => None,
        };
        let mut state = self.state();
        let Some(len) = found else {
            state.follows = false;
            let cut = file.file().set_len(start);
            cut.map_err(|source| Error::file("write", file.path(), source))?;
            return Ok(false);
        };
        state.append(name, Member { start, len }, header.len() as u64, size);
        Ok(true)
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
        self.state().append(name, member, offset, size);
        drop(turn);
        Ok(())
    }

    /// Compresses the loose entries behind everything else, and the index where it does not fit in
    /// front, and returns where that ends.
    fn write_tail(&self, last: &[u8], ending: Ending) -> Result<u64, Error> {
        let (file, mut end) = {
            let state = self.state();
            (state.file.clone(), state.end)
        };
        let mut group = Vec::new();
        if ending == Ending::Unfinished {
            group = tar_header(&format!("{UNFINISHED}{LOOSE_BEHIND}"), 0, MODE)?;
        }
        let mut append = |bytes: &[u8]| {
            let bytes = member(bytes, None);
            file.write_at(&bytes, end)?;
            end += bytes.len() as u64;
            Ok::<_, Error>(())
        };
        self.loose.write(|bytes| {
            group.extend_from_slice(bytes);
            if group.len() >= GROUP {
                append(&group)?;
                group.clear();
            }
            Ok(())
        })?;
        append(&[&group, last, &TAR_END].concat())?;
        Ok(end)
    }
}

impl State {
    fn append(&mut self, name: &EntryName, member: Member, offset: u64, size: u64) {
        self.end += member.len;
        if let EntryName::Blob(digest) = name {
            let place = Place {
                member,
                offset,
                size,
            };
            self.blobs.insert(*digest, place);
        }
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
}

/// Reads the member at a place, and returns its length if it has one entry with that header and
/// the content that it promises.
fn whole_member(
    file: &OpenFile,
    start: u64,
    header: &[u8],
    size: u64,
    digest: Digest,
) -> Option<u64> {
    let mut reader = BufReader::with_capacity(CHUNK, file.cursor().ok()?);
    reader.seek(SeekFrom::Start(start)).ok()?;
    let mut decoder = GzDecoder::new(reader);
    let mut found = vec![0; header.len()];
    decoder.read_exact(&mut found).ok()?;
    if found != header {
        return None;
    }
    let mut digester = Digester::new(digest.algorithm());
    let (mut buffer, mut left) = (vec![0; CHUNK], size);
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let read = decoder.read(&mut buffer[..len]).ok()?;
        if read == 0 {
            return None;
        }
        digester.update(&buffer[..read]);
        left -= read as u64;
    }
    let mut padding = Vec::new();
    let most = tar_padding(size) as u64 + 1;
    decoder.by_ref().take(most).read_to_end(&mut padding).ok()?;
    if padding != TAR_END[..tar_padding(size)] || digester.finish() != digest {
        return None;
    }
    Some(decoder.into_inner().stream_position().ok()? - start)
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

#[async_trait]
impl Packing for GzipPacking {
    fn loose(&self) -> &Loose {
        &self.loose
    }

    fn arrange(&self, _digest: &Digest, _size: u64) -> Result<Pace, Error> {
        Ok(Pace::OneByOne)
    }

    async fn append(
        &self,
        name: EntryName,
        size: u64,
        blob: &BlobRef,
        hold: &Hold,
    ) -> Result<Outcome, Error> {
        let (this, turn) = (self.clone(), self.turn().await);
        if self.state().has(&name, size)? {
            return Ok(Outcome::Existed);
        }
        let (looked_for, keep) = (name.clone(), (turn, Arc::clone(hold)));
        let look = move || Ok::<_, Error>((this.follow(&looked_for, size)?, keep));
        let (is_there, (turn, _)) = blocking(look).await?;
        if is_there {
            return Ok(Outcome::Existed);
        }
        let content = lazily(Arc::clone(blob));
        self.append_member(&name, size, content, turn, hold).await?;
        Ok(Outcome::Copied)
    }

    async fn append_unhashed(
        &self,
        blob: &BlobRef,
        size: u64,
        hold: &Hold,
    ) -> Result<Pushed, Error> {
        append_unhashed(self, blob, size, hold).await
    }

    fn take_over(&self, _digest: &Digest, _part: (&OpenFile, Extent)) -> Result<(), Error> {
        // Part of a compressed stream cannot be continued.
        Ok(())
    }

    fn remove(&self, digest: &Digest) -> bool {
        self.loose.remove(digest)
    }

    fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.state().end == REGION && self.loose.len()? == 0)
    }

    fn finish(&self, index: &[u8], partial: &Partial, ending: Ending) -> Result<(), Error> {
        for digest in self.state().blobs.keys() {
            self.loose.remove(digest);
        }
        let entry = index_entry(index, tar_header(INDEX_FILE, index.len() as u64, MODE)?);
        let small = self.write_tail(&[], ending)? - REGION <= SMALL;
        let first = if small {
            Some(member(&entry, None))
        } else {
            padded_member(&entry, REGION)
        };
        let last: &[u8] = if first.is_some() { &[] } else { &entry };
        let end = self.write_tail(last, ending)?;
        let file = self.state().file.clone();
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
        match self.state().blobs.get(digest) {
            Some(place) => Ok(Some(place.size)),
            None => self.loose.size(digest),
        }
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let state = self.state();
        let Some(&Place {
            member,
            offset,
            size,
        }) = state.blobs.get(digest)
        else {
            return self.loose.open(digest);
        };
        Ok(Some(Arc::new(MemberBlob {
            file: state.file.clone(),
            member,
            offset,
            size,
        })))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        let (file, place) = {
            let state = self.state();
            (state.file.clone(), state.blobs.get(digest).copied())
        };
        let Some(place) = place else {
            return self.loose.read(digest, limit);
        };
        if place.size > limit {
            return Err(Error::TooLarge { limit });
        }
        let Member { start, len } = place.member;
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
