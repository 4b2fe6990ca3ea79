//! What was read, within a bound of bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::key::Key;
use super::numbers::CacheNumbers;

/// Keeps what was used last. What it returns is cheap to clone.
pub(super) struct Cache<T> {
    /// How many bytes are kept, and how many values.
    limit: usize,
    number: usize,
    state: Mutex<State<T>>,
    numbers: Option<CacheNumbers>,
}

struct State<T> {
    entries: BTreeMap<Key, Entry<T>>,
    /// The entries by when they were used, the longest ago first.
    order: BTreeMap<u64, Key>,
    uses: u64,
    size: usize,
}

struct Entry<T> {
    value: T,
    size: usize,
    confirmed: Instant,
    used: u64,
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<T: Clone> Cache<T> {
    /// Keeps at most so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self::with_number(limit, usize::MAX)
    }

    /// Keeps at most so many bytes, and so many values.
    pub(super) fn with_number(limit: usize, number: usize) -> Self {
        Self {
            limit,
            number,
            state: Mutex::new(State {
                entries: BTreeMap::new(),
                order: BTreeMap::new(),
                uses: 0,
                size: 0,
            }),
            numbers: None,
        }
    }

    /// Has others know how much is kept.
    pub(super) fn counted(self, numbers: CacheNumbers) -> Self {
        Self {
            numbers: Some(numbers),
            ..self
        }
    }

    /// Returns a value that was read or confirmed lately.
    pub(super) fn fresh(&self, key: &Key, fresh_for: Duration) -> Option<T> {
        let mut state = self.state();
        let entry = state.entries.get(key)?;
        if entry.confirmed.elapsed() >= fresh_for {
            return None;
        }
        state.used(key)
    }

    /// Returns a value, however old it is.
    pub(super) fn known(&self, key: &Key) -> Option<T> {
        self.state().used(key)
    }

    /// Says that a value is still right.
    pub(super) fn confirm(&self, key: &Key) {
        if let Some(entry) = self.state().entries.get_mut(key) {
            entry.confirmed = Instant::now();
        }
    }

    /// Keeps a value, and drops what was not used for the longest time where there is no room. A
    /// value that is larger than everything is not kept.
    pub(super) fn put(&self, key: Key, value: T, size: usize) {
        let mut state = self.state();
        state.remove(&key);
        if size > self.limit || self.number == 0 {
            return;
        }
        while state.size + size > self.limit || state.entries.len() >= self.number {
            let Some((_, oldest)) = state.order.first_key_value() else {
                break;
            };
            let oldest = *oldest;
            state.remove(&oldest);
            if let Some(numbers) = &self.numbers {
                numbers.evicted();
            }
        }
        state.uses += 1;
        let used = state.uses;
        state.order.insert(used, key);
        state.size += size;
        let entry = Entry {
            value,
            size,
            confirmed: Instant::now(),
            used,
        };
        state.entries.insert(key, entry);
        self.tell(&state);
    }

    /// Drops a value.
    pub(super) fn forget(&self, key: &Key) {
        let mut state = self.state();
        state.remove(key);
        self.tell(&state);
    }

    fn tell(&self, state: &State<T>) {
        if let Some(numbers) = &self.numbers {
            numbers.holds(state.entries.len());
        }
    }

    /// What is in it may be lost where a holder has panicked, but is not wrong.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> State<T> {
    fn used(&mut self, key: &Key) -> Option<T> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        self.order.remove(&entry.used);
        self.order.insert(self.uses, *key);
        entry.used = self.uses;
        Some(entry.value.clone())
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.size -= entry.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use ocm_kube::metrics::Metrics;

    use super::super::key::KeyBuilder;
    use super::super::numbers::Numbers;
    use super::*;

    const FOR_EVER: Duration = Duration::MAX;

    fn key(name: &str) -> Key {
        KeyBuilder::new(name).finish()
    }

    #[test]
    fn what_was_used_last_stays_within_the_bound() {
        let cache = Cache::new(10);
        cache.put(key("a"), 1, 4);
        cache.put(key("b"), 2, 4);
        assert_eq!(cache.known(&key("a")), Some(1));
        cache.put(key("c"), 3, 4);
        assert_eq!(cache.known(&key("a")), Some(1));
        assert_eq!(cache.known(&key("b")), None);
        assert_eq!(cache.known(&key("c")), Some(3));
        cache.put(key("d"), 4, 11);
        assert_eq!(cache.known(&key("d")), None);
        assert_eq!(cache.known(&key("a")), Some(1));
    }

    #[test]
    fn no_more_values_are_kept_than_asked_for() {
        let cache = Cache::with_number(100, 2);
        for (number, name) in ["a", "b", "c"].iter().enumerate() {
            cache.put(key(name), number, 1);
        }
        assert_eq!(cache.known(&key("a")), None);
        assert_eq!(cache.known(&key("b")), Some(1));
        let none = Cache::with_number(100, 0);
        none.put(key("a"), 1, 1);
        assert_eq!(none.known(&key("a")), None);
    }

    #[test]
    fn a_value_takes_the_place_of_the_one_before() {
        let cache = Cache::new(10);
        for number in 0..100 {
            cache.put(key("a"), number, 6);
        }
        cache.put(key("b"), 1, 4);
        assert_eq!(cache.known(&key("a")), Some(99));
        cache.forget(&key("a"));
        cache.put(key("c"), 2, 6);
        assert_eq!(cache.known(&key("b")), Some(1));
    }

    #[test]
    fn what_is_kept_and_what_made_room_is_counted() {
        let metrics = Metrics::default();
        let numbers = Numbers::new(&metrics);
        let cache = Cache::with_number(100, 2).counted(numbers.contents().clone());
        for (number, name) in ["a", "b", "c"].iter().enumerate() {
            cache.put(key(name), number, 1);
        }
        cache.forget(&key("c"));
        let text = metrics.to_text();
        for line in [
            "cache_size{name=\"deployer_download_cache\"} 1",
            "cache_evict_total{name=\"deployer_download_cache\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_known_until_it_is_confirmed_and_then_fresh() {
        let cache = Cache::new(100);
        let hour = Duration::from_hours(1);
        cache.put(key("a"), 1, 1);
        assert_eq!(cache.fresh(&key("a"), hour), Some(1));
        tokio::time::advance(hour).await;
        assert_eq!(cache.fresh(&key("a"), hour), None);
        assert_eq!(cache.fresh(&key("a"), FOR_EVER), Some(1));
        cache.confirm(&key("a"));
        assert_eq!(cache.fresh(&key("a"), hour), Some(1));
    }
}
