//! Blobs that are files, or parts of files.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use ocm_digest::Digest;

use crate::blob::Blob;
use crate::buffer::Buffer;
use crate::error::Error;
use crate::stream::{ByteStream, CHUNK, from_fn_blocking, once};
use crate::verify::{Promise, verify};

/// Where the content of a blob stands: a whole file, or a range of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileRange {
    /// The file.
    pub path: PathBuf,
    /// The first byte.
    pub start: u64,
    /// The number of bytes.
    pub len: u64,
}

/// A blob in a file, such as an input, a blob of an archive directory, or an entry of a tar.
///
/// The file is opened for each reading. Small content is read at once, large content by a thread
/// that stays a few chunks ahead.
#[derive(Clone, Debug)]
pub struct FileBlob {
    range: FileRange,
    digest: Option<Digest>,
    media_type: Option<String>,
}

impl FileBlob {
    /// Takes a whole file, whose size is read now.
    ///
    /// # Errors
    ///
    /// There is no such file, or it is no regular file.
    pub fn open_path(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let metadata =
            std::fs::metadata(&path).map_err(|source| Error::file("open", &path, source))?;
        if !metadata.is_file() {
            let source = std::io::Error::other("not a regular file");
            return Err(Error::file("open", &path, source));
        }
        Ok(Self::range(FileRange {
            path,
            start: 0,
            len: metadata.len(),
        }))
    }

    /// Takes a part of a file.
    pub const fn range(range: FileRange) -> Self {
        Self {
            range,
            digest: None,
            media_type: None,
        }
    }

    /// Sets the digest that the content must have.
    #[must_use]
    pub const fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Gives the blob a media type.
    #[must_use]
    pub fn with_media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// Returns where the content stands.
    pub const fn file_range(&self) -> &FileRange {
        &self.range
    }

    fn read_from(&self, offset: u64) -> Result<ByteStream, Error> {
        let FileRange { path, start, len } = &self.range;
        let Some(left) = len.checked_sub(offset) else {
            return Err(Error::SizeMismatch {
                expected: offset,
                actual: *len,
            });
        };
        let open = File::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(start + offset))?;
            Ok(file)
        });
        let mut file = open.map_err(|source| Error::file("open", path, source))?;
        if left <= CHUNK as u64 {
            let mut left = left;
            return Ok(once(read_chunk(&mut file, path, &mut left)?));
        }
        let path = path.clone();
        Ok(from_fn_blocking(move |send| {
            let mut left = left;
            while left > 0 {
                let chunk = read_chunk(&mut file, &path, &mut left)?;
                if chunk.is_empty() || !send(chunk) {
                    break;
                }
            }
            Ok(())
        }))
    }
}

/// Reads up to a chunk; an end of file that comes too early gives a short chunk.
fn read_chunk(file: &mut File, path: &Path, left: &mut u64) -> Result<Bytes, Error> {
    let want = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
    let mut buffer = Buffer::new(want);
    let mut filled = 0;
    while filled < want {
        match file.read(&mut buffer.space()[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::file("read", path, source)),
        }
    }
    *left -= filled as u64;
    Ok(buffer.freeze(filled))
}

#[async_trait]
impl Blob for FileBlob {
    fn size(&self) -> Option<u64> {
        Some(self.range.len)
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let promise = Promise {
            size: Some(self.range.len),
            digest: self.digest,
        };
        Ok(verify(self.read_from(0)?, promise))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, Error> {
        let promise = Promise {
            size: Some(self.range.len.saturating_sub(offset)),
            digest: None,
        };
        Ok(verify(self.read_from(offset)?, promise))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::stream::read_to_end;

    fn file_of(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[tokio::test]
    async fn a_large_file_is_read_whole_and_from_an_offset() {
        let content: Vec<u8> = (0..CHUNK * 3 + 7).map(|n| n.to_le_bytes()[0]).collect();
        let file = file_of(&content);
        let blob = FileBlob::open_path(file.path())
            .unwrap()
            .with_digest(Digest::sha256(&content));
        assert_eq!(read_to_end(&blob, u64::MAX).await.unwrap(), content);
        let tail = blob.open_at(CHUNK as u64 + 1).await.unwrap();
        assert_eq!(
            crate::collect(tail, u64::MAX).await.unwrap(),
            content[CHUNK + 1..]
        );
    }

    #[tokio::test]
    async fn a_range_is_only_that_part() {
        let file = file_of(b"0123456789");
        let range = FileRange {
            path: file.path().to_owned(),
            start: 2,
            len: 3,
        };
        assert_eq!(
            read_to_end(&FileBlob::range(range), 10).await.unwrap(),
            "234"
        );
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_an_error() {
        let file = file_of(b"0123456789");
        let blob = FileBlob::open_path(file.path()).unwrap();
        file.as_file().set_len(4).unwrap();
        let error = read_to_end(&blob, 100).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::SizeMismatch {
                    expected: 10,
                    actual: 4
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_directory_is_no_blob() {
        let directory = tempfile::tempdir().unwrap();
        assert!(FileBlob::open_path(directory.path()).is_err());
    }
}
