//! Hashing beside others who hash.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use futures::channel::oneshot;
use ocm_digest::Digester;

/// The size from which on a chunk is worth being hashed together with another one, in bytes.
const WORTH_IT: usize = 16 * 1024;

/// Chunks that are to be hashed, the oldest first.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting {
    jobs: VecDeque::new(),
    next: 0,
});

#[derive(Debug)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// The number of the next job.
    next: u64,
}

#[derive(Debug)]
struct Job {
    number: u64,
    digester: Digester,
    chunk: Bytes,
    done: oneshot::Sender<Digester>,
}

/// Adds a chunk to a digest.
///
/// Two chunks of different content take little longer than one, where the processor can do that. So
/// a chunk waits until everybody has had a turn who has something to do: whoever comes first then
/// hashes it together with another one that has come meanwhile. Where nobody else hashes, nothing is
/// waited for.
///
/// # Cancellation
///
/// A future that is dropped takes the computation with it.
pub async fn hash(digester: &mut Digester, chunk: &Bytes) {
    if chunk.len() < WORTH_IT || !digester.is_paired() {
        digester.update(chunk);
        return;
    }
    let (done, hashed) = oneshot::channel();
    let place = Place::take(digester, chunk, done);
    yield_now().await;
    if let Some((mut job, other)) = place.leave() {
        match other {
            Some(mut other) => {
                let chunk = &other.chunk;
                job.digester
                    .update_both(&job.chunk, &mut other.digester, chunk);
                // Nobody may wait for it any more.
                let _ = other.done.send(other.digester);
            }
            None => job.digester.update(&job.chunk),
        }
        *digester = job.digester;
    } else if let Ok(hashed) = hashed.await {
        *digester = hashed;
    } else {
        unreachable!("who takes a job out hashes it and says so");
    }
}

/// A place among those who wait, which is given up with it.
struct Place(u64);

impl Place {
    fn take(digester: &Digester, chunk: &Bytes, done: oneshot::Sender<Digester>) -> Self {
        let mut waiting = waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.jobs.push_back(Job {
            number,
            digester: digester.clone(),
            chunk: chunk.clone(),
            done,
        });
        Self(number)
    }

    /// Takes the job out, and the one that has waited longest of the others. `None` if somebody
    /// else has it.
    fn leave(&self) -> Option<(Job, Option<Job>)> {
        let mut waiting = waiting();
        let index = waiting.jobs.iter().position(|job| job.number == self.0)?;
        let job = waiting.jobs.remove(index)?;
        Some((job, waiting.jobs.pop_front()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = waiting();
        waiting.jobs.retain(|job| job.number != self.0);
    }
}

fn waiting() -> MutexGuard<'static, Waiting> {
    // Nothing panics while it is held.
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets everybody go first who has something to do.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use ocm_digest::Digest;

    fn content(number: u8) -> Bytes {
        Bytes::from(vec![number; WORTH_IT + usize::from(number) * 1000])
    }

    async fn hashed(number: u8) -> Digest {
        let mut digester = Digester::default();
        for _ in 0..20 {
            hash(&mut digester, &content(number)).await;
        }
        digester.finish()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn each_of_many_gets_the_digest_of_what_is_its_own() {
        let tasks = (0..50).map(|number| tokio::spawn(hashed(number)));
        for (number, digest) in (0..50).zip(join_all(tasks).await) {
            let expected = Digest::sha256(content(number).repeat(20));
            assert_eq!(digest.unwrap(), expected, "{number}");
        }
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_to_anybody() {
        let mut digester = Digester::default();
        let chunk = content(200);
        let mut given_up = Box::pin(hash(&mut digester, &chunk));
        assert!(futures::poll!(&mut given_up).is_pending() || !Digester::default().is_paired());
        drop(given_up);
        let is_there = waiting()
            .jobs
            .iter()
            .any(|job| job.chunk.len() == chunk.len());
        assert!(!is_there);
    }
}
