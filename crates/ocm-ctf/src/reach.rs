//! What the names in an archive lead to.

use std::collections::{BTreeSet, HashSet};

use ocm_digest::Digest;
use ocm_oci::{Error, RawManifest, RepositoryName};

use crate::facts::Child;
use crate::reading::{Archive, named};

/// Manifests, each in its repository.
pub(crate) type Entries = BTreeSet<(RepositoryName, Digest)>;

/// A manifest that is to be looked at, with its media type if it is listed.
type Open = (Digest, Option<String>);

/// Everything that the index of an archive leads to: what it lists, and what that points to.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    manifests: HashSet<Digest>,
    blobs: HashSet<Digest>,
    /// Manifests that something points to and that were not there.
    missing: BTreeSet<Digest>,
    /// The generation of the index that has been followed.
    generation: Option<u64>,
}

impl Reach {
    /// Returns whether the index leads to a blob.
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.manifests.contains(digest) || self.blobs.contains(digest)
    }

    /// Returns whether the index leads to nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.manifests.is_empty() && self.missing.is_empty()
    }

    /// Follows the index as it is now, as if some entries were not there. What has been reached
    /// before stays so; what was missing is looked for again.
    ///
    /// # Errors
    ///
    /// A manifest that is listed cannot be read, or not be understood: then nobody knows what it
    /// needs. One that is not there needs nothing.
    pub(crate) fn follow(
        &mut self,
        archive: &impl Archive,
        without: &Entries,
    ) -> Result<(), Error> {
        let is_left_out = |repository: &str, digest: Digest| {
            !without.is_empty()
                && repository
                    .parse::<RepositoryName>()
                    .is_ok_and(|name| without.contains(&(name, digest)))
        };
        let (generation, mut open) = archive.with_index(|index| {
            let is_new = self.generation != Some(index.generation());
            let entries = is_new.then(|| index.everything()).into_iter().flatten();
            let entries = entries.filter(|(name, listed)| !is_left_out(name, listed.digest));
            let listed = entries.map(|(_, listed)| {
                let media_type = listed.media_type.unwrap_or_default();
                (listed.digest, Some(media_type.to_owned()))
            });
            (index.generation(), listed.collect::<Vec<_>>())
        })?;
        let missing = std::mem::take(&mut self.missing).into_iter();
        open.extend(missing.map(|digest| (digest, None)));
        while let Some(next) = open.pop() {
            self.take(archive, next, &mut open)?;
        }
        self.generation = Some(generation);
        Ok(())
    }

    /// Follows manifests as well that no entry leads to.
    ///
    /// # Errors
    ///
    /// A manifest cannot be read.
    pub(crate) fn follow_also(
        &mut self,
        archive: &impl Archive,
        manifests: impl IntoIterator<Item = Digest>,
    ) -> Result<(), Error> {
        let open = manifests.into_iter().map(|digest| (digest, None));
        let mut open: Vec<Open> = open.collect();
        while let Some(next) = open.pop() {
            self.take(archive, next, &mut open)?;
        }
        Ok(())
    }

    /// Takes a manifest unless it was taken before, and opens what it points to.
    fn take(
        &mut self,
        archive: &impl Archive,
        (digest, media_type): Open,
        open: &mut Vec<Open>,
    ) -> Result<bool, Error> {
        if self.manifests.contains(&digest) || self.missing.contains(&digest) {
            return Ok(false);
        }
        let Some(children) = children(archive, &digest, media_type.as_deref())? else {
            self.missing.insert(digest);
            return Ok(true);
        };
        self.manifests.insert(digest);
        for child in children {
            if child.is_manifest {
                open.push((child.digest, None));
            } else {
                self.blobs.insert(child.digest);
            }
        }
        Ok(true)
    }
}

/// Returns the entries without a tag to which no tag leads, and which refer to nothing to which one
/// does.
pub(crate) fn unnamed(archive: &impl Archive) -> Result<Entries, Error> {
    let entry = |digest, media_type: Option<&str>| -> Open {
        (digest, Some(media_type.unwrap_or_default().to_owned()))
    };
    let (untagged, mut open) = archive.with_index(|index| {
        let untagged = index.untagged();
        let untagged: Vec<_> = untagged
            .map(|(name, listed)| (name.clone(), entry(listed.digest, listed.media_type)))
            .collect();
        let without: BTreeSet<(&str, Digest)> = untagged
            .iter()
            .map(|(name, (digest, _))| (name.as_str(), *digest))
            .collect();
        let tagged = index.everything();
        let tagged = tagged.filter(|(name, listed)| !without.contains(&(*name, listed.digest)));
        let tagged = tagged.map(|(_, listed)| entry(listed.digest, listed.media_type));
        let tagged: Vec<_> = tagged.collect();
        (untagged, tagged)
    })?;
    // What they refer to is known once they have been read.
    for (_, (digest, media_type)) in &untagged {
        children(archive, digest, media_type.as_deref())?;
    }
    let mut reach = Reach::default();
    while let Some(next) = open.pop() {
        let digest = next.0;
        if reach.take(archive, next, &mut open)? {
            let referrers = archive.facts().referrers(&digest).into_iter();
            open.extend(referrers.map(|(digest, _)| (digest, None)));
        }
    }
    let unnamed = untagged
        .into_iter()
        .map(|(name, (digest, _))| (name, digest));
    Ok(unnamed
        .filter(|(_, digest)| !reach.contains(digest))
        .collect())
}

/// Returns what a manifest points to; `None` if it is not there. What is not listed, and is no
/// manifest although something says so, points to nothing.
///
/// # Errors
///
/// It cannot be read; or it is listed, with its media type, and cannot be understood.
pub(crate) fn children(
    archive: &impl Archive,
    digest: &Digest,
    media_type: Option<&str>,
) -> Result<Option<Vec<Child>>, Error> {
    let what = || format!("manifest {digest} of {}", archive.name());
    let facts = archive.facts();
    if !facts.knows(digest) {
        // What is listed and has been set aside is going to be brought back, with what it needs.
        let content = archive.content();
        let bytes = match content.read_set_aside(digest, RawManifest::LIMIT) {
            Err(ocm_blob::Error::TooLarge { .. }) if media_type.is_none() => {
                return Ok(Some(Vec::new()));
            }
            bytes => bytes.map_err(|source| Error::blob("read", what(), source))?,
        };
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let raw = RawManifest::new(bytes, media_type.unwrap_or_default());
        facts.insert(&named(raw, *digest, what)?);
    }
    match facts.children(digest) {
        None if media_type.is_some() => {
            let reason = "it cannot be understood, and so neither what it needs";
            Err(Error::malformed(what(), reason))
        }
        children => Ok(Some(children.unwrap_or_default())),
    }
}
