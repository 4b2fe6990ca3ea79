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
