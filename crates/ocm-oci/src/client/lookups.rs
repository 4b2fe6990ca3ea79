//! Many references in one request, at registries that take them ([`crate::lookup`]).
//!
//! What is asked for while requests are under way is gathered and goes with the next one. So nobody who
//! asks for one thing waits for company, and those who ask for thousands of things, some at a time, need
//! few requests. What has no company is asked for by `HEAD`, as at any registry.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::client::exchange::Call;
use crate::client::reply::Reply;
use crate::client::scope::Scopes;
use crate::client::{RegistryClient, Timeouts};
use crate::error::Error;
use crate::lookup::{Answer, HEADER, Lookup, MAX_BYTES, MAX_REFERENCES, Presence, Wanted};
use crate::name::{Reference, RepositoryName};

/// How many requests are under way at a time. With one, what is asked for next would wait for its answer
/// and then for its own.
const UNDER_WAY: usize = 2;

/// Which part of the time that a registry may be silent it may be so while several wait for one answer:
/// asked by themselves, only those wait whose answer does not come.
const PATIENCE: u32 = 12;

/// How long a registry is not believed that it takes several, once it has not.
const DISTRUST: Duration = Duration::from_mins(10);

/// What is known of a registry, and what it is to be asked.
#[derive(Debug)]
pub(crate) struct Lookups {
    state: Mutex<State>,
    turns: Semaphore,
    /// How long an answer may take.
    patience: Duration,
}

#[derive(Debug, Default)]
struct State {
    offer: Offer,
    waiting: Vec<Waiting>,
}

/// Whether a registry takes several references in one request.
#[derive(Clone, Copy, Debug, Default)]
enum Offer {
    /// It has not said so.
    #[default]
    None,
    /// It takes so many.
    Takes(usize),
    /// It has said so, but it did not then, or something in front of it.
    Broken(Instant),
}

/// Somebody who waits for an answer. Without one they ask by themselves.
#[derive(Debug)]
struct Waiting {
    wanted: Wanted,
    answer: oneshot::Sender<Presence>,
}

impl Lookups {
    pub(crate) fn new(timeouts: &Timeouts) -> Self {
        Self {
            state: Mutex::default(),
            turns: Semaphore::new(UNDER_WAY),
            patience: timeouts.read / PATIENCE,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an answer of the registry says about it.
    pub(crate) fn learn_from(&self, reply: &Reply) {
        let number = reply.header(HEADER.as_str());
        let number = number.and_then(|number| number.trim().parse::<usize>().ok());
        if let Some(number) = number.filter(|number| *number > 0) {
            self.learn(number);
        }
    }

    fn learn(&self, number: usize) {
        let mut state = self.state();
        let believes = match state.offer {
            Offer::None => true,
            Offer::Takes(_) => false,
            Offer::Broken(since) => since.elapsed() >= DISTRUST,
        };
        if believes {
            state.offer = Offer::Takes(number.min(MAX_REFERENCES));
        }
    }

    /// Gets in line, if the registry takes several.
    fn enter(&self, wanted: Wanted) -> Option<oneshot::Receiver<Presence>> {
        let mut state = self.state();
        if !matches!(state.offer, Offer::Takes(_)) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Waiting { wanted, answer });
        Some(answered)
    }

    /// Takes out of the line what fits in one request.
    fn next(&self) -> Vec<Waiting> {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.answer.is_closed());
        match state.offer {
            Offer::Takes(number) => {
                let number = number.min(state.waiting.len());
                state.waiting.drain(..number).collect()
            }
            Offer::None | Offer::Broken(_) => {
                state.waiting.clear();
                Vec::new()
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    fn give_up(&self) {
        self.state().offer = Offer::Broken(Instant::now());
    }
}

impl RegistryClient {
    /// Looks a manifest up together with others. What this does not find out has to be asked for by
    /// itself: it tries once and does not fail.
    pub(crate) async fn look_up(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Presence {
        let wanted = Wanted {
            repository: repository.clone(),
            reference: reference.clone(),
        };
        let Some(answered) = self.inner.lookups.enter(wanted) else {
            return Presence::Unknown;
        };
        if self.inner.lookups.turns.available_permits() > 0 {
            // On a task of its own, nobody's answer hangs on somebody else being polled.
            let client = self.clone();
            tokio::spawn(async move { client.ask_for_all().await }.in_current_span());
        }
        answered.await.unwrap_or(Presence::Unknown)
    }

    /// Asks for whatever is waited for, until there is nothing.
    async fn ask_for_all(&self) {
        let lookups = &self.inner.lookups;
        // Whoever is about to ask gets in line first.
        tokio::task::yield_now().await;
        // Those who get in line while the turn is given back have not seen that.
        while !lookups.is_empty() {
            let Ok(_turn) = lookups.turns.try_acquire() else {
                return;
            };
            loop {
                let batch = lookups.next();
                if batch.is_empty() {
                    break;
                }
                self.ask_for(batch).await;
            }
        }
    }

    async fn ask_for(&self, batch: Vec<Waiting>) {
        let (wanted, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.wanted, waiting.answer))
            .unzip();
        let asked = async {
            match wanted.as_slice() {
                [alone] => vec![self.try_resolve(&alone.repository, &alone.reference).await],
                _ => self.try_look_up(wanted).await,
            }
        };
        // Who has asked for time has it.
        self.inner.truce.over().await;
        let lookups = &self.inner.lookups;
        let Ok(said) = timeout(lookups.patience, asked).await else {
            self.note_one_by_one(&format!("no answer within {:?}", lookups.patience));
            return lookups.give_up();
        };
        for (answer, presence) in answers.into_iter().zip(said) {
            // Somebody may have stopped waiting.
            let _ = answer.send(presence);
        }
    }

    /// Returns what the registry says of several, or nothing.
    async fn try_look_up(&self, manifests: Vec<Wanted>) -> Vec<Presence> {
        match self.send_lookup(&Lookup { manifests }).await {
            Ok(said) => said,
            Err(error) => {
                self.note_one_by_one(&error);
                if !error.is_transient() {
                    self.inner.lookups.give_up();
                }
                Vec::new()
            }
        }
    }

    fn note_one_by_one(&self, reason: &dyn Display) {
        let host = self.inner.endpoint.host();
        tracing::debug!("{host} is asked for manifests one by one: {reason}");
    }

    async fn send_lookup(&self, lookup: &Lookup) -> Result<Vec<Presence>, Error> {
        let endpoint = &self.inner.endpoint;
        let paths = lookup.manifests.iter().map(|wanted| &wanted.repository);
        let paths: Vec<_> = paths.map(|name| endpoint.path_of(name)).collect();
        let scopes = paths.iter().fold(Scopes::default(), |scopes, path| {
            scopes.and(Scopes::pull(path))
        });
        let first = paths.first().map(AsRef::as_ref).unwrap_or_default();
        let what = format!("{} manifests of {}", paths.len(), endpoint.host());
        let mut call = Call::new(Method::POST, endpoint.lookup(), first, scopes, what)
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.request.body = serde_json::to_vec(lookup)
            .map_err(|error| Error::malformed(&call.what, error.to_string()))?
            .into();
        let reply = self.try_call(&call, MAX_BYTES).await;
        let reply = reply.map_err(|failure| failure.error)?;
        if reply.status != http::StatusCode::OK {
            return Err(reply.into_error(call.what));
        }
        Answer::parse(&reply.body, &lookup.manifests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_not_kept_a_promise_is_believed_again_later() {
        let lookups = Lookups::new(&Timeouts::default());
        let enters = || {
            let wanted = Wanted {
                repository: "acme/shop".parse().unwrap(),
                reference: "v1".parse().unwrap(),
            };
            lookups.enter(wanted).is_some()
        };
        assert!(!enters());
        lookups.learn(8);
        assert!(enters());
        lookups.give_up();
        lookups.learn(8);
        assert!(!enters());
        tokio::time::advance(DISTRUST).await;
        assert!(!enters());
        lookups.learn(8);
        assert!(enters());
    }
}
