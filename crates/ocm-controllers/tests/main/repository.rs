//! Repositories on a real API server.

use ocm_controllers::api::{Component, Repository};
use ocm_testkit::{Fault, Registry};

use crate::running::{gone, kubectl, of_repository, operator, wait};
use crate::world::{apply, cluster};

const READY: &str = "True Succeeded: Successfully reconciled OCM repository";

fn repository(url: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: it}}
spec:
  repositorySpec: {{type: OCIRegistry, baseUrl: {url}}}
  interval: 1h
{more}"
    )
}

fn component(repository: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Component
metadata: {{name: child}}
spec:
  repositoryRef: {{name: {repository}}}
  component: acme.org/shop
  semver: 1.0.0
  interval: 1h
"
    )
}

fn url(registry: &Registry) -> String {
    format!("http://{}", registry.host())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_answers_is_ready_and_one_that_does_not_is_tried_again() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    registry.fail(1000, "HEAD", "", Fault::Status(404));
    apply(&namespace, &repository(&url(&registry), ""));
    wait(&namespace, "it", |it: &Repository| {
        of_repository(it) == READY
    })
    .await;

    apply(&namespace, &repository("http://127.0.0.1:1", ""));
    let failed = wait(&namespace, "it", |it: &Repository| {
        of_repository(it).starts_with("False GetRepositoryFailed: health check failed: ")
    });
    let failed = failed.await;
    assert_eq!(failed.status.unwrap().observed_generation, Some(2));

    apply(&namespace, &repository(&url(&registry), ""));
    wait(&namespace, "it", |it: &Repository| {
        of_repository(it) == READY
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_repository_it_is_ready_soon_after_that() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    // That is not how servers say that they are away for a while.
    for method in ["GET", "HEAD"] {
        registry.fail(100_000, method, "", Fault::Status(400));
    }
    // An hour until it would be looked at as usual.
    apply(&namespace, &repository(&url(&registry), ""));
    wait(&namespace, "it", |it: &Repository| {
        of_repository(it).starts_with("False GetRepositoryFailed: health check failed: ")
    })
    .await;
    registry.heal();
    wait(&namespace, "it", |it: &Repository| {
        of_repository(it) == READY
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_stays_until_the_components_of_its_namespace_have_gone() {
    operator();
    let registry = Registry::start();
    let (namespace, other) = (cluster().namespace(), cluster().namespace());
    for namespace in [&namespace, &other] {
        apply(namespace, &repository(&url(&registry), ""));
        wait(namespace, "it", |it: &Repository| {
            of_repository(it) == READY
        })
        .await;
    }
    apply(&namespace, &component("it"));
    wait(&namespace, "child", |it: &Component| {
        it.metadata.finalizers.is_some()
    })
    .await;
    // One of the same name in another namespace is not kept by it.
    kubectl(&other, &["delete", "repository", "it", "--wait=false"]);
    gone::<Repository>(&other, "it").await;

    kubectl(&namespace, &["delete", "repository", "it", "--wait=false"]);
    let message = format!(
        "False DeletionFailed: OCM repository cannot be removed as components are still \
         referencing it: {namespace}/child"
    );
    wait(&namespace, "it", |it: &Repository| {
        let status = it.status.as_ref().unwrap();
        let ready = status.conditions.iter().find(|it| it.kind == "Ready");
        ready.is_some_and(|it| format!("{:?} {}: {}", it.status, it.reason, it.message) == message)
    })
    .await;
    kubectl(
        &namespace,
        &["delete", "component", "child", "--wait=false"],
    );
    gone::<Component>(&namespace, "child").await;
    gone::<Repository>(&namespace, "it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_repository_is_left_alone_and_can_be_deleted() {
    operator();
    let namespace = cluster().namespace();
    apply(
        &namespace,
        &repository("http://127.0.0.1:1", "  suspend: true\n"),
    );
    let suspended = wait(&namespace, "it", |it: &Repository| {
        it.metadata.finalizers.is_some()
    });
    let suspended = suspended.await;
    assert_eq!(suspended.status, None);
    kubectl(&namespace, &["delete", "repository", "it", "--wait=false"]);
    gone::<Repository>(&namespace, "it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_its_credentials_has_a_repository_looked_at() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let more = "  ocmConfig:\n  - secretRef: {name: credentials}\n";
    apply(&namespace, &repository(&url(&registry), more));
    let missing =
        format!("False GetRepositoryFailed: secret {namespace}/credentials does not exist");
    wait(&namespace, "it", |it: &Repository| {
        of_repository(it) == missing
    })
    .await;
    apply(
        &namespace,
        "apiVersion: v1\nkind: Secret\nmetadata: {name: credentials}\n\
         stringData: {.ocmconfig: '{type: credentials.config.ocm.software}'}\n",
    );
    let ready = wait(&namespace, "it", |it: &Repository| {
        of_repository(it) == READY
    })
    .await;
    let effective = ready.status.unwrap().effective_ocm_config;
    assert_eq!(
        (&*effective[0].kind, &*effective[0].name),
        ("Secret", "credentials")
    );
}
