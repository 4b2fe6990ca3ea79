//! Work side by side, within a limit.

use std::future::Future;
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{JoinError, JoinSet};

/// Runs futures side by side, at most so many at a time, and returns their results in the order of
/// the futures. The first error ends all.
///
/// There are as many tasks as may run at a time, each of which takes the next future once it is done
/// with one: whoever waits for all is not woken for each.
///
/// # Cancellation
///
/// Dropping it ends all.
pub(crate) async fn all<T, E, F>(
    futures: impl IntoIterator<Item = F, IntoIter: Send + 'static>,
    limit: usize,
) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let waiting = Arc::new(Mutex::new(futures.into_iter().enumerate()));
    let mut running = JoinSet::new();
    for _ in 0..limit.max(1) {
        // Who has come first may have taken all.
        let Some(first) = next(&waiting) else {
            break;
        };
        let waiting = Arc::clone(&waiting);
        running.spawn(async move {
            let mut results = Vec::new();
            let mut taken = Some(first);
            while let Some((index, future)) = taken {
                results.push((index, future.await?));
                taken = next(&waiting);
            }
            Ok(results)
        });
    }
    let mut results: Vec<(usize, T)> = Vec::new();
    while let Some(joined) = running.join_next().await {
        results.extend(finished(joined)?);
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

fn next<I: Iterator>(waiting: &Mutex<I>) -> Option<I::Item> {
    waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .next()
}

/// Returns the result of a task, and lets a panic of it go on here.
pub(crate) fn finished<T>(joined: Result<T, JoinError>) -> T {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(payload) => panic::resume_unwind(payload),
        Err(error) => panic!("a task ended before the set that holds it: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn results_keep_the_order_of_the_futures_within_the_limit() {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let futures = (0..20_usize).map(|n| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..20 - n {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, ()>(n)
            }
        });
        let results = all(futures.collect::<Vec<_>>(), 3).await.unwrap();
        assert_eq!(results, (0..20).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn the_first_error_ends_all() {
        let futures = (0..3).map(|n| async move {
            if n == 1 {
                return Err(n);
            }
            std::future::pending().await
        });
        assert_eq!(
            all::<(), _, _>(futures.collect::<Vec<_>>(), 3).await,
            Err(1)
        );
    }
}
