//! Archives in one file, written.
//!
//! Everything goes to `.<name>.partial` and `.<name>.loose` beside the archive, which
//! [`Push::commit`](ocm_oci::Push::commit) completes and renames; until then the archive is as it
//! was, and a writer that is dropped or killed leaves it so. Only one writer is possible at a time,
//! and another one waits for it; where there are no locks, the one that commits later finds another
//! archive than it has copied, and fails. What an existing archive has is copied first.
//!
//! ```text
//! artifact-index.json     sorted by repository and tag
//! blobs/sha256.<hex>      large blobs, in the order in which they were arranged or pushed
//! blobs/sha256.<hex>      everything else, sorted by digest
//! ```
//!
//! So the same content that is arranged in the same order gives the same archive, however much of
//! it is pushed at the same time, and however often that was interrupted. The index stands first.
//! Space for it is reserved at the start and filled up with blanks; an archive of up to 32 MiB is
//! copied once more on commit, without them.
//!
//! A writer that is killed leaves its files, and the next one takes from them what it needs, where
//! it stands, once that is hashed. [`Push::suspend`](ocm_oci::Push::suspend) makes an archive of
//! what is there, with blobs that are not complete as entries below `unfinished/`, which nobody
//! reads but the next writer.
//!
//! An archive in parts is written in one pass, with the index behind everything else; see `parts`.
//!
//! Call commit once, at the end: what is pushed after a commit starts with a copy of the archive.

mod gzip;
mod loose;
mod opened;
mod packing;
mod partial;
mod parts;
mod shelves;
mod store;
mod tar;
mod unhashed;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ocm_blob::{BlobRef, CHUNK, read_to_end};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{
    Descriptor, Error, Outcome, Pace, Pushed, RawManifest, Reference, RepositoryName, Tag,
};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard};

use self::gzip::GzipPacking;
use self::loose::Loose;
use self::opened::{Opened, copy_entries};
pub(crate) use self::packing::EntryName;
use self::packing::{Hold, Packing};
use self::partial::Partial;
pub use self::parts::Obstacle;
use self::parts::PartPacking;
use self::shelves::Shelves;
use self::tar::TarPacking;
use crate::content::Content;
use crate::facts::FactCache;
use crate::index::ArtifactIndex;
use crate::open::CtfFormat;
use crate::packed::Scratch;
use crate::reach::Reach;
use crate::reading::{self, Archive as _};
use crate::remove::{LeftOut, Unneeded};
use crate::sink::write_stream;
use crate::stamp::Stamp;
use crate::tags::{Replaces, changed, tagged};

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_mins(5);

/// An archive in one file, opened for writing. Clones share it.
///
/// What is pushed can be read at once; others see it after [`Push::commit`](ocm_oci::Push::commit).
#[derive(Clone, Debug)]
pub struct CtfArchiveWriter(Arc<Writer>);

#[derive(Debug)]
struct Writer {
    name: Arc<str>,
    target: PathBuf,
    format: CtfFormat,
    /// The size of parts, for an archive that consists of them.
    part_size: Option<u64>,
    scratch: Scratch,
    patience: Duration,
    names: Mutex<ArtifactIndex>,
    shelves: Arc<Shelves>,
    content: Arc<dyn Content>,
    facts: FactCache,
    /// What was locked and read when the archive was opened, until the first write needs it.
    opened: Mutex<Option<Opened>>,
    /// Shared by pushes, alone with a commit.
    session: Arc<tokio::sync::RwLock<Option<Arc<Session>>>>,
    /// One push of a blob at a time.
    pushing: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

/// A partial archive that is being filled.
#[derive(Debug)]
struct Session {
    partial: Partial,
    packing: Arc<dyn Packing>,
}

/// A session that cannot be committed as long as this is held.
struct Writing {
    packing: Arc<dyn Packing>,
    hold: Hold,
}

impl CtfArchiveWriter {
    /// Opens an archive for writing, new or existing. `format` decides how it will be written.
    ///
    /// Waits up to five minutes for somebody else who is writing it.
    ///
    /// # Errors
    ///
    /// As [`CtfArchiveWriter::open_within`].
    pub async fn open(
        path: impl AsRef<Path>,
        format: CtfFormat,
        scratch: &Scratch,
    ) -> Result<Self, Error> {
        Self::open_within(path, format, scratch, PATIENCE).await
    }

    /// Opens an archive as [`CtfArchiveWriter::open`] does, but waits no longer than `patience` for
    /// somebody else who is writing it.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if somebody else is still writing it, [`Error::Blob`] if files cannot be
    /// created; what [`CtfArchive::open`](crate::CtfArchive::open) says of an existing archive.
    pub async fn open_within(
        path: impl AsRef<Path>,
        format: CtfFormat,
        scratch: &Scratch,
        patience: Duration,
    ) -> Result<Self, Error> {
        Self::new(path.as_ref(), (format, None), scratch, patience).await
    }

    /// Opens an archive that is written as a tar in parts of at most `size` bytes, to be continued
    /// where a killed writer was. One that is complete is only read: pushing what it does not have
    /// fails.
    ///
    /// Waits for others as [`CtfArchiveWriter::open`] does.
    ///
    /// # Errors
    ///
    /// As [`CtfArchiveWriter::open_within`].
    pub async fn open_in_parts(
        path: impl AsRef<Path>,
        size: NonZeroU64,
        scratch: &Scratch,
    ) -> Result<Self, Error> {
        let form = (CtfFormat::Tar, Some(size.get()));
        Self::new(path.as_ref(), form, scratch, PATIENCE).await
    }

    async fn new(
        path: &Path,
        (format, part_size): (CtfFormat, Option<u64>),
        scratch: &Scratch,
        patience: Duration,
    ) -> Result<Self, Error> {
        let name: Arc<str> = path.display().to_string().into();
        // A link stays, what it points to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_in_parts = part_size.is_some();
        let opened = Opened::new(&target, &name, is_in_parts, scratch, patience).await?;
        let shelves = Arc::new(Shelves::default());
        let writer = Self(Arc::new(Writer {
            name,
            target,
            format,
            part_size,
            scratch: scratch.clone(),
            patience,
            names: Mutex::default(),
            content: Arc::clone(&shelves) as Arc<dyn Content>,
            shelves,
            facts: FactCache::default(),
            opened: Mutex::default(),
            session: Arc::default(),
            pushing: Mutex::default(),
        }));
        writer.show(opened);
        Ok(writer)
    }

    /// Tells whether the archive was this one when it was opened, as long as nothing is written.
    pub(crate) fn is_as(&self, stamp: Option<Stamp>) -> bool {
        let opened = lock(&self.0.opened);
        opened.as_ref().is_some_and(|it| it.partial.was(stamp))
    }

    /// Begins to write an existing archive anew without some manifests, and without what nothing
    /// needs then. Returns what that is. Some manifests are needed although no entry leads to them.
    ///
    /// # Errors
    ///
    /// There is no archive; a manifest cannot be understood.
    pub(crate) async fn begin_without(
        &self,
        left_out: &LeftOut,
        also_kept: &BTreeSet<Digest>,
    ) -> Result<Unneeded, Error> {
        let is_there = lock(&self.0.opened)
            .as_ref()
            .is_some_and(|it| it.base.is_some());
        if !is_there {
            return Err(Error::not_found(format!("archive {}", self.0.name)));
        }
        let mut reach = Reach::default();
        let without = self.with_index(|index| left_out.entries(index))?;
        reach.follow(self, &without)?;
        reach.follow_also(self, also_kept.iter().copied())?;
        let mut unneeded = Unneeded::default();
        let mut session = Arc::clone(&self.0.session).write_owned().await;
        let begun = self.begin(|name, size| {
            let is_needed = name.digest().is_none_or(|digest| reach.contains(&digest));
            if !is_needed {
                unneeded.count(size);
            }
            is_needed
        });
        *session = Some(Arc::new(begun.await?));
        drop(session);
        self.0.shelves.forget_base();
        left_out.apply(&mut lock(&self.0.names));
        Ok(unneeded)
    }

    /// Shows what was opened as long as nothing is written.
    fn show(&self, opened: Opened) {
        let mut index = ArtifactIndex::default();
        let mut content = Vec::new();
        if let Some(base) = &opened.base {
            index = base.index().clone();
            content.push(Arc::clone(base.content()));
        }
        let mut names = lock(&self.0.names);
        index.supersede(&names);
        *names = index;
        drop(names);
        self.0.shelves.set(content);
        *lock(&self.0.opened) = Some(opened);
    }

    /// Opens the archive once more.
    async fn reopen(&self) -> Result<Opened, Error> {
        let Writer {
            target,
            name,
            part_size,
            scratch,
            patience,
            ..
        } = self.0.as_ref();
        Opened::new(target, name, part_size.is_some(), scratch, *patience).await
    }

    /// Joins the session that is going on, or starts one.
    async fn writing(&self) -> Result<Writing, Error> {
        let session = Arc::clone(&self.0.session);
        loop {
            let guard = Arc::clone(&session).read_owned().await;
            if let Some(current) = guard.as_ref() {
                return Ok(Writing {
                    packing: Arc::clone(&current.packing),
                    hold: Arc::new(guard) as Arc<OwnedRwLockReadGuard<_>>,
                });
            }
            drop(guard);
            let mut guard = Arc::clone(&session).write_owned().await;
            if guard.is_none() {
                *guard = Some(Arc::new(self.begin(|_, _| true).await?));
            }
        }
    }

    /// Starts a partial archive with what the archive has, as far as it is wanted.
    async fn begin(
        &self,
        is_wanted: impl FnMut(&EntryName, u64) -> bool,
    ) -> Result<Session, Error> {
        let opened = lock(&self.0.opened).take();
        let Opened { partial, base } = match opened {
            Some(opened) => opened,
            None => self.reopen().await?,
        };
        if self.0.part_size.is_some() && base.is_some() {
            self.show(Opened { partial, base });
            return Err(Error::ReadOnly {
                store: self.0.name.to_string(),
            });
        }
        partial.begin();
        let (file, loose) = (partial.file().clone(), Loose::new(partial.loose()));
        let packing: Arc<dyn Packing> = match (self.0.part_size, self.0.format) {
            (Some(size), _) => {
                let packing = PartPacking::new(&partial, size, loose);
                Arc::new(packing.map_err(|source| Error::blob("open", &*self.0.name, source))?)
            }
            (None, CtfFormat::TarGzip) => Arc::new(GzipPacking::new(file, loose)),
            (None, CtfFormat::Tar | CtfFormat::Directory) => Arc::new(TarPacking::new(file, loose)),
        };
        if let Some(base) = &base {
            copy_entries(base, &packing, is_wanted)
                .await
                .map_err(|source| Error::blob("copy", &*self.0.name, source))?;
            let mut index = base.index().clone();
            let mut names = lock(&self.0.names);
            index.supersede(&names);
            *names = index;
        }
        let base = base.map(|base| Arc::clone(base.content()));
        let written = Arc::clone(&packing).into_content();
        self.0
            .shelves
            .set([written].into_iter().chain(base).collect());
        Ok(Session { partial, packing })
    }

    async fn store(&self, blob: &BlobRef) -> Result<Pushed, Error> {
        let what = blob
            .digest()
            .map_or_else(|| "blob".to_owned(), |digest| format!("blob {digest}"));
        let failed = |source| Error::blob("store", format!("{what} in {}", self.0.name), source);
        let _turn = match blob.digest() {
            Some(digest) => {
                let turn = self.turn(digest).await;
                if let Some(size) = self.0.shelves.size(&digest).map_err(failed)?
                    && blob.size().is_none_or(|expected| expected == size)
                {
                    return Ok(Pushed::new(digest, size, Outcome::Existed));
                }
                Some(turn)
            }
            None => None,
        };
        if let (Some(digest), Some(size)) = (blob.digest(), blob.size())
            && size <= CHUNK as u64
            && self.writing().await?.claim(&digest, size).map_err(failed)?
        {
            return Ok(Pushed::new(digest, size, Outcome::Existed));
        }
        if let Some(bytes) = small(blob).await.map_err(failed)? {
            let digest = blob.digest().unwrap_or_else(|| Digest::sha256(&bytes));
            return self.store_bytes(digest, bytes).await;
        }
        let writing = self.writing().await?;
        let stored = match (blob.size(), blob.digest()) {
            (Some(size), Some(digest)) => store_known(&writing, blob, digest, size).await,
            (Some(size), None) => {
                let Writing { packing, hold } = &writing;
                packing.append_unhashed(blob, size, hold).await
            }
            (None, _) => self.store_spooled(&writing, blob).await,
        };
        stored.map_err(failed)
    }

    /// Sets space aside for large blobs that are not there.
    async fn set_aside(&self, blobs: &[Descriptor]) -> Result<Pace, Error> {
        let mut pace = match (self.0.part_size, self.0.format) {
            (Some(_), _) | (None, CtfFormat::TarGzip) => Pace::OneByOne,
            (None, CtfFormat::Tar | CtfFormat::Directory) => Pace::SideBySide,
        };
        for Descriptor { digest, size, .. } in blobs {
            let failed = |source| {
                let what = format!("blob {digest} in {}", self.0.name);
                Error::blob("store", what, source)
            };
            if *size > CHUNK as u64 && self.0.shelves.size(digest).map_err(failed)? != Some(*size) {
                let packing = self.writing().await?.packing;
                pace = packing.arrange(digest, *size).map_err(failed)?;
            }
        }
        Ok(pace)
    }

    /// Stores bytes that are in memory.
    async fn store_bytes(&self, digest: Digest, bytes: Bytes) -> Result<Pushed, Error> {
        let failed = |source| {
            let what = format!("blob {digest} in {}", self.0.name);
            Error::blob("store", what, source)
        };
        let actual = digest.algorithm().digest(&bytes);
        if actual != digest {
            return Err(Error::DigestMismatch {
                what: format!("blob for {}", self.0.name),
                expected: digest,
                actual,
            });
        }
        let size = bytes.len() as u64;
        if self.0.shelves.size(&digest).map_err(failed)? == Some(size) {
            return Ok(Pushed::new(digest, size, Outcome::Existed));
        }
        let writing = self.writing().await?;
        if writing.claim(&digest, size).map_err(failed)? {
            return Ok(Pushed::new(digest, size, Outcome::Existed));
        }
        let loose = writing.packing.loose();
        let appended = loose.append(EntryName::Blob(digest), &bytes);
        appended.map_err(failed)?;
        Ok(Pushed::new(digest, size, Outcome::Copied))
    }

    /// Stores a blob whose size is not known before it has been read: by a temporary file.
    async fn store_spooled(
        &self,
        writing: &Writing,
        blob: &BlobRef,
    ) -> Result<Pushed, ocm_blob::Error> {
        let file = self.0.scratch.file().await?;
        let algorithm = blob.digest().is_none().then(HashAlgorithm::default);
        let stream = blob.open().await?;
        let written = write_stream(stream, file.clone(), 0, u64::MAX, algorithm, ()).await?;
        let digest = blob.digest().or(written.digest);
        let digest = digest.expect("a blob without digest has been hashed");
        let _turn = match blob.digest() {
            Some(_) => None,
            None => Some(self.turn(digest).await),
        };
        if self.0.shelves.size(&digest)? == Some(written.size) {
            return Ok(Pushed::new(digest, written.size, Outcome::Existed));
        }
        let spooled: BlobRef = Arc::new(file.blob(0, written.size));
        store_known(writing, &spooled, digest, written.size).await
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
        replaces: Replaces,
    ) -> Result<(), Error> {
        reading::check_children(self, repository, manifest)?;
        let digest = manifest.digest();
        let turn = self.turn(digest).await;
        self.store_bytes(digest, manifest.bytes().clone()).await?;
        drop(turn);
        let reference = tag.map_or(Reference::Digest(digest), |tag| tag.clone().into());
        let is_listed = |index: &ArtifactIndex| {
            let listed = index.resolve(repository, &reference);
            listed.is_some_and(|listed| listed.digest == digest)
        };
        // What is expected is compared with what is there now, not with what was there once.
        if replaces == Replaces::Anything && self.with_index(is_listed)? {
            return Ok(());
        }
        // The session may replace the index when it starts, so it starts before the change.
        let _writing = self.writing().await?;
        if self.with_index(is_listed)? {
            return Ok(());
        }
        let mut names = lock(&self.0.names);
        if let Some(tag) = tag
            && !replaces.admits(tagged(&names, repository, tag))
        {
            return Err(changed(&self.0.name, repository, tag));
        }
        names.add(repository, tag, digest, manifest.media_type());
        Ok(())
    }

    /// Waits until nobody else pushes this blob.
    async fn turn(&self, digest: Digest) -> OwnedMutexGuard<()> {
        let turn = {
            let mut pushing = lock(&self.0.pushing);
            pushing.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(pushing.entry(digest).or_default())
        };
        turn.lock_owned().await
    }

    fn remove(&self, writing: &Writing, digest: &Digest) -> Result<(), Error> {
        if writing.packing.remove(digest) {
            self.0.shelves.forget_base();
            Ok(())
        } else {
            Err(Error::Unsupported {
                store: self.0.name.to_string(),
                operation: "removing content",
            })
        }
    }
}

impl Writing {
    /// Adds a loose blob that a killed writer has left.
    fn claim(&self, digest: &Digest, size: u64) -> Result<bool, ocm_blob::Error> {
        self.packing.loose().claim(digest, size)
    }
}

async fn store_known(
    writing: &Writing,
    blob: &BlobRef,
    digest: Digest,
    size: u64,
) -> Result<Pushed, ocm_blob::Error> {
    let Writing { packing, hold } = writing;
    let name = EntryName::Blob(digest);
    let outcome = packing.append(name, size, blob, hold).await?;
    Ok(Pushed::new(digest, size, outcome))
}

/// Returns the content of a small blob.
async fn small(blob: &BlobRef) -> Result<Option<Bytes>, ocm_blob::Error> {
    if let Some(bytes) = blob.bytes().filter(|bytes| bytes.len() <= CHUNK) {
        return Ok(Some(bytes));
    }
    match blob.size() {
        Some(size) if size <= CHUNK as u64 => {
            read_to_end(blob.as_ref(), CHUNK as u64).await.map(Some)
        }
        _ => Ok(None),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is changed here in more than one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
