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

/// Where all of this process wait.
static ROOM: Room = Room(Mutex::new(Waiting {
    jobs: VecDeque::new(),
    next: 0,
}));

/// Where chunks wait to be hashed.
#[derive(Debug)]
struct Room(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// The oldest first.
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
    ROOM.hash(digester, chunk).await;
}

impl Room {
    async fn hash(&self, digester: &mut Digester, chunk: &Bytes) {
        if chunk.len() < WORTH_IT || !digester.is_paired() {
            digester.update(chunk);
            return;
        }
        let (done, hashed) = oneshot::channel();
        let place = self.enter(digester, chunk, done);
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

    fn enter(
        &self,
        digester: &Digester,
        chunk: &Bytes,
        done: oneshot::Sender<Digester>,
    ) -> Place<'_> {
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.jobs.push_back(Job {
            number,
            digester: digester.clone(),
            chunk: chunk.clone(),
            done,
        });
        Place { room: self, number }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait, which is given up with it.
struct Place<'a> {
    room: &'a Room,
    number: u64,
}

impl Place<'_> {
    /// Takes the job out, and the one that has waited longest of the others. `None` if somebody
    /// else has it.
    fn leave(&self) -> Option<(Job, Option<Job>)> {
        let mut waiting = self.room.waiting();
        let number = self.number;
        let index = waiting.jobs.iter().position(|job| job.number == number)?;
        let job = waiting.jobs.remove(index)?;
        Some((job, waiting.jobs.pop_front()))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.room.waiting();
        waiting.jobs.retain(|job| job.number != self.number);
    }
}

/// Lets everybody go first who has something to do now. That of Tokio comes back only once nobody has
/// anything to do any more.
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
    use futures::future::join_all;
    use futures::poll;
    use ocm_digest::Digest;

    use super::*;

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

    fn room() -> Room {
        Room(Mutex::new(Waiting {
            jobs: VecDeque::new(),
            next: 0,
        }))
    }

    #[tokio::test]
    async fn who_comes_back_first_hashes_for_another_as_well() {
        let (room, mut one, mut two) = (room(), Digester::default(), Digester::default());
        if !one.is_paired() {
            // Each hashes at once, and nobody waits.
            return;
        }
        let (first, second) = (content(1), content(2));
        {
            let mut hash_first = Box::pin(room.hash(&mut one, &first));
            let mut hash_second = Box::pin(room.hash(&mut two, &second));
            assert!(poll!(&mut hash_first).is_pending() && poll!(&mut hash_second).is_pending());
            assert_eq!(room.waiting().jobs.len(), 2);
            assert!(poll!(&mut hash_second).is_ready());
            assert_eq!(room.waiting().jobs.len(), 0, "both are hashed");
            assert!(poll!(&mut hash_first).is_ready());
        }
        assert_eq!(one.finish(), Digest::sha256(&first));
        assert_eq!(two.finish(), Digest::sha256(&second));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_to_anybody() {
        let (room, mut digester) = (room(), Digester::default());
        let (is_paired, chunk) = (digester.is_paired(), content(1));
        let mut given_up = Box::pin(room.hash(&mut digester, &chunk));
        assert_eq!(poll!(&mut given_up).is_pending(), is_paired);
        assert_eq!(room.waiting().jobs.len(), usize::from(is_paired));
        drop(given_up);
        assert_eq!(room.waiting().jobs.len(), 0);
    }
}
