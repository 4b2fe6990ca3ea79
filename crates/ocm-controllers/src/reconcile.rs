//! One pass over one object, in the same order for every kind.
//!
//! An object that goes is let go when nothing depends on it any more and what it has brought about
//! is gone, also where it is suspended. One that stays gets its finalizers, then its work is done,
//! and what came of it is written, if it is not what is written already. What fails is tried again:
//! soon where that may help by itself, at the interval otherwise. No failure of one object reaches
//! another.
//!
//! A kind is reconciled by implementing [`Reconcile`] and a line in
//! [`Operator::run`](crate::operator::Operator::run).

mod context;
mod finalizer;
mod memory;
mod timing;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};
use ocm_kube::events::{Event, Severity};
use ocm_kube::status;

use crate::api::{ConditionStatus, ConditionType, Conditions as _, GROUP, Reason};
use crate::config::ObjectKey;
use crate::object::{Object, Status as _};

pub(crate) use self::context::{ConfigSources, Context, Shared};
pub(crate) use self::timing::parse_interval;
use self::timing::spread;

/// Who writes statuses and finalizers.
pub(crate) const MANAGER: &str = "ocm-controllers";

/// How long until an object is looked at again that waits for something, if it is not told of it
/// before.
const WAITING: Duration = Duration::from_mins(1);

/// How long an object that is new may wait without saying so.
const UNSAID: Duration = Duration::from_secs(30);

/// How long until a failure is tried again of an object that states no interval.
const UNSTATED: Duration = Duration::from_mins(10);

/// A kind of object that is reconciled.
pub(crate) trait Reconcile: Object {
    /// What keeps an object until it may go.
    const FINALIZERS: &'static [&'static str];

    /// Whether the work writes the finalizers, before there is anything to keep the object for.
    const KEPT_BY_WORK: bool = false;

    /// What messages call an object.
    const LABEL: &'static str;

    /// The plural by which messages call objects that depend on one, if there are such.
    const DEPENDENTS: Option<&'static str> = None;

    /// The annotation of events about an object, without its group.
    const ANNOTATION: &'static str;

    /// What passes over objects of this kind share, beside what all share.
    type Services: Send + Sync + 'static;

    /// What that annotation says.
    fn annotation(&self, _status: &Self::Status) -> String {
        let namespace = self.namespace().unwrap_or_default();
        format!("{namespace}:{}", self.name_any())
    }

    /// Does the work, and writes into the status what it finds, but for readiness, which is what is
    /// returned. What is written there is kept also where the pass fails or waits.
    fn reconcile(
        &self,
        context: &Context<Self>,
        status: &mut Self::Status,
    ) -> impl Future<Output = Result<Done, Failure>> + Send;

    /// Returns the objects that depend on this one, and keep it.
    fn keepers(&self, shared: &Shared) -> Vec<ObjectKey> {
        shared.relations.keepers(&self.key())
    }

    /// Takes away what the object has brought about, before it is let go. Nobody else depends on it
    /// then.
    fn clean(
        &self,
        context: &Context<Self>,
        status: &mut Self::Status,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (context, status);
        async { Ok(()) }
    }
}

/// The object is as it asks.
#[derive(Debug)]
pub(crate) struct Done {
    /// What its condition says.
    pub(crate) message: String,
    /// What somebody may want to look at all the same: a reason and a message each.
    pub(crate) warnings: Vec<(&'static str, String)>,
    /// When to look again, where the object does not say so itself.
    pub(crate) again: Option<Duration>,
}

impl Done {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            warnings: Vec::new(),
            again: None,
        }
    }
}

/// The object is not, or not yet, as it asks.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    pub(crate) retry: Retry,
}

/// When something is tried again, if nothing changes before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Retry {
    /// Soon, and then less and less often.
    Soon,
    /// At the interval of the object.
    AtInterval,
    /// When work that goes on has ended, which wakes the object. Until then an object that was
    /// ready stays so.
    WhenWoken,
    /// The same for an object that is made from one which is about to be looked at itself. One that
    /// is new says nothing until then.
    WhenJudged,
    /// As [`WhenWoken`](Self::WhenWoken), but what the object was ready with is not what it asks for
    /// any more.
    WhenFinished,
}

impl Failure {
    /// Fails with an error and its causes.
    pub(crate) fn new(reason: Reason, error: &(dyn Error + 'static), is_transient: bool) -> Self {
        Self {
            reason,
            message: with_causes(error),
            retry: if is_transient {
                Retry::Soon
            } else {
                Retry::AtInterval
            },
        }
    }

    /// Fails with a text, until something changes.
    pub(crate) fn text(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry: Retry::AtInterval,
        }
    }
}

/// Returns the text of an error, and that of each of its causes.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<_> = ocm::causes(error).map(ToString::to_string).collect();
    // Some point at places in what they cannot read. Where this goes, there is one line.
    let text = causes.join(": ");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.join(" ")
}

/// Looks at an object once.
pub(crate) async fn pass<K: Reconcile>(object: Arc<K>, context: Arc<Context<K>>) -> Action {
    let pass = Pass {
        api: K::api(
            &context.shared.client,
            &object.namespace().unwrap_or_default(),
        ),
        object: &object,
        context: &context,
    };
    let measured = context.measure();
    let (action, result) = match pass.run().await {
        Ok(ended) => ended,
        Err(error) => {
            let error = with_causes(&*error);
            tracing::warn!(error, "what came of a pass cannot be written");
            (
                Action::requeue(context.memories.next_delay(&*object)),
                "error",
            )
        }
    };
    measured.end(result);
    action
}

type PassError = Box<dyn Error + Send + Sync>;

/// When the object is looked at again, and what came of the pass, for the metrics.
type Ended = (Action, &'static str);

struct Pass<'a, K: Reconcile> {
    api: Api<K>,
    object: &'a K,
    context: &'a Context<K>,
}

impl<K: Reconcile> Pass<'_, K> {
    async fn run(&self) -> Result<Ended, PassError> {
        if self.object.meta().deletion_timestamp.is_some() {
            return self.let_go().await;
        }
        if self.object.is_suspended() {
            // It may be what others depend on already; else there is nothing yet to keep it for.
            if K::DEPENDENTS.is_some() {
                self.keep().await?;
            }
            return Ok((Action::await_change(), "suspended"));
        }
        if !K::KEPT_BY_WORK && !self.keep().await? {
            return Ok((Action::await_change(), "gone"));
        }
        let before = self.context.memories.status_of(self.object);
        let mut after = before.clone();
        let outcome = self.object.reconcile(self.context, &mut after).await;
        let mut is_first = false;
        let ended = match outcome {
            Ok(Done {
                message,
                warnings,
                again,
            }) => {
                is_first = self.context.memories.succeeded(self.object);
                self.state(
                    &mut after,
                    ConditionStatus::True,
                    Reason::Succeeded,
                    message,
                );
                self.announce(&before, &after);
                for (reason, message) in warnings {
                    self.publish(&after, Severity::Warning, reason, message);
                }
                let again = self.at_interval().or(again);
                (
                    again.map_or_else(Action::await_change, Action::requeue),
                    "ready",
                )
            }
            Err(failure) => self.failed(&before, &mut after, failure),
        };
        // What is no news is written along with news, or once, when a process begins.
        if after.is_news_after(&before) || is_first {
            self.write(&before, after).await?;
        }
        Ok(ended)
    }

    /// Makes sure that the object stays until it is let go; returns false if it has gone already.
    async fn keep(&self) -> Result<bool, PassError> {
        // What was written a moment ago may not be seen yet.
        if self.context.memories.is_kept(self.object) {
            return Ok(true);
        }
        let _request = self.context.shared.request().await;
        let kept = finalizer::add(&self.api, self.object, K::FINALIZERS).await?;
        if kept {
            self.context.memories.kept(self.object);
        }
        Ok(kept)
    }

    /// Says in the status why the object is not as it asks.
    fn failed(&self, before: &K::Status, after: &mut K::Status, failure: Failure) -> Ended {
        let Failure {
            reason,
            message,
            retry,
        } = failure;
        let generation = self.object.meta().generation;
        let conditions = before.conditions();
        let holds = match retry {
            Retry::Soon | Retry::AtInterval | Retry::WhenFinished => false,
            Retry::WhenWoken => conditions.is_ready(generation),
            Retry::WhenJudged => {
                conditions.is_ready(generation)
                    || conditions.condition(ConditionType::Ready).is_none()
                        && self.context.memories.known_for(self.object) < UNSAID
            }
        };
        if !holds {
            self.state(after, ConditionStatus::False, reason, message);
            self.announce(before, after);
        }
        match retry {
            Retry::Soon => (
                Action::requeue(self.context.memories.next_delay(self.object)),
                "failed",
            ),
            Retry::AtInterval => (
                Action::requeue(self.at_interval().unwrap_or(UNSTATED)),
                "failed",
            ),
            Retry::WhenJudged if holds => (Action::requeue(UNSAID), "waiting"),
            Retry::WhenWoken | Retry::WhenJudged | Retry::WhenFinished => {
                (Action::requeue(WAITING), "waiting")
            }
        }
    }

    /// Lets an object go that nothing depends on.
    async fn let_go(&self) -> Result<Ended, PassError> {
        let before = self.context.memories.status_of(self.object);
        let mut after = before.clone();
        let is_ours = |it: &String| K::FINALIZERS.contains(&it.as_str());
        let finalizers = self.object.finalizers();
        let keepers = self.object.keepers(&self.context.shared);
        let of_others = || {
            let label = K::LABEL;
            waits(format!(
                "{label} is being deleted and still has existing finalizers"
            ))
        };
        let failure = if !finalizers.iter().any(is_ours) {
            of_others()
        } else if let Some(dependents) = K::DEPENDENTS.filter(|_| !keepers.is_empty()) {
            let keepers: Vec<_> = keepers.iter().map(ObjectKey::path).collect();
            waits(format!(
                "{} cannot be removed as {dependents} are still referencing it: {}",
                K::LABEL,
                keepers.join(",")
            ))
        } else {
            match self.object.clean(self.context, &mut after).await {
                Ok(()) => {
                    let _request = self.context.shared.request().await;
                    finalizer::remove(&self.api, self.object, K::FINALIZERS).await?;
                    if finalizers.iter().all(is_ours) {
                        self.context.memories.forget(self.object);
                        return Ok((Action::await_change(), "gone"));
                    }
                    of_others()
                }
                Err(failure) => failure,
            }
        };
        let Failure {
            reason,
            message,
            retry,
        } = failure;
        self.state(&mut after, ConditionStatus::False, reason, message);
        self.announce(&before, &after);
        self.write(&before, after).await?;
        let again = match retry {
            Retry::Soon => self.context.memories.next_delay(self.object),
            Retry::AtInterval | Retry::WhenWoken | Retry::WhenJudged | Retry::WhenFinished => {
                WAITING
            }
        };
        Ok((Action::requeue(again), "deleting"))
    }

    /// Returns how long until the object is looked at again as it asks itself.
    fn at_interval(&self) -> Option<Duration> {
        let interval = parse_interval(self.object.interval()?).ok()??;
        let now = (self.context.shared.clock)();
        Some(spread(interval, self.object.meta().uid.as_deref(), now))
    }

    fn state(
        &self,
        status: &mut K::Status,
        ready: ConditionStatus,
        reason: Reason,
        message: String,
    ) {
        let generation = self.object.meta().generation;
        let now = (self.context.shared.clock)();
        let conditions = status.conditions_mut();
        conditions.state(
            ConditionType::Ready,
            ready,
            reason,
            message,
            generation,
            now,
        );
        status.observe(generation);
    }

    /// Publishes readiness where it is not as before.
    fn announce(&self, before: &K::Status, after: &K::Status) {
        let ready = |status: &K::Status| {
            let ready = status.conditions().condition(ConditionType::Ready).cloned();
            ready.map(|it| (it.status, it.reason, it.message))
        };
        let (before, now) = (ready(before), ready(after));
        if before == now {
            return;
        }
        let Some((status, reason, message)) = now else {
            return;
        };
        let severity = match status {
            ConditionStatus::True => Severity::Normal,
            _ => Severity::Warning,
        };
        tracing::info!(reason, ready = ?status, "{message}");
        self.publish(after, severity, &reason, message);
    }

    fn publish(&self, status: &K::Status, severity: Severity, reason: &str, message: String) {
        let annotation = format!("{GROUP}/{}", K::ANNOTATION);
        let event = Event {
            severity,
            reason: reason.to_owned(),
            message,
            annotations: BTreeMap::from([(annotation, self.object.annotation(status))]),
        };
        let object = self.object.object_ref(&());
        self.context.shared.events.publish(&object, event);
    }

    async fn write(&self, before: &K::Status, after: K::Status) -> Result<(), PassError> {
        if *before == after {
            return Ok(());
        }
        let _request = self.context.shared.request().await;
        match status::write(&self.api, self.object, before, &after, MANAGER).await {
            Ok(_) => {
                self.context.memories.wrote(self.object, after);
                Ok(())
            }
            // It has gone meanwhile.
            Err(status::Error::Api { source, .. }) if source.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// An object that is to go waits for others.
fn waits(message: String) -> Failure {
    Failure {
        reason: Reason::DeletionFailed,
        message,
        retry: Retry::WhenWoken,
    }
}
