//! Blobs on their way out of a bucket: verified, and going on where they were cut.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use ocm_blob::{Blob, ByteStream, CHUNK, Promise, verify};
use ocm_digest::Digest;
use ocm_oci::{Backoff, Descriptor, Error, Failure, RepositoryName, connection_error, silence};
use reqwest::Response;
use tokio::time::timeout;

use crate::layout;
use crate::store::Inner;

/// What must have come since the last cut for the attempts to be counted anew, in bytes.
const PROGRESS: u64 = 1024 * 1024;

/// A blob of a repository, looked up when it is opened.
#[derive(Debug)]
pub(crate) struct BucketBlob {
    pub(crate) store: Arc<Inner>,
    pub(crate) repository: RepositoryName,
    pub(crate) descriptor: Descriptor,
}

impl BucketBlob {
    async fn read_from(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        let Descriptor { digest, size, .. } = self.descriptor;
        let what = format!("blob {digest} of {}", self.repository);
        let failed = |error| ocm_blob::Error::source(what.clone(), error);
        let mut stored = self.store.look_up(&self.repository, &digest).await;
        let mut is_second = false;
        let (key, first) = loop {
            let found = stored.map_err(failed)?;
            let found = found.ok_or_else(|| failed(Error::not_found(what.clone())))?;
            if found.size != size {
                return Err(ocm_blob::Error::SizeMismatch {
                    expected: size,
                    actual: found.size,
                });
            }
            let key = layout::data(&found.data);
            if offset == size {
                return Ok(ocm_blob::once(Bytes::new()));
            }
            match open(&self.store, &key, offset).await.map_err(failed)? {
                Some(response) => break (key, response),
                // What was remembered has been collected, and was pushed anew since.
                None if !is_second => {
                    is_second = true;
                    self.store.forget(&self.repository, &digest);
                    stored = self.store.look_up(&self.repository, &digest).await;
                }
                None => return Err(failed(Error::not_found(what.clone()))),
            }
        };
        let download = Download {
            offset,
            opened_at: offset,
            response: Some(first),
            ..read(&self.store, &key, size)
        };
        let chunks = stream::unfold(Some((download, what)), |state| async move {
            let (mut download, what) = state?;
            match download.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some((download, what)))),
                Ok(None) => None,
                Err(error) => Some((Err(ocm_blob::Error::source(what, error)), None)),
            }
        });
        Ok(chunks.boxed())
    }
}

#[async_trait]
impl Blob for BucketBlob {
    fn size(&self) -> Option<u64> {
        Some(self.descriptor.size)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.descriptor.digest)
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.descriptor.media_type)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = self.descriptor.promise();
        Ok(verify(self.read_from(0).await?, promise))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        let size = self.descriptor.size;
        let Some(left) = size.checked_sub(offset) else {
            return Err(ocm_blob::Error::SizeMismatch {
                expected: offset,
                actual: size,
            });
        };
        let promise = Promise {
            size: Some(left),
            digest: None,
        };
        Ok(verify(self.read_from(offset).await?, promise))
    }
}

/// Opens an object, again after failures that may pass.
async fn open(store: &Inner, key: &str, offset: u64) -> Result<Option<Response>, Error> {
    let mut backoff = store.client.retry().start();
    loop {
        match store.client.open(key, offset).await {
            Ok(response) => return Ok(response),
            Err(failure) => backoff.pause(failure).await?,
        }
    }
}

/// Starts to read an object of which the size is known.
pub(crate) fn read(store: &Arc<Inner>, key: &str, size: u64) -> Download {
    Download {
        backoff: store.client.retry().start(),
        store: Arc::clone(store),
        key: key.to_owned(),
        size,
        offset: 0,
        opened_at: 0,
        ready: Bytes::new(),
        response: None,
    }
}

/// An object that is being read.
pub(crate) struct Download {
    store: Arc<Inner>,
    key: String,
    size: u64,
    /// How many bytes have come.
    offset: u64,
    /// How many had come when the connection in use was opened.
    opened_at: u64,
    /// What has come and was not handed out.
    ready: Bytes,
    response: Option<Response>,
    backoff: Backoff,
}

impl Download {
    /// Returns the next chunk, on a new connection if the old one was cut.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if !self.ready.is_empty() {
                let size = self.ready.len().min(CHUNK);
                return Ok(Some(self.ready.split_to(size)));
            }
            match self.receive().await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(failure) => {
                    self.response = None;
                    if self.offset - self.opened_at >= PROGRESS {
                        self.backoff.progress();
                    }
                    self.backoff.pause(failure).await?;
                }
            }
        }
    }

    /// Receives a piece; returns `false` at the end.
    async fn receive(&mut self) -> Result<bool, Failure> {
        if self.offset >= self.size {
            return Ok(false);
        }
        let client = &self.store.client;
        let what = client.what(&self.key);
        let response = match &mut self.response {
            Some(response) => response,
            none => {
                let opened = client.open(&self.key, self.offset).await?;
                self.opened_at = self.offset;
                none.insert(opened.ok_or_else(|| Error::not_found(what.clone()))?)
            }
        };
        if self.opened_at > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Error::malformed(what, "it is whole, and a part was asked for").into());
        }
        match timeout(client.patience(), response.chunk()).await {
            Ok(Ok(Some(piece))) => {
                self.offset += piece.len() as u64;
                self.ready = piece;
                Ok(true)
            }
            Ok(Ok(None)) => Err(Error::Remote {
                what,
                reason: format!("ended after {} of {} bytes", self.offset, self.size),
                status: None,
                transient: true,
                source: None,
            }
            .into()),
            Ok(Err(error)) => Err(connection_error(&what, error).into()),
            Err(_) => Err(silence(&what, client.patience()).into()),
        }
    }
}
