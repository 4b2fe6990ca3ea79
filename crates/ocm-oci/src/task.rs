//! Work that several cores share.

use std::future::Future;
use std::panic;

use tokio::task::JoinSet;

/// Runs work on a task of its own.
///
/// Futures that are polled together share one core, however many there are. Blobs are hashed, and
/// manifests gone through, where they are polled, so each that moves gets a task, and with it a core
/// if one is free.
///
/// # Cancellation
///
/// Dropping it ends the work.
pub async fn on_own_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    // A set, unlike a handle, ends its tasks when it is dropped.
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    match tasks.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            Err(error) => unreachable!("only dropping the set ends its task: {error}"),
        },
        None => unreachable!("the set holds one task"),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::thread;

    use tokio::sync::{Barrier, oneshot};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_is_polled_together_runs_side_by_side() {
        // Both block their thread until the other one is there.
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(2));
        let work = || {
            let barrier = std::sync::Arc::clone(&barrier);
            on_own_task(async move {
                barrier.wait();
                thread::current().id()
            })
        };
        let (one, other) = futures::join!(work(), work());
        assert_ne!(one, other);
    }

    #[tokio::test]
    async fn dropping_it_ends_the_work() {
        let (alive, dead) = oneshot::channel::<()>();
        let started = std::sync::Arc::new(Barrier::new(2));
        let inside = std::sync::Arc::clone(&started);
        let work = on_own_task(async move {
            let _alive = alive;
            inside.wait().await;
            pending::<()>().await;
        });
        let waiting = tokio::spawn(work);
        started.wait().await;
        waiting.abort();
        assert!(dead.await.is_err());
    }
}
