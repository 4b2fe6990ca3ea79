//! Who writes to a directory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ocm_oci::Error;

use crate::index::INDEX_FILE;
use crate::lock;
use crate::temporary::remove_stale;

/// One of those who write to a directory. Who has created it takes it away again if there is nothing
/// in it, and nobody else writes.
#[derive(Debug)]
pub(super) struct Writer {
    root: PathBuf,
    blobs: PathBuf,
    /// Shared by all who write, so that somebody who has it alone knows of no other writer.
    lock: File,
    /// Whether the directory of the archive was created.
    made_root: bool,
    /// Whether that of its blobs was.
    made_blobs: bool,
}

impl Writer {
    /// Creates what is not there, and joins the writers; the first one removes what killed ones
    /// have left.
    pub(super) fn register(
        root: &Path,
        blobs: &Path,
        failed: impl Fn(&'static str, &Path, io::Error) -> Error,
    ) -> Result<Self, Error> {
        loop {
            let (made_root, made_blobs) = (!root.exists(), !blobs.exists());
            std::fs::create_dir_all(blobs).map_err(|source| failed("create", blobs, source))?;
            match join(root, blobs) {
                // Somebody else has just taken it away as empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed("lock", blobs, source)),
                Ok(lock) => {
                    return Ok(Self {
                        root: root.to_owned(),
                        blobs: blobs.to_owned(),
                        lock,
                        made_root,
                        made_blobs,
                    });
                }
            }
        }
    }
}

/// Opens the directory of the blobs and shares its lock.
fn join(root: &Path, blobs: &Path) -> io::Result<File> {
    let writer = lock::open_directory(blobs)?;
    if lock::try_exclusive(&writer)? {
        remove_stale(root)?;
        remove_stale(blobs)?;
    }
    lock::shared(&writer)?;
    std::fs::metadata(blobs)?;
    Ok(writer)
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.made_blobs || self.root.join(INDEX_FILE).exists() {
            return;
        }
        if matches!(lock::try_exclusive(&self.lock), Ok(true)) {
            // Directories in which there is something stay.
            let emptied = std::fs::remove_dir(&self.blobs).is_ok();
            if self.made_root && emptied {
                let _ = std::fs::remove_dir(&self.root);
            }
        }
    }
}
