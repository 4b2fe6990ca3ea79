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
    Ok(ask_exclusive(file)? != Some(false))
}

/// Takes the lock if nobody has it. `None` where there are no locks, so that nobody knows.
pub(crate) fn ask_exclusive(file: &File) -> io::Result<Option<bool>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(true)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(Some(false)),
        Err(std::fs::TryLockError::Error(error)) => ignore_unsupported(Err(error)).map(|()| None),
    }
}

/// Tells whether the file that was opened is still the one of that name. Between opening and locking,
/// somebody may have renamed or removed it.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

/// Tells whether there is a file of that name.
#[cfg(not(unix))]
pub(crate) fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

fn ignore_unsupported(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}
