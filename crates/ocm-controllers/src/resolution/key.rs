//! Names for work, by everything that its outcome depends on.

use ocm::digest::Digest;

/// The SHA-256 of everything that an outcome depends on. Verified outcomes are found by it, so
/// nobody may be able to make two of the same.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Key(Digest);

/// Puts a key together out of parts, none of which can pass for another.
pub(super) struct KeyBuilder(Vec<u8>);

impl KeyBuilder {
    /// Starts the key for work of a sort.
    pub(super) fn new(sort: &str) -> Self {
        let mut key = Self(Vec::new());
        key.add(sort);
        key
    }

    /// Adds a part with its length, so that it ends where it ends.
    pub(super) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.count(part.len());
        self.0.extend_from_slice(part);
    }

    /// Adds how many parts follow.
    pub(super) fn count(&mut self, number: usize) {
        self.0.extend_from_slice(&(number as u64).to_be_bytes());
    }

    pub(super) fn finish(self) -> Key {
        Key(Digest::sha256(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = |parts: &[&str]| {
            let mut key = KeyBuilder::new("test");
            for part in parts {
                key.add(part);
            }
            key.finish()
        };
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a", ""]), key(&["a"]));
    }
}
