//! Files that are read as one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _};
use ocm_blob::{Blob, BlobRef, ByteStream, Error, ExtentBlob, FileCursor, OpenFile};
use ocm_digest::Digest;

/// Files of known sizes, one after the other. Each is opened only while it is read, so that there
/// may be many. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pieces: Arc<[Piece]>,
}

#[derive(Debug)]
struct Piece {
    path: PathBuf,
    /// Where its first byte stands in the whole.
    start: u64,
    size: u64,
}

/// What a range of the whole is in one of the files.
struct Stretch<'a> {
    piece: &'a Piece,
    start: u64,
    len: u64,
}

impl Joined {
    pub(crate) fn new(files: impl IntoIterator<Item = (PathBuf, u64)>) -> Self {
        let mut end = 0;
        let piece = |(path, size)| {
            let start = end;
            end += size;
            Piece { path, start, size }
        };
        Self {
            pieces: files.into_iter().map(piece).collect(),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.pieces.last().map_or(0, Piece::end)
    }

    /// Reads a range into memory.
    pub(crate) fn read_at(&self, start: u64, len: usize) -> Result<Bytes, Error> {
        let stretches = self.stretches(start, len as u64)?;
        if let [stretch] = stretches.as_slice() {
            return stretch.read();
        }
        let mut whole = BytesMut::with_capacity(len);
        for stretch in &stretches {
            whole.extend_from_slice(&stretch.read()?);
        }
        Ok(whole.freeze())
    }

    /// Returns a range as a blob. Where it goes over several files, each is opened when it is read.
    pub(crate) fn blob(&self, start: u64, len: u64) -> Result<BlobRef, Error> {
        let stretches = self.stretches(start, len)?;
        if let [stretch] = stretches.as_slice() {
            return Ok(Arc::new(stretch.blob()?));
        }
        let parts = stretches.iter().map(|stretch| Part {
            path: stretch.piece.path.clone(),
            start: stretch.start,
            len: stretch.len,
        });
        Ok(Arc::new(JoinedBlob {
            parts: parts.collect(),
            size: len,
        }))
    }

    /// Returns a reader that starts at the first byte. It has at most one file open.
    pub(crate) fn cursor(&self) -> JoinedCursor {
        JoinedCursor {
            files: self.clone(),
            position: 0,
            open: None,
        }
    }

    /// Returns the index of the file that has a byte.
    fn piece_at(&self, position: u64) -> Option<usize> {
        let index = self.pieces.partition_point(|piece| piece.end() <= position);
        (index < self.pieces.len()).then_some(index)
    }

    fn stretches(&self, start: u64, len: u64) -> Result<Vec<Stretch<'_>>, Error> {
        let size = self.size();
        let end = start.checked_add(len).filter(|end| *end <= size);
        let end = end.ok_or(Error::SizeMismatch {
            expected: len,
            actual: size.saturating_sub(start),
        })?;
        let first = self.piece_at(start).unwrap_or(self.pieces.len());
        let mut stretches = Vec::new();
        for piece in &self.pieces[first..] {
            if piece.start >= end {
                break;
            }
            let from = start.max(piece.start);
            stretches.push(Stretch {
                piece,
                start: from - piece.start,
                len: end.min(piece.end()) - from,
            });
        }
        Ok(stretches)
    }
}

impl Piece {
    const fn end(&self) -> u64 {
        self.start + self.size
    }
}

impl Stretch<'_> {
    fn read(&self) -> Result<Bytes, Error> {
        let len = usize::try_from(self.len).map_err(|_| Error::TooLarge { limit: self.len })?;
        OpenFile::open(&self.piece.path)?.read_at(self.start, len)
    }

    fn blob(&self) -> Result<ExtentBlob, Error> {
        Ok(OpenFile::open(&self.piece.path)?.blob(self.start, self.len))
    }
}

/// Content that goes on from one file to the next.
#[derive(Debug)]
struct JoinedBlob {
    parts: Vec<Part>,
    size: u64,
}

/// What a file has of some content.
#[derive(Clone, Debug)]
struct Part {
    path: PathBuf,
    start: u64,
    len: u64,
}

impl Part {
    async fn open_at(self, offset: u64) -> Result<ByteStream, Error> {
        let file = OpenFile::open(&self.path)?;
        file.blob(self.start, self.len).open_at(offset).await
    }
}

#[async_trait]
impl Blob for JoinedBlob {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        self.open_at(0).await
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, Error> {
        let mut skip = offset;
        let mut rest = Vec::new();
        for part in &self.parts {
            if skip < part.len {
                rest.push((part.clone(), skip));
            }
            skip = skip.saturating_sub(part.len);
        }
        if skip > 0 {
            return Err(Error::SizeMismatch {
                expected: offset,
                actual: self.size,
            });
        }
        let open = |(part, from): (Part, u64)| part.open_at(from);
        Ok(futures::stream::iter(rest).then(open).try_flatten().boxed())
    }
}

/// Reads files that are one from one place to the next.
#[derive(Debug)]
pub(crate) struct JoinedCursor {
    files: Joined,
    position: u64,
    /// The file that was read last, by its index.
    open: Option<(usize, FileCursor)>,
}

impl io::Read for JoinedCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(index) = self.files.piece_at(self.position) else {
            return Ok(0);
        };
        let piece = &self.files.pieces[index];
        let mut file = match self.open.take() {
            Some((open, file)) if open == index => file,
            _ => {
                let file = OpenFile::open(&piece.path).and_then(|file| file.cursor());
                file.map_err(io::Error::other)?
            }
        };
        let within = self.position - piece.start;
        let left = usize::try_from(piece.size - within).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        io::Seek::seek(&mut file, io::SeekFrom::Start(within))?;
        let count = file.read(&mut buffer[..len])?;
        self.position += count as u64;
        self.open = Some((index, file));
        Ok(count)
    }
}

impl io::Seek for JoinedCursor {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            io::SeekFrom::Start(position) => Some(position),
            io::SeekFrom::End(offset) => self.files.size().checked_add_signed(offset),
            io::SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};

    use ocm_blob::{collect, read_to_end};

    use super::*;

    /// Bytes in files of these sizes.
    fn joined(content: &[u8], sizes: &[usize]) -> (tempfile::TempDir, Joined) {
        let directory = tempfile::tempdir().unwrap();
        let mut rest = content;
        let mut files = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let path = directory.path().join(index.to_string());
            std::fs::write(&path, &rest[..*size]).unwrap();
            rest = &rest[*size..];
            files.push((path, *size as u64));
        }
        assert!(rest.is_empty());
        (directory, Joined::new(files))
    }

    #[tokio::test]
    async fn every_range_is_what_it_is_in_the_whole() {
        let content: Vec<u8> = (0..60).collect();
        let (_directory, files) = joined(&content, &[1, 20, 7, 31, 1]);
        for start in 0..=content.len() {
            for end in start..=content.len() {
                let (at, len) = (start as u64, end - start);
                let expected = &content[start..end];
                assert_eq!(files.read_at(at, len).unwrap(), expected);
                let blob = files.blob(at, len as u64).unwrap();
                assert_eq!(read_to_end(blob.as_ref(), 100).await.unwrap(), expected);
                let half = blob.open_at(len as u64 / 2).await.unwrap();
                assert_eq!(collect(half, 100).await.unwrap(), expected[len / 2..]);
                assert!(blob.open_at(len as u64 + 1).await.is_err());
            }
        }
        assert!(files.read_at(59, 2).is_err());
        assert!(files.blob(u64::MAX, 2).is_err());
    }

    #[test]
    fn a_cursor_crosses_from_file_to_file() {
        let content: Vec<u8> = (0..60).collect();
        let (_directory, files) = joined(&content, &[25, 25, 10]);
        let mut cursor = files.cursor();
        let mut all = Vec::new();
        cursor.read_to_end(&mut all).unwrap();
        assert_eq!(all, content);
        cursor.seek(io::SeekFrom::End(-20)).unwrap();
        all.clear();
        cursor.read_to_end(&mut all).unwrap();
        assert_eq!(all, content[40..]);
    }
}
