//! Chunks of blobs: what a place has of them, and where.
//!
//! The chunks of a blob are where its content is cut by what stands there ([`Chunker`]), so that
//! two versions of a file share those that lie in what they have in common. A place lists them by
//! size and the first half of their SHA-256. That is enough to find them: what is put together
//! from chunks is checked by the digest of the whole.

mod chunker;
mod known;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures::StreamExt as _;
use ocm_blob::{BlobRef, is_gzip};
use ocm_digest::{Digester, HashAlgorithm};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::chunker::{Chunker, MOST};
pub(super) use self::known::{KnownChunks, Place};

/// Blobs that are smaller are not cut, in bytes.
pub(super) const SMALLEST_BLOB: u64 = 128 * 1024;

/// Blobs that are larger are not cut, in bytes: their recipes would be too large.
pub(super) const LARGEST_BLOB: u64 = 8 * 1024 * 1024 * 1024;

/// The most chunks that are known of a place: of some 8 GiB. They are held in memory.
pub const MOST_CHUNKS: usize = 512 * 1024;

/// What tells chunks apart: the first bytes of their SHA-256.
pub(super) type ChunkName = [u8; 16];

/// The bytes that a chunk takes in a list.
const PACKED: usize = 4 + size_of::<ChunkName>();

/// A chunk of a blob.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Chunk {
    pub(super) len: u32,
    pub(super) name: ChunkName,
}

/// The chunks of a blob, in their order. Clones share them.
///
/// As text they are 20 bytes for each chunk in Base64: its size, big-endian, and 16 bytes of its
/// SHA-256.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChunkList(Arc<[Chunk]>);

impl ChunkList {
    /// Returns whether a blob of a size is cut at all.
    pub const fn is_for(size: u64) -> bool {
        size >= SMALLEST_BLOB && size <= LARGEST_BLOB
    }

    /// Reads a blob, and returns its chunks; `None` if it is compressed, since then all that
    /// follows a change differs.
    ///
    /// # Errors
    ///
    /// The blob cannot be read.
    pub async fn of(blob: &BlobRef) -> Result<Option<Self>, ocm_blob::Error> {
        let mut content = blob.open().await?;
        let (mut chunks, mut cutter) = (Vec::new(), Cutter::default());
        let mut is_first = true;
        while let Some(bytes) = content.next().await {
            let bytes = bytes?;
            if std::mem::take(&mut is_first) && is_compressed(&bytes) {
                return Ok(None);
            }
            cutter.cut(&bytes, |_, end| chunks.extend(end));
        }
        chunks.extend(cutter.finish());
        Ok(Some(Self(chunks.into())))
    }

    /// Returns how many chunks there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the size of the blob in bytes.
    pub fn size(&self) -> u64 {
        self.0.iter().map(|chunk| u64::from(chunk.len)).sum()
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.0
    }

    fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * PACKED);
        for Chunk { len, name } in self.0.iter() {
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(name);
        }
        bytes
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let (packed, rest) = bytes.as_chunks::<PACKED>();
        let chunk = |packed: &[u8; PACKED]| {
            let (len, name) = packed.split_first_chunk::<4>()?;
            let len = u32::from_be_bytes(*len);
            let name = name.try_into().ok()?;
            (1..=MOST)
                .contains(&(len as usize))
                .then_some(Chunk { len, name })
        };
        let chunks: Option<Vec<Chunk>> = packed.iter().map(chunk).collect();
        let chunks = chunks.filter(|_| rest.is_empty())?;
        Some(Self(chunks.into()))
    }
}

impl Serialize for ChunkList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(self.pack()))
    }
}

impl<'de> Deserialize<'de> for ChunkList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| D::Error::custom("chunks are no Base64"))?;
        Self::unpack(&bytes).ok_or_else(|| D::Error::custom("chunks are no list of chunks"))
    }
}

/// Cuts content into chunks, and names them.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    chunker: Chunker,
    digester: Option<Digester>,
    len: u32,
}

impl Cutter {
    /// Takes the next bytes. Hands on, piece by piece, what belongs to one chunk, with the chunk
    /// where it ends there.
    pub(super) fn cut(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8], Option<Chunk>)) {
        while !bytes.is_empty() {
            let end = self.chunker.cut(bytes);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            let digester = self.digester.get_or_insert_with(digester);
            digester.update(piece);
            // A chunk is no larger than that.
            self.len += u32::try_from(piece.len()).unwrap_or(u32::MAX);
            take(piece, end.and_then(|_| self.finish()));
            bytes = rest;
        }
    }

    /// Returns the chunk that was going on, if there is one.
    pub(super) fn finish(&mut self) -> Option<Chunk> {
        let digest = self.digester.take()?.finish();
        let len = std::mem::take(&mut self.len);
        let (name, _) = digest.as_bytes().split_first_chunk()?;
        Some(Chunk { len, name: *name })
    }
}

fn digester() -> Digester {
    Digester::new(HashAlgorithm::Sha256)
}

/// Returns whether content is compressed, by its first bytes: with gzip, Zstandard, xz or bzip2.
pub(super) fn is_compressed(start: &[u8]) -> bool {
    const STARTS: [&[u8]; 3] = [b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"];
    is_gzip(start) || STARTS.iter().any(|magic| start.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use ocm_blob::MemoryBlob;

    use super::*;

    #[tokio::test]
    async fn a_list_reads_as_it_is_written() {
        let content: Vec<u8> = (0..400_000_u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect();
        let size = content.len() as u64;
        let blob: BlobRef = Arc::new(MemoryBlob::new(content));
        let list = ChunkList::of(&blob).await.unwrap().unwrap();
        assert_eq!(list.size(), size);
        assert!(list.len() > 24);
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<ChunkList>(&text).unwrap(), list);
    }

    #[test]
    fn lists_that_are_none_are_refused() {
        for bytes in [&[0; 20][..], &[1; 19], &[255; 20]] {
            let text = serde_json::to_string(&STANDARD_NO_PAD.encode(bytes)).unwrap();
            assert!(serde_json::from_str::<ChunkList>(&text).is_err());
        }
        assert!(serde_json::from_str::<ChunkList>("\"$\"").is_err());
        assert!(
            serde_json::from_str::<ChunkList>("\"\"")
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn compressed_content_has_no_chunks() {
        for start in [&b"\x1f\x8b\x08\0"[..], b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"] {
            let blob: BlobRef = Arc::new(MemoryBlob::new([start, &[0; 1000]].concat()));
            assert_eq!(ChunkList::of(&blob).await.unwrap(), None);
        }
    }
}
