//! What a real API server makes of our definitions.

use std::collections::BTreeSet;

use ocm_testkit::eventually;
use serde_json::Value;

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

const KINDS: [&str; 5] = [
    "Component",
    "Deployer",
    "Replication",
    "Repository",
    "Resource",
];

/// The schemas that the API server publishes for kinds, which is what `kubectl explain` reads.
fn explained() -> Value {
    let path = "/openapi/v3/apis/delivery.ocm.software/v1alpha1";
    // It publishes them a moment after the kinds.
    eventually(path, || {
        let output = cluster().kubectl(&["get", "--raw", path]);
        let document: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{error}: {}", text(&output.stderr)))?;
        let schemas = &document["components"]["schemas"];
        let missing = KINDS.iter().find(|kind| schemas[name_of(kind)].is_null());
        missing.map_or(Ok(schemas.clone()), |kind| Err(format!("no {kind}")))
    })
}

fn name_of(kind: &str) -> String {
    format!("software.ocm.delivery.v1alpha1.{kind}")
}

/// What is said of each field below a schema, by its path.
fn descriptions(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let description = field["description"].as_str().unwrap_or_default();
        found.push((path.clone(), description.to_owned()));
        for inner in [field, &field["items"], &field["additionalProperties"]] {
            descriptions(inner, &path, found);
        }
    }
}

#[test]
fn every_field_is_explained_in_words_of_ours() {
    let theirs: BTreeSet<_> = crate::definitions::published()
        .into_values()
        .flat_map(|it| {
            let mut found = Vec::new();
            let version = &it["spec"]["versions"][0];
            descriptions(&version["schema"]["openAPIV3Schema"], "", &mut found);
            found.into_iter().flat_map(|(_, text)| sentences(&text))
        })
        .collect();
    assert!(theirs.len() > 50, "{theirs:?}");
    let schemas = explained();
    for kind in KINDS {
        let schema = &schemas[name_of(kind)];
        assert!(
            !schema["description"].as_str().unwrap().is_empty(),
            "{kind}"
        );
        let mut found = Vec::new();
        for part in ["spec", "status"] {
            descriptions(
                &schema["properties"][part],
                &format!("{kind}.{part}"),
                &mut found,
            );
        }
        assert!(found.len() > 5, "{kind}: {found:?}");
        for (path, description) in found {
            assert!(!description.is_empty(), "{path} is not explained");
            for sentence in sentences(&description) {
                assert!(!theirs.contains(&sentence), "{path}: {sentence}");
            }
        }
        for part in ["spec", "status"] {
            let path = format!("{}.{part}", kind.to_lowercase());
            let output = cluster().kubectl(&["explain", &path]);
            let explanation = text(&output.stdout);
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert!(!explanation.contains("<no description>"), "{explanation}");
            let fields = schema["properties"][part]["properties"].as_object();
            for name in fields.unwrap().keys() {
                assert!(
                    explanation.contains(&format!("  {name}\t<")),
                    "{explanation}"
                );
            }
        }
    }
}

/// The sentences of a text that are long enough to be somebody's.
fn sentences(text: &str) -> Vec<String> {
    let text: Vec<_> = text.split_whitespace().collect();
    let text = text.join(" ");
    let sentences = text.split(". ").map(|it| it.trim_end_matches('.'));
    let long = sentences.filter(|it| it.split(' ').count() > 3);
    long.map(str::to_owned).collect()
}

#[test]
fn objects_of_every_kind_are_judged() {
    for (kind, good) in [
        ("Component", COMPONENT),
        ("Deployer", "resourceRef: {name: r, namespace: other}"),
        (
            "Replication",
            "componentRef: {name: c}\ntargetRepositoryRef: {name: r}",
        ),
        ("Repository", "repositorySpec: {type: a}\ninterval: 1m"),
        ("Resource", RESOURCE),
    ] {
        accepted(&object(kind, good));
        let lines: Vec<_> = good.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let mut without = lines.clone();
            without.remove(index);
            let without = match without.join("\n") {
                nothing if nothing.is_empty() => "suspend: false".to_owned(),
                rest => rest,
            };
            let field = line.split_once(':').unwrap().0;
            let required = format!("spec.{field}: Required value");
            refused(&object(kind, &without), &required);
        }
        refused(
            &object(kind, &format!("{}\nsuspend: 'yes'", good.trim_end())),
            "spec.suspend",
        );
        refused(
            &object(kind, &format!("{}\nsuspended: true", good.trim_end())),
            "suspended",
        );
    }
    let deployer = object("Deployer", "resourceRef: {name: r, namespace: other}");
    // It is in no namespace, whatever its manifest says.
    accepted(&deployer.replace("name: it", "name: it\n  namespace: default"));
    refused(
        &object("Deployer", "resourceRef: {namespace: other}"),
        "Required value",
    );
    let verify = |entry: &str| object("Component", &format!("{COMPONENT}verify: [{entry}]"));
    accepted(&verify(
        "{signature: s, secretRef: {name: k}}, {signature: t, value: a}",
    ));
    refused(
        &verify("{secretRef: {name: k}}"),
        "verify[0].signature: Required value",
    );
    let path = |path: &str| {
        let reference = format!("{{resource: {{name: a}}, referencePath: {path}}}");
        object(
            "Resource",
            &format!("componentRef: {{name: c}}\nresource: {{byReference: {reference}}}"),
        )
    };
    accepted(&path("[{name: a, os: linux}]"));
    refused(&path("[{name: 1}]"), "referencePath[0].name");
    refused(&path("[a]"), "referencePath[0]");
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
