//! Blobs that come into a directory piece by piece.

use async_trait::async_trait;
use bytes::Bytes;
use ocm_digest::Digest;
use ocm_oci::{BlobUpload, Error, Pushed};

use super::CtfDirectory;
use crate::pieces::Pieces;
use crate::temporary::TemporaryFile;

/// An upload, in a file that has no name of its own yet.
#[derive(Debug)]
pub(super) struct DirectoryUpload {
    directory: CtfDirectory,
    file: TemporaryFile,
    pieces: Pieces,
}

impl DirectoryUpload {
    pub(super) fn begin(directory: CtfDirectory) -> Result<Self, Error> {
        let file = TemporaryFile::create(directory.0.blobs.directory(), 0o444)
            .map_err(|source| directory.failed("store", "upload", source))?;
        Ok(Self {
            directory,
            pieces: Pieces::new(file.file().clone()),
            file,
        })
    }
}

#[async_trait]
impl BlobUpload for DirectoryUpload {
    fn size(&self) -> u64 {
        self.pieces.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let outcome = self.pieces.write(chunk).await;
        outcome.map_err(|source| self.directory.failed("store", "upload", source))
    }

    async fn finish(mut self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        let directory = self.directory.clone();
        let failed = |source| directory.failed("store", &format!("blob {expected}"), source);
        let actual = self.pieces.finish(expected.algorithm()).await;
        let actual = actual.map_err(failed)?;
        if actual != expected {
            return Err(Error::DigestMismatch {
                what: format!("upload to {}", directory.0.name),
                expected,
                actual,
            });
        }
        let Self { file, pieces, .. } = *self;
        directory
            .adopt(file, expected, pieces.size())
            .await
            .map_err(failed)
    }
}
