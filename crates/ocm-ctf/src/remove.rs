//! Making an archive smaller, whatever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ocm_digest::Digest;
use ocm_oci::{
    Collect as _, Collected, Document, Error, Fetch as _, Push as _, RawManifest, Reference,
    RepositoryName, StoreRef, Tag,
};

use crate::archive::CtfArchive;
use crate::directory::CtfDirectory;
use crate::index::{ArtifactIndex, INDEX_FILE};
use crate::open::{Access, CtfFormat, format_of};
use crate::packed::Scratch;
use crate::parts::PartList;
use crate::reach::{self, Entries, Reach};
use crate::reading::Archive;
use crate::stamp::Stamp;
use crate::tags::tagged;
use crate::writer::CtfArchiveWriter;

/// How old what nothing needs has to be where somebody else writes to a directory.
const GRACE: Duration = Duration::from_hours(24);

/// How often a list is written anew that somebody else changes at the same time.
const ATTEMPTS: u32 = 20;

/// What is to be taken out of an archive.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Manifests, each in its repository.
    pub manifests: BTreeSet<(RepositoryName, Digest)>,
    /// The tags of these manifests. One that has another tag by then loses these, and stays.
    pub names: BTreeSet<(RepositoryName, Tag)>,
    /// Manifests that have no tag, and go only as long as they have none. Where somebody else writes
    /// to a directory who may be about to name them, they stay until they are older than a day.
    pub nameless: BTreeSet<(RepositoryName, Digest)>,
    /// Tags whose manifests stay, and which these are: a tag that names something else meanwhile
    /// stays as well.
    pub tags: BTreeMap<(RepositoryName, Tag), Digest>,
    /// Indexes that list what refers to a manifest, under their tags: each is written anew without
    /// the manifests that go, or goes if nothing is left in it.
    pub lists: BTreeMap<(RepositoryName, Tag), Digest>,
}

impl LeftOut {
    /// Returns the entries of an index that nothing is reached by.
    pub(crate) fn entries(&self, index: &ArtifactIndex) -> Entries {
        let lists = self.lists.iter();
        let lists = lists.map(|((repository, _), digest)| (repository.clone(), *digest));
        let is_known = |repository: &RepositoryName, tag: Option<Tag>| {
            tag.is_some_and(|tag| self.names.contains(&(repository.clone(), tag)))
        };
        let manifests = self.manifests.iter().chain(&self.nameless);
        let going = manifests.filter(|(repository, digest)| {
            let mut tags = index.tags_of(repository, digest);
            tags.all(|tag| is_known(repository, tag))
        });
        going.cloned().chain(lists).collect()
    }

    pub(crate) fn apply(&self, index: &mut ArtifactIndex) {
        for ((repository, tag), digest) in &self.tags {
            if tagged(index, repository, tag) == Some(*digest) {
                index.remove_tag(repository, tag);
            }
        }
        for (repository, digest) in &self.entries(index) {
            index.remove_manifest(repository, digest);
        }
        // What has got another name is left, and loses those that it had.
        for (repository, tag) in &self.names {
            let named = tagged(index, repository, tag);
            if named.is_some_and(|it| self.manifests.contains(&(repository.clone(), it))) {
                index.remove_tag(repository, tag);
            }
        }
    }
}

/// Blobs that nothing needs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unneeded {
    /// How many.
    pub blobs: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

impl Unneeded {
    pub(crate) fn count(&mut self, size: u64) {
        self.blobs += 1;
        self.bytes += size;
    }
}

/// What has been removed from an archive.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Removed {
    /// The blobs that are gone.
    pub unneeded: Unneeded,
    /// How many manifests that have no tag are still there, as somebody else may be about to name
    /// them.
    pub young: u64,
    /// Whether somebody else writes to the archive, so that other blobs that nothing needs go later.
    pub is_shared: bool,
}

/// An archive that something is to be taken out of.
#[derive(Clone, Debug)]
pub struct Shrinking {
    path: PathBuf,
    scratch: Scratch,
    now: Now,
}

/// The archive as it is.
#[derive(Clone, Debug)]
enum Now {
    Directory(CtfDirectory),
    /// With what tells it from another one that takes its place.
    File(CtfArchive, Option<Stamp>),
}

impl Shrinking {
    /// Opens an archive to look at it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no archive, [`Error::ReadOnly`] if it is in parts. It cannot
    /// be read.
    pub async fn open(path: impl AsRef<Path>, scratch: &Scratch) -> Result<Self, Error> {
        let path = path.as_ref();
        check(path)?;
        let now = if format_of(path)? == CtfFormat::Directory {
            Now::Directory(CtfDirectory::open(path, Access::ReadOnly)?)
        } else {
            let stamp = Stamp::at(path).map_err(|source| {
                let source = ocm_blob::Error::file("read", path, source);
                Error::blob("open", path.display().to_string(), source)
            })?;
            Now::File(CtfArchive::open(path, scratch).await?, stamp)
        };
        Ok(Self {
            path: path.to_owned(),
            scratch: scratch.clone(),
            now,
        })
    }

    /// Returns the archive as it is, as a store.
    pub fn store(&self) -> StoreRef {
        match &self.now {
            Now::Directory(directory) => Arc::new(directory.clone()),
            Now::File(archive, _) => Arc::new(archive.clone()),
        }
    }

    /// Returns the manifests that have no tag, to which nothing leads that has one, and which refer
    /// to nothing of that: what a tag has left that points elsewhere now, or a push that was given
    /// up.
    ///
    /// # Errors
    ///
    /// The archive cannot be read, or has a manifest that cannot be understood.
    pub fn unnamed(&self) -> Result<BTreeSet<(RepositoryName, Digest)>, Error> {
        match &self.now {
            Now::Directory(directory) => reach::unnamed(directory),
            Now::File(archive, _) => reach::unnamed(archive),
        }
    }

    /// Returns what [`Shrinking::leave_out`] would remove of blobs, as nobody else writes to the
    /// archive. `sizes` of blobs, in bytes, need not be looked up; they are taken as they are.
    ///
    /// # Errors
    ///
    /// As [`Shrinking::unnamed`].
    pub async fn preview(
        &self,
        left_out: &LeftOut,
        sizes: &BTreeMap<Digest, u64>,
    ) -> Result<Unneeded, Error> {
        let kept = listed_by(&self.lists_without(left_out).await?)?;
        let archive = match &self.now {
            Now::Directory(directory) => {
                return directory.unneeded(&reach_without(directory, left_out, kept)?, sizes);
            }
            Now::File(archive, _) => archive,
        };
        let reach = reach_without(archive, left_out, kept)?;
        let mut unneeded = Unneeded::default();
        for (digest, (_, size)) in &archive.tar().blobs {
            if !reach.contains(digest) {
                unneeded.count(*size);
            }
        }
        Ok(unneeded)
    }

    /// Takes manifests out of the archive, and all that nothing needs then.
    ///
    /// In a directory the names go first, all at once, and then the blobs; if somebody else writes to
    /// it, only those blobs go that are older than a day, in two steps, see
    /// [`Collect`](ocm_oci::Collect). An archive in one file is written anew and replaced as a whole.
    /// So an archive is whole whenever this is broken off, and what has not been done is done by the
    /// next call.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if an archive in one file is not the one any more that was opened: then
    /// nothing is changed. The archive cannot be read or written, or has a manifest that cannot be
    /// understood.
    pub async fn leave_out(&self, left_out: &LeftOut) -> Result<Removed, Error> {
        let Self { path, scratch, now } = self;
        if let Now::File(_, stamp) = now {
            let lists = self.lists_without(left_out).await?;
            let kept = listed_by(&lists)?;
            let format = format_of(path)?;
            let writer = CtfArchiveWriter::open(path, format, scratch).await?;
            if !writer.is_as(*stamp) {
                let what = path.display().to_string();
                return Err(Error::Changed { what });
            }
            let unneeded = writer.begin_without(left_out, &kept).await?;
            for (repository, tag, list) in &lists {
                writer.push_manifest(repository, list, Some(tag)).await?;
            }
            writer.commit().await?;
            return Ok(Removed {
                unneeded,
                young: 0,
                is_shared: false,
            });
        }
        let directory = CtfDirectory::open(path, Access::ReadWrite)?;
        let young = directory.leave_out(left_out, GRACE)?;
        directory.commit().await?;
        write_lists(&directory, left_out).await?;
        let (collected, is_shared) = match directory.collect_alone().await {
            Err(Error::Busy { .. }) => (directory.collect(GRACE).await?, true),
            collected => (collected?, false),
        };
        let Collected { blobs, bytes, .. } = collected;
        Ok(Removed {
            unneeded: Unneeded { blobs, bytes },
            young,
            is_shared,
        })
    }

    /// Returns lists of what refers to something as they will be, if there is anything left in them.
    async fn lists_without(
        &self,
        left_out: &LeftOut,
    ) -> Result<Vec<(RepositoryName, Tag, RawManifest)>, Error> {
        let archive = self.store();
        let mut lists = Vec::new();
        for ((repository, tag), digest) in &left_out.lists {
            let list = archive
                .manifest(repository, &Reference::Digest(*digest))
                .await?;
            if let Some((_, Some(shorter))) = shorter(repository, &list, left_out)? {
                lists.push((repository.clone(), tag.clone(), shorter));
            }
        }
        Ok(lists)
    }
}

/// Returns a list of what refers to something without the manifests that go, and how many these are;
/// no list if nothing is left in it. `None` if it is none.
fn shorter(
    repository: &RepositoryName,
    list: &RawManifest,
    left_out: &LeftOut,
) -> Result<Option<(usize, Option<RawManifest>)>, Error> {
    let Document::Index(mut index) = list.parse()? else {
        return Ok(None);
    };
    let before = index.manifests.len();
    index.manifests.retain(|entry| {
        let place = (repository.clone(), entry.digest);
        !left_out.manifests.contains(&place) && !left_out.nameless.contains(&place)
    });
    let left = index.manifests.len();
    let shorter = (left > 0).then(|| RawManifest::index(&index));
    Ok(Some((before - left, shorter)))
}

/// Returns what lists list.
fn listed_by(lists: &[(RepositoryName, Tag, RawManifest)]) -> Result<BTreeSet<Digest>, Error> {
    let mut listed = BTreeSet::new();
    for (_, _, list) in lists {
        let document = list.parse()?;
        let children = document.children().into_iter();
        listed.extend(children.map(|child| child.digest));
    }
    Ok(listed)
}

/// Writes the lists of a directory anew. Where somebody else has changed one meanwhile, it is read
/// and written once more.
async fn write_lists(directory: &CtfDirectory, left_out: &LeftOut) -> Result<(), Error> {
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        outcome = match shorten_lists(directory, left_out).await {
            Ok(false) => return Ok(()),
            Ok(true) => directory.commit().await,
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(()) | Err(Error::Changed { .. })) {
            return outcome;
        }
    }
    outcome
}

/// Writes lists as they are now without what goes. Returns whether there was anything to do.
async fn shorten_lists(directory: &CtfDirectory, left_out: &LeftOut) -> Result<bool, Error> {
    let mut any = false;
    for (repository, tag) in left_out.lists.keys() {
        let reference = Reference::Tag(tag.clone());
        let list = match directory.manifest(repository, &reference).await {
            Err(error) if error.is_not_found() => continue,
            list => list?,
        };
        let old = list.digest();
        match shorter(repository, &list, left_out)? {
            None | Some((0, _)) => continue,
            Some((_, None)) => drop(directory.remove_tag_of(repository, tag, &old)?),
            Some((_, Some(list))) => {
                directory
                    .replace_manifest(repository, &list, tag, Some(&old))
                    .await?;
            }
        }
        directory.remove_untagged(repository, &old)?;
        any = true;
    }
    Ok(any)
}

/// Refuses an archive in parts, which is read only, and a directory that has no index: it is
/// something else, or nothing yet.
fn check(path: &Path) -> Result<(), Error> {
    if PartList::of(path).is_some() {
        let store = path.display().to_string();
        return Err(Error::ReadOnly { store });
    }
    if path.is_dir() && !path.join(INDEX_FILE).is_file() {
        return Err(Error::not_found(format!(
            "{INDEX_FILE} in {}",
            path.display()
        )));
    }
    Ok(())
}

fn reach_without(
    archive: &impl Archive,
    left_out: &LeftOut,
    also_kept: BTreeSet<Digest>,
) -> Result<Reach, Error> {
    let mut reach = Reach::default();
    reach.follow(
        archive,
        &archive.with_index(|index| left_out.entries(index))?,
    )?;
    reach.follow_also(archive, also_kept)?;
    Ok(reach)
}
