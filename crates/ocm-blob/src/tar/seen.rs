//! Which paths there are in an archive.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use super::TarKind;

/// The entries of an archive that have been seen, by hashes of their paths.
#[derive(Debug, Default)]
pub(super) struct Seen {
    files: HashSet<u64>,
    directories: HashSet<u64>,
    /// Its keys are drawn for each scan, so that no two paths that collide can be prepared. By chance
    /// two of a million do in one of thirty million scans.
    hasher: RandomState,
}

impl Seen {
    /// Returns what has seen nothing, to be compared with this.
    pub(super) fn beside(&self) -> Self {
        Self {
            hasher: self.hasher.clone(),
            ..Self::default()
        }
    }

    /// Returns how many paths were seen.
    pub(super) fn len(&self) -> usize {
        self.files.len() + self.directories.len()
    }

    /// Adds an entry. Returns whether it may be there: a directory may come again, a file may not,
    /// nor may one path be both.
    pub(super) fn add(&mut self, path: &str, kind: TarKind) -> bool {
        let hash = self.hasher.hash_one(path);
        if kind == TarKind::Directory {
            self.directories.insert(hash);
            !self.files.contains(&hash)
        } else {
            self.files.insert(hash) && !self.directories.contains(&hash)
        }
    }

    /// Returns whether all that either has seen may be in one archive. Both hash alike.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        self.files.is_disjoint(&other.files)
            && self.files.is_disjoint(&other.directories)
            && self.directories.is_disjoint(&other.files)
    }
}
