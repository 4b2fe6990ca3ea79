//! Archives that are nothing but files: found by their paths, read in place.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use ocm_blob::{Blob, BlobRef, ByteStream, OpenFile, Promise, verify};
use ocm_digest::Digest;
use ocm_oci::Error;

use crate::packed::{Scratch, Tape, TarContent};

/// The files of a directory, a tar, or a compressed tar, whatever they mean. Clones share them.
///
/// Nothing is found outside of the archive: not by a path that leads out, nor by a link.
#[derive(Clone, Debug)]
pub struct FileArchive {
    name: Arc<str>,
    files: Files,
}

#[derive(Clone, Debug)]
enum Files {
    Directory(Arc<Path>),
    Tar(Arc<TarContent>),
}

impl FileArchive {
    /// Opens an archive: a tar in place, a compressed one unpacked into a temporary file.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is nothing, [`Error::Blob`] if it cannot be read or is no
    /// archive to be trusted.
    pub async fn open(path: impl AsRef<Path>, scratch: &Scratch) -> Result<Self, Error> {
        let path = path.as_ref();
        let name: Arc<str> = path.display().to_string().into();
        let failed = |source| Error::blob("open", &*name, source);
        let files = if path.is_dir() {
            // Links are followed below, and what they lead to is compared with this.
            let root = path.canonicalize();
            let root =
                root.map_err(|source| failed(ocm_blob::Error::file("open", path, source)))?;
            Files::Directory(root.into())
        } else if path.exists() {
            let tape = Tape::open(path, scratch).await.map_err(failed)?;
            Files::Tar(Arc::new(TarContent::scan(tape).await.map_err(failed)?))
        } else {
            return Err(Error::not_found(format!("archive {name}")));
        };
        Ok(Self { name, files })
    }

    /// Takes a tar in memory, not compressed; `name` is how messages call it.
    ///
    /// # Errors
    ///
    /// As [`FileArchive::open`].
    pub fn from_bytes(bytes: impl Into<Bytes>, name: impl Into<String>) -> Result<Self, Error> {
        let name: Arc<str> = name.into().into();
        let tar = TarContent::scan_now(Tape::Memory(bytes.into()))
            .map_err(|source| Error::blob("open", &*name, source))?;
        let files = Files::Tar(Arc::new(tar));
        Ok(Self { name, files })
    }

    /// Returns how messages name the archive.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a file of at most `limit` bytes; `None` if there is none of that path.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond the limit, [`Error::Malformed`] for a path that leads out,
    /// [`Error::Blob`] if the file cannot be read.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Bytes>, Error> {
        let what = || format!("{path} of {}", self.name);
        let failed = |source| match source {
            ocm_blob::Error::TooLarge { limit } => Error::TooLarge {
                what: what(),
                limit,
            },
            source => Error::blob("read", what(), source),
        };
        match &self.files {
            Files::Directory(root) => {
                let Some(file) = self.open_below(root, path)? else {
                    return Ok(None);
                };
                let size = file.size().map_err(failed)?;
                match usize::try_from(size) {
                    Ok(len) if size <= limit => file.read_at(0, len).map(Some).map_err(failed),
                    _ => Err(failed(ocm_blob::Error::TooLarge { limit })),
                }
            }
            Files::Tar(tar) => tar.at_path(path, limit).map_err(failed),
        }
    }

    /// Returns a file as a blob that is checked against a digest, if one is given; `None` if there
    /// is none of that path.
    ///
    /// # Errors
    ///
    /// As [`FileArchive::read`].
    pub fn blob(
        &self,
        path: &str,
        media_type: &str,
        digest: Option<Digest>,
    ) -> Result<Option<BlobRef>, Error> {
        let what = || format!("{path} of {}", self.name);
        let failed = |source| Error::blob("read", what(), source);
        let inner: Option<BlobRef> = match &self.files {
            Files::Directory(root) => match self.open_below(root, path)? {
                Some(file) => {
                    let size = file.size().map_err(failed)?;
                    Some(Arc::new(file.blob(0, size)))
                }
                None => None,
            },
            Files::Tar(tar) => tar.blob_at_path(path).map_err(failed)?,
        };
        Ok(inner.map(|inner| {
            Arc::new(FileOf {
                what: what(),
                inner,
                media_type: media_type.to_owned(),
                digest,
            }) as BlobRef
        }))
    }

    /// Opens a regular file below a directory.
    fn open_below(&self, root: &Path, path: &str) -> Result<Option<OpenFile>, Error> {
        let what = || format!("{path} of {}", self.name);
        let relative = Path::new(path);
        let normal = |part| matches!(part, Component::Normal(_));
        if path.is_empty() || !relative.components().all(normal) {
            return Err(Error::malformed(
                what(),
                "the path leads out of the archive",
            ));
        }
        let failed = |source| {
            let source = ocm_blob::Error::file("open", root.join(relative), source);
            Error::blob("read", what(), source)
        };
        let real: PathBuf = match root.join(relative).canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if !real.starts_with(root) {
            return Err(Error::malformed(what(), "it is a link out of the archive"));
        }
        let file = File::open(&real).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::malformed(what(), "it is no regular file"));
        }
        Ok(Some(OpenFile::new(file, real)))
    }
}

/// A file as a blob. Errors name the archive.
#[derive(Debug)]
struct FileOf {
    what: String,
    inner: BlobRef,
    media_type: String,
    digest: Option<Digest>,
}

impl FileOf {
    fn named(&self, stream: ByteStream) -> ByteStream {
        let what = self.what.clone();
        stream
            .map(move |chunk| {
                chunk.map_err(|source| ocm_blob::Error::source(what.as_str(), source))
            })
            .boxed()
    }
}

#[async_trait]
impl Blob for FileOf {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn media_type(&self) -> Option<&str> {
        Some(self.media_type.as_str()).filter(|text| !text.is_empty())
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = Promise {
            size: self.inner.size(),
            digest: self.digest,
        };
        let stream = self.inner.open().await?;
        Ok(self.named(verify(stream, promise)))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        let stream = self.inner.open_at(offset).await?;
        Ok(self.named(stream))
    }
}
