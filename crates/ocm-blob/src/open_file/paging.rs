//! Reading and writing by position, and what the system keeps of it in its memory.

use std::fs::File;
use std::io;

#[cfg(target_os = "linux")]
use rustix::io::ReadWriteFlags;

/// How large a file may be and still be kept in the memory of the system, in bytes, when it is
/// written, or when its content is passed on. Whoever reads a larger one again reads the disk
/// anyway, and it would only take the place of something that is needed.
pub(super) const KEPT: u64 = 1024 * 1024 * 1024;

/// What becomes of bytes in the memory of the system when they are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
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
    pub(super) fn some_at(self, file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
        if matches!(self, Self::InPassing)
            && let Ok(count) = read_flagged(file, buffer, start, self.flags())
        {
            return Ok(count);
        }
        // A file that cannot be read at all says so here.
        read_some_at(file, buffer, start)
    }

    /// Reads as many bytes as there are without waiting for the disk.
    pub(super) fn at_once(self, file: &File, buffer: &mut [u8], start: u64) -> Option<usize> {
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
    pub(super) fn some_at(self, file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
        read_some_at(file, buffer, start)
    }

    pub(super) const fn at_once(
        self,
        _file: &File,
        _buffer: &mut [u8],
        _start: u64,
    ) -> Option<usize> {
        None
    }
}

/// Tells the system that a file need not stay in its memory: Linux begins to write what is not on
/// disk, and drops what is. Nobody waits until it is done, and the disk need not empty what it has
/// taken, which would keep it from everything else. Returns whether the system was told.
#[cfg(target_os = "linux")]
pub(super) fn forget(file: &File) -> bool {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn forget(_file: &File) -> bool {
    false
}

#[cfg(unix)]
pub(super) fn read_some_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, start)
}

#[cfg(unix)]
pub(super) fn write_all_at(file: &File, bytes: &[u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, start)
}

#[cfg(windows)]
pub(super) fn read_some_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, start)
}

#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut start: u64) -> io::Result<()> {
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
