//! The file that becomes the archive.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ocm_blob::{Error, OpenFile};
use tokio::time::{Instant, sleep};

use crate::lock;
use crate::sink::blocking;
use crate::stamp::Stamp;
use crate::temporary::sync_directory;

/// How long it takes until the log says that another writer is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// How long a writer that waits does not look, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// `.<name>.partial`, locked by who writes it, removed unless it has become the archive. Beside it
/// stands `.<name>.loose`.
///
/// What a killed writer has left there stays until somebody begins to write.
#[derive(Debug)]
pub(super) struct Partial {
    file: OpenFile,
    path: PathBuf,
    target: PathBuf,
    /// What the archive was when this file was locked.
    before: Option<Stamp>,
    /// Whether what is in the files is of use to nobody else.
    is_ours: AtomicBool,
    replaced: AtomicBool,
}

impl Partial {
    /// Creates the file beside its target, or takes over what a killed writer has left. While
    /// somebody else is writing, this waits; `None` is returned after `patience`.
    pub(super) async fn create(target: &Path, patience: Duration) -> Result<Option<Self>, Error> {
        let started = Instant::now();
        let mut pause = PAUSES.0;
        let mut is_told = false;
        loop {
            let path = target.to_owned();
            if let Some(partial) = blocking(move || Self::try_create(&path)).await? {
                return Ok(Some(partial));
            }
            let waited = started.elapsed();
            let left = patience.saturating_sub(waited);
            if left.is_zero() {
                return Ok(None);
            }
            if waited >= SILENCE && !is_told {
                let path = target.display();
                tracing::warn!("{path} is being written by somebody else, waiting");
                is_told = true;
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Creates the file unless somebody else is writing.
    fn try_create(target: &Path) -> Result<Option<Self>, Error> {
        let path = path_of(target);
        let failed = |action, source| Error::file(action, &path, source);
        loop {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|source| failed("create", source))?;
            if !lock::try_exclusive(&file).map_err(|source| failed("lock", source))? {
                return Ok(None);
            }
            // Between opening and locking, its owner may have renamed or removed it.
            if lock::is_at(&file, &path) {
                let left = file.metadata().map_err(|source| failed("read", source))?;
                // What a killed writer was copying; nobody else can be, under this lock.
                let _ = std::fs::remove_file(beside(target, "rewrite"));
                let before =
                    Stamp::at(target).map_err(|source| Error::file("read", target, source))?;
                return Ok(Some(Self {
                    file: OpenFile::new(file, &path),
                    path,
                    target: target.to_owned(),
                    before,
                    is_ours: AtomicBool::new(left.len() == 0),
                    replaced: AtomicBool::new(false),
                }));
            }
        }
    }

    /// Tells whether the archive is still the one that was there when this file was locked. It is,
    /// unless there are no locks here, or somebody does not mind them.
    pub(super) fn is_target_unchanged(&self) -> Result<bool, Error> {
        let now = Stamp::at(&self.target);
        let now = now.map_err(|source| Error::file("read", &self.target, source))?;
        Ok(now == self.before)
    }

    /// Tells whether the archive was this one when this file was locked.
    pub(super) fn was(&self, stamp: Option<Stamp>) -> bool {
        self.before == stamp
    }

    pub(super) const fn file(&self) -> &OpenFile {
        &self.file
    }

    /// Returns where the archive is going to be.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Says that writing begins, which makes what was left part of this writer's work.
    pub(super) fn begin(&self) {
        self.is_ours.store(true, Ordering::Release);
    }

    /// Leaves everything for the next writer, as if this one had been killed.
    pub(super) fn leave(&self) {
        self.is_ours.store(false, Ordering::Release);
    }

    /// Returns where entries are collected that have no place yet. The lock covers that file, too.
    pub(super) fn loose(&self) -> PathBuf {
        beside(&self.target, "loose")
    }

    /// Creates another file, to which a better order is copied. The lock covers it, too.
    pub(super) fn rewrite(&self) -> Result<OpenFile, Error> {
        let path = beside(&self.target, "rewrite");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let file = file.map_err(|source| Error::file("create", &path, source))?;
        Ok(OpenFile::new(file, path))
    }

    /// Makes a complete file durable and gives it the archive's name: this one, or its rewriting.
    pub(super) fn replace(&self, complete: &OpenFile) -> Result<(), Error> {
        let path = complete.path();
        let failed = |source| Error::file("write", path, source);
        complete.file().sync_all().map_err(failed)?;
        std::fs::rename(path, &self.target).map_err(failed)?;
        if path == self.path {
            self.replaced.store(true, Ordering::Release);
        }
        // It is still read through the handle.
        let _ = std::fs::remove_file(self.loose());
        let directory = self.target.parent().filter(|path| *path != Path::new(""));
        sync_directory(directory.unwrap_or(Path::new("."))).map_err(failed)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_ours.load(Ordering::Acquire) {
            return;
        }
        // What cannot be removed is taken over by the next writer.
        if !self.replaced.load(Ordering::Acquire) {
            let _ = std::fs::remove_file(beside(&self.target, "rewrite"));
            let _ = std::fs::remove_file(self.loose());
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Appends part of one file to another, by the file system itself where it can.
pub(super) fn copy_range(
    from: &OpenFile,
    (start, len): (u64, u64),
    to: &OpenFile,
    at: u64,
) -> Result<(), Error> {
    let copy = || -> io::Result<u64> {
        let (mut source, mut target) = (from.file(), to.file());
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(at))?;
        io::copy(&mut source.take(len), &mut target)
    };
    let copied = copy().map_err(|source| Error::file("write", to.path(), source))?;
    if copied == len {
        Ok(())
    } else {
        Err(Error::SizeMismatch {
            expected: len,
            actual: copied,
        })
    }
}

/// Returns where the file stands that becomes an archive.
pub(super) fn path_of(target: &Path) -> PathBuf {
    beside(target, "partial")
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".");
    name.push(suffix);
    target.with_file_name(name)
}
