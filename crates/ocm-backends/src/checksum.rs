//! Checksums that package repositories state, also by algorithms that no digest uses.

use std::fmt;

use aws_lc_rs::digest::{self, Context};
use futures::StreamExt as _;
use futures::stream;
use md5::{Digest as _, Md5};
use ocm_blob::{ByteStream, Bytes, Error};

/// An algorithm of checksums; the greater the stronger.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// All of them, the strongest first.
    pub(crate) const ALL: [Self; 5] = [
        Self::Sha512,
        Self::Sha384,
        Self::Sha256,
        Self::Sha1,
        Self::Md5,
    ];

    /// The name that is used in file names and in the attribute `integrity`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    const fn size(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn start(self) -> Hasher {
        let algorithm = match self {
            Self::Md5 => return Hasher::Md5(Md5::new()),
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        Hasher::Sha(Context::new(algorithm))
    }
}

/// A checksum that some content must have.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Checksum {
    algorithm: Algorithm,
    value: Vec<u8>,
}

impl Checksum {
    /// Takes the value of a checksum; none if it has the wrong length.
    pub(crate) fn new(algorithm: Algorithm, value: Vec<u8>) -> Option<Self> {
        (value.len() == algorithm.size()).then_some(Self { algorithm, value })
    }

    /// Reads a checksum in hexadecimal.
    pub(crate) fn from_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        Self::new(algorithm, hex::decode(text).ok()?)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (self.algorithm.as_str(), hex::encode(&self.value));
        write!(f, "{name}:{value}")
    }
}

enum Hasher {
    Md5(Md5),
    Sha(Context),
}

impl Hasher {
    fn update(&mut self, chunk: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(chunk),
            Self::Sha(hasher) => hasher.update(chunk),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Sha(hasher) => hasher.finish().as_ref().to_vec(),
        }
    }
}

/// Content that has checksums, which are checked whenever it is read.
#[cfg(feature = "maven")]
#[derive(Debug)]
pub(crate) struct Checked {
    /// How messages name it.
    pub(crate) name: String,
    pub(crate) inner: ocm_blob::BlobRef,
    pub(crate) checksums: Vec<Checksum>,
}

#[cfg(feature = "maven")]
#[async_trait::async_trait]
impl ocm_blob::Blob for Checked {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<ocm_digest::Digest> {
        self.inner.digest()
    }

    fn media_type(&self) -> Option<&str> {
        self.inner.media_type()
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        Ok(verify(
            self.inner.open().await?,
            &self.name,
            &self.checksums,
        ))
    }
}

/// Passes content on, which ends in an error that names it unless it has all of the checksums.
pub(crate) fn verify(inner: ByteStream, what: &str, checksums: &[Checksum]) -> ByteStream {
    if checksums.is_empty() {
        return inner;
    }
    let started = checksums
        .iter()
        .map(|checksum| (checksum.clone(), checksum.algorithm.start()));
    let what = what.to_owned();
    let state = (inner, started.collect::<Vec<_>>(), None::<Bytes>, what);
    // Each chunk waits for the next one, so that the last one is handed out after the check.
    stream::unfold(Some(state), |state| async move {
        let (mut inner, mut checks, mut held, what) = state?;
        loop {
            match inner.next().await {
                Some(Err(error)) => return Some((Err(error), None)),
                Some(Ok(chunk)) => {
                    for (_, hasher) in &mut checks {
                        hasher.update(&chunk);
                    }
                    if let Some(ready) = held.replace(chunk) {
                        return Some((Ok(ready), Some((inner, checks, held, what))));
                    }
                }
                None => {
                    let checked = checks
                        .into_iter()
                        .try_for_each(|(checksum, hasher)| compare(&checksum, &hasher.finish()));
                    return match checked {
                        Err(error) => Some((Err(Error::source(what, error)), None)),
                        Ok(()) => held.map(|chunk| (Ok(chunk), None)),
                    };
                }
            }
        }
    })
    .boxed()
}

fn compare(expected: &Checksum, actual: &[u8]) -> Result<(), Error> {
    if expected.value == actual {
        return Ok(());
    }
    Err(Error::ChecksumMismatch {
        algorithm: expected.algorithm.as_str(),
        expected: hex::encode(&expected.value),
        actual: hex::encode(actual),
    })
}

#[cfg(test)]
mod tests {
    use ocm_blob::{collect, once};

    use super::*;

    const HELLO: [(Algorithm, &str); 3] = [
        (Algorithm::Md5, "5d41402abc4b2a76b9719d911017c592"),
        (Algorithm::Sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        (
            Algorithm::Sha256,
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        ),
    ];

    async fn read(content: &'static [u8], checksums: &[Checksum]) -> Result<Bytes, Error> {
        let chunks = content.chunks(2).map(|chunk| Ok(Bytes::from_static(chunk)));
        let chunks = stream::iter(chunks).boxed();
        collect(verify(chunks, "x", checksums), u64::MAX).await
    }

    #[tokio::test]
    async fn content_has_all_of_its_checksums() {
        let all: Vec<Checksum> = HELLO
            .iter()
            .map(|(algorithm, hex)| Checksum::from_hex(*algorithm, hex).unwrap())
            .collect();
        assert_eq!(read(b"hello", &all).await.unwrap(), "hello");
        for checksum in all {
            let name = checksum.algorithm.as_str();
            let error = read(b"hellO", &[checksum]).await.unwrap_err();
            assert!(error.is_mismatch(), "{error}");
            let source = std::error::Error::source(&error).unwrap();
            assert!(source.to_string().contains(name), "{source}");
        }
    }

    #[tokio::test]
    async fn content_without_bytes_is_checked_too() {
        let empty = Checksum::from_hex(Algorithm::Md5, "d41d8cd98f00b204e9800998ecf8427e");
        let read = async |checksum| {
            let stream = verify(once(Bytes::new()), "x", &[checksum]);
            collect(stream, u64::MAX).await
        };
        assert_eq!(read(empty.unwrap()).await.unwrap(), "");
        let other = Checksum::new(Algorithm::Md5, vec![0; 16]).unwrap();
        assert!(read(other).await.unwrap_err().is_mismatch());
    }

    #[tokio::test]
    async fn the_last_chunk_waits_for_the_check() {
        let other = Checksum::new(Algorithm::Sha1, vec![0; 20]).unwrap();
        let chunks = stream::iter([Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"b"))]);
        let mut stream = verify(chunks.boxed(), "x", &[other]);
        assert_eq!(stream.next().await.unwrap().unwrap(), "a");
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }

    #[test]
    fn values_have_the_length_of_their_algorithm() {
        assert!(Checksum::from_hex(Algorithm::Sha1, "00").is_none());
        assert!(Checksum::from_hex(Algorithm::Md5, "x").is_none());
    }
}
