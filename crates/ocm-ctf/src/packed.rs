//! Archives in one file: a tar, or a compressed tar unpacked to a temporary file.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use indexmap::IndexMap;
use ocm_blob::{
    BlobRef, ByteStream, Error, MemoryBlob, OpenFile, TarEntry, TarKind, gunzip, is_gzip,
    tar_entries,
};
use ocm_digest::Digest;

use crate::content::{Content, digest_of_path};
use crate::index::INDEX_FILE;
use crate::parts::{Joined, PartList};
use crate::sink::{blocking, write_stream};
use crate::writer::EntryName;

/// Where temporary files go, and how large they may get.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scratch {
    /// The directory of temporary files; `None` is the one of the operating system.
    pub directory: Option<PathBuf>,
    /// The size beyond which a compressed archive is not unpacked, in bytes.
    pub limit: u64,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            directory: None,
            limit: u64::MAX,
        }
    }
}

impl Scratch {
    /// Creates a file that has no name and goes with its last handle.
    pub(crate) async fn file(&self) -> Result<OpenFile, Error> {
        let directory = self.directory.clone();
        blocking(move || {
            let place = directory.unwrap_or_else(std::env::temp_dir);
            let file = tempfile::tempfile_in(&place)
                .map_err(|source| Error::file("create a temporary file in", &place, source))?;
            Ok(OpenFile::new(file, place.join("temporary file")))
        })
        .await
    }

    /// Writes a stream to a temporary file, which goes with its last handle.
    ///
    /// # Errors
    ///
    /// The stream fails, is longer than the limit, or the file cannot be written.
    pub async fn spool(&self, stream: ByteStream) -> Result<OpenFile, Error> {
        let file = self.file().await?;
        write_stream(stream, file.clone(), 0, self.limit, None, ()).await?;
        Ok(file)
    }
}

/// The bytes of a tar.
#[derive(Clone, Debug)]
pub(crate) enum Tape {
    File(OpenFile),
    Parts(Joined),
    Memory(Bytes),
}

impl Tape {
    /// Opens a file, or the parts of one. A tar is read where it is; a compressed one is unpacked
    /// first, in one pass.
    pub(crate) async fn open(path: &Path, scratch: &Scratch) -> Result<Self, Error> {
        let path = path.to_owned();
        let (tape, size) = blocking(move || {
            if let Some(list) = PartList::of(&path) {
                let parts = PartList::open(&list)?;
                let size = parts.size();
                return Ok((Self::Parts(parts), size));
            }
            let file = OpenFile::open(path)?;
            let size = file.size()?;
            Ok::<_, Error>((Self::File(file), size))
        })
        .await?;
        if !is_gzip(&tape.bytes((0, size.min(4)))?) {
            return Ok(tape);
        }
        let stream = tape.blob((0, size))?.open().await?;
        let unpacked = scratch.spool(gunzip(stream, scratch.limit)).await?;
        Ok(Self::File(unpacked))
    }

    /// Takes the content of a blob, compressed or not, into a temporary file unless it is in memory.
    pub(crate) async fn read(blob: &BlobRef, scratch: &Scratch) -> Result<Self, Error> {
        if let Some(bytes) = blob.bytes().filter(|bytes| !is_gzip(bytes)) {
            return Ok(Self::Memory(bytes));
        }
        let mut stream = blob.open().await?;
        let Some(first) = stream.next().await.transpose()? else {
            return Ok(Self::Memory(Bytes::new()));
        };
        let compressed = is_gzip(&first);
        let stream = futures::stream::iter([Ok(first)]).chain(stream).boxed();
        let stream = if compressed {
            gunzip(stream, scratch.limit)
        } else {
            stream
        };
        scratch.spool(stream).await.map(Self::File)
    }

    /// Reads the headers.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, Error> {
        match self {
            Self::File(file) => tar_entries(|| file.cursor(), Entry::of),
            Self::Parts(parts) => tar_entries(|| Ok(parts.cursor()), Entry::of),
            Self::Memory(bytes) => tar_entries(|| Ok(Cursor::new(bytes)), Entry::of),
        }
    }

    fn blob(&self, (start, len): Extent) -> Result<BlobRef, Error> {
        match self {
            Self::File(file) => Ok(Arc::new(file.blob(start, len))),
            Self::Parts(parts) => parts.blob(start, len),
            Self::Memory(_) => Ok(Arc::new(MemoryBlob::new(self.bytes((start, len))?))),
        }
    }

    /// Reads what has at most so many bytes.
    pub(crate) fn bytes_within(&self, extent: Extent, limit: u64) -> Result<Bytes, Error> {
        if extent.1 > limit {
            return Err(Error::TooLarge { limit });
        }
        self.bytes(extent)
    }

    fn bytes(&self, (start, len): Extent) -> Result<Bytes, Error> {
        let size = usize::try_from(len).map_err(|_| Error::TooLarge { limit: len })?;
        match self {
            Self::File(file) => file.read_at(start, size),
            Self::Parts(parts) => parts.read_at(start, size),
            Self::Memory(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                let range = start..start.saturating_add(size);
                let known = range.end <= bytes.len();
                let part = known.then(|| bytes.slice(range));
                part.ok_or(Error::SizeMismatch {
                    expected: len,
                    actual: bytes.len() as u64,
                })
            }
        }
    }
}

/// Where something stands: its first byte, and how many there are.
pub(crate) type Extent = (u64, u64);

/// An entry of a tar that is no directory.
pub(crate) enum Entry {
    Blob(Digest, Extent),
    File(String, Extent),
}

impl Entry {
    fn of(entry: TarEntry) -> Option<Self> {
        let extent = (entry.offset, entry.size);
        match (entry.kind, digest_of_path(&entry.path)) {
            (TarKind::Directory, _) => None,
            (_, Some(digest)) => Some(Self::Blob(digest, extent)),
            (_, None) => Some(Self::File(entry.path, extent)),
        }
    }
}

/// The entries of a tar: blobs by digest, everything else by path.
#[derive(Clone, Debug)]
pub(crate) struct TarContent {
    tape: Tape,
    /// In the order of the tar.
    pub(crate) blobs: IndexMap<Digest, Extent>,
    pub(crate) files: BTreeMap<String, Extent>,
}

impl TarContent {
    /// Reads the headers, on a thread of its own.
    pub(crate) async fn scan(tape: Tape) -> Result<Self, Error> {
        match tape {
            Tape::File(_) | Tape::Parts(_) => blocking(move || Self::scan_now(tape)).await,
            Tape::Memory(_) => Self::scan_now(tape),
        }
    }

    pub(crate) fn scan_now(tape: Tape) -> Result<Self, Error> {
        let entries = tape.entries()?;
        Ok(Self::new(tape, entries))
    }

    /// Takes the entries that a tar has.
    pub(crate) fn new(tape: Tape, entries: Vec<Entry>) -> Self {
        let mut content = Self {
            tape,
            blobs: IndexMap::with_capacity(entries.len()),
            files: BTreeMap::new(),
        };
        for entry in entries {
            match entry {
                Entry::Blob(digest, extent) => drop(content.blobs.insert(digest, extent)),
                Entry::File(path, extent) => drop(content.files.insert(path, extent)),
            }
        }
        content
    }

    /// Reads a file that is no blob.
    pub(crate) fn file(&self, path: &str, limit: u64) -> Result<Option<Bytes>, Error> {
        self.bytes(self.files.get(path), limit)
    }

    /// Reads an entry, whether it is named like a blob or not.
    pub(crate) fn at_path(&self, path: &str, limit: u64) -> Result<Option<Bytes>, Error> {
        self.bytes(self.extent(path), limit)
    }

    /// Returns an entry, whether it is named like a blob or not.
    pub(crate) fn blob_at_path(&self, path: &str) -> Result<Option<BlobRef>, Error> {
        let extent = self.extent(path);
        extent.map(|extent| self.tape.blob(*extent)).transpose()
    }

    fn extent(&self, path: &str) -> Option<&Extent> {
        match digest_of_path(path) {
            Some(digest) => self.blobs.get(&digest),
            None => self.files.get(path),
        }
    }

    fn bytes(&self, extent: Option<&Extent>, limit: u64) -> Result<Option<Bytes>, Error> {
        let read = |&extent| self.tape.bytes_within(extent, limit);
        extent.map(read).transpose()
    }

    /// Returns all entries but the index, in their order.
    pub(crate) fn entries(&self) -> Vec<(EntryName, Extent)> {
        let blobs = self.blobs.iter();
        let blobs = blobs.map(|(digest, extent)| (EntryName::Blob(*digest), *extent));
        let files = self.files.iter().filter(|(path, _)| *path != INDEX_FILE);
        let files = files.map(|(path, extent)| (EntryName::File(path.clone()), *extent));
        let mut entries: Vec<_> = blobs.chain(files).collect();
        entries.sort_by_key(|(_, extent)| extent.0);
        entries
    }

    /// Returns the file that the extents are about, if it is one.
    pub(crate) const fn file_of_extents(&self) -> Option<&OpenFile> {
        match &self.tape {
            Tape::File(file) => Some(file),
            Tape::Parts(_) | Tape::Memory(_) => None,
        }
    }

    /// Returns what stands at a place.
    pub(crate) fn blob_at(&self, extent: Extent) -> Result<BlobRef, Error> {
        self.tape.blob(extent)
    }
}

impl Content for TarContent {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.blobs.get(digest).map(|(_, len)| *len))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let extent = self.blobs.get(digest);
        extent.map(|extent| self.tape.blob(*extent)).transpose()
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        self.bytes(self.blobs.get(digest), limit)
    }
}
