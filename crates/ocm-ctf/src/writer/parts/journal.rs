//! What a writer of an archive in parts has finished, for the next one.

use ocm_blob::{Error, OpenFile};
use ocm_digest::Digest;
use serde::{Deserialize, Serialize};

use crate::parts::PartList;

/// The largest journal that is read, in bytes. A line has some 100, and the last one the list.
const LIMIT: u64 = 4 * 1024 * 1024;

/// The file of a partial archive in parts: a line of JSON for each thing that happened.
///
/// A line counts once it has an end. So one that was cut off by a power failure has not happened,
/// and neither has anything behind one that cannot be read.
#[derive(Debug)]
pub(super) struct Journal {
    file: OpenFile,
    /// Where the next line stands.
    end: u64,
    limit: u64,
    finished: Vec<Digest>,
    /// The most parts that were finished at some time.
    most: usize,
    done: Option<PartList>,
}

/// What happened.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Line {
    /// An archive with parts of a size was begun.
    Begun(u64),
    /// The next part is finished, and has this digest.
    Finished(Digest),
    /// Only so many parts are finished.
    Reopened(usize),
    /// Everything is written and durable.
    Done(PartList),
}

impl Journal {
    /// Reads what was written, as far as that can be read.
    pub(super) fn read(file: &OpenFile) -> Result<Self, Error> {
        let mut journal = Self {
            file: file.clone(),
            end: 0,
            limit: 0,
            finished: Vec::new(),
            most: 0,
            done: None,
        };
        let size = file.size()?.min(LIMIT);
        let bytes = file.read_at(0, usize::try_from(size).unwrap_or(usize::MAX))?;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = line.ends_with(b"\n");
            let Some(line_read) = serde_json::from_slice(line).ok().filter(|_| is_whole) else {
                break;
            };
            if !journal.happened(line_read) {
                break;
            }
            journal.end += line.len() as u64;
        }
        Ok(journal)
    }

    /// Takes a line in; returns `false` if it contradicts those before.
    fn happened(&mut self, line: Line) -> bool {
        match line {
            Line::Begun(limit) => {
                self.limit = limit;
                self.finished.clear();
                self.most = 0;
                limit > 0
            }
            Line::Finished(digest) => {
                self.finished.push(digest);
                self.most = self.most.max(self.finished.len());
                self.limit > 0 && self.most <= PartList::MOST
            }
            Line::Reopened(count) => {
                self.finished.truncate(count);
                true
            }
            Line::Done(list) => {
                self.done = Some(list);
                self.limit > 0
            }
        }
    }

    /// Returns the size of all parts but the last; zero if nothing was begun.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the digests of the parts that are finished.
    pub(super) fn finished(&self) -> &[Digest] {
        &self.finished
    }

    /// Returns how many parts were finished at some time.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Returns the list of all parts once everything is written.
    pub(super) const fn done(&self) -> Option<&PartList> {
        self.done.as_ref()
    }

    /// Begins anew, with parts of a size.
    pub(super) fn begin(&mut self, limit: u64) -> Result<(), Error> {
        self.end = 0;
        let cut = self.file.file().set_len(0);
        cut.map_err(|source| Error::file("write", self.file.path(), source))?;
        self.add(Line::Begun(limit))
    }

    /// Notes that the next part is finished. It is durable.
    pub(super) fn finish(&mut self, digest: Digest) -> Result<(), Error> {
        self.add(Line::Finished(digest))
    }

    /// Notes that only so many parts are finished.
    pub(super) fn reopen(&mut self, count: usize) -> Result<(), Error> {
        self.add(Line::Reopened(count))
    }

    /// Notes that everything is written and durable.
    pub(super) fn end(&mut self, list: &PartList) -> Result<(), Error> {
        self.add(Line::Done(list.clone()))
    }

    fn add(&mut self, line: Line) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(&line).expect("texts and numbers can be written");
        bytes.push(b'\n');
        self.file.write_at(&bytes, self.end)?;
        self.end += bytes.len() as u64;
        let file = self.file.file();
        // Behind it may stand what could not be read.
        let synced = file.set_len(self.end).and_then(|()| file.sync_all());
        synced.map_err(|source| Error::file("write", self.file.path(), source))?;
        self.happened(line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(bytes: &[u8]) -> Journal {
        let file = OpenFile::new(tempfile::tempfile().unwrap(), "journal");
        file.write_at(bytes, 0).unwrap();
        Journal::read(&file).unwrap()
    }

    #[test]
    fn what_happened_is_read_again_as_far_as_it_is_whole() {
        let mut written = journal(b"");
        let digests = ["a", "b", "c"].map(Digest::sha256);
        written.begin(100).unwrap();
        for digest in digests {
            written.finish(digest).unwrap();
        }
        written.reopen(1).unwrap();
        written.finish(digests[2]).unwrap();
        let size = usize::try_from(written.file.size().unwrap()).unwrap();
        let bytes = written.file.read_at(0, size).unwrap();
        let whole = journal(&bytes);
        assert_eq!(whole.finished(), [digests[0], digests[2]]);
        assert_eq!((whole.limit(), whole.most()), (100, 3));
        let torn = journal(&bytes[..size - 1]);
        assert_eq!(torn.finished(), [digests[0]]);
        let mut torn = journal(&[&bytes[..size - 5], &[0; 500]].concat());
        torn.finish(digests[1]).unwrap();
        assert_eq!(Journal::read(&torn.file).unwrap().finished(), &digests[..2]);
    }

    #[test]
    fn what_is_no_journal_has_nothing() {
        for bytes in [
            &b"not a journal\n"[..],
            b"{\"begun\":0}\n",
            b"{\"finished\":\"sha256:0\"}\n",
            b"{\"begun\":-1}\n",
            &[0; 1000],
        ] {
            let journal = journal(bytes);
            assert_eq!((journal.limit(), journal.finished().len()), (0, 0));
            assert!(journal.done().is_none());
        }
    }
}
