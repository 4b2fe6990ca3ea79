//! What is remembered of objects between two passes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::Store;
use tokio::time::Instant;

use super::timing::delay;
use crate::object::Object;

/// How long what was written may be missing from what is watched.
const UNSEEN: Duration = Duration::from_secs(10);

/// What is remembered of the objects of a kind, of no more than there are.
pub(super) struct Memories<K: Object> {
    there: Store<K>,
    known: Mutex<BTreeMap<String, Memory<K::Status>>>,
    /// Whose status was written when: what must have been seen by now is not kept any longer.
    recent: Mutex<VecDeque<(Instant, String)>>,
}

struct Memory<S> {
    since: Instant,
    /// When it was found or made sure that it has its finalizers.
    kept: Option<Instant>,
    failures: u32,
    /// Whether it was found to be as it asks.
    succeeded: bool,
    /// What was written and may not have been seen yet.
    written: Option<(S, Instant)>,
}

impl<S> Default for Memory<S> {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            kept: None,
            failures: 0,
            succeeded: false,
            written: None,
        }
    }
}

impl<K: Object> Memories<K> {
    /// Remembers something of the objects that a store has.
    pub(super) fn of(there: Store<K>) -> Self {
        Self {
            there,
            known: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// Returns the status that an object has, also where it was written a moment ago and what is
    /// watched does not have it yet.
    pub(super) fn status_of(&self, object: &K) -> K::Status {
        let seen = object.status().cloned().unwrap_or_default();
        let mut memories = self.lock();
        let Some(memory) = memories.get_mut(uid(object)) else {
            return seen;
        };
        match &memory.written {
            Some((written, at)) if *written != seen && at.elapsed() < UNSEEN => written.clone(),
            _ => {
                memory.written = None;
                seen
            }
        }
    }

    pub(super) fn wrote(&self, object: &K, status: K::Status) {
        let now = Instant::now();
        self.forget_seen(now);
        self.recent().push_back((now, uid(object).to_owned()));
        self.with(object, |memory| memory.written = Some((status, now)));
    }

    /// Forgets the statuses that must have been seen by now.
    fn forget_seen(&self, now: Instant) {
        let is_seen = |at: &Instant| now.duration_since(*at) >= UNSEEN;
        let mut recent = self.recent();
        let mut memories = self.lock();
        while let Some((_, uid)) = recent.pop_front_if(|(at, _)| is_seen(at)) {
            if let Some(memory) = memories.get_mut(&uid) {
                memory.written.take_if(|(_, at)| is_seen(at));
            }
        }
    }

    /// Tells whether an object had its finalizers a moment ago.
    pub(super) fn is_kept(&self, object: &K) -> bool {
        let memories = self.lock();
        let kept = memories.get(uid(object)).and_then(|it| it.kept);
        kept.is_some_and(|at| at.elapsed() < UNSEEN)
    }

    pub(super) fn kept(&self, object: &K) {
        self.with(object, |memory| memory.kept = Some(Instant::now()));
    }

    /// Returns for how long an object has been looked at.
    pub(super) fn known_for(&self, object: &K) -> Duration {
        self.with(object, |memory| memory.since.elapsed())
    }

    /// Returns how long to wait after one more failure.
    pub(super) fn next_delay(&self, object: &K) -> Duration {
        self.with(object, |memory| {
            memory.failures = memory.failures.saturating_add(1);
            delay(memory.failures)
        })
    }

    /// Notes that an object is as it asks; returns whether this process finds so for the first time.
    pub(super) fn succeeded(&self, object: &K) -> bool {
        self.with(object, |memory| {
            memory.failures = 0;
            !std::mem::replace(&mut memory.succeeded, true)
        })
    }

    /// Forgets an object that has gone.
    pub(super) fn forget(&self, object: &K) {
        self.lock().remove(uid(object));
    }

    fn with<T>(&self, object: &K, change: impl FnOnce(&mut Memory<K::Status>) -> T) -> T {
        let mut memories = self.lock();
        if !memories.contains_key(uid(object)) {
            self.forget_gone(&mut memories);
        }
        change(memories.entry(uid(object).to_owned()).or_default())
    }

    /// Forgets the objects that have gone without a pass, as somebody has taken their finalizers
    /// away. It does so when more is remembered than there is.
    fn forget_gone(&self, memories: &mut BTreeMap<String, Memory<K::Status>>) {
        if memories.len() < self.there.len() {
            return;
        }
        let there = self.there.state();
        let there: BTreeSet<_> = there.iter().map(|it| uid(&**it)).collect();
        memories.retain(|uid, _| there.contains(&**uid));
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<(Instant, String)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Memory<K::Status>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn uid<K: Object>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::api::{Repository, RepositoryStatus};

    fn repository(uid: &str) -> Repository {
        let mut repository = Repository::new(uid, crate::api::RepositorySpec::default());
        repository.metadata.uid = Some(uid.to_owned());
        repository
    }

    #[test]
    fn no_more_is_remembered_than_there_is() {
        let (there, mut writer) = reflector::store();
        let memories = Memories::of(there);
        let known = |memories: &Memories<Repository>| memories.lock().keys().cloned().collect();
        let come = |uid: &str, writer: &mut reflector::store::Writer<Repository>| {
            writer.apply_watcher_event(&Event::Apply(repository(uid)));
            memories.kept(&repository(uid));
            let known: Vec<String> = known(&memories);
            known
        };
        assert_eq!(come("a", &mut writer), ["a"]);
        assert_eq!(come("b", &mut writer), ["a", "b"]);
        writer.apply_watcher_event(&Event::Delete(repository("a")));
        assert_eq!(come("c", &mut writer), ["b", "c"]);
        // However many come and go.
        for number in 0..100 {
            let uid = format!("d{number:03}");
            assert_eq!(come(&uid, &mut writer), ["b", "c", &*uid]);
            writer.apply_watcher_event(&Event::Delete(repository(&uid)));
        }
        assert_eq!(memories.next_delay(&repository("b")), delay(1));
        assert_eq!(memories.next_delay(&repository("b")), delay(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_must_have_been_seen_is_not_kept() {
        let (there, mut writer) = reflector::store();
        let memories = Memories::of(there);
        let (old, new) = (repository("a"), repository("b"));
        for object in [&old, &new] {
            writer.apply_watcher_event(&Event::Apply(object.clone()));
        }
        memories.wrote(&old, RepositoryStatus::default());
        tokio::time::advance(UNSEEN / 2).await;
        memories.wrote(&new, RepositoryStatus::default());
        let kept = |memories: &Memories<Repository>| {
            let memories = memories.lock();
            let kept = memories.iter().filter(|(_, it)| it.written.is_some());
            kept.map(|(uid, _)| uid.clone()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&memories), ["a", "b"]);
        tokio::time::advance(UNSEEN / 2).await;
        memories.wrote(&new, RepositoryStatus::default());
        assert_eq!(kept(&memories), ["b"]);
        assert_eq!(memories.recent().len(), 2);
    }
}
