//! The body of a request as it comes in.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http::header::{self, HeaderMap};
use ocm_blob::{Blob, ByteStream, Promise, verify};
use ocm_digest::Digest;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::failure::{Code, Failure};
use crate::quota::Quota;

/// The bytes of a request: counted, and given up on when none come.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: BodyDataStream,
    expected: Option<u64>,
    seen: u64,
    limit: Option<u64>,
    quota: Option<Arc<Quota>>,
    pace: Pace,
}

/// How fast bytes come, while they are waited for.
#[derive(Debug)]
struct Pace {
    idle: Duration,
    waited: Duration,
    came: u64,
}

/// What must come within the time that a body may be idle. One byte now and then holds a
/// connection as well as none does.
const PROGRESS: u64 = 1024;

impl Pace {
    const fn new(idle: Duration) -> Self {
        Self {
            idle,
            waited: Duration::ZERO,
            came: 0,
        }
    }

    /// Waits for what is next. The time in which nobody waits is not the client's.
    async fn wait<T>(&mut self, next: impl Future<Output = T>) -> Result<T, Cut> {
        let started = Instant::now();
        let outcome = timeout(self.idle.saturating_sub(self.waited), next).await;
        self.waited += started.elapsed();
        outcome.map_err(|_| Cut::Idle)
    }

    fn came(&mut self, bytes: u64) {
        self.came += bytes;
        if self.came >= PROGRESS {
            *self = Self::new(self.idle);
        }
    }
}

/// Why not all bytes of a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Cut {
    /// The connection broke.
    #[error("the request ended before its last byte")]
    Ended,
    /// There are more bytes than were announced.
    #[error("the request has more than the announced {expected} bytes")]
    Size { expected: u64 },
    /// There are more bytes than are taken.
    #[error("there are more than the {limit} bytes that this registry takes")]
    Limit { limit: u64 },
    /// The store has no room for more.
    #[error("the registry has no space left: its quota is used up")]
    Quota,
    /// The client sends nothing, or next to nothing.
    #[error("the client sent too little for too long")]
    Idle,
    /// The client has come back with another request for the same upload.
    #[error("another request goes on with this upload")]
    TakenOver,
}

impl Incoming {
    /// Takes the body of a request that has these headers.
    pub(crate) fn new(headers: &HeaderMap, body: Body, idle: Duration) -> Result<Self, Failure> {
        Ok(Self {
            stream: body.into_data_stream(),
            expected: content_length(headers)?,
            seen: 0,
            limit: None,
            quota: None,
            pace: Pace::new(idle),
        })
    }

    /// Returns the number of bytes that come, if the client has said so.
    pub(crate) const fn announced(&self) -> Option<u64> {
        self.expected
    }

    /// Sets the number of bytes that may come at most.
    pub(crate) fn limit(&mut self, limit: u64) -> Result<(), Failure> {
        self.limit = Some(limit);
        match self.expected {
            Some(expected) if expected > limit => Err(Cut::Limit { limit }.into()),
            _ => Ok(()),
        }
    }

    /// Takes the room for the bytes that come from a quota.
    pub(crate) fn charge(&mut self, quota: Option<Arc<Quota>>) {
        self.quota = quota;
    }

    /// Sets the number of bytes that must come.
    pub(crate) fn expect(&mut self, len: u64) -> Result<(), Failure> {
        match self.expected.replace(len) {
            Some(other) if other != len => Err(Failure::bad(
                Code::SizeInvalid,
                format!("the request announces {other} bytes and a range of {len}"),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the next bytes, and `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        match self.pace.wait(self.stream.next()).await? {
            Some(Ok(chunk)) => {
                let bytes = chunk.len() as u64;
                self.pace.came(bytes);
                self.seen += bytes;
                match (self.expected, self.limit) {
                    (Some(expected), _) if self.seen > expected => {
                        return Err(Cut::Size { expected });
                    }
                    (_, Some(limit)) if self.seen > limit => return Err(Cut::Limit { limit }),
                    _ => {}
                }
                match &self.quota {
                    Some(quota) if !quota.take(bytes).await => Err(Cut::Quota),
                    _ => Ok(Some(chunk)),
                }
            }
            // A connection that is closed by this side ends a body without an error.
            None if self.expected.is_none_or(|expected| self.seen == expected) => Ok(None),
            Some(Err(_)) | None => Err(Cut::Ended),
        }
    }

    /// Reads everything into memory, up to a limit.
    pub(crate) async fn collect(mut self, limit: u64) -> Result<Bytes, Failure> {
        self.limit(limit)?;
        let mut bytes = bytes::BytesMut::new();
        while let Some(chunk) = self.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Failure::bad(
            Code::SizeInvalid,
            "the content length is no number of bytes",
        )
    })
}

/// An upload as a blob, for stores that take a blob whole. It can be opened once.
#[derive(Debug)]
pub(crate) struct Passing {
    incoming: Mutex<Option<Incoming>>,
    size: Option<u64>,
    digest: Digest,
}

impl Passing {
    pub(crate) fn new(incoming: Incoming, digest: Digest) -> Self {
        Self {
            size: incoming.expected,
            incoming: Mutex::new(Some(incoming)),
            digest,
        }
    }
}

#[async_trait]
impl Blob for Passing {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let source = |cut| ocm_blob::Error::source("the upload", cut);
        let incoming = self.incoming.lock().await.take();
        // The bytes of a request pass once.
        let incoming = incoming.ok_or_else(|| source(Cut::Ended))?;
        let chunks = stream::unfold(Some(incoming), move |incoming| async move {
            let mut incoming = incoming?;
            match incoming.next().await {
                Ok(Some(chunk)) => Some((ocm_blob::once(chunk), Some(incoming))),
                Ok(None) => None,
                Err(cut) => {
                    let broken = stream::once(async move { Err(source(cut)) }).boxed();
                    Some((broken, None))
                }
            }
        });
        let promise = Promise {
            size: self.size,
            digest: Some(self.digest),
        };
        Ok(verify(chunks.flatten().boxed(), promise))
    }
}

#[cfg(test)]
mod tests {
    use ocm_blob::CHUNK;

    use super::*;

    const IDLE: Duration = Duration::from_secs(1);

    fn incoming(body: Body, length: Option<&'static str>) -> Result<Incoming, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
        }
        Incoming::new(&headers, body, IDLE)
    }

    #[tokio::test]
    async fn a_body_must_have_the_announced_length() {
        let mut short = incoming(Body::from("abc"), Some("4")).unwrap();
        assert_eq!(short.next().await, Ok(Some(Bytes::from_static(b"abc"))));
        assert_eq!(short.next().await, Err(Cut::Ended));
        let mut long = incoming(Body::from("abc"), Some("2")).unwrap();
        assert_eq!(long.next().await, Err(Cut::Size { expected: 2 }));
        assert!(incoming(Body::empty(), Some("-1")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up_on() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let mut silent = incoming(body, None).unwrap();
        assert_eq!(silent.next().await, Err(Cut::Idle));
    }

    #[tokio::test]
    async fn collecting_stops_at_the_limit() {
        for length in [None, Some("11")] {
            let body = incoming(Body::from("hello world"), length).unwrap();
            let failure = body.collect(10).await.unwrap_err();
            assert_eq!(failure.status, 413);
        }
        let body = incoming(Body::from("hello world"), None).unwrap();
        assert_eq!(body.collect(11).await.unwrap(), "hello world");
    }

    #[tokio::test]
    async fn a_passing_upload_is_verified_and_opens_once() {
        let content = Bytes::from(vec![7; CHUNK + 1]);
        let whole = incoming(Body::from(content.clone()), None).unwrap();
        let blob = Passing::new(whole, Digest::sha256(&content));
        assert_eq!(
            ocm_blob::read_to_end(&blob, u64::MAX).await.unwrap(),
            content
        );
        assert!(blob.open().await.is_err());
        let other = incoming(Body::from("other"), None).unwrap();
        let blob = Passing::new(other, Digest::sha256(b"one"));
        let error = ocm_blob::read_to_end(&blob, u64::MAX).await.unwrap_err();
        assert!(error.is_mismatch());
    }
}
