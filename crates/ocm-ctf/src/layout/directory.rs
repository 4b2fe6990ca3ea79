//! Layouts that are directories.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ocm_blob::{BlobRef, Error, OpenFile};
use ocm_digest::Digest;

use crate::content::{Content, blob_path};

/// A directory with blobs in either way of naming them.
#[derive(Clone, Debug)]
pub(super) struct LayoutDirectory(PathBuf);

impl LayoutDirectory {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Reads a file that is no blob.
    pub(super) fn file(&self, name: &str, limit: u64) -> Result<Option<Bytes>, Error> {
        read(open(self.0.join(name))?, limit)
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<OpenFile>, Error> {
        let nested = self.0.join("blobs").join(digest.algorithm().as_str());
        match open(nested.join(digest.to_hex()))? {
            Some(file) => Ok(Some(file)),
            None => open(self.0.join(blob_path(digest))),
        }
    }
}

fn open(path: PathBuf) -> Result<Option<OpenFile>, Error> {
    match File::open(&path) {
        Ok(file) => Ok(Some(OpenFile::new(file, path))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("open", path, source)),
    }
}

fn read(file: Option<OpenFile>, limit: u64) -> Result<Option<Bytes>, Error> {
    let Some(file) = file else { return Ok(None) };
    let size = file.size()?;
    match usize::try_from(size) {
        Ok(len) if size <= limit => file.read_at(0, len).map(Some),
        _ => Err(Error::TooLarge { limit }),
    }
}

impl Content for LayoutDirectory {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let file = self.open_blob(digest)?;
        file.map(|file| file.size()).transpose()
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let Some(file) = self.open_blob(digest)? else {
            return Ok(None);
        };
        let size = file.size()?;
        Ok(Some(Arc::new(file.blob(0, size))))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        read(self.open_blob(digest)?, limit)
    }
}
