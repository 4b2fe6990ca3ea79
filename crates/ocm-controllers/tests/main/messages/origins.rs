//! Repositories and components.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_controllers::api::{Component, Repository};
use ocm_testkit::{Fault, Registry};

use super::{World, ready};
use crate::running::{of_component, of_repository};
use crate::world::{COMPONENT, descriptor, key, public, publish, signed};

/// A repository object.
fn repository(name: &str, spec: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: {name}}}
spec: {{repositorySpec: {spec}, interval: 1h{more}}}
---
"
    )
}

const HERE: &str = "{type: OCIRegistry, baseUrl: 'http://REGISTRY'}";

fn component(name: &str, semver: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec: {{repositoryRef: {{name: shop}}, component: {COMPONENT}, semver: '{semver}', interval: 1h{more}}}
---
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_says_why_it_cannot_be_used() {
    let world = World::new().await;
    let slow = Registry::start();
    slow.fail(1000, "GET", "", Fault::HoldUntilHealed);
    slow.fail(1000, "HEAD", "", Fault::HoldUntilHealed);
    let slow_spec = format!("{{type: OCIRegistry, baseUrl: 'http://{}'}}", slow.host());
    let closed = Registry::with_password("user", "secret");
    let closed_spec = format!("{{type: OCIRegistry, baseUrl: 'http://{}'}}", closed.host());
    let held = repository("held", HERE, "")
        .replace("{name: held}", "{name: held, finalizers: [acme.org/held]}");
    let of_kind = |kind: &str, name: &str| {
        format!(
            ", ocmConfig: [{{apiVersion: delivery.ocm.software/v1alpha1, kind: {kind}, name: {name}}}]"
        )
    };
    let objects = [
        repository("ready", HERE, ""),
        repository("interval", HERE, "").replace("interval: 1h", "interval: often"),
        repository("unsupported", HERE, &of_kind("Replication", "x")),
        repository("unknown", HERE, &of_kind("Component", "none")),
        repository("secret", HERE, ", ocmConfig: [{kind: Secret, name: none}]"),
        repository("empty", HERE, ", ocmConfig: [{kind: Secret, name: empty}]"),
        repository("untyped", "{baseUrl: 'http://REGISTRY'}", ""),
        repository("strange", "{type: Telepathy/v1}", ""),
        repository(
            "archive",
            "{type: CommonTransportFormat/v1, filePath: /etc}",
            "",
        ),
        repository("closed", &closed_spec, ""),
        repository(
            "away",
            "{type: OCIRegistry, baseUrl: 'http://127.0.0.1:1'}",
            "",
        ),
        repository("slow", &slow_spec, ""),
        repository("shop", HERE, ""),
        held,
        component("child", "1.0.0", ""),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: empty}\nstringData: {other: x}\n"
            .to_owned(),
    ];
    world.apply(&objects.concat());
    let all = [
        (
            "ready",
            "True Succeeded: Successfully reconciled OCM repository",
        ),
        (
            "shop",
            "True Succeeded: Successfully reconciled OCM repository",
        ),
        (
            "held",
            "True Succeeded: Successfully reconciled OCM repository",
        ),
        (
            "interval",
            "False InvalidSpecification: `often` is not a duration such as 30s or 1m30s",
        ),
        (
            "unsupported",
            "False GetConfigurationFailed: unsupported reference kind: Replication",
        ),
        (
            "unknown",
            "False GetConfigurationFailed: Component NAMESPACE/none has no effective configuration yet",
        ),
        (
            "secret",
            "False GetRepositoryFailed: secret NAMESPACE/none does not exist",
        ),
        (
            "empty",
            "False GetRepositoryFailed: secret NAMESPACE/empty has neither .ocmconfig nor, as a \
             secret, .dockerconfigjson",
        ),
        (
            "untyped",
            "False GetRepositoryFailed: field `type` of a typed specification is missing",
        ),
        (
            "strange",
            r#"False GetRepositoryFailed: health check failed: cannot use repository {"type":"Telepathy/v1"}: repository `{"type":"Telepathy/v1"}` is of a type that is not supported"#,
        ),
        (
            "archive",
            "False GetRepositoryFailed: health check failed: there is no archive /etc below the \
             directory for archives",
        ),
        (
            "closed",
            "True Succeeded: Successfully reconciled OCM repository",
        ),
        (
            "away",
            "False GetRepositoryFailed: health check failed: cannot use repository http://127.0.0.1:1: \
             cannot look for ocm.software/probe:0.0.0: \
             127.0.0.1:1/component-descriptors/ocm.software/probe:0.0.0: cannot connect: Connection \
             refused (os error 111)",
        ),
        (
            "slow",
            "False ResolutionInProgress: component version resolution in progress",
        ),
    ];
    world
        .say(world.api::<Repository>(), of_repository, &all)
        .await;
    world.delete("repository", "shop");
    world.delete("repository", "held");
    let going = [
        (
            "shop",
            "False DeletionFailed: OCM repository cannot be removed as components are still \
             referencing it: NAMESPACE/child",
        ),
        (
            "held",
            "False DeletionFailed: OCM repository is being deleted and still has existing finalizers",
        ),
    ];
    world
        .say(world.api::<Repository>(), of_repository, &going)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_says_why_no_version_is_taken() {
    let world = World::new().await;
    let (ours, theirs) = (key(), key());
    let descriptors = [
        descriptor("1.0.0"),
        descriptor("1.1.0"),
        signed(descriptor("3.0.0"), "acme", &ours).await,
    ];
    publish(&world.registry, &descriptors).await;
    let slow = Registry::start();
    publish(&slow, &[descriptor("1.0.0")]).await;
    slow.fail(1000, "GET", "manifests", Fault::HoldUntilHealed);
    let slow_spec = format!("{{type: OCIRegistry, baseUrl: 'http://{}'}}", slow.host());
    let verify = |more: &str| format!(", verify: [{{signature: acme{more}}}]");
    let wrong = STANDARD.encode(public(&theirs));
    let of = |name: &str, repository: &str| {
        component(name, "1.0.0", "").replace("{name: shop}", &format!("{{name: {repository}}}"))
    };
    let held = component("held", "1.0.0", "")
        .replace("{name: held}", "{name: held, finalizers: [acme.org/held]}");
    let objects = [
        repository("shop", HERE, ""),
        repository("slow", &slow_spec, ""),
        repository("strange", "{baseUrl: 'http://REGISTRY'}", ", suspend: true"),
        component("ready", "~1.0", ""),
        component("lower", "1.1.0", ""),
        component("parent", "1.0.0", ""),
        held,
        component("interval", "1.0.0", "").replace("interval: 1h", "interval: often"),
        of("alone", "none"),
        of("strange", "strange"),
        of("slow", "slow"),
        component(
            "unsupported",
            "1.0.0",
            ", ocmConfig: [{apiVersion: delivery.ocm.software/v1alpha1, kind: Replication, name: x}]",
        ),
        component(
            "secret",
            "1.0.0",
            ", ocmConfig: [{kind: Secret, name: none}]",
        ),
        component("name", "1.0.0", "").replace(COMPONENT, "Shop"),
        component("constraint", "newest", ""),
        component("filter", "^1", ", semverFilter: '('"),
        component("none", "^7", ""),
        component("missing", "7.0.0", ""),
        component("neither", "3.0.0", &verify("")),
        component(
            "both",
            "3.0.0",
            &verify(", value: a2V5, secretRef: {name: keys}"),
        ),
        component("encoded", "3.0.0", &verify(", value: '?'")),
        component("nokey", "3.0.0", &verify(", secretRef: {name: none}")),
        component("unnamed", "3.0.0", &verify(", secretRef: {name: keys}")),
        component(
            "nosignature",
            "1.0.0",
            &verify(&format!(", value: {wrong}")),
        ),
        component("forged", "3.0.0", &verify(&format!(", value: {wrong}"))),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {one: '1', two: '2'}\n---\n"
            .to_owned(),
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata: {name: child}
spec: {componentRef: {name: parent}, resource: {byReference: {resource: {name: x}}}}
"
        .to_owned(),
    ];
    world.apply(&objects.concat());
    world.write_status("repository", "strange", &ready(""));
    let all = [
        ("ready", "True Succeeded: Applied version 1.0.0"),
        ("lower", "True Succeeded: Applied version 1.1.0"),
        ("parent", "True Succeeded: Applied version 1.0.0"),
        ("held", "True Succeeded: Applied version 1.0.0"),
        (
            "interval",
            "False InvalidSpecification: `often` is not a duration such as 30s or 1m30s",
        ),
        (
            "alone",
            "False GetResourceFailed: OCM Repository is not ready",
        ),
        (
            "strange",
            "False GetRepositoryFailed: field `type` of a typed specification is missing",
        ),
        (
            "slow",
            "False ResolutionInProgress: component version resolution in progress",
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
            "name",
            "False GetComponentVersionFailed: component name `Shop` has no path after its domain, as in `acme.org/shop`",
        ),
        (
            "constraint",
            "False CheckVersionFailed: cannot read constraint `newest`: `newest` is not a version constraint such as `>=1.2, <2` or `~1.4 || ^3`",
        ),
        (
            "filter",
            "False CheckVersionFailed: failed to parse regexp filter `(`: regex parse error: ( ^ error: unclosed group",
        ),
        (
            "none",
            "False CheckVersionFailed: no valid versions found for constraint ^7",
        ),
        (
            "missing",
            "False GetComponentVersionFailed: failed to get component version acme.org/shop:7.0.0: component version acme.org/shop:7.0.0 not found in http://REGISTRY",
        ),
        (
            "neither",
            "False GetComponentVersionFailed: value and secret ref cannot both be empty for signature: acme",
        ),
        (
            "both",
            "False GetComponentVersionFailed: value and secret ref cannot both be set for signature: acme",
        ),
        (
            "encoded",
            "False GetComponentVersionFailed: failed to decode public key value for signature \"acme\": Invalid symbol 63, offset 0.",
        ),
        (
            "nokey",
            "False GetComponentVersionFailed: secret \"none\" does not exist",
        ),
        (
            "unnamed",
            "False GetComponentVersionFailed: secret \"keys\" does not contain key \"acme\" for signature verification",
        ),
        (
            "nosignature",
            "False GetComponentVersionFailed: signature acme not found in component acme.org/shop:1.0.0",
        ),
        (
            "forged",
            "False GetComponentVersionFailed: signature verification failed for signature acme: signature `acme` is not valid: the signature does not match the public key",
        ),
    ];
    world
        .say(world.api::<Component>(), of_component, &all)
        .await;
    world.apply(&component("lower", "1.0.0", ""));
    world.delete("component", "parent");
    world.delete("component", "held");
    let later = [
        (
            "lower",
            "False CheckVersionFailed: component version cannot be downgraded from version 1.1.0 to \
             version 1.0.0",
        ),
        (
            "parent",
            "False DeletionFailed: component cannot be removed as resources are still referencing \
             it: NAMESPACE/child",
        ),
        (
            "held",
            "False DeletionFailed: component is being deleted and still has existing finalizers",
        ),
    ];
    world
        .say(world.api::<Component>(), of_component, &later)
        .await;
}
