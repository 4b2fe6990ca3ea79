//! Messages of HTTP/1.1 as bytes: heads, and bodies piece by piece (RFC 9112).

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedReadHalf;

/// The largest head of a message, and the largest line in a chunked body, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How much of a body is passed on at a time, in bytes.
pub(super) const PIECE: usize = 64 * 1024;

/// The head of a message.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The first line, without its end.
    pub(super) start: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(text).map_err(io::Error::other)?;
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        });
        Ok(Self {
            headers: headers.collect(),
            start,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value));
    }

    /// Returns the second word of the first line: the target of a request, the status of an answer.
    pub(super) fn second(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        Bytes::from(text)
    }

    /// Returns how long the body of a request is.
    pub(super) fn request_body(&self) -> Framing {
        self.framing(Framing::Length(0))
    }

    /// Returns how long the body of the answer to a method is.
    pub(super) fn answer_body(&self, method: &str) -> Framing {
        match (method, self.second()) {
            ("HEAD", _) | (_, "204" | "304") => Framing::Length(0),
            _ => self.framing(Framing::UntilClose),
        }
    }

    fn framing(&self, otherwise: Framing) -> Framing {
        if self.header("transfer-encoding").is_some() {
            return Framing::Chunked(Chunk::Start);
        }
        match self.header("content-length").map(str::parse) {
            Some(Ok(length)) => Framing::Length(length),
            _ => otherwise,
        }
    }
}

/// What is left of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks that say their sizes.
    Chunked(Chunk),
    /// Everything until the connection ends.
    UntilClose,
}

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunk {
    /// Before the line with the size of a chunk.
    Start,
    /// In a chunk, with so many bytes before the end of its last line.
    Data(u64),
    /// After the last chunk, before the empty line.
    Trailer,
    Done,
}

/// The reading half of a connection, and what has come and was not asked for.
#[derive(Debug)]
pub(super) struct Incoming {
    connection: OwnedReadHalf,
    buffer: BytesMut,
}

impl Incoming {
    pub(super) fn new(connection: OwnedReadHalf) -> Self {
        Self {
            connection,
            buffer: BytesMut::new(),
        }
    }

    /// Reads a head; `None` if the other side has ended before one.
    ///
    /// # Cancellation
    ///
    /// What has come is kept.
    pub(super) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end])?;
                self.buffer.advance(end + 4);
                return Ok(Some(head));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(io::Error::other("a head without end"));
            }
            if self.connection.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads the next piece of a body, with whatever frames it; `None` at its end.
    pub(super) async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Piece>> {
        match framing {
            Framing::Length(0) | Framing::Chunked(Chunk::Done) => Ok(None),
            Framing::Length(left) => {
                let bytes = self.some(*left).await?.ok_or_else(cut)?;
                *left -= bytes.len() as u64;
                Ok(Some(Piece { bytes, data: true }))
            }
            Framing::UntilClose => {
                let bytes = self.some(u64::MAX).await?;
                Ok(bytes.map(|bytes| Piece { bytes, data: true }))
            }
            Framing::Chunked(chunk) => self.chunked(chunk).await.map(Some),
        }
    }

    /// Waits until something has come, or the other side has ended.
    ///
    /// # Cancellation
    ///
    /// What has come is kept.
    pub(super) async fn ready(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.connection.read_buf(&mut self.buffer).await?;
        }
        Ok(())
    }

    async fn chunked(&mut self, chunk: &mut Chunk) -> io::Result<Piece> {
        if let Chunk::Data(left) = chunk
            && *left > 0
        {
            let bytes = self.some(*left).await?.ok_or_else(cut)?;
            *left -= bytes.len() as u64;
            return Ok(Piece { bytes, data: true });
        }
        let line = self.line().await?;
        *chunk = match *chunk {
            Chunk::Data(_) => Chunk::Start,
            Chunk::Start => {
                let text = std::str::from_utf8(&line).map_err(io::Error::other)?;
                let size = text.trim().split(';').next().unwrap_or_default();
                match u64::from_str_radix(size, 16).map_err(io::Error::other)? {
                    0 => Chunk::Trailer,
                    size => Chunk::Data(size),
                }
            }
            Chunk::Trailer if line.len() > 2 => Chunk::Trailer,
            Chunk::Trailer | Chunk::Done => Chunk::Done,
        };
        let bytes = line;
        Ok(Piece { bytes, data: false })
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                return Ok(self.buffer.split_to(end + 2).freeze());
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(io::Error::other("a line without end"));
            }
            if self.connection.read_buf(&mut self.buffer).await? == 0 {
                return Err(cut());
            }
        }
    }

    /// Reads up to so many bytes; `None` at the end.
    async fn some(&mut self, most: u64) -> io::Result<Option<Bytes>> {
        if self.buffer.is_empty() {
            self.buffer.reserve(PIECE);
            if self.connection.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let size = self.buffer.len().min(most).min(PIECE);
        Ok(Some(self.buffer.split_to(size).freeze()))
    }
}

/// A piece of a body.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Whether it is content, rather than what frames it.
    pub(super) data: bool,
}

fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
