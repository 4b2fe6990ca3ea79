//! A blob that is also checked against the digest of a descriptor: its own, or that of the artifact
//! in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes, Error, Promise, check, verify};
use ocm_ctf::check_passing;
use ocm_digest::{Digest, HashAlgorithm};

/// A blob that is also checked against a digest whenever it is read from its start.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    inner: BlobRef,
    expected: Digest,
    what: What,
    proven: Arc<AtomicBool>,
    shows_media_type: bool,
}

/// What has the digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    /// The bytes.
    Blob,
    /// The artifact that they are an archive of.
    Artifact,
}

impl Checked {
    pub(super) fn new(inner: BlobRef, expected: Digest) -> Self {
        Self::of(What::Blob, inner, expected)
    }

    /// Checks an archive against the digest of the artifact that it holds.
    pub(super) fn artifact(inner: BlobRef, expected: Digest) -> Self {
        Self::of(What::Artifact, inner, expected)
    }

    fn of(what: What, inner: BlobRef, expected: Digest) -> Self {
        Self {
            inner,
            expected,
            what,
            proven: Arc::default(),
            shows_media_type: true,
        }
    }

    /// Keeps the media type to itself.
    pub(super) const fn without_media_type(mut self) -> Self {
        self.shows_media_type = false;
        self
    }

    /// Returns the digest that the bytes must have, if one is known.
    pub(super) fn expected(&self) -> Option<Digest> {
        (self.what == What::Blob).then_some(self.expected)
    }

    /// Returns what the bytes must be.
    fn promise(&self) -> Promise {
        Promise {
            size: self.inner.size(),
            digest: Some(self.expected),
        }
    }

    /// Returns whether the content has been read whole and was right.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }
}

#[async_trait]
impl Blob for Checked {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    /// Stores know content by SHA-256 and are not offered anything else.
    fn digest(&self) -> Option<Digest> {
        let promised = self
            .expected()
            .filter(|digest| digest.algorithm() == HashAlgorithm::Sha256);
        self.inner.digest().or(promised)
    }

    fn media_type(&self) -> Option<&str> {
        self.inner.media_type().filter(|_| self.shows_media_type)
    }

    fn read_at_hand(&self) -> Result<Option<Bytes>, Error> {
        if self.what == What::Artifact {
            return Ok(None);
        }
        let read = self.inner.read_at_hand()?;
        if let Some(bytes) = &read {
            check(bytes, self.promise())?;
            self.proven.store(true, Ordering::Release);
        }
        Ok(read)
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let size = self.inner.size();
        let opened = self.inner.open().await?;
        let checked = match self.what {
            What::Blob => verify(opened, self.promise()),
            What::Artifact => check_passing(opened, self.expected),
        };
        let proven = Arc::clone(&self.proven);
        let state = (checked, 0_u64);
        let watched = stream::unfold(Some(state), move |state| {
            let proven = Arc::clone(&proven);
            async move {
                let (mut inner, mut seen) = state?;
                match inner.next().await {
                    Some(Ok(chunk)) => {
                        seen += chunk.len() as u64;
                        // The chunk that completes the size is handed out once it is right.
                        if size == Some(seen) {
                            proven.store(true, Ordering::Release);
                        }
                        Some((Ok(chunk), Some((inner, seen))))
                    }
                    Some(Err(error)) => Some((Err(error), None)),
                    None => {
                        proven.store(true, Ordering::Release);
                        None
                    }
                }
            }
        });
        Ok(watched.boxed())
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, Error> {
        if offset == 0 {
            return self.open().await;
        }
        self.inner.open_at(offset).await
    }
}

#[cfg(test)]
mod tests {
    use ocm_blob::{MemoryBlob, read_to_end};

    use super::*;

    fn checked(content: &'static str, expected: &str) -> Checked {
        let expected = HashAlgorithm::Sha512.digest(expected);
        Checked::new(Arc::new(MemoryBlob::new(content)), expected)
    }

    #[tokio::test]
    async fn only_right_content_is_proven() {
        for content in ["hello", ""] {
            let right = checked(content, content);
            assert!(!right.is_proven());
            read_to_end(&right, 100).await.unwrap();
            assert!(right.is_proven());
        }
        let wrong = checked("hello", "other");
        assert!(read_to_end(&wrong, 100).await.unwrap_err().is_mismatch());
        assert!(!wrong.is_proven());
    }

    #[tokio::test]
    async fn a_part_proves_nothing() {
        let right = checked("hello", "hello");
        let tail = right.open_at(1).await.unwrap();
        ocm_blob::collect(tail, 100).await.unwrap();
        assert!(!right.is_proven());
    }

    #[test]
    fn stores_are_offered_sha256_only() {
        assert_eq!(
            checked("hello", "hello").digest(),
            Some(Digest::sha256("hello"))
        );
    }
}
