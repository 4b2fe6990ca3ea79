//! A blob that is put together by its recipe while it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream;
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes, Error, verify};
use ocm_digest::Digest;
use ocm_oci::{Descriptor, RepositoryName, StoreRef};

use super::recipe::{Recipe, RecipeStep};
use super::repository;

/// How far behind what was read last something may stand for what is in between to be read over. To
/// ask a registry for another range takes longer.
const READ_OVER: u64 = 1024 * 1024;

/// The sources of recipes: their sizes, and repositories of the base that have them.
pub(super) type Sources = Arc<BTreeMap<Digest, (u64, RepositoryName)>>;

/// A blob of a delta archive of which parts are in the base. Its recipe is read when it is opened.
#[derive(Debug)]
pub(super) struct Reassembled {
    pub(super) delta: StoreRef,
    pub(super) base: StoreRef,
    pub(super) sources: Sources,
    pub(super) descriptor: Descriptor,
    /// The manifest of the recipe.
    pub(super) recipe: Digest,
}

#[async_trait]
impl Blob for Reassembled {
    fn size(&self) -> Option<u64> {
        Some(self.descriptor.size)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.descriptor.digest)
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.descriptor.media_type)
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let stream = self.open_at(0).await?;
        Ok(verify(stream, self.descriptor.promise()))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, Error> {
        if offset > self.descriptor.size {
            return Err(Error::SizeMismatch {
                expected: offset,
                actual: self.descriptor.size,
            });
        }
        let reader = self.reader(offset).await?;
        let stream = stream::try_unfold(reader, |mut reader| async move {
            let bytes = reader.next().await?;
            Ok(bytes.map(|bytes| (bytes, reader)))
        });
        Ok(stream.boxed())
    }
}

impl Reassembled {
    /// Reads the recipe, and stands where it has made `offset` bytes.
    async fn reader(&self, offset: u64) -> Result<Reader, Error> {
        let what = || format!("the recipe of blob {}", self.descriptor.digest);
        let failed = |error| Error::source(what(), error);
        let repository = repository().map_err(failed)?;
        let recipe = Recipe::of(&self.delta, &repository, self.recipe).await;
        let (recipe, new_bytes) = recipe.map_err(failed)?;
        if recipe.size != self.descriptor.size {
            return Err(Error::SizeMismatch {
                expected: self.descriptor.size,
                actual: recipe.size,
            });
        }
        let mut sources = Vec::new();
        for digest in &recipe.sources {
            let found = self.sources.get(digest).ok_or_else(|| {
                let reason = format!("its source {digest} is not in the delta record");
                Error::malformed("recipe", reason)
            })?;
            let descriptor = Descriptor::new("", *digest, found.0);
            sources.push(self.base.blob(&found.1, &descriptor));
        }
        let pieces = new_bytes.iter();
        let pieces = pieces.map(|piece| (piece.size, self.delta.blob(&repository, piece)));
        let mut reader = Reader {
            steps: recipe.steps.into_iter(),
            current: None,
            sources,
            pieces: pieces.collect::<Vec<_>>().into_iter(),
            piece: None,
            range: None,
        };
        reader.skip(offset);
        Ok(reader)
    }
}

/// Takes one step of a recipe after the other.
struct Reader {
    steps: std::vec::IntoIter<RecipeStep>,
    /// What is left of the step that is being taken.
    current: Option<RecipeStep>,
    sources: Vec<BlobRef>,
    /// The new bytes that follow behind `piece`.
    pieces: std::vec::IntoIter<(u64, BlobRef)>,
    /// The new bytes that are read, how many there are, and from where on.
    piece: Option<(u64, BlobRef, Range)>,
    /// What was read last of the sources, and of which.
    range: Option<(u32, Range)>,
}

impl Reader {
    /// Goes over what has been read before.
    fn skip(&mut self, offset: u64) {
        let mut left = offset;
        let mut new = 0;
        while left > 0
            && let Some(step) = self.steps.next()
        {
            let over = left.min(step.size());
            left -= over;
            self.current = rest(step, over);
            if matches!(step, RecipeStep::New(_)) {
                new += over;
            }
        }
        while new > 0
            && let Some((size, blob)) = self.pieces.next()
        {
            let over = new.min(size);
            new -= over;
            if over < size {
                self.piece = Some((size, blob, Range::at(over)));
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(step) = self.current.take().or_else(|| self.steps.next()) else {
            return Ok(None);
        };
        let bytes = match step {
            RecipeStep::Copy(source, offset, len) => self.copy(source, offset, len).await?,
            RecipeStep::New(len) => self.new_bytes(len).await?,
        };
        self.current = rest(step, bytes.len() as u64);
        Ok(Some(bytes))
    }

    async fn copy(&mut self, source: u32, offset: u64, most: u64) -> Result<Bytes, Error> {
        let blob = self.sources.get(source as usize);
        let blob = blob.ok_or_else(|| Error::malformed("recipe", "there is no such source"))?;
        let mut range = match self.range.take() {
            Some((last, range)) if last == source => range,
            _ => Range::at(offset),
        };
        let bytes = range.read(blob, offset, most).await?;
        self.range = Some((source, range));
        Ok(bytes)
    }

    async fn new_bytes(&mut self, most: u64) -> Result<Bytes, Error> {
        let (size, blob, mut range) = if let Some(piece) = self.piece.take() {
            piece
        } else {
            let (size, blob) = self.pieces.next().ok_or(Error::SizeMismatch {
                expected: most,
                actual: 0,
            })?;
            (size, blob, Range::at(0))
        };
        let at = range.position;
        let bytes = range.read(&blob, at, most.min(size - at)).await?;
        if range.position < size {
            self.piece = Some((size, blob, range));
        }
        Ok(bytes)
    }
}

/// Returns what is left of a step.
fn rest(step: RecipeStep, taken: u64) -> Option<RecipeStep> {
    let left = step.size().checked_sub(taken).filter(|left| *left > 0)?;
    Some(match step {
        RecipeStep::Copy(source, offset, _) => RecipeStep::Copy(source, offset + taken, left),
        RecipeStep::New(_) => RecipeStep::New(left),
    })
}

/// Where in a blob is read, and what comes there.
struct Range {
    position: u64,
    stream: Option<ByteStream>,
    /// What has come and was not asked for yet.
    ahead: Bytes,
}

impl Range {
    const fn at(position: u64) -> Self {
        Self {
            position,
            stream: None,
            ahead: Bytes::new(),
        }
    }

    /// Reads some bytes at an offset, at least one and at most `most`.
    async fn read(&mut self, blob: &BlobRef, offset: u64, most: u64) -> Result<Bytes, Error> {
        let gap = offset.checked_sub(self.position);
        if gap.is_none_or(|gap| gap > READ_OVER) {
            *self = Self::at(offset);
        }
        let ended = |at: u64| Error::SizeMismatch {
            expected: offset.saturating_add(most),
            actual: at,
        };
        loop {
            if self.ahead.is_empty() {
                let mut stream = if let Some(stream) = self.stream.take() {
                    stream
                } else {
                    self.position = offset;
                    blob.open_at(offset).await?
                };
                let next = stream.next().await.transpose()?;
                self.ahead = next.ok_or_else(|| ended(self.position))?;
                self.stream = Some(stream);
            }
            let over = usize::try_from(offset - self.position).unwrap_or(usize::MAX);
            let over = over.min(self.ahead.len());
            drop(self.ahead.split_to(over));
            self.position += over as u64;
            if !self.ahead.is_empty() {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let bytes = self.ahead.split_to(most.min(self.ahead.len()));
                self.position += bytes.len() as u64;
                return Ok(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ocm_blob::{MemoryBlob, collect, read_to_end};
    use ocm_oci::MemoryStore;

    use super::*;
    use crate::delta::recipe::{Draft, new_bytes};
    use crate::delta::tag;

    async fn push(store: &StoreRef, name: &RepositoryName, content: &[u8]) -> Descriptor {
        let blob: BlobRef = Arc::new(MemoryBlob::new(content.to_vec()));
        let pushed = store.push_blob(name, &blob).await.unwrap();
        new_bytes(pushed.digest, pushed.size)
    }

    /// Returns a blob of seven steps, over three pieces of new bytes, and its content.
    async fn blob() -> (Reassembled, Vec<u8>) {
        let base: StoreRef = Arc::new(MemoryStore::new());
        let delta: StoreRef = Arc::new(MemoryStore::new());
        let there: RepositoryName = "there".parse().unwrap();
        let first: Vec<u8> = (0..250).collect();
        let second = vec![7; 90];
        let fresh: Vec<u8> = (200..240).collect();
        let mut sources = BTreeMap::new();
        for content in [&first, &second] {
            let pushed = push(&base, &there, content).await;
            sources.insert(pushed.digest, (pushed.size, there.clone()));
        }
        let name = repository().unwrap();
        let mut pieces = Vec::new();
        for range in [0..10, 10..35, 35..40] {
            pieces.push(push(&delta, &name, &fresh[range]).await);
        }
        let (one, other) = (Digest::sha256(&first), Digest::sha256(&second));
        let mut draft = Draft::default();
        draft.add_new(7);
        assert!(draft.add_copy(one, 100, 50));
        draft.add_new(20);
        assert!(draft.add_copy(one, 160, 5));
        assert!(draft.add_copy(one, 10, 30));
        assert!(draft.add_copy(other, 1, 9));
        draft.add_new(13);
        let content = [
            &fresh[..7],
            &first[100..150],
            &fresh[7..27],
            &first[160..165],
            &first[10..40],
            &second[1..10],
            &fresh[27..],
        ]
        .concat();
        let place = (&name, &tag("recipe").unwrap());
        let recipe = draft.finish().store(&delta, place, &pieces).await.unwrap();
        let blob = Reassembled {
            delta,
            base,
            sources: Arc::new(sources),
            descriptor: Descriptor::of("text/plain", &content),
            recipe,
        };
        (blob, content)
    }

    #[tokio::test]
    async fn a_blob_is_put_together_from_every_byte_on() {
        let (blob, content) = blob().await;
        assert_eq!(read_to_end(&blob, 1000).await.unwrap(), content);
        for offset in 0..=content.len() {
            let rest = blob.open_at(offset as u64).await.unwrap();
            assert_eq!(collect(rest, 1000).await.unwrap(), content[offset..]);
        }
        assert!(blob.open_at(content.len() as u64 + 1).await.is_err());
    }

    #[tokio::test]
    async fn what_does_not_fit_together_is_an_error() {
        let (mut made, content) = blob().await;
        made.descriptor = Descriptor::of("text/plain", &[&content[1..], &[0]].concat());
        let error = read_to_end(&made, 1000).await.unwrap_err();
        assert!(error.is_mismatch(), "{error}");

        let (mut made, content) = blob().await;
        made.descriptor = Descriptor::of("text/plain", &content[1..]);
        assert!(made.open().await.is_err());

        let (mut made, _) = blob().await;
        let one = made
            .sources
            .iter()
            .next()
            .map(|(digest, place)| (*digest, place.clone()));
        made.sources = Arc::new(one.into_iter().collect());
        assert!(made.open().await.is_err());

        let (mut made, _) = blob().await;
        let lost = *made.sources.keys().next().unwrap();
        let there = "there".parse().unwrap();
        made.base.delete_blob(&there, &lost).await.unwrap();
        assert!(read_to_end(&made, 1000).await.is_err());

        made.recipe = Digest::sha256("no recipe");
        assert!(made.open().await.is_err());
    }
}
