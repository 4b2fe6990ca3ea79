//! Blobs that are half-way into a directory, and stay there for the next run.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ocm_blob::{Error, OpenFile};
use ocm_digest::Digest;

use super::upload::expire_one;
use crate::content::blob_file;
use crate::lock;

const PREFIX: &str = ".part-";

/// The size from which on part of a blob is worth being kept, in bytes.
const WORTH: u64 = 1024 * 1024;

/// How long part of a blob is kept that nobody comes back for.
const AGE: Duration = Duration::from_hours(24 * 7);

/// `.part-sha256.<hex>`: the start of a blob, locked by who writes it.
#[derive(Debug)]
pub(super) struct PartFile {
    file: OpenFile,
    path: PathBuf,
    /// How much was there.
    len: u64,
    is_wanted: bool,
}

impl PartFile {
    /// Opens the part of a blob that is there, or a new one; `None` if somebody else is writing it.
    pub(super) fn open(directory: &Path, digest: &Digest) -> Result<Option<Self>, Error> {
        let path = directory.join(format!("{PREFIX}{}", blob_file(digest)));
        let failed = |action, source| Error::file(action, &path, source);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| failed("create", source))?;
        let is_ours = lock::try_exclusive(&file).map_err(|source| failed("lock", source))?;
        // Between opening and locking, its owner may have given it its name.
        if !is_ours || !lock::is_at(&file, &path) {
            return Ok(None);
        }
        let file = OpenFile::new(file, &path);
        let len = file.size()?;
        Ok(Some(Self {
            file,
            path,
            len,
            is_wanted: true,
        }))
    }

    pub(super) const fn file(&self) -> &OpenFile {
        &self.file
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Forgets what is there, since it is wrong.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.len = 0;
        let cleared = self.file.file().set_len(0);
        cleared.map_err(|source| Error::file("write", &self.path, source))
    }

    /// Has the part removed when it is dropped.
    pub(super) const fn discard(&mut self) {
        self.is_wanted = false;
    }

    /// Gives the complete blob its name and its permissions. Where that fails, it is kept.
    pub(super) fn persist(mut self, path: &Path, mode: u32) -> Result<(), Error> {
        self.is_wanted = true;
        let failed = |source| Error::file("write", path, source);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            self.file.file().set_permissions(mode).map_err(failed)?;
        }
        #[cfg(not(unix))]
        let _ = mode;
        std::fs::rename(&self.path, path).map_err(failed)?;
        self.path.clear();
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        let is_worth = self.file.size().is_ok_and(|len| len >= WORTH);
        let is_kept = self.is_wanted && is_worth;
        if !is_kept && !self.path.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes parts that nobody has written to since then, and that nobody is writing.
pub(super) fn expire(directory: &Path, before: SystemTime) -> Result<(), Error> {
    let failed = |source| Error::file("read", directory, source);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            expire_one(&entry.path(), before)?;
        }
    }
    Ok(())
}

/// Removes parts that nobody came back for. Called by who writes alone.
pub(super) fn remove_old(directory: &Path) -> io::Result<()> {
    // What was done last in the directory is as near to now as matters here.
    let now = std::fs::metadata(directory)?.modified()?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified.is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age > AGE));
        if is_old {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}
