//! The transfers that go on.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use kube::runtime::reflector::Store;
use ocm::Timestamp;
use ocm::digest::Digest;
use ocm::model::ComponentVersionId;
use ocm::transfer::TransferProgress;
use ocm::transfer::plan::Action;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::job::{Error, Job, Outcome};
use crate::api::Replication;
use crate::resolution::Resolutions;

/// The part of an interval after which a transfer may be looked at again: objects are looked at up
/// to a tenth earlier than their interval says.
const DUE: f64 = 0.85;

/// Transfers, of which a bounded number goes on at a time, one for each object.
#[derive(Debug)]
pub(crate) struct Transfers {
    turns: Arc<Semaphore>,
    clock: fn() -> Timestamp,
    state: Mutex<BTreeMap<String, Transfer>>,
}

#[derive(Debug)]
struct Transfer {
    job: Digest,
    progress: Arc<Counts>,
    ended: Arc<Mutex<Option<(Instant, Ended)>>>,
    task: Option<JoinHandle<()>>,
}

/// How many component versions there are, and how many of them are at the target.
#[derive(Debug, Default)]
struct Counts {
    of: AtomicU64,
    done: AtomicU64,
}

impl TransferProgress for Counts {
    fn finished(&self, _: &ComponentVersionId, _: Action) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// How a transfer goes.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// It waits for its turn, or it is not known yet whether there is something to do.
    Planning,
    /// Something moves: so many of so many component versions are at the target.
    Moving { done: u64, of: u64 },
    /// It has ended.
    Ended(Ended),
}

/// A transfer that has ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) began: Timestamp,
    pub(super) at: Timestamp,
    pub(super) outcome: Outcome,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Transfers {
    /// Has so many go on at a time.
    pub(crate) fn new(limit: u16, clock: fn() -> Timestamp) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(usize::from(limit.max(1)))),
            clock,
            state: Mutex::default(),
        }
    }

    /// Says how the transfer of an object goes, and begins it where there is none, where there is
    /// another one, which ends, where the last one has failed and that was said, or where it has
    /// ended an interval ago. `wake` is called when there is something new to say.
    pub(super) fn follow(
        &self,
        object: &str,
        job: Job,
        interval: Option<Duration>,
        resolutions: &Resolutions,
        wake: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Progress {
        let name = job.name();
        let mut state = self.state();
        if let Some(transfer) = state.get_mut(object).filter(|it| it.job == name) {
            match transfer.progress(interval) {
                Some(Progress::Ended(ended)) if ended.outcome.is_err() => {
                    state.remove(object);
                    return Progress::Ended(ended);
                }
                Some(progress) => return progress,
                None => {}
            }
        }
        let transfer = self.begin(name, job, resolutions.clone(), wake);
        state.insert(object.to_owned(), transfer);
        Progress::Planning
    }

    /// Ends the transfer of an object, and waits until nothing of it goes on any more.
    pub(super) async fn cancel(&self, object: &str) {
        let transfer = self.state().remove(object);
        if let Some(task) = transfer.and_then(|mut it| it.task.take()) {
            task.abort();
            // It was cancelled, or had ended.
            let _ = task.await;
        }
    }

    /// Ends the transfers of objects that have gone without a pass, as somebody has taken their
    /// finalizers away. It does so when there are more of them than of those that are there.
    pub(super) fn end_of_gone(&self, there: &Store<Replication>) {
        let mut state = self.state();
        if state.len() <= there.len() {
            return;
        }
        let there = there.state();
        let there: BTreeSet<_> = there
            .iter()
            .filter_map(|it| it.metadata.uid.as_deref())
            .collect();
        state.retain(|uid, _| there.contains(&**uid));
    }

    fn begin(
        &self,
        name: Digest,
        job: Job,
        resolutions: Resolutions,
        wake: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Transfer {
        let progress = Arc::new(Counts::default());
        let ended = Arc::new(Mutex::new(None));
        let (turns, clock) = (Arc::clone(&self.turns), self.clock);
        let (counts, end) = (Arc::clone(&progress), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            // It is never closed.
            let _turn = turns.acquire_owned().await;
            let began = now(clock);
            let moving = {
                let (counts, wake) = (Arc::clone(&counts), wake.clone());
                move |of| {
                    counts.of.store(of, Ordering::Relaxed);
                    wake();
                }
            };
            let work = async { job.run(&resolutions, moving, counts).await };
            let outcome = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(outcome) => outcome.map_err(Arc::new),
                // What it has shared with others is as it was: numbers, and what was read.
                Err(_) => Err(Arc::new(Error::Lost)),
            };
            let outcome = Ended {
                began,
                at: now(clock),
                outcome,
            };
            let mut ended = end.lock().unwrap_or_else(PoisonError::into_inner);
            *ended = Some((Instant::now(), outcome));
            drop(ended);
            wake();
        });
        Transfer {
            job: name,
            progress,
            ended,
            task: Some(task),
        }
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<String, Transfer>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time as a status has it.
fn now(clock: fn() -> Timestamp) -> Timestamp {
    let now = clock();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

impl Transfer {
    /// Says how it goes; `None` if it has ended an interval ago.
    fn progress(&self, interval: Option<Duration>) -> Option<Progress> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, ended)) = &*ended {
            let is_due = interval.is_some_and(|it| at.elapsed() >= it.mul_f64(DUE));
            return (!is_due).then(|| Progress::Ended(ended.clone()));
        }
        let Counts { of, done } = &*self.progress;
        Some(match of.load(Ordering::Relaxed) {
            0 => Progress::Planning,
            of => Progress::Moving {
                done: done.load(Ordering::Relaxed),
                of,
            },
        })
    }
}
