//! A connection whose other side must take what it asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::metrics::Traffic;

/// Counts bytes, and breaks off when nothing can be written for so long.
///
/// A client that takes a byte now and then goes on; one that takes nothing does not hold a
/// connection for ever. By HTTP/2 that is one that reads nothing at all: the answers that it takes
/// nothing of are held back before they come here.
pub(crate) struct Guarded<S> {
    inner: S,
    idle: Duration,
    stalled: Pin<Box<Sleep>>,
    is_stalled: bool,
    traffic: Arc<Traffic>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, idle: Duration, traffic: Arc<Traffic>) -> Self {
        traffic.opened();
        Self {
            inner,
            idle,
            stalled: Box::pin(sleep(idle)),
            is_stalled: false,
            traffic,
        }
    }

    /// Watches what became of an attempt to write.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.is_stalled = false;
            return outcome;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.stalled.as_mut().reset(Instant::now() + self.idle);
        }
        ready!(self.stalled.as_mut().poll(context));
        let message = "the other side takes nothing";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        self.traffic.closed();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.traffic.received(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(context, bytes);
        let written = ready!(self.watch(context, outcome))?;
        self.traffic.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        let written = ready!(self.watch(context, outcome))?;
        self.traffic.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(context, outcome)
    }
}
