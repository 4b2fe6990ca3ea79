//! Blobs by digest, wherever an archive keeps them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use ocm_blob::{Blob, BlobRef, ByteStream, CHUNK, Promise, check, once, verify};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{Descriptor, Error};

/// The blobs of an archive. Nothing that it hands out has been verified.
pub(crate) trait Content: fmt::Debug + Send + Sync {
    /// Returns the size of a blob, or `None` if there is none.
    fn size(&self, digest: &Digest) -> Result<Option<u64>, ocm_blob::Error>;

    /// Returns a blob, or `None` if there is none.
    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, ocm_blob::Error>;

    /// Reads a blob of at most `limit` bytes at once.
    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, ocm_blob::Error>;

    /// Reads a blob as [`Content::read`] does, also one that a collection has set aside.
    fn read_set_aside(
        &self,
        digest: &Digest,
        limit: u64,
    ) -> Result<Option<Bytes>, ocm_blob::Error> {
        self.read(digest, limit)
    }

    /// Brings back a blob that a collection has set aside, where there is such a thing. Returns
    /// whether there is the blob then.
    fn bring_back(&self, digest: &Digest) -> Result<bool, ocm_blob::Error> {
        let _ = digest;
        Ok(false)
    }
}

/// A blob of an archive, looked up and verified when it is opened. Errors name the archive.
#[derive(Debug)]
pub(crate) struct StoredBlob {
    location: Arc<str>,
    content: Arc<dyn Content>,
    descriptor: Descriptor,
}

impl StoredBlob {
    pub(crate) fn new(
        location: &Arc<str>,
        content: &Arc<dyn Content>,
        descriptor: &Descriptor,
    ) -> Self {
        Self {
            location: Arc::clone(location),
            content: Arc::clone(content),
            descriptor: descriptor.clone(),
        }
    }

    fn find(&self) -> Result<BlobRef, ocm_blob::Error> {
        let digest = self.descriptor.digest;
        let found = self.content.open(&digest);
        let found = found.map_err(|source| self.named(source))?;
        found.ok_or_else(|| {
            let missing = Error::not_found(format!("blob {digest} of {}", self.location));
            ocm_blob::Error::source(what(&digest, &self.location), missing)
        })
    }

    async fn open_as(&self, promise: Promise) -> Result<ByteStream, ocm_blob::Error> {
        let stream = if let Some(bytes) = self.read_small()? {
            once(bytes)
        } else {
            let found = self.find()?;
            let stream = match promise.digest {
                Some(_) => found.open().await,
                None => found.open_unchecked().await,
            };
            stream.map_err(|source| self.named(source))?
        };
        Ok(self.naming(verify(stream, promise)))
    }

    /// Reads the blob at once if it is no larger than what a stream would read at a time.
    fn read_small(&self) -> Result<Option<Bytes>, ocm_blob::Error> {
        let Descriptor { digest, size, .. } = &self.descriptor;
        if *size > CHUNK as u64 {
            return Ok(None);
        }
        match self.content.read(digest, CHUNK as u64) {
            Err(ocm_blob::Error::TooLarge { .. }) => Ok(None),
            read => read.map_err(|source| self.named(source)),
        }
    }

    fn named(&self, source: ocm_blob::Error) -> ocm_blob::Error {
        in_archive(&self.descriptor.digest, &self.location, source)
    }

    fn naming(&self, stream: ByteStream) -> ByteStream {
        let (digest, location) = (self.descriptor.digest, Arc::clone(&self.location));
        stream
            .map(move |chunk| chunk.map_err(|source| in_archive(&digest, &location, source)))
            .boxed()
    }
}

fn what(digest: &Digest, location: &str) -> String {
    format!("blob {digest} of {location}")
}

fn in_archive(digest: &Digest, location: &str, source: ocm_blob::Error) -> ocm_blob::Error {
    ocm_blob::Error::source(what(digest, location), source)
}

#[async_trait]
impl Blob for StoredBlob {
    fn size(&self) -> Option<u64> {
        Some(self.descriptor.size)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.descriptor.digest)
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.descriptor.media_type)
    }

    fn read_at_hand(&self) -> Result<Option<Bytes>, ocm_blob::Error> {
        let read = self.read_small()?;
        if let Some(bytes) = &read {
            let checked = check(bytes, self.descriptor.promise());
            checked.map_err(|source| self.named(source))?;
        }
        Ok(read)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.open_as(self.descriptor.promise()).await
    }

    async fn open_unchecked(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = Promise {
            digest: None,
            ..self.descriptor.promise()
        };
        self.open_as(promise).await
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        let stream = self.find()?.open_at(offset).await;
        let stream = stream.map_err(|source| self.named(source))?;
        Ok(self.naming(stream))
    }
}

/// Returns the name of a blob's file: `blobs/sha256.<hex>`.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}", blob_file(digest))
}

/// Returns the name of a blob's file within its directory: `sha256.<hex>`.
pub(crate) fn blob_file(digest: &Digest) -> String {
    format!("{}.{}", digest.algorithm(), digest.to_hex())
}

/// Reads the digest off the path of a blob: `blobs/sha256.<hex>`, or `blobs/sha256/<hex>` as OCI
/// layouts have it.
pub(crate) fn digest_of_path(path: &str) -> Option<Digest> {
    digest_of_name(path.strip_prefix("blobs/")?.split_once(['.', '/'])?)
}

/// Reads the digest off the name of a blob's file within its directory: `sha256.<hex>`.
pub(crate) fn digest_of_file(name: &str) -> Option<Digest> {
    digest_of_name(name.split_once('.')?)
}

fn digest_of_name((algorithm, hex): (&str, &str)) -> Option<Digest> {
    let algorithm = match algorithm {
        "sha256" => HashAlgorithm::Sha256,
        "sha384" => HashAlgorithm::Sha384,
        "sha512" => HashAlgorithm::Sha512,
        _ => return None,
    };
    Digest::from_hex(algorithm, hex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_digest_it_holds() {
        let digest = Digest::sha256(b"x");
        assert_eq!(digest_of_path(&blob_path(&digest)), Some(digest));
        let nested = format!("blobs/sha256/{}", digest.to_hex());
        assert_eq!(digest_of_path(&nested), Some(digest));
        for path in [
            "blobs",
            "blobs/x",
            "sha256.00",
            "blobs/md5.00",
            "blobs/sha256.00",
        ] {
            assert_eq!(digest_of_path(path), None, "{path}");
        }
    }
}
