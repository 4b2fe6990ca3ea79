//! Secrets that are replaced while work goes on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm::config::{Config, ConfigDocument};
use ocm::{Environment, Ocm};
use ocm_controllers::api::{Component, Deployer};
use ocm_testkit::{Fault, Registry};

use crate::delivery::{Packing, component, config_map, deployer, repository, resource};
use crate::running::{of_component, of_deployer, operator, wait, wait_everywhere};
use crate::world::{COMPONENT, apply, cluster, descriptor, key, public, publish, signed};

/// A configuration with a password for a registry.
fn credentials(registry: &Registry, password: &str) -> String {
    let (host, port) = registry.host().split_once(':').unwrap();
    format!(
        "{{type: credentials.config.ocm.software, consumers: [{{identity: {{type: OCIRegistry, \
         hostname: {host}, port: '{port}'}}, credentials: [{{type: Credentials/v1, properties: \
         {{username: user, password: {password}}}}}]}}]}}"
    )
}

fn secret(registry: &Registry, password: &str) -> String {
    let config = STANDARD.encode(credentials(registry, password));
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\ndata: {{.ocmconfig: {config}}}\n---\n"
    )
}

/// Publishes a version with a config map, whose value is the version.
async fn publish_map(registry: &Registry, password: &str, namespace: &str, version: &str) {
    let document = ConfigDocument::parse(&credentials(registry, password), "a test").unwrap();
    let ocm = Ocm::with_documents(Environment::default(), Config::new([document]));
    let packing = Packing::with(&ocm, registry, COMPONENT, version).await;
    let map = config_map(namespace, "one", version);
    let packing = packing.blob("manifests", "application/yaml", map.as_bytes());
    packing.await.put().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_with_the_password_that_takes_the_place_of_another() {
    operator();
    let namespace = cluster().namespace();
    let registry = Registry::with_password("user", "first");
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        publish_map(&registry, "first", &namespace, version).await;
    }
    let login = "  ocmConfig: [{kind: Secret, name: login}]\n---\n";
    let objects = [
        secret(&registry, "first"),
        repository(&registry).replace("---\n", login),
        component("1.0.0", ""),
        resource("manifests", "manifests", ""),
        deployer(&namespace, &namespace, "manifests", ""),
    ];
    apply(&namespace, &objects.concat());
    let delivered = async |version: &str| {
        let applied = format!("True Succeeded: Applied {COMPONENT}:{version}, resource manifests");
        wait_everywhere(&namespace, |it: &Deployer| of_deployer(it) == applied).await;
    };
    delivered("1.0.0").await;

    // The registry is first, and the secret follows.
    registry.set_password("user", "second");
    apply(&namespace, &component("2.0.0", ""));
    wait(&namespace, "it", |it: &Component| {
        of_component(it)
            .starts_with("False GetComponentVersionFailed: failed to get component version")
    })
    .await;
    apply(&namespace, &secret(&registry, "second"));
    delivered("2.0.0").await;

    // Both change while a request is under way. What was asked with the old password is answered,
    // what comes after it is not.
    registry.take_requests();
    registry.fail(1000, "GET", "manifests/3.0.0", Fault::HoldUntilHealed);
    apply(&namespace, &component("3.0.0", ""));
    tokio::task::block_in_place(|| registry.wait_for("manifests/3.0.0"));
    registry.set_password("user", "third");
    apply(&namespace, &secret(&registry, "third"));
    registry.heal();
    delivered("3.0.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_takes_the_place_of_another_counts_at_once() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let (first, second) = (key(), key());
    let descriptors = [
        signed(descriptor("1.0.0"), "acme", &first).await,
        signed(descriptor("2.0.0"), "acme", &second).await,
    ];
    publish(&registry, &descriptors).await;
    let keys = |pem: String| {
        let pem = STANDARD.encode(pem);
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\ndata: {{acme: {pem}}}\n---\n"
        )
    };
    let verify = "  verify: [{signature: acme, secretRef: {name: keys}}]\n";
    let says = async |expected: &str| {
        let begins = |it: &Component| of_component(it).starts_with(expected);
        wait(&namespace, "it", begins).await;
    };
    let first = keys(public(&first));
    apply(
        &namespace,
        &(first + &repository(&registry) + &component("1.0.0", verify)),
    );
    says("True Succeeded: Applied version 1.0.0").await;
    apply(&namespace, &component("2.0.0", verify));
    let refused =
        "False GetComponentVersionFailed: signature verification failed for signature acme";
    says(refused).await;
    apply(&namespace, &keys(public(&second)));
    says("True Succeeded: Applied version 2.0.0").await;
    // What is ready is not, once its key is gone.
    let other = key();
    apply(&namespace, &keys(public(&other)));
    says(refused).await;
}
