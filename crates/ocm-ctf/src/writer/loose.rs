//! Entries that have no fixed place in an archive that is being written.
//!
//! Small blobs, manifests, and descriptors come when they come. They are collected in
//! `.<name>.loose`, a tar without end, and put into the archive when that is complete, sorted. So
//! the archive is the same whoever was quicker, and what a killed writer had collected is found
//! by the next one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ocm_blob::{BlobRef, CHUNK, Error, OpenFile, TAR_END, TarScan, tar_header, tar_padding};
use ocm_digest::{Digest, Digester, HashAlgorithm};

use super::packing::{EntryName, MODE};
use crate::content::{Content, digest_of_path};
use crate::packed::Extent;
use crate::sink::each_chunk;

/// The loose entries of an archive.
#[derive(Debug)]
pub(super) struct Loose {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where they are collected, from the first one on.
    file: Option<OpenFile>,
    /// Where the next one starts.
    end: u64,
    entries: BTreeMap<EntryName, Spot>,
    /// What a killed writer has left, by where the content stands.
    left: BTreeMap<Digest, Extent>,
}

/// Where the content of an entry stands.
#[derive(Clone, Debug)]
struct Spot {
    file: OpenFile,
    at: u64,
    size: u64,
}

impl Loose {
    /// Starts with what is in a file, if it is there.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that changes the state can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry, unless it is there. One of another size is a broken one, to be replaced.
    pub(super) fn append(&self, name: EntryName, bytes: &Bytes) -> Result<(), Error> {
        let mut state = self.state();
        let known = state.entries.get(&name).map(|spot| spot.size);
        if known == Some(bytes.len() as u64) {
            return Ok(());
        }
        let file = state.opened(&self.path)?;
        let mut entry = tar_header(&name.path(), bytes.len() as u64, MODE)?;
        let spot = Spot {
            file: file.clone(),
            at: state.end + entry.len() as u64,
            size: bytes.len() as u64,
        };
        let padding = tar_padding(spot.size);
        if bytes.len() <= CHUNK {
            entry.extend_from_slice(bytes);
            entry.resize(entry.len() + padding, 0);
            file.write_at(&entry, state.end)?;
        } else {
            file.write_at(&entry, state.end)?;
            file.write_at(bytes, spot.at)?;
            file.write_at(&TAR_END[..padding], spot.at + spot.size)?;
        }
        state.end = spot.at + spot.size + padding as u64;
        state.entries.insert(name, spot);
        Ok(())
    }

    /// Adds an entry that stands in another file, and stays there until the archive is complete.
    pub(super) fn adopt(&self, name: EntryName, file: &OpenFile, (at, size): Extent) {
        let file = file.clone();
        let spot = Spot { file, at, size };
        self.state().entries.entry(name).or_insert(spot);
    }

    /// Adds a blob that a killed writer has left, if there is one and it is whole.
    pub(super) fn claim(&self, digest: &Digest, size: u64) -> Result<bool, Error> {
        let mut state = self.state();
        let file = state.opened(&self.path)?;
        let Some((at, found)) = state.left.remove(digest) else {
            return Ok(false);
        };
        let is_whole =
            found == size && digest_of(&file, (at, size), digest.algorithm())? == *digest;
        if is_whole {
            let spot = Spot { file, at, size };
            state.entries.insert(EntryName::Blob(*digest), spot);
        }
        Ok(is_whole)
    }

    /// Takes a blob out; returns whether it was there.
    pub(super) fn remove(&self, digest: &Digest) -> bool {
        let name = EntryName::Blob(*digest);
        self.state().entries.remove(&name).is_some()
    }

    /// Returns how long the entries are in a tar.
    pub(super) fn len(&self) -> Result<u64, Error> {
        let mut len = 0;
        for (name, spot) in &self.state().entries {
            let header = tar_header(&name.path(), spot.size, MODE)?.len();
            len += header as u64 + spot.size + tar_padding(spot.size) as u64;
        }
        Ok(len)
    }

    /// Writes the entries as part of a tar: blobs by their digests, then files by their names.
    pub(super) fn write(
        &self,
        mut write: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Nobody pushes now, but readers should not wait.
        let entries = self.state().entries.clone();
        for (name, spot) in &entries {
            let mut entry = tar_header(&name.path(), spot.size, MODE)?;
            each_chunk(&spot.file, (spot.at, spot.size), |chunk| {
                entry.extend_from_slice(chunk);
                if entry.len() > CHUNK * 2 {
                    write(&entry)?;
                    entry.clear();
                }
                Ok(())
            })?;
            entry.resize(entry.len() + tar_padding(spot.size), 0);
            write(&entry)?;
        }
        Ok(())
    }
}

fn digest_of(
    file: &OpenFile,
    (at, size): Extent,
    algorithm: HashAlgorithm,
) -> Result<Digest, Error> {
    let mut digester = Digester::new(algorithm);
    each_chunk(file, (at, size), |chunk| {
        digester.update(chunk);
        Ok(())
    })?;
    Ok(digester.finish())
}

impl State {
    /// Opens the file, and looks at what is there.
    fn opened(&mut self, path: &Path) -> Result<OpenFile, Error> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = file.map_err(|source| Error::file("create", path, source))?;
        let file = OpenFile::new(file, path);
        // What a killed writer has left ends somewhere, and that is no fault.
        let mut scan = TarScan::new(file.cursor()?)?;
        while let Ok(Some(entry)) = scan.next_entry() {
            self.end = entry.offset + entry.size + tar_padding(entry.size) as u64;
            if let Some(digest) = digest_of_path(&entry.path) {
                self.left.insert(digest, (entry.offset, entry.size));
            }
        }
        let cut = file.file().set_len(self.end);
        cut.map_err(|source| Error::file("write", file.path(), source))?;
        self.file = Some(file.clone());
        Ok(file)
    }

    fn spot(&self, digest: &Digest) -> Option<&Spot> {
        self.entries.get(&EntryName::Blob(*digest))
    }
}

impl Content for Loose {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.state().spot(digest).map(|spot| spot.size))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let state = self.state();
        let found = state.spot(digest);
        Ok(found.map(|spot| Arc::new(spot.file.blob(spot.at, spot.size)) as BlobRef))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        let Some(Spot { file, at, size }) = self.state().spot(digest).cloned() else {
            return Ok(None);
        };
        match usize::try_from(size) {
            Ok(len) if size <= limit => file.read_at(at, len).map(Some),
            _ => Err(Error::TooLarge { limit }),
        }
    }
}
