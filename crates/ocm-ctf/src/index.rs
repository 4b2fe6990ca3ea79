//! `artifact-index.json`: the names in an archive.
//!
//! ```json
//! {"schemaVersion":1,"artifacts":[
//!   {"repository":"component-descriptors/acme.org/shop","tag":"1.0.0",
//!    "digest":"sha256:6d77…","mediaType":"application/vnd.oci.image.manifest.v1+json"}]}
//! ```
//!
//! It is written sorted by repository and tag, so that it does not tell who was quicker; unknown fields
//! stay where they are. An entry without tag is a manifest that is reached by digest only. OCM spec,
//! "Common Transport Format".

mod file;

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ocm_digest::Digest;
use ocm_oci::{Error, Reference, RepositoryName, Tag};
use serde_json::{Map, Value};

use self::file::Entry;

/// The name of the file in an archive.
pub const INDEX_FILE: &str = "artifact-index.json";

/// The size beyond which an index is refused, in bytes.
pub const INDEX_LIMIT: u64 = 64 * 1024 * 1024;

/// The names in an archive: which repositories there are, with which manifests and tags.
///
/// A clone shares what neither of the two changes.
#[derive(Clone, Debug, Default)]
pub struct ArtifactIndex {
    /// In the order of the file; removed entries leave a gap.
    entries: Vec<Option<Arc<Entry>>>,
    repositories: BTreeMap<RepositoryName, Arc<Names>>,
    extra: Map<String, Value>,
    generation: u64,
}

/// Where the entries of a repository stand.
#[derive(Clone, Debug, Default)]
struct Names {
    tags: BTreeMap<Tag, usize>,
    digests: BTreeMap<Digest, Vec<usize>>,
}

/// A manifest that the index lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listed<'a> {
    /// The digest of the manifest.
    pub digest: Digest,
    /// Its media type, if the entry says so. Archives of older tools never do.
    pub media_type: Option<&'a str>,
}

impl ArtifactIndex {
    /// Reads an index. An empty file is an empty index; `what` names it in errors.
    ///
    /// Repository names and tags that OCI does not allow are kept, but cannot be asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is no JSON, has another schema version or a malformed digest;
    /// [`Error::TooLarge`] beyond [`INDEX_LIMIT`].
    pub fn read(bytes: &[u8], what: &str) -> Result<Self, Error> {
        let file = file::read(bytes, what)?;
        let entries = file.artifacts.unwrap_or_default();
        let entries: Vec<_> = entries.into_iter().map(|entry| Some(entry.0)).collect();
        let mut index = Self {
            generation: entries.len() as u64,
            entries,
            extra: file.extra,
            ..Self::default()
        };
        for (position, entry) in index.entries.iter_mut().enumerate() {
            if let Some(entry) = entry {
                take_down(&mut index.repositories, position, entry);
            }
        }
        Ok(index)
    }

    /// Writes the index as compact JSON.
    pub fn write(&self) -> Vec<u8> {
        let entries = self.entries.iter().flatten();
        let mut entries: Vec<&Entry> = entries.map(AsRef::as_ref).collect();
        entries.sort_by_key(|entry| entry.place());
        file::write(entries.into_iter(), &self.extra)
    }

    /// Returns the names of the repositories, sorted.
    pub fn repositories(&self) -> impl Iterator<Item = &RepositoryName> {
        self.repositories.keys()
    }

    /// Returns the tags of a repository, sorted, or `None` if there is no such repository.
    pub fn tags(&self, repository: &RepositoryName) -> Option<impl Iterator<Item = &Tag>> {
        Some(self.repositories.get(repository)?.tags.keys())
    }

    /// Returns whether there is such a repository.
    pub fn has_repository(&self, repository: &RepositoryName) -> bool {
        self.repositories.contains_key(repository)
    }

    /// Returns the manifests of a repository, sorted by digest.
    pub fn manifests(&self, repository: &RepositoryName) -> impl Iterator<Item = Listed<'_>> {
        let names = self.repositories.get(repository);
        let positions = names
            .into_iter()
            .flat_map(|names| names.digests.values())
            .filter_map(|positions| positions.first());
        positions.filter_map(|&position| self.listed(position))
    }

    /// Returns the manifest that a reference names.
    pub fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Option<Listed<'_>> {
        let names = self.repositories.get(repository)?;
        match reference {
            Reference::Tag(tag) => self.listed(*names.tags.get(tag)?),
            Reference::Digest(digest) => self.listed(*names.digests.get(digest)?.first()?),
        }
    }

    /// Returns what the entries list, each with its repository, which may have a name that OCI does
    /// not allow.
    pub(crate) fn everything(&self) -> impl Iterator<Item = (&str, Listed<'_>)> {
        self.entries.iter().flatten().map(|entry| {
            let listed = Listed {
                digest: entry.digest,
                media_type: entry.media_type.as_deref(),
            };
            (entry.repository.as_str(), listed)
        })
    }

    /// Returns the manifests that have no tag, each with its repository.
    pub(crate) fn untagged(&self) -> impl Iterator<Item = (&RepositoryName, Listed<'_>)> {
        let all = self.repositories.iter().flat_map(|(name, names)| {
            let manifests = names.digests.values();
            manifests.map(move |positions| (name, positions))
        });
        let is_tagged = |position: &usize| matches!(&self.entries[*position], Some(entry) if entry.tag().is_some());
        all.filter(move |(_, positions)| !positions.iter().any(is_tagged))
            .filter_map(|(name, positions)| Some((name, self.listed(*positions.first()?)?)))
    }

    /// Returns whether any repository lists a manifest.
    pub fn lists(&self, digest: &Digest) -> bool {
        self.repositories
            .values()
            .any(|names| names.digests.contains_key(digest))
    }

    /// Returns a number that grows with each change.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Continues the count of changes of the index that this one replaces.
    pub(crate) const fn supersede(&mut self, old: &Self) {
        self.generation = old.generation + 1;
    }

    /// Lists a manifest, under a tag if one is given.
    ///
    /// An entry that had the tag keeps its manifest without it; an entry without tag takes it.
    /// Listing the same again changes nothing. Returns whether the index changed.
    pub fn add(
        &mut self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        digest: Digest,
        media_type: &str,
    ) -> bool {
        let names = self.repositories.entry(repository.clone()).or_default();
        let same = names.digests.get(&digest);
        let Some(tag) = tag else {
            if same.is_some() {
                return false;
            }
            self.append(Entry::new(repository, None, digest, media_type));
            return true;
        };
        let untagged = same.and_then(|positions| {
            positions.iter().copied().find(
                |&position| matches!(&self.entries[position], Some(entry) if entry.tag().is_none()),
            )
        });
        if let Some(&position) = names.tags.get(tag) {
            if matches!(&self.entries[position], Some(entry) if entry.digest == digest) {
                return false;
            }
            self.remove_tag(repository, tag);
        }
        match untagged {
            Some(position) => self.set_tag(repository, position, tag),
            None => self.append(Entry::new(repository, Some(tag), digest, media_type)),
        }
        true
    }

    /// Removes a tag; its manifest stays. Returns whether there was one.
    pub fn remove_tag(&mut self, repository: &RepositoryName, tag: &Tag) -> bool {
        let Some(names) = self.repositories.get_mut(repository) else {
            return false;
        };
        let names = Arc::make_mut(names);
        let Some(position) = names.tags.remove(tag) else {
            return false;
        };
        self.generation += 1;
        if let Some(entry) = &mut self.entries[position] {
            let entry = Arc::make_mut(entry);
            entry.set_tag(None);
            let same = names.digests.entry(entry.digest).or_default();
            // The manifest is listed once more, under another tag or under none.
            if same.len() > 1 {
                same.retain(|&other| other != position);
                self.entries[position] = None;
            }
        }
        true
    }

    /// Removes a manifest that has no tag. Returns whether it was listed so.
    pub(crate) fn remove_untagged(&mut self, repository: &RepositoryName, digest: &Digest) -> bool {
        let Some(names) = self.repositories.get(repository) else {
            return false;
        };
        let mut positions = names.digests.get(digest).into_iter().flatten();
        let has_tag = positions.any(
            |position| matches!(&self.entries[*position], Some(entry) if entry.tag().is_some()),
        );
        !has_tag && self.remove_manifest(repository, digest)
    }

    /// Removes a manifest with some tags. If it has others as well, it stays under those. Returns
    /// whether the index changed.
    pub(crate) fn remove_with_tags(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        tags: &BTreeSet<Tag>,
    ) -> bool {
        let mut changed = false;
        for tag in tags {
            let reference = Reference::Tag(tag.clone());
            let listed = self.resolve(repository, &reference);
            if listed.is_some_and(|listed| listed.digest == *digest) {
                changed |= self.remove_tag(repository, tag);
            }
        }
        changed | self.remove_untagged(repository, digest)
    }

    /// Returns the tags of a manifest. What OCI does not allow as a tag is `None`.
    pub(crate) fn tags_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> impl Iterator<Item = Option<Tag>> {
        let names = self.repositories.get(repository);
        let positions = names.and_then(|names| names.digests.get(digest));
        let entries = positions.into_iter().flatten();
        let tags = entries.filter_map(|position| self.entries[*position].as_ref()?.tag());
        tags.map(|tag| tag.parse().ok())
    }

    /// Removes a manifest and its tags. Returns whether it was listed.
    pub fn remove_manifest(&mut self, repository: &RepositoryName, digest: &Digest) -> bool {
        let Some(names) = self.repositories.get_mut(repository) else {
            return false;
        };
        let names = Arc::make_mut(names);
        let Some(positions) = names.digests.remove(digest) else {
            return false;
        };
        names
            .tags
            .retain(|_, position| !positions.contains(position));
        if names.digests.is_empty() {
            self.repositories.remove(repository);
        }
        for position in positions {
            self.entries[position] = None;
        }
        self.generation += 1;
        true
    }

    fn listed(&self, position: usize) -> Option<Listed<'_>> {
        let entry = self.entries.get(position)?.as_ref()?;
        Some(Listed {
            digest: entry.digest,
            media_type: entry.media_type.as_deref(),
        })
    }

    fn append(&mut self, entry: Entry) {
        self.generation += 1;
        let mut entry = Arc::new(entry);
        take_down(&mut self.repositories, self.entries.len(), &mut entry);
        self.entries.push(Some(entry));
    }

    fn set_tag(&mut self, repository: &RepositoryName, position: usize, tag: &Tag) {
        self.generation += 1;
        if let (Some(entry), Some(names)) = (
            &mut self.entries[position],
            self.repositories.get_mut(repository),
        ) {
            Arc::make_mut(entry).set_tag(Some(tag.as_str().to_owned()));
            Arc::make_mut(names).tags.insert(tag.clone(), position);
        }
    }
}

/// Takes down where an entry stands, unless OCI does not allow the name of its repository.
fn take_down(
    repositories: &mut BTreeMap<RepositoryName, Arc<Names>>,
    position: usize,
    entry: &mut Arc<Entry>,
) {
    let Some(names) = names_of(repositories, &entry.repository) else {
        return;
    };
    let same = names.digests.entry(entry.digest).or_default();
    same.push(position);
    if let Some(tag) = entry.tag().and_then(|tag| tag.parse::<Tag>().ok()) {
        // Of two entries with one tag the first one counts, as for the other tools.
        match names.tags.entry(tag) {
            Occupied(_) => Arc::make_mut(entry).set_tag(None),
            Vacant(place) => {
                place.insert(position);
            }
        }
    }
}

/// Returns the names of a repository, new ones for a new one, or `None` if OCI does not allow it.
fn names_of<'a>(
    repositories: &'a mut BTreeMap<RepositoryName, Arc<Names>>,
    repository: &str,
) -> Option<&'a mut Names> {
    // Most indices are sorted, so that an entry is of the repository that came last.
    let last = repositories.last_key_value();
    if last.is_some_and(|(name, _)| name.as_str() == repository) {
        return Some(Arc::make_mut(repositories.last_entry()?.into_mut()));
    }
    let repository = repository.parse().ok()?;
    Some(Arc::make_mut(repositories.entry(repository).or_default()))
}

#[cfg(test)]
mod tests;
