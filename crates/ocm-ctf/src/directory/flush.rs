//! Reading and replacing the index of a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use ocm_digest::Digest;
use ocm_oci::{Error, RepositoryName};

use super::{Change, CtfDirectory, Directory, Names, Reason};
use crate::index::{ArtifactIndex, INDEX_FILE, INDEX_LIMIT};
use crate::lock;
use crate::reading;
use crate::sink::Panicked;
use crate::stamp::Stamp;
use crate::temporary::{TemporaryFile, sync_directory};

/// What one flush takes upon itself.
#[derive(Debug)]
struct Batch {
    pending: Vec<Change>,
    unsynced: Vec<PathBuf>,
    doomed: Vec<Digest>,
    /// The index with all pending changes, and of which file.
    index: Arc<ArtifactIndex>,
    stamp: Option<Stamp>,
    upto: u64,
}

/// A change of a batch that must not be made any more.
#[derive(Debug)]
struct GivenUp {
    /// Which one of the batch.
    position: usize,
    manifest: (RepositoryName, Digest),
    reason: Reason,
}

/// What has become of the index.
enum Merged {
    /// It is on disk.
    Written(Arc<ArtifactIndex>),
    /// These changes must not be made, so that nothing was written.
    Not(Vec<GivenUp>),
}

impl CtfDirectory {
    /// Brings everything that has been changed so far to disk, once for all who wait.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let wanted = self.0.names().changed;
        let turn = Arc::clone(&self.0.flushing).lock_owned().await;
        if self.0.names().flushed >= wanted {
            return Ok(());
        }
        let this = self.clone();
        // The turn ends with the work, also where nobody waits for it any more.
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            this.flush_now()
        });
        work.await.unwrap_or_else(|error| {
            let source = ocm_blob::Error::from(Panicked::from(error));
            Err(self.failed("write", INDEX_FILE, source))
        })
    }

    fn flush_now(&self) -> Result<(), Error> {
        loop {
            let batch = self.0.names().take_batch();
            let written = self.write_batch(&batch);
            let mut names = self.0.names();
            match written {
                Ok(given_up) if given_up.is_empty() => {
                    names.settle(&batch);
                    return Ok(());
                }
                // All else is written without those.
                Ok(given_up) => {
                    names.give_up(given_up);
                    names.put_back(batch);
                }
                Err(error) => {
                    names.put_back(batch);
                    return Err(error);
                }
            }
        }
    }

    /// Writes a batch, unless it has changes that must not be made any more, which are returned then.
    fn write_batch(&self, batch: &Batch) -> Result<Vec<GivenUp>, Error> {
        let failed = |source| {
            let source = ocm_blob::Error::file("write", &self.0.root, source);
            Error::blob("commit", &*self.0.name, source)
        };
        sync_blobs(self.0.blobs.directory(), &batch.unsynced).map_err(failed)?;
        if batch.pending.is_empty() && batch.doomed.is_empty() {
            return Ok(Vec::new());
        }
        let locked = lock::open_directory(&self.0.root).map_err(failed)?;
        lock::exclusive(&locked).map_err(failed)?;
        let lacking = self.bring_back(&batch.pending)?;
        if !lacking.is_empty() {
            return Ok(lacking_of(&batch.pending, &lacking));
        }
        let index = match self.merge_and_write(batch)? {
            Merged::Written(index) => index,
            Merged::Not(given_up) => return Ok(given_up),
        };
        for digest in &batch.doomed {
            // Somebody else may have come to need it.
            if !index.lists(digest) && reading::need_of(self, digest)?.is_none() {
                self.0.remove_doomed(digest).map_err(failed)?;
            }
            self.0.blobs.show(digest);
        }
        Ok(Vec::new())
    }

    /// Writes the index, unless there are changes that must not be made any more.
    fn merge_and_write(&self, batch: &Batch) -> Result<Merged, Error> {
        let failed = |source| Error::blob("commit", &*self.0.name, source);
        let path = self.0.root.join(INDEX_FILE);
        let current = self.0.stamp()?;
        let index = if current == batch.stamp {
            Arc::clone(&batch.index)
        } else {
            let mut index = self.0.read_index()?;
            for change in &batch.pending {
                change.apply(&mut index);
            }
            Arc::new(index)
        };
        let given_up = unmet_of(&batch.pending, &index);
        if !given_up.is_empty() {
            return Ok(Merged::Not(given_up));
        }
        if batch.pending.is_empty()
            && let Some(stamp) = current
        {
            self.0.names().written(batch, &index, stamp);
            return Ok(Merged::Written(index));
        }
        let file = TemporaryFile::create(&self.0.root, 0o644).map_err(failed)?;
        file.file().write_at(&index.write(), 0).map_err(failed)?;
        let synced = file.file().file().sync_all();
        let metadata = synced.and_then(|()| file.file().file().metadata());
        let metadata =
            metadata.map_err(|source| failed(ocm_blob::Error::file("sync", &path, source)))?;
        {
            // Whoever looks in between would read what has just been written.
            let mut names = self.0.names();
            file.persist(&path).map_err(failed)?;
            names.written(batch, &index, Stamp::of(&metadata));
        }
        sync_directory(&self.0.root)
            .map_err(|source| failed(ocm_blob::Error::file("sync", &path, source)))?;
        Ok(Merged::Written(index))
    }
}

impl Directory {
    /// Returns the index as it is now, with changes that are not on disk yet.
    pub(super) fn current(&self) -> Result<MutexGuard<'_, Names>, Error> {
        let stamp = self.stamp()?;
        let mut names = self.names();
        if names.stamp == stamp {
            return Ok(names);
        }
        // It may have been written here since it was looked at.
        let stamp = self.stamp()?;
        if names.stamp != stamp {
            let mut index = self.read_index()?;
            for change in names.in_flight.iter().chain(&names.pending) {
                change.apply(&mut index);
            }
            index.supersede(&names.index);
            names.index = Arc::new(index);
            names.stamp = stamp;
        }
        Ok(names)
    }

    pub(super) fn stamp(&self) -> Result<Option<Stamp>, Error> {
        let path = self.root.join(INDEX_FILE);
        Stamp::at(&path).map_err(|source| self.unreadable(&path, source))
    }

    fn read_index(&self) -> Result<ArtifactIndex, Error> {
        let path = self.root.join(INDEX_FILE);
        if self.stamp()?.is_some_and(|stamp| stamp.len > INDEX_LIMIT) {
            return Err(Error::TooLarge {
                what: path.display().to_string(),
                limit: INDEX_LIMIT,
            });
        }
        let read = || -> io::Result<Option<Vec<u8>>> {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(file, INDEX_LIMIT + 1), &mut bytes)?;
            Ok(Some(bytes))
        };
        let bytes = read().map_err(|source| self.unreadable(&path, source))?;
        ArtifactIndex::read(&bytes.unwrap_or_default(), &path.display().to_string())
    }

    /// Removes a blob unless it has been pushed again; who pushes it waits for this.
    fn remove_doomed(&self, digest: &Digest) -> io::Result<()> {
        let names = self.names();
        if names.doomed.contains(digest) {
            remove(&self.blobs.path(digest))?;
        }
        drop(names);
        Ok(())
    }

    fn unreadable(&self, path: &Path, source: io::Error) -> Error {
        Error::blob(
            "open",
            &*self.name,
            ocm_blob::Error::file("read", path, source),
        )
    }
}

impl Names {
    fn take_batch(&mut self) -> Batch {
        self.in_flight = std::mem::take(&mut self.pending);
        Batch {
            pending: self.in_flight.clone(),
            unsynced: std::mem::take(&mut self.unsynced),
            doomed: self.doomed.iter().copied().collect(),
            index: Arc::clone(&self.index),
            stamp: self.stamp,
            upto: self.changed,
        }
    }

    fn settle(&mut self, batch: &Batch) {
        for digest in &batch.doomed {
            self.doomed.remove(digest);
        }
        self.flushed = batch.upto;
        self.in_flight.clear();
    }

    /// Takes note of the index that is on disk now.
    fn written(&mut self, batch: &Batch, index: &Arc<ArtifactIndex>, stamp: Stamp) {
        let is_the_batch = self.stamp == batch.stamp && Arc::ptr_eq(index, &batch.index);
        if !is_the_batch && self.stamp != Some(stamp) {
            let mut index = ArtifactIndex::clone(index);
            for change in &self.pending {
                change.apply(&mut index);
            }
            index.supersede(&self.index);
            self.index = Arc::new(index);
        }
        self.stamp = Some(stamp);
    }

    /// Gives up changes of the batch that is under way, and with them the index that has them.
    fn give_up(&mut self, given_up: Vec<GivenUp>) {
        let positions: BTreeSet<usize> = given_up.iter().map(|it| it.position).collect();
        let mut position = 0;
        self.in_flight.retain(|_| {
            position += 1;
            !positions.contains(&(position - 1))
        });
        self.stamp = None;
        let reasons = given_up.into_iter().map(|it| (it.manifest, it.reason));
        self.given_up.extend(reasons);
    }

    fn put_back(&mut self, mut batch: Batch) {
        self.in_flight.append(&mut self.pending);
        std::mem::swap(&mut self.in_flight, &mut self.pending);
        batch.unsynced.append(&mut self.unsynced);
        self.unsynced = batch.unsynced;
    }
}

/// Returns the changes that list manifests of which something is missing.
fn lacking_of(pending: &[Change], lacking: &BTreeMap<Digest, Digest>) -> Vec<GivenUp> {
    let all = pending.iter().enumerate();
    let lacking = all.filter_map(|(position, change)| {
        let (repository, digest) = change.adds()?;
        let reason = Reason::Lacks(*lacking.get(digest)?);
        Some(GivenUp {
            position,
            manifest: (repository.clone(), *digest),
            reason,
        })
    });
    lacking.collect()
}

/// Returns the changes that were to set tags only where they point to what is expected, if they are
/// not set.
fn unmet_of(pending: &[Change], index: &ArtifactIndex) -> Vec<GivenUp> {
    let mut last = BTreeMap::new();
    for change in pending {
        if let Some(tag) = change.sets() {
            last.insert(tag, change);
        }
    }
    last.retain(|_, change| change.is_conditional() && !change.holds(index));
    let all = pending.iter().enumerate();
    let unmet = all.filter_map(|(position, change)| {
        let (repository, digest) = change.adds()?;
        let place = change.sets().filter(|_| change.is_conditional())?;
        let is_unmet = last.contains_key(&place);
        is_unmet.then(|| GivenUp {
            position,
            manifest: (repository.clone(), *digest),
            reason: Reason::Changed(place.1.clone()),
        })
    });
    unmet.collect()
}

/// Makes blobs durable: with one call for the whole file system, where there is one.
fn sync_blobs(directory: &Path, written: &[PathBuf]) -> io::Result<()> {
    if written.is_empty() {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    if rustix::fs::syncfs(File::open(directory)?).is_ok() {
        return Ok(());
    }
    for path in written {
        match File::open(path) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    sync_directory(directory)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
