//! Files that are held open and read by position, and blobs that are parts of them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, poll_fn};
use ocm_digest::Digest;
#[cfg(target_os = "linux")]
use rustix::io::ReadWriteFlags;

use crate::blob::Blob;
use crate::buffer::Buffer;
use crate::error::Error;
use crate::stream::{ByteStream, CHUNK, from_fn_blocking, once};
use crate::verify::{Promise, verify};

/// How large a file may be and still be kept in the memory of the system, in bytes, when it is
/// written, or when its content is passed on. Whoever reads a larger one again reads the disk
/// anyway, and it would only take the place of something that is needed.
const KEPT: u64 = 1024 * 1024 * 1024;

/// A file that is held open, such as an archive of many blobs.
///
/// Clones share the file. Reading names its position, so that many readers do not disturb each
/// other, and what has been opened stays the same file even where another one took its name.
#[derive(Clone, Debug)]
pub struct OpenFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    file: File,
    path: PathBuf,
    /// Bytes that have been written since somebody last began to bring them to disk.
    unsynced: AtomicU64,
    /// Whether somebody is at it.
    is_syncing: AtomicBool,
}

impl OpenFile {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// There is no such file, or it is no regular file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::file("open", path, source))?;
        let metadata = file
            .metadata()
            .map_err(|source| Error::file("open", path, source))?;
        if metadata.is_file() {
            Ok(Self::new(file, path))
        } else {
            let source = io::Error::other("not a regular file");
            Err(Error::file("open", path, source))
        }
    }

    /// Takes a file that is open; `path` is how messages name it.
    pub fn new(file: File, path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Opened {
            file,
            path: path.into(),
            unsynced: AtomicU64::new(0),
            is_syncing: AtomicBool::new(false),
        }))
    }

    /// Returns the file itself.
    pub fn file(&self) -> &File {
        &self.0.file
    }

    /// Returns how messages name the file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns the size in bytes.
    ///
    /// # Errors
    ///
    /// The file system does not say.
    pub fn size(&self) -> Result<u64, Error> {
        let metadata = self.file().metadata();
        metadata
            .map(|metadata| metadata.len())
            .map_err(|source| Error::file("read", self.path(), source))
    }

    /// Reads a range into memory.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or ends within the range.
    pub fn read_at(&self, start: u64, len: usize) -> Result<Bytes, Error> {
        let chunk = self.read_up_to(start, len)?;
        if chunk.len() == len {
            Ok(chunk)
        } else {
            Err(Error::SizeMismatch {
                expected: len as u64,
                actual: chunk.len() as u64,
            })
        }
    }

    /// Writes bytes at a position.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_at(&self, bytes: &[u8], start: u64) -> Result<(), Error> {
        write_all_at(self.file(), bytes, start)
            .map_err(|source| Error::file("write", self.path(), source))?;
        let count = bytes.len() as u64;
        self.0.unsynced.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Returns how many bytes have been written by [`OpenFile::write_at`] since the file was last
    /// brought to disk.
    pub fn unsynced(&self) -> u64 {
        self.0.unsynced.load(Ordering::Relaxed)
    }

    /// Has the system bring to disk what was written so far, beside those who write. Where another
    /// clone is at it already, there is nothing to do. It need not all be there afterwards: of a file
    /// of more than 1 GiB, writing is only begun, and what is on disk leaves the memory.
    ///
    /// # Errors
    ///
    /// The file cannot be written. The system says so once.
    pub fn write_back(&self) -> Result<(), Error> {
        if self.0.is_syncing.swap(true, Ordering::Acquire) {
            return Ok(());
        }
        self.0.unsynced.store(0, Ordering::Relaxed);
        let is_large = self.size().is_ok_and(|size| size > KEPT);
        let synced = if is_large && forget(self.file()) {
            Ok(())
        } else {
            self.file().sync_data()
        };
        self.0.is_syncing.store(false, Ordering::Release);
        synced.map_err(|source| Error::file("sync", self.path(), source))
    }

    /// Returns a part of the file as a blob. Where it ends before the part does, reading fails.
    pub fn blob(&self, start: u64, len: u64) -> ExtentBlob {
        ExtentBlob {
            file: self.clone(),
            start,
            len,
            digest: None,
        }
    }

    /// Returns a reader that starts at the first byte. Where it stands is known to it alone, so
    /// that seeking costs nothing.
    ///
    /// # Errors
    ///
    /// The file system does not say how large the file is.
    pub fn cursor(&self) -> Result<FileCursor, Error> {
        Ok(FileCursor {
            file: self.clone(),
            position: 0,
            len: self.size()?,
        })
    }

    /// Reads up to `len` bytes; fewer only where the file ends.
    fn read_up_to(&self, start: u64, len: usize) -> Result<Bytes, Error> {
        self.read_by(Reading::Kept, start, len)
    }

    /// Reads a range if all of it is in the memory of the system, and returns `None` where reading
    /// it would have to wait.
    fn read_at_once(&self, reading: Reading, start: u64, len: usize) -> Option<Bytes> {
        let mut buffer = Buffer::new(len);
        let count = reading.at_once(self.file(), buffer.space(), start)?;
        (count == len).then(|| buffer.freeze(count))
    }

    fn read_by(&self, reading: Reading, start: u64, len: usize) -> Result<Bytes, Error> {
        let mut buffer = Buffer::new(len);
        let mut filled = 0;
        while filled < len {
            let space = &mut buffer.space()[filled..];
            match reading.some_at(self.file(), space, start + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::file("read", self.path(), source)),
            }
        }
        Ok(buffer.freeze(filled))
    }
}

/// Reads a file that is held open from one place to the next.
#[derive(Clone, Debug)]
pub struct FileCursor {
    file: OpenFile,
    position: u64,
    len: u64,
}

impl io::Read for FileCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = read_some_at(self.file.file(), buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl io::Seek for FileCursor {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            io::SeekFrom::Start(position) => Some(position),
            io::SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            io::SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// A part of a file that is held open.
#[derive(Clone, Debug)]
pub struct ExtentBlob {
    file: OpenFile,
    start: u64,
    len: u64,
    digest: Option<Digest>,
}

impl ExtentBlob {
    /// Sets the digest that the content must have.
    #[must_use]
    pub const fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    fn read_from(&self, offset: u64, digest: Option<Digest>) -> Result<ByteStream, Error> {
        let Some(left) = self.len.checked_sub(offset) else {
            return Err(Error::SizeMismatch {
                expected: offset,
                actual: self.len,
            });
        };
        let promise = Promise {
            size: Some(left),
            digest,
        };
        Ok(verify(self.chunks(offset, Reading::Kept)?, promise))
    }

    /// Reads from an offset to the end, which comes too early where that of the file does.
    fn chunks(&self, offset: u64, reading: Reading) -> Result<ByteStream, Error> {
        let (file, start) = (self.file.clone(), self.start + offset);
        let left = self.len - offset;
        if left <= CHUNK as u64 {
            return Ok(once(file.read_by(reading, start, size_of_chunk(left))?));
        }
        Ok(from_fn_blocking(move |send| {
            let mut done = 0;
            while done < left {
                let chunk = file.read_by(reading, start + done, size_of_chunk(left - done))?;
                done += chunk.len() as u64;
                if chunk.is_empty() || !send(chunk) {
                    break;
                }
            }
            Ok(())
        }))
    }

    /// Reads what is in the memory of the system where it is asked for, as long as there is
    /// something, and the rest by a thread: the way from there costs more than copying does.
    fn chunks_memory_first(&self, reading: Reading) -> ByteStream {
        let blob = self.clone();
        let (mut done, mut rest) = (0, None);
        poll_fn(move |cx| {
            if rest.is_none() {
                let left = blob.len - done;
                if left == 0 {
                    return Poll::Ready(None);
                }
                let (start, len) = (blob.start + done, size_of_chunk(left));
                if let Some(chunk) = blob.file.read_at_once(reading, start, len) {
                    done += chunk.len() as u64;
                    return Poll::Ready(Some(Ok(chunk)));
                }
            }
            let rest = rest.get_or_insert_with(|| {
                let chunks = blob.chunks(done, reading);
                chunks.unwrap_or_else(|error| stream::iter([Err(error)]).boxed())
            });
            rest.poll_next_unpin(cx)
        })
        .boxed()
    }
}

fn size_of_chunk(left: u64) -> usize {
    usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)
}

#[async_trait]
impl Blob for ExtentBlob {
    fn size(&self) -> Option<u64> {
        Some(self.len)
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        self.read_from(0, self.digest)
    }

    async fn open_unchecked(&self) -> Result<ByteStream, Error> {
        let is_large = self.file.size()? > KEPT;
        let chunks = self.chunks_memory_first(if is_large {
            Reading::InPassing
        } else {
            Reading::Kept
        });
        let promise = Promise {
            size: Some(self.len),
            digest: None,
        };
        Ok(verify(chunks, promise))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, Error> {
        self.read_from(offset, None)
    }
}

/// What becomes of bytes in the memory of the system when they are read.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// They stay for as long as it likes.
    Kept,
    /// Nothing is left there that was not there before, where the system can do that: Linux since
    /// 6.14, with some file systems.
    InPassing,
}

#[cfg(target_os = "linux")]
impl Reading {
    /// `RWF_DONTCACHE`.
    const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

    const fn flags(self) -> ReadWriteFlags {
        match self {
            Self::Kept => ReadWriteFlags::empty(),
            Self::InPassing => Self::DONT_CACHE,
        }
    }

    /// Reads bytes of a file from a position on, as many as come at once.
    fn some_at(self, file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
        if matches!(self, Self::InPassing)
            && let Ok(count) = read_flagged(file, buffer, start, self.flags())
        {
            return Ok(count);
        }
        // A file that cannot be read at all says so here.
        read_some_at(file, buffer, start)
    }

    /// Reads as many bytes as there are without waiting for the disk.
    fn at_once(self, file: &File, buffer: &mut [u8], start: u64) -> Option<usize> {
        let flags = self.flags() | ReadWriteFlags::NOWAIT;
        read_flagged(file, buffer, start, flags).ok()
    }
}

#[cfg(target_os = "linux")]
fn read_flagged(
    file: &File,
    buffer: &mut [u8],
    start: u64,
    flags: ReadWriteFlags,
) -> io::Result<usize> {
    let mut parts = [io::IoSliceMut::new(buffer)];
    Ok(rustix::io::preadv2(file, &mut parts, start, flags)?)
}

#[cfg(not(target_os = "linux"))]
impl Reading {
    fn some_at(self, file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
        read_some_at(file, buffer, start)
    }

    const fn at_once(self, _file: &File, _buffer: &mut [u8], _start: u64) -> Option<usize> {
        None
    }
}

/// Tells the system that a file need not stay in its memory: Linux begins to write what is not on
/// disk, and drops what is. Nobody waits until it is done, and the disk need not empty what it has
/// taken, which would keep it from everything else. Returns whether the system was told.
#[cfg(target_os = "linux")]
fn forget(file: &File) -> bool {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn forget(_file: &File) -> bool {
    false
}

#[cfg(unix)]
fn read_some_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, start)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, start)
}

#[cfg(windows)]
fn read_some_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, start)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut start: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, start)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
        start += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::stream::{collect, read_to_end};

    fn file_of(content: &[u8]) -> OpenFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        OpenFile::new(file, "sample")
    }

    #[tokio::test]
    async fn an_extent_is_read_whole_and_from_an_offset() {
        let content: Vec<u8> = (0..CHUNK * 2 + 9).map(|n| n.to_le_bytes()[0]).collect();
        let part = &content[3..content.len() - 2];
        let blob = file_of(&content)
            .blob(3, part.len() as u64)
            .with_digest(Digest::sha256(part));
        assert_eq!(read_to_end(&blob, u64::MAX).await.unwrap(), part);
        let tail = blob.open_at(CHUNK as u64 + 1).await.unwrap();
        assert_eq!(collect(tail, u64::MAX).await.unwrap(), part[CHUNK + 1..]);
        assert!(blob.open_at(u64::MAX).await.is_err());
    }

    #[tokio::test]
    async fn an_extent_beyond_the_end_is_an_error() {
        let error = read_to_end(&file_of(b"0123").blob(2, 10), 100)
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            Error::SizeMismatch {
                expected: 10,
                actual: 2
            }
        ));
        assert!(file_of(b"0123").read_at(2, 3).is_err());
    }

    #[test]
    fn what_is_written_is_brought_to_disk_by_one_of_all() {
        let file = file_of(b"");
        let other = file.clone();
        file.write_at(b"hello", 0).unwrap();
        other.write_at(b" world", 5).unwrap();
        assert_eq!(file.unsynced(), 11);
        other.write_back().unwrap();
        assert_eq!(file.unsynced(), 0);
        // While one is at it, the others have nothing to do.
        other.write_at(b"!", 11).unwrap();
        file.0.is_syncing.store(true, Ordering::Relaxed);
        other.write_back().unwrap();
        assert_eq!(file.unsynced(), 1);
        file.0.is_syncing.store(false, Ordering::Relaxed);
        file.write_back().unwrap();
        assert_eq!(other.unsynced(), 0);
    }

    /// How often something is done that the system is asked for, and need not do each time.
    #[cfg(target_os = "linux")]
    const TIMES: usize = 20;

    /// Returns whether the start of a file can be read in a way.
    #[cfg(target_os = "linux")]
    fn can_be_read(file: &OpenFile, flags: ReadWriteFlags) -> bool {
        read_flagged(file.file(), &mut [0; 512], 0, flags).is_ok()
    }

    /// Returns whether the start of a file can be read without the disk.
    #[cfg(target_os = "linux")]
    fn is_in_memory(file: &OpenFile) -> bool {
        can_be_read(file, ReadWriteFlags::NOWAIT)
    }

    /// Returns a file, and whether the system tells what it has of it in memory: files may be
    /// nowhere else.
    #[cfg(target_os = "linux")]
    fn file_on_disk() -> (OpenFile, bool) {
        let file = file_of(&vec![7; 4 * CHUNK]);
        file.write_back().unwrap();
        let stays = is_in_memory(&file);
        let is_told = stays && forget(file.file()) && !is_in_memory(&file);
        (file, is_told)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_written_of_a_large_file_does_not_stay_in_memory() {
        let (file, is_told) = file_on_disk();
        for (size, stays) in [(KEPT, true), (KEPT + 1, false)] {
            file.file().set_len(size).unwrap();
            let is_so = (0..TIMES).any(|_| {
                file.write_at(&vec![8; CHUNK], 0).unwrap();
                file.write_back().unwrap();
                // What was begun is waited for, and the next piece finds it on disk.
                file.file().sync_data().unwrap();
                file.write_back().unwrap();
                is_in_memory(&file) == stays
            });
            assert!(!is_told || is_so, "{size}");
            assert_eq!(file.unsynced(), 0);
            assert_eq!(file.read_at(1, 5).unwrap(), vec![8; 5]);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_passed_on_of_a_large_file_does_not_stay_in_memory() {
        let (file, is_told) = file_on_disk();
        let len = 4 * CHUNK;
        // Some systems cannot do otherwise than keep all.
        let is_told = is_told && can_be_read(&file, Reading::DONT_CACHE);
        for (size, is_there, stays) in [
            (KEPT + 1, false, false),
            (KEPT, false, true),
            (KEPT + 1, true, true),
        ] {
            file.file().set_len(size).unwrap();
            let wrong = Digest::sha256("something else");
            let blob = file.blob(0, len as u64).with_digest(wrong);
            let mut is_so = false;
            for _ in 0..TIMES {
                forget(file.file());
                if is_there {
                    file.read_at(0, len).unwrap();
                }
                let stream = blob.open_unchecked().await.unwrap();
                assert_eq!(collect(stream, u64::MAX).await.unwrap(), vec![7; len]);
                is_so |= is_in_memory(&file) == stays;
            }
            assert!(!is_told || is_so, "{size}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_passed_on_comes_from_memory_and_disk_as_it_is_there() {
        let content: Vec<u8> = (0..CHUNK * 4 + 9).map(|n| n.to_le_bytes()[1]).collect();
        let file = file_of(&content);
        for in_memory in [0, 1, CHUNK * 2, content.len()] {
            file.write_back().unwrap();
            forget(file.file());
            file.read_at(0, in_memory).unwrap();
            let blob = file.blob(5, content.len() as u64 - 5);
            let passed = blob.open_unchecked().await.unwrap();
            assert!(collect(passed, u64::MAX).await.unwrap() == content[5..]);
        }
    }

    #[tokio::test]
    async fn what_is_passed_on_and_is_too_short_is_an_error() {
        for len in [2, CHUNK + 2, CHUNK * 5] {
            let file = file_of(&vec![1; len]);
            for size in [len + 1, len + CHUNK * 3] {
                let passed = file.blob(0, size as u64).open_unchecked().await.unwrap();
                let error = collect(passed, u64::MAX).await.unwrap_err();
                let (expected, actual) = (size as u64, len as u64);
                assert!(
                    matches!(error, Error::SizeMismatch { expected: e, actual: a }
                        if (e, a) == (expected, actual)),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_cursor_reads_where_it_was_sent() {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut cursor = file_of(b"hello world").cursor().unwrap();
        let mut text = [0; 5];
        assert_eq!(cursor.seek(SeekFrom::End(-5)).unwrap(), 6);
        cursor.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"world");
        cursor.rewind().unwrap();
        assert_eq!(cursor.seek(SeekFrom::Current(1)).unwrap(), 1);
        cursor.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"ello ");
        assert!(cursor.seek(SeekFrom::Current(-7)).is_err());
        cursor.seek(SeekFrom::Start(100)).unwrap();
        assert_eq!(cursor.read(&mut text).unwrap(), 0);
    }

    #[test]
    fn what_is_written_is_read() {
        let file = file_of(b"0123");
        file.write_at(b"xy", 3).unwrap();
        assert_eq!(file.size().unwrap(), 5);
        assert_eq!(file.read_at(2, 3).unwrap(), "2xy");
    }
}
