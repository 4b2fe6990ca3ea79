//! What a real API server makes of our definitions.

use ocm_testkit::eventually;

use crate::world::{cluster, text};

/// Applies a manifest and returns what the API server says against it.
fn refusal(manifest: &str) -> Option<String> {
    let arguments = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
    let output = cluster().kubectl_with(&arguments, manifest);
    (!output.status.success()).then(|| text(&output.stderr))
}

#[track_caller]
fn accepted(manifest: &str) {
    assert_eq!(refusal(manifest), None, "{manifest}");
}

#[track_caller]
fn refused(manifest: &str, because: &str) {
    let refusal = refusal(manifest).unwrap_or_else(|| panic!("accepted: {manifest}"));
    assert!(refusal.contains(because), "{refusal}");
}

fn object(kind: &str, spec: &str) -> String {
    let spec: Vec<_> = spec.lines().map(str::trim_end).collect();
    let spec = spec.join("\n  ");
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1\nkind: {kind}\nmetadata:\n  name: it\nspec:\n  {spec}\n"
    )
}

const COMPONENT: &str =
    "repositoryRef: {name: r}\ncomponent: acme.org/c\nsemver: '>=1.0.0'\ninterval: 10m\n";
const RESOURCE: &str =
    "componentRef: {name: c}\nresource: {byReference: {resource: {name: image}}}\n";

#[test]
fn fields_are_explained() {
    for (path, words) in [
        (
            "repository.spec.repositorySpec",
            "The repository specification",
        ),
        ("component.spec.semver", "A version, or a constraint"),
        ("resource.spec.additionalStatusFields", "expressions in CEL"),
        ("deployer.status.deployed", "All objects that are applied"),
        (
            "replication.spec.targetRepositoryRef",
            "The repository object to transfer to",
        ),
    ] {
        // The API server publishes texts a moment after the kind.
        let explanation = eventually(path, || {
            let output = cluster().kubectl(&["explain", path]);
            let success = output.status.success();
            success
                .then(|| text(&output.stdout))
                .ok_or_else(|| text(&output.stderr))
        });
        assert!(explanation.contains(words), "{explanation}");
    }
}

#[test]
fn entries_of_ocm_config_are_judged() {
    let with = |entry: &str| object("Component", &format!("{COMPONENT}ocmConfig:\n- {entry}"));
    accepted(&with("{kind: Secret, name: s}"));
    accepted(&with(
        "{apiVersion: v1, kind: ConfigMap, name: s, policy: DoNotPropagate}",
    ));
    accepted(&with(
        "{apiVersion: '', kind: Secret, name: s, namespace: other}",
    ));
    accepted(&with(
        "{apiVersion: delivery.ocm.software/v1alpha1, kind: Repository, name: r}",
    ));
    accepted(&with("{secretRef: {name: registry-credentials}}"));
    accepted(&with(
        "{configMapRef: {name: settings}, policy: DoNotPropagate}",
    ));

    let kinds = "apiVersion must be one of \"v1\" with kind \"Secret\"";
    refused(&with("{kind: Repository, name: r}"), kinds);
    refused(&with("{apiVersion: v1, kind: Pod, name: r}"), kinds);
    refused(
        &with("{apiVersion: delivery.ocm.software/v1alpha1, kind: Deployer, name: r}"),
        kinds,
    );
    let one = "state one of kind with name, secretRef, and configMapRef";
    refused(&with("{policy: Propagate}"), one);
    refused(&with("{kind: Secret}"), one);
    refused(&with("{name: s}"), one);
    refused(&with("{kind: Secret, name: s, secretRef: {name: s}}"), one);
    refused(
        &with("{secretRef: {name: s}, configMapRef: {name: s}}"),
        one,
    );
    refused(&with("{secretRef: {name: s}, namespace: other}"), one);
    refused(
        &with("{kind: Secret, name: s, policy: Sometimes}"),
        "Unsupported value",
    );
}

#[test]
fn what_a_component_cannot_do_is_said() {
    accepted(&object("Component", COMPONENT));
    refused(
        &object("Component", &format!("{COMPONENT}sign: {{signature: s}}")),
        "sign is not offered: sign the component version where it is made",
    );
    refused(
        &object("Component", &format!("{COMPONENT}downgradePolicy: Enforce")),
        "Unsupported value: \"Enforce\"",
    );
    refused(
        &object("Component", "component: acme.org/c"),
        "Required value",
    );
}

#[test]
fn earlier_shapes_of_a_resource_are_accepted() {
    accepted(&object("Resource", RESOURCE));
    accepted(&object(
        "Resource",
        &format!("{RESOURCE}interval: 10m\nskipVerify: true"),
    ));
    accepted(&object(
        "Resource",
        &RESOURCE.replace("{name: c}", "{name: c, namespace: default}"),
    ));
    accepted(&object(
        "Resource",
        &format!("{RESOURCE}additionalStatusFields: {{oci: {{tag: resource.version}}, a: '1'}}"),
    ));
    refused(
        &object("Resource", &format!("{RESOURCE}verificationPolicy: Often")),
        "Unsupported value",
    );
}

#[test]
fn a_repository_specification_is_any_json() {
    for specification in [
        "{type: OCIRegistry, baseUrl: 'localhost:5001'}",
        "text",
        "[1, 2]",
    ] {
        let spec = format!("repositorySpec: {specification}\ninterval: 1m");
        accepted(&object("Repository", &spec));
    }
}
