//! Removing component versions, and what only they have.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;
use ocm_model::{ComponentName, ComponentVersionId, Version};
use ocm_oci::{
    Descriptor as Entry, Document, Error as StoreError, RawManifest, Reference, RepositoryName,
    StoreRef, Tag, media_type,
};
use ocm_repository::{Error, Removal};

use super::list::subject_of;
use super::{OciComponentRepository, lock, tag_of};

/// How many tags are looked at at a time.
const PARALLEL: usize = 8;

impl OciComponentRepository {
    /// Finds out what goes with versions of a component. Each tag is looked at, as any may name what
    /// a version has.
    pub(super) async fn plan_removal(
        &self,
        component: &ComponentName,
        versions: &BTreeSet<Version>,
    ) -> Result<Removal, Error> {
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
        let going = gone.values().cloned().collect();
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

        let mut content = BTreeMap::new();
        for node in &going.order {
            content.insert(node.entry.digest, node.entry.size);
            content.extend(node.blobs.iter().copied());
        }
        for (digest, _) in staying.values().chain(others.values()).flatten() {
            content.remove(digest);
        }
        let tags_alone = gone
            .iter()
            .filter(|(_, node)| !removed.contains(&node.entry.digest))
            .map(|(tag, node)| (tag.clone(), node.entry.digest))
            .collect();
        Ok(Removal {
            component: component.clone(),
            versions: versions.clone(),
            other_tags,
            tags_alone,
            stale_lists: stale.map(|(tag, list)| (tag, list.entry.digest)).collect(),
            manifests: going.order.into_iter().map(|node| node.entry).collect(),
            content,
            repository,
        })
    }

    /// Removes what points before what is pointed to, so that no version is there in part. What
    /// something has come to need since it was planned stays, and so does a version that is another
    /// one now.
    pub(super) async fn carry_out(&self, removal: &Removal) -> Result<(), Error> {
        let repository = &removal.repository;
        let there = self.still_there(removal).await?;
        let now = self.plan_removal(&removal.component, &there).await?;
        let still: BTreeSet<Digest> = now.manifests.iter().map(|entry| entry.digest).collect();
        let tags = removal.tags_alone.iter();
        let tags = tags.filter(|(tag, digest)| now.tags_alone.get(*tag) == Some(digest));
        let tags = tags.map(|(tag, _)| Reference::Tag(tag.clone()));
        let manifests = removal.manifests.iter();
        let manifests = manifests.filter(|entry| still.contains(&entry.digest));
        let manifests = manifests.map(|entry| Reference::Digest(entry.digest));
        for reference in tags.chain(manifests).collect::<Vec<_>>() {
            match self.store.delete_manifest(repository, &reference).await {
                Err(error) if !error.is_not_found() => {
                    let what = format!("{reference} of {repository}");
                    return Err(Error::backend("delete", what, error));
                }
                _ => {}
            }
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
        let document = manifest.parse().ok();
        let is_index = matches!(document, Some(Document::Index(_)));
        let (mut manifests, mut blobs) = (Vec::new(), Vec::new());
        for child in document.iter().flat_map(Document::children) {
            if is_index && child.is_manifest() {
                manifests.push(child.plain());
            } else {
                blobs.push((child.digest, child.size));
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
    match store.manifest(repository, reference).await {
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
    async fn read_all(&self, digests: BTreeSet<Digest>) -> Result<Vec<Node>, StoreError> {
        let Self(store, repository) = *self;
        let nodes = stream::iter(digests)
            .map(|digest| async move { read(store, repository, &Reference::Digest(digest)).await });
        let nodes: Vec<_> = nodes.buffered(PARALLEL).try_collect().await?;
        Ok(nodes.into_iter().flatten().collect())
    }
}
