//! Resources and deployers.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Api;
use ocm_controllers::api::{Component, Deployer, Resource};
use ocm_testkit::Fault;
use ocm_testkit::web::{Web, files};
use serde_json::json;

use super::World;
use crate::delivery::{Packing, component, config_map, digest_of, repository, wrong_digest};
use crate::running::{of_component, of_deployer, of_resource};
use crate::world::{COMPONENT, descriptor, key, public};

const YAML: &str = "application/yaml";

fn resource(name: &str, of: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata: {{name: {name}}}
spec: {{componentRef: {{name: it}}, resource: {{byReference: {{resource: {{name: {of}}}}}}}{more}}}
---
"
    )
}

/// A deployer that has the name of its resource object, after that of the namespace.
fn deployer(resource: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Deployer
metadata: {{name: NAMESPACE-{resource}}}
spec: {{resourceRef: {{name: {resource}, namespace: NAMESPACE}}{more}}}
---
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_says_why_it_is_not_found_or_not_what_it_should_be() {
    let world = World::new().await;
    let web = Web::start(files([("/notes", b"notes".to_vec())]));
    web.fail(1000, "GET", "", Fault::HoldUntilHealed);
    let key = key();
    let elsewhere = json!({"type": "wget", "url": web.url("/notes")});
    let packing = Packing::start(&world.registry, "1.0.0").await;
    let packing = packing.blob("notes", YAML, b"notes").await;
    let packing = packing.blob_as("wrong", YAML, b"notes", Some(wrong_digest()));
    packing
        .await
        .resource("slow", &elsewhere, Some(digest_of(b"notes")))
        .reference_as("open", &descriptor("9.0.0"), None)
        .put_signed("acme", &key)
        .await;
    let verify = format!(
        "  verify: [{{signature: acme, value: {}}}]\n",
        STANDARD.encode(public(&key))
    );
    let path = |name: &str, first: &str| {
        resource(name, "notes", "").replace(
            "{resource: {name: notes}}",
            &format!("{{resource: {{name: notes}}, referencePath: [{{name: {first}}}]}}"),
        )
    };
    let held = resource("held", "notes", "")
        .replace("{name: held}", "{name: held, finalizers: [acme.org/held]}");
    let ready = "True Succeeded: Applied version 1.0.0";
    let objects = [
        repository(&world.registry),
        component("1.0.0", &verify),
        resource("ready", "notes", ""),
        held,
        resource("alone", "notes", "").replace("{name: it}", "{name: none}"),
        resource("interval", "notes", ", interval: often"),
        resource("elsewhere", "notes", "").replace("{name: it}", "{name: it, namespace: other}"),
        resource(
            "unsupported",
            "notes",
            ", ocmConfig: [{apiVersion: delivery.ocm.software/v1alpha1, kind: Replication, name: x}]",
        ),
        resource(
            "secret",
            "notes",
            ", ocmConfig: [{kind: Secret, name: none}]",
        ),
        resource("missing", "none", ""),
        path("noreference", "none"),
        path("uncovered", "open"),
        resource("wrong", "wrong", ""),
        resource("slow", "slow", ""),
        resource(
            "field",
            "notes",
            ", additionalStatusFields: {a: {b: 'resource.nothing'}}",
        ),
        resource("leaf", "notes", ", additionalStatusFields: {a: 1}"),
        deployer("ready", ""),
    ];
    world.apply(&objects.concat());
    let wrong = ocm::digest::Digest::sha256(b"something else");
    let right = ocm::digest::Digest::sha256(b"notes");
    let mismatch = format!(
        "False GetOCMResourceFailed: failed to read resource name=wrong,version=1.0.0 of \
         {COMPONENT}:1.0.0: digest mismatch: {wrong} is stated, the content has {right}"
    );
    let all = [
        ("ready", ready),
        ("held", ready),
        (
            "alone",
            "False ResourceIsNotAvailable: failed to locate object: \
             components.delivery.ocm.software \"none\" not found",
        ),
        (
            "interval",
            "False InvalidSpecification: `often` is not a duration such as 30s or 1m30s",
        ),
        (
            "elsewhere",
            "False InvalidSpecification: componentRef.namespace must be the namespace of this object",
        ),
        (
            "unsupported",
            "False GetConfigurationFailed: unsupported reference kind: Replication",
        ),
        (
            "secret",
            "False GetComponentVersionFailed: secret NAMESPACE/none does not exist",
        ),
        (
            "missing",
            "False GetOCMResourceFailed: resource with identity name=none not found in component \
             acme.org/shop:1.0.0",
        ),
        (
            "noreference",
            "False GetOCMResourceFailed: component reference with identity name=none not found in \
             component acme.org/shop:1.0.0 at reference path step 1",
        ),
        (
            "uncovered",
            "False GetOCMResourceFailed: component acme.org/shop:1.0.0 is verified, but its \
             reference to acme.org/shop:9.0.0 states no digest, so that no signature covers what it \
             leads to",
        ),
        ("wrong", &mismatch),
        (
            "slow",
            "False ResolutionInProgress: component version resolution in progress",
        ),
        (
            "field",
            "False StatusSetFailed: additional status field \"a.b\": expression failed: No such key: nothing",
        ),
        (
            "leaf",
            "False StatusSetFailed: additional status field \"a\": value must be a CEL expression string or an object",
        ),
    ];
    world.say(world.api::<Resource>(), of_resource, &all).await;
    world.apply(&component("2.0.0", &verify));
    let unready = [(
        "missing",
        "False ResourceIsNotAvailable: object is not ready: NAMESPACE/it",
    )];
    world
        .say(world.api::<Resource>(), of_resource, &unready)
        .await;
    world.delete("resource", "ready");
    world.delete("resource", "held");
    let going = [
        (
            "ready",
            "False DeletionFailed: resource cannot be removed as deployers are still referencing \
             it: NAMESPACE-ready",
        ),
        (
            "held",
            "False DeletionFailed: resource is being deleted and still has existing finalizers",
        ),
    ];
    world
        .say(world.api::<Resource>(), of_resource, &going)
        .await;
    world.delete("component", "it");
    let going = [(
        "missing",
        "False ResourceIsNotAvailable: object is being deleted: NAMESPACE/it",
    )];
    world
        .say(world.api::<Resource>(), of_resource, &going)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_says_why_something_is_not_applied() {
    let world = World::new().await;
    let web = Web::start(files([("/notes", b"notes".to_vec())]));
    let namespace = &world.namespace;
    let map = |name: &str| config_map(namespace, name, "1");
    let strange = map("one") + "apiVersion: acme.org/v1\nkind: Nothing\nmetadata: {name: two}\n";
    let held = map("held").replace("metadata: {", "metadata: {finalizers: [acme.org/held], ");
    let owned = map("owned").replace(
        "metadata: {",
        "metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: p, uid: u, controller: true}], ",
    );
    let itself = world.meant(&deployer("itself", ""));
    let mut many = String::new();
    for number in 0..7 {
        let _ = writeln!(
            many,
            "apiVersion: acme.org/v1\nkind: Nothing\nmetadata: {{name: n{number}}}\n---"
        );
    }
    let manifests = [
        ("ready", map("ready")),
        ("gone", held),
        ("strange", strange),
        ("many", many),
        ("owned", owned),
        ("itself", itself),
        ("empty", "# nothing\n".to_owned()),
        ("malformed", "a: b\n".to_owned()),
        (
            "large",
            map("large") + &"#".repeat((5 << 20) - map("large").len()),
        ),
        (
            "invalid",
            map("invalid").replace("data: {key: '1'}", "data: [1]"),
        ),
        ("again", map("twice") + &map("twice")),
    ];
    let mut packing = Packing::start(&world.registry, "1.0.0").await;
    let mut objects = repository(&world.registry) + &component("1.0.0", "");
    for (name, manifest) in &manifests {
        packing = packing.blob(name, YAML, manifest.as_bytes()).await;
        objects += &resource(name, name, "");
        objects += &deployer(name, "");
    }
    let access = json!({"type": "git", "repository": "/etc", "commit": "0".repeat(40)});
    let elsewhere = json!({"type": "wget", "url": web.url("/notes")});
    packing = packing.resource("file", &access, None).resource(
        "drift",
        &elsewhere,
        Some(digest_of(b"notes")),
    );
    packing.put().await;
    let never = ", verificationPolicy: Never";
    objects += &resource("file", "file", "");
    objects += &resource("drift", "drift", "");
    objects += &resource("secret", "ready", "");
    objects += &resource("unsupported", "ready", "");
    objects += &resource("missing", "missing", never);
    for (name, more) in [
        ("file", ""),
        ("none", ""),
        ("missing", ""),
        (
            "secret",
            ", ocmConfig: [{kind: Secret, name: none, namespace: NAMESPACE}]",
        ),
        ("unsupported", ", ocmConfig: [{kind: Secret, name: none}]"),
    ] {
        objects += &deployer(name, more);
    }
    world.apply(&objects);
    let nothing = |name: &str| {
        format!("cannot apply Nothing `{name}`: the API server does not serve acme.org/v1 Nothing")
    };
    let many: Vec<_> = (0..5).map(|it| nothing(&format!("n{it}"))).collect();
    let many = format!("False ApplyFailed: {}; and 2 more", many.join("; "));
    let strange = format!("False ApplyFailed: {}", nothing("two"));
    let all = [
        (
            "NAMESPACE-ready",
            "True Succeeded: Applied acme.org/shop:1.0.0, resource ready",
        ),
        (
            "NAMESPACE-gone",
            "True Succeeded: Applied acme.org/shop:1.0.0, resource gone",
        ),
        ("NAMESPACE-strange", &*strange),
        ("NAMESPACE-many", &*many),
        (
            "NAMESPACE-owned",
            "False ApplyFailed: ConfigMap `NAMESPACE/owned` is controlled by Pod p in the manifest, \
             and cannot be of this deployer as well",
        ),
        (
            "NAMESPACE-itself",
            "False ApplyFailed: the manifest has the deployer itself, which would wait for itself \
             to go",
        ),
        (
            "NAMESPACE-empty",
            "False GetOCMResourceFailed: no objects found in manifest",
        ),
        (
            "NAMESPACE-malformed",
            "False GetOCMResourceFailed: document 1, line 1: an object states apiVersion and kind",
        ),
        (
            "NAMESPACE-large",
            "False GetOCMResourceFailed: failed to read resource name=large,version=1.0.0 of acme.org/shop:1.0.0: resource size 5Mi exceeds maximum allowed size of 4Mi",
        ),
        (
            "NAMESPACE-invalid",
            "False ApplyFailed: cannot apply ConfigMap `NAMESPACE/invalid`: failed to create typed patch object (NAMESPACE/invalid; /v1, Kind=ConfigMap): .data: expected map, got &{[1]}",
        ),
        (
            "NAMESPACE-again",
            "False ApplyFailed: cannot apply ConfigMap `NAMESPACE/twice`: it is there twice",
        ),
        (
            "NAMESPACE-file",
            "False GetOCMResourceFailed: failed to read resource name=file,version=1.0.0 of acme.org/shop:1.0.0: `/etc` is not read by controllers: it is no address of a web server",
        ),
        (
            "NAMESPACE-none",
            "False ResourceIsNotAvailable: failed to locate object: \
             resources.delivery.ocm.software \"none\" not found",
        ),
        (
            "NAMESPACE-missing",
            "False ResourceIsNotAvailable: object is not ready: NAMESPACE/missing",
        ),
        (
            "NAMESPACE-secret",
            "False GetConfigurationFailed: secret NAMESPACE/none does not exist",
        ),
        (
            "NAMESPACE-unsupported",
            "False GetConfigurationFailed: ocmConfig: Secret none needs a namespace, as this object \
             has none",
        ),
    ];
    let deployers = || Api::<Deployer>::all(world.client.clone());
    world.say(deployers(), of_deployer, &all).await;
    let found = [("drift", "True Succeeded: Applied version 1.0.0")];
    world
        .say(world.api::<Resource>(), of_resource, &found)
        .await;

    // The component goes on to another version, and the resource object cannot follow.
    web.fail(1000, "GET", "", Fault::HoldUntilHealed);
    let packing = Packing::start(&world.registry, "2.0.0").await;
    let other = json!({"type": "wget", "url": web.url("/notes?other")});
    packing
        .resource("drift", &other, Some(digest_of(b"notes")))
        .put()
        .await;
    world.apply(&component("2.0.0", ""));
    let chosen = [("it", "True Succeeded: Applied version 2.0.0")];
    world
        .say(world.api::<Component>(), of_component, &chosen)
        .await;
    world.apply(&deployer("drift", ""));
    world.delete("deployer", &world.meant("NAMESPACE-gone"));
    let later = [
        (
            "NAMESPACE-drift",
            "False ComponentDriftResolutionInProgress: component version drift: resource status has \
             not yet caught up with component",
        ),
        (
            "NAMESPACE-gone",
            "False DeletionFailed: deployer is being deleted, and waits until these have gone: \
             ConfigMap `NAMESPACE/held`",
        ),
    ];
    world.say(deployers(), of_deployer, &later).await;
    web.heal();
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    crate::running::kubectl(
        namespace,
        &["patch", "configmap", "held", "--type=merge", "-p", patch],
    );
    let caught_up = [(
        "NAMESPACE-drift",
        "False GetOCMResourceFailed: document 1, line 1: this is no object",
    )];
    world.say(deployers(), of_deployer, &caught_up).await;
}
