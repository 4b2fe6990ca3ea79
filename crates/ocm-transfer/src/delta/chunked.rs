//! Making a recipe of a blob while it passes.

use std::sync::Arc;

use futures::StreamExt as _;
use ocm_blob::{BlobRef, Bytes, MemoryBlob};
use ocm_oci::{Descriptor, Error, RepositoryName, StoreRef};

use super::chunks::{Chunk, Cutter, KnownChunks, Place, is_compressed};
use super::recipe::{Draft, Recipe, new_bytes};

/// The size of the blobs in which new bytes are stored, but for the last.
const PIECE: usize = 1024 * 1024;

/// What became of a blob.
pub(super) enum Chunked {
    /// This is how it is put together, from these blobs of the base; its new bytes are stored.
    Recipe {
        recipe: Recipe,
        new_bytes: Vec<Descriptor>,
    },
    /// It is compressed, and nothing has been stored of it.
    Compressed,
}

/// Reads a blob, and stores of it what no known chunk has.
pub(super) async fn chunked(
    blob: &BlobRef,
    known: &KnownChunks,
    (store, repository): (&StoreRef, &RepositoryName),
) -> Result<Chunked, Error> {
    let what = || {
        blob.digest()
            .map_or_else(String::new, |it| format!("blob {it}"))
    };
    let failed = |source| Error::blob("read", what(), source);
    let mut content = blob.open().await.map_err(failed)?;
    let mut maker = Maker::new(known);
    let (mut stored, mut is_first) = (Vec::new(), true);
    while let Some(bytes) = content.next().await {
        let bytes = bytes.map_err(failed)?;
        if std::mem::take(&mut is_first) && is_compressed(&bytes) {
            return Ok(Chunked::Compressed);
        }
        maker.take(&bytes);
        while let Some(piece) = maker.next_piece() {
            stored.push(store_piece(piece, store, repository).await?);
        }
    }
    maker.finish();
    while let Some(piece) = maker.next_piece() {
        stored.push(store_piece(piece, store, repository).await?);
    }
    if !maker.new.is_empty() {
        let last = std::mem::take(&mut maker.new);
        stored.push(store_piece(last.into(), store, repository).await?);
    }
    Ok(Chunked::Recipe {
        recipe: maker.draft.finish(),
        new_bytes: stored,
    })
}

/// Reads a blob, and returns how many of its bytes no known chunk has; `None` if it is compressed.
pub(super) async fn count_new_bytes(
    blob: &BlobRef,
    known: &KnownChunks,
) -> Result<Option<u64>, ocm_blob::Error> {
    let mut content = blob.open().await?;
    let mut maker = Maker::new(known);
    let mut is_first = true;
    while let Some(bytes) = content.next().await {
        let bytes = bytes?;
        if std::mem::take(&mut is_first) && is_compressed(&bytes) {
            return Ok(None);
        }
        maker.take(&bytes);
        maker.new.clear();
    }
    maker.finish();
    Ok(Some(maker.draft.finish().new_bytes()))
}

async fn store_piece(
    piece: Bytes,
    store: &StoreRef,
    repository: &RepositoryName,
) -> Result<Descriptor, Error> {
    let blob: BlobRef = Arc::new(MemoryBlob::new(piece));
    let pushed = store.push_blob(repository, &blob).await?;
    Ok(new_bytes(pushed.digest, pushed.size))
}

/// Tells known chunks from new bytes.
struct Maker<'a> {
    known: &'a KnownChunks,
    cutter: Cutter,
    draft: Draft,
    /// The chunk that is going on.
    current: Vec<u8>,
    /// New bytes that are not stored yet.
    new: Vec<u8>,
    /// Where in the base the last chunk ends.
    behind: Option<Place>,
}

impl<'a> Maker<'a> {
    fn new(known: &'a KnownChunks) -> Self {
        Self {
            known,
            cutter: Cutter::default(),
            draft: Draft::default(),
            current: Vec::new(),
            new: Vec::new(),
            behind: None,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut cutter = std::mem::take(&mut self.cutter);
        cutter.cut(bytes, |piece, end| {
            self.current.extend_from_slice(piece);
            if let Some(chunk) = end {
                self.add(chunk);
            }
        });
        self.cutter = cutter;
    }

    fn finish(&mut self) {
        if let Some(chunk) = self.cutter.finish() {
            self.add(chunk);
        }
    }

    /// Adds the current chunk.
    fn add(&mut self, chunk: Chunk) {
        let len = u64::from(chunk.len);
        let found = self.known.find(chunk, self.behind);
        let source = found.and_then(|place| Some((place, *self.known.source(place.source)?)));
        self.behind = None;
        match source {
            Some((place, source)) if self.draft.add_copy(source, place.offset, len) => {
                self.behind = Some(Place {
                    offset: place.offset + len,
                    ..place
                });
            }
            _ => {
                self.draft.add_new(len);
                self.new.extend_from_slice(&self.current);
            }
        }
        self.current.clear();
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        (self.new.len() >= PIECE).then(|| self.new.drain(..PIECE).collect())
    }
}
