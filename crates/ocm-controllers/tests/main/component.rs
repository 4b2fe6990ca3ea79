//! Components on a real API server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_controllers::api::Component;
use ocm_testkit::{Fault, Registry};

use crate::running::{gone, kubectl, of_component, operator, wait};
use crate::world::{COMPONENT, apply, cluster, descriptor, key, public, publish, signed};

/// A repository and a component of it.
fn objects(registry: &Registry, semver: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: shop}}
spec:
  repositorySpec: {{type: OCIRegistry, baseUrl: 'http://{}'}}
  interval: 1h
---
apiVersion: delivery.ocm.software/v1alpha1
kind: Component
metadata: {{name: it}}
spec:
  repositoryRef: {{name: shop}}
  component: {COMPONENT}
  semver: '{semver}'
  interval: 1h
{more}",
        registry.host()
    )
}

async fn says(namespace: &str, readiness: &str) -> Component {
    wait(namespace, "it", |it: &Component| {
        of_component(it) == readiness
    })
    .await
}

fn look_again(namespace: &str, value: &str) {
    let annotation = format!("delivery.ocm.software/reconcile={value}");
    kubectl(
        namespace,
        &["annotate", "--overwrite", "component", "it", &annotation],
    );
}

/// Has the component looked at until that reaches the registry: what was read a moment ago need
/// not be read again.
fn look_until_asked(namespace: &str, registry: &Registry) {
    registry.take_requests();
    let asked = |it: &String| it.contains("manifests/1.0.0");
    for number in 0..1000 {
        look_again(namespace, &number.to_string());
        if registry.take_requests().iter().any(asked) {
            return;
        }
    }
    panic!("the registry is not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_version_that_fits_is_taken_and_a_new_one_when_it_is_asked_for() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let versions = ["1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0"].map(descriptor);
    publish(&registry, &versions).await;
    apply(&namespace, &objects(&registry, "^1", ""));
    let ready = says(&namespace, "True Succeeded: Applied version 1.1.0").await;
    let status = ready.status.unwrap();
    assert_eq!(status.observed_generation, ready.metadata.generation);
    let info = status.component.unwrap();
    assert_eq!(info.repository_spec["type"], "OCIRegistry");
    assert_eq!((&*info.component, &*info.version), (COMPONENT, "1.1.0"));
    let digest = info.digest.unwrap();
    assert_eq!(digest.normalisation_algorithm, "jsonNormalisation/v4alpha1");
    assert_eq!(
        (&*digest.hash_algorithm, digest.value.len()),
        ("SHA-256", 64)
    );

    publish(&registry, &[descriptor("1.3.0+build.1")]).await;
    // What was listed a moment ago may be what is seen first.
    for number in 0..1000 {
        look_again(&namespace, &number.to_string());
        let found = says_any(&namespace, &["1.1.0", "1.3.0+build.1"]).await;
        if found == "1.3.0+build.1" {
            return;
        }
    }
    panic!("the new version is not taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_missing_is_found_at_the_interval() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, &[descriptor("1.0.0")]).await;
    let often = objects(&registry, "^2", "").replace("interval: 1h", "interval: 1s");
    apply(&namespace, &often);
    let none = "False CheckVersionFailed: no valid versions found for constraint ^2";
    says(&namespace, none).await;
    // Nobody touches the object from here on.
    publish(&registry, &[descriptor("2.0.0")]).await;
    says(&namespace, "True Succeeded: Applied version 2.0.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_stays_ready_while_it_is_looked_at_again() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, &[descriptor("1.0.0")]).await;
    apply(&namespace, &objects(&registry, "1.0.0", ""));
    let ready = says(&namespace, "True Succeeded: Applied version 1.0.0").await;
    registry.fail(1000, "HEAD", "manifests/1.0.0", Fault::HoldUntilHealed);
    registry.fail(1000, "GET", "manifests/1.0.0", Fault::HoldUntilHealed);
    look_until_asked(&namespace, &registry);
    // One that comes later waits for the same answer, and says so once it has waited long enough:
    // so has the first one.
    let objects = objects(&registry, "1.0.0", "");
    let (_, component) = objects.split_once("---\n").unwrap();
    apply(
        &namespace,
        &component.replace("{name: it}", "{name: later}"),
    );
    let waiting = "False ResolutionInProgress: component version resolution in progress";
    wait(&namespace, "later", |it: &Component| {
        of_component(it) == waiting
    })
    .await;
    let now = wait(&namespace, "it", |_: &Component| true).await;
    assert_eq!(of_component(&now), "True Succeeded: Applied version 1.0.0");
    registry.heal();
    wait(&namespace, "later", |it: &Component| {
        of_component(it) == "True Succeeded: Applied version 1.0.0"
    })
    .await;
    let after = says(&namespace, "True Succeeded: Applied version 1.0.0").await;
    assert_eq!(after.status, ready.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_say_what_has_changed_and_not_what_has_not() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, &["1.0.0", "1.1.0"].map(descriptor)).await;
    apply(&namespace, &objects(&registry, "1.0.0", ""));
    says(&namespace, "True Succeeded: Applied version 1.0.0").await;
    for _ in 0..3 {
        look_until_asked(&namespace, &registry);
    }
    apply(&namespace, &objects(&registry, "1.1.0", ""));
    says(&namespace, "True Succeeded: Applied version 1.1.0").await;
    let events = ocm_testkit::eventually("the last event", || {
        let arguments = [
            "get",
            "events",
            "--field-selector=involvedObject.kind=Component",
            "-o",
            "jsonpath={range .items[*]}{.type} {.reason} {.message} {.count} {.source.component} \
             {.metadata.annotations.delivery\\.ocm\\.software/component_version}{\"\\n\"}{end}",
        ];
        let events = kubectl(&namespace, &arguments);
        let last = "Normal Succeeded Applied version 1.1.0 1 ocm-k8s-toolkit";
        events.contains(last).then(|| events.clone()).ok_or(events)
    });
    let first =
        format!("Normal Succeeded Applied version 1.0.0 1 ocm-k8s-toolkit {COMPONENT}:1.0.0");
    assert_eq!(
        events.lines().filter(|it| **it == first).count(),
        1,
        "{events}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_the_same_name_in_two_namespaces_have_nothing_to_do_with_each_other() {
    operator();
    let (ours, theirs) = (cluster().namespace(), cluster().namespace());
    let registry = Registry::start();
    publish(&registry, &[descriptor("1.0.0")]).await;
    apply(&ours, &objects(&registry, "1.0.0", ""));
    let all = objects(&registry, "1.0.0", "");
    let (_, component) = all.split_once("---\n").unwrap();
    apply(&theirs, component);
    says(&ours, "True Succeeded: Applied version 1.0.0").await;
    let missing = "False GetResourceFailed: OCM Repository is not ready";
    says(&theirs, missing).await;
    // A resource of the one keeps that one, and not the other.
    apply(
        &ours,
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata: {name: child}
spec:
  componentRef: {name: it}
  resource: {byReference: {resource: {name: x}}}
",
    );
    kubectl(&theirs, &["delete", "component", "it", "--wait=false"]);
    gone::<Component>(&theirs, "it").await;
    kubectl(&ours, &["delete", "component", "it", "--wait=false"]);
    let kept =
        format!("component cannot be removed as resources are still referencing it: {ours}/child");
    wait(&ours, "it", |it: &Component| {
        let conditions = it.status.iter().flat_map(|it| &it.conditions);
        { conditions }.any(|it| it.reason == "DeletionFailed" && it.message == kept)
    })
    .await;
    kubectl(&ours, &["delete", "resource", "child", "--wait=false"]);
    gone::<Component>(&ours, "it").await;
}

/// Returns which of some versions is applied.
async fn says_any(namespace: &str, versions: &[&str]) -> String {
    let applied = |it: &Component| {
        let readiness = of_component(it);
        versions
            .iter()
            .find(|version| readiness == format!("True Succeeded: Applied version {version}"))
            .map(|version| (*version).to_owned())
    };
    let found = wait(namespace, "it", |it: &Component| applied(it).is_some()).await;
    applied(&found).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_and_the_policy_for_lower_versions_decide() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, &["1.0.0", "1.1.0", "2.0.0"].map(descriptor)).await;
    let filter = "  semverFilter: '^1\\.1'\n";
    apply(&namespace, &objects(&registry, "*", filter));
    says(&namespace, "True Succeeded: Applied version 1.1.0").await;
    apply(&namespace, &objects(&registry, "1.0.0", ""));
    let denied = "False CheckVersionFailed: component version cannot be downgraded from version \
                  1.1.0 to version 1.0.0";
    let kept = says(&namespace, denied).await;
    assert_eq!(kept.status.unwrap().component.unwrap().version, "1.1.0");
    apply(
        &namespace,
        &objects(&registry, "1.0.0", "  downgradePolicy: Allow\n"),
    );
    says(&namespace, "True Succeeded: Applied version 1.0.0").await;
    apply(&namespace, &objects(&registry, "^7", ""));
    let none = "False CheckVersionFailed: no valid versions found for constraint ^7";
    says(&namespace, none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_needs_its_repository_and_follows_it() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, &[descriptor("1.0.0")]).await;
    let all = objects(&registry, "1.0.0", "");
    let (repository, component) = all.split_once("---\n").unwrap();
    apply(&namespace, component);
    says(
        &namespace,
        "False GetResourceFailed: OCM Repository is not ready",
    )
    .await;
    apply(&namespace, repository);
    says(&namespace, "True Succeeded: Applied version 1.0.0").await;
    kubectl(&namespace, &["delete", "component", "it", "--wait=false"]);
    gone::<Component>(&namespace, "it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_verified_with_keys_from_values_and_secrets() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let (ours, theirs) = (key(), key());
    publish(
        &registry,
        &[signed(descriptor("1.0.0"), "acme", &ours).await],
    )
    .await;
    let value = STANDARD.encode(public(&theirs));
    let with = format!("  verify: [{{signature: acme, value: {value}}}]\n");
    apply(&namespace, &objects(&registry, "1.0.0", &with));
    let failed = wait(&namespace, "it", |it: &Component| {
        of_component(it).starts_with(
            "False GetComponentVersionFailed: signature verification failed for signature acme: ",
        )
    });
    assert_eq!(failed.await.status.unwrap().component, None);

    let with = "  verify: [{signature: acme, secretRef: {name: keys}}]\n";
    apply(&namespace, &objects(&registry, "1.0.0", with));
    says(
        &namespace,
        "False GetComponentVersionFailed: secret \"keys\" does not exist",
    )
    .await;
    let pem = STANDARD.encode(public(&ours));
    apply(
        &namespace,
        &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\ndata: {{acme: {pem}}}\n"),
    );
    says(&namespace, "True Succeeded: Applied version 1.0.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_registry_is_said_to_be_waited_for_and_its_answer_is_not_lost() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    publish(&registry, &[descriptor("1.0.0")]).await;
    registry.fail(1000, "GET", "manifests/1.0.0", Fault::HoldUntilHealed);
    apply(&namespace, &objects(&registry, "1.0.0", ""));
    let waiting = "False ResolutionInProgress: component version resolution in progress";
    says(&namespace, waiting).await;
    registry.heal();
    says(&namespace, "True Succeeded: Applied version 1.0.0").await;
}
