//! What is made of objects before they are applied, and of what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use ocm::model::DigestSpec;
use ocm_kube::ObjectKey;
use ocm_kube::apply::{self, Change, Outcome};
use ocm_kube::applyset::Report;
use ocm_kube::health::State;

use super::metadata::Origin;
use crate::api::{
    ConditionStatus, ConfigReference, DeployedObject, Deployer, DigestInfo, GROUP, Reason,
};
use crate::object::Object as _;
use crate::reconcile::with_causes;

/// How many objects a message names.
const NAMED: usize = 5;

/// The shortest and the longest time until it is looked whether objects are ready by now.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(30);

/// How often it is looked whether objects are still ready, whose readiness may change.
const STILL: Duration = Duration::from_mins(1);

/// Tells whether an object states all of its configuration itself, by secrets and config maps.
pub(super) fn states_all(stated: &[ConfigReference]) -> bool {
    let is_object = |entry: &ConfigReference| {
        let kind = entry.kind.as_deref();
        kind.is_some_and(|it| !["Secret", "ConfigMap"].contains(&it))
    };
    !stated.is_empty() && !stated.iter().any(is_object)
}

/// Tells whether an object of a manifest is the deployer that applies it. Deployers are in no
/// namespace, whatever a manifest says.
pub(super) fn is_deployer(object: &DynamicObject, deployer: &Deployer) -> bool {
    let key = ObjectKey::of(object);
    key.group == GROUP && key.kind == Deployer::KIND && key.name == deployer.name_any()
}

/// Tells whether a resource states another digest than the resource object has found: its content
/// was replaced under the same version, and the resource object has not seen it yet.
pub(super) fn has_drifted(stated: Option<&DigestSpec>, found: Option<&DigestInfo>) -> bool {
    let stated = stated.filter(|it| it.is_complete() && !it.is_excluded());
    stated.is_some_and(|stated| {
        found.is_none_or(|found| {
            found.value != stated.value
                || found.hash_algorithm != stated.hash_algorithm
                || found.normalisation_algorithm != stated.normalisation_algorithm
        })
    })
}

/// Says in each object where it is from and whose it is.
pub(super) fn owned(
    objects: &mut [DynamicObject],
    origin: &Origin<'_>,
    owner: &OwnerReference,
) -> Result<(), HasController> {
    for object in objects {
        let mut references = object.owner_references().iter();
        if let Some(other) = references.find(|it| it.controller == Some(true)) {
            return Err(HasController {
                key: ObjectKey::of(object),
                controller: format!("{} {}", other.kind, other.name),
            });
        }
        object.owner_references_mut().push(owner.clone());
        origin.mark(&mut object.metadata);
    }
    Ok(())
}

/// An object has one controller at most.
#[derive(Debug, thiserror::Error)]
#[error(
    "{key} is controlled by {controller} in the manifest, and cannot be of this deployer as well"
)]
pub(super) struct HasController {
    key: ObjectKey,
    controller: String,
}

/// Returns the objects that are applied: those of this time, and those of before that have not been
/// replaced or deleted where not all has gone well.
pub(super) fn deployed(before: &[DeployedObject], report: &Report) -> Vec<DeployedObject> {
    let mut deployed = Vec::new();
    let mut settled = BTreeSet::new();
    for outcome in &report.outcomes {
        if let Ok(applied) = &outcome.result {
            settled.insert(outcome.key.clone());
            deployed.push(DeployedObject {
                api_version: outcome.api_version(),
                kind: outcome.key.kind.clone(),
                namespace: outcome.key.namespace.clone(),
                name: outcome.key.name.clone(),
                uid: Some(applied.uid.clone()),
            });
        }
    }
    if report.is_complete() {
        return deployed;
    }
    settled.extend(report.pruned.iter().cloned());
    let kept = before.iter().filter(|it| !settled.contains(&key(it)));
    deployed.extend(kept.cloned());
    deployed
}

/// Names an object that is applied.
pub(super) fn key(object: &DeployedObject) -> ObjectKey {
    let group = object.api_version.rsplit_once('/').map_or("", |it| it.0);
    ObjectKey {
        group: group.to_owned(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    }
}

/// Says what has not been applied or pruned, and why; nothing where all is well.
pub(super) fn failure(report: &Report) -> Option<String> {
    let failed = report.outcomes.iter().filter_map(|outcome| {
        let error = outcome.result.as_ref().err()?;
        Some(format!(
            "cannot apply {}: {}",
            outcome.key,
            with_causes(error)
        ))
    });
    let left = report.prune_errors.iter().map(|error| with_causes(error));
    let messages: Vec<_> = failed.chain(left).collect();
    (!messages.is_empty()).then(|| shortened(&messages, "; "))
}

/// Tells whether trying again soon does not help: what has failed is too large.
pub(super) fn is_final(report: &Report) -> bool {
    let mut failed = report
        .outcomes
        .iter()
        .filter_map(|it| it.result.as_ref().err());
    report.prune_errors.is_empty() && failed.all(apply::Error::is_too_large)
}

/// Names the first of several.
pub(super) fn shortened(texts: &[String], separator: &str) -> String {
    let shown = texts.iter().take(NAMED).cloned().collect::<Vec<_>>();
    match texts.len().saturating_sub(NAMED) {
        0 => shown.join(separator),
        more => format!("{}{separator}and {more} more", shown.join(separator)),
    }
}

/// Returns the objects that were there before, of nobody, and are ours now.
pub(super) fn adopted(report: &Report) -> Vec<String> {
    let adopted = report.outcomes.iter().filter(|outcome| {
        let applied = outcome.result.as_ref();
        applied.is_ok_and(|it| it.change == Change::Adopted)
    });
    adopted.map(|it| it.key.to_string()).collect()
}

/// Whether what was applied is ready.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    pub(super) status: ConditionStatus,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Judges whether what was applied is ready, by the rules of kstatus.
pub(super) fn verdict(outcomes: &[Outcome]) -> Verdict {
    let (mut failed, mut waiting, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        let Ok(applied) = &outcome.result else {
            missing.push(outcome.key.to_string());
            continue;
        };
        let message = format!("{} {}", outcome.key, applied.health.message);
        match applied.health.state {
            State::Current => {}
            State::Failed => failed.push(message),
            State::InProgress | State::NotFound | State::Terminating => waiting.push(message),
        }
    }
    let not = |reason, message| Verdict {
        status: ConditionStatus::False,
        reason,
        message,
    };
    if !missing.is_empty() {
        let message = format!("not applied: {}", shortened(&missing, ", "));
        not(Reason::ApplyFailed, message)
    } else if !failed.is_empty() {
        failed.append(&mut waiting);
        not(Reason::Degraded, shortened(&failed, "; "))
    } else if !waiting.is_empty() {
        not(Reason::Progressing, shortened(&waiting, "; "))
    } else {
        let message = match outcomes.len() {
            1 => "the object is ready".to_owned(),
            number => format!("all {number} objects are ready"),
        };
        Verdict {
            status: ConditionStatus::True,
            reason: Reason::Succeeded,
            message,
        }
    }
}

/// Returns when to look again whether objects are ready. `since` is how long they have been as they
/// are: what has not become ready for long will not in the next second.
pub(super) fn next_look(
    verdict: &Verdict,
    outcomes: &[Outcome],
    since: Duration,
) -> Option<Duration> {
    match verdict.status {
        ConditionStatus::True => outcomes
            .iter()
            .any(|it| has_state(&it.key))
            .then_some(STILL),
        _ => Some((since / 4).clamp(SOON, LATER)),
    }
}

/// Tells whether objects of a kind may become ready, or cease to be, without being written by
/// whoever applies them.
fn has_state(key: &ObjectKey) -> bool {
    let is_plain = match key.group.as_str() {
        "" => [
            "ConfigMap",
            "Endpoints",
            "LimitRange",
            "Namespace",
            "ResourceQuota",
            "Secret",
            "ServiceAccount",
        ]
        .contains(&key.kind.as_str()),
        "admissionregistration.k8s.io"
        | "apiextensions.k8s.io"
        | "rbac.authorization.k8s.io"
        | "scheduling.k8s.io"
        | "storage.k8s.io" => true,
        "networking.k8s.io" => key.kind == "NetworkPolicy",
        _ => false,
    };
    !is_plain
}

#[cfg(test)]
mod tests {
    use ocm_kube::apply::{Applied, Error};
    use ocm_kube::health::Health;

    use super::*;
    use crate::api::{ComponentInfo, ResourceInfo};

    fn outcome(group: &str, kind: &str, name: &str, state: Option<State>) -> Outcome {
        Outcome {
            key: ObjectKey {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: Some("shop".to_owned()),
                name: name.to_owned(),
            },
            version: "v1".to_owned(),
            result: state.ok_or(Error::Twice).map(|state| Applied {
                uid: format!("uid-{name}"),
                resource_version: "1".to_owned(),
                change: Change::Created,
                health: Health {
                    state,
                    message: format!("is {state}"),
                },
            }),
        }
    }

    fn report(outcomes: Vec<Outcome>, pruned: &[&str]) -> Report {
        let pruned = pruned
            .iter()
            .map(|name| outcome("", "ConfigMap", name, None).key);
        Report {
            outcomes,
            pruned: pruned.collect(),
            terminating: Vec::new(),
            prune_errors: Vec::new(),
            left: None,
        }
    }

    fn map(name: &str, uid: &str) -> DeployedObject {
        DeployedObject {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
            uid: Some(uid.to_owned()),
        }
    }

    fn object(value: serde_json::Value) -> DynamicObject {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn a_deployer_knows_itself_in_a_manifest() {
        let object = |kind: &str, name: &str, namespace: Option<&str>| {
            object(serde_json::json!({
                "apiVersion": "delivery.ocm.software/v1alpha1", "kind": kind,
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"resourceRef": {"name": "r"}},
            }))
        };
        let deployer = serde_json::to_value(object("Deployer", "d", None)).expect("as JSON");
        let deployer: Deployer = serde_json::from_value(deployer).expect("a deployer");
        assert!(is_deployer(&object("Deployer", "d", None), &deployer));
        assert!(is_deployer(&object("Deployer", "d", Some("n")), &deployer));
        assert!(!is_deployer(&object("Deployer", "e", None), &deployer));
        assert!(!is_deployer(&object("Resource", "d", None), &deployer));
    }

    #[test]
    fn content_has_drifted_where_its_digest_is_not_the_one_that_was_found() {
        let spec = |value: &str| DigestSpec {
            hash_algorithm: "SHA-256".to_owned(),
            normalisation_algorithm: "genericBlobDigest/v1".to_owned(),
            value: value.to_owned(),
        };
        let found = |value: &str| DigestInfo {
            hash_algorithm: "SHA-256".to_owned(),
            normalisation_algorithm: "genericBlobDigest/v1".to_owned(),
            value: value.to_owned(),
        };
        let (one, other) = ("1".repeat(64), "2".repeat(64));
        assert!(!has_drifted(Some(&spec(&one)), Some(&found(&one))));
        assert!(has_drifted(Some(&spec(&one)), Some(&found(&other))));
        assert!(has_drifted(Some(&spec(&one)), None));
        // What states nothing cannot differ: it is compared with what was found, where it is read.
        assert!(!has_drifted(None, Some(&found(&one))));
        assert!(!has_drifted(Some(&DigestSpec::excluded()), None));
    }

    #[test]
    fn only_who_names_all_secrets_itself_states_all_of_its_configuration() {
        let of = |kind: &str| ConfigReference {
            kind: Some(kind.to_owned()),
            ..ConfigReference::default()
        };
        assert!(!states_all(&[]));
        assert!(states_all(&[
            of("Secret"),
            of("ConfigMap"),
            ConfigReference::default()
        ]));
        assert!(!states_all(&[of("Secret"), of("Resource")]));
    }

    #[test]
    fn objects_belong_to_the_deployer_and_say_where_they_are_from() {
        let component = ComponentInfo {
            repository_spec: serde_json::json!({}),
            component: "acme.org/notes".to_owned(),
            version: "1.0.0".to_owned(),
            digest: None,
        };
        let resource = ResourceInfo {
            name: "manifests".to_owned(),
            kind: "blob".to_owned(),
            version: None,
            extra_identity: None,
            access: serde_json::json!({}),
            digest: None,
            labels: None,
        };
        let origin = Origin {
            deployer: "notes",
            resource_name: "notes-manifests",
            resource_uid: "9b2e",
            resource: &resource,
            component: &component,
        };
        let owner = OwnerReference {
            kind: "Deployer".to_owned(),
            name: "notes".to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        let with_owner = |controller: bool| {
            object(serde_json::json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "a", "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u",
                    "controller": controller,
                }]},
            }))
        };
        let mut objects = [with_owner(false)];
        owned(&mut objects, &origin, &owner).expect("ours");
        assert_eq!(objects[0].owner_references().len(), 2);
        assert_eq!(objects[0].labels()["app.kubernetes.io/part-of"], "notes");
        let refused = owned(&mut [with_owner(true)], &origin, &owner);
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "ConfigMap `a` is controlled by Pod p in the manifest, and cannot be of this deployer \
             as well"
        );
    }

    #[test]
    fn all_that_is_applied_is_listed_with_its_identifier_and_nothing_else() {
        let now = report(
            vec![
                outcome("", "ConfigMap", "a", Some(State::Current)),
                outcome("", "ConfigMap", "b", Some(State::Current)),
            ],
            &["old"],
        );
        let before = [map("a", "uid-of-before"), map("old", "uid-old")];
        assert_eq!(
            deployed(&before, &now),
            [map("a", "uid-a"), map("b", "uid-b")]
        );
        assert_eq!(failure(&now), None);
    }

    #[test]
    fn what_was_applied_before_stays_listed_where_not_all_can_be_applied() {
        let now = report(
            vec![
                outcome("", "ConfigMap", "a", Some(State::Current)),
                outcome("", "ConfigMap", "b", None),
            ],
            &[],
        );
        let before = [map("b", "uid-b"), map("old", "uid-old")];
        let listed = deployed(&before, &now);
        assert_eq!(
            listed,
            [map("a", "uid-a"), map("b", "uid-b"), map("old", "uid-old")]
        );
        assert_eq!(
            failure(&now).as_deref(),
            Some("cannot apply ConfigMap `shop/b`: it is there twice")
        );
        let verdict = verdict(&now.outcomes);
        assert_eq!(verdict.reason, Reason::ApplyFailed);
    }

    #[test]
    fn objects_are_ready_when_all_are_and_the_worst_decides() {
        use State::{Current, Failed, InProgress};
        let judged = |states: &[State]| {
            let outcomes = states.iter().enumerate();
            let outcomes: Vec<_> = outcomes
                .map(|(index, state)| {
                    outcome("apps", "Deployment", &index.to_string(), Some(*state))
                })
                .collect();
            let verdict = verdict(&outcomes);
            (verdict.reason, verdict.message)
        };
        assert_eq!(
            judged(&[Current]),
            (Reason::Succeeded, "the object is ready".to_owned())
        );
        assert_eq!(
            judged(&[Current, Current]),
            (Reason::Succeeded, "all 2 objects are ready".to_owned())
        );
        assert_eq!(
            judged(&[Current, InProgress]),
            (
                Reason::Progressing,
                "Deployment `shop/1` is InProgress".to_owned()
            )
        );
        assert_eq!(
            judged(&[InProgress, Failed]),
            (
                Reason::Degraded,
                "Deployment `shop/1` is Failed; Deployment `shop/0` is InProgress".to_owned()
            )
        );
        let (_, message) = judged(&[InProgress; 7]);
        assert!(message.ends_with("; and 2 more"), "{message}");
    }

    #[test]
    fn readiness_that_cannot_change_by_itself_is_not_asked_for_again() {
        let look = |outcomes: &[Outcome], since| next_look(&verdict(outcomes), outcomes, since);
        let plain = [outcome("", "ConfigMap", "a", Some(State::Current))];
        assert_eq!(look(&plain, Duration::ZERO), None);
        let ready = [outcome("apps", "Deployment", "a", Some(State::Current))];
        assert_eq!(look(&ready, Duration::ZERO), Some(STILL));
        let waiting = [outcome("apps", "Deployment", "a", Some(State::InProgress))];
        assert_eq!(look(&waiting, Duration::ZERO), Some(SOON));
        assert_eq!(look(&waiting, Duration::from_hours(1)), Some(LATER));
    }
}
