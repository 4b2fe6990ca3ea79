//! Who may ask which registry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many at a time, for each registry and each configuration: one that hangs stops neither other
/// registries nor others who ask the same one with their own configuration.
#[derive(Debug)]
pub(super) struct Turns {
    limit: usize,
    registries: Mutex<BTreeMap<(String, String), Arc<Semaphore>>>,
}

impl Turns {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            registries: Mutex::default(),
        }
    }

    /// Waits for a turn, in the order of asking. It ends when what is returned is dropped.
    pub(super) async fn take(&self, config: &str, host: &str) -> Option<OwnedSemaphorePermit> {
        let semaphore = {
            let key = (config.to_owned(), host.to_owned());
            let registries = self.registries.lock();
            let mut registries = registries.unwrap_or_else(PoisonError::into_inner);
            // Those that nobody uses are not kept.
            registries.retain(|it, semaphore| *it == key || Arc::strong_count(semaphore) > 1);
            let new = || Arc::new(Semaphore::new(self.limit));
            Arc::clone(registries.entry(key).or_insert_with(new))
        };
        semaphore.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn each_registry_has_its_own_turns_and_each_configuration() {
        let turns = Turns::new(1);
        let take = |config, host| turns.take(config, host).now_or_never().flatten();
        let held = take("c", "a");
        assert!(held.is_some());
        assert!(take("c", "a").is_none());
        assert!(take("c", "b").is_some());
        assert!(take("d", "a").is_some());
        drop(held);
        assert!(take("c", "a").is_some());
        assert_eq!(turns.registries.lock().unwrap().len(), 1);
    }
}
