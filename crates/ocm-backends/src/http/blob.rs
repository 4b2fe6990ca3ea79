//! Answers as content, which go on where they were cut.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::{Blob, ByteStream, Bytes, Promise, once, verify};
use ocm_digest::Digest;
use ocm_oci::{Backoff, Error, connection_error, silence};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE,
};
use reqwest::{Method, Response, StatusCode};
use tokio::time::{Instant, timeout};

use super::proof::Trust;
use super::{HttpRequest, HttpSource, shown};
use crate::checksum::{self, Checksum};

/// How long an answer whose body has not been read yet is kept for the first reader.
const KEPT: Duration = Duration::from_secs(10);

/// What must have come since the last cut for the attempts to be counted anew, in bytes.
const PROGRESS: u64 = 1024 * 1024;

impl HttpSource {
    /// Sends a request, and returns its answer as a blob. The body is read when the blob is; for
    /// a further reading the request is sent again.
    pub(crate) async fn blob(
        &self,
        request: HttpRequest,
        media_type: Option<String>,
    ) -> Result<HttpBlob, Error> {
        let answer = self.send(&request).await?;
        let media_type = media_type.or_else(|| text(answer.headers(), &CONTENT_TYPE));
        Ok(HttpBlob {
            source: self.clone(),
            size: answer.content_length(),
            request,
            digest: None,
            checksums: Vec::new(),
            media_type: media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            first: Mutex::new(Some((Instant::now(), answer))),
        })
    }

    /// Returns what a server says of something without sending it.
    pub(crate) async fn head(&self, request: &HttpRequest) -> Result<HeaderMap, Error> {
        let request = HttpRequest {
            method: Method::HEAD,
            ..request.clone()
        };
        Ok(self.send(&request).await?.headers().clone())
    }

    /// Returns what a request is going to return as a blob, of a size that the server has stated.
    pub(crate) fn promised(
        &self,
        request: HttpRequest,
        media_type: String,
        size: Option<u64>,
    ) -> HttpBlob {
        HttpBlob {
            source: self.clone(),
            request,
            size,
            digest: None,
            checksums: Vec::new(),
            media_type,
            first: Mutex::new(None),
        }
    }
}

/// Returns the size that a server states in the headers of an answer.
pub(crate) fn size_in(headers: &HeaderMap) -> Option<u64> {
    text(headers, &CONTENT_LENGTH)?.trim().parse().ok()
}

fn text(headers: &HeaderMap, name: &reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The answer to an HTTP request.
pub(crate) struct HttpBlob {
    source: HttpSource,
    request: HttpRequest,
    size: Option<u64>,
    digest: Option<Digest>,
    checksums: Vec<Checksum>,
    media_type: String,
    /// The answer that told size and media type, until somebody reads it.
    first: Mutex<Option<(Instant, Response)>>,
}

impl HttpBlob {
    /// Says which digest the content has.
    pub(crate) fn with_digest(self, digest: Option<Digest>) -> Self {
        Self { digest, ..self }
    }

    /// Says which checksums the content has.
    pub(crate) fn with_checksums(self, checksums: Vec<Checksum>) -> Self {
        Self { checksums, ..self }
    }

    /// Opens the content, which ends in an error if it is not what was promised.
    pub(super) async fn stream(&self) -> Result<ByteStream, ocm_blob::Error> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let what = shown(&self.request.url);
        let failed = |error| ocm_blob::Error::source(what.clone(), error);
        let connection = self
            .source
            .connection(&self.request.url, &Trust::default())
            .await
            .map_err(failed)?;
        let answer = match first {
            Some((since, answer)) if since.elapsed() < KEPT => answer,
            _ => self.source.send(&self.request).await.map_err(failed)?,
        };
        let download = Download {
            source: self.source.clone(),
            request: self.request.clone(),
            validator: validator(answer.headers()),
            size: self.size,
            is_promised: self.digest.is_some() || !self.checksums.is_empty(),
            answer: Some(answer),
            offset: 0,
            opened_at: 0,
            skip: 0,
            patience: connection.read,
            backoff: connection.retry.start(),
            what: what.clone(),
        };
        let chunks = stream::try_unfold(download, |mut download| async move {
            let next = download.next().await;
            let next = next.map_err(|error| ocm_blob::Error::source(download.what.clone(), error));
            Ok::<_, ocm_blob::Error>(next?.map(|chunk| (chunk, download)))
        });
        let promise = Promise {
            size: self.size,
            digest: self.digest,
        };
        let checked = verify(chunks.map_ok(once).try_flatten().boxed(), promise);
        Ok(checksum::verify(checked, &what, &self.checksums))
    }
}

impl fmt::Debug for HttpBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBlob")
            .field("url", &shown(&self.request.url))
            .field("size", &self.size)
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Blob for HttpBlob {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.media_type)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.stream().await
    }
}

/// An answer that is being read.
struct Download {
    source: HttpSource,
    request: HttpRequest,
    what: String,
    answer: Option<Response>,
    /// What the server calls this very content.
    validator: Option<HeaderValue>,
    size: Option<u64>,
    /// Whether the content is checked at its end.
    is_promised: bool,
    /// How many bytes have come.
    offset: u64,
    /// How many had come when the connection in use was opened.
    opened_at: u64,
    /// How many bytes to drop, since the server started over.
    skip: u64,
    patience: Duration,
    backoff: Backoff,
}

impl Download {
    /// Returns the next chunk, on a new connection if the old one was cut.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.receive().await {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(chunk) => return Ok(chunk),
                Err(error) if self.may_resume() => {
                    self.answer = None;
                    if self.offset - self.opened_at >= PROGRESS {
                        self.backoff.progress();
                    }
                    self.backoff.pause(error.into()).await?;
                    self.resume().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives a piece; returns none at the end.
    async fn receive(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(answer) = &mut self.answer else {
            return Ok(None);
        };
        let received = timeout(self.patience, answer.chunk()).await;
        let received = received.map_err(|_| silence(&self.what, self.patience))?;
        let Some(mut chunk) = received.map_err(|error| connection_error(&self.what, error))? else {
            return match self.size {
                Some(size) if self.offset < size => Err(Error::Remote {
                    what: self.what.clone(),
                    reason: format!("ended after {} of {size} bytes", self.offset),
                    status: None,
                    transient: true,
                    source: None,
                }),
                _ => Ok(None),
            };
        };
        let skipped = usize::try_from(self.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
        self.skip -= skipped as u64;
        let chunk = chunk.split_off(skipped);
        self.offset += chunk.len() as u64;
        Ok(Some(chunk))
    }

    /// Whether two parts are sure to belong together: the server can tell, or the whole is checked.
    fn may_resume(&self) -> bool {
        self.request.is_repeatable() && (self.validator.is_some() || self.is_promised)
    }

    /// Opens a connection for what has not come.
    async fn resume(&mut self) -> Result<(), Error> {
        let mut more = HeaderMap::new();
        if self.offset > 0 {
            let range = format!("bytes={}-", self.offset);
            if let Ok(range) = HeaderValue::try_from(range) {
                more.insert(RANGE, range);
            }
            if let Some(validator) = &self.validator {
                more.insert(IF_RANGE, validator.clone());
            }
        }
        let answer = self
            .source
            .send_with(&self.request, &more, &mut self.backoff)
            .await?;
        let start = if answer.status() == StatusCode::PARTIAL_CONTENT {
            start_of(answer.headers()).filter(|start| *start <= self.offset)
        } else {
            Some(0)
        };
        let is_same = self.validator.is_none() || validator(answer.headers()) == self.validator;
        let Some(start) = start.filter(|_| is_same) else {
            return Err(Error::Remote {
                what: self.what.clone(),
                reason: "it has changed while it was read".to_owned(),
                status: None,
                transient: true,
                source: None,
            });
        };
        self.skip = self.offset - start;
        self.opened_at = self.offset;
        self.answer = Some(answer);
        Ok(())
    }
}

/// Returns what names the very bytes of an answer: its entity tag, unless it is a weak one.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG)?;
    tag.as_bytes().starts_with(b"\"").then(|| tag.clone())
}

/// Returns where a partial answer starts: `bytes 5-9/10`.
fn start_of(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = text.trim().strip_prefix("bytes")?.trim().split_once('-')?;
    start.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: reqwest::header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn only_strong_tags_name_bytes() {
        assert!(validator(&headers(ETAG, "\"a\"")).is_some());
        assert!(validator(&headers(ETAG, "W/\"a\"")).is_none());
        assert!(validator(&headers(ETAG, "a")).is_none());
    }

    #[test]
    fn the_start_of_a_part_is_read() {
        let read = |text| start_of(&headers(CONTENT_RANGE, text));
        assert_eq!(read("bytes 5-9/10"), Some(5));
        assert_eq!(read("bytes 5-9/*"), Some(5));
        for text in ["bytes */10", "items 5-9/10", "bytes", "bytes -9/10"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
