//! What a tenant may try, who can write custom resources in one namespace and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use ocm::config::{Config, ConfigDocument};
use ocm::{Environment, Ocm};
use ocm_controllers::api::{Component, Deployer, Resource};
use ocm_testkit::Registry;
use serde_json::json;

use crate::delivery::{
    Packing, chain, component, config_map, deployer, digest_of, repository, resource,
};
use crate::running::{of_component, of_deployer, of_resource, operator, wait, wait_everywhere};
use crate::world::{COMPONENT, apply, client, cluster, key, public};

const YAML: &str = "application/yaml";

/// A configuration with credentials for a registry.
fn credentials(registry: &Registry) -> String {
    let (host, port) = registry.host().split_once(':').unwrap();
    format!(
        "{{type: credentials.config.ocm.software, consumers: [{{
            identity: {{type: OCIRegistry, hostname: {host}, port: '{port}'}},
            credentials: [{{type: Credentials/v1, properties: {{username: user, password: secret}}}}]
        }}]}}"
    )
}

fn secret(registry: &Registry) -> String {
    let config = format!(
        "{{type: generic.config.ocm.software/v1, configurations: [{}]}}",
        credentials(registry)
    );
    let config = STANDARD.encode(config);
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\ndata: {{.ocmconfig: {config}}}\n---\n"
    )
}

/// A private registry with manifests.
async fn private(namespace: &str) -> Registry {
    let registry = Registry::with_password("user", "secret");
    let document = ConfigDocument::parse(&credentials(&registry), "a test").unwrap();
    let ocm = Ocm::with_documents(Environment::default(), Config::new([document]));
    let packing = Packing::with(&ocm, &registry, COMPONENT, "1.0.0").await;
    let map = config_map(namespace, "private", "1");
    packing
        .blob("manifests", YAML, map.as_bytes())
        .await
        .put()
        .await;
    registry
}

/// Delivers to a namespace what only its credentials reach.
async fn delivered_to(owner: &str) -> Registry {
    let registry = private(owner).await;
    let login = "  ocmConfig: [{kind: Secret, name: login}]\n";
    let shop = repository(&registry).replace("---\n", "") + login + "---\n";
    let owned = [
        secret(&registry),
        shop,
        component("1.0.0", ""),
        resource("manifests", "manifests", ""),
        deployer(owner, owner, "manifests", ""),
    ];
    apply(owner, &owned.concat());
    let applied = format!("True Succeeded: Applied {COMPONENT}:1.0.0, resource manifests");
    wait_everywhere(owner, |it: &Deployer| of_deployer(it) == applied).await;
    registry
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_read_with_their_credentials_is_not_there_for_who_has_none() {
    operator();
    let (owner, tenant) = (cluster().namespace(), cluster().namespace());
    let registry = delivered_to(&owner).await;

    // The same by another namespace: without credentials, and with those of the owner.
    apply(&tenant, &chain(&registry, &tenant, "1.0.0"));
    wait(&tenant, "it", |it: &Component| {
        of_component(it).starts_with("False ")
    })
    .await;
    let stolen = format!("  ocmConfig: [{{kind: Secret, name: login, namespace: {owner}}}]\n");
    apply(&tenant, &component("1.0.0", &stolen));
    wait(&tenant, "it", |it: &Component| {
        of_component(it).contains("is not available to namespace")
    })
    .await;
    wait_everywhere(&tenant, |it: &Deployer| {
        of_deployer(it).starts_with("False ResourceIsNotAvailable: ")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_namespace_serve_neither_a_resource_nor_its_deployer() {
    operator();
    let (owner, tenant) = (cluster().namespace(), cluster().namespace());
    let registry = private(&owner).await;
    apply(&owner, &secret(&registry));
    // A registry of the tenant would see what it is sent.
    let theirs = Registry::start();
    let packing = Packing::start(&theirs, "1.0.0").await;
    let map = config_map(&tenant, "one", "1");
    packing
        .blob("manifests", YAML, map.as_bytes())
        .await
        .put()
        .await;
    let stolen = format!("  ocmConfig: [{{kind: Secret, name: login, namespace: {owner}}}]\n");
    let objects = chain(&theirs, &tenant, "1.0.0").replace(
        &resource("manifests", "manifests", ""),
        &resource("manifests", "manifests", &stolen),
    );
    apply(&tenant, &objects);
    let refused = |message: &str| message.contains("is not available to namespace");
    wait(&tenant, "manifests", |it: &Resource| {
        refused(&of_resource(it))
    })
    .await;
    // The deployer of an administrator, which takes what the resource hands on.
    let more = format!(
        "  ocmConfig: [{{apiVersion: delivery.ocm.software/v1alpha1, kind: Resource, name: \
         manifests, namespace: {tenant}}}]\n"
    );
    apply(&tenant, &deployer(&tenant, &tenant, "manifests", &more));
    wait_everywhere(&tenant, |it: &Deployer| {
        of_deployer(it).starts_with("False ResourceIsNotAvailable: ")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_deployer_stay_its_own() {
    operator();
    let (owner, tenant) = (cluster().namespace(), cluster().namespace());
    let registry = Registry::start();
    for (version, value) in [("1.0.0", "ours"), ("2.0.0", "theirs")] {
        let packing = Packing::start(&registry, version).await;
        let map = config_map(&owner, "one", value);
        packing
            .blob("manifests", YAML, map.as_bytes())
            .await
            .put()
            .await;
    }
    apply(&owner, &chain(&registry, &owner, "1.0.0"));
    let applied = format!("True Succeeded: Applied {COMPONENT}:1.0.0, resource manifests");
    wait_everywhere(&owner, |it: &Deployer| of_deployer(it) == applied).await;
    apply(&tenant, &chain(&registry, &tenant, "2.0.0"));
    wait_everywhere(&tenant, |it: &Deployer| {
        of_deployer(it).contains("resource belongs to a different ApplySet: ")
    })
    .await;
    let maps = Api::<ConfigMap>::namespaced(client().await, &owner);
    assert_eq!(maps.get("one").await.unwrap().data.unwrap()["key"], "ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_no_signature_covers_is_not_deployed_from_a_verified_component() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let key = key();
    let map = config_map(&namespace, "one", "1");
    let packing = Packing::start(&registry, "1.0.0").await;
    let excluded = json!(ocm::model::DigestSpec::excluded());
    let packing = packing.blob_as("manifests", YAML, map.as_bytes(), Some(excluded));
    packing.await.put_signed("acme", &key).await;
    let value = STANDARD.encode(public(&key));
    let verify = format!("  verify: [{{signature: acme, value: {value}}}]\n");
    let objects = [
        repository(&registry),
        component("1.0.0", &verify),
        resource("manifests", "manifests", ""),
        deployer(&namespace, &namespace, "manifests", ""),
    ];
    apply(&namespace, &objects.concat());
    let refused = "False GetOCMResourceFailed: the component is verified, but the resource states \
                   no digest, so that no signature covers its content";
    wait_everywhere(&namespace, |it: &Deployer| of_deployer(it) == refused).await;
    let never = resource("manifests", "manifests", "  verificationPolicy: Never\n");
    apply(&namespace, &never);
    let applied = format!("True Succeeded: Applied {COMPONENT}:1.0.0, resource manifests");
    wait_everywhere(&namespace, |it: &Deployer| of_deployer(it) == applied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_controllers_are_no_manifests() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let packing = Packing::start(&registry, "1.0.0").await;
    let access = json!({"type": "git", "repository": "/etc", "commit": "0".repeat(40)});
    packing.resource("manifests", &access, None).put().await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    wait_everywhere(&namespace, |it: &Deployer| {
        of_deployer(it).contains("`/etc` is not read by controllers")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_a_digest_does_not_get_what_has_it() {
    operator();
    let (owner, tenant) = (cluster().namespace(), cluster().namespace());
    let registry = delivered_to(&owner).await;

    // The content is kept for the owner now. A component version of the tenant, in a repository of
    // theirs, says that it has the same, in the repository of the owner.
    let content = config_map(&owner, "private", "1");
    let digest = ocm::digest::Digest::sha256(&content).to_string();
    let place = format!(
        "http://{}/component-descriptors/{COMPONENT}",
        registry.host()
    );
    let access = json!({
        "type": "ociBlob", "ref": place, "digest": digest, "size": content.len(),
        "mediaType": YAML,
    });
    let theirs = Registry::start();
    let packing = Packing::start(&theirs, "1.0.0").await;
    let stated = Some(digest_of(content.as_bytes()));
    packing.resource("manifests", &access, stated).put().await;
    // Nobody looks at it before the deployer.
    let objects = [
        repository(&theirs),
        component("1.0.0", ""),
        resource("manifests", "manifests", "  verificationPolicy: Never\n"),
        deployer(&tenant, &tenant, "manifests", ""),
    ];
    apply(&tenant, &objects.concat());
    wait(&tenant, "manifests", |it: &Resource| {
        of_resource(it) == "True Succeeded: Applied version 1.0.0"
    })
    .await;
    let refused = wait_everywhere(&tenant, |it: &Deployer| {
        of_deployer(it).starts_with("False GetOCMResourceFailed: ")
    });
    assert_eq!(refused.await.status.unwrap().deployed, []);
}
