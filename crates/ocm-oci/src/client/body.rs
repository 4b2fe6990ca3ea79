//! The content of an upload as it goes out: counted, hashed where nobody has, and watched.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use ocm_blob::{ByteStream, Counted};
use ocm_digest::{Digest, HashAlgorithm};
use reqwest::Body;
use tokio::time::{Instant, sleep};

use crate::client::Timeouts;

/// What is known of an upload's content, over all its attempts.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// How far the attempt in progress has handed the content to the connection.
    position: u64,
    phase: Phase,
    /// Hashes everything once, however often parts are sent; `None` if the digest is known.
    counted: Option<Counted>,
    /// The digest of the whole, once it was hashed.
    digest: Option<Digest>,
    /// The size of the whole, once it has passed.
    size: Option<u64>,
    /// Why the content could not be read.
    error: Option<ocm_blob::Error>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// The connection does not take more.
    Sending,
    /// The content is not there yet; whoever reads it has a timeout of its own.
    Reading,
    /// All is handed over.
    Done,
}

impl Outgoing {
    /// Starts; content is hashed if its digest is not known.
    pub(crate) fn new(digest: Option<Digest>) -> Self {
        Self(Arc::new(Mutex::new(State {
            position: 0,
            phase: Phase::Sending,
            counted: match digest {
                Some(_) => None,
                None => Some(Counted::new(HashAlgorithm::default())),
            },
            digest: None,
            size: None,
            error: None,
        })))
    }

    /// Makes a request body of content that starts at an offset of the whole.
    pub(crate) fn body(&self, mut content: ByteStream, offset: u64, size: Option<u64>) -> Body {
        {
            let mut state = self.lock();
            state.position = offset;
            state.phase = Phase::Sending;
        }
        let outgoing = self.clone();
        Body::wrap_stream(stream::poll_fn(move |cx| {
            outgoing.poll(&mut content, size, cx)
        }))
    }

    /// Returns the digest of the whole, if it was hashed and has passed.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.lock().digest
    }

    /// Returns the size of the whole, if it has passed.
    pub(crate) fn size(&self) -> Option<u64> {
        self.lock().size
    }

    /// Takes the error that ended the content.
    pub(crate) fn take_error(&self) -> Option<ocm_blob::Error> {
        self.lock().error.take()
    }

    /// Waits for an answer as long as something moves. Returns the time of silence otherwise.
    pub(crate) async fn watch<T>(
        &self,
        timeouts: &Timeouts,
        answer: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let mut answer = pin!(answer);
        let mut seen = self.mark();
        let mut since = Instant::now();
        // Content moves without telling, so it is looked at often enough.
        let tick = timeouts.read.min(timeouts.finish) / 4;
        loop {
            let limit = match seen.1 {
                Phase::Done => timeouts.finish,
                Phase::Sending | Phase::Reading => timeouts.read,
            };
            tokio::select! {
                answer = &mut answer => return Ok(answer),
                () = sleep(tick) => {}
            }
            let now = self.mark();
            if now != seen || now.1 == Phase::Reading {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() >= limit {
                return Err(limit);
            }
        }
    }

    fn poll(
        &self,
        content: &mut ByteStream,
        size: Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ocm_blob::Error>>> {
        let next = content.poll_next_unpin(cx);
        let mut state = self.lock();
        match &next {
            Poll::Pending => state.phase = Phase::Reading,
            Poll::Ready(Some(Ok(chunk))) => state.pass(chunk, size),
            Poll::Ready(Some(Err(error))) => state.error = Some(error.clone()),
            Poll::Ready(None) => state.end(),
        }
        next
    }

    fn mark(&self) -> (u64, Phase) {
        let state = self.lock();
        (state.position, state.phase)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pass(&mut self, chunk: &Bytes, size: Option<u64>) {
        if let Some(counted) = &mut self.counted {
            // What is sent again has been hashed.
            let known = counted.size().saturating_sub(self.position);
            let fresh = usize::try_from(known).map_or(chunk.len(), |known| known.min(chunk.len()));
            counted.update(&chunk[fresh..]);
        }
        self.position += chunk.len() as u64;
        self.phase = Phase::Sending;
        // A connection that knows the length does not ask for more than that.
        if size == Some(self.position) {
            self.end();
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Done;
        self.size = Some(self.position);
        if let Some(counted) = self.counted.take() {
            self.digest = Some(counted.finish().0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn poll_all(outgoing: &Outgoing, content: &'static [u8], offset: u64, size: Option<u64>) {
        let mut content = ocm_blob::once(Bytes::from_static(content));
        outgoing.lock().position = offset;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(_)) = outgoing.poll(&mut content, size, &mut cx) {}
    }

    #[test]
    fn parts_that_are_sent_again_are_hashed_once() {
        let outgoing = Outgoing::new(None);
        {
            let mut first = ocm_blob::once(Bytes::from_static(b"hello"));
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let _ = outgoing.poll(&mut first, None, &mut cx);
        }
        poll_all(&outgoing, b"lo world", 3, Some(11));
        assert_eq!(outgoing.digest(), Some(Digest::sha256(b"hello world")));
        assert_eq!(outgoing.size(), Some(11));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_waited_for_and_a_silent_registry_is_not() {
        let timeouts = Timeouts::default();
        let outgoing = Outgoing::new(None);
        outgoing.lock().phase = Phase::Reading;
        let slow = outgoing.watch(&timeouts, sleep(timeouts.read * 20));
        assert!(slow.await.is_ok());
        outgoing.lock().phase = Phase::Sending;
        let silent = outgoing.watch(&timeouts, pending::<()>());
        assert_eq!(silent.await, Err(timeouts.read));
        outgoing.lock().phase = Phase::Done;
        let commit = outgoing.watch(&timeouts, sleep(timeouts.finish / 2));
        assert!(commit.await.is_ok());
        let silent = outgoing.watch(&timeouts, pending::<()>());
        assert_eq!(silent.await, Err(timeouts.finish));
    }
}
