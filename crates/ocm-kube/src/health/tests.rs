//! The rules, one object each.

use serde_json::json;

use super::*;

fn object(api_version: &str, kind: &str, content: &Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "it", "generation": 2},
    });
    let fields = object.as_object_mut().unwrap();
    fields.extend(content.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

#[track_caller]
fn check(api_version: &str, kind: &str, content: &Value, state: State, message: &str) {
    let group = api_version.rsplit_once('/').map_or("", |it| it.0);
    let health = health(group, kind, Some(&object(api_version, kind, content)));
    assert_eq!(
        (health.state, &*health.message),
        (state, message),
        "{content}"
    );
}

#[test]
fn what_does_not_exist_is_not_found() {
    assert_eq!(health("", "Pod", None).state, State::NotFound);
}

#[test]
fn what_is_being_deleted_is_terminating_whatever_it_says() {
    let mut object = object("v1", "ConfigMap", &json!({}));
    object.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(
        health("", "ConfigMap", Some(&object)).state,
        State::Terminating
    );
}

#[test]
fn what_has_no_status_is_current() {
    check("v1", "ConfigMap", &json!({}), State::Current, "is ready");
    check("a.org/v1", "Thing", &json!({}), State::Current, "is ready");
}

#[test]
fn an_older_generation_says_nothing_about_this_one() {
    let status = json!({"status": {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let message = "generation 2 has not been looked at yet, only 1";
    check("a.org/v1", "Thing", &status, State::InProgress, message);
}

#[test]
fn conditions_of_custom_kinds_decide() {
    let with = |kind: &str, status: &str| {
        json!({"status": {"conditions": [
            {"type": kind, "status": status, "reason": "Because", "message": "words"}
        ]}})
    };
    for (kind, status, state, message) in [
        ("Ready", "True", State::Current, "is ready"),
        ("Ready", "False", State::InProgress, "words"),
        ("Ready", "Unknown", State::InProgress, "words"),
        ("Reconciling", "True", State::InProgress, "words"),
        ("Reconciling", "False", State::Current, "is ready"),
        ("Stalled", "True", State::Failed, "words"),
        ("Stalled", "False", State::Current, "is ready"),
    ] {
        check("a.org/v1", "Thing", &with(kind, status), state, message);
    }
}

#[test]
fn a_condition_without_words_gives_its_reason_or_itself() {
    let with = |reason: &str| json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": reason}]}});
    check("a.org/v1", "T", &with("Why"), State::InProgress, "Why");
    let message = "condition Ready is False";
    check("a.org/v1", "T", &with(""), State::InProgress, message);
}

#[test]
fn a_deployment_is_current_with_all_pods_of_its_own() {
    let with = |total, updated, ready, available| {
        json!({"spec": {"replicas": 3}, "status": {
            "observedGeneration": 2,
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": available,
        }})
    };
    for ((total, updated, ready, available), state, message) in [
        ((0, 0, 0, 0), State::InProgress, "0 of 3 pods exist"),
        ((3, 1, 3, 3), State::InProgress, "1 of 3 pods are updated"),
        ((4, 3, 4, 4), State::InProgress, "1 pods are still to go"),
        ((3, 3, 3, 2), State::InProgress, "2 of 3 pods are available"),
        ((3, 3, 2, 3), State::InProgress, "2 of 3 pods are ready"),
        ((3, 3, 3, 3), State::Current, "is ready"),
    ] {
        let content = with(total, updated, ready, available);
        check("apps/v1", "Deployment", &content, state, message);
    }
    let none = json!({"spec": {"replicas": 0}, "status": {"observedGeneration": 2}});
    check("apps/v1", "Deployment", &none, State::Current, "is ready");
    let unseen = json!({"spec": {}});
    let message = "0 of 1 pods exist";
    check("apps/v1", "Deployment", &unseen, State::InProgress, message);
}

#[test]
fn a_deployment_that_exceeds_its_deadline_has_failed() {
    let content = json!({"status": {"conditions": [{
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "too late",
    }]}});
    check("apps/v1", "Deployment", &content, State::Failed, "too late");
}

#[test]
fn a_stateful_set_is_current_at_one_revision() {
    let with = |current: &str, update: &str| {
        json!({"spec": {"replicas": 1}, "status": {
            "replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "updatedReplicas": 1,
            "currentRevision": current, "updateRevision": update,
        }})
    };
    check(
        "apps/v1",
        "StatefulSet",
        &with("a", "a"),
        State::Current,
        "is ready",
    );
    let message = "pods are of the revision before";
    check(
        "apps/v1",
        "StatefulSet",
        &with("a", "b"),
        State::InProgress,
        message,
    );
    let by_hand = json!({"spec": {"replicas": 3, "updateStrategy": {"type": "OnDelete"}}});
    check(
        "apps/v1",
        "StatefulSet",
        &by_hand,
        State::Current,
        "is ready",
    );
    let partition = json!({
        "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
        "status": {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 0},
    });
    let message = "0 of 1 pods are updated";
    check(
        "apps/v1",
        "StatefulSet",
        &partition,
        State::InProgress,
        message,
    );
}

#[test]
fn a_daemon_set_counts_nodes_once_somebody_has_looked() {
    let unseen = json!({"status": {}});
    let message = "has not been looked at yet";
    check("apps/v1", "DaemonSet", &unseen, State::InProgress, message);
    let with = |ready: i64| {
        json!({"status": {
            "observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
            "updatedNumberScheduled": 2, "numberAvailable": 2, "numberReady": ready,
        }})
    };
    check("apps/v1", "DaemonSet", &with(2), State::Current, "is ready");
    let message = "1 of 2 pods are ready";
    check("apps/v1", "DaemonSet", &with(1), State::InProgress, message);
}

#[test]
fn a_replica_set_needs_its_pods() {
    let with = |ready: i64| {
        json!({"spec": {"replicas": 1}, "status": {
            "replicas": 1, "fullyLabeledReplicas": 1, "availableReplicas": 1, "readyReplicas": ready,
        }})
    };
    check(
        "apps/v1",
        "ReplicaSet",
        &with(1),
        State::Current,
        "is ready",
    );
    let message = "0 of 1 pods are ready";
    check(
        "apps/v1",
        "ReplicaSet",
        &with(0),
        State::InProgress,
        message,
    );
}

#[test]
fn a_job_fails_or_runs_or_is_done() {
    let ended = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "message": "m"}]}});
    check("batch/v1", "Job", &ended("Failed"), State::Failed, "m");
    check(
        "batch/v1",
        "Job",
        &ended("Complete"),
        State::Current,
        "is ready",
    );
    let running = json!({"status": {"startTime": "2026-01-01T00:00:00Z"}});
    check("batch/v1", "Job", &running, State::Current, "is running");
    let message = "has not been started";
    check("batch/v1", "Job", &json!({}), State::InProgress, message);
}

#[test]
fn a_pod_is_judged_by_phase_and_containers() {
    let check = |status: &Value, state, message| {
        check("v1", "Pod", &json!({"status": status}), state, message);
    };
    check(
        &json!({"phase": "Succeeded"}),
        State::Current,
        "has succeeded",
    );
    check(
        &json!({"phase": "Failed", "message": "out"}),
        State::Failed,
        "out",
    );
    check(
        &json!({"phase": "Pending"}),
        State::InProgress,
        "is not ready",
    );
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    check(&ready, State::Current, "is ready");
    let crashing = json!({"phase": "Running", "containerStatuses": [
        {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    ]});
    let message = "container `app` crashes again and again";
    check(&crashing, State::Failed, message);
    let pending = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "no node"}
    ]});
    check(&pending, State::InProgress, "no node");
}

#[test]
fn other_built_in_kinds_have_rules_of_their_own() {
    let claim = json!({"status": {"phase": "Pending"}});
    let message = "is Pending, not Bound";
    check(
        "v1",
        "PersistentVolumeClaim",
        &claim,
        State::InProgress,
        message,
    );
    let bound = json!({"status": {"phase": "Bound"}});
    check(
        "v1",
        "PersistentVolumeClaim",
        &bound,
        State::Current,
        "is ready",
    );
    let service = json!({"spec": {"type": "LoadBalancer"}});
    let message = "has no cluster IP";
    check("v1", "Service", &service, State::InProgress, message);
    let budget = json!({"status": {"desiredHealthy": 2, "currentHealthy": 1}});
    let message = "1 of 2 pods are healthy";
    check(
        "policy/v1",
        "PodDisruptionBudget",
        &budget,
        State::InProgress,
        message,
    );
    let unavailable = json!({"status": {"conditions": [
        {"type": "Available", "status": "False", "message": "no endpoints"}
    ]}});
    let message = "no endpoints";
    check(
        "apiregistration.k8s.io/v1",
        "APIService",
        &unavailable,
        State::InProgress,
        message,
    );
}

#[test]
fn a_definition_is_current_once_established() {
    let check = |conditions: &Value, state, message| {
        let content = json!({"status": {"conditions": conditions}});
        let kind = "CustomResourceDefinition";
        check("apiextensions.k8s.io/v1", kind, &content, state, message);
    };
    check(&json!([]), State::InProgress, "is not established");
    let installing = json!([{"type": "Established", "status": "False", "reason": "Installing"}]);
    check(&installing, State::InProgress, "is not established");
    let established = json!([{"type": "Established", "status": "True"}]);
    check(&established, State::Current, "is ready");
    let taken = json!([{"type": "NamesAccepted", "status": "False", "message": "taken"}]);
    check(&taken, State::Failed, "taken");
}

#[test]
fn fields_of_other_types_than_expected_are_as_if_missing() {
    for status in [
        json!(1),
        json!([]),
        json!({"conditions": {"a": 1}, "replicas": "x"}),
    ] {
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
            let object = object("apps/v1", kind, &json!({"status": status}));
            let _ = health("apps", kind, Some(&object));
        }
    }
}
