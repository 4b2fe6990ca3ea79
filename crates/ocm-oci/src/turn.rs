//! Work that is done side by side and begins in order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Hands out turns, one after the other.
///
/// What is written side by side into one file stands there in the order in which it begins. Who
/// wants the same file each time lets work [come](Turn::come) in turn, begin, and [pass](Turn::pass)
/// the turn on; what is long is done after that.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Queue>);

/// A place in a queue of [`Turns`]. Clones are the same place.
///
/// Nobody comes before all that are in front have passed. Work that fails does not pass: nothing
/// begins any more behind it, and whoever waits there waits until it is dropped. Work that is
/// started in the order of its turns cannot block itself, however little of it runs at a time.
#[derive(Clone, Debug)]
pub struct Turn {
    queue: Arc<Queue>,
    number: u64,
}

#[derive(Debug)]
struct Queue {
    /// The turn that is on.
    head: watch::Sender<u64>,
    state: Mutex<State>,
    /// The place that this whole queue has in another one.
    within: Option<Turn>,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    /// What has passed before its turn was on.
    passed: BTreeSet<u64>,
    is_closed: bool,
}

impl Turns {
    /// Starts a queue.
    pub fn new() -> Self {
        Self::queue(None)
    }

    /// Starts a queue within a turn of another one, which passes once this queue is
    /// [closed](Self::close) and through.
    pub fn within(turn: Option<&Turn>) -> Self {
        Self::queue(turn.cloned())
    }

    fn queue(within: Option<Turn>) -> Self {
        Self(Arc::new(Queue {
            head: watch::Sender::new(0),
            state: Mutex::default(),
            within,
        }))
    }

    /// Returns the place behind all others.
    pub fn next(&self) -> Turn {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.made;
        state.made += 1;
        Turn {
            queue: Arc::clone(&self.0),
            number,
        }
    }

    /// Says that nobody else comes.
    pub fn close(&self) {
        self.0.advance(|state| state.is_closed = true);
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

impl Turn {
    /// Waits until all in front have passed.
    pub async fn come(&self) {
        let mut next = Some(self);
        while let Some(Self { queue, number }) = next {
            let mut head = queue.head.subscribe();
            // The sender lives as long as this turn.
            let _ = head.wait_for(|head| head >= number).await;
            next = queue.within.as_ref();
        }
    }

    /// Lets the next one come. Passing again, or before the turn has come, is allowed.
    pub fn pass(&self) {
        self.queue.advance(|state| {
            state.passed.insert(self.number);
        });
    }
}

impl Queue {
    fn advance(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let before = *self.head.borrow();
        let mut head = before;
        // What has passed twice stands before the head.
        state.passed = state.passed.split_off(&head);
        while state.passed.remove(&head) {
            head += 1;
        }
        let is_through = state.is_closed && head == state.made;
        if head != before {
            self.head.send_replace(head);
        }
        drop(state);
        if let (true, Some(outer)) = (is_through, &self.within) {
            outer.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn is_on(turn: &Turn) -> bool {
        turn.come().now_or_never().is_some()
    }

    #[test]
    fn turns_come_one_after_the_other() {
        let turns = Turns::new();
        let [first, second, third] = [turns.next(), turns.next(), turns.next()];
        assert!(is_on(&first) && !is_on(&second) && !is_on(&third));
        second.pass();
        assert!(!is_on(&third));
        first.pass();
        assert!(is_on(&third));
        first.pass();
        assert!(is_on(&first) && is_on(&second) && !is_on(&turns.next()));
    }

    #[test]
    fn a_queue_within_a_turn_waits_for_it_and_passes_it_on() {
        let outer = Turns::new();
        let [before, ours, behind] = [outer.next(), outer.next(), outer.next()];
        let inner = Turns::within(Some(&ours));
        let [one, two] = [inner.next(), inner.next()];
        assert!(!is_on(&one));
        before.pass();
        assert!(is_on(&one) && !is_on(&two));
        two.pass();
        inner.close();
        assert!(!is_on(&behind));
        one.pass();
        assert!(is_on(&behind));
    }

    #[test]
    fn an_empty_queue_passes_once_it_is_closed() {
        let outer = Turns::new();
        let [ours, behind] = [outer.next(), outer.next()];
        let inner = Turns::within(Some(&ours));
        assert!(!is_on(&behind));
        inner.close();
        assert!(is_on(&behind));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let turns = Turns::new();
        let [first, second] = [turns.next(), turns.next()];
        let waiting = tokio::spawn(async move { second.come().await });
        tokio::task::yield_now().await;
        first.pass();
        waiting.await.unwrap();
    }
}
