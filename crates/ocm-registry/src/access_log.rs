//! The access log: what was asked by whom, once it has been answered to the last byte.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

/// Who keeps the access log.
pub trait AccessLog: fmt::Debug + Send + Sync {
    /// Takes an entry. Answers wait for this.
    fn write(&self, entry: &AccessEntry);
}

/// A request that has been answered, or broken off.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AccessEntry {
    /// Where it came from; something in front of the registry, if there is.
    pub remote: Option<SocketAddr>,
    /// Who has proved to have asked.
    pub user: Option<String>,
    /// The method.
    pub method: String,
    /// Path and query, without what may be a password.
    pub path: String,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The status of the answer; 0 if the request broke off before there was one.
    pub status: u16,
    /// The bytes of the body that were sent.
    pub bytes: u64,
    /// Whether the body was sent whole.
    pub complete: bool,
    /// The time from the request to the last byte.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
}

fn seconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(elapsed.as_secs_f64())
}

/// An entry that is written when it is dropped: whatever becomes of a request, that is its end.
pub(crate) struct Line {
    pub(crate) entry: AccessEntry,
    started: Instant,
    log: Arc<dyn AccessLog>,
}

impl Line {
    pub(crate) const fn new(entry: AccessEntry, started: Instant, log: Arc<dyn AccessLog>) -> Self {
        Self {
            entry,
            started,
            log,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.entry.elapsed = self.started.elapsed();
        self.log.write(&self.entry);
    }
}

/// A body that is logged when it ends.
pub(crate) struct Logged {
    inner: Body,
    /// The bytes that the head of the answer announces. Nobody asks for more after the last.
    announced: Option<u64>,
    line: Line,
}

impl Logged {
    /// `line` has everything that is known when the head of the answer is sent.
    pub(crate) fn body(inner: Body, announced: Option<u64>, mut line: Line) -> Body {
        // Of what has no body, or is not asked for its body, nothing is ever read.
        line.entry.complete = inner.is_end_stream() || line.entry.method == "HEAD";
        Body::new(Self {
            inner,
            announced,
            line,
        })
    }
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let ended = self.inner.is_end_stream();
        let announced = self.announced;
        let entry = &mut self.line.entry;
        match &frame {
            Some(Ok(frame)) => {
                entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                entry.complete = ended || announced == Some(entry.bytes);
            }
            Some(Err(_)) => {}
            None => entry.complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
