//! Replications on a real API server.

use ocm::config::{Config, ConfigDocument};
use ocm::model::{ComponentVersionId, Descriptor, Provider};
use ocm::oci::{Reference, Scheme};
use ocm::{Environment, Ocm, Use};
use ocm_controllers::api::{Component, ConditionStatus, Replication};
use ocm_testkit::{Fault, Registry};
use serde_json::json;

use crate::running::{gone, kubectl, of_component, operator, readiness, wait};
use crate::world::{COMPONENT, apply, cluster, descriptor, publish, publish_with, spec};

/// Two repositories, a component of the first, and its replication to the second.
fn objects(source: &Registry, target: &str, semver: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: source}}
spec:
  repositorySpec: {{type: OCIRegistry, baseUrl: 'http://{}'}}
  interval: 1h
---
apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: target}}
spec:
  repositorySpec: {{type: OCIRegistry, baseUrl: 'http://{target}'}}
  interval: 1h
---
apiVersion: delivery.ocm.software/v1alpha1
kind: Component
metadata: {{name: shop}}
spec:
  repositoryRef: {{name: source}}
  component: {COMPONENT}
  semver: '{semver}'
  interval: 1h
---
apiVersion: delivery.ocm.software/v1alpha1
kind: Replication
metadata: {{name: it}}
spec:
  componentRef: {{name: shop}}
  targetRepositoryRef: {{name: target}}
{more}",
        source.host()
    )
}

fn of(replication: &Replication) -> String {
    let status = replication.status.as_ref();
    let conditions = status.map_or(&[][..], |it| &it.conditions);
    readiness(conditions, replication.metadata.generation)
}

async fn says(namespace: &str, expected: &str) -> Replication {
    wait(namespace, "it", |it: &Replication| of(it) == expected).await
}

fn done(version: &str) -> String {
    format!("True Succeeded: Successfully transferred component version {version}")
}

/// Tells whether a registry has a version of the component.
async fn has(registry: &Registry, version: &str) -> bool {
    let ocm = Ocm::new(Environment::default());
    let repository = ocm.open(&spec(registry), Use::Read).await.unwrap();
    let id: ComponentVersionId = format!("{COMPONENT}:{version}").parse().unwrap();
    repository.stored_digest(&id).await.unwrap().is_some()
}

/// Takes a version of the component out of a registry.
async fn lose(registry: &Registry, version: &str) {
    let ocm = Ocm::new(Environment::default());
    let store = ocm.registry(registry.host(), Scheme::Http).await.unwrap();
    let name = format!("component-descriptors/{COMPONENT}")
        .parse()
        .unwrap();
    let tag = Reference::Tag(version.parse().unwrap());
    let manifest = store.manifest(&name, &tag).await.unwrap();
    let digest = Reference::Digest(manifest.digest());
    store.delete_manifest(&name, &digest).await.unwrap();
    assert!(!has(registry, version).await);
}

fn look_again(namespace: &str, value: &str) {
    let annotation = format!("delivery.ocm.software/reconcile={value}");
    let arguments = ["annotate", "--overwrite", "replication", "it", &annotation];
    kubectl(namespace, &arguments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_version_is_transferred_and_the_next_one_follows() {
    operator();
    let namespace = cluster().namespace();
    let (source, target) = (Registry::start(), Registry::start());
    publish(&source, &["1.0.0", "1.1.0"].map(descriptor)).await;
    apply(&namespace, &objects(&source, target.host(), "1.0.0", ""));
    let ready = says(&namespace, &done("1.0.0")).await;
    assert!(has(&target, "1.0.0").await);
    let status = ready.status.unwrap();
    assert_eq!(status.last_transferred_version.as_deref(), Some("1.0.0"));
    let digest = status.component.unwrap().digest.unwrap().value;
    assert_eq!(status.last_transferred_digest, Some(digest));
    let [record] = &*status.history else {
        panic!("{:?}", status.history)
    };
    assert!(record.success && record.version == "1.0.0", "{record:?}");
    let transfer = status
        .conditions
        .iter()
        .find(|it| it.kind == "TransferInProgress");
    let transfer = transfer.unwrap();
    assert_eq!(transfer.status, ConditionStatus::False);
    assert_eq!(transfer.reason, "TransferComplete");

    apply(&namespace, &objects(&source, target.host(), "1.1.0", ""));
    let ready = says(&namespace, &done("1.1.0")).await;
    assert!(has(&target, "1.1.0").await);
    assert_eq!(ready.status.unwrap().history.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_target_gets_what_was_transferred_before_to_the_first_one() {
    operator();
    let namespace = cluster().namespace();
    let (source, first, second) = (Registry::start(), Registry::start(), Registry::start());
    publish(&source, &[descriptor("1.0.0")]).await;
    apply(&namespace, &objects(&source, first.host(), "1.0.0", ""));
    says(&namespace, &done("1.0.0")).await;
    apply(&namespace, &objects(&source, second.host(), "1.0.0", ""));
    let both = |it: &Replication| it.status.as_ref().is_some_and(|it| it.history.len() == 2);
    wait(&namespace, "it", both).await;
    assert!(has(&second, "1.0.0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_has_lost_is_transferred_again_when_it_is_looked_at() {
    operator();
    let namespace = cluster().namespace();
    let source = Registry::start();
    let target = Registry::start();
    publish(&source, &[descriptor("1.0.0")]).await;
    apply(&namespace, &objects(&source, target.host(), "1.0.0", ""));
    says(&namespace, &done("1.0.0")).await;
    // Looked at without need, nothing moves, and nothing is noted. That is over once it has been
    // seen that something else has changed.
    let other = objects(&source, target.host(), "1.0.0", "  interval: 2h\n");
    apply(&namespace, &other);
    let status = says(&namespace, &done("1.0.0")).await.status.unwrap();
    assert_eq!(status.history.len(), 1);
    lose(&target, "1.0.0").await;
    look_again(&namespace, "now");
    let both = |it: &Replication| it.status.as_ref().is_some_and(|it| it.history.len() == 2);
    wait(&namespace, "it", both).await;
    assert!(has(&target, "1.0.0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_under_way_is_seen_and_ends_with_its_object() {
    operator();
    let namespace = cluster().namespace();
    let (source, target) = (Registry::start(), Registry::start());
    publish(&source, &[descriptor("1.0.0")]).await;
    target.fail(1000, "PUT", "manifests", Fault::HoldUntilHealed);
    apply(&namespace, &objects(&source, target.host(), "1.0.0", ""));
    let moving = says(
        &namespace,
        "False TransferInProgress: transferring component version 1.0.0: 0 of 1 component versions \
         are there",
    );
    let conditions = moving.await.status.unwrap().conditions;
    let transfer = conditions.iter().find(|it| it.kind == "TransferInProgress");
    assert_eq!(transfer.unwrap().status, ConditionStatus::True);
    kubectl(&namespace, &["delete", "replication", "it", "--wait=false"]);
    gone::<Replication>(&namespace, "it").await;
    target.heal();
    assert!(!has(&target, "1.0.0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_named_until_it_succeeds() {
    operator();
    let namespace = cluster().namespace();
    let (source, target) = (Registry::start(), Registry::start());
    publish(&source, &[descriptor("1.0.0")]).await;
    target.fail(1000, "PUT", "manifests", Fault::Status(403));
    apply(&namespace, &objects(&source, target.host(), "1.0.0", ""));
    let failed = wait(&namespace, "it", |it: &Replication| {
        of(it).starts_with("False ReplicationFailed: cannot transfer acme.org/shop:1.0.0: ")
    });
    let status = failed.await.status.unwrap();
    let [event] = &*status.last_failed_transfer_events else {
        panic!("{status:?}")
    };
    assert_eq!(event.id, "acme.org/shop:1.0.0");
    target.heal();
    look_again(&namespace, "now");
    let ready = says(&namespace, &done("1.0.0")).await.status.unwrap();
    assert_eq!(ready.last_failed_transfer_events, []);
    let outcomes: Vec<_> = ready.history.iter().map(|it| it.success).collect();
    assert_eq!(outcomes, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_the_configuration_and_wrong_ones_are_refused() {
    operator();
    let namespace = cluster().namespace();
    let (source, target) = (Registry::start(), Registry::start());
    publish(&source, &[descriptor("1.0.0")]).await;
    let settings = |copy_mode: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata:\n  .ocmconfig: \
             '{{type: transfer.config.ocm.software, copyMode: {copy_mode}}}'\n"
        )
    };
    apply(&namespace, &settings("everything"));
    let more = "  ocmConfig:\n  - configMapRef: {name: settings}\n";
    apply(&namespace, &objects(&source, target.host(), "1.0.0", more));
    wait(&namespace, "it", |it: &Replication| {
        of(it).starts_with("False GetConfigurationFailed: ")
    })
    .await;
    apply(&namespace, &settings("allResources"));
    says(&namespace, &done("1.0.0")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_both_ends_count_beside_own_settings() {
    operator();
    let namespace = cluster().namespace();
    let source = Registry::with_password("reader", "one");
    let target = Registry::with_password("writer", "two");
    let secret = |name: &str, registry: &Registry, user: &str, password: &str| {
        let (host, port) = registry.host().split_once(':').unwrap();
        let config = format!(
            "{{type: credentials.config.ocm.software, consumers: [{{identity: {{type: OCIRegistry, \
             hostname: {host}, port: '{port}'}}, credentials: [{{type: Credentials/v1, properties: \
             {{username: {user}, password: {password}}}}}]}}]}}"
        );
        let (name, config) = (json!(name), json!(config));
        apply(
            &namespace,
            &format!(
                "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: \
                 {{.ocmconfig: {config}}}}}"
            ),
        );
        ConfigDocument::parse(config.as_str().unwrap(), "a test").unwrap()
    };
    let ends = Config::new([
        secret("source", &source, "reader", "one"),
        secret("target", &target, "writer", "two"),
    ]);
    let ocm = Ocm::with_documents(Environment::default(), ends);
    publish_with(&ocm, &source, &[descriptor("1.0.0")]).await;
    apply(
        &namespace,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  .ocmconfig: \
         '{type: transfer.config.ocm.software, recursive: -1}'\n",
    );
    let more = "  ocmConfig:
  - {apiVersion: delivery.ocm.software/v1alpha1, kind: Component, name: shop}
  - configMapRef: {name: settings}
";
    let all = objects(&source, target.host(), "1.0.0", more);
    let with = |all: &str, registry: &Registry, entry: &str| {
        let end = format!("'http://{}'}}\n", registry.host());
        all.replacen(&end, &format!("{end}  ocmConfig: [{entry}]\n"), 1)
    };
    let all = with(&all, &source, "{secretRef: {name: source}}");
    // What is not handed on to others counts here all the same.
    let kept = "{secretRef: {name: target}, policy: DoNotPropagate}";
    apply(&namespace, &with(&all, &target, kept));
    let ready = says(&namespace, &done("1.0.0")).await.status.unwrap();
    let used: Vec<_> = ready
        .effective_ocm_config
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(used, ["source", "settings", "target"]);
    let repository = ocm.open(&spec(&target), Use::Read).await.unwrap();
    let id: ComponentVersionId = format!("{COMPONENT}:1.0.0").parse().unwrap();
    assert!(repository.stored_digest(&id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_component_has_not_verified_is_not_transferred() {
    operator();
    let namespace = cluster().namespace();
    let (source, target) = (Registry::start(), Registry::start());
    publish(&source, &[descriptor("1.0.0")]).await;
    let suspended = objects(&source, target.host(), "1.0.0", "  suspend: true\n");
    apply(&namespace, &suspended);
    wait(&namespace, "shop", |it: &Component| {
        of_component(it) == "True Succeeded: Applied version 1.0.0"
    })
    .await;
    let id: ComponentVersionId = format!("{COMPONENT}:1.0.0").parse().unwrap();
    let other = Descriptor::new(id.name, id.version, &Provider::new("evil.org"));
    publish(&source, &[other]).await;
    apply(&namespace, &suspended.replace("true", "false"));
    let failed = wait(&namespace, "it", |it: &Replication| {
        of(it).starts_with("False ReplicationFailed: ")
    })
    .await;
    assert!(
        of(&failed).contains("digest mismatch of"),
        "{}",
        of(&failed)
    );
    assert!(!has(&target, "1.0.0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replication_waits_for_both_its_ends_and_keeps_neither() {
    operator();
    let namespace = cluster().namespace();
    let (source, target) = (Registry::start(), Registry::start());
    publish(&source, &[descriptor("1.0.0")]).await;
    let all = objects(&source, target.host(), "1.0.0", "");
    let (ends, replication) = all.rsplit_once("---\n").unwrap();
    apply(&namespace, replication);
    says(
        &namespace,
        "False ResourceIsNotAvailable: failed to locate object: components.delivery.ocm.software \
         \"shop\" not found",
    )
    .await;
    apply(&namespace, ends);
    says(&namespace, &done("1.0.0")).await;
    for (kind, name) in [("component", "shop"), ("repository", "target")] {
        kubectl(
            &namespace,
            &["delete", kind, name, "--wait=true", "--timeout=60s"],
        );
    }
    kubectl(&namespace, &["delete", "replication", "it", "--wait=false"]);
    gone::<Replication>(&namespace, "it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_replication_gets_no_finalizer_and_transfers_nothing() {
    operator();
    let namespace = cluster().namespace();
    let (source, target) = (Registry::start(), Registry::start());
    publish(&source, &[descriptor("1.0.0")]).await;
    let suspended = objects(&source, target.host(), "1.0.0", "  suspend: true\n");
    apply(&namespace, &suspended);
    wait(&namespace, "shop", |it: &Component| {
        of_component(it) == "True Succeeded: Applied version 1.0.0"
    })
    .await;
    let seen = wait(&namespace, "it", |_: &Replication| true).await;
    assert_eq!((seen.metadata.finalizers, seen.status), (None, None));
    apply(
        &namespace,
        &suspended.replace("  suspend: true\n", "  suspend: false\n"),
    );
    says(&namespace, &done("1.0.0")).await;
}
