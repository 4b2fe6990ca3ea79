//! What was learned of component versions lately.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use ocm_model::ComponentVersionId;

/// How many component versions are remembered at least, once there are so many, to find their local
/// blobs without asking again; at most there are twice as many. Each takes some kilobytes, and is
/// asked for soon after it was read or written.
const REMEMBERED: usize = 64;

/// What was learned of the latest component versions. Those before them are forgotten together.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    latest: BTreeMap<ComponentVersionId, Arc<T>>,
    before: BTreeMap<ComponentVersionId, Arc<T>>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self {
            latest: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }
}

impl<T> Remembered<T> {
    pub(super) fn get(&self, id: &ComponentVersionId) -> Option<&Arc<T>> {
        self.latest.get(id).or_else(|| self.before.get(id))
    }

    pub(super) fn insert(&mut self, id: ComponentVersionId, learned: Arc<T>) {
        if self.latest.len() >= REMEMBERED {
            self.before = mem::take(&mut self.latest);
        }
        self.latest.insert(id, learned);
    }

    pub(super) fn remove(&mut self, id: &ComponentVersionId) {
        self.latest.remove(id);
        self.before.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ComponentVersionId {
        ComponentVersionId::new(
            "acme.org/x".parse().unwrap(),
            format!("{number}.0.0").parse().unwrap(),
        )
    }

    #[test]
    fn the_latest_are_remembered_and_not_too_many() {
        let mut remembered = Remembered::default();
        for number in 0..1000 {
            remembered.insert(id(number), Arc::new(number));
            let oldest = number.saturating_sub(REMEMBERED - 1);
            for known in oldest..=number {
                assert_eq!(remembered.get(&id(known)).map(|it| **it), Some(known));
            }
            let forgotten = (0..oldest).filter(|&it| remembered.get(&id(it)).is_none());
            assert!(number + 1 - forgotten.count() <= 2 * REMEMBERED);
        }
    }

    #[test]
    fn what_is_removed_is_not_found_again() {
        let mut remembered = Remembered::default();
        remembered.insert(id(1), Arc::new("old"));
        for number in 2..=REMEMBERED {
            remembered.insert(id(number), Arc::new(""));
        }
        remembered.insert(id(1), Arc::new("new"));
        assert_eq!(remembered.get(&id(1)).map(|it| **it), Some("new"));
        remembered.remove(&id(1));
        assert_eq!(remembered.get(&id(1)), None);
    }
}
