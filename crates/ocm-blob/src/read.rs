//! Streams read by code that blocks: decompressors, parsers of archives.

use std::io::{self, BufRead, Read};

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use tokio::runtime::Handle;

use crate::error::Error;
use crate::stream::ByteStream;

/// Reads a stream from a thread that may block, such as one of [`crate::from_fn_blocking`].
///
/// An error of the stream comes as an [`io::Error`] from which [`StreamReader::cause`] takes it
/// out again.
pub struct StreamReader {
    runtime: Handle,
    stream: ByteStream,
    chunk: Bytes,
}

impl std::fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamReader").finish_non_exhaustive()
    }
}

impl StreamReader {
    /// Takes a stream.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, which drives the stream.
    pub fn new(stream: ByteStream) -> Self {
        Self {
            runtime: Handle::current(),
            stream,
            chunk: Bytes::new(),
        }
    }

    /// Returns the next chunk, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The stream fails.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.chunk.is_empty() {
            self.runtime.block_on(self.stream.next()).transpose()
        } else {
            Ok(Some(std::mem::take(&mut self.chunk)))
        }
    }

    /// Returns the error of a stream that came as the error of a reader.
    pub fn cause(error: &io::Error) -> Option<&Error> {
        error.get_ref()?.downcast_ref()
    }
}

impl BufRead for StreamReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = self
                .next_chunk()
                .map_err(io::Error::other)?
                .unwrap_or_default();
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount);
    }
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
