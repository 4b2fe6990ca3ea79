//! Blobs on their way from a registry: verified, and going on where they were cut.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use ocm_blob::{Blob, ByteStream, CHUNK, Origin, Promise, verify};
use ocm_digest::Digest;
use reqwest::Response;
use tokio::sync::OwnedSemaphorePermit;

use crate::client::RegistryClient;
use crate::client::exchange::Call;
use crate::client::retry::{Backoff, Failure};
use crate::client::scope::Scopes;
use crate::document::Descriptor;
use crate::error::Error;
use crate::name::RepositoryName;

/// What must have come since the last cut for the attempts to be counted anew, in bytes.
const PROGRESS: u64 = 1024 * 1024;

/// A blob of a registry, asked for when it is opened.
#[derive(Debug)]
pub(crate) struct RemoteBlob {
    client: RegistryClient,
    repository: RepositoryName,
    descriptor: Descriptor,
}

impl RemoteBlob {
    pub(crate) fn new(
        client: RegistryClient,
        repository: &RepositoryName,
        descriptor: &Descriptor,
    ) -> Self {
        Self {
            client,
            repository: repository.clone(),
            descriptor: descriptor.clone(),
        }
    }

    async fn read_from(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        let Descriptor { digest, size, .. } = self.descriptor;
        let path = self.client.inner.endpoint.path_of(&self.repository);
        let call =
            self.client
                .blob_call(Method::GET, &self.repository, &digest, Scopes::pull(&path));
        let mut download = Download {
            _turn: self.client.inner.slots.download().await,
            backoff: self.client.inner.retry.start(),
            client: self.client.clone(),
            call,
            size,
            offset,
            opened_at: offset,
            skip: 0,
            ready: Bytes::new(),
            response: None,
        };
        download
            .open()
            .await
            .map_err(|error| download.to_blob_error(error))?;
        let chunks = stream::unfold(Some(download), |download| async move {
            let mut download = download?;
            match download.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(download))),
                Ok(None) => None,
                Err(error) => Some((Err(download.to_blob_error(error)), None)),
            }
        });
        Ok(chunks.boxed())
    }
}

#[async_trait]
impl Blob for RemoteBlob {
    fn size(&self) -> Option<u64> {
        Some(self.descriptor.size)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.descriptor.digest)
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.descriptor.media_type)
    }

    fn origin(&self) -> Option<Origin> {
        Some(Origin {
            store: self.client.inner.endpoint.location(),
            repository: self.repository.to_string(),
        })
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = self.descriptor.promise();
        Ok(verify(self.read_from(0).await?, promise))
    }

    async fn open_unchecked(&self) -> Result<ByteStream, ocm_blob::Error> {
        let size = Promise {
            digest: None,
            ..self.descriptor.promise()
        };
        Ok(verify(self.read_from(0).await?, size))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        let size = self.descriptor.size;
        let Some(left) = size.checked_sub(offset) else {
            return Err(ocm_blob::Error::SizeMismatch {
                expected: offset,
                actual: size,
            });
        };
        match (offset, left) {
            (0, _) => self.open().await,
            (_, 0) => Ok(ocm_blob::once(Bytes::new())),
            _ => {
                let promise = Promise {
                    size: Some(left),
                    digest: None,
                };
                Ok(verify(self.read_from(offset).await?, promise))
            }
        }
    }
}

/// A blob that is being read.
#[derive(Debug)]
struct Download {
    client: RegistryClient,
    call: Call,
    /// The size that the blob must have.
    size: u64,
    /// How many bytes of the blob have come.
    offset: u64,
    /// How many had come when the connection in use was opened.
    opened_at: u64,
    /// How many bytes to drop, since the registry started over.
    skip: u64,
    /// What has come and was not handed out.
    ready: Bytes,
    response: Option<Response>,
    backoff: Backoff,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Download {
    /// Returns the next chunk, on a new connection if the old one was cut.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
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
                    self.client.pause(&mut self.backoff, failure).await?;
                    self.open().await?;
                }
            }
        }
    }

    /// Receives a piece; returns `false` at the end.
    async fn receive(&mut self) -> Result<bool, Failure> {
        let Some(response) = &mut self.response else {
            return Ok(false);
        };
        let is_whole = self.offset >= self.size;
        match self
            .client
            .inner
            .http
            .chunk(response, &self.call.what)
            .await
        {
            Ok(Some(mut piece)) => {
                let skipped =
                    usize::try_from(self.skip).map_or(piece.len(), |skip| skip.min(piece.len()));
                self.skip -= skipped as u64;
                self.ready = piece.split_off(skipped);
                self.offset += self.ready.len() as u64;
                Ok(true)
            }
            // All has come, however the connection ended.
            Ok(None) | Err(_) if is_whole => Ok(false),
            // The registry has no more, as it says for the second time or right after a cut.
            Ok(None) if self.offset == self.opened_at => Err(self.wrong_size(self.offset).into()),
            Ok(None) => Err(Error::Remote {
                what: self.call.what.clone(),
                reason: format!("ended after {} of {} bytes", self.offset, self.size),
                status: None,
                transient: true,
                source: None,
            }
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a connection for what has not come.
    async fn open(&mut self) -> Result<(), Error> {
        loop {
            match self.try_open().await {
                Ok(()) => return Ok(()),
                Err(failure) => self.client.pause(&mut self.backoff, failure).await?,
            }
        }
    }

    async fn try_open(&mut self) -> Result<(), Failure> {
        let mut call = self.call.clone();
        if self.offset > 0 {
            let range = format!("bytes={}-", self.offset);
            if let Ok(range) = HeaderValue::try_from(range) {
                call = call.with_header(RANGE, range);
            }
        }
        let response = match self.client.try_open(&call).await? {
            Ok(response) => response,
            Err(reply) if reply.status == StatusCode::RANGE_NOT_SATISFIABLE => {
                let total = content_range(&reply.headers).and_then(|range| range.total);
                return Err(self.wrong_size(total.unwrap_or(self.offset)).into());
            }
            Err(reply) => return Err(reply.into_failure(&self.call.what)),
        };
        let start = self.check_start(&response)?;
        self.skip = self.offset - start;
        self.opened_at = self.offset;
        self.response = Some(response);
        Ok(())
    }

    /// Returns where an answer starts, which is at most the offset asked for.
    fn check_start(&self, response: &Response) -> Result<u64, Error> {
        let (start, total) = if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = content_range(response.headers())
                .ok_or_else(|| self.malformed("it is partial and does not say which part"))?;
            (range.start.unwrap_or(0), range.total)
        } else {
            (0, response.content_length())
        };
        match total {
            Some(total) if total != self.size => Err(self.wrong_size(total)),
            _ if start > self.offset => Err(self.malformed("it starts after what was asked for")),
            _ => Ok(start),
        }
    }

    fn wrong_size(&self, actual: u64) -> Error {
        let expected = self.size;
        let source = ocm_blob::Error::SizeMismatch { expected, actual };
        Error::blob("read", &self.call.what, source)
    }

    fn malformed(&self, reason: &str) -> Error {
        Error::malformed(format!("the answer for {}", self.call.what), reason)
    }

    fn to_blob_error(&self, error: Error) -> ocm_blob::Error {
        match error {
            Error::Blob { source, .. } => source,
            other => ocm_blob::Error::source(&self.call.what, other),
        }
    }
}

/// `Content-Range`: `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let start = match range.split_once('-') {
        Some((start, _)) => Some(start.trim().parse().ok()?),
        None if range.trim() == "*" => None,
        None => return None,
    };
    Some(ContentRange {
        start,
        total: total.trim().parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            content_range(&headers).map(|range| (range.start, range.total))
        };
        assert_eq!(read("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(read("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(read("bytes */10"), Some((None, Some(10))));
        for text in [
            "",
            "bytes",
            "bytes 5",
            "bytes x-9/10",
            "items 5-9/10",
            "bytes -9/10",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
