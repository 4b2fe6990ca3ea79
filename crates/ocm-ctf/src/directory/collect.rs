//! Removing what nothing needs from a directory, while others use it.
//!
//! A blob that the index does not lead to goes in two steps. First it is set aside, into
//! `.condemned`, where it counts as missing: whoever looks for it brings it anew. A grace time later
//! it is removed. Each step is done under the lock of the index, and so is what brings a blob back:
//!
//! - A push has found the blob, or has brought it longer ago than the grace time, and it is set aside
//!   then. The manifest brings it back when it is pushed, and again when it is committed, under the
//!   lock. Only where more than the grace time lies between, the blob is gone, and the commit fails.
//! - A push of another tool knows nothing of that. What it has found and lists is brought back by
//!   the next collection.
//!
//! Of several who collect, the one who grants most time decides, as they tell each other in `grace`.
//! Where nothing has been listed yet, nothing is removed. Ages are told by the clock of the file
//! system, which also may be that of another machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use ocm_digest::Digest;
use ocm_oci::{Collect, Collected, Error};

use super::{Change, CtfDirectory, grace, part, upload};
use crate::content::{Content as _, blob_file, digest_of_file};
use crate::facts::Child;
use crate::lock;
use crate::reach::{Entries, Reach, children};
use crate::reading;
use crate::remove::Unneeded;
use crate::sink::{Panicked, blocking};
use crate::temporary::TemporaryFile;

/// The directory of blobs that have been set aside, in that of the archive.
/// It stays when it is empty: it tells those who list manifests that blobs may have gone.
pub(super) const CONDEMNED: &str = ".condemned";

/// How a collection treats what nothing needs.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// What is older than the grace time is set aside, and removed a grace time later.
    Beside(Duration),
    /// Everything goes at once: nobody else writes.
    Alone,
}

#[async_trait]
impl Collect for CtfDirectory {
    /// Reads each manifest that has not been read yet, and looks at each blob. Keeps the names of
    /// all blobs in memory, some 100 bytes for each.
    async fn collect(&self, grace: Duration) -> Result<Collected, Error> {
        self.sweep(Manner::Beside(grace)).await
    }

    async fn announce(&self, grace: Duration) -> Result<(), Error> {
        self.writable()?;
        let this = self.clone();
        let announcing = blocking(move || this.announce_now(grace));
        announcing.await.map_err(|source| self.uncollected(source))
    }
}

impl CtfDirectory {
    /// Removes everything that nothing needs at once, as nobody else writes to the directory. Who
    /// wants to waits until it is done. Other tools than this one are not seen.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if somebody else writes; else as [`Collect::collect`].
    pub async fn collect_alone(&self) -> Result<Collected, Error> {
        self.sweep(Manner::Alone).await
    }

    /// Returns the blobs that are not among those that are reached. Those whose sizes are known are
    /// not looked at.
    pub(crate) fn unneeded(
        &self,
        reach: &Reach,
        sizes: &BTreeMap<Digest, u64>,
    ) -> Result<Unneeded, Error> {
        let content = &self.0.blobs;
        let mut unneeded = Unneeded::default();
        for directory in [content.directory(), content.condemned()] {
            let looked_at = each_blob(directory, |digest, entry| {
                if reach.contains(&digest) {
                    return Ok(());
                }
                let look_up = || entry.metadata().ok().map(|metadata| metadata.len());
                // What goes meanwhile is gone.
                if let Some(size) = sizes.get(&digest).copied().or_else(look_up) {
                    unneeded.count(size);
                }
                Ok(())
            });
            looked_at.map_err(|source| self.uncollected(source))?;
        }
        Ok(unneeded)
    }

    async fn sweep(&self, manner: Manner) -> Result<Collected, Error> {
        self.writable()?;
        if self.is_blank()? {
            return Ok(Collected::default());
        }
        let this = self.clone();
        let work = tokio::task::spawn_blocking(move || match manner {
            Manner::Beside(grace) => {
                let now = this.now().map_err(|source| this.uncollected(source))?;
                this.sweep_beside(now, grace)
            }
            Manner::Alone => this.sweep_alone(),
        });
        work.await.unwrap_or_else(|error| {
            Err(self.uncollected(ocm_blob::Error::from(Panicked::from(error))))
        })
    }

    /// Returns whether nobody knows what is needed, nor whose directory it is: there is no index yet,
    /// or somebody is writing it in place, as the first Go tool does, and has only made it empty.
    fn is_blank(&self) -> Result<bool, Error> {
        let stamp = self.0.stamp()?;
        Ok(stamp.is_none_or(|stamp| stamp.len == 0))
    }

    fn announce_now(&self, grace: Duration) -> Result<(), ocm_blob::Error> {
        let _locked = self.lock_index()?;
        grace::announce(&self.0.root, grace)
    }

    fn sweep_beside(&self, now: SystemTime, grace: Duration) -> Result<Collected, Error> {
        let failed = |source| self.uncollected(source);
        let grace = grace.max(grace::announced(&self.0.root).map_err(failed)?);
        let nothing = Entries::new();
        let condemned = self.0.blobs.condemned();
        // What lies before all times is nothing.
        let oldest = now.checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
        // Most of the work is done before anybody has to wait for it.
        let mut reach = Reach::default();
        reach.follow(self, &nothing)?;
        let blobs = blob_files(self.0.blobs.directory(), |digest| !reach.contains(digest));
        let mut superfluous = blobs.map_err(failed)?;
        superfluous.retain(|file| file.modified <= oldest);
        let set_aside = blob_files(condemned, |_| true).map_err(failed)?;

        let locked = self.locked()?;
        reach.follow(self, &nothing)?;
        if reach.is_nothing() && self.is_blank()? {
            return Ok(Collected::default());
        }
        let mut gone = Unneeded::default();
        self.settle(set_aside, &reach, |file| file.modified <= oldest, &mut gone)?;
        superfluous.retain(|file| !reach.contains(&file.digest));
        let mut newly = 0;
        for file in superfluous {
            newly += u64::from(file.set_aside(condemned, now).map_err(failed)?);
        }
        drop(locked);
        Ok(Collected {
            links: 0,
            blobs: gone.blobs,
            bytes: gone.bytes,
            uploads: self.sweep_uploads(oldest).map_err(failed)?,
            condemned: newly,
        })
    }

    fn sweep_alone(&self) -> Result<Collected, Error> {
        let failed = |source| self.uncollected(source);
        let content = &self.0.blobs;
        let alone = self.0.writer.as_ref().map(|writer| writer.alone());
        let alone = alone
            .transpose()
            .map_err(|source| failed(ocm_blob::Error::file("lock", content.directory(), source)))?;
        let Some(_alone) = alone.flatten() else {
            let what = self.0.name.to_string();
            return Err(Error::Busy { what });
        };
        let mut reach = Reach::default();
        reach.follow(self, &Entries::new())?;
        if reach.is_nothing() && self.is_blank()? {
            return Ok(Collected::default());
        }
        let superfluous = blob_files(content.directory(), |digest| !reach.contains(digest));
        let set_aside = blob_files(content.condemned(), |_| true);
        let mut gone = Unneeded::default();
        for files in [superfluous, set_aside] {
            self.settle(files.map_err(failed)?, &reach, |_| true, &mut gone)?;
        }
        let now = self.now().map_err(failed)?;
        Ok(Collected {
            links: 0,
            blobs: gone.blobs,
            bytes: gone.bytes,
            uploads: self.sweep_uploads(now).map_err(failed)?,
            condemned: 0,
        })
    }

    /// Removes what nothing leads to and what is due; brings back what has been set aside and is
    /// needed.
    fn settle(
        &self,
        files: Vec<BlobFile>,
        reach: &Reach,
        is_due: impl Fn(&BlobFile) -> bool,
        gone: &mut Unneeded,
    ) -> Result<(), Error> {
        let content = &self.0.blobs;
        let mut settle = |file: BlobFile| -> Result<(), ocm_blob::Error> {
            if !reach.contains(&file.digest) {
                if is_due(&file) && file.remove()? {
                    gone.count(file.size);
                }
            } else if content.size(&file.digest)?.is_some() {
                // Somebody has brought it anew.
                file.remove()?;
            } else {
                content.bring_back(&file.digest)?;
            }
            Ok(())
        };
        let mut files = files.into_iter();
        files
            .try_for_each(&mut settle)
            .map_err(|source| self.uncollected(source))
    }

    /// Brings back what has been set aside since manifests were pushed that are going to be listed.
    /// To be called under the lock of the index. Returns the manifests that lack something, each with
    /// what that is.
    pub(super) fn bring_back(&self, pending: &[Change]) -> Result<BTreeMap<Digest, Digest>, Error> {
        let content = &self.0.blobs;
        // Where no collection ever was, nothing is missing.
        if !content.condemned().is_dir() {
            return Ok(BTreeMap::new());
        }
        let added = pending.iter().filter_map(Change::adds);
        let added = added.map(|(_, digest)| *digest);
        let mut lacking = BTreeMap::new();
        for manifest in added.collect::<BTreeSet<_>>() {
            if let Some(missing) = self.bring_back_all(&manifest)? {
                lacking.insert(manifest, missing);
            }
        }
        content
            .sync_brought_back()
            .map_err(|source| self.uncollected(source))?;
        Ok(lacking)
    }

    /// Brings back what a manifest leads to. Returns what it needs and what is gone.
    fn bring_back_all(&self, manifest: &Digest) -> Result<Option<Digest>, Error> {
        let itself = Child {
            digest: *manifest,
            is_manifest: true,
            may_be_missing: false,
        };
        if !reading::has_child(self, &itself)? {
            return Ok(Some(*manifest));
        }
        let (mut seen, mut open) = (BTreeSet::from([*manifest]), vec![(*manifest, true)]);
        while let Some((digest, is_new)) = open.pop() {
            // What cannot be understood has been refused before, or was there.
            let below = children(self, &digest, None).ok().flatten();
            for child in below.unwrap_or_default() {
                // What was listed before may always have lacked something.
                if !reading::has_child(self, &child)? && is_new {
                    return Ok(Some(child.digest));
                }
                if child.is_manifest && seen.insert(child.digest) {
                    open.push((child.digest, false));
                }
            }
        }
        Ok(None)
    }

    fn sweep_uploads(&self, before: SystemTime) -> Result<u64, ocm_blob::Error> {
        part::expire(self.0.blobs.directory(), before)?;
        upload::expire(&self.0.uploads(), before)
    }

    /// Returns what time it is where the files are.
    fn now(&self) -> Result<SystemTime, ocm_blob::Error> {
        let file = TemporaryFile::create(&self.0.root, 0o600)?;
        let metadata = file.file().file().metadata();
        let now = metadata.and_then(|metadata| metadata.modified());
        now.map_err(|source| ocm_blob::Error::file("read", &self.0.root, source))
    }

    /// Returns what tells whether a manifest was brought longer ago than a grace time, or nobody
    /// else writes who may be about to name it.
    pub(super) fn is_old(
        &self,
        grace: Duration,
    ) -> Result<impl Fn(&Digest) -> Result<bool, Error>, Error> {
        let failed = |source| self.uncollected(source);
        let blobs = &self.0.blobs;
        let lock_failed = |source| ocm_blob::Error::file("lock", blobs.directory(), source);
        let alone = self.0.writer.as_ref().map(|writer| writer.alone());
        let alone = alone.transpose().map_err(lock_failed).map_err(failed)?;
        let is_alone = alone.flatten().is_some();
        let grace = grace.max(grace::announced(&self.0.root).map_err(failed)?);
        let oldest = self.now().map_err(failed)?.checked_sub(grace);
        let oldest = oldest.unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(move |digest: &Digest| {
            if is_alone {
                return Ok(true);
            }
            let path = blobs.path(digest);
            match std::fs::metadata(&path).and_then(|metadata| metadata.modified()) {
                Ok(modified) => Ok(modified <= oldest),
                // What is set aside is old.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
                Err(source) => Err(failed(ocm_blob::Error::file("read", path, source))),
            }
        })
    }

    /// Takes the lock of the index, and waits for it.
    fn locked(&self) -> Result<File, Error> {
        self.lock_index().map_err(|source| self.uncollected(source))
    }

    fn lock_index(&self) -> Result<File, ocm_blob::Error> {
        let lock = || {
            let locked = lock::open_directory(&self.0.root)?;
            lock::exclusive(&locked)?;
            Ok(locked)
        };
        lock().map_err(|source| ocm_blob::Error::file("lock", &self.0.root, source))
    }

    fn uncollected(&self, source: ocm_blob::Error) -> Error {
        self.failed("remove", "what nothing needs", source)
    }
}

/// A file that is a blob.
#[derive(Debug)]
struct BlobFile {
    path: PathBuf,
    digest: Digest,
    size: u64,
    modified: SystemTime,
}

/// Returns those blobs of a directory that somebody wants to know about.
fn blob_files(
    directory: &Path,
    is_wanted: impl Fn(&Digest) -> bool,
) -> Result<Vec<BlobFile>, ocm_blob::Error> {
    let mut files = Vec::new();
    each_blob(directory, |digest, entry| {
        // What goes meanwhile is gone.
        if is_wanted(&digest)
            && let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            files.push(BlobFile {
                path: entry.path(),
                digest,
                size: metadata.len(),
                modified: metadata.modified()?,
            });
        }
        Ok(())
    })?;
    Ok(files)
}

/// Looks at the entries of a directory that have the names of blobs. What is named otherwise is
/// nobody's business here.
fn each_blob(
    directory: &Path,
    mut look: impl FnMut(Digest, &DirEntry) -> io::Result<()>,
) -> Result<(), ocm_blob::Error> {
    let failed = |source| ocm_blob::Error::file("read", directory, source);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Some(digest) = entry.file_name().to_str().and_then(digest_of_file) {
            look(digest, &entry).map_err(failed)?;
        }
    }
    Ok(())
}

impl BlobFile {
    /// Removes the file; returns whether it was there.
    fn remove(&self) -> Result<bool, ocm_blob::Error> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ocm_blob::Error::file("remove", &self.path, source)),
        }
    }

    /// Moves the file to those that are set aside, since when its time of change tells. Returns
    /// whether it was there, and may be touched.
    fn set_aside(&self, condemned: &Path, now: SystemTime) -> Result<bool, ocm_blob::Error> {
        let set_aside = || {
            std::fs::create_dir_all(condemned)?;
            File::open(&self.path)?.set_modified(now)?;
            std::fs::rename(&self.path, condemned.join(blob_file(&self.digest)))
        };
        match set_aside() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let file = self.path.display();
                tracing::warn!(%file, "a blob that nothing needs stays, as it belongs to somebody else");
                Ok(false)
            }
            Err(source) => Err(ocm_blob::Error::file("set aside", &self.path, source)),
        }
    }
}
