//! Blobs that come into an archive piece by piece.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use ocm_blob::{Blob as _, BlobRef, OpenFile};
use ocm_digest::{Digest, Digester};
use ocm_oci::{BlobUpload, Error, Pushed};

use super::CtfArchiveWriter;
use crate::sink::blocking;

/// An upload, in a temporary file until its size and digest are known.
#[derive(Debug)]
pub(super) struct ArchiveUpload {
    writer: CtfArchiveWriter,
    file: OpenFile,
    digester: Digester,
    size: u64,
}

impl ArchiveUpload {
    pub(super) async fn begin(writer: CtfArchiveWriter) -> Result<Self, Error> {
        let file = writer.0.scratch.file().await;
        Ok(Self {
            file: file.map_err(|source| writer.upload_failed(source))?,
            writer,
            digester: Digester::default(),
            size: 0,
        })
    }

    async fn digest(&self, expected: &Digest) -> Result<Digest, ocm_blob::Error> {
        if expected.algorithm() == self.digester.algorithm() {
            return Ok(self.digester.clone().finish());
        }
        let mut digester = Digester::new(expected.algorithm());
        let mut stream = self.file.blob(0, self.size).open().await?;
        while let Some(chunk) = stream.next().await {
            digester.update(&chunk?);
        }
        Ok(digester.finish())
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
        self.size
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let (offset, file, copy) = (self.size, self.file.clone(), chunk.clone());
        self.size += chunk.len() as u64;
        let writing = blocking(move || file.write_at(&copy, offset));
        let hashing = async { self.digester.update(&chunk) };
        let written = futures::future::join(writing, hashing).await.0;
        written.map_err(|source| self.writer.upload_failed(source))
    }

    async fn finish(self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        let failed = |source| self.writer.upload_failed(source);
        let actual = self.digest(&expected).await.map_err(failed)?;
        if actual != expected {
            return Err(Error::DigestMismatch {
                what: format!("upload to {}", self.writer.0.name),
                expected,
                actual,
            });
        }
        let blob = self.file.blob(0, self.size).with_digest(expected);
        let blob: BlobRef = Arc::new(blob);
        self.writer.store(&blob).await
    }
}
