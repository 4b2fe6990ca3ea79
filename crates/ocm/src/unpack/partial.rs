//! What a download has not finished: a file or a directory beside its target, which goes away with
//! the download, or with the next one in the same directory if the process was killed.
//!
//! Who writes one holds a lock on it, so that nobody takes it for left behind.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempDir};

/// How the names of unfinished downloads begin.
const PREFIX: &str = ".ocm-download-";

/// An unfinished directory, with the lock on it.
#[derive(Debug)]
pub(super) struct PartialTree {
    directory: TempDir,
    _lock: Option<File>,
}

impl PartialTree {
    /// Creates an empty directory in another.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        loop {
            let directory = Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            // Where a directory cannot be opened, nobody takes it for left behind either.
            let lock = File::open(directory.path()).ok();
            if lock.as_ref().is_none_or(lock_or_pass) && directory.path().exists() {
                return Ok(Self {
                    directory,
                    _lock: lock,
                });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Gives the directory its name.
    pub(super) fn persist(self, target: &Path) -> io::Result<()> {
        std::fs::rename(self.path(), target)?;
        let _ = self.directory.keep();
        Ok(())
    }
}

/// Creates an empty file in a directory. Its handle holds the lock.
pub(super) fn create_file(parent: &Path) -> io::Result<NamedTempFile> {
    sweep(parent);
    loop {
        let file = Builder::new().prefix(PREFIX).tempfile_in(parent)?;
        if lock_or_pass(file.as_file()) && file.path().exists() {
            return Ok(file);
        }
    }
}

/// Takes a lock that nobody else should have, and tells whether it is worth anything: somebody
/// who takes the new file for left behind may be quicker, and removes it then.
fn lock_or_pass(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Removes what downloads have left behind that were killed. What cannot be removed stays: it is in
/// nobody's way.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let Ok(file) = File::open(&path) else {
            continue;
        };
        // Without locks, as on some network file systems, nothing is known to be left behind.
        if file.try_lock().is_ok() {
            let _ = if kind.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn what_was_left_behind_is_removed_and_what_is_written_is_not() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(".ocm-download-old"), "x").unwrap();
        std::fs::create_dir_all(place.path().join(".ocm-download-tree/sub")).unwrap();
        std::fs::write(place.path().join("other"), "x").unwrap();
        let file = create_file(place.path()).unwrap();
        let tree = PartialTree::create(place.path()).unwrap();
        assert_eq!(names(place.path()), 3);
        assert!(file.path().exists() && tree.path().exists());
        drop((file, tree));
        assert_eq!(names(place.path()), 1);
    }

    #[test]
    fn a_link_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("kept"), "x").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(other.path(), place.path().join(".ocm-download-link")).unwrap();
        drop(create_file(place.path()).unwrap());
        assert!(other.path().join("kept").exists());
    }
}
