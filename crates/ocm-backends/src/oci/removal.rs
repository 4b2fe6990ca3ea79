//! Removing component versions, and what only they have.

mod note;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;
use ocm_model::{ComponentName, ComponentVersionId, Version};
use ocm_oci::{
    Descriptor as Entry, Error as StoreError, RawManifest, Reference, RepositoryName, StoreRef,
    Tag, media_type, on_own_task,
};
use ocm_repository::{Error, Removal};

use self::note::Note;
pub(super) use self::note::is_note;
use super::list::subject_of;
use super::{OciComponentRepository, lock, tag_of};

/// How many tags are looked at at a time.
const PARALLEL: usize = 8;

impl OciComponentRepository {
    /// Finds out what goes with versions of a component. Each tag is looked at, as any may name what
    /// a version has. What a removal has left that broke off goes as well.
    pub(super) async fn plan_removal(
        &self,
        component: &ComponentName,
        versions: &BTreeSet<Version>,
    ) -> Result<Removal, Error> {
        let planned = self.plan(component, versions).await?;
        Ok(planned.removal)
    }

    async fn plan(
        &self,
        component: &ComponentName,
        versions: &BTreeSet<Version>,
    ) -> Result<Planned, Error> {
        let failed = |source| Error::backend("look at", component.as_str(), source);
        let repository = self.repository(component)?;
        let mut wanted = BTreeMap::new();
        for version in versions {
            let id = ComponentVersionId::new(component.clone(), version.clone());
            wanted.insert(tag_of(&id)?, id);
        }
        let tags = match self.store.tags(&repository).await {
            Err(error) if error.is_not_found() => Vec::new(),
            tags => tags.map_err(failed)?,
        };
        let named_note = tags.iter().find(|tag| is_note(tag)).cloned();
        let note = if named_note.is_some() {
            let note = Note::read(&self.store, &repository).await;
            note.map_err(failed)?
        } else {
            None
        };
        let tags = tags.into_iter();
        let tags = tags.filter(|tag| note.is_none() || !is_note(tag)).collect();
        let mut tagged = top(&self.store, &repository, tags).await.map_err(failed)?;
        let mut gone = BTreeMap::new();
        for (tag, id) in wanted {
            let node = tagged.remove(&tag).ok_or_else(|| Error::NotFound {
                id,
                location: self.location.clone(),
            })?;
            gone.insert(tag, node);
        }
        let roots: BTreeSet<Digest> = gone.values().map(|node| node.entry.digest).collect();
        // What has the form of a version is one, and stays.
        let is_alias = |tag: &Tag| !Version::from_tag(tag.as_str()).is_ok_and(|it| it.is_semver());
        let mut other_tags: BTreeSet<Tag> = tagged
            .iter()
            .filter(|(tag, node)| is_alias(tag) && roots.contains(&node.entry.digest))
            .map(|(tag, _)| tag.clone())
            .collect();
        tagged.retain(|tag, _| !other_tags.contains(tag));

        let place = Place(&self.store, &repository);
        let listing = |tag: &Tag| subject_of(tag).is_some();
        let owners = tagged.iter().filter(|(tag, _)| !listing(tag));
        let owners = owners.map(|(_, node)| node.clone()).collect();
        let staying = place.staying(owners).await.map_err(failed)?;
        let mut going: Vec<Node> = gone.values().cloned().collect();
        if let Some(note) = &note {
            let left = place.read_all(note.digests.clone()).await;
            going.extend(left.map_err(failed)?);
        }
        let going = place.going(going, &staying, &mut tagged).await;
        let mut going = going.map_err(failed)?;
        other_tags.append(&mut going.tags);
        // A list of what refers to something that stays keeps nothing, but anything else does that
        // only looks like one.
        let (lists, others): (Vec<_>, Vec<_>) = tagged
            .into_iter()
            .filter(|(tag, _)| listing(tag))
            .partition(|(tag, _)| {
                subject_of(tag).is_some_and(|it| Tag::for_referrers(&it) == *tag)
            });
        let others = others.into_iter().map(|(_, node)| node).collect();
        let others = place.staying(others).await.map_err(failed)?;
        going
            .order
            .retain(|node| !others.contains_key(&node.entry.digest));
        let removed: BTreeSet<Digest> = going.order.iter().map(|node| node.entry.digest).collect();
        let stale = lists.into_iter().filter(|(_, list)| {
            let mut listed = list.manifests.iter();
            listed.any(|entry| removed.contains(&entry.digest))
        });

        let content = going.order.iter().flat_map(|node| {
            let itself = (node.entry.digest, node.entry.size);
            std::iter::once(itself).chain(node.blobs.iter().copied())
        });
        let mut content: BTreeMap<Digest, u64> = content.collect();
        for (digest, _) in staying.values().chain(others.values()).flatten() {
            content.remove(digest);
        }
        let tags_alone = gone
            .iter()
            .filter(|(_, node)| !removed.contains(&node.entry.digest))
            .map(|(tag, node)| (tag.clone(), node.entry.digest))
            .collect();
        let mut manifests: Vec<Entry> = going.order.into_iter().map(|node| node.entry).collect();
        if let Some(note) = &note {
            let entry = note.entry();
            content.insert(entry.digest, entry.size);
            manifests.push(entry);
            other_tags.extend(named_note);
        }
        let removal = Removal {
            component: component.clone(),
            versions: versions.clone(),
            other_tags,
            tags_alone,
            stale_lists: stale.map(|(tag, list)| (tag, list.entry.digest)).collect(),
            manifests,
            content,
            repository,
        };
        Ok(Planned {
            removal,
            named: roots,
            note,
        })
    }

    /// Removes what points before what is pointed to, so that no version is there in part. What
    /// something has come to need since it was planned stays, and so does a version that is another
    /// one now. What is without a name as soon as the versions are gone is noted before, so that it
    /// is found where this breaks off.
    pub(super) async fn carry_out(&self, removal: &Removal) -> Result<(), Error> {
        let repository = &removal.repository;
        let there = self.still_there(removal).await?;
        let Planned {
            removal: now,
            named,
            note: before,
        } = self.plan(&removal.component, &there).await?;
        let tags = removal.tags_alone.iter();
        let tags = tags.filter(|(tag, digest)| now.tags_alone.get(*tag) == Some(digest));
        let tags = tags.map(|(tag, _)| Reference::Tag(tag.clone()));
        let mut planned: BTreeSet<Digest> = digests_of(&removal.manifests).collect();
        if let Some(before) = &before {
            planned.extend(before.digests.iter().copied());
            planned.insert(before.entry().digest);
        }
        let manifests: Vec<Digest> = digests_of(&now.manifests)
            .filter(|digest| planned.contains(digest))
            .collect();
        let references = manifests.iter().copied().map(Reference::Digest);
        let references: Vec<Reference> = tags.chain(references).collect();
        let failed = |reference: &Reference| {
            let what = format!("{reference} of {repository}");
            |error| Error::backend("delete", what, error)
        };
        let mut note = None;
        if let Some(first) = references.first() {
            let nameless = manifests.iter().filter(|digest| !named.contains(digest));
            let left = self.leave_note(repository, nameless.copied(), before.as_ref());
            note = left.await.map_err(failed(first))?;
        }
        for reference in &references {
            match self.store.delete_manifest(repository, reference).await {
                Err(error) if !error.is_not_found() => return Err(failed(reference)(error)),
                _ => {}
            }
        }
        if let Some(note) = note {
            let away = note.take_away(&self.store, repository).await;
            away.map_err(failed(&Reference::Digest(note.entry().digest)))?;
        }
        let mut versions = lock(&self.versions);
        for version in &removal.versions {
            versions.remove(&ComponentVersionId::new(
                removal.component.clone(),
                version.clone(),
            ));
        }
        Ok(())
    }

    /// Returns whether a removal from the repository of a component broke off, and has left something
    /// that has no name.
    pub(super) async fn is_removal_unfinished(
        &self,
        component: &ComponentName,
    ) -> Result<bool, Error> {
        let repository = self.repository(component)?;
        let note = Note::read(&self.store, &repository).await;
        note.map(|note| note.is_some())
            .map_err(|source| Error::backend("look at", component.as_str(), source))
    }

    /// Leaves a note of what is going to be without a name, unless that is nothing, or the note of
    /// a removal that broke off says the same. Where that is not possible, what has no name stays if
    /// this breaks off.
    ///
    /// # Errors
    ///
    /// Nothing can be deleted here, so that the note would stay for ever.
    async fn leave_note(
        &self,
        repository: &RepositoryName,
        nameless: impl Iterator<Item = Digest>,
        before: Option<&Note>,
    ) -> Result<Option<Note>, StoreError> {
        let itself = before.map(|before| before.entry().digest);
        let note = Note::new(nameless.filter(|digest| Some(*digest) != itself));
        if note.digests.is_empty() || Some(note.entry().digest) == itself {
            return Ok(None);
        }
        note.take_away(&self.store, repository).await?;
        if let Err(error) = note.leave(&self.store, repository).await {
            tracing::warn!(
                %error,
                "no note can be left in {repository} of what is being removed: if this breaks \
                 off, artifacts stay there without a name"
            );
            return Ok(None);
        }
        Ok(Some(note))
    }

    /// Returns the versions of a removal that nobody else has removed meanwhile.
    async fn still_there(&self, removal: &Removal) -> Result<BTreeSet<Version>, Error> {
        let repository = &removal.repository;
        let tags = match self.store.tags(repository).await {
            Err(error) if error.is_not_found() => Vec::new(),
            tags => tags.map_err(|source| Error::backend("list", repository.as_str(), source))?,
        };
        let mut there = BTreeSet::new();
        for version in &removal.versions {
            let id = ComponentVersionId::new(removal.component.clone(), version.clone());
            if tags.contains(&tag_of(&id)?) {
                there.insert(version.clone());
            }
        }
        Ok(there)
    }
}

/// A removal, and what it takes to carry it out.
struct Planned {
    removal: Removal,
    /// What the versions name that go.
    named: BTreeSet<Digest>,
    /// The note of a removal that broke off.
    note: Option<Note>,
}

fn digests_of(entries: &[Entry]) -> impl Iterator<Item = Digest> {
    entries.iter().map(|entry| entry.digest)
}

/// A manifest that has been read.
#[derive(Clone, Debug)]
struct Node {
    entry: Entry,
    manifests: Vec<Entry>,
    blobs: Vec<SizedBlob>,
}

/// A blob and its size in bytes.
type SizedBlob = (Digest, u64);

impl Node {
    /// What cannot be understood points to nothing.
    fn of(manifest: &RawManifest) -> Self {
        let (mut manifests, mut blobs) = (Vec::new(), Vec::new());
        if let Ok(outline) = manifest.outline() {
            for child in outline.children {
                if outline.is_index && child.is_manifest() {
                    manifests.push(child.descriptor());
                } else {
                    blobs.push((child.digest, child.size));
                }
            }
        }
        Self {
            entry: manifest.descriptor(),
            manifests,
            blobs,
        }
    }
}

/// Reads what tags name. A tag whose manifest has gone meanwhile names nothing.
async fn top(
    store: &StoreRef,
    repository: &RepositoryName,
    tags: Vec<Tag>,
) -> Result<BTreeMap<Tag, Node>, StoreError> {
    let nodes = stream::iter(tags).map(|tag| async move {
        let node = read(store, repository, &Reference::Tag(tag.clone())).await?;
        Ok::<_, StoreError>(node.map(|node| (tag, node)))
    });
    let nodes: Vec<_> = nodes.buffered(PARALLEL).try_collect().await?;
    Ok(nodes.into_iter().flatten().collect())
}

async fn read(
    store: &StoreRef,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Option<Node>, StoreError> {
    let (store, repository) = (Arc::clone(store), repository.clone());
    let reference = reference.clone();
    // A manifest may have many entries, which are gone through where it is read.
    on_own_task(async move {
        match store.manifest(&repository, &reference).await {
            Ok(manifest) => Ok(Some(Node::of(&manifest))),
            Err(error) if error.is_not_found() => Ok(None),
            // What has a name and no content can be removed all the same.
            Err(StoreError::Dangling { digest, .. }) => Ok(Some(Node {
                entry: Entry::new("", digest, 0),
                manifests: Vec::new(),
                blobs: Vec::new(),
            })),
            Err(error) => Err(error),
        }
    })
    .await
}

/// A repository in a store.
struct Place<'a>(&'a StoreRef, &'a RepositoryName);

/// What goes, in the order in which it was found.
#[derive(Default)]
struct Going {
    order: Vec<Node>,
    /// The tags that list what refers to it.
    tags: BTreeSet<Tag>,
}

impl Place<'_> {
    /// Returns the manifests that some lead to, with the blobs that each names as far as it was
    /// read: an image need not be read to know that it stays.
    async fn staying(
        &self,
        roots: Vec<Node>,
    ) -> Result<BTreeMap<Digest, Vec<SizedBlob>>, StoreError> {
        let mut staying: BTreeMap<Digest, Vec<SizedBlob>> = BTreeMap::new();
        let mut open = roots;
        while !open.is_empty() {
            let mut next = BTreeSet::new();
            for node in std::mem::take(&mut open) {
                for child in node.manifests {
                    if media_type::is_index(&child.media_type) {
                        next.insert(child.digest);
                    } else {
                        staying.entry(child.digest).or_default();
                    }
                }
                staying.insert(node.entry.digest, node.blobs);
            }
            next.retain(|digest| !staying.contains_key(digest));
            open = self.read_all(next).await?;
        }
        Ok(staying)
    }

    /// Returns the manifests that some lead to, and what refers to them, without what stays. Takes
    /// the tags that list what refers to one of them.
    async fn going(
        &self,
        roots: Vec<Node>,
        staying: &BTreeMap<Digest, Vec<SizedBlob>>,
        tagged: &mut BTreeMap<Tag, Node>,
    ) -> Result<Going, StoreError> {
        let mut going = Going::default();
        let mut seen = BTreeSet::new();
        let mut open = roots;
        while !open.is_empty() {
            let (mut next, mut lists) = (BTreeSet::new(), Vec::new());
            for node in std::mem::take(&mut open) {
                let digest = node.entry.digest;
                if staying.contains_key(&digest) || !seen.insert(digest) {
                    continue;
                }
                next.extend(node.manifests.iter().map(|child| child.digest));
                let referrers = self.0.referrers(self.1, &digest).await?;
                next.extend(referrers.iter().map(|referrer| referrer.digest));
                let listing = tagged.keys().filter(|tag| subject_of(tag) == Some(digest));
                for tag in listing.cloned().collect::<Vec<_>>() {
                    lists.extend(tagged.remove(&tag));
                    going.tags.insert(tag);
                }
                going.order.push(node);
            }
            next.retain(|digest| !staying.contains_key(digest) && !seen.contains(digest));
            open = self.read_all(next).await?;
            open.extend(lists);
        }
        Ok(going)
    }

    /// Reads manifests. Those that are not there are left out: an index may lack some.
    async fn read_all(
        &self,
        digests: impl IntoIterator<Item = Digest>,
    ) -> Result<Vec<Node>, StoreError> {
        let Self(store, repository) = *self;
        let nodes = stream::iter(digests)
            .map(|digest| async move { read(store, repository, &Reference::Digest(digest)).await });
        let nodes: Vec<_> = nodes.buffered(PARALLEL).try_collect().await?;
        Ok(nodes.into_iter().flatten().collect())
    }
}
