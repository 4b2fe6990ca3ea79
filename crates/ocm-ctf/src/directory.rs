//! Archives that are directories.
//!
//! ```text
//! artifact-index.json     see `index`
//! blobs/sha256.<hex>      manifests and everything else, by digest
//! .uploads/<hex>          what has come of an upload to a server, see `upload`
//! .condemned/sha256.<hex> blobs that are going to be removed, see `collect`
//! .grace                  how long who writes may take, see `grace`
//! ```
//!
//! Blobs get their names once they are complete; the index is replaced as a whole by
//! [`Push::commit`]. So a reader never sees half of anything, and a run that is killed leaves at
//! most blobs that nothing refers to, and large ones that are half-way there, with which the next
//! run goes on. Several processes may write at once: each adds its changes to
//! the index that it finds, under a lock.

mod blobs;
mod collect;
mod flush;
mod grace;
mod part;
mod upload;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{
    BlobUpload, Collect, Delete, Error, Fetch as _, Ingest, Push, Pushed, RawManifest, Reference,
    RepositoryName, Store, Tag,
};

use self::blobs::DirectoryContent;
use self::collect::CONDEMNED;
use self::upload::{DirectoryUpload, UPLOADS};
use self::writer::Writer;
use crate::content::Content;
use crate::facts::FactCache;
use crate::index::{ArtifactIndex, INDEX_FILE};
use crate::open::Access;
use crate::reading::{self, Archive, impl_reading};
use crate::remove::LeftOut;
use crate::sink::blocking;
use crate::stamp::Stamp;
use crate::tags::{Replaces, changed, tagged};

/// An archive that is a directory.
///
/// Clones share it. What is pushed can be read at once; others see it after [`Push::commit`].
#[derive(Clone, Debug)]
pub struct CtfDirectory(Arc<Directory>);

#[derive(Debug)]
struct Directory {
    name: Arc<str>,
    root: PathBuf,
    access: Access,
    blobs: Arc<DirectoryContent>,
    content: Arc<dyn Content>,
    names: Mutex<Names>,
    facts: FactCache,
    /// Held while the index is written.
    flushing: Arc<tokio::sync::Mutex<()>>,
    writer: Option<Writer>,
}

/// The index as it is on disk, with what has been changed since.
#[derive(Debug, Default)]
struct Names {
    index: Arc<ArtifactIndex>,
    stamp: Option<Stamp>,
    /// What is in `index` and not on disk: on its way there, and yet to come.
    in_flight: Vec<Change>,
    pending: Vec<Change>,
    /// Manifests that are not going to be listed after all, and why: until somebody has been told,
    /// or they are pushed again.
    given_up: BTreeMap<(RepositoryName, Digest), Reason>,
    /// Blobs to be removed once no index on disk lists them.
    doomed: BTreeSet<Digest>,
    /// Blobs that have been written and not synced.
    unsynced: Vec<PathBuf>,
    /// Counts changes of any kind, and up to which of them everything is on disk.
    changed: u64,
    flushed: u64,
}

/// A change of the index, as it is repeated on an index that somebody else has changed.
#[derive(Clone, Debug)]
enum Change {
    Add {
        repository: RepositoryName,
        tag: Option<Tag>,
        digest: Digest,
        media_type: String,
        replaces: Replaces,
    },
    RemoveTag {
        repository: RepositoryName,
        tag: Tag,
        /// Only if it points here.
        only: Option<Digest>,
    },
    /// With these tags, which are those that whoever removes it has seen.
    RemoveManifest {
        repository: RepositoryName,
        digest: Digest,
        tags: BTreeSet<Tag>,
    },
    /// Only if it has no tag.
    RemoveUntagged(RepositoryName, Digest),
}

/// Why a manifest is not listed that was to be.
#[derive(Clone, Debug)]
enum Reason {
    /// Something that it needs is gone.
    Lacks(Digest),
    /// Its tag does not point to what was expected.
    Changed(Tag),
}

impl Change {
    /// Tells whether this sets a tag only where it points to what is expected.
    const fn is_conditional(&self) -> bool {
        matches!(
            self,
            Self::Add {
                replaces: Replaces::Only(_),
                ..
            }
        )
    }

    /// Tells whether an index is as if this had been the last change of its tag.
    fn holds(&self, index: &ArtifactIndex) -> bool {
        match self {
            Self::Add {
                repository,
                tag: Some(tag),
                digest,
                ..
            } => tagged(index, repository, tag) == Some(*digest),
            _ => true,
        }
    }

    /// Returns the manifest that this lists, in its repository.
    const fn adds(&self) -> Option<(&RepositoryName, &Digest)> {
        match self {
            Self::Add {
                repository, digest, ..
            } => Some((repository, digest)),
            _ => None,
        }
    }

    fn sets(&self) -> Option<(&RepositoryName, &Tag)> {
        match self {
            Self::Add {
                repository,
                tag: Some(tag),
                ..
            }
            | Self::RemoveTag {
                repository, tag, ..
            } => Some((repository, tag)),
            _ => None,
        }
    }

    fn apply(&self, index: &mut ArtifactIndex) -> bool {
        match self {
            Self::Add {
                repository,
                tag,
                digest,
                media_type,
                replaces,
            } => {
                if let Some(tag) = tag
                    && !replaces.admits(tagged(index, repository, tag))
                {
                    return false;
                }
                index.add(repository, tag.as_ref(), *digest, media_type)
            }
            Self::RemoveTag {
                repository,
                tag,
                only,
            } => {
                let is_other = |only: &Digest| tagged(index, repository, tag) != Some(*only);
                !only.as_ref().is_some_and(is_other) && index.remove_tag(repository, tag)
            }
            Self::RemoveManifest {
                repository,
                digest,
                tags,
            } => index.remove_with_tags(repository, digest, tags),
            Self::RemoveUntagged(repository, digest) => index.remove_untagged(repository, digest),
        }
    }
}

impl CtfDirectory {
    /// Opens a directory, which is created if it is to be written and is not there.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is nothing to read, [`Error::Malformed`] if the index is,
    /// [`Error::Blob`] if files cannot be read or created.
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, Error> {
        let root = path.as_ref().to_owned();
        let name: Arc<str> = root.display().to_string().into();
        let failed = |action, path: &Path, source| {
            let source = ocm_blob::Error::file(action, path, source);
            Error::blob("open", &*name, source)
        };
        let blobs = root.join("blobs");
        let writer = match access {
            Access::ReadOnly => {
                if !blobs.is_dir() && !root.join(INDEX_FILE).is_file() {
                    return Err(Error::not_found(format!("archive {name}")));
                }
                None
            }
            Access::ReadWrite => Some(Writer::register(&root, &blobs, failed)?),
        };
        let condemned = root.join(CONDEMNED);
        let blobs = Arc::new(DirectoryContent::new(blobs, condemned));
        let directory = Directory {
            name,
            root,
            access,
            content: Arc::clone(&blobs) as Arc<dyn Content>,
            blobs,
            names: Mutex::default(),
            facts: FactCache::default(),
            flushing: Arc::default(),
            writer,
        };
        drop(directory.current()?);
        Ok(Self(Arc::new(directory)))
    }

    fn writable(&self) -> Result<(), Error> {
        match self.0.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Error::ReadOnly {
                store: self.0.name.to_string(),
            }),
        }
    }

    fn change(&self, change: Change) -> Result<bool, Error> {
        let mut names = self.0.current()?;
        if let Change::Add {
            repository, digest, ..
        } = &change
            && !names.given_up.is_empty()
        {
            names.given_up.remove(&(repository.clone(), *digest));
        }
        let changed = change.apply(Arc::make_mut(&mut names.index));
        if changed {
            names.pending.push(change);
            names.changed += 1;
        }
        Ok(changed)
    }

    /// Takes names out of the index with the next commit, but not lists; blobs stay. Of what has no
    /// name, only that goes which is older than a grace time, unless nobody else writes. Returns how
    /// much of that stays.
    pub(crate) fn leave_out(&self, left_out: &LeftOut, grace: Duration) -> Result<u64, Error> {
        self.writable()?;
        for ((repository, tag), digest) in &left_out.tags {
            self.remove_tag_of(repository, tag, digest)?;
        }
        for (repository, digest) in &left_out.manifests {
            let tags = self.with_index(|index| {
                let tags = index.tags_of(repository, digest).flatten();
                let seen =
                    tags.filter(|tag| left_out.names.contains(&(repository.clone(), tag.clone())));
                seen.collect()
            })?;
            self.change(Change::RemoveManifest {
                repository: repository.clone(),
                digest: *digest,
                tags,
            })?;
        }
        let mut young = 0;
        let is_old = self.is_old(grace)?;
        for (repository, digest) in &left_out.nameless {
            if is_old(digest)? {
                self.remove_untagged(repository, digest)?;
            } else {
                young += 1;
            }
        }
        Ok(young)
    }

    /// Removes a tag with the next commit if it points to a manifest then.
    pub(crate) fn remove_tag_of(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<bool, Error> {
        self.change(Change::RemoveTag {
            repository: repository.clone(),
            tag: tag.clone(),
            only: Some(*digest),
        })
    }

    /// Takes a manifest out of the index with the next commit if it has no tag then.
    pub(crate) fn remove_untagged(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        self.change(Change::RemoveUntagged(repository.clone(), *digest))
    }

    /// Records that a blob is in the directory under its name.
    fn added(&self, digest: &Digest) {
        let mut names = self.0.names();
        names.changed += 1;
        names.unsynced.push(self.0.blobs.path(digest));
    }

    /// Takes back the removal of a blob that is wanted after all.
    fn keep(&self, digest: &Digest) {
        self.0.blobs.show(digest);
        self.0.names().doomed.remove(digest);
    }

    /// Removes a blob at the next commit, and for readers of this store now.
    fn doom(&self, digest: &Digest) {
        self.0.blobs.hide(*digest);
        let mut names = self.0.names();
        names.doomed.insert(*digest);
        names.changed += 1;
    }

    /// Returns the error of a manifest that is not listed.
    fn unlisted(&self, repository: &RepositoryName, manifest: &Digest, reason: &Reason) -> Error {
        match reason {
            Reason::Lacks(digest) => Error::Dangling {
                what: format!("manifest {manifest} for {}", self.0.name),
                digest: *digest,
            },
            Reason::Changed(tag) => changed(&self.0.name, repository, tag),
        }
    }

    fn failed(&self, action: &'static str, what: &str, source: ocm_blob::Error) -> Error {
        Error::blob(action, format!("{what} of {}", self.0.name), source)
    }
}

impl Directory {
    fn names(&self) -> MutexGuard<'_, Names> {
        // A holder that panicked has at most not recorded a blob, which is then not synced.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the directory of the uploads that have been saved.
    fn uploads(&self) -> PathBuf {
        self.root.join(UPLOADS)
    }
}

impl Archive for CtfDirectory {
    fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    fn content(&self) -> &Arc<dyn Content> {
        &self.0.content
    }

    fn with_index<R>(&self, look: impl FnOnce(&ArtifactIndex) -> R) -> Result<R, Error> {
        Ok(look(&self.0.current()?.index))
    }

    fn facts(&self) -> &FactCache {
        &self.0.facts
    }
}

impl_reading!(CtfDirectory);

impl Store for CtfDirectory {
    fn location(&self) -> String {
        self.0.name.to_string()
    }

    fn is_at_hand(&self) -> bool {
        true
    }

    fn ingest(&self) -> Option<&dyn Ingest> {
        (self.0.access == Access::ReadWrite).then_some(self as &dyn Ingest)
    }

    fn collector(&self) -> Option<&dyn Collect> {
        (self.0.access == Access::ReadWrite).then_some(self as &dyn Collect)
    }
}

#[async_trait]
impl Push for CtfDirectory {
    async fn push_blob(
        &self,
        _repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        self.writable()?;
        self.store(blob).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        _from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        Ok(self.stat_blob(repository, digest).await?.is_some())
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        self.writable()?;
        reading::check_children(self, repository, manifest)?;
        self.store_small(manifest.bytes(), &manifest.digest())?;
        self.change(Change::Add {
            repository: repository.clone(),
            tag: tag.cloned(),
            digest: manifest.digest(),
            media_type: manifest.media_type().to_owned(),
            replaces: Replaces::Anything,
        })?;
        Ok(())
    }

    /// Compares now, and again under the lock of the index when that is written.
    async fn replace_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: &Tag,
        expected: Option<&Digest>,
    ) -> Result<(), Error> {
        self.writable()?;
        reading::check_children(self, repository, manifest)?;
        let digest = manifest.digest();
        self.store_small(manifest.bytes(), &digest)?;
        self.change(Change::Add {
            repository: repository.clone(),
            tag: Some(tag.clone()),
            digest,
            media_type: manifest.media_type().to_owned(),
            replaces: Replaces::Only(expected.copied()),
        })?;
        let is_set = self.with_index(|index| tagged(index, repository, tag) == Some(digest))?;
        if is_set {
            return Ok(());
        }
        Err(changed(&self.0.name, repository, tag))
    }

    /// Syncs the blobs, then replaces the index. Callers that arrive while that goes on share the
    /// next round. A manifest that cannot be listed any more keeps nothing else from being so.
    async fn commit(&self) -> Result<(), Error> {
        self.flush().await?;
        let given_up = std::mem::take(&mut self.0.names().given_up);
        let mut given_up = given_up.into_iter();
        given_up
            .next()
            .map_or(Ok(()), |((repository, digest), reason)| {
                Err(self.unlisted(&repository, &digest, &reason))
            })
    }

    async fn commit_own(&self, own: Option<(&RepositoryName, &Digest)>) -> Result<(), Error> {
        self.flush().await?;
        let Some((repository, digest)) = own else {
            return Ok(());
        };
        let given_up = &self.0.names().given_up;
        match given_up.get(&(repository.clone(), *digest)) {
            // It stays there, as somebody else may have pushed the same.
            Some(reason) => Err(self.unlisted(repository, digest, reason)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Delete for CtfDirectory {
    /// Removes a tag, or a manifest with its tags: those that it has now. Where somebody else gives
    /// it another one before the next commit, it stays under that. The manifest's blob is removed
    /// with the next commit unless something else refers to it.
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        self.writable()?;
        let change = match reference {
            Reference::Tag(tag) => Change::RemoveTag {
                repository: repository.clone(),
                tag: tag.clone(),
                only: None,
            },
            Reference::Digest(digest) => Change::RemoveManifest {
                repository: repository.clone(),
                digest: *digest,
                tags: self
                    .with_index(|index| index.tags_of(repository, digest).flatten().collect())?,
            },
        };
        if !self.change(change)? {
            return Err(reading::missing(self, repository, reference));
        }
        if let Reference::Digest(digest) = reference
            && reading::need_of(self, digest)?.is_none()
        {
            self.doom(digest);
        }
        Ok(())
    }

    /// Removes a blob with the next commit. Repositories share their blobs, so one that any
    /// manifest refers to is not removed.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none, [`Error::Denied`] if it is still needed.
    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        self.writable()?;
        let name = &self.0.name;
        if self.stat_blob(repository, digest).await?.is_none() {
            return Err(Error::not_found(format!("blob {digest} of {name}")));
        }
        reading::refuse_needed(self, digest)?;
        self.doom(digest);
        Ok(())
    }
}

#[async_trait]
impl Ingest for CtfDirectory {
    async fn begin(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Box<dyn BlobUpload>, Error> {
        self.writable()?;
        let upload = DirectoryUpload::begin(self.clone(), repository, id)?;
        Ok(Box::new(upload))
    }

    async fn resume(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Box<dyn BlobUpload>>, Error> {
        self.writable()?;
        let found = DirectoryUpload::resume(self.clone(), repository, id)?;
        Ok(found.map(|upload| Box::new(upload) as Box<dyn BlobUpload>))
    }

    async fn expire(&self, before: SystemTime) -> Result<(), Error> {
        self.writable()?;
        let uploads = self.0.uploads();
        let expiring = blocking(move || upload::expire(&uploads, before));
        let expired = expiring.await;
        expired.map_err(|source| self.failed("remove", "uploads", source))?;
        Ok(())
    }
}
