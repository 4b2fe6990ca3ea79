//! Streams that check what passes.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use ocm_digest::{Digest, Digester};

use crate::error::Error;
use crate::hashing::hash;
use crate::stream::ByteStream;

/// What content has been promised to be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Promise {
    /// The size in bytes, if promised.
    pub size: Option<u64>,
    /// The digest, if promised.
    pub digest: Option<Digest>,
}

/// Passes content on and checks it against a promise.
///
/// The chunk that completes the promised size is handed out only once the digest has matched, so
/// a reader that has all the bytes has verified them. Without a promised size the check comes at
/// the end of the stream.
pub fn verify(inner: ByteStream, promise: Promise) -> ByteStream {
    if promise == Promise::default() {
        return inner;
    }
    let checker = Checker {
        digester: promise
            .digest
            .map(|digest| Digester::new(digest.algorithm())),
        promise,
        seen: 0,
    };
    stream::unfold(Some((inner, checker)), |state| async move {
        let (mut inner, mut checker) = state?;
        match inner.next().await {
            None => checker.finish().err().map(|error| (Err(error), None)),
            Some(Err(error)) => Some((Err(error), None)),
            Some(Ok(chunk)) => match checker.pass(&chunk).await {
                Ok(()) => Some((Ok(chunk), Some((inner, checker)))),
                Err(error) => Some((Err(error), None)),
            },
        }
    })
    .boxed()
}

/// Checks content that is in memory against a promise, as [`verify`] does what passes.
///
/// # Errors
///
/// It has another size or another digest.
pub fn check(content: &[u8], promise: Promise) -> Result<(), Error> {
    let actual = content.len() as u64;
    if let Some(expected) = promise.size.filter(|expected| *expected != actual) {
        return Err(Error::SizeMismatch { expected, actual });
    }
    let Some(expected) = promise.digest else {
        return Ok(());
    };
    let actual = expected.algorithm().digest(content);
    if actual == expected {
        Ok(())
    } else {
        Err(Error::DigestMismatch { expected, actual })
    }
}

struct Checker {
    promise: Promise,
    /// `None` once checked, or when no digest was promised.
    digester: Option<Digester>,
    seen: u64,
}

impl Checker {
    async fn pass(&mut self, chunk: &Bytes) -> Result<(), Error> {
        self.seen += chunk.len() as u64;
        if let Some(expected) = self.promise.size
            && self.seen > expected
        {
            return Err(Error::SizeMismatch {
                expected,
                actual: self.seen,
            });
        }
        if let Some(digester) = &mut self.digester {
            hash(digester, chunk).await;
        }
        if self.promise.size == Some(self.seen) {
            self.check_digest()
        } else {
            Ok(())
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        match self.promise.size {
            Some(expected) if expected != self.seen => Err(Error::SizeMismatch {
                expected,
                actual: self.seen,
            }),
            _ => self.check_digest(),
        }
    }

    fn check_digest(&mut self) -> Result<(), Error> {
        let (Some(digester), Some(expected)) = (self.digester.take(), self.promise.digest) else {
            return Ok(());
        };
        let actual = digester.finish();
        if actual == expected {
            Ok(())
        } else {
            Err(Error::DigestMismatch { expected, actual })
        }
    }
}

/// Counts and hashes content on its way, for writers that learn size and digest by writing.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    digester: Digester,
    size: u64,
}

impl Counted {
    /// Starts with the algorithm of the digest that will be asked for.
    pub fn new(algorithm: ocm_digest::HashAlgorithm) -> Self {
        Self {
            digester: Digester::new(algorithm),
            size: 0,
        }
    }

    /// Adds a chunk, beside others who [hash] chunks of other content.
    pub async fn hash(&mut self, chunk: &Bytes) {
        hash(&mut self.digester, chunk).await;
        self.size += chunk.len() as u64;
    }

    /// Adds a chunk.
    pub fn update(&mut self, chunk: &[u8]) {
        self.digester.update(chunk);
        self.size += chunk.len() as u64;
    }

    /// Returns the number of bytes so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns digest and size of everything that passed.
    pub fn finish(self) -> (Digest, u64) {
        (self.digester.finish(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{collect, once};

    fn promise(content: &[u8]) -> Promise {
        Promise {
            size: Some(content.len() as u64),
            digest: Some(Digest::sha256(content)),
        }
    }

    async fn read(content: &'static [u8], promise: Promise) -> Result<Bytes, Error> {
        collect(verify(once(Bytes::from_static(content)), promise), u64::MAX).await
    }

    #[tokio::test]
    async fn content_as_promised_passes() {
        assert_eq!(read(b"hello", promise(b"hello")).await.unwrap(), "hello");
        assert_eq!(read(b"", promise(b"")).await.unwrap(), "");
    }

    #[tokio::test]
    async fn content_in_memory_is_checked_as_a_stream_is() {
        let whole = promise(b"hello");
        let promises = [
            whole,
            Promise {
                size: None,
                ..whole
            },
            Promise {
                digest: None,
                ..whole
            },
            Promise::default(),
        ];
        for content in [&b"hello"[..], b"", b"hellO", b"hell", b"hello!"] {
            for promise in promises {
                let streamed = read(content, promise).await.map(drop);
                let checked = check(content, promise);
                assert_eq!(format!("{checked:?}"), format!("{streamed:?}"));
            }
        }
    }

    #[tokio::test]
    async fn other_content_is_an_error() {
        let error = read(b"hellO", promise(b"hello")).await.unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }));
        let no_size = Promise {
            size: None,
            ..promise(b"hello")
        };
        assert!(read(b"hellO", no_size).await.unwrap_err().is_mismatch());
        assert!(read(b"", promise(b"x")).await.unwrap_err().is_mismatch());
    }

    #[tokio::test]
    async fn fewer_and_more_bytes_are_errors() {
        for content in [&b"hell"[..], b"hello!"] {
            let error = read(content, promise(b"hello")).await.unwrap_err();
            assert!(
                matches!(error, Error::SizeMismatch { expected: 5, .. }),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn wrong_content_never_hands_out_its_last_chunk() {
        let mut stream = verify(once(Bytes::from_static(b"hellO")), promise(b"hello"));
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }
}
