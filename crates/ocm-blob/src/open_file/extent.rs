//! Parts of a file that is held open, as blobs.

use std::task::Poll;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, poll_fn};
use ocm_digest::Digest;

use super::OpenFile;
use super::paging::Reading;
use crate::blob::Blob;
use crate::error::Error;
use crate::stream::{ByteStream, CHUNK, from_fn_blocking, once};
use crate::verify::{Promise, verify};

/// A part of a file that is held open.
#[derive(Clone, Debug)]
pub struct ExtentBlob {
    file: OpenFile,
    start: u64,
    len: u64,
    digest: Option<Digest>,
}

impl ExtentBlob {
    pub(super) const fn new(file: OpenFile, start: u64, len: u64) -> Self {
        Self {
            file,
            start,
            len,
            digest: None,
        }
    }

    /// Sets the digest that the content must have.
    #[must_use]
    pub const fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    fn read_from(&self, offset: u64, digest: Option<Digest>) -> Result<ByteStream, Error> {
        let Some(left) = self.len.checked_sub(offset) else {
            return Err(Error::SizeMismatch {
                expected: offset,
                actual: self.len,
            });
        };
        let promise = Promise {
            size: Some(left),
            digest,
        };
        Ok(verify(self.chunks(offset, Reading::Kept)?, promise))
    }

    /// Reads from an offset to the end, which comes too early where that of the file does.
    fn chunks(&self, offset: u64, reading: Reading) -> Result<ByteStream, Error> {
        let (file, start) = (self.file.clone(), self.start + offset);
        let left = self.len - offset;
        if left <= CHUNK as u64 {
            return Ok(once(file.read_by(reading, start, size_of_chunk(left))?));
        }
        Ok(from_fn_blocking(move |send| {
            let mut done = 0;
            while done < left {
                let chunk = file.read_by(reading, start + done, size_of_chunk(left - done))?;
                done += chunk.len() as u64;
                if chunk.is_empty() || !send(chunk) {
                    break;
                }
            }
            Ok(())
        }))
    }

    /// Reads what is in the memory of the system where it is asked for, as long as there is
    /// something, and the rest by a thread: the way from there costs more than copying does.
    fn chunks_memory_first(&self, reading: Reading) -> ByteStream {
        let blob = self.clone();
        let (mut done, mut rest) = (0, None);
        poll_fn(move |cx| {
            if rest.is_none() {
                let left = blob.len - done;
                if left == 0 {
                    return Poll::Ready(None);
                }
                let (start, len) = (blob.start + done, size_of_chunk(left));
                if let Some(chunk) = blob.file.read_at_once(reading, start, len) {
                    done += chunk.len() as u64;
                    return Poll::Ready(Some(Ok(chunk)));
                }
            }
            let rest = rest.get_or_insert_with(|| {
                let chunks = blob.chunks(done, reading);
                chunks.unwrap_or_else(|error| stream::iter([Err(error)]).boxed())
            });
            rest.poll_next_unpin(cx)
        })
        .boxed()
    }
}

fn size_of_chunk(left: u64) -> usize {
    usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)
}

#[async_trait]
impl Blob for ExtentBlob {
    fn size(&self) -> Option<u64> {
        Some(self.len)
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        self.read_from(0, self.digest)
    }

    async fn open_unchecked(&self) -> Result<ByteStream, Error> {
        let chunks = self.chunks_memory_first(if self.file.is_large()? {
            Reading::InPassing
        } else {
            Reading::Kept
        });
        let promise = Promise {
            size: Some(self.len),
            digest: None,
        };
        Ok(verify(chunks, promise))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, Error> {
        self.read_from(offset, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use crate::open_file::paging::{KEPT, forget};
    use crate::open_file::tests::file_of;
    #[cfg(target_os = "linux")]
    use crate::open_file::tests::{TIMES, file_on_disk, is_in_memory};
    use crate::stream::{collect, read_to_end};

    /// Returns bytes that differ from place to place, and from chunk to chunk.
    fn content(len: usize) -> Vec<u8> {
        let bytes = (0..len).map(|n| (n + n / CHUNK).to_le_bytes()[0]);
        bytes.collect()
    }

    #[tokio::test]
    async fn an_extent_is_read_whole_and_from_an_offset() {
        let content = content(CHUNK * 2 + 9);
        let part = &content[3..content.len() - 2];
        let blob = file_of(&content)
            .blob(3, part.len() as u64)
            .with_digest(Digest::sha256(part));
        assert_eq!(read_to_end(&blob, u64::MAX).await.unwrap(), part);
        let tail = blob.open_at(CHUNK as u64 + 1).await.unwrap();
        assert_eq!(collect(tail, u64::MAX).await.unwrap(), part[CHUNK + 1..]);
        assert!(blob.open_at(u64::MAX).await.is_err());
    }

    #[tokio::test]
    async fn an_extent_beyond_the_end_is_an_error() {
        let error = read_to_end(&file_of(b"0123").blob(2, 10), 100)
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            Error::SizeMismatch {
                expected: 10,
                actual: 2
            }
        ));
        assert!(file_of(b"0123").read_at(2, 3).is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_passed_on_of_a_large_file_does_not_stay_in_memory() {
        let (file, is_told) = file_on_disk();
        let len = 4 * CHUNK;
        // Some systems cannot do otherwise than keep all.
        file.read_at(0, len).unwrap();
        let is_told = is_told && is_in_memory(&file, Reading::InPassing);
        for (size, is_there, stays) in [
            (KEPT + 1, false, false),
            (KEPT, false, true),
            (KEPT + 1, true, true),
        ] {
            file.file().set_len(size).unwrap();
            let wrong = Digest::sha256("something else");
            let blob = file.blob(0, len as u64).with_digest(wrong);
            let mut is_so = false;
            for _ in 0..TIMES {
                forget(file.file());
                if is_there {
                    file.read_at(0, len).unwrap();
                }
                let stream = blob.open_unchecked().await.unwrap();
                assert_eq!(collect(stream, u64::MAX).await.unwrap(), vec![7; len]);
                is_so |= is_in_memory(&file, Reading::Kept) == stays;
            }
            assert!(!is_told || is_so, "{size}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_passed_on_comes_from_memory_and_disk_as_it_is_there() {
        let content = content(CHUNK * 4 + 9);
        let file = file_of(&content);
        for in_memory in [0, 1, CHUNK * 2, content.len()] {
            file.write_back().unwrap();
            forget(file.file());
            file.read_at(0, in_memory).unwrap();
            let blob = file.blob(5, content.len() as u64 - 5);
            let passed = blob.open_unchecked().await.unwrap();
            assert!(collect(passed, u64::MAX).await.unwrap() == content[5..]);
        }
    }

    #[tokio::test]
    async fn what_is_passed_on_and_is_too_short_is_an_error() {
        for len in [2, CHUNK + 2, CHUNK * 5] {
            let file = file_of(&vec![1; len]);
            for size in [len + 1, len + CHUNK * 3] {
                let passed = file.blob(0, size as u64).open_unchecked().await.unwrap();
                let error = collect(passed, u64::MAX).await.unwrap_err();
                let (expected, actual) = (size as u64, len as u64);
                assert!(
                    matches!(error, Error::SizeMismatch { expected: e, actual: a }
                        if (e, a) == (expected, actual)),
                    "{error}"
                );
            }
        }
    }
}
