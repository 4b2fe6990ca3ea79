//! Turns: how much of something goes on at a time, where some of it may hang.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// So much work goes on at a time. What takes long gives its turn to others and goes on beside
/// them, so that work that hangs holds nobody up for long.
#[derive(Debug)]
pub struct Turns {
    semaphore: Semaphore,
    number: usize,
    patience: Duration,
}

impl Turns {
    /// Lets so much work go on at a time, and each have its turn for so long at most.
    pub fn new(number: usize, patience: Duration) -> Self {
        let number = number.max(1);
        Self {
            semaphore: Semaphore::new(number),
            number,
            patience,
        }
    }

    /// Does something when it is its turn, in the order of asking.
    pub async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        self.take_several(1, work).await
    }

    /// The same for work that is as much as several others. What is more than all together goes on
    /// by itself.
    pub async fn take_several<T>(&self, weight: usize, work: impl Future<Output = T>) -> T {
        let weight = weight.clamp(1, self.number);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let turn = self.semaphore.acquire_many(weight).await;
        let mut work = pin!(work);
        if let Ok(done) = timeout(self.patience, &mut work).await {
            return done;
        }
        drop(turn);
        work.await
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_gives_its_turn_to_others() {
        let turns = Turns::new(1, Duration::from_secs(1));
        let mut hangs = Box::pin(turns.take(future::pending::<()>()));
        assert!(hangs.as_mut().now_or_never().is_none());
        assert!(turns.take(async {}).now_or_never().is_none());
        tokio::select! {
            () = &mut hangs => panic!("it hangs"),
            () = turns.take(async {}) => {}
        }
    }

    #[tokio::test]
    async fn what_is_much_takes_the_turns_of_several() {
        let turns = Turns::new(3, Duration::from_hours(1));
        let mut much = Box::pin(turns.take_several(9, future::pending::<()>()));
        assert!(much.as_mut().now_or_never().is_none());
        assert!(turns.take(async {}).now_or_never().is_none());
        drop(much);
        let mut some = Box::pin(turns.take_several(2, future::pending::<()>()));
        assert!(some.as_mut().now_or_never().is_none());
        assert!(turns.take(async {}).now_or_never().is_some());
        assert!(turns.take_several(2, async {}).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_turn_ends_with_its_work() {
        let turns = Turns::new(1, Duration::from_hours(1));
        for number in 0..3 {
            assert_eq!(turns.take(async { number }).now_or_never(), Some(number));
        }
    }
}
