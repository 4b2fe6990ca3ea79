//! The edges at which the algorithms differ. Ordinary descriptors are tested against data of the
//! Go implementations in `tests/`.

use serde_json::{Value, json};

use super::*;
use crate::json;

fn descriptor(component: &Value) -> Descriptor {
    let mut document = json!({
        "meta": {"schemaVersion": "v2"},
        "component": {
            "name": "acme.org/x", "version": "1.0.0", "provider": "acme",
            "resources": null, "sources": null, "componentReferences": null,
            "repositoryContexts": null,
        },
    });
    for (key, value) in component.as_object().unwrap() {
        document["component"][key] = value.clone();
    }
    Descriptor::from_document(document).unwrap()
}

#[track_caller]
fn check(component: &Value, algorithm: NormalisationAlgorithm, pointer: &str, expected: &Value) {
    let normalised = descriptor(component).normalise(algorithm);
    let value = json::parse(normalised.as_bytes()).unwrap();
    assert_eq!(value.pointer(pointer), Some(expected), "{value}");
}

use NormalisationAlgorithm::{JsonV1, JsonV2, JsonV3, JsonV4Alpha1};

#[test]
fn absent_lists_are_empty_lists() {
    let normalised = descriptor(&json!({})).normalise(JsonV4Alpha1);
    assert_eq!(
        String::from_utf8_lossy(normalised.as_bytes()),
        concat!(
            r#"{"component":{"componentReferences":[],"name":"acme.org/x","#,
            r#""provider":{"name":"acme"},"resources":[],"sources":[],"version":"1.0.0"}}"#
        )
    );
}

#[test]
fn null_in_a_label_is_dropped_from_objects_in_v4_only() {
    let component = json!({
        "labels": [{"name": "a", "signing": true, "value": {"x": null, "y": [null, {"z": null}]}}],
    });
    let pointer = "/component/labels/0/value";
    check(&component, JsonV4Alpha1, pointer, &json!({"y": [null, {}]}));
    check(
        &component,
        JsonV3,
        pointer,
        &json!({"x": null, "y": [null, {"z": null}]}),
    );
}

#[test]
fn the_version_of_a_label_is_covered_in_v3_and_lost_in_v4() {
    let component = json!({
        "labels": [{"name": "a", "signing": true, "value": 1, "version": "v1",
                    "merge": {"algorithm": "default"}}],
    });
    let pointer = "/component/labels/0";
    check(
        &component,
        JsonV4Alpha1,
        pointer,
        &json!({"name": "a", "signing": true, "value": 1}),
    );
    check(
        &component,
        JsonV3,
        pointer,
        &json!({"name": "a", "signing": true, "value": 1, "version": "v1"}),
    );
}

#[test]
fn all_labels_of_a_reference_are_covered() {
    let component = json!({
        "componentReferences": [{
            "name": "leaf", "componentName": "acme.org/leaf", "version": "1",
            "labels": [{"name": "a", "value": 1, "version": "v1", "merge": {"algorithm": "default"}}],
        }],
    });
    let pointer = "/component/componentReferences/0/labels/0";
    check(
        &component,
        JsonV4Alpha1,
        pointer,
        &json!({"name": "a", "value": 1}),
    );
    let whole =
        json!({"name": "a", "value": 1, "version": "v1", "merge": {"algorithm": "default"}});
    check(&component, JsonV3, pointer, &whole);
    let normalised = descriptor(&component).normalise(JsonV1);
    assert!(!String::from_utf8_lossy(normalised.as_bytes()).contains("labels"));
}

#[test]
fn an_absent_digest_of_a_reference_is_three_empty_texts_in_v4_only() {
    let reference = json!({"name": "leaf", "componentName": "acme.org/leaf", "version": "1"});
    let empty = json!({"hashAlgorithm": "", "normalisationAlgorithm": "", "value": ""});
    let component = json!({"componentReferences": [reference]});
    check(
        &component,
        JsonV4Alpha1,
        "/component/componentReferences/0/digest",
        &empty,
    );
    check(
        &component,
        JsonV3,
        "/component/componentReferences/0",
        &reference,
    );
}

#[test]
fn unknown_fields_are_not_covered() {
    let plain = json!({"resources": [{"name": "ab", "version": "1", "type": "t", "relation": "local",
        "access": {"type": "x"}}]});
    let mut extended = plain.clone();
    extended["resources"][0]["new"] = json!(1);
    extended["resources"][0]["srcRefs"] = json!([{"identitySelector": {"name": "code"}}]);
    extended["new"] = json!({"a": 1});
    for algorithm in NormalisationAlgorithm::ALL {
        assert_eq!(
            descriptor(&plain).normalise(algorithm),
            descriptor(&extended).normalise(algorithm)
        );
    }
}

#[test]
fn creation_times_are_rounded_to_utc_before_v4() {
    let component = json!({"creationTime": "2026-01-01T01:00:00.5+01:00"});
    check(
        &component,
        JsonV3,
        "/component/creationTime",
        &json!("2026-01-01T00:00:01Z"),
    );
    check(
        &component,
        JsonV4Alpha1,
        "/component/creationTime",
        &component["creationTime"],
    );
    let component = json!({"creationTime": "yesterday"});
    check(
        &component,
        JsonV3,
        "/component/creationTime",
        &json!("yesterday"),
    );
}

#[test]
fn sources_are_not_covered_by_v1() {
    let source = |version: &str| {
        descriptor(&json!({"sources": [
            {"name": "code", "version": version, "type": "git", "access": {"type": "git"}},
        ]}))
    };
    assert_eq!(source("1").normalise(JsonV1), source("2").normalise(JsonV1));
    for algorithm in [JsonV2, JsonV3, JsonV4Alpha1] {
        assert_ne!(
            source("1").normalise(algorithm),
            source("2").normalise(algorithm)
        );
    }
}

#[test]
fn three_resources_of_one_name_get_their_versions_but_for_the_last() {
    let resource = |version: &str| {
        json!({"name": "ab", "version": version, "type": "t", "relation": "local",
               "access": {"type": "x"}})
    };
    let component = json!({"resources": [resource("1"), resource("1"), resource("2")]});
    let value = json::parse(descriptor(&component).normalise(JsonV2).as_bytes()).unwrap();
    let identities: Vec<Option<&Value>> = (0..3)
        .map(|index| value["component"]["resources"][index].get("extraIdentity"))
        .collect();
    let one = json!({"version": "1"});
    assert_eq!(identities, [Some(&one), Some(&one), None]);
}

#[test]
fn candidates_are_the_forms_that_differ() {
    let plain = descriptor(&json!({}));
    for algorithm in NormalisationAlgorithm::ALL {
        assert_eq!(
            plain.normalise_candidates(algorithm),
            [plain.normalise(algorithm)]
        );
    }
    let labelled = descriptor(&json!({
        "labels": [{"name": "a", "signing": true, "value": {"x": null}, "version": "v1"}],
    }));
    let forms = |algorithm| -> Vec<String> {
        let candidates = labelled.normalise_candidates(algorithm);
        assert!(
            candidates
                .iter()
                .all(|candidate| candidate.algorithm() == algorithm)
        );
        candidates
            .iter()
            .map(|candidate| {
                let value = json::parse(candidate.as_bytes()).unwrap();
                value["component"]["labels"][0].to_string()
            })
            .collect()
    };
    let v4 = r#"{"name":"a","signing":true,"value":{}}"#;
    let versioned = r#"{"name":"a","signing":true,"value":{},"version":"v1"}"#;
    let v3 = r#"{"name":"a","signing":true,"value":{"x":null},"version":"v1"}"#;
    assert_eq!(forms(JsonV4Alpha1), [v4, versioned, v3]);
    assert_eq!(forms(JsonV3), [v3, v4, versioned]);
}

#[test]
fn what_a_signature_would_not_cover_is_named() {
    let digest = json!({"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "x", "value": "00"});
    let resource = |name: &str, access: Value, digest: &Value| {
        json!({"name": name, "version": "1", "type": "t", "relation": "local", "access": access,
               "digest": digest})
    };
    let component = json!({
        "resources": [
            resource("fine", json!({"type": "x"}), &digest),
            resource("none", json!({"type": "none"}), &Value::Null),
            resource("none2", json!({"type": "None"}), &Value::Null),
            resource("gap", json!({"type": "x"}), &Value::Null),
            resource("half", json!({"type": "x"}), &json!({"value": "00"})),
            resource("much", json!({"type": "none"}), &digest),
        ],
        "componentReferences": [
            {"name": "leaf", "componentName": "acme.org/leaf", "version": "1",
             "digest": {"hashAlgorithm": "", "normalisationAlgorithm": "", "value": ""}},
        ],
    });
    assert_eq!(
        descriptor(&component)
            .check_digestible()
            .unwrap_err()
            .to_string(),
        "a signature would not cover all content: resource `name=gap,version=1` has no digest, \
         resource `name=half,version=1` has no digest, \
         resource `name=much,version=1` has a digest but no content, \
         reference `name=leaf,version=1` has no digest"
    );
    assert!(descriptor(&json!({})).is_safely_digestible());
}

#[test]
fn algorithms_read_as_they_print() {
    for algorithm in NormalisationAlgorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    assert!(
        "jsonNormalisationV3"
            .parse::<NormalisationAlgorithm>()
            .is_err()
    );
}
