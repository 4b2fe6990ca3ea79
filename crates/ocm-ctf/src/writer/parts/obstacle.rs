//! What keeps an archive from being written in parts where it is to be.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use ocm_blob::{Error, OpenFile};

use super::super::partial;
use super::files::PartFiles;
use super::journal::Journal;
use crate::parts::{PartList, directory_of, number_of, part_path};

/// What keeps an archive from being written in parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Obstacle {
    /// A file has the name of a part, and no writer of this archive has left it there.
    Foreign(PathBuf),
    /// A writer that was killed had finished these parts, and they are not where they were. Never
    /// empty.
    Away(Vec<PathBuf>),
}

impl Obstacle {
    /// Looks for something that would keep an archive from being written in parts of at most `size`
    /// bytes, or continued, before anything is written. Nothing does where all of it is there.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn find(archive: &Path, size: NonZeroU64) -> Result<Option<Self>, Error> {
        // Parts are in the journal before they have their names, and the list is there before the
        // journal goes: in this order, the work of a writer is not taken for that of somebody else.
        let there = parts_there(archive)?;
        let journal = journal_of(archive)?;
        if PartList::beside(archive).exists() {
            return Ok(None);
        }
        let Some(journal) = journal else {
            let foreign = there.first().map(|index| part_path(archive, *index));
            return Ok(foreign.map(Self::Foreign));
        };
        let files = PartFiles::new(archive, journal.limit());
        let (finished, done) = (journal.finished().len(), journal.done());
        let ours = done.map_or(journal.most(), |list| list.parts.len());
        let is_foreign = |index: &usize| {
            // Those that are being named have one name at a time.
            let is_hidden = done.is_some() && *index >= finished && files.is_hidden(*index);
            *index >= ours || is_hidden
        };
        if let Some(index) = there.into_iter().find(is_foreign) {
            return Ok(Some(Self::Foreign(part_path(archive, index))));
        }
        if done.is_none() && journal.limit() != size.get() {
            // What there is of parts of another size is of no use.
            return Ok(None);
        }
        let away = (0..finished).filter(|index| !files.is_finished(*index));
        let away: Vec<PathBuf> = away.map(|index| part_path(archive, index)).collect();
        Ok((!away.is_empty()).then_some(Self::Away(away)))
    }
}

/// Returns which files have the name of a part, sorted.
fn parts_there(archive: &Path) -> Result<Vec<usize>, Error> {
    let directory = directory_of(archive);
    let failed = |source| Error::file("read", directory, source);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let name = archive.file_name().unwrap_or_default().as_encoded_bytes();
    let mut there = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.file_name();
        let end = file.as_encoded_bytes().strip_prefix(name);
        there.extend(end.and_then(number_of));
    }
    there.sort_unstable();
    Ok(there)
}

/// Reads what a killed writer has noted, if there was one.
fn journal_of(archive: &Path) -> Result<Option<Journal>, Error> {
    let path = partial::path_of(archive);
    match File::open(&path) {
        Ok(file) => Journal::read(&OpenFile::new(file, path)).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("read", path, source)),
    }
}
