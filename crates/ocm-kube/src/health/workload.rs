//! The rules for what runs pods.

use kube::api::DynamicObject;
use serde_json::Value;

use super::{Condition, Facts, Health, State};

pub(super) fn deployment(facts: Facts<'_>) -> Health {
    let progressing = facts.condition("Progressing");
    if let Some(condition) = progressing
        && condition.reason == "ProgressDeadlineExceeded"
    {
        return Health::new(State::Failed, condition.words());
    }
    let wanted = facts.number("/spec/replicas").unwrap_or(1);
    let total = facts.counted("/status/replicas");
    let updated = facts.counted("/status/updatedReplicas");
    let ready = facts.counted("/status/readyReplicas");
    let available = facts.counted("/status/availableReplicas");
    // Old versions of the API server do not state that a deployment progresses.
    let stuck =
        progressing.is_some_and(|it| it.status != "True" && it.reason != "DeploymentPaused");
    let shortfall = at_least(wanted, total, "exist")
        .or_else(|| at_least(wanted, updated, "are updated"))
        .or_else(|| leftover(total, updated))
        .or_else(|| at_least(updated, available, "are available"))
        .or_else(|| at_least(wanted, ready, "are ready"));
    let unavailable = facts
        .condition("Available")
        .filter(|condition| condition.status == "False");
    match (shortfall, unavailable) {
        (Some(health), _) => health,
        (None, Some(condition)) => Health::in_progress(condition.words()),
        (None, None) if stuck => Health::in_progress("does not progress"),
        (None, None) => Health::current(),
    }
}

pub(super) fn stateful_set(facts: Facts<'_>) -> Health {
    if facts.text("/spec/updateStrategy/type") == Some("OnDelete") {
        return Health::current();
    }
    let wanted = facts.number("/spec/replicas").unwrap_or(1);
    let total = facts.counted("/status/replicas");
    let ready = facts.counted("/status/readyReplicas");
    let current = facts.counted("/status/currentReplicas");
    let updated = facts.counted("/status/updatedReplicas");
    let shortfall = at_least(wanted, total, "exist")
        .or_else(|| at_least(wanted, ready, "are ready"))
        .or_else(|| leftover(total, wanted));
    if let Some(health) = shortfall {
        return health;
    }
    let kept = facts.counted("/spec/updateStrategy/rollingUpdate/partition");
    if kept > 0 {
        return at_least(wanted - kept, updated, "are updated").unwrap_or_else(Health::current);
    }
    if let Some(health) = at_least(wanted, current, "are current") {
        return health;
    }
    let revision = |name: &str| facts.text(&format!("/status/{name}Revision"));
    if revision("current") != revision("update") {
        return Health::in_progress("pods are of the revision before");
    }
    Health::current()
}

pub(super) fn daemon_set(object: &DynamicObject, facts: Facts<'_>) -> Health {
    // Numbers of zero say nothing before anybody has looked.
    if facts.number("/status/observedGeneration").is_none() && object.metadata.generation.is_some()
    {
        return Health::in_progress("has not been looked at yet");
    }
    let wanted = facts.counted("/status/desiredNumberScheduled");
    [
        ("currentNumberScheduled", "are scheduled"),
        ("updatedNumberScheduled", "are updated"),
        ("numberAvailable", "are available"),
        ("numberReady", "are ready"),
    ]
    .into_iter()
    .find_map(|(field, what)| at_least(wanted, facts.counted(&format!("/status/{field}")), what))
    .unwrap_or_else(Health::current)
}

pub(super) fn replica_set(facts: Facts<'_>) -> Health {
    if let Some(condition) = facts.condition("ReplicaFailure")
        && condition.status == "True"
    {
        return Health::in_progress(condition.words());
    }
    let wanted = facts.number("/spec/replicas").unwrap_or(1);
    let total = facts.counted("/status/replicas");
    [
        ("fullyLabeledReplicas", "have all labels"),
        ("availableReplicas", "are available"),
        ("readyReplicas", "are ready"),
    ]
    .into_iter()
    .find_map(|(field, what)| at_least(wanted, facts.counted(&format!("/status/{field}")), what))
    .or_else(|| leftover(total, wanted))
    .unwrap_or_else(Health::current)
}

/// A job that runs is as it should be; whether it succeeds is seen later.
pub(super) fn job(facts: Facts<'_>) -> Health {
    let holds = |kind| {
        facts
            .condition(kind)
            .filter(|condition| condition.status == "True")
    };
    if let Some(failed) = holds("Failed") {
        return Health::new(State::Failed, failed.words());
    }
    if holds("Complete").is_some() {
        return Health::current();
    }
    if let Some(suspended) = holds("Suspended") {
        return Health::in_progress(suspended.words());
    }
    if facts.text("/status/startTime").is_none() {
        return Health::in_progress("has not been started");
    }
    Health::new(State::Current, "is running")
}

pub(super) fn pod(facts: Facts<'_>) -> Health {
    match facts.text("/status/phase") {
        Some("Succeeded") => return Health::new(State::Current, "has succeeded"),
        Some("Failed") => {
            let message = facts.text("/status/message").unwrap_or("has failed");
            return Health::new(State::Failed, message);
        }
        _ => {}
    }
    let ready = facts.condition("Ready");
    if ready.is_some_and(|it| it.status == "True") {
        return Health::current();
    }
    for kind in ["initContainerStatuses", "containerStatuses"] {
        for container in facts.list(&format!("/status/{kind}")) {
            let reason = container.pointer("/state/waiting/reason");
            if reason.and_then(Value::as_str) == Some("CrashLoopBackOff") {
                let name = container.get("name").and_then(Value::as_str);
                let name = name.unwrap_or_default();
                let message = format!("container `{name}` crashes again and again");
                return Health::new(State::Failed, message);
            }
        }
    }
    match facts.condition("PodScheduled") {
        Some(scheduled) if scheduled.status == "False" => Health::in_progress(scheduled.words()),
        _ => Health::in_progress(ready.map_or_else(|| "is not ready".to_owned(), Condition::words)),
    }
}

fn at_least(wanted: i64, there: i64, what: &str) -> Option<Health> {
    (there < wanted).then(|| Health::in_progress(format!("{there} of {wanted} pods {what}")))
}

fn leftover(total: i64, wanted: i64) -> Option<Health> {
    let extra = total - wanted;
    (extra > 0).then(|| Health::in_progress(format!("{extra} pods are still to go")))
}
