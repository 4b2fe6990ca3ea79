//! What the manifests of an archive say about each other, and what they may lack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use ocm_digest::Digest;
use ocm_oci::{Descriptor, Link, RawManifest, RepositoryName};

/// Remembers of each manifest that has been read what it points to.
///
/// A manifest never changes, so nothing is ever forgotten but what the index no longer lists.
#[derive(Debug, Default)]
pub(crate) struct FactCache(Mutex<Cache>, OnceLock<Elsewhere>);

/// Blobs that manifests of an archive may name, and that it need not have. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere(Arc<RwLock<BTreeSet<Digest>>>);

impl Elsewhere {
    /// Starts with these blobs.
    pub fn new(blobs: BTreeSet<Digest>) -> Self {
        Self(Arc::new(RwLock::new(blobs)))
    }

    /// Adds a blob.
    pub fn insert(&self, digest: Digest) {
        let mut blobs = self.0.write().unwrap_or_else(PoisonError::into_inner);
        blobs.insert(digest);
    }

    fn contains(&self, digest: &Digest) -> bool {
        let blobs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        blobs.contains(digest)
    }
}

#[derive(Debug, Default)]
struct Cache {
    manifests: BTreeMap<Digest, Facts>,
    /// The manifests that refer to a subject.
    referrers: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The generation of the index in which all manifests of a repository were read.
    scanned: BTreeMap<RepositoryName, u64>,
}

/// Content that a manifest points to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    pub(crate) is_manifest: bool,
    /// Whether the archive may lack it.
    pub(crate) may_be_missing: bool,
}

impl Child {
    pub(crate) fn of(link: &Link<'_>) -> Self {
        Self {
            digest: link.digest,
            is_manifest: link.is_manifest(),
            may_be_missing: link.may_be_missing(),
        }
    }
}

/// What a manifest points to.
#[derive(Debug, Default)]
struct Facts {
    /// `None` if the manifest cannot be understood.
    children: Option<Vec<Child>>,
    /// How a list of referrers shows the manifest, if it has a subject.
    referrer: Option<Descriptor>,
}

impl FactCache {
    /// Says which blobs stand elsewhere, so that manifests may name them. Once.
    pub(crate) fn set_elsewhere(&self, blobs: Elsewhere) {
        // Only who opens an archive calls this, before anybody else has it.
        let _ = self.1.set(blobs);
    }

    /// Returns whether a manifest may name a blob that is not in the archive.
    pub(crate) fn is_elsewhere(&self, digest: &Digest) -> bool {
        self.1.get().is_some_and(|blobs| blobs.contains(digest))
    }

    /// Returns whether all manifests of a repository have been read in this generation.
    pub(crate) fn is_scanned(&self, repository: &RepositoryName, generation: u64) -> bool {
        self.lock().scanned.get(repository) == Some(&generation)
    }

    /// Says that all manifests of a repository have been read.
    pub(crate) fn set_scanned(&self, repository: &RepositoryName, generation: u64) {
        self.lock().scanned.insert(repository.clone(), generation);
    }

    /// Returns whether a manifest has been read.
    pub(crate) fn knows(&self, digest: &Digest) -> bool {
        self.lock().manifests.contains_key(digest)
    }

    /// Returns the manifests that are known to point to content.
    pub(crate) fn users(&self, digest: &Digest) -> Vec<Digest> {
        let cache = self.lock();
        let users = cache.manifests.iter();
        users
            .filter(|(_, facts)| {
                let mut children = facts.children.iter().flatten();
                children.any(|child| child.digest == *digest)
            })
            .map(|(user, _)| *user)
            .collect()
    }

    /// Returns what a manifest points to that has been read; `None` if it cannot be understood.
    pub(crate) fn children(&self, digest: &Digest) -> Option<Vec<Child>> {
        self.lock().manifests.get(digest)?.children.clone()
    }

    /// Remembers what a manifest points to.
    pub(crate) fn insert(&self, raw: &RawManifest) {
        let (mut facts, mut subject) = (Facts::default(), None);
        if let Ok(outline) = raw.outline() {
            facts.children = Some(outline.children.iter().map(Child::of).collect());
            subject = outline.subject;
            facts.referrer = subject.and_then(|subject| raw.as_referrer_of(&subject));
        }
        let mut cache = self.lock();
        cache.manifests.insert(raw.digest(), facts);
        if let Some(subject) = subject {
            let referrers = cache.referrers.entry(subject).or_default();
            referrers.insert(raw.digest());
        }
    }

    /// Returns the manifests that are known to refer to a subject.
    pub(crate) fn referrers(&self, subject: &Digest) -> Vec<(Digest, Descriptor)> {
        let cache = self.lock();
        let known = cache.referrers.get(subject).into_iter().flatten();
        known
            .filter_map(|digest| {
                let facts = cache.manifests.get(digest)?;
                Some((*digest, facts.referrer.clone()?))
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        // Each change is a few insertions that add up even if one is missing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
