//! Files under a temporary name that get their own once they are complete.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ocm_blob::{Error, OpenFile};

const PREFIX: &str = ".tmp-";

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A file that is removed again unless it is given its name, or kept for later.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    file: OpenFile,
    path: Option<PathBuf>,
    kept: bool,
}

impl TemporaryFile {
    /// Creates a file that nobody else has, in the directory that it will stay in. `mode` is what
    /// its permissions will be; writing through this handle is possible whatever they are.
    pub(crate) fn create(directory: &Path, mode: u32) -> Result<Self, Error> {
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match options(mode).create_new(true).open(&path) {
                Ok(file) => {
                    return Ok(Self {
                        file: OpenFile::new(file, &path),
                        path: Some(path),
                        kept: false,
                    });
                }
                // Left behind, or of another machine that shares the directory.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::file("create", path, source)),
            }
        }
    }

    pub(crate) const fn file(&self) -> &OpenFile {
        &self.file
    }

    /// Takes up a file that was kept.
    pub(crate) fn reopened(file: OpenFile, path: PathBuf) -> Self {
        Self {
            file,
            path: Some(path),
            kept: true,
        }
    }

    /// Gives the file another temporary name, under which it stays until it is given its own.
    pub(crate) fn keep(&mut self, path: PathBuf) -> Result<(), Error> {
        if let Some(temporary) = &self.path {
            std::fs::rename(temporary, &path)
                .map_err(|source| Error::file("keep", &path, source))?;
            self.path = Some(path);
        }
        self.kept = true;
        Ok(())
    }

    pub(crate) const fn is_kept(&self) -> bool {
        self.kept
    }

    /// Has the file removed again unless it is given its name.
    pub(crate) const fn release(&mut self) {
        self.kept = false;
    }

    /// Gives the file its name, replacing what had it.
    pub(crate) fn persist(mut self, path: &Path) -> Result<(), Error> {
        let Some(temporary) = self.path.take() else {
            return Ok(());
        };
        std::fs::rename(&temporary, path).map_err(|source| {
            self.path = Some(temporary);
            Error::file("write", path, source)
        })
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take().filter(|_| !self.kept) {
            // What cannot be removed is removed by who opens the archive next.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the temporary files of runs that have been killed.
pub(crate) fn remove_stale(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            match std::fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn options(mode: u32) -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options
}
