//! Blobs that come into an archive piece by piece.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ocm_blob::{BlobRef, OpenFile};
use ocm_digest::Digest;
use ocm_oci::{BlobUpload, Error, Pushed};

use super::CtfArchiveWriter;
use crate::pieces::Pieces;

/// An upload, in a temporary file until its size and digest are known.
#[derive(Debug)]
pub(super) struct ArchiveUpload {
    writer: CtfArchiveWriter,
    file: OpenFile,
    pieces: Pieces,
}

impl ArchiveUpload {
    pub(super) async fn begin(writer: CtfArchiveWriter) -> Result<Self, Error> {
        let file = writer.0.scratch.file().await;
        let file = file.map_err(|source| writer.upload_failed(source))?;
        Ok(Self {
            writer,
            pieces: Pieces::new(file.clone()),
            file,
        })
    }
}

impl CtfArchiveWriter {
    fn upload_failed(&self, source: ocm_blob::Error) -> Error {
        Error::blob("store", format!("upload to {}", self.0.name), source)
    }
}

#[async_trait]
impl BlobUpload for ArchiveUpload {
    fn size(&self) -> u64 {
        self.pieces.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let written = self.pieces.write(chunk).await;
        written.map_err(|source| self.writer.upload_failed(source))
    }

    async fn finish(mut self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        let actual = self.pieces.finish(expected.algorithm()).await;
        let actual = actual.map_err(|source| self.writer.upload_failed(source))?;
        if actual != expected {
            return Err(Error::DigestMismatch {
                what: format!("upload to {}", self.writer.0.name),
                expected,
                actual,
            });
        }
        let blob = self.file.blob(0, self.pieces.size()).with_digest(expected);
        let blob: BlobRef = Arc::new(blob);
        self.writer.store(&blob).await
    }
}
