//! Telling how blobs move.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes, Origin};
use ocm_digest::Digest;

use crate::store::{Outcome, Pushed};
use crate::turn::Turn;

/// Learns how blobs move. Every method has a default that does nothing.
pub trait CopyProgress: fmt::Debug + Send + Sync {
    /// A blob is going to be moved, if it is not there. The size is known for most.
    fn started(&self, size: Option<u64>) {
        let _ = size;
    }

    /// So many more bytes have been read, or need not be, as an earlier run has brought them. Bytes that
    /// are read again after a fault do not count.
    fn advanced(&self, bytes: u64) {
        let _ = bytes;
    }

    /// A blob is at the target.
    fn finished(&self, pushed: &Pushed) {
        let _ = pushed;
    }
}

/// What it took to have content where it was wanted, for those who show how work goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moved {
    /// Its size in bytes, as far as it was known before.
    pub planned: Option<u64>,
    /// The bytes that were read for it. Manifests do not count, nor what was there.
    pub read: u64,
    /// What had to be done; a copy as soon as one part was moved.
    pub outcome: Outcome,
}

#[derive(Debug)]
pub(super) struct Silent;

impl CopyProgress for Silent {}

/// Counts the bytes of one piece of work, and tells them on.
#[derive(Clone, Debug)]
pub struct Meter {
    bytes: Arc<AtomicU64>,
    inner: Arc<dyn CopyProgress>,
}

impl Meter {
    pub(super) fn over(progress: &Arc<dyn CopyProgress>) -> Self {
        Self {
            bytes: Arc::default(),
            inner: Arc::clone(progress),
        }
    }

    /// Returns the bytes that have been read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl CopyProgress for Meter {
    fn started(&self, size: Option<u64>) {
        self.inner.started(size);
    }

    fn advanced(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.inner.advanced(bytes);
    }

    fn finished(&self, pushed: &Pushed) {
        self.inner.finished(pushed);
    }
}

/// A blob that tells how it is read.
#[derive(Debug)]
pub(super) struct Metered {
    inner: BlobRef,
    progress: Arc<dyn CopyProgress>,
    /// The furthest position that was read, over all readings.
    seen: Arc<AtomicU64>,
    first: First,
    /// The turn that passes when it is opened.
    pub(super) at_opening: Option<Turn>,
}

impl Metered {
    pub(super) fn over(blob: &BlobRef, progress: &Arc<dyn CopyProgress>) -> Self {
        Self {
            inner: Arc::clone(blob),
            progress: Arc::clone(progress),
            seen: Arc::default(),
            first: First::default(),
            at_opening: None,
        }
    }

    /// Returns where reading began, which is known afterwards.
    pub(super) fn first(&self) -> First {
        self.first.clone()
    }

    /// Lets the next one come that waits for this to be opened.
    fn pass(&self) {
        if let Some(turn) = &self.at_opening {
            turn.pass();
        }
    }

    fn meter(&self, stream: ByteStream, offset: u64) -> ByteStream {
        let (progress, seen) = (Arc::clone(&self.progress), Arc::clone(&self.seen));
        self.first.read_from(offset);
        let mut position = offset;
        stream
            .inspect_ok(move |chunk| {
                position += chunk.len() as u64;
                reached(position, &seen, progress.as_ref());
            })
            .boxed()
    }
}

/// The least position from which a blob was read. What is before it was at the target already.
#[derive(Clone, Debug)]
pub(super) struct First(Arc<AtomicU64>);

impl Default for First {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl First {
    fn read_from(&self, offset: u64) {
        self.0.fetch_min(offset, Ordering::Relaxed);
    }

    /// Returns it; the beginning, if nothing was read.
    pub(super) fn get(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            u64::MAX => 0,
            first => first,
        }
    }
}

/// Tells of what has been read up to a position, unless that was told before.
fn reached(position: u64, seen: &AtomicU64, progress: &dyn CopyProgress) {
    let before = seen.fetch_max(position, Ordering::Relaxed);
    if position > before {
        progress.advanced(position - before);
    }
}

#[async_trait]
impl Blob for Metered {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        self.inner.digest()
    }

    fn media_type(&self) -> Option<&str> {
        self.inner.media_type()
    }

    fn bytes(&self) -> Option<Bytes> {
        self.inner.bytes()
    }

    fn origin(&self) -> Option<Origin> {
        self.inner.origin()
    }

    fn read_at_hand(&self) -> Result<Option<Bytes>, ocm_blob::Error> {
        let read = self.inner.read_at_hand()?;
        if let Some(bytes) = &read {
            self.pass();
            self.first.read_from(0);
            reached(bytes.len() as u64, &self.seen, self.progress.as_ref());
        }
        Ok(read)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.pass();
        Ok(self.meter(self.inner.open().await?, 0))
    }

    async fn open_unchecked(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.pass();
        Ok(self.meter(self.inner.open_unchecked().await?, 0))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        Ok(self.meter(self.inner.open_at(offset).await?, offset))
    }
}

#[cfg(test)]
mod tests {
    use ocm_blob::{MemoryBlob, read_to_end};

    use super::*;

    #[tokio::test]
    async fn each_byte_counts_once_however_it_is_read() {
        let silent: Arc<dyn CopyProgress> = Arc::new(Silent);
        let content: BlobRef = Arc::new(MemoryBlob::new("hello"));
        let read = |meter: &Meter| {
            let progress: Arc<dyn CopyProgress> = Arc::new(meter.clone());
            Metered::over(&content, &progress)
        };
        let at_hand = Meter::over(&silent);
        let blob = read(&at_hand);
        assert_eq!(blob.read_at_hand().unwrap().unwrap(), "hello");
        assert_eq!(at_hand.bytes(), 5);
        read_to_end(&blob, 5).await.unwrap();
        assert_eq!(at_hand.bytes(), 5);

        assert_eq!(blob.first().get(), 0);

        let as_stream = Meter::over(&silent);
        read_to_end(&read(&as_stream), 5).await.unwrap();
        assert_eq!(as_stream.bytes(), 5);

        let from_the_middle = read(&at_hand);
        assert_eq!(from_the_middle.first().get(), 0);
        for (offset, first) in [(3, 3), (4, 3), (1, 1)] {
            drop(from_the_middle.open_at(offset).await.unwrap());
            assert_eq!(from_the_middle.first().get(), first);
        }
    }
}
