//! Gzip: streams compressed and decompressed as they pass.
//!
//! Headers have neither time nor name, so that the same content gives the same bytes, as long as
//! the compressor stays the same version: no digest should be expected of compressed bytes.

use std::io::{self, Write as _};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use ocm_digest::Digest;

use crate::blob::{Blob, BlobRef};
use crate::buffer::Buffer;
use crate::error::Error;
use crate::read::StreamReader;
use crate::stream::{ByteStream, CHUNK, from_fn_blocking};

const FORMAT: &str = "gzip";

/// The level at which size still gains more than time loses.
const LEVEL: u32 = 6;

/// Returns whether content that starts with these bytes is compressed with gzip.
pub fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b, 8])
}

/// Decompresses a stream, of one or more members, on a thread of its own.
///
/// The stream ends with [`Error::TooLarge`] if the content is longer than `limit` bytes, and with
/// [`Error::Malformed`] if it is no gzip or ends early.
pub fn gunzip(stream: ByteStream, limit: u64) -> ByteStream {
    let reader = StreamReader::new(stream);
    from_fn_blocking(move |send| {
        let mut decoder = MultiGzDecoder::new(reader);
        let mut seen = 0_u64;
        loop {
            let chunk = read_chunk(&mut decoder).map_err(|error| undo(&error))?;
            seen += chunk.len() as u64;
            if seen > limit {
                return Err(Error::TooLarge { limit });
            }
            if chunk.is_empty() || !send(chunk) {
                return Ok(());
            }
        }
    })
}

/// Compresses a stream on a thread of its own.
pub fn gzip(stream: ByteStream) -> ByteStream {
    let mut reader = StreamReader::new(stream);
    from_fn_blocking(move |send| {
        let mut encoder = gzip_writer(Vec::with_capacity(CHUNK));
        loop {
            let chunk = reader.next_chunk()?;
            let Some(chunk) = chunk else { break };
            encoder.write_all(&chunk).map_err(|error| undo(&error))?;
            if !send_full(encoder.get_mut(), CHUNK, send) {
                return Ok(());
            }
        }
        let mut rest = encoder.finish().map_err(|error| undo(&error))?;
        send_full(&mut rest, 1, send);
        Ok(())
    })
}

/// Returns a compressor with the header and the level that are used everywhere.
pub fn gzip_writer<W: io::Write>(writer: W) -> flate2::write::GzEncoder<W> {
    GzBuilder::new()
        .mtime(0)
        .write(writer, Compression::new(LEVEL))
}

/// Sends what has come together in chunks, of at least `least` bytes each.
fn send_full(buffer: &mut Vec<u8>, least: usize, send: &mut dyn FnMut(Bytes) -> bool) -> bool {
    while buffer.len() >= least {
        let count = buffer.len().min(CHUNK);
        let mut chunk = Buffer::new(count);
        chunk.space().copy_from_slice(&buffer[..count]);
        buffer.drain(..count);
        if !send(chunk.freeze(count)) {
            return false;
        }
    }
    true
}

fn read_chunk(reader: &mut impl io::Read) -> io::Result<Bytes> {
    let mut buffer = Buffer::new(CHUNK);
    let mut filled = 0;
    while filled < CHUNK {
        match reader.read(&mut buffer.space()[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(buffer.freeze(filled))
}

/// Returns the error of the stream underneath, or says what is wrong with the compression.
fn undo(error: &io::Error) -> Error {
    match StreamReader::cause(error) {
        Some(cause) => cause.clone(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::malformed(FORMAT, "it ends early, so it may be cut off")
        }
        None => Error::malformed(FORMAT, error.to_string()),
    }
}

/// The decompressed content of a blob. Its size is not known before it has been read.
#[derive(Clone, Debug)]
pub struct GunzipBlob {
    inner: BlobRef,
    limit: u64,
    media_type: Option<String>,
}

impl GunzipBlob {
    /// Decompresses a blob to at most `limit` bytes.
    pub const fn new(inner: BlobRef, limit: u64) -> Self {
        Self {
            inner,
            limit,
            media_type: None,
        }
    }

    /// Gives the content a media type.
    #[must_use]
    pub fn with_media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }
}

#[async_trait]
impl Blob for GunzipBlob {
    fn size(&self) -> Option<u64> {
        None
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        Ok(gunzip(self.inner.open().await?, self.limit))
    }
}

/// The compressed content of a blob. Its size is not known before it has been read.
#[derive(Clone, Debug)]
pub struct GzipBlob {
    inner: BlobRef,
    media_type: Option<String>,
}

impl GzipBlob {
    /// Compresses a blob.
    pub const fn new(inner: BlobRef) -> Self {
        Self {
            inner,
            media_type: None,
        }
    }

    /// Gives the compressed content a media type.
    #[must_use]
    pub fn with_media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }
}

#[async_trait]
impl Blob for GzipBlob {
    fn size(&self) -> Option<u64> {
        None
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        Ok(gzip(self.inner.open().await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{collect, once};

    async fn pack(content: &[u8]) -> Bytes {
        let stream = once(Bytes::copy_from_slice(content));
        collect(gzip(stream), u64::MAX).await.unwrap()
    }

    async fn unpack(content: impl Into<Bytes>, limit: u64) -> Result<Bytes, Error> {
        collect(gunzip(once(content.into()), limit), u64::MAX).await
    }

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * n / 7).to_le_bytes()[0]).collect()
    }

    #[tokio::test]
    async fn what_is_compressed_is_decompressed() {
        for len in [0, 1, CHUNK, CHUNK * 5 + 3] {
            let content = sample(len);
            let packed = pack(&content).await;
            assert!(is_gzip(&packed));
            assert_eq!(packed, pack(&content).await);
            assert_eq!(unpack(packed, u64::MAX).await.unwrap(), content);
        }
    }

    #[tokio::test]
    async fn the_header_has_no_time_and_no_name() {
        let packed = pack(b"x").await;
        assert_eq!(&packed[3..8], [0; 5]);
    }

    #[tokio::test]
    async fn several_members_are_one_content() {
        let packed = [pack(b"hello ").await, pack(b"").await, pack(b"world").await].concat();
        assert_eq!(unpack(packed, u64::MAX).await.unwrap(), "hello world");
    }

    #[tokio::test]
    async fn content_that_is_cut_off_or_damaged_is_an_error() {
        let packed = pack(&sample(CHUNK)).await;
        for len in [0, 1, 9, 10, packed.len() / 2, packed.len() - 1] {
            let error = unpack(packed.slice(..len), u64::MAX).await.unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{len}: {error}");
        }
        let mut damaged = packed.to_vec();
        let crc = damaged.len() - 8;
        damaged[crc] ^= 1;
        assert!(unpack(damaged, u64::MAX).await.is_err());
        assert!(unpack(&b"plain text"[..], u64::MAX).await.is_err());
    }

    #[tokio::test]
    async fn a_bomb_stops_at_the_limit() {
        let packed = pack(&vec![0; CHUNK * 8]).await;
        assert!(packed.len() < CHUNK / 8);
        let error = unpack(packed, CHUNK as u64).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }

    #[tokio::test]
    async fn errors_of_the_source_come_through() {
        use futures::StreamExt as _;
        let broken = Error::TooLarge { limit: 7 };
        let start = once(pack(&sample(CHUNK)).await.slice(..100));
        let stream = start.chain(futures::stream::iter([Err(broken)])).boxed();
        let error = collect(gunzip(stream, u64::MAX), u64::MAX)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 7 }), "{error}");
    }
}
