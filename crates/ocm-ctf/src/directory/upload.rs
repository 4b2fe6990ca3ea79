//! Blobs that come into a directory piece by piece.
//!
//! An upload is a file that has no name of its own yet. Once it is saved it is in `.uploads`, under
//! a name made of its repository and identifier, so that it is found by who knows both; its size is
//! how far it is. Who writes to it holds its lock. What has come of it is not believed to be what
//! was sent before the whole has been hashed.

use std::fs::{File, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use ocm_blob::OpenFile;
use ocm_digest::Digest;
use ocm_oci::{BlobUpload, Error, Pushed, RepositoryName};

use super::CtfDirectory;
use super::blobs::MODE;
use crate::lock;
use crate::pieces::Pieces;
use crate::sink::blocking;
use crate::temporary::{TemporaryFile, sync_directory};

/// The directory of saved uploads, in that of the archive.
pub(super) const UPLOADS: &str = ".uploads";

/// What may have come since the last sync when an upload is saved, in bytes. Less is sent again
/// sooner than it is synced.
const UNSYNCED: u64 = 1024 * 1024;

/// An upload, in a file that has no name of its own yet.
#[derive(Debug)]
pub(super) struct DirectoryUpload {
    directory: CtfDirectory,
    /// Where it is saved.
    place: PathBuf,
    file: TemporaryFile,
    pieces: Pieces,
    /// How much has been synced.
    synced: u64,
}

impl DirectoryUpload {
    pub(super) fn begin(
        directory: CtfDirectory,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Self, Error> {
        let file = TemporaryFile::create(directory.0.blobs.directory(), MODE)
            .map_err(|source| directory.failed("store", "upload", source))?;
        Ok(Self {
            place: place(&directory, repository, id),
            pieces: Pieces::new(file.file().clone()),
            directory,
            file,
            synced: 0,
        })
    }

    /// Goes on with an upload that was saved.
    pub(super) fn resume(
        directory: CtfDirectory,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Self>, Error> {
        let place = place(&directory, repository, id);
        let failed = |source| {
            let source = ocm_blob::Error::file("open", &place, source);
            directory.failed("resume", "upload", source)
        };
        let file = match File::options().read(true).write(true).open(&place) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        if !lock::try_exclusive(&file).map_err(failed)? {
            let what = format!("an upload to {}", directory.0.name);
            return Err(Error::Busy { what });
        }
        if !lock::is_at(&file, &place) {
            return Ok(None);
        }
        let size = file.metadata().map_err(failed)?.len();
        let file = OpenFile::new(file, &place);
        Ok(Some(Self {
            pieces: Pieces::after(file.clone(), size),
            file: TemporaryFile::reopened(file, place.clone()),
            place,
            directory,
            synced: 0,
        }))
    }

    /// Gives the file the name that it is found by.
    fn keep(&mut self) -> Result<(), ocm_blob::Error> {
        if self.file.is_kept() {
            return Ok(());
        }
        let file = self.file.file().file();
        let failed = |source| ocm_blob::Error::file("keep", &self.place, source);
        std::fs::create_dir_all(self.directory.0.uploads()).map_err(failed)?;
        lock::exclusive(file).map_err(failed)?;
        permit(file, 0o600).map_err(failed)?;
        self.file.keep(self.place.clone())
    }

    async fn sync(&mut self) -> Result<(), ocm_blob::Error> {
        let size = self.pieces.size();
        if size - self.synced < UNSYNCED {
            return Ok(());
        }
        let file = self.file.file().clone();
        let is_first = self.synced == 0;
        let uploads = self.directory.0.uploads();
        let syncing = blocking(move || {
            let synced = file.file().sync_data();
            let synced = synced.and_then(|()| {
                if is_first {
                    sync_directory(&uploads)?;
                }
                Ok(())
            });
            synced.map_err(|source| ocm_blob::Error::file("sync", file.path(), source))
        });
        syncing.await?;
        self.synced = size;
        Ok(())
    }
}

#[async_trait]
impl BlobUpload for DirectoryUpload {
    fn size(&self) -> u64 {
        self.pieces.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let outcome = self.pieces.write(chunk).await;
        outcome.map_err(|source| self.directory.failed("store", "upload", source))
    }

    /// Keeps what has come also when the process is killed, and most of it when the machine is.
    async fn save(&mut self) -> Result<(), Error> {
        let saving = async {
            self.pieces.settle().await?;
            self.keep()?;
            self.sync().await
        };
        let saved = saving.await;
        saved.map_err(|source| self.directory.failed("save", "upload", source))
    }

    async fn cancel(mut self: Box<Self>) -> Result<(), Error> {
        self.file.release();
        Ok(())
    }

    async fn finish(mut self: Box<Self>, expected: Digest) -> Result<Pushed, Error> {
        let was_kept = self.file.is_kept();
        let directory = self.directory.clone();
        let failed = |source| directory.failed("store", &format!("blob {expected}"), source);
        let actual = self.pieces.finish(expected.algorithm()).await;
        let actual = actual.map_err(failed)?;
        self.file.release();
        if actual != expected {
            return Err(Error::DigestMismatch {
                what: format!("upload to {}", directory.0.name),
                expected,
                actual,
            });
        }
        let Self { file, pieces, .. } = *self;
        if was_kept {
            let path = file.file().path();
            permit(file.file().file(), MODE)
                .map_err(|source| failed(ocm_blob::Error::file("write", path, source)))?;
        }
        directory
            .adopt(file, expected, pieces.size())
            .await
            .map_err(failed)
    }
}

/// Returns where an upload is saved: nothing that a client sends is a part of the name as it is.
fn place(directory: &CtfDirectory, repository: &RepositoryName, id: &str) -> PathBuf {
    let name = Digest::sha256(format!("{repository}\n{id}"));
    directory.0.uploads().join(name.to_hex())
}

/// Removes saved uploads that nobody has written to since then, and that nobody has open. Returns
/// how many.
pub(super) fn expire(uploads: &Path, before: SystemTime) -> Result<u64, ocm_blob::Error> {
    let entries = match std::fs::read_dir(uploads) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(ocm_blob::Error::file("read", uploads, source)),
    };
    let mut removed = 0;
    for entry in entries.flatten() {
        let path = entry.path();
        removed += u64::from(expire_one(&path, before)?);
    }
    Ok(removed)
}

/// Removes a file that nobody has written to since then, and that nobody has locked. Returns whether
/// it did.
pub(super) fn expire_one(path: &Path, before: SystemTime) -> Result<bool, ocm_blob::Error> {
    let expire = || -> io::Result<bool> {
        if std::fs::metadata(path)?.modified()? >= before {
            return Ok(false);
        }
        let file = File::open(path)?;
        let is_abandoned = lock::try_exclusive(&file)? && lock::is_at(&file, path);
        if is_abandoned {
            std::fs::remove_file(path)?;
        }
        Ok(is_abandoned)
    };
    match expire() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        expired => expired.map_err(|source| ocm_blob::Error::file("remove", path, source)),
    }
}

#[cfg(unix)]
fn permit(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn permit(file: &File, mode: u32) -> io::Result<()> {
    let mut permissions: Permissions = file.metadata()?.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    file.set_permissions(permissions)
}
