//! Events: what happened to an object, for people, without drowning them.
//!
//! The same event of the same object is written once and then counted, which is written at most
//! every few minutes. An object has a budget of different events, which fills up slowly. Events are
//! written one after another, in their order, and after the work that they are about: while more
//! and more come, the first wait for some seconds. That one cannot be written stops nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;

/// How long the count of an event is kept to ourselves before it is written again.
const QUIET: Duration = Duration::from_mins(5);

/// How long an event is remembered after it was seen last: as long as API servers keep it.
const REMEMBERED: Duration = Duration::from_hours(1);

/// How many different events an object may have at once, and how long until it may have one more.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_mins(5);

/// How many events are remembered, and how many may wait to be written.
const MAX_EVENTS: usize = 8192;

/// For how long no event may have come before the first of several is written, as the API server has
/// better things to do than to note them while what they are about goes on; and how long that one
/// waits at most.
const CALM: Duration = Duration::from_millis(250);
const LATE: Duration = Duration::from_secs(5);

/// How long nothing is written after an event, as a multiple of the time that it has taken, and at
/// most. Events that are late have a pause that is as long as writing one.
const PAUSE: u32 = 8;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The longest message in bytes, and the longest name of an event.
const MESSAGE_LIMIT: usize = 1024;
const NAME_LIMIT: usize = 253;

/// Takes the events of one component.
pub struct Events {
    component: String,
    instance: String,
    clock: fn() -> Timestamp,
    state: Shared,
    waiting: mpsc::Sender<Waiting>,
}

/// Writes the events that are taken.
pub struct Writer {
    client: Client,
    state: Shared,
    waiting: mpsc::Receiver<Waiting>,
}

/// An event that waits to be written.
struct Waiting {
    key: Key,
    namespace: String,
    write: Write,
    since: Instant,
}

enum Write {
    Create(Box<CoreEvent>),
    Count {
        name: String,
        count: i32,
        last: Time,
    },
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whether it is as it should be.
    pub severity: Severity,
    /// Why, for programs.
    pub reason: String,
    /// What, for people.
    pub message: String,
    /// More about it.
    pub annotations: BTreeMap<String, String>,
}

/// Whether an event is as it should be.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// It is.
    Normal,
    /// Somebody may want to look at it.
    Warning,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What is known of events, by those who take them and by who writes them.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    events: BTreeMap<Key, Written>,
    budgets: BTreeMap<String, Budget>,
}

type Key = (String, Severity, String, String);

/// An event that is in the cluster.
#[derive(Clone)]
struct Written {
    name: String,
    count: i32,
    seen: Instant,
    stored: Instant,
}

struct Budget {
    left: u32,
    since: Instant,
}

/// What to do about an event.
enum Decision {
    Create,
    Count { name: String, count: i32 },
    Nothing,
}

impl Events {
    /// Takes events as a component; the instance is another one in each replica. What is taken is
    /// written by what is returned beside it.
    pub fn new(
        client: Client,
        component: &str,
        instance: &str,
        clock: fn() -> Timestamp,
    ) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        let state = Shared::default();
        let events = Self {
            component: component.to_owned(),
            instance: instance.to_owned(),
            clock,
            state: state.clone(),
            waiting: sender,
        };
        let writer = Writer {
            client,
            state,
            waiting: receiver,
        };
        (events, writer)
    }

    /// Says what happened to an object. Where too many events wait already, it is left out.
    pub fn publish(&self, object: &ObjectReference, event: Event) {
        let message = limited(&event.message).to_owned();
        let uid = object.uid.clone().unwrap_or_default();
        let key = (uid, event.severity, event.reason.clone(), message.clone());
        let now = (self.clock)();
        let write = {
            let mut state = self.state.lock();
            match state.decide(&key, Instant::now()) {
                Decision::Nothing => return,
                Decision::Count { name, count } => Write::Count {
                    name,
                    count,
                    last: Time(now),
                },
                Decision::Create => {
                    let created = self.event(object, event, message, now);
                    let name = created.metadata.name.clone().unwrap_or_default();
                    state.created(key.clone(), name, Instant::now());
                    Write::Create(Box::new(created))
                }
            }
        };
        // Events of objects without a namespace are in `default`.
        let namespace = object.namespace.as_deref().unwrap_or("default").to_owned();
        let waiting = Waiting {
            key,
            namespace,
            write,
            since: Instant::now(),
        };
        if let Err(refused) = self.waiting.try_send(waiting) {
            let name = object.name.as_deref().unwrap_or_default();
            tracing::warn!(object = name, "too many events wait to be written");
            self.state.lock().events.remove(&refused.into_inner().key);
        }
    }

    fn event(
        &self,
        object: &ObjectReference,
        event: Event,
        message: String,
        now: Timestamp,
    ) -> CoreEvent {
        let name = object.name.as_deref().unwrap_or(&self.component);
        CoreEvent {
            metadata: ObjectMeta {
                name: Some(event_name(name, now)),
                annotations: Some(event.annotations).filter(|it| !it.is_empty()),
                ..ObjectMeta::default()
            },
            involved_object: object.clone(),
            reason: Some(event.reason),
            message: Some(message),
            type_: Some(event.severity.as_str().to_owned()),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource {
                component: Some(self.component.clone()),
                host: None,
            }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.instance.clone()),
            ..CoreEvent::default()
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Writes events as they come until it is stopped, and then those that still wait.
    ///
    /// # Cancellation
    ///
    /// What waits is not written.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut next = None;
        while let Some(waiting) = self.next(&mut next, &stop).await {
            let (start, since) = (Instant::now(), waiting.since);
            self.write(waiting).await;
            let took = start.elapsed();
            let pause = if since.elapsed() < LATE {
                (took * PAUSE).min(LONGEST_PAUSE)
            } else {
                took
            };
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
        self.waiting.close();
        if let Some(waiting) = next {
            self.write(waiting).await;
        }
        while let Some(waiting) = self.waiting.recv().await {
            self.write(waiting).await;
        }
    }

    /// Returns the next event, or `None` when it is stopped: then one may be left in `held`. Where none
    /// waits, it waits for one, and until no more come.
    async fn next(
        &mut self,
        held: &mut Option<Waiting>,
        stop: &CancellationToken,
    ) -> Option<Waiting> {
        if let Ok(waiting) = self.waiting.try_recv() {
            return Some(waiting);
        }
        let first = stop.run_until_cancelled(self.waiting.recv()).await??;
        let deadline = first.since + LATE;
        *held = Some(first);
        let mut waiting = self.waiting.len();
        while Instant::now() < deadline {
            stop.run_until_cancelled(sleep(CALM)).await?;
            let now = self.waiting.len();
            if now == waiting {
                break;
            }
            waiting = now;
        }
        held.take()
    }

    async fn write(&self, waiting: Waiting) {
        let Waiting {
            key,
            namespace,
            write,
            since: _,
        } = waiting;
        let api = Api::<CoreEvent>::namespaced(self.client.clone(), &namespace);
        let (name, written) = match write {
            Write::Create(event) => {
                let written = api.create(&PostParams::default(), &event).await;
                (event.metadata.name.unwrap_or_default(), written)
            }
            Write::Count { name, count, last } => {
                let patch = Patch::Merge(json!({"count": count, "lastTimestamp": last}));
                let written = api.patch(&name, &PatchParams::default(), &patch).await;
                (name, written)
            }
        };
        if let Err(error) = written.map_err(ApiError::from) {
            tracing::warn!(event = name, %error, "cannot write an event");
            // It may have expired. The next one like it is written anew.
            self.state.lock().events.remove(&key);
        }
    }
}

impl State {
    fn decide(&mut self, key: &Key, now: Instant) -> Decision {
        if let Some(known) = self.events.get_mut(key)
            && now.duration_since(known.seen) < REMEMBERED
        {
            known.count += 1;
            known.seen = now;
            if now.duration_since(known.stored) < QUIET {
                return Decision::Nothing;
            }
            known.stored = now;
            return Decision::Count {
                name: known.name.clone(),
                count: known.count,
            };
        }
        self.forget_old(now);
        let budget = self.budgets.entry(key.0.clone()).or_insert(Budget {
            left: BURST,
            since: now,
        });
        budget.refill(now);
        if budget.left == 0 {
            return Decision::Nothing;
        }
        budget.left -= 1;
        Decision::Create
    }

    fn created(&mut self, key: Key, name: String, now: Instant) {
        let written = Written {
            name,
            count: 1,
            seen: now,
            stored: now,
        };
        self.events.insert(key, written);
    }

    fn forget_old(&mut self, now: Instant) {
        let full = self.events.len() >= MAX_EVENTS || self.budgets.len() >= MAX_EVENTS;
        if !full {
            return;
        }
        self.events
            .retain(|_, it| now.duration_since(it.seen) < REMEMBERED);
        self.budgets.retain(|_, it| {
            it.refill(now);
            it.left < BURST
        });
        // More than that at once is better forgotten than kept.
        if self.events.len() >= MAX_EVENTS {
            self.events.clear();
        }
        if self.budgets.len() >= MAX_EVENTS {
            self.budgets.clear();
        }
    }
}

impl Budget {
    fn refill(&mut self, now: Instant) {
        let passed = now.duration_since(self.since).as_secs() / REFILL.as_secs();
        let more = u32::try_from(passed).unwrap_or(BURST);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.since = now;
        }
    }
}

/// Names an event after its object and the time. Of a long name it has the beginning.
fn event_name(object: &str, now: Timestamp) -> String {
    let suffix = format!(".{:x}", now.as_nanosecond());
    let object = &object[..object.floor_char_boundary(NAME_LIMIT - suffix.len())];
    // No part of a name ends in one of these.
    format!("{}{suffix}", object.trim_end_matches(['.', '-']))
}

fn limited(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_LIMIT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uid: &str, message: &str) -> Key {
        let reason = "Because".to_owned();
        (uid.to_owned(), Severity::Normal, reason, message.to_owned())
    }

    fn publish(state: &mut State, key: &Key, now: Instant) -> &'static str {
        match state.decide(key, now) {
            Decision::Create => {
                state.created(key.clone(), "n".to_owned(), now);
                "create"
            }
            Decision::Count { .. } => "count",
            Decision::Nothing => "nothing",
        }
    }

    #[test]
    fn the_same_event_is_written_once_and_counted_seldom() {
        let (mut state, now) = (State::default(), Instant::now());
        let key = key("a", "m");
        assert_eq!(publish(&mut state, &key, now), "create");
        for _ in 0..100 {
            assert_eq!(publish(&mut state, &key, now), "nothing");
        }
        let later = now + QUIET;
        let Decision::Count { count, .. } = state.decide(&key, later) else {
            panic!("not counted");
        };
        assert_eq!(count, 102);
        assert_eq!(publish(&mut state, &key, later), "nothing");
        assert_eq!(publish(&mut state, &key, later + REMEMBERED), "create");
    }

    #[test]
    fn an_object_has_a_budget_that_others_do_not_share() {
        let (mut state, now) = (State::default(), Instant::now());
        for number in 0..BURST {
            let key = key("a", &number.to_string());
            assert_eq!(publish(&mut state, &key, now), "create");
        }
        assert_eq!(publish(&mut state, &key("a", "more"), now), "nothing");
        assert_eq!(publish(&mut state, &key("b", "more"), now), "create");
        assert_eq!(
            publish(&mut state, &key("a", "more"), now + REFILL),
            "create"
        );
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (mut state, now) = (State::default(), Instant::now());
        for number in 0..2 * MAX_EVENTS {
            publish(&mut state, &key(&number.to_string(), "m"), now);
        }
        assert!(state.events.len() <= MAX_EVENTS && state.budgets.len() <= MAX_EVENTS);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let message = "ä".repeat(MESSAGE_LIMIT);
        assert_eq!(limited(&message).len(), MESSAGE_LIMIT);
        assert_eq!(limited(&format!("x{message}")).len(), MESSAGE_LIMIT - 1);
        assert_eq!(limited("short"), "short");
    }

    #[test]
    fn an_event_about_an_object_with_a_long_name_has_a_name_that_is_allowed() {
        let now = Timestamp::from_nanosecond(0x1234).expect("a time");
        assert_eq!(event_name("shop", now), "shop.1234");
        let long = event_name(&"a".repeat(253), now);
        assert_eq!(long, format!("{}.1234", "a".repeat(248)));
        let dotted = event_name(&format!("{}.{}", "a".repeat(247), "b".repeat(5)), now);
        assert_eq!(dotted, format!("{}.1234", "a".repeat(247)));
    }
}
