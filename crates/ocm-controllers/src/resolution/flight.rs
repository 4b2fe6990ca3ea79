//! Work that several want, and that is done once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::key::Key;

/// What came of work that was done for several.
pub type Outcome<T> = Result<T, Arc<Error>>;

/// How much longer than other outcomes a failure that took long is there at most.
const FAILURES: u32 = 3;

/// Until when an outcome is of use, and what it is.
type Landed<T> = Option<(Instant, Outcome<T>)>;

/// Work that is going on, and what has come of work until a moment ago.
pub(super) struct Flights<T> {
    /// How long an outcome is there for those who come back for it, or as long as it took if that is
    /// longer, which has a bound where it is a failure; not at all if it is zero. It must be longer than they need for that; what is asked for
    /// later is worked on anew.
    kept_for: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    flights: BTreeMap<Key, watch::Receiver<Landed<T>>>,
    swept: Instant,
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Keeps outcomes for so long.
    pub(super) fn new(kept_for: Duration) -> Self {
        let state = State {
            flights: BTreeMap::new(),
            swept: Instant::now(),
        };
        Self {
            kept_for,
            state: Mutex::new(state),
        }
    }

    /// Joins the work of a name, or starts it. It goes on also where nobody waits any more.
    pub(super) fn join(
        &self,
        key: Key,
        work: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Ticket<T> {
        let now = Instant::now();
        let is_of_use = |flight: &_| is_of_use(flight, now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.swept) > self.kept_for {
            state.flights.retain(|_, flight| is_of_use(flight));
            state.swept = now;
        }
        if let Some(flight) = state.flights.get(&key)
            && is_of_use(flight)
        {
            return Ticket(flight.clone());
        }
        let (sender, receiver) = watch::channel(None);
        state.flights.insert(key, receiver.clone());
        drop(state);
        let kept_for = self.kept_for;
        tokio::spawn(async move {
            let outcome = work.await;
            let landed = Instant::now();
            // Who needs several outcomes asks for one after the other. If each were gone when the
            // next one is there, they would never have all. That there was none is of no such use:
            // it would only count on where there could be one by now.
            let took = (landed - now).min(match outcome {
                Ok(_) => Duration::MAX,
                Err(_) => kept_for * FAILURES,
            });
            let kept_for = if kept_for.is_zero() {
                kept_for
            } else {
                kept_for.max(took)
            };
            sender.send_replace(Some((landed + kept_for, outcome)));
        });
        Ticket(receiver)
    }
}

/// Tells whether something will come of it, or has a moment ago.
fn is_of_use<T>(flight: &watch::Receiver<Landed<T>>, now: Instant) -> bool {
    match &*flight.borrow() {
        Some((until, _)) => now < *until,
        // The sender goes without an outcome where the work has panicked.
        None => flight.has_changed().is_ok(),
    }
}

/// A place among those who wait for work.
#[derive(Clone, Debug)]
pub struct Ticket<T>(watch::Receiver<Landed<T>>);

impl<T: Clone + Send + Sync + 'static> Ticket<T> {
    /// Makes a ticket for something that is there.
    pub(super) fn there(outcome: Outcome<T>) -> Self {
        Self(watch::channel(Some((Instant::now(), outcome))).1)
    }

    /// Waits for the outcome, as long as it takes.
    pub async fn outcome(&mut self) -> Outcome<T> {
        let landed = self.0.wait_for(Option::is_some).await;
        let outcome = landed
            .ok()
            .and_then(|it| it.as_ref().map(|it| it.1.clone()));
        outcome.unwrap_or_else(|| Err(Arc::new(Error::Lost)))
    }

    /// Waits for the outcome a while; `None` if that was not enough.
    pub async fn within(&mut self, patience: Duration) -> Option<Outcome<T>> {
        timeout(patience, self.outcome()).await.ok()
    }

    /// Has something done when there is an outcome, also where that is that the work was lost.
    pub fn then(mut self, wake: impl FnOnce() + Send + 'static) {
        tokio::spawn(async move {
            drop(self.outcome().await);
            wake();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::{Notify, oneshot};

    use super::super::key::KeyBuilder;
    use super::*;

    const KEPT: Duration = Duration::from_secs(3);

    fn key(name: &str) -> Key {
        KeyBuilder::new(name).finish()
    }

    #[tokio::test]
    async fn what_several_want_is_done_once() {
        let flights = Flights::new(KEPT);
        let (done, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let join = |name: &str| {
            let (done, go) = (Arc::clone(&done), Arc::clone(&go));
            flights.join(key(name), async move {
                go.notified().await;
                Ok(done.fetch_add(1, Ordering::SeqCst))
            })
        };
        let (mut first, mut second) = (join("a"), join("a"));
        assert!(first.within(Duration::ZERO).await.is_none());
        go.notify_one();
        assert_eq!(first.outcome().await.unwrap(), 0);
        assert_eq!(second.outcome().await.unwrap(), 0);
        assert_eq!(join("a").outcome().await.unwrap(), 0);
        go.notify_one();
        assert_eq!(join("b").outcome().await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_is_there_for_who_comes_back_and_not_much_longer() {
        let flights = Flights::new(KEPT);
        let join = |number: u32| flights.join(key("a"), async move { Ok(number) });
        assert_eq!(join(1).outcome().await.unwrap(), 1);
        tokio::time::advance(KEPT / 2).await;
        assert_eq!(join(2).outcome().await.unwrap(), 1);
        tokio::time::advance(KEPT / 2).await;
        assert_eq!(join(3).outcome().await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_that_took_long_is_there_for_as_long() {
        let flights = Flights::new(KEPT);
        let join = |number: u32| {
            flights.join(key("a"), async move {
                tokio::time::sleep(KEPT * 4).await;
                Ok(number)
            })
        };
        assert_eq!(join(1).outcome().await.unwrap(), 1);
        tokio::time::advance(KEPT * 3).await;
        assert_eq!(join(2).outcome().await.unwrap(), 1);
        tokio::time::advance(KEPT).await;
        assert_eq!(join(3).outcome().await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_took_long_does_not_count_for_as_long() {
        let flights = Flights::<u32>::new(KEPT);
        let join = || {
            flights.join(key("a"), async {
                tokio::time::sleep(KEPT * 40).await;
                Err(Arc::new(Error::Lost))
            })
        };
        assert!(join().outcome().await.is_err());
        tokio::time::advance(KEPT * 2).await;
        assert!(join().within(Duration::ZERO).await.is_some());
        tokio::time::advance(KEPT * (FAILURES - 2)).await;
        assert!(join().within(Duration::ZERO).await.is_none());
    }

    #[tokio::test]
    async fn work_that_panics_is_lost_for_those_who_wait_and_then_done_anew() {
        let flights = Flights::<u32>::new(KEPT);
        let mut lost = flights.join(key("a"), async { panic!("a fault") });
        let error = lost.outcome().await.unwrap_err();
        assert!(matches!(*error, Error::Lost), "{error}");
        let mut found = flights.join(key("a"), async { Ok(1) });
        assert_eq!(found.outcome().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn who_waits_is_woken_whatever_the_outcome_is() {
        let flights = Flights::<u32>::new(KEPT);
        let (wake, woken) = oneshot::channel();
        let lost = flights.join(key("a"), async { panic!("a fault") });
        lost.then(|| wake.send(()).unwrap());
        woken.await.unwrap();
        let (wake, woken) = oneshot::channel();
        let found = flights.join(key("b"), async { Ok(1) });
        found.then(|| wake.send(()).unwrap());
        woken.await.unwrap();
    }
}
