//! Garbage collection, beside everything else that goes on.
//!
//! What nothing needs is removed in two steps that lie a grace time apart, each decided by when the
//! server has written what. First goes what names bytes: links that no manifest of the repository
//! needs, and the places of digests that no link has. Bytes that nothing names are marked; they go
//! when their mark is older than the grace time and still nothing names them.
//!
//! No locks are taken, and any number of processes may push and collect at the same time:
//!
//! - A push takes over bytes by reading what names them and writing another name, within less than
//!   the grace time. What it has read was removed, if at all, before the mark was written. So its
//!   own name is there when the marked bytes are looked at again.
//! - A push of a manifest writes the manifest, then looks whether the links are still there, and
//!   writes them again. Collecting removes links, then looks for new manifests, and writes again
//!   what these need. Whichever comes first, one of the two sees the other.
//!
//! The grace time has to be longer than any request that pushes a blob, and than what clients take
//! from their first blob to the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use ocm_digest::Digest;
use ocm_oci::{Collect, Collected, Error, RawManifest, RepositoryName, Tag};

use crate::layout::{self, Entry, Stored};
use crate::store::{BucketStore, Inner};
use crate::upload::Upload;
use crate::xml::Listed;

/// How many objects a page of a list has.
const PAGE: usize = 1000;

#[async_trait]
impl Collect for BucketStore {
    /// Reads each manifest and each link once. Keeps the names of all blobs in memory, some 100
    /// bytes for each.
    async fn collect(&self, grace: Duration) -> Result<Collected, Error> {
        let store = &self.0;
        // The marks come first: what names bytes is looked at after their age is known.
        let (now, marks) = store.marks().await?;
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
        let mut pass = Pass {
            store,
            // What has been written later is young, whatever happens.
            oldest: now.checked_sub(grace).unwrap_or(Timestamp::MIN),
            named: BTreeSet::new(),
            collected: Collected::default(),
        };
        pass.uploads().await?;
        pass.repositories().await?;
        pass.places().await?;
        pass.data(marks).await?;
        pass.parts().await?;
        Ok(pass.collected)
    }
}

impl Inner {
    /// Gives up uploads that were written to for the last time before then. Returns how many, and
    /// the names of the bytes that the others may still become.
    pub(crate) async fn expire_uploads(
        self: &Arc<Self>,
        oldest: Timestamp,
    ) -> Result<(u64, Vec<String>), Error> {
        let (mut gone, mut names) = (0, Vec::new());
        for object in self.list(layout::UPLOADS).await? {
            let Some(id) = object.key.strip_prefix(layout::UPLOADS) else {
                continue;
            };
            let Some(mut upload) = Upload::read(self, id).await? else {
                continue;
            };
            // Somebody may have gone on with it since it was listed.
            if object.modified <= oldest && is_same(&object.tag, upload.version()) {
                upload.discard().await?;
                gone += 1;
            } else {
                names.extend(upload.names());
            }
        }
        Ok((gone, names))
    }

    /// Returns what time it is at the server, and since when bytes are marked.
    async fn marks(&self) -> Result<(Timestamp, BTreeMap<String, Timestamp>), Error> {
        let (mut marks, mut now, mut next) = (BTreeMap::new(), None, None);
        loop {
            let (page, time) = self
                .client
                .list(layout::CONDEMNED, next.as_deref(), PAGE)
                .await?;
            now = now.or(time);
            for object in page.objects {
                if let Some(id) = object.key.strip_prefix(layout::CONDEMNED) {
                    marks.insert(id.to_owned(), object.modified);
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let now = now.ok_or_else(|| {
            let what = format!("answer of {}", self.client.name());
            Error::malformed(what, "it has no date")
        })?;
        Ok((now, marks))
    }
}

struct Pass<'a> {
    store: &'a Arc<Inner>,
    /// What has been written after this is left alone.
    oldest: Timestamp,
    /// The names of the bytes that something names.
    named: BTreeSet<String>,
    collected: Collected,
}

/// What a repository has.
#[derive(Default)]
struct Contents {
    links: BTreeMap<Digest, Timestamp>,
    manifests: BTreeSet<Digest>,
    /// Keys that lead to a manifest, and the tag that may.
    leading: Vec<(Digest, Option<Tag>, Listed)>,
}

/// What the manifests of a repository need.
#[derive(Default)]
struct Needed {
    /// The manifests that were there to be read.
    manifests: BTreeSet<Digest>,
    blobs: BTreeSet<Digest>,
    /// Whether there is one that cannot be understood.
    is_unknown: bool,
}

impl Pass<'_> {
    fn is_old(&self, modified: Timestamp) -> bool {
        modified <= self.oldest
    }

    /// Gives up uploads that nobody has gone on with.
    async fn uploads(&mut self) -> Result<(), Error> {
        let (gone, names) = self.store.expire_uploads(self.oldest).await?;
        self.collected.uploads += gone;
        self.named.extend(names);
        Ok(())
    }

    async fn repositories(&mut self) -> Result<(), Error> {
        let mut current: Option<(RepositoryName, Contents)> = None;
        let mut next = None;
        loop {
            let listed = self
                .store
                .client
                .list(layout::REPOSITORIES, next.as_deref(), PAGE);
            let (page, _) = listed.await?;
            for object in page.objects {
                let Some((repository, entry)) = layout::entry(&object.key) else {
                    continue;
                };
                // Everything of a repository stands together.
                if current.as_ref().is_none_or(|(name, _)| *name != repository) {
                    if let Some((name, contents)) = current.take() {
                        self.repository(&name, contents).await?;
                    }
                    current = Some((repository, Contents::default()));
                }
                if let Some((_, contents)) = &mut current {
                    contents.add(entry, object);
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        match current {
            Some((name, contents)) => self.repository(&name, contents).await,
            None => Ok(()),
        }
    }

    async fn repository(
        &mut self,
        repository: &RepositoryName,
        contents: Contents,
    ) -> Result<(), Error> {
        let store = self.store;
        let needed = self.needs(repository, &contents.manifests).await?;
        let links: Vec<Digest> = contents.links.keys().copied().collect();
        let links = store
            .each(links, async |digest| {
                let key = layout::link(repository, &digest);
                Ok((digest, store.document::<Stored>(&key).await?))
            })
            .await?;
        let mut superfluous = Vec::new();
        for (digest, stored) in links {
            let Some(stored) = stored else { continue };
            // Also what goes now counts: the bytes get their mark the next time.
            self.named.insert(stored.data.clone());
            let is_old = contents
                .links
                .get(&digest)
                .is_some_and(|modified| self.is_old(*modified));
            if is_old && !needed.is_unknown && !needed.blobs.contains(&digest) {
                superfluous.push((digest, stored));
            }
        }
        self.restore(repository, &needed, &contents).await?;
        self.unlink(repository, superfluous, &needed.manifests)
            .await?;
        self.remove_leading(repository, contents).await
    }

    /// Reads what manifests need.
    async fn needs(
        &self,
        repository: &RepositoryName,
        manifests: &BTreeSet<Digest>,
    ) -> Result<Needed, Error> {
        let store = self.store;
        let read = store
            .each(manifests.iter().copied(), async |digest| {
                let key = layout::manifest(repository, &digest);
                let object = store.client.get(&key, RawManifest::LIMIT).await?;
                Ok(object.map(|object| {
                    let children = || {
                        let manifest = RawManifest::new(object.bytes, object.media_type);
                        let document = manifest.with_digest(digest)?.parse()?;
                        let children = document.children().into_iter();
                        let own = children.filter(|child| child.urls.is_empty());
                        Ok::<_, Error>(own.map(|child| child.digest).collect::<Vec<_>>())
                    };
                    (digest, children())
                }))
            })
            .await?;
        let mut needed = Needed::default();
        for (digest, children) in read.into_iter().flatten() {
            needed.manifests.insert(digest);
            match children {
                Ok(children) => needed.blobs.extend(children),
                Err(error) => {
                    tracing::warn!(%repository, %error, "nothing of the repository is collected");
                    needed.is_unknown = true;
                }
            }
        }
        Ok(needed)
    }

    /// Brings links back that a collection has removed which ended before it looked again.
    async fn restore(
        &mut self,
        repository: &RepositoryName,
        needed: &Needed,
        contents: &Contents,
    ) -> Result<(), Error> {
        let missing = needed.blobs.iter().filter(|digest| {
            !contents.links.contains_key(digest) && !contents.manifests.contains(digest)
        });
        for digest in missing {
            let place: Option<Stored> = self.store.document(&layout::blob(digest)).await?;
            if let Some(stored) = place {
                self.store.link(repository, digest, &stored).await?;
                self.named.insert(stored.data);
            }
        }
        Ok(())
    }

    /// Takes blobs out of a repository, unless a manifest needs them that is not one of those known.
    async fn unlink(
        &mut self,
        repository: &RepositoryName,
        superfluous: Vec<(Digest, Stored)>,
        known: &BTreeSet<Digest>,
    ) -> Result<(), Error> {
        if superfluous.is_empty() {
            return Ok(());
        }
        let store = self.store;
        let removed: Vec<Digest> = superfluous.iter().map(|(digest, _)| *digest).collect();
        store
            .each(removed, async |digest| {
                store
                    .client
                    .delete(&layout::link(repository, &digest))
                    .await?;
                store.forget(repository, &digest);
                Ok(())
            })
            .await?;
        let mut fresh = BTreeSet::new();
        for object in store.list(&layout::manifests(repository)).await? {
            if let Some((_, Entry::Manifest(digest))) = layout::entry(&object.key)
                && !known.contains(&digest)
            {
                fresh.insert(digest);
            }
        }
        let needed = self.needs(repository, &fresh).await?;
        for (digest, stored) in superfluous {
            if needed.is_unknown || needed.blobs.contains(&digest) {
                store.link(repository, &digest, &stored).await?;
            } else {
                self.collected.links += 1;
            }
        }
        Ok(())
    }

    /// Removes what leads to manifests that are gone.
    async fn remove_leading(
        &mut self,
        repository: &RepositoryName,
        contents: Contents,
    ) -> Result<(), Error> {
        for (digest, tag, object) in contents.leading {
            if contents.manifests.contains(&digest)
                || !self.is_old(object.modified)
                || self.store.has_manifest(repository, &digest).await?
            {
                continue;
            }
            if let Some(tag) = tag {
                self.store
                    .remove_tag(repository, &tag, Some(&digest))
                    .await?;
            }
            self.store.client.delete(&object.key).await?;
        }
        Ok(())
    }

    /// Forgets where bytes are that no repository has.
    async fn places(&mut self) -> Result<(), Error> {
        let store = self.store;
        let listed = store.list(layout::BLOBS).await?;
        let places = store
            .each(listed, async |object| {
                Ok((store.document::<Stored>(&object.key).await?, object))
            })
            .await?;
        for (stored, object) in places {
            let Some(stored) = stored else { continue };
            if self.named.contains(&stored.data) {
                continue;
            }
            if self.is_old(object.modified) {
                store.client.delete(&object.key).await?;
            } else {
                self.named.insert(stored.data);
            }
        }
        Ok(())
    }

    /// Marks bytes that nothing names, and removes those that have been marked for long enough.
    async fn data(&mut self, mut marks: BTreeMap<String, Timestamp>) -> Result<(), Error> {
        let client = &self.store.client;
        let mut next = None;
        loop {
            let (page, _) = client.list(layout::DATA, next.as_deref(), PAGE).await?;
            for object in page.objects {
                let Some(id) = object.key.strip_prefix(layout::DATA) else {
                    continue;
                };
                let marked = marks.remove(id);
                let is_named = self.named.contains(id);
                match marked {
                    Some(since) if !is_named && self.is_old(since) => {
                        client.delete(&object.key).await?;
                        client.delete(&layout::condemned(id)).await?;
                        self.collected.blobs += 1;
                        self.collected.bytes += object.size;
                    }
                    Some(_) if is_named => client.delete(&layout::condemned(id)).await?,
                    None if !is_named && self.is_old(object.modified) => {
                        let nothing = serde_json::json!({});
                        self.store.write(&layout::condemned(id), &nothing).await?;
                        self.collected.condemned += 1;
                    }
                    _ => {}
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        // What is left of marks belongs to bytes that are gone.
        for (id, since) in marks {
            if self.is_old(since) {
                client.delete(&layout::condemned(&id)).await?;
            }
        }
        for object in self.store.list(layout::PROBES).await? {
            if self.is_old(object.modified) {
                client.delete(&object.key).await?;
            }
        }
        Ok(())
    }

    /// Forgets parts of objects of which no upload knows.
    async fn parts(&mut self) -> Result<(), Error> {
        let client = &self.store.client;
        let mut next = None;
        loop {
            let page = client.list_unfinished(layout::DATA, next.as_ref()).await?;
            for upload in page.uploads {
                let id = upload.key.strip_prefix(layout::DATA).unwrap_or_default();
                if self.is_old(upload.started) && !self.named.contains(id) {
                    client.abort(&upload.key, &upload.id).await?;
                    self.collected.uploads += 1;
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

/// Tells whether a tag of a list is that of an object. Some servers leave the quotes away there.
fn is_same(listed: &str, read: Option<&str>) -> bool {
    let plain = |tag: &str| tag.trim_matches('"').to_owned();
    listed.is_empty() || read.is_some_and(|read| plain(read) == plain(listed))
}

impl Contents {
    fn add(&mut self, entry: Entry, object: Listed) {
        match entry {
            Entry::Link(digest) => {
                self.links.insert(digest, object.modified);
            }
            Entry::Manifest(digest) => {
                self.manifests.insert(digest);
            }
            Entry::Tagged(digest, tag) => self.leading.push((digest, Some(tag), object)),
            Entry::Referrer(referrer) => self.leading.push((referrer, None, object)),
            Entry::Tag(_) => {}
        }
    }
}
