//! Whether an object is ready, by the rules of [kstatus].
//!
//! Where the rules of kstatus look at the clock (a pod that cannot be scheduled has failed after 15
//! seconds), the object is in progress here: a node may still come.
//!
//! [kstatus]: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md

mod workload;

use std::fmt;

use kube::api::DynamicObject;
use serde_json::Value;

/// What an object's state comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// The state.
    pub state: State,
    /// Why, for a reader.
    pub message: String,
}

/// The states of kstatus.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// As its specification asks.
    Current,
    /// On the way to it.
    InProgress,
    /// Does not exist.
    NotFound,
    /// Being deleted.
    Terminating,
    /// Cannot get there by itself.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "Current",
            Self::InProgress => "InProgress",
            Self::NotFound => "NotFound",
            Self::Terminating => "Terminating",
            Self::Failed => "Failed",
        })
    }
}

/// Returns the health of an object as the API server has it, or of one that it does not have.
///
/// The kind stands beside it, as objects in lists do not state theirs.
pub fn health(group: &str, kind: &str, object: Option<&DynamicObject>) -> Health {
    let Some(object) = object else {
        return Health::new(State::NotFound, "does not exist");
    };
    if object.metadata.deletion_timestamp.is_some() {
        return Health::new(State::Terminating, "is being deleted");
    }
    let facts = Facts(&object.data);
    if let Some(health) = generic(object, facts) {
        return health;
    }
    match (group, kind) {
        ("apps", "Deployment") => workload::deployment(facts),
        ("apps", "StatefulSet") => workload::stateful_set(facts),
        ("apps", "DaemonSet") => workload::daemon_set(object, facts),
        ("apps", "ReplicaSet") => workload::replica_set(facts),
        ("batch", "Job") => workload::job(facts),
        ("", "Pod") => workload::pod(facts),
        ("", "PersistentVolumeClaim") => phase(facts, "Bound"),
        ("", "Service") => service(facts),
        ("policy", "PodDisruptionBudget") => disruption_budget(facts),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(facts),
        ("apiregistration.k8s.io", "APIService") => by_condition(facts, "Available"),
        _ => by_condition(facts, "Ready"),
    }
}

/// What holds for every kind that has the fields.
fn generic(object: &DynamicObject, facts: Facts<'_>) -> Option<Health> {
    let observed = facts.number("/status/observedGeneration");
    if let (Some(observed), Some(generation)) = (observed, object.metadata.generation)
        && observed != generation
    {
        return Some(Health::in_progress(format!(
            "generation {generation} has not been looked at yet, only {observed}"
        )));
    }
    let holds = |kind| {
        facts
            .condition(kind)
            .filter(|condition| condition.status == "True")
    };
    if let Some(stalled) = holds("Stalled") {
        return Some(Health::new(State::Failed, stalled.words()));
    }
    holds("Reconciling").map(|reconciling| Health::in_progress(reconciling.words()))
}

/// A condition that says whether the object is ready. Without it, that the object exists is all
/// there is to know.
fn by_condition(facts: Facts<'_>, kind: &str) -> Health {
    match facts.condition(kind) {
        Some(condition) if condition.status != "True" => Health::in_progress(condition.words()),
        _ => Health::current(),
    }
}

fn phase(facts: Facts<'_>, ready: &str) -> Health {
    match facts.text("/status/phase") {
        Some(phase) if phase == ready => Health::current(),
        Some(phase) => Health::in_progress(format!("is {phase}, not {ready}")),
        None => Health::in_progress(format!("is not {ready}")),
    }
}

fn service(facts: Facts<'_>) -> Health {
    let balanced = facts.text("/spec/type") == Some("LoadBalancer");
    if balanced && facts.text("/spec/clusterIP").is_none_or(str::is_empty) {
        return Health::in_progress("has no cluster IP");
    }
    Health::current()
}

fn disruption_budget(facts: Facts<'_>) -> Health {
    let (Some(desired), Some(current)) = (
        facts.number("/status/desiredHealthy"),
        facts.number("/status/currentHealthy"),
    ) else {
        return Health::in_progress("has not been looked at yet");
    };
    if current < desired {
        return Health::in_progress(format!("{current} of {desired} pods are healthy"));
    }
    Health::current()
}

fn definition(facts: Facts<'_>) -> Health {
    if let Some(names) = facts.condition("NamesAccepted")
        && names.status == "False"
    {
        return Health::new(State::Failed, names.words());
    }
    match facts.condition("Established") {
        Some(condition) if condition.status == "True" => Health::current(),
        Some(condition) if condition.reason != "Installing" => {
            Health::new(State::Failed, condition.words())
        }
        _ => Health::in_progress("is not established"),
    }
}

impl Health {
    fn new(state: State, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
        }
    }

    pub(crate) fn current() -> Self {
        Self::new(State::Current, "is ready")
    }

    fn in_progress(message: impl Into<String>) -> Self {
        Self::new(State::InProgress, message)
    }
}

/// The content of an object, all but its metadata.
#[derive(Clone, Copy, Debug)]
struct Facts<'a>(&'a Value);

impl<'a> Facts<'a> {
    fn number(self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer)?.as_i64()
    }

    /// A number of the status, where nothing means none.
    fn counted(self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    fn text(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer)?.as_str()
    }

    fn list(self, pointer: &str) -> impl Iterator<Item = &'a Value> {
        let items = self.0.pointer(pointer).and_then(Value::as_array);
        items.into_iter().flatten()
    }

    fn condition(self, kind: &str) -> Option<Condition<'a>> {
        let mut conditions = self.list("/status/conditions");
        let found = conditions.find(|it| it.get("type").and_then(Value::as_str) == Some(kind))?;
        let text = |key| found.get(key).and_then(Value::as_str).unwrap_or_default();
        Some(Condition {
            kind: text("type"),
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn words(self) -> String {
        match (self.message, self.reason) {
            ("", "") => format!("condition {} is {}", self.kind, self.status),
            ("", reason) => reason.to_owned(),
            (message, _) => message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
