//! Who writes to a directory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ocm_oci::Error;

use super::collect::CONDEMNED;
use super::grace;
use super::part::remove_old;
use super::upload::UPLOADS;
use crate::index::INDEX_FILE;
use crate::lock;
use crate::temporary::remove_stale;

/// How often a directory is created anew that others take away.
const ATTEMPTS: u32 = 100;

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
        let mut attempts = 0;
        loop {
            attempts += 1;
            // Somebody else may just have taken it away as empty.
            let is_gone =
                |error: &io::Error| error.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS;
            let (made_root, made_blobs) = (!root.exists(), !blobs.exists());
            match std::fs::create_dir_all(blobs) {
                Err(error) if is_gone(&error) => continue,
                created => created.map_err(|source| failed("create", blobs, source))?,
            }
            match join(root, blobs) {
                Err(error) if is_gone(&error) => {}
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

    /// Has everybody wait who wants to write, as long as the answer is kept; `None` if somebody else
    /// writes already, or may.
    pub(super) fn alone(&self) -> io::Result<Option<Alone<'_>>> {
        if lock::ask_exclusive(&self.lock)? == Some(true) {
            return Ok(Some(Alone(self)));
        }
        // To ask for it alone may have given up what was shared.
        lock::shared(&self.lock)?;
        Ok(None)
    }
}

/// The only one who writes to a directory.
#[derive(Debug)]
pub(super) struct Alone<'a>(&'a Writer);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // Who cannot be let in waits for the end of this process.
        let _ = lock::shared(&self.0.lock);
    }
}

/// Opens the directory of the blobs and shares its lock.
fn join(root: &Path, blobs: &Path) -> io::Result<File> {
    let writer = lock::open_directory(blobs)?;
    let asked = lock::ask_exclusive(&writer)?;
    // Where there are no locks, nobody knows who else there is.
    let is_alone = asked != Some(false);
    if !is_alone {
        lock::shared(&writer)?;
    }
    // The lock of a directory that has been removed says nothing of the one that is there now.
    if !lock::is_at(&writer, blobs) {
        return Err(io::ErrorKind::NotFound.into());
    }
    if is_alone {
        remove_stale(root)?;
        remove_stale(blobs)?;
        remove_old(blobs)?;
        if asked == Some(true) {
            grace::forget(root)?;
        }
        lock::shared(&writer)?;
    }
    Ok(writer)
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.made_blobs || self.root.join(INDEX_FILE).exists() {
            return;
        }
        if matches!(lock::try_exclusive(&self.lock), Ok(true)) {
            // Directories in which there is something stay.
            let _ = std::fs::remove_dir(self.root.join(UPLOADS));
            let _ = std::fs::remove_dir(self.root.join(CONDEMNED));
            let _ = grace::forget(&self.root);
            let emptied = std::fs::remove_dir(&self.blobs).is_ok();
            if self.made_root && emptied {
                let _ = std::fs::remove_dir(&self.root);
            }
        }
    }
}
