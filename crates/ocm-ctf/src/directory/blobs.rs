//! The blobs of a directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ocm_blob::{BlobRef, CHUNK, OpenFile, read_to_end};
use ocm_digest::Digest;
use ocm_oci::{Error, Outcome, Pushed};

use super::CtfDirectory;
use super::part::PartFile;
use crate::content::{Content, blob_file};
use crate::sink::{blocking, go_on, write_stream};
use crate::temporary::{TemporaryFile, sync_directory};

/// What the permissions of a blob are, as the other tools have them.
pub(super) const MODE: u32 = 0o444;

/// The directory `blobs`.
#[derive(Debug)]
pub(super) struct DirectoryContent {
    path: PathBuf,
    /// Where blobs are that a collection has set aside.
    condemned: PathBuf,
    /// Blobs that will be removed.
    hidden: Mutex<BTreeSet<Digest>>,
    any_hidden: AtomicBool,
    /// Whether blobs have been brought back whose names are not durable yet.
    brought_back: AtomicBool,
}

impl DirectoryContent {
    pub(super) fn new(path: PathBuf, condemned: PathBuf) -> Self {
        Self {
            path,
            condemned,
            hidden: Mutex::default(),
            any_hidden: AtomicBool::new(false),
            brought_back: AtomicBool::new(false),
        }
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.path.join(blob_file(digest))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.path
    }

    /// Returns the directory of the blobs that have been set aside.
    pub(super) fn condemned(&self) -> &Path {
        &self.condemned
    }

    /// Makes durable that blobs have been brought back.
    pub(super) fn sync_brought_back(&self) -> Result<(), ocm_blob::Error> {
        if !self.brought_back.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        sync_directory(&self.path).map_err(|source| {
            self.brought_back.store(true, Ordering::Release);
            ocm_blob::Error::file("sync", &self.path, source)
        })
    }

    pub(super) fn hide(&self, digest: Digest) {
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        hidden.insert(digest);
        self.any_hidden.store(true, Ordering::Release);
    }

    pub(super) fn show(&self, digest: &Digest) {
        if self.any_hidden.load(Ordering::Acquire) {
            let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
            hidden.remove(digest);
        }
    }

    fn is_hidden(&self, digest: &Digest) -> bool {
        self.any_hidden.load(Ordering::Acquire)
            && self
                .hidden
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(digest)
    }

    fn open_file(&self, digest: &Digest) -> Result<Option<OpenFile>, ocm_blob::Error> {
        if self.is_hidden(digest) {
            return Ok(None);
        }
        open(self.path(digest))
    }
}

fn open(path: PathBuf) -> Result<Option<OpenFile>, ocm_blob::Error> {
    match File::open(&path) {
        Ok(file) => Ok(Some(OpenFile::new(file, path))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ocm_blob::Error::file("open", path, source)),
    }
}

fn read(file: &OpenFile, limit: u64) -> Result<Bytes, ocm_blob::Error> {
    let size = file.size()?;
    match usize::try_from(size) {
        Ok(len) if size <= limit => file.read_at(0, len),
        _ => Err(ocm_blob::Error::TooLarge { limit }),
    }
}

impl Content for DirectoryContent {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, ocm_blob::Error> {
        if self.is_hidden(digest) {
            return Ok(None);
        }
        let path = self.path(digest);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ocm_blob::Error::file("read", path, source)),
        }
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, ocm_blob::Error> {
        let Some(file) = self.open_file(digest)? else {
            return Ok(None);
        };
        let size = file.size()?;
        Ok(Some(Arc::new(file.blob(0, size))))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, ocm_blob::Error> {
        let file = self.open_file(digest)?;
        file.map(|file| read(&file, limit)).transpose()
    }

    fn read_set_aside(
        &self,
        digest: &Digest,
        limit: u64,
    ) -> Result<Option<Bytes>, ocm_blob::Error> {
        let file = match self.open_file(digest)? {
            None => open(self.condemned.join(blob_file(digest)))?,
            found => found,
        };
        file.map(|file| read(&file, limit)).transpose()
    }

    /// Whoever removes it at the same moment is quicker, or finds it gone.
    fn bring_back(&self, digest: &Digest) -> Result<bool, ocm_blob::Error> {
        if self.is_hidden(digest) {
            return Ok(false);
        }
        let path = self.path(digest);
        match std::fs::rename(self.condemned.join(blob_file(digest)), &path) {
            Ok(()) => {
                self.brought_back.store(true, Ordering::Release);
                Ok(true)
            }
            // Somebody else may just have brought it back, or a new one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.is_file()),
            Err(source) => Err(ocm_blob::Error::file("bring back", path, source)),
        }
    }
}

impl CtfDirectory {
    /// Stores a blob unless it is there.
    pub(super) async fn store(&self, blob: &BlobRef) -> Result<Pushed, Error> {
        if let Some(pushed) = self.existing(blob)? {
            return Ok(pushed);
        }
        let failed = |source| {
            let what = blob
                .digest()
                .map_or_else(|| "blob".to_owned(), |digest| format!("blob {digest}"));
            self.failed("store", &what, source)
        };
        let small = match (blob.bytes(), blob.size()) {
            (Some(bytes), _) => Some(bytes),
            (None, Some(size)) if size <= CHUNK as u64 => Some(
                read_to_end(blob.as_ref(), CHUNK as u64)
                    .await
                    .map_err(failed)?,
            ),
            _ => None,
        };
        match small {
            Some(bytes) => {
                let expected = blob.digest().unwrap_or_else(|| Digest::sha256(&bytes));
                self.store_small(&bytes, &expected)
            }
            None => self.store_stream(blob).await.map_err(failed),
        }
    }

    /// Stores bytes that are in memory, without leaving this thread.
    pub(super) fn store_small(&self, bytes: &Bytes, expected: &Digest) -> Result<Pushed, Error> {
        let what = format!("blob {expected}");
        let failed = |source| self.failed("store", &what, source);
        let pushed = |outcome| Pushed::new(*expected, bytes.len() as u64, outcome);
        let actual = expected.algorithm().digest(bytes);
        if actual != *expected {
            return Err(Error::DigestMismatch {
                what: format!("blob for {}", self.0.name),
                expected: *expected,
                actual,
            });
        }
        self.keep(expected);
        if self.0.blobs.size(expected).map_err(failed)? == Some(bytes.len() as u64) {
            return Ok(pushed(Outcome::Existed));
        }
        let file = TemporaryFile::create(self.0.blobs.directory(), MODE).map_err(failed)?;
        file.file().write_at(bytes, 0).map_err(failed)?;
        file.persist(&self.0.blobs.path(expected)).map_err(failed)?;
        self.added(expected);
        Ok(pushed(Outcome::Copied))
    }

    /// Stores a blob that need not fit into memory. What has a digest is hashed by its own stream.
    async fn store_stream(&self, blob: &BlobRef) -> Result<Pushed, ocm_blob::Error> {
        if let (Some(digest), Some(size)) = (blob.digest(), blob.size())
            && let Some(pushed) = self.store_continued(blob, digest, size).await?
        {
            return Ok(pushed);
        }
        let directory = self.0.blobs.directory().to_owned();
        let file = blocking(move || TemporaryFile::create(&directory, MODE)).await?;
        let algorithm = blob.digest().is_none().then(Default::default);
        let stream = blob.open().await?;
        let written = write_stream(stream, file.file().clone(), 0, u64::MAX, algorithm, ()).await?;
        let digest = blob.digest().or(written.digest);
        let digest = digest.expect("a blob without digest has been hashed");
        self.adopt(file, digest, written.size).await
    }

    /// Stores a blob that may be half-way there. `None` if somebody else is bringing it too.
    async fn store_continued(
        &self,
        blob: &BlobRef,
        digest: Digest,
        size: u64,
    ) -> Result<Option<Pushed>, ocm_blob::Error> {
        let directory = self.0.blobs.directory().to_owned();
        let Some(mut part) = blocking(move || PartFile::open(&directory, &digest)).await? else {
            return Ok(None);
        };
        let (file, len) = (part.file().clone(), part.len());
        let mut found = None;
        if (1..=size).contains(&len) {
            found = go_on(blob, digest, (&file, (0, size)), len, ()).await?;
        }
        if found.is_none() {
            part.clear()?;
            let stream = blob.open().await?;
            let written = write_stream(stream, file, 0, size, None, ()).await;
            if let Err(error) = &written
                && error.is_mismatch()
            {
                part.discard();
            }
            written?;
        }
        // It is whole: either it gets its name, or somebody else has brought the blob.
        part.discard();
        let moved = found.unwrap_or(Outcome::Copied);
        let pushed = self
            .adopt_with(digest, size, move |path| part.persist(path, MODE))
            .await?;
        let outcome = match pushed.outcome {
            Outcome::Copied => moved,
            other => other,
        };
        Ok(Some(Pushed::new(digest, size, outcome)))
    }

    /// Gives a complete file its name.
    pub(super) async fn adopt(
        &self,
        file: TemporaryFile,
        digest: Digest,
        size: u64,
    ) -> Result<Pushed, ocm_blob::Error> {
        self.adopt_with(digest, size, move |path| file.persist(path))
            .await
    }

    async fn adopt_with(
        &self,
        digest: Digest,
        size: u64,
        persist: impl FnOnce(&Path) -> Result<(), ocm_blob::Error> + Send + 'static,
    ) -> Result<Pushed, ocm_blob::Error> {
        self.keep(&digest);
        let outcome = if self.0.blobs.size(&digest)? == Some(size) {
            Outcome::Existed
        } else {
            let path = self.0.blobs.path(&digest);
            blocking(move || persist(&path)).await?;
            self.added(&digest);
            Outcome::Copied
        };
        Ok(Pushed::new(digest, size, outcome))
    }

    /// Looks for a blob of known digest. One of another size is a broken one, to be replaced.
    fn existing(&self, blob: &BlobRef) -> Result<Option<Pushed>, Error> {
        let Some(digest) = blob.digest() else {
            return Ok(None);
        };
        self.keep(&digest);
        let size = self.0.blobs.size(&digest);
        let size = size.map_err(|source| self.failed("read", &format!("blob {digest}"), source))?;
        let fits = |size: &u64| blob.size().is_none_or(|expected| expected == *size);
        Ok(size
            .filter(fits)
            .map(|size| Pushed::new(digest, size, Outcome::Existed)))
    }
}
