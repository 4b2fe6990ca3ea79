//! What the names in an archive lead to.

use std::collections::BTreeSet;

use ocm_digest::Digest;
use ocm_oci::{Error, RawManifest, RepositoryName};

use crate::facts::Child;
use crate::reading::{Archive, named};

/// Manifests, each in its repository.
pub(crate) type Entries = BTreeSet<(RepositoryName, Digest)>;

/// Everything that the index of an archive leads to: what it lists, and what that points to.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    manifests: BTreeSet<Digest>,
    blobs: BTreeSet<Digest>,
    /// The generation of the index that has been followed.
    generation: Option<u64>,
}

impl Reach {
    /// Returns whether the index leads to a blob.
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.manifests.contains(digest) || self.blobs.contains(digest)
    }

    /// Follows the index as it is now, as if some entries were not there. What has been reached
    /// before stays so.
    ///
    /// # Errors
    ///
    /// A manifest cannot be read, or not be understood: then nobody knows what it needs. One that is
    /// not there needs nothing.
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
                (listed.digest, media_type.to_owned())
            });
            (index.generation(), listed.collect::<Vec<_>>())
        })?;
        while let Some((digest, media_type)) = open.pop() {
            if self.manifests.insert(digest) {
                self.take_children(archive, &digest, media_type, &mut open)?;
            }
        }
        self.generation = Some(generation);
        Ok(())
    }

    fn take_children(
        &mut self,
        archive: &impl Archive,
        digest: &Digest,
        media_type: String,
        open: &mut Vec<(Digest, String)>,
    ) -> Result<(), Error> {
        for child in children(archive, digest, media_type)? {
            if child.is_manifest {
                open.push((child.digest, String::new()));
            } else {
                self.blobs.insert(child.digest);
            }
        }
        Ok(())
    }
}

/// Returns the entries without a tag to which no tag leads, and which refer to nothing to which one
/// does.
pub(crate) fn unnamed(archive: &impl Archive) -> Result<Entries, Error> {
    let entry = |digest, media_type: Option<&str>| (digest, media_type.unwrap_or("").to_owned());
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
        children(archive, digest, media_type.clone())?;
    }
    let mut reach = Reach::default();
    while let Some((digest, media_type)) = open.pop() {
        if reach.manifests.insert(digest) {
            reach.take_children(archive, &digest, media_type, &mut open)?;
            let referrers = archive.facts().referrers(&digest).into_iter();
            open.extend(referrers.map(|(digest, _)| (digest, String::new())));
        }
    }
    let unnamed = untagged
        .into_iter()
        .map(|(name, (digest, _))| (name, digest));
    Ok(unnamed
        .filter(|(_, digest)| !reach.contains(digest))
        .collect())
}

/// Returns what a manifest points to, whether the index lists it or not. One that is not there
/// points to nothing.
///
/// # Errors
///
/// It cannot be read, or not be understood.
pub(crate) fn children(
    archive: &impl Archive,
    digest: &Digest,
    media_type: String,
) -> Result<Vec<Child>, Error> {
    let what = || format!("manifest {digest} of {}", archive.name());
    let facts = archive.facts();
    if !facts.knows(digest) {
        // What is listed and has been set aside is going to be brought back, with what it needs.
        let content = archive.content();
        let bytes = content.read_set_aside(digest, RawManifest::LIMIT);
        let bytes = bytes.map_err(|source| Error::blob("read", what(), source))?;
        let Some(bytes) = bytes else {
            return Ok(Vec::new());
        };
        facts.insert(&named(RawManifest::new(bytes, media_type), *digest, what)?);
    }
    facts.children(digest).ok_or_else(|| {
        let reason = "it cannot be understood, and so neither what it needs";
        Error::malformed(what(), reason)
    })
}
