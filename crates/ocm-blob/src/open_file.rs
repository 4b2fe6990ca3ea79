//! Files that are held open and read by position, and blobs that are parts of them.

mod extent;
mod paging;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

pub use self::extent::ExtentBlob;
use self::paging::{KEPT, Reading, forget, read_some_at, write_all_at};
use crate::buffer::Buffer;
use crate::error::Error;

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
        let is_large = self.is_large().unwrap_or_default();
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
        ExtentBlob::new(self.clone(), start, len)
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

    /// Returns whether it is too large to be kept in the memory of the system.
    fn is_large(&self) -> Result<bool, Error> {
        Ok(self.size()? > KEPT)
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    #[cfg(target_os = "linux")]
    use crate::stream::CHUNK;

    pub(super) fn file_of(content: &[u8]) -> OpenFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        OpenFile::new(file, "sample")
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
    pub(super) const TIMES: usize = 20;

    /// Returns whether the start of a file can be read without the disk.
    #[cfg(target_os = "linux")]
    pub(super) fn is_in_memory(file: &OpenFile, reading: Reading) -> bool {
        let start = reading.at_once(file.file(), &mut [0; 512], 0);
        start.is_some()
    }

    /// Returns a file, and whether the system tells what it has of it in memory: files may be
    /// nowhere else.
    #[cfg(target_os = "linux")]
    pub(super) fn file_on_disk() -> (OpenFile, bool) {
        let file = file_of(&vec![7; 4 * CHUNK]);
        file.write_back().unwrap();
        let stays = is_in_memory(&file, Reading::Kept);
        let is_told = stays && forget(file.file()) && !is_in_memory(&file, Reading::Kept);
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
                is_in_memory(&file, Reading::Kept) == stays
            });
            assert!(!is_told || is_so, "{size}");
            assert_eq!(file.unsynced(), 0);
            assert_eq!(file.read_at(1, 5).unwrap(), vec![8; 5]);
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
