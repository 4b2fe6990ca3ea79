//! Constructor files that are refused, with the whole message.

use ocm_constructor::Constructor;

/// Returns the messages about a file.
fn message(text: &str) -> String {
    Constructor::parse(text, "c.yaml").unwrap_err().to_string()
}

/// Returns the messages about a resource in a file with nothing else wrong.
fn resource(fields: &str) -> String {
    message(&format!(
        "name: acme.org/x\nversion: 1.0.0\nprovider: acme.org\nresources:\n- name: data\n  type: blob\n{fields}"
    ))
}

#[test]
fn every_problem_of_a_file_is_told() {
    insta::assert_snapshot!(message(
        "components:
- name: acme.org/Shop
  version: 01.0
  provider: {labels: [{name: x}]}
  creationTime: yesterday
  labels:
  - {value: 1, signing: 'yes'}
  - {name: a, value: 1, version: '1', merge: {algo: x}}
  - {name: a, value: 2}
  resource: []
  sources: {}
  componentReferences:
  - {name: x, componentName: leaf, version: 1.0}
  resources:
  - name: Data
    type: ''
    extraIdentity: {name: x, A: b, os: 1}
    input: {path: x}
    options: {ownershipPolicy: Sometimes}
  - {name: both, type: blob, access: {type: a}, input: {type: b}}
"
    ), @r"
    c.yaml:2:9: components[0].name: component name `acme.org/Shop` has the part `Shop`, which is not a lower-case letter followed by lower-case letters, digits, `-`, `_` and `.`
    c.yaml:3:12: components[0].version: must be a text, not a number (put it in quotes)
    c.yaml:4:13: components[0].provider: `name` is missing
    c.yaml:4:23: components[0].provider.labels[0]: `value` is missing
    c.yaml:5:17: components[0].creationTime: `yesterday` is not a time such as `2026-01-31T12:00:00Z`
    c.yaml:7:5: components[0].labels[0]: `name` is missing
    c.yaml:7:25: components[0].labels[0].signing: must be a boolean, not a text
    c.yaml:8:34: components[0].labels[1].version: `1` is not the version of a label such as `v1`
    c.yaml:8:53: components[0].labels[1].merge.algo: is not a known field; known are `algorithm`, `config`
    c.yaml:10:13: components[0].resource: is not a known field; did you mean `resources`?
    c.yaml:11:12: components[0].sources: must be a list, not an object
    c.yaml:13:12: components[0].componentReferences[0].name: `x` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit
    c.yaml:13:30: components[0].componentReferences[0].componentName: component name `leaf` has no path after its domain, as in `acme.org/shop`
    c.yaml:13:45: components[0].componentReferences[0].version: must be a text, not a number (put it in quotes)
    c.yaml:15:11: components[0].resources[0].name: `Data` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit
    c.yaml:16:11: components[0].resources[0].type: `` is not a type such as `ociImage`
    c.yaml:17:27: components[0].resources[0].extraIdentity.name: must not be part of the extra identity
    c.yaml:17:33: components[0].resources[0].extraIdentity.A: `A` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit
    c.yaml:17:40: components[0].resources[0].extraIdentity.os: must be a text, not a number (put it in quotes)
    c.yaml:18:12: components[0].resources[0].input: `type` is missing
    and 2 more
    ");
}

#[test]
fn text_that_is_no_yaml_is_located() {
    insta::assert_snapshot!(message("components:\n- name: [a\n  version: 1"), @"c.yaml:3:10: illegal placement of ':' indicator");
    insta::assert_snapshot!(message("a: 1\n---\nb: 1\nb: 2\n"), @"c.yaml:4:1: duplicate mapping key: b");
}

#[test]
fn a_document_without_component_is_refused() {
    insta::assert_snapshot!(message(""), @"c.yaml:1:1: has no components");
    insta::assert_snapshot!(message("- name: acme.org/x"), @"c.yaml:1:1: must be an object, not a list");
    insta::assert_snapshot!(message("component: []"), @"c.yaml:1:1: has neither `components` nor the fields of one component");
    insta::assert_snapshot!(message("components: []"), @"c.yaml:1:1: has no components");
    insta::assert_snapshot!(message("components: [1]\nname: acme.org/x"), @r"
    c.yaml:1:14: components[0]: must be an object, not a number
    c.yaml:2:7: name: is not a known field; known are `components`
    ");
}

#[test]
fn missing_fields_are_reported_at_their_object() {
    insta::assert_snapshot!(message("components:\n- {name: acme.org/x}\n"), @r"
    c.yaml:2:3: components[0]: `version` is missing
    c.yaml:2:3: components[0]: `provider` is missing
    ");
    insta::assert_snapshot!(resource("  access: {imageReference: x}"), @"c.yaml:7:11: resources[0].access: `type` is missing");
    insta::assert_snapshot!(resource("  version: 1.0.0"), @"c.yaml:5:3: resources[0]: has neither `access` nor `input`");
    insta::assert_snapshot!(resource("  access: {type: x}"), @"c.yaml:5:3: resources[0]: `version` is missing");
}

#[test]
fn the_relation_of_an_input_is_local() {
    insta::assert_snapshot!(resource("  relation: external\n  input: {type: utf8, text: x}"), @"c.yaml:7:13: resources[0].relation: must be `local` for a resource with `input`");
    insta::assert_snapshot!(resource("  relation: Local\n  input: {type: utf8, text: x}"), @"c.yaml:7:13: resources[0].relation: must be `local` or `external`, not `Local`");
}

#[test]
fn a_digest_has_all_of_its_fields() {
    insta::assert_snapshot!(
        resource("  version: 1.0.0\n  access: {type: x}\n  digest: {hashAlgorithm: SHA-256, value: ''}"),
        @r"
    c.yaml:9:11: resources[0].digest: `normalisationAlgorithm` is missing
    c.yaml:9:43: resources[0].digest.value: must not be empty
    "
    );
}

#[test]
fn unknown_fields_are_refused_with_what_was_meant() {
    insta::assert_snapshot!(resource("  Input: {type: utf8}\n  input: {type: utf8}\n  srcref: []"), @r"
    c.yaml:7:10: resources[0].Input: is not a known field; did you mean `input`?
    c.yaml:9:11: resources[0].srcref: is not a known field; did you mean `srcRef`?
    ");
}

#[test]
fn numbers_where_text_is_needed_ask_for_quotes() {
    insta::assert_snapshot!(message("name: acme.org/x\nversion: 1.0\nprovider: acme.org"), @"c.yaml:2:10: version: must be a text, not a number (put it in quotes)");
}

#[test]
fn identities_are_unique_in_their_list() {
    insta::assert_snapshot!(message(
        "name: acme.org/x
version: 1.0.0
provider: acme.org
resources:
- {name: data, type: blob, extraIdentity: {os: linux}, input: {type: utf8, text: x}}
- {name: data, type: blob, input: {type: utf8, text: x}}
- {name: data, type: blob, version: 2.0.0, extraIdentity: {os: linux}, input: {type: utf8, text: x}}
- {name: data, type: blob, extraIdentity: {os: linux}, input: {type: utf8, text: x}}
"
    ), @"c.yaml:8:3: resources[3]: has the identity `name=data,os=linux,version=1.0.0` of resources[0]");
}

#[test]
fn a_component_version_is_given_once() {
    insta::assert_snapshot!(message(
        "components:
- {name: acme.org/x, version: 1.0.0, provider: a}
- {name: acme.org/x, version: 1.0.0, provider: b}
"
    ), @"c.yaml:3:3: components[1]: acme.org/x:1.0.0 was already given at line 2, column 3");
}
