//! Locks between processes.
//!
//! A lock belongs to an open file and ends with it, also where its process is killed. File systems
//! without locks (some network ones) let everybody through.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a directory, or what stands for it where directories cannot be opened.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    return File::open(path);
    #[cfg(not(unix))]
    return File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join(".lock"));
}

/// Waits until no other holder is left.
pub(crate) fn exclusive(file: &File) -> io::Result<()> {
    ignore_unsupported(file.lock())
}

/// Waits until no exclusive holder is left.
pub(crate) fn shared(file: &File) -> io::Result<()> {
    ignore_unsupported(file.lock_shared())
}

/// Takes the lock if nobody has it.
pub(crate) fn try_exclusive(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => ignore_unsupported(Err(error)).map(|()| true),
    }
}

fn ignore_unsupported(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}
