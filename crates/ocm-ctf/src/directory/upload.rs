//! Blobs that come into a directory piece by piece.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use ocm_blob::{Blob as _, CHUNK};
use ocm_digest::{Digest, Digester, HashAlgorithm};
use ocm_oci::{BlobUpload, Error, Pushed};

use super::CtfDirectory;
use crate::sink::{WriteBack, blocking};
use crate::temporary::TemporaryFile;

/// Pieces below this size are written without the way to another thread, which costs more.
const INLINE: usize = CHUNK / 4;

/// An upload, in a file that has no name of its own yet.
#[derive(Debug)]
pub(super) struct DirectoryUpload {
    directory: CtfDirectory,
    file: TemporaryFile,
    digester: Digester,
    write_back: WriteBack,
    size: u64,
}

impl DirectoryUpload {
    pub(super) fn begin(directory: CtfDirectory) -> Result<Self, Error> {
        let file = TemporaryFile::create(directory.0.blobs.directory(), 0o444)
            .map_err(|source| directory.failed("store", "upload", source))?;
        Ok(Self {
            directory,
            file,
            digester: Digester::default(),
            write_back: WriteBack::default(),
            size: 0,
        })
    }

    /// Writes a piece while it is hashed.
    async fn append(&mut self, chunk: Bytes) -> Result<(), ocm_blob::Error> {
        let offset = self.size;
        self.size += chunk.len() as u64;
        if chunk.len() < INLINE {
            self.digester.update(&chunk);
            return self.file.file().write_at(&chunk, offset);
        }
        let (file, copy) = (self.file.file().clone(), chunk.clone());
        let writing = blocking(move || file.write_at(&copy, offset));
        let hashing = async { self.digester.update(&chunk) };
        futures::future::join(writing, hashing).await.0?;
        self.write_back.wrote(self.file.file(), chunk.len()).await
    }

    /// Hashes what has been written once more, for a digest of another algorithm.
    async fn rehash(&self, algorithm: HashAlgorithm) -> Result<Digest, ocm_blob::Error> {
        let mut digester = Digester::new(algorithm);
        let mut stream = self.file.file().blob(0, self.size).open().await?;
        while let Some(chunk) = stream.next().await {
            digester.update(&chunk?);
        }
        Ok(digester.finish())
    }
}

#[async_trait]
impl BlobUpload for DirectoryUpload {
    fn size(&self) -> u64 {
        self.size
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let outcome = self.append(chunk).await;
        outcome.map_err(|source| self.directory.failed("store", "upload", source))
    }

    async fn finish(mut self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        let directory = self.directory.clone();
        let failed = |source| directory.failed("store", &format!("blob {expected}"), source);
        self.write_back.finish().await.map_err(failed)?;
        let actual = if expected.algorithm() == self.digester.algorithm() {
            self.digester.clone().finish()
        } else {
            self.rehash(expected.algorithm()).await.map_err(failed)?
        };
        if actual != expected {
            return Err(Error::DigestMismatch {
                what: format!("upload to {}", directory.0.name),
                expected,
                actual,
            });
        }
        let Self { file, size, .. } = *self;
        directory.adopt(file, expected, size).await.map_err(failed)
    }
}
