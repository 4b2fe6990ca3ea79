//! Replications.

use ocm_controllers::api::{Component, Replication};
use ocm_testkit::{Fault, Registry};

use super::{World, ready};
use crate::delivery::repository;
use crate::running::{of_component, readiness};
use crate::world::{COMPONENT, descriptor, publish};

fn of(replication: &Replication) -> String {
    let status = replication.status.as_ref();
    let conditions = status.map_or(&[][..], |it| &it.conditions);
    readiness(conditions, replication.metadata.generation)
}

fn target(name: &str, host: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: {name}}}
spec: {{repositorySpec: {{type: OCIRegistry, baseUrl: 'http://{host}'}}, interval: 1h}}
---
"
    )
}

fn replication(name: &str, target: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Replication
metadata: {{name: {name}}}
spec: {{componentRef: {{name: it}}, targetRepositoryRef: {{name: {target}}}{more}}}
---
"
    )
}

fn component(name: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec: {{repositoryRef: {{name: shop}}, component: {COMPONENT}, semver: 1.0.0, interval: 1h{more}}}
---
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replication_says_how_it_goes_and_why_it_does_not() {
    let world = World::new().await;
    publish(&world.registry, &[descriptor("1.0.0")]).await;
    let (open, slow, closed) = (Registry::start(), Registry::start(), Registry::start());
    slow.fail(1000, "PUT", "manifests", Fault::HoldUntilHealed);
    closed.fail(1000, "PUT", "manifests", Fault::Status(403));
    let config = |name: &str, settings: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{.ocmconfig: \
             '{{type: transfer.config.ocm.software, {settings}}}'}}\n---\n"
        )
    };
    let with = |name: &str| format!(", ocmConfig: [{{kind: ConfigMap, name: {name}}}]");
    let held = replication("held", "open", "")
        .replace("{name: held}", "{name: held, finalizers: [acme.org/held]}");
    let objects = [
        repository(&world.registry),
        component("it", ""),
        component("undigested", ", suspend: true"),
        target("open", open.host()),
        target("slow", slow.host()),
        target("closed", closed.host()),
        config("mode", "copyMode: everything"),
        config("depth", "recursive: 3"),
        replication("done", "open", ""),
        held,
        replication("undigested", "open", "").replace("{name: it}", "{name: undigested}"),
        replication("interval", "open", ", interval: often"),
        replication("elsewhere", "open", "").replace("{name: it}", "{name: it, namespace: other}"),
        replication("alone", "open", "").replace("{name: it}", "{name: none}"),
        replication("nowhere", "none", ""),
        replication(
            "unsupported",
            "open",
            ", ocmConfig: [{apiVersion: delivery.ocm.software/v1alpha1, kind: Replication, name: x}]",
        ),
        replication(
            "secret",
            "open",
            ", ocmConfig: [{kind: Secret, name: none}]",
        ),
        replication("mode", "open", &with("mode")),
        replication("depth", "open", &with("depth")),
        replication("moving", "slow", ""),
        replication("refused", "closed", ""),
    ];
    world.apply(&objects.concat());
    // As controllers of before have written it.
    let status = format!(
        r#", "component": {{"repositorySpec": {{"type": "OCIRegistry", "baseUrl": "http://REGISTRY"}},
        "component": "{COMPONENT}", "version": "1.0.0"}}"#
    );
    world.write_status("component", "undigested", &ready(&status));
    let done = "True Succeeded: Successfully transferred component version 1.0.0";
    let host = closed.host();
    let refused = format!(
        "False ReplicationFailed: cannot transfer {COMPONENT}:1.0.0: cannot write {COMPONENT}:1.0.0 \
         in http://{host}: cannot write {COMPONENT}:1.0.0: \
         {host}/component-descriptors/{COMPONENT}:1.0.0: not allowed"
    );
    let all = [
        ("done", done),
        ("held", done),
        ("undigested", done),
        (
            "interval",
            "False InvalidSpecification: `often` is not a duration such as 30s or 1m30s",
        ),
        (
            "elsewhere",
            "False InvalidSpecification: componentRef.namespace must be the namespace of the object \
             itself",
        ),
        (
            "alone",
            "False ResourceIsNotAvailable: failed to locate object: \
             components.delivery.ocm.software \"none\" not found",
        ),
        (
            "nowhere",
            "False GetRepositoryFailed: failed to locate object: \
             repositories.delivery.ocm.software \"none\" not found",
        ),
        (
            "unsupported",
            "False GetConfigurationFailed: unsupported reference kind: Replication",
        ),
        (
            "secret",
            "False GetConfigurationFailed: secret NAMESPACE/none does not exist",
        ),
        (
            "mode",
            "False GetConfigurationFailed: config map NAMESPACE/mode: configurations[0].copyMode: \
             `everything` is none of localBlob, allResources",
        ),
        ("depth", done),
        (
            "moving",
            "False TransferInProgress: transferring component version 1.0.0: 0 of 1 component \
             versions are there",
        ),
        ("refused", &refused),
    ];
    world.say(world.api::<Replication>(), of, &all).await;
    let undigested = world
        .api::<Replication>()
        .get("undigested")
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(undigested.last_transferred_digest, None);
    assert_eq!(
        undigested.last_transferred_version.as_deref(),
        Some("1.0.0")
    );
    world.delete("replication", "held");
    let going = [(
        "held",
        "False DeletionFailed: replication is being deleted and still has existing finalizers",
    )];
    world.say(world.api::<Replication>(), of, &going).await;
    let ready = [("it", "True Succeeded: Applied version 1.0.0")];
    world
        .say(world.api::<Component>(), of_component, &ready)
        .await;
}
