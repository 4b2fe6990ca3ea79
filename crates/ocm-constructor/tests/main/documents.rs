//! Constructor files that are accepted.

use ocm_constructor::Constructor;
use ocm_constructor::constructor::OwnershipPolicy;
use ocm_constructor::template::{Undefined, Variables, expand};
use ocm_model::Relation;
use serde_json::json;

use crate::fake::constructor;

#[test]
fn defaults_are_those_of_the_specification() {
    let read = constructor(
        "name: acme.org/x
version: v1.2
provider: {name: acme.org}
resources:
- {name: made, type: blob, input: {type: utf8, text: x}}
- {name: found, type: blob, version: 2.0.0, access: {type: wget, url: 'http://x'}}
sources:
- {name: code, type: git, access: {type: gitHub, repoUrl: x}}
",
    );
    let component = &read.components[0];
    let resource = |index: usize| &component.resources[index].element;
    assert_eq!(resource(0).version.as_str(), "v1.2");
    assert_eq!(resource(0).relation, Some(Relation::Local));
    assert_eq!(resource(1).relation, Some(Relation::External));
    assert_eq!(component.sources[0].element.version.as_str(), "v1.2");
    assert!(component.resources[0].input.is_some());
    assert_eq!(component.creation_time, None);
}

#[test]
fn a_list_a_single_component_and_several_documents_are_read() {
    let read = constructor(
        "components:
- {name: acme.org/a, version: 1.0.0, provider: {name: x}}
- {name: acme.org/b, version: 1.0.0, provider: {name: x}}
---
# one alone
name: acme.org/c
version: 1.0.0
provider: {name: x}
---
",
    );
    let ids: Vec<String> = read.components.iter().map(|c| c.id.to_string()).collect();
    assert_eq!(
        ids,
        ["acme.org/a:1.0.0", "acme.org/b:1.0.0", "acme.org/c:1.0.0"]
    );
    assert_eq!(read.components[2].place.to_string(), "c.yaml:6:1");
}

#[test]
fn labels_have_any_value_and_nothing_of_them_is_lost() {
    let read = constructor(
        "name: acme.org/x
version: 1.0.0
provider: {name: acme.org, labels: [{name: p, value: 1}]}
labels:
- {name: a, value: [1, {b: null}], signing: true, version: v2, merge: {algorithm: default, config: {x: 1}}}
- {name: b, value: false}
- {name: c, value: ~}
componentReferences:
- name: leaf
  componentName: acme.org/leaf
  version: 1.0.0
  extraIdentity: {os: linux}
  labels: [{name: r, value: ''}]
  digest: {hashAlgorithm: SHA-256, normalisationAlgorithm: jsonNormalisation/v4alpha1, value: ab}
resources:
- name: image
  type: landscaper.gardener.cloud/blueprint
  srcRefs: [{identitySelector: {name: code}, labels: [{name: s, value: x}]}]
  input: {type: utf8, text: x}
  options: {ownershipPolicy: Always}
",
    );
    let component = &read.components[0];
    assert_eq!(
        serde_json::to_value(&component.labels).unwrap(),
        json!([
            {"name": "a", "value": [1, {"b": null}], "signing": true, "version": "v2",
             "merge": {"algorithm": "default", "config": {"x": 1}}},
            {"name": "b", "value": false},
            {"name": "c", "value": null},
        ])
    );
    assert_eq!(component.provider.labels.len(), 1);
    assert_eq!(
        serde_json::to_value(&component.references[0].element).unwrap(),
        json!({"name": "leaf", "componentName": "acme.org/leaf", "version": "1.0.0",
               "extraIdentity": {"os": "linux"}, "labels": [{"name": "r", "value": ""}],
               "digest": {"hashAlgorithm": "SHA-256", "value": "ab",
                          "normalisationAlgorithm": "jsonNormalisation/v4alpha1"}})
    );
    assert_eq!(component.resources[0].ownership, OwnershipPolicy::Always);
    assert_eq!(component.resources[0].element.src_refs.len(), 1);
}

#[test]
fn what_older_files_have_is_accepted_with_a_warning() {
    let read = constructor(
        "name: acme.org/x
version: 1.0.0
provider: {name: acme.org, url: https://acme.org}
resources:
- {name: data, type: blob, srcRef: [{identitySelector: {name: code}}], input: {type: utf8, text: x}}
signatures: [{name: x}]
",
    );
    let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "c.yaml:3:33: provider.url: is ignored; a provider has a `name` and `labels`",
            "c.yaml:5:36: resources[0].srcRef: is an old name for `srcRefs`",
            "c.yaml:6:13: signatures: is ignored; component versions are signed after they are made",
        ]
    );
    assert_eq!(read.components[0].resources[0].element.src_refs.len(), 1);
}

#[test]
fn places_are_those_before_variables_were_replaced() {
    let text = "name: acme.org/x\nversion: $VERSION # $LONG\nprovider: 1\n";
    let variables =
        Variables::new().with_environment([("VERSION", "1.0.0"), ("LONG", "a\n# b\n# c")]);
    let text = expand(text, &variables, Undefined::Refuse).unwrap();
    let error = Constructor::read(&text, "c.yaml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "c.yaml:3:11: provider: must be an object or a text, not a number"
    );
}

#[test]
fn spellings_of_the_first_go_tool_are_read() {
    let read = constructor(
        "name: acme.org/x
version: 1.0.0
provider: acme.org
meta: {configuredSchemaVersion: ocm.software/v3alpha1}
references:
- {name: leaf, componentName: acme.org/leaf, version: 1.0.0}
resources:
- name: made
  type: blob
  srcRef: [{identitySelector: {name: code}}]
  options: {skipDigestGeneration: true}
  input: {type: utf8, text: x}
",
    );
    let component = &read.components[0];
    assert_eq!(component.references[0].element.name, "leaf");
    assert!(component.resources[0].skips_digest);
    let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "c.yaml:4:33: meta.configuredSchemaVersion: is ignored; component descriptors are \
             written by the schema `v2`",
            "c.yaml:10:11: resources[0].srcRef: is an old name for `srcRefs`",
        ]
    );
}

#[test]
fn a_version_from_outside_is_that_of_components_without_one() {
    let text = "components:
- {name: acme.org/a, provider: x}
- {name: acme.org/b, version: 2.0.0, provider: x}
";
    let version = "1.0.0".parse().unwrap();
    let text = ocm_constructor::template::Expanded::verbatim(text);
    let read = Constructor::read_with(&text, "c.yaml", Some(&version)).unwrap();
    let ids: Vec<String> = read.components.iter().map(|c| c.id.to_string()).collect();
    assert_eq!(ids, ["acme.org/a:1.0.0", "acme.org/b:2.0.0"]);
    assert!(Constructor::read(&text, "c.yaml").is_err());
}
