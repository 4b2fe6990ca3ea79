//! Streams of chunks: the one currency of bytes.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;

use crate::blob::{Blob, BlobRef};
use crate::error::Error;

/// The size of a chunk, in bytes. Measured: smaller ones cost throughput on loopback and disk,
/// larger ones cost memory without a gain.
pub const CHUNK: usize = 256 * 1024;

/// Chunks that a blocking producer may be ahead of its consumer.
const AHEAD: usize = 2;

/// Content as it passes: chunks of at most [`CHUNK`] bytes, none of them empty.
///
/// After an error the stream ends.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// Returns a stream of bytes that are in memory, cut into chunks.
pub fn once(mut bytes: Bytes) -> ByteStream {
    stream::iter(std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| Ok(bytes.split_to(bytes.len().min(CHUNK))))
    }))
    .boxed()
}

/// Runs a blocking producer on a thread of its own and returns what it sends.
///
/// `produce` is called with a function that hands over one chunk and returns `false` once nobody
/// listens any more, upon which `produce` should return.
///
/// # Cancellation
///
/// Dropping the stream lets the producer stop at its next chunk.
pub fn from_fn_blocking<F>(produce: F) -> ByteStream
where
    F: FnOnce(&mut dyn FnMut(Bytes) -> bool) -> Result<(), Error> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let outcome = produce(&mut |chunk| sender.blocking_send(Ok(chunk)).is_ok());
        if let Err(error) = outcome {
            // Nobody listening is the one reason for a failed send, and then nobody is to be told.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::poll_fn(move |cx| receiver.poll_recv(cx)).boxed()
}

/// Opens a blob when its stream is read for the first time: who waits for a turn holds no file and
/// no chunk.
pub fn lazily(blob: BlobRef) -> ByteStream {
    stream::once(async move { blob.open().await })
        .try_flatten()
        .boxed()
}

/// Reads a stream to its end into memory.
///
/// # Errors
///
/// The stream fails, or is longer than `limit` bytes.
pub async fn collect(mut stream: ByteStream, limit: u64) -> Result<Bytes, Error> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut seen = 0_u64;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        seen += chunk.len() as u64;
        if seen > limit {
            return Err(Error::TooLarge { limit });
        }
        match first.take() {
            None if rest.is_empty() => first = Some(chunk),
            None => rest.extend_from_slice(&chunk),
            Some(start) => {
                rest.extend_from_slice(&start);
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

/// Reads a blob, verified, into memory.
///
/// # Errors
///
/// The blob cannot be read, is not what it promised, or is longer than `limit` bytes.
pub async fn read_to_end(blob: &(impl Blob + ?Sized), limit: u64) -> Result<Bytes, Error> {
    if blob.size().is_some_and(|size| size > limit) {
        return Err(Error::TooLarge { limit });
    }
    match blob.read_at_hand()? {
        Some(bytes) if bytes.len() as u64 > limit => Err(Error::TooLarge { limit }),
        Some(bytes) => Ok(bytes),
        None => collect(blob.open().await?, limit).await,
    }
}

/// Ends a stream with its first error.
pub(crate) fn end_after_error(stream: ByteStream) -> ByteStream {
    stream::unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        match stream.next().await? {
            Ok(chunk) => Some((Ok(chunk), Some(stream))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// Drops the first `offset` bytes of a stream.
pub(crate) async fn skip(mut stream: ByteStream, offset: u64) -> Result<ByteStream, Error> {
    let mut left = offset;
    while left > 0 {
        let Some(chunk) = stream.next().await else {
            return Err(Error::SizeMismatch {
                expected: offset,
                actual: offset - left,
            });
        };
        let mut chunk = chunk?;
        let Ok(cut) = usize::try_from(left) else {
            left -= chunk.len() as u64;
            continue;
        };
        if cut < chunk.len() {
            let tail = chunk.split_off(cut);
            return Ok(once(tail).chain(stream).boxed());
        }
        left -= chunk.len() as u64;
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_stream_is_refused_by_its_limit() {
        let error = collect(once(Bytes::from(vec![0; 10])), 9)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 9 }));
    }

    #[tokio::test]
    async fn a_blob_is_opened_by_the_first_read() {
        #[derive(Debug)]
        struct Closed;

        #[async_trait::async_trait]
        impl Blob for Closed {
            fn size(&self) -> Option<u64> {
                None
            }

            fn digest(&self) -> Option<ocm_digest::Digest> {
                None
            }

            async fn open(&self) -> Result<ByteStream, Error> {
                Err(Error::malformed("blob", "closed"))
            }
        }

        let mut stream = lazily(std::sync::Arc::new(Closed));
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn skipping_crosses_chunks() {
        let content: Bytes = (0..CHUNK * 2 + 10).map(|n| n.to_le_bytes()[0]).collect();
        for offset in [1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * 2 + 10] {
            let tail = skip(once(content.clone()), offset as u64).await.unwrap();
            assert_eq!(
                collect(tail, u64::MAX).await.unwrap(),
                content.slice(offset..)
            );
        }
        let past = skip(once(content.clone()), content.len() as u64 + 1).await;
        assert!(matches!(past.err(), Some(Error::SizeMismatch { .. })));
    }

    #[tokio::test]
    async fn a_producer_is_told_that_nobody_listens() {
        let (told, wait) = std::sync::mpsc::channel();
        let stream = from_fn_blocking(move |send| {
            while send(Bytes::from_static(b"more")) {}
            told.send(()).unwrap();
            Ok(())
        });
        drop(stream);
        assert!(wait.recv().is_ok());
    }
}
