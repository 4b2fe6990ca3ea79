//! Reading and replacing the index of a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use ocm_digest::Digest;
use ocm_oci::Error;

use super::{Change, CtfDirectory, Directory, Names};
use crate::index::{ArtifactIndex, INDEX_FILE, INDEX_LIMIT};
use crate::lock;
use crate::reading;
use crate::sink::Panicked;
use crate::stamp::Stamp;
use crate::tags::changed;
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
        let batch = self.0.names().take_batch();
        match self.write_batch(&batch) {
            Ok(()) => {
                self.0.names().settle(&batch);
                Ok(())
            }
            Err(error) => {
                let mut names = self.0.names();
                if matches!(error, Error::Changed { .. }) {
                    names.drop_conditional();
                }
                names.put_back(batch);
                Err(error)
            }
        }
    }

    fn write_batch(&self, batch: &Batch) -> Result<(), Error> {
        let failed = |source| {
            let source = ocm_blob::Error::file("write", &self.0.root, source);
            Error::blob("commit", &*self.0.name, source)
        };
        sync_blobs(self.0.blobs.directory(), &batch.unsynced).map_err(failed)?;
        if batch.pending.is_empty() && batch.doomed.is_empty() {
            return Ok(());
        }
        let locked = lock::open_directory(&self.0.root).map_err(failed)?;
        lock::exclusive(&locked).map_err(failed)?;
        self.bring_back(&batch.pending)?;
        let index = self.merge_and_write(batch)?;
        for digest in &batch.doomed {
            // Somebody else may have come to need it.
            if !index.lists(digest) && reading::need_of(self, digest)?.is_none() {
                self.0.remove_doomed(digest).map_err(failed)?;
            }
            self.0.blobs.show(digest);
        }
        Ok(())
    }

    /// Checks that tags that were to be set only where they point to what is expected are set.
    fn check_conditions(&self, pending: &[Change], index: &ArtifactIndex) -> Result<(), Error> {
        let mut last = BTreeMap::new();
        for change in pending {
            if let Some(tag) = change.sets() {
                last.insert(tag, change);
            }
        }
        for ((repository, tag), change) in last {
            if change.is_conditional() && !change.holds(index) {
                return Err(changed(&self.0.name, repository, tag));
            }
        }
        Ok(())
    }

    /// Returns the index that is on disk now.
    fn merge_and_write(&self, batch: &Batch) -> Result<Arc<ArtifactIndex>, Error> {
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
        self.check_conditions(&batch.pending, &index)?;
        if batch.pending.is_empty()
            && let Some(stamp) = current
        {
            self.0.names().written(batch, &index, stamp);
            return Ok(index);
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
        Ok(index)
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

    /// Gives up changes whose condition does not hold any more, and with them the index that has
    /// them.
    fn drop_conditional(&mut self) {
        self.in_flight.retain(|change| !change.is_conditional());
        self.pending.retain(|change| !change.is_conditional());
        self.stamp = None;
    }

    /// Gives up changes that list manifests of which something is missing.
    pub(super) fn drop_lacking(&mut self, manifests: &BTreeSet<Digest>) {
        let is_whole = |change: &Change| !matches!(change, Change::Add { digest, .. } if manifests.contains(digest));
        self.in_flight.retain(is_whole);
        self.pending.retain(is_whole);
        self.stamp = None;
    }

    fn put_back(&mut self, mut batch: Batch) {
        self.in_flight.append(&mut self.pending);
        std::mem::swap(&mut self.in_flight, &mut self.pending);
        batch.unsynced.append(&mut self.unsynced);
        self.unsynced = batch.unsynced;
    }
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
