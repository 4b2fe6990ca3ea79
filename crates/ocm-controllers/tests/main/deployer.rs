//! Deployers on a real API server, with a real registry.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use ocm_controllers::api::{Deployer, Resource};
use ocm_testkit::{Fault, Registry};
use serde_json::json;

use crate::delivery::{
    Packing, chain, component, config_map, deployer, digest_of, resource, wrong_digest,
};
use crate::running::{
    gone, gone_everywhere, kubectl, look_again, of_deployer, of_resource, operator, wait,
    wait_everywhere,
};
use crate::world::{COMPONENT, apply, client, cluster};

const YAML: &str = "application/yaml";

pub(crate) fn applied(version: &str) -> String {
    format!("True Succeeded: Applied {COMPONENT}:{version}, resource manifests")
}

pub(crate) async fn says(name: &str, readiness: &str) -> Deployer {
    wait_everywhere(name, |it: &Deployer| of_deployer(it) == readiness).await
}

pub(crate) async fn begins(name: &str, readiness: &str) -> Deployer {
    wait_everywhere(name, |it: &Deployer| of_deployer(it).starts_with(readiness)).await
}

pub(crate) async fn publish(registry: &Registry, version: &str, manifests: &str) {
    let packing = Packing::start(registry, version).await;
    let packing = packing.blob("manifests", YAML, manifests.as_bytes()).await;
    packing.put().await;
}

/// Status, reason and message of a condition.
fn condition(deployer: &Deployer, kind: &str) -> String {
    let status = deployer.status.as_ref().unwrap();
    let found = status.conditions.iter().find(|it| it.kind == kind);
    found.map_or_else(String::new, |it| {
        format!("{:?} {}: {}", it.status, it.reason, it.message)
    })
}

fn value(map: &ConfigMap) -> Option<&str> {
    map.data.as_ref()?.get("key").map(String::as_str)
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_become_objects_that_say_whose_they_are_and_where_from() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let manifests = [
        "---\n# nothing here\n---\n".to_owned(),
        config_map(&namespace, "one", "1"),
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{{\"apiVersion\": \"v1\", \
             \"kind\": \"Secret\", \"metadata\": {{\"name\": \"two\", \"namespace\": \
             \"{namespace}\"}}}}]}}\n---\n"
        ),
    ];
    publish(&registry, "1.0.0", &manifests.concat()).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    let ready = says(&namespace, &applied("1.0.0")).await;
    assert_eq!(
        condition(&ready, "Healthy"),
        "True Succeeded: all 2 objects are ready"
    );
    let maps = Api::<ConfigMap>::namespaced(client().await, &namespace);
    let map = maps.get("one").await.unwrap();
    let labels = map.labels();
    assert_eq!(
        labels["app.kubernetes.io/managed-by"],
        "deployer.delivery.ocm.software"
    );
    assert_eq!(labels["app.kubernetes.io/part-of"], namespace);
    let annotations = map.annotations();
    assert_eq!(
        annotations["component.delivery.ocm.software/name"],
        COMPONENT
    );
    assert_eq!(
        annotations["identity.resource.delivery.ocm.software/name"],
        "manifests"
    );
    let owner = &map.owner_references()[0];
    assert_eq!(
        (&owner.uid, owner.controller),
        (&ready.uid().unwrap(), Some(true))
    );

    let id = ocm::digest::Digest::sha256(format!("{namespace}..Deployer.delivery.ocm.software"));
    let id = BASE64_URL_SAFE_NO_PAD.encode(id.as_bytes());
    let id = format!("applyset-{id}-v1");
    assert_eq!(labels["applyset.kubernetes.io/part-of"], id);
    assert_eq!(ready.labels()["applyset.kubernetes.io/id"], id);
    let annotations = ready.annotations();
    assert_eq!(
        annotations["applyset.kubernetes.io/contains-group-kinds"],
        "ConfigMap,Secret"
    );
    assert_eq!(
        annotations["applyset.kubernetes.io/additional-namespaces"],
        namespace
    );
    let finalizers = [
        "delivery.ocm.software/applyset-prune",
        "delivery.ocm.software/watch",
    ];
    assert_eq!(ready.finalizers(), finalizers);

    let status = ready.status.unwrap();
    assert_eq!(status.observed_generation, Some(1));
    let deployed: Vec<_> = status
        .deployed
        .iter()
        .map(|it| (&*it.kind, &*it.name))
        .collect();
    assert_eq!(deployed, [("ConfigMap", "one"), ("Secret", "two")]);
    assert_eq!(status.deployed[0].uid, map.uid());
    assert_eq!(status.deployed[0].namespace.as_deref(), Some(&*namespace));
    assert_eq!(status.deployed[0].api_version, "v1");
    assert!(status.deployed[1].uid.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_put_right_at_once_and_what_they_add_stays() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, "1.0.0", &config_map(&namespace, "one", "1")).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    says(&namespace, &applied("1.0.0")).await;
    // The registry is of no importance any more.
    registry.fail(100_000, "GET", "", Fault::Status(503));
    let maps = Api::<ConfigMap>::namespaced(client().await, &namespace);
    let change = |data: serde_json::Value| {
        let (maps, patch) = (maps.clone(), Patch::Merge(json!({"data": data})));
        async move {
            maps.patch("one", &PatchParams::default(), &patch)
                .await
                .unwrap()
        }
    };
    change(json!({"key": "other", "more": "theirs"})).await;
    let right = wait(&namespace, "one", |it: &ConfigMap| value(it) == Some("1"));
    assert_eq!(right.await.data.unwrap()["more"], "theirs");
    kubectl(&namespace, &["delete", "configmap", "one"]);
    wait(&namespace, "one", |it: &ConfigMap| value(it) == Some("1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_deployer_leaves_all_as_it_is_and_can_go() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, "1.0.0", &config_map(&namespace, "one", "1")).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    says(&namespace, &applied("1.0.0")).await;
    let suspended = |suspend| {
        let more = format!("  suspend: {suspend}\n");
        apply(
            &namespace,
            &deployer(&namespace, &namespace, "manifests", &more),
        );
    };
    suspended(true);
    kubectl(&namespace, &["delete", "configmap", "one"]);
    // Another deployer does its work meanwhile.
    let other = format!("{namespace}-other");
    publish(&registry, "2.0.0", &config_map(&namespace, "two", "2")).await;
    let more = component("2.0.0", "").replace("{name: it}", "{name: other}")
        + &resource("others", "manifests", "").replace("{name: it}", "{name: other}")
        + &deployer(&other, &namespace, "others", "");
    apply(&namespace, &more);
    says(&other, &applied("2.0.0")).await;
    let maps = Api::<ConfigMap>::namespaced(client().await, &namespace);
    assert!(maps.get_opt("one").await.unwrap().is_none());
    suspended(false);
    wait(&namespace, "one", |it: &ConfigMap| value(it) == Some("1")).await;
    suspended(true);
    kubectl(
        &namespace,
        &["delete", "deployer", &namespace, "--wait=false"],
    );
    gone_everywhere::<Deployer>(&namespace).await;
    gone::<ConfigMap>(&namespace, "one").await;

    // What the one has watched is watched for the other still.
    kubectl(&namespace, &["delete", "configmap", "two"]);
    wait(&namespace, "two", |it: &ConfigMap| value(it) == Some("2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_version_has_no_longer_goes_and_is_no_longer_looked_for() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let other = cluster().namespace();
    let first = config_map(&namespace, "one", "1")
        + &config_map(&other, "two", "2")
        + &format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: three, namespace: {other}}}\n\
             spec: {{ports: [{{port: 80}}]}}\n"
        );
    publish(&registry, "1.0.0", &first).await;
    publish(&registry, "2.0.0", &config_map(&namespace, "one", "2")).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    says(&namespace, &applied("1.0.0")).await;
    apply(&namespace, &component("2.0.0", ""));
    let ready = says(&namespace, &applied("2.0.0")).await;
    wait(&namespace, "one", |it: &ConfigMap| value(it) == Some("2")).await;
    gone::<ConfigMap>(&other, "two").await;
    gone::<k8s_openapi::api::core::v1::Service>(&other, "three").await;
    assert_eq!(ready.status.unwrap().deployed.len(), 1);
    let scope = |it: &Deployer| {
        let annotations = it.annotations();
        annotations["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap"
            && annotations["applyset.kubernetes.io/additional-namespaces"] == namespace
    };
    wait_everywhere(&namespace, scope).await;
}

/// A namespace, a definition, and an object of its kind.
pub(crate) fn with_definition(group: &str, namespace: &str) -> String {
    format!(
        "apiVersion: {group}/v1
kind: Widget
metadata: {{name: one, namespace: {namespace}-new}}
spec: {{size: 1}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}-new}}
---
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_comes_with_its_objects_and_hinders_nobody_when_it_has_vanished() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let group = format!("{namespace}.acme.org");
    let map = config_map(&namespace, "one", "1");
    let all = with_definition(&group, &namespace) + &map;
    publish(&registry, "1.0.0", &all).await;
    publish(&registry, "2.0.0", &map).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    let ready = says(&namespace, &applied("1.0.0")).await;
    assert_eq!(ready.status.unwrap().deployed.len(), 4);

    // A definition that goes takes its objects along, and comes back with them.
    let definition = format!("widgets.{group}");
    let deleted = ["delete", "crd", &definition, "--wait=false"];
    apply(
        &namespace,
        &deployer(&namespace, &namespace, "manifests", "  suspend: true\n"),
    );
    kubectl(&namespace, &deleted);
    let definitions = Api::<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    >::all(client().await);
    let vanished =
        kube::runtime::wait::await_condition(definitions, &definition, |it: Option<&_>| {
            it.is_none()
        });
    vanished.await.unwrap();
    apply(&namespace, &component("2.0.0", ""));
    wait(&namespace, "manifests", |it: &Resource| {
        of_resource(it) == "True Succeeded: Applied version 2.0.0"
    })
    .await;
    apply(
        &namespace,
        &deployer(&namespace, &namespace, "manifests", "  suspend: false\n"),
    );
    let ready = says(&namespace, &applied("2.0.0")).await;
    assert_eq!(ready.status.unwrap().deployed.len(), 1);

    // Its kind is still stated here, by somebody.
    let kinds = format!("applyset.kubernetes.io/contains-group-kinds=ConfigMap,Widget.{group}");
    kubectl(
        &namespace,
        &["annotate", "--overwrite", "deployer", &namespace, &kinds],
    );
    kubectl(
        &namespace,
        &["delete", "deployer", &namespace, "--wait=false"],
    );
    gone_everywhere::<Deployer>(&namespace).await;
    gone::<ConfigMap>(&namespace, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_means_applied_and_healthy_that_what_was_applied_is_ready() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let manifests = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: one, namespace: {namespace}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: one}}}}
  template:
    metadata: {{labels: {{app: one}}}}
    spec: {{containers: [{{name: one, image: one}}]}}
"
    );
    publish(&registry, "1.0.0", &manifests).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    let ready = says(&namespace, &applied("1.0.0")).await;
    let healthy = condition(&ready, "Healthy");
    let prefix = format!("False Progressing: Deployment `{namespace}/one` ");
    assert!(healthy.starts_with(&prefix), "{healthy}");
    let status = json!({"status": {
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
        "availableReplicas": 1,
        "conditions": [{"type": "Available", "status": "True", "reason": "x", "message": "x"}],
    }});
    let status = status.to_string();
    let patch = [
        "patch",
        "deployment",
        "one",
        "--subresource=status",
        "--type=merge",
        "-p",
    ];
    kubectl(&namespace, &[&patch[..], &[&*status]].concat());
    let healthy = |it: &Deployer| condition(it, "Healthy") == "True Succeeded: the object is ready";
    let healthy = wait_everywhere(&namespace, healthy).await;
    assert_eq!(of_deployer(&healthy), applied("1.0.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_goes_after_its_objects_and_a_resource_after_its_deployers() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let held = config_map(&namespace, "held", "1")
        .replace("metadata: {", "metadata: {finalizers: [acme.org/held], ");
    publish(&registry, "1.0.0", &held).await;
    let all = chain(&registry, &namespace, "1.0.0");
    apply(&namespace, &all);
    says(&namespace, &applied("1.0.0")).await;
    let output = cluster().kubectl_with(
        &["delete", "-n", &namespace, "--wait=false", "-f", "-"],
        &all,
    );
    assert!(output.status.success(), "{output:?}");
    let waits = format!(
        "False DeletionFailed: deployer is being deleted, and waits until these have gone: \
         ConfigMap `{namespace}/held`"
    );
    says(&namespace, &waits).await;
    let blocked = format!(
        "False DeletionFailed: resource cannot be removed as deployers are still referencing it: \
         {namespace}"
    );
    wait(&namespace, "manifests", |it: &Resource| {
        of_resource(it) == blocked
    })
    .await;
    let patch = ["patch", "configmap", "held", "--type=merge", "-p"];
    kubectl(
        &namespace,
        &[&patch[..], &[r#"{"metadata":{"finalizers":null}}"#]].concat(),
    );
    gone_everywhere::<Deployer>(&namespace).await;
    gone::<Resource>(&namespace, "manifests").await;
    gone::<ocm_controllers::api::Component>(&namespace, "it").await;
    gone::<ocm_controllers::api::Repository>(&namespace, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_can_go_that_has_applied_its_own_resource() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let own = resource("manifests", "manifests", "");
    let placed = own.replace(
        "{name: manifests}\nspec",
        &format!("{{name: manifests, namespace: {namespace}}}\nspec"),
    );
    assert_ne!(own, placed);
    publish(&registry, "1.0.0", &placed).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    says(&namespace, &applied("1.0.0")).await;
    wait(&namespace, "manifests", |it: &Resource| {
        it.metadata.owner_references.is_some()
    })
    .await;
    kubectl("", &["delete", "deployer", &namespace, "--wait=false"]);
    gone_everywhere::<Deployer>(&namespace).await;
    gone::<Resource>(&namespace, "manifests").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_replaced_under_its_version_is_applied_once_its_resource_has_seen_it() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, "1.0.0", &config_map(&namespace, "one", "1")).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    says(&namespace, &applied("1.0.0")).await;
    let map = config_map(&namespace, "one", "2");
    publish(&registry, "1.0.0", &map).await;
    // What was read a moment ago counts for a moment.
    let maps = Api::<ConfigMap>::namespaced(client().await, &namespace);
    let mut tries = 0..1000;
    let replaced = loop {
        let value_of_try = tries.next().expect("the content is applied").to_string();
        look_again("", "deployer", &namespace, &value_of_try);
        let found = maps.get("one").await.unwrap();
        if value(&found) == Some("2") {
            break found;
        }
    };
    // Never with what is said of the content before.
    let annotations = replaced.metadata.annotations.unwrap();
    assert_eq!(
        json!(annotations["digest.resource.delivery.ocm.software/value"]),
        digest_of(map.as_bytes())["value"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_those_of_the_digest_are_not_applied() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let map = config_map(&namespace, "one", "1");
    let packing = Packing::start(&registry, "1.0.0").await;
    let packing = packing.blob_as("manifests", YAML, map.as_bytes(), Some(wrong_digest()));
    packing.await.put().await;
    // Nobody looks at it before.
    let never = resource("manifests", "manifests", "  verificationPolicy: Never\n");
    let objects = chain(&registry, &namespace, "1.0.0")
        .replace(&resource("manifests", "manifests", ""), &never);
    apply(&namespace, &objects);
    let refused = begins(&namespace, "False GetOCMResourceFailed: ").await;
    let message = of_deployer(&refused);
    assert!(message.contains("expected sha256:"), "{message}");

    // A registry that hands out something else.
    publish(&registry, "1.1.0", &config_map(&namespace, "one", "2")).await;
    let digest = {
        let map = config_map(&namespace, "one", "2");
        ocm::digest::Digest::sha256(map).to_string()
    };
    registry.fail(100_000, "GET", &digest, Fault::OtherBytes);
    apply(&namespace, &component("1.1.0", ""));
    wait(&namespace, "manifests", |it: &Resource| {
        of_resource(it) == "True Succeeded: Applied version 1.1.0"
    })
    .await;
    let other = |it: &Deployer| {
        let message = of_deployer(it);
        message.starts_with("False GetOCMResourceFailed: ") && message.contains(&digest)
    };
    wait_everywhere(&namespace, other).await;
    let maps = Api::<ConfigMap>::namespaced(client().await, &namespace);
    assert!(maps.get_opt("one").await.unwrap().is_none());
    registry.heal();
    look_again("", "deployer", &namespace, "1");
    says(&namespace, &applied("1.1.0")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_applied_is_named_and_hinders_nothing_else() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let mut manifests = config_map(&namespace, "one", "1");
    let _ = write!(
        manifests,
        "apiVersion: acme.org/v1\nkind: Nothing\nmetadata: {{name: two}}\n"
    );
    publish(&registry, "1.0.0", &manifests).await;
    publish(&registry, "2.0.0", "a: b\n").await;
    publish(&registry, "3.0.0", "# nothing\n").await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    let unknown = "False ApplyFailed: cannot apply Nothing `two`: the API server does not serve \
                   acme.org/v1 Nothing";
    let failed = says(&namespace, unknown).await;
    assert_eq!(
        condition(&failed, "Healthy"),
        "False ApplyFailed: not applied: Nothing `two`"
    );
    assert_eq!(failed.status.unwrap().deployed.len(), 1);
    wait(&namespace, "one", |it: &ConfigMap| value(it) == Some("1")).await;
    apply(&namespace, &component("2.0.0", ""));
    begins(
        &namespace,
        "False GetOCMResourceFailed: document 1, line 1: ",
    )
    .await;
    apply(&namespace, &component("3.0.0", ""));
    says(
        &namespace,
        "False GetOCMResourceFailed: no objects found in manifest",
    )
    .await;
    let maps = Api::<ConfigMap>::namespaced(client().await, &namespace);
    assert!(maps.get_opt("one").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_needs_its_resource_and_hears_when_it_is_there() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, "1.0.0", &config_map(&namespace, "one", "1")).await;
    apply(
        &namespace,
        &deployer(&namespace, &namespace, "manifests", ""),
    );
    let missing = "False ResourceIsNotAvailable: failed to locate object: \
                   resources.delivery.ocm.software \"manifests\" not found";
    says(&namespace, missing).await;
    apply(&namespace, &resource("manifests", "manifests", ""));
    let unready =
        format!("False ResourceIsNotAvailable: object is not ready: {namespace}/manifests");
    says(&namespace, &unready).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    says(&namespace, &applied("1.0.0")).await;
}
