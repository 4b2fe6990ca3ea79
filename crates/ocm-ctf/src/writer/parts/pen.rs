//! Where in an archive in parts is written, with the digests of what stands before.

use bytes::Bytes;
use ocm_blob::{CHUNK, Error, OpenFile};
use ocm_digest::{Digest, Digester, HashAlgorithm};

use super::files::PartFiles;
use crate::parts::Joined;

/// A place in an archive in parts. A clone goes its own way, so that what was written can be given
/// up by forgetting the pen that has written it.
#[derive(Clone)]
pub(super) struct Pen {
    end: u64,
    /// The digests of the parts that are full.
    full: Vec<Digest>,
    /// Of what is in the part that is not.
    digester: Digester,
    /// That part, once it was written.
    file: Option<OpenFile>,
}

impl Default for Pen {
    fn default() -> Self {
        Self {
            end: 0,
            full: Vec::new(),
            digester: Digester::new(HashAlgorithm::default()),
            file: None,
        }
    }
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Pen {
    /// Returns how many bytes stand before, in all parts.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Returns the digests of the parts that are full.
    pub(super) fn full(&self) -> &[Digest] {
        &self.full
    }

    /// Returns the digest of what is in the part that is not full, if there is something.
    pub(super) fn open(&self, limit: u64) -> Option<Digest> {
        (!self.end.is_multiple_of(limit)).then(|| self.digester.clone().finish())
    }

    /// Writes bytes, into the next part where one is full.
    pub(super) fn write(&mut self, files: &PartFiles, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let room = usize::try_from(files.room(self.end)).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let file = match self.file.take() {
                Some(file) => file,
                // What is there of a part that begins here is of an archive that was given up.
                None => files.open(self.full.len(), files.within(self.end) == 0)?,
            };
            file.write_at(now, files.within(self.end))?;
            self.digester.update(now);
            self.file = Some(file);
            self.advance(files.limit(), now.len() as u64, None);
            bytes = later;
        }
        Ok(())
    }

    /// Goes over bytes that are there. They are read for the digests of parts that are not
    /// finished, and where somebody else wants to see them.
    pub(super) fn pass(
        &mut self,
        (there, files): (&Joined, &PartFiles),
        finished: &[Digest],
        len: u64,
        mut digester: Option<&mut Digester>,
    ) -> Result<(), Error> {
        let mut left = len;
        while left > 0 {
            let known = finished.get(self.full.len()).copied();
            let mut step = left.min(files.room(self.end));
            if known.is_none() || digester.is_some() {
                step = step.min(CHUNK as u64);
                let len = usize::try_from(step).unwrap_or(CHUNK);
                let chunk: Bytes = there.read_at(self.end, len)?;
                self.digester.update(&chunk);
                if let Some(digester) = &mut digester {
                    digester.update(&chunk);
                }
            }
            self.file = None;
            self.advance(files.limit(), step, known);
            left -= step;
        }
        Ok(())
    }

    fn advance(&mut self, limit: u64, len: u64, known: Option<Digest>) {
        self.end += len;
        if self.end.is_multiple_of(limit) {
            let digester =
                std::mem::replace(&mut self.digester, Digester::new(HashAlgorithm::default()));
            self.full.push(known.unwrap_or_else(|| digester.finish()));
            self.file = None;
        }
    }
}
