//! The files of an archive in parts that is being written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ocm_blob::{Error, OpenFile};
use ocm_digest::Digest;

use super::pen::Pen;
use crate::parts::{ArchivePart, Joined, PartList, directory_of, part_path};
use crate::temporary::sync_directory;

/// Where the parts of an archive stand: finished ones under their names, the others hidden.
#[derive(Clone, Debug)]
pub(super) struct PartFiles {
    archive: PathBuf,
    limit: u64,
}

impl PartFiles {
    /// All parts but the last have `limit` bytes.
    pub(super) fn new(archive: &Path, limit: u64) -> Self {
        Self {
            archive: archive.to_owned(),
            limit,
        }
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns which part has a byte.
    pub(super) fn index_of(&self, position: u64) -> usize {
        usize::try_from(position / self.limit).unwrap_or(usize::MAX)
    }

    /// Returns the first byte of a part.
    pub(super) const fn start_of(&self, index: usize) -> u64 {
        index as u64 * self.limit
    }

    /// Returns where in its part a byte stands.
    pub(super) const fn within(&self, position: u64) -> u64 {
        position % self.limit
    }

    /// Returns how much its part has from a byte on.
    pub(super) const fn room(&self, position: u64) -> u64 {
        self.limit - position % self.limit
    }

    fn name_of(&self, index: usize) -> PathBuf {
        part_path(&self.archive, index)
    }

    fn hidden(&self, index: usize) -> PathBuf {
        let path = self.name_of(index);
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        path.with_file_name(name)
    }

    /// Returns whether a part is there that is not finished.
    pub(super) fn is_hidden(&self, index: usize) -> bool {
        self.hidden(index).exists()
    }

    /// Returns whether a part that is finished is there, under its name or about to get it.
    pub(super) fn is_finished(&self, index: usize) -> bool {
        let is_whole = |path| std::fs::metadata(path).is_ok_and(|it| it.len() == self.limit);
        is_whole(self.name_of(index)) || is_whole(self.hidden(index))
    }

    /// Returns where a part is; so many are finished.
    pub(super) fn path(&self, index: usize, finished: usize) -> PathBuf {
        if index < finished {
            self.name_of(index)
        } else {
            self.hidden(index)
        }
    }

    /// Returns what is there of all parts, of which so many are finished.
    pub(super) fn joined(&self, finished: usize) -> Result<Joined, Error> {
        let mut files: Vec<(PathBuf, u64)> = Vec::new();
        for index in 0..finished {
            files.push((self.name_of(index), self.limit));
        }
        for index in finished..PartList::MOST {
            let path = self.hidden(index);
            let size = match std::fs::metadata(&path) {
                Ok(metadata) => metadata.len().min(self.limit),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => return Err(Error::file("read", path, source)),
            };
            files.push((path, size));
            if size < self.limit {
                break;
            }
        }
        Ok(Joined::new(files))
    }

    /// Returns all parts once they have their names.
    pub(super) fn named(&self, list: &PartList) -> Joined {
        let part = |(index, part): (usize, &ArchivePart)| (self.name_of(index), part.size);
        Joined::new(list.parts.iter().enumerate().map(part))
    }

    /// Opens a part that is not finished, to write it: from its start, or to go on with it.
    pub(super) fn open(&self, index: usize, from_start: bool) -> Result<OpenFile, Error> {
        if index >= PartList::MOST {
            let reason = format!(
                "it has more than {} parts of {} bytes",
                PartList::MOST,
                self.limit
            );
            return Err(Error::malformed("archive in parts", reason));
        }
        let path = self.hidden(index);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(from_start)
            .open(&path);
        let file = file.map_err(|source| Error::file("create", &path, source))?;
        Ok(OpenFile::new(file, path))
    }

    /// Takes away everything from a byte on, in parts that are not finished.
    pub(super) fn cut(&self, end: u64) -> Result<(), Error> {
        let mut index = self.index_of(end);
        let path = self.hidden(index);
        if self.within(end) > 0 && path.exists() {
            let cut = File::options().write(true).open(&path);
            let cut = cut.and_then(|file| file.set_len(self.within(end)));
            cut.map_err(|source| Error::file("write", path, source))?;
            index += 1;
        }
        while remove(&self.hidden(index))? {
            index += 1;
        }
        Ok(())
    }

    /// Makes parts durable, from one on to the one that has the last byte.
    pub(super) fn sync(&self, from: usize, end: u64) -> Result<(), Error> {
        for index in from..end.div_ceil(self.limit).try_into().unwrap_or(usize::MAX) {
            let path = self.hidden(index);
            let file = File::options().write(true).open(&path);
            let synced = file.and_then(|file| file.sync_all());
            synced.map_err(|source| Error::file("write", path, source))?;
        }
        Ok(())
    }

    /// Gives a part its name. One that is there under that name is of somebody else.
    pub(super) fn name(&self, index: usize) -> Result<(), Error> {
        let (from, to) = (self.hidden(index), self.name_of(index));
        let failed = |source| Error::file("write", &to, source);
        if !from.exists() && to.exists() {
            return Ok(());
        }
        if to.exists() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        std::fs::rename(from, &to).map_err(failed)?;
        self.sync_names()
    }

    /// Names all parts from one on, and writes the list.
    pub(super) fn name_all(&self, from: usize, list: &PartList) -> Result<(), Error> {
        for index in from..list.parts.len() {
            self.name(index)?;
        }
        list.write(&PartList::beside(&self.archive))
    }

    /// Makes parts that were finished writable again, from one on.
    pub(super) fn reopen(&self, from: usize, until: usize) -> Result<(), Error> {
        for index in from..until {
            let (name, hidden) = (self.name_of(index), self.hidden(index));
            match std::fs::rename(&name, hidden) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("write", name, error));
                }
                _ => {}
            }
        }
        self.sync_names()
    }

    /// Puts the names in order, as the journal has them, of a writer that was killed between the
    /// one and the other: so many are finished, and so many were at some time.
    pub(super) fn take_up(&self, finished: usize, most: usize) -> Result<(), Error> {
        for index in 0..finished {
            if self.hidden(index).exists() {
                self.name(index)?;
            }
        }
        self.reopen(finished, most)
    }

    /// Removes all parts, of which so many are finished.
    pub(super) fn discard(&self, finished: usize) -> Result<(), Error> {
        for index in 0..finished {
            remove(&self.name_of(index))?;
        }
        for index in 0..PartList::MOST {
            if !remove(&self.hidden(index))? && index >= finished {
                break;
            }
        }
        Ok(())
    }

    /// Returns the list of all parts, the last of which ends where a pen stands.
    pub(super) fn list(&self, pen: &Pen) -> PartList {
        let digests = pen.full().iter().copied().chain(pen.open(self.limit));
        let part = |(index, digest): (usize, Digest)| ArchivePart {
            name: self
                .name_of(index)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            size: self.limit.min(pen.end() - self.start_of(index)),
            digest,
        };
        PartList::new(digests.enumerate().map(part).collect())
    }

    fn sync_names(&self) -> Result<(), Error> {
        let directory = directory_of(&self.archive);
        sync_directory(directory).map_err(|source| Error::file("write", directory, source))
    }
}

/// Removes a file; returns whether it was there.
fn remove(path: &Path) -> Result<bool, Error> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::file("remove", path, source)),
    }
}
