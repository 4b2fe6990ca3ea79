use serde_json::json;

use super::*;
use crate::access::{Access, LocalBlob};
use crate::digest_spec::DigestSpec;
use crate::element::Relation;
use crate::identity::Identity;
use crate::signature::SignatureInfo;

fn sample() -> Value {
    json!({
        "meta": {"schemaVersion": "v2", "configured": true},
        "component": {
            "name": "acme.org/notes", "version": "1.0.0", "provider": "acme.org",
            "labels": [{"name": "a", "value": {"x": null}, "version": "v1", "merge": {"algorithm": "default"}}],
            "repositoryContexts": [],
            "resources": [
                {"name": "image", "version": "1.0.0", "type": "ociImage", "relation": "external",
                 "extraIdentity": {"os": "linux"},
                 "access": {"type": "ociRegistry", "imageReference": "a/b:c", "odd": null}, "new": 1},
                {"name": "image", "version": "1.0.0", "type": "ociImage", "relation": "external",
                 "extraIdentity": {"os": "darwin"}, "srcRef": [{"identitySelector": {"name": "code"}}],
                 "access": {"type": "none"}},
            ],
            "sources": null,
            "componentReferences": [
                {"name": "leaf", "componentName": "acme.org/leaf", "version": "2.0.0",
                 "digest": {"hashAlgorithm": "", "normalisationAlgorithm": "", "value": ""}},
            ],
            "unknown": {"b": 1, "a": 2},
        },
        "signatures": [
            {"name": "one", "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "x", "value": "00"},
             "signature": {"algorithm": "RSASSA-PSS", "value": "ff", "mediaType": "m"},
             "timestamp": {"value": "PEM", "time": "2026-01-01T00:00:00Z"}},
        ],
        "nestedDigests": [{"name": "acme.org/leaf", "version": "2.0.0", "resourceDigests": null}],
    })
}

fn descriptor() -> Descriptor {
    Descriptor::from_document(sample()).unwrap()
}

#[track_caller]
fn refused(document: Value, path: &str, message: &str) {
    let Error::Shape(violation) = Descriptor::from_document(document).unwrap_err() else {
        panic!("not refused for its shape");
    };
    assert_eq!(
        (violation.path.as_str(), violation.message.as_str()),
        (path, message)
    );
}

#[test]
fn what_is_read_is_written() {
    let bytes = descriptor().write_json();
    assert_eq!(json::parse(&bytes).unwrap(), sample());
    assert_eq!(Descriptor::read_json(&bytes).unwrap(), descriptor());
    assert_eq!(
        Descriptor::read_yaml(&descriptor().write_yaml()).unwrap(),
        descriptor()
    );
}

#[test]
fn views_show_what_is_written() {
    let descriptor = descriptor();
    assert_eq!(descriptor.id().to_string(), "acme.org/notes:1.0.0");
    assert_eq!(descriptor.provider(), Provider::new("acme.org"));
    assert_eq!(
        descriptor.label("a").unwrap().version.as_deref(),
        Some("v1")
    );
    assert_eq!(descriptor.resources()[1].src_refs.len(), 1);
    assert_eq!(descriptor.references()[0].digest, None);
    assert!(descriptor.sources().is_empty());
    assert_eq!(
        descriptor
            .signature("one")
            .unwrap()
            .timestamp
            .unwrap()
            .value,
        "PEM"
    );
    assert_eq!(descriptor.nested_digests()[0].name, "acme.org/leaf");
}

#[test]
fn a_change_touches_only_its_place() {
    let mut descriptor = descriptor();
    let access = Access::oci_artifact("ghcr.io/acme/b:c");
    descriptor.set_resource_access(0, access.clone()).unwrap();
    let mut expected = sample();
    expected["component"]["resources"][0]["access"] = access.into_json();
    assert_eq!(descriptor.to_document(), expected);
    let digest = DigestSpec::excluded();
    descriptor.set_reference_digest(0, &digest).unwrap();
    expected["component"]["componentReferences"][0]["digest"] = json!(digest);
    assert_eq!(descriptor.to_document(), expected);
    descriptor
        .set_element_labels(ElementKind::Resource, 1, &[Label::new("b", 1)])
        .unwrap();
    expected["component"]["resources"][1]["labels"] = json!([{"name": "b", "value": 1}]);
    assert_eq!(descriptor.to_document(), expected);
    assert_eq!(
        descriptor
            .set_resource_digest(2, &digest)
            .unwrap_err()
            .to_string(),
        "there is no resource 2"
    );
}

#[test]
fn signatures_are_unique_by_name() {
    let mut descriptor = descriptor();
    let mut signature = descriptor.signature("one").unwrap();
    assert_eq!(
        descriptor
            .add_signature(&signature)
            .unwrap_err()
            .to_string(),
        "component version already has a signature `one`"
    );
    signature.signature = SignatureInfo::default();
    let old = descriptor.replace_signature(&signature).unwrap();
    assert_eq!(old.signature.value, "ff");
    assert_eq!(descriptor.remove_signature("one"), Some(signature.clone()));
    assert_eq!(descriptor.remove_signature("one"), None);
    assert!(!descriptor.as_document().contains_key("signatures"));
    descriptor.add_signature(&signature).unwrap();
    assert_eq!(descriptor.signatures(), [signature]);
}

#[test]
fn a_new_descriptor_is_as_go_writes_it() {
    let provider = Provider::new("acme.org");
    let mut descriptor = Descriptor::new(
        "acme.org/x".parse().unwrap(),
        "1.0.0".parse().unwrap(),
        &provider,
    );
    assert_eq!(
        String::from_utf8(descriptor.write_json()).unwrap(),
        concat!(
            r#"{"component":{"componentReferences":null,"name":"acme.org/x","provider":"acme.org","#,
            r#""repositoryContexts":null,"resources":null,"sources":null,"version":"1.0.0"},"#,
            r#""meta":{"schemaVersion":"v2"}}"#
        )
    );
    let blob = LocalBlob::new(&ocm_digest::Digest::sha256(b"x"), "text/plain");
    let access = Access::local_blob(&blob);
    let version = descriptor.version().clone();
    let resource = Resource::new("data", version, "blob", Relation::Local, access);
    descriptor.push_resource(&resource);
    assert_eq!(descriptor.resources(), [resource]);
    assert_eq!(descriptor.validate(), []);
    assert_eq!(
        Descriptor::read_json(&descriptor.write_json()).unwrap(),
        descriptor
    );
}

#[test]
fn v3alpha1_is_read_and_keeps_its_layout() {
    let document = json!({
        "apiVersion": "ocm.software/v3alpha1",
        "kind": "ComponentVersion",
        "metadata": {
            "name": "acme.org/x", "version": "1.0.0",
            "provider": {"name": "acme.org", "labels": [{"name": "a", "value": 1}]},
        },
        "repositoryContexts": [{"type": "OCIRegistry", "baseUrl": "ghcr.io"}],
        "spec": {"references": [
            {"name": "leaf", "componentName": "acme.org/leaf", "version": "2.0.0"},
        ]},
    });
    let mut descriptor = Descriptor::from_document(document.clone()).unwrap();
    assert_eq!(descriptor.schema(), Schema::V3Alpha1);
    assert_eq!(descriptor.provider().labels.len(), 1);
    assert_eq!(
        descriptor.references()[0].component().to_string(),
        "acme.org/leaf:2.0.0"
    );
    assert_eq!(
        descriptor.repository_contexts()[0].type_text(),
        "OCIRegistry"
    );
    assert_eq!(descriptor.to_document(), document);
    descriptor.push_source(&Source::new(
        "code",
        "1.0.0".parse().unwrap(),
        "git",
        Access::oci_artifact("x"),
    ));
    assert_eq!(
        descriptor.as_document()["spec"]["sources"][0]["name"],
        "code"
    );
}

#[test]
fn the_wrong_shape_is_refused_with_its_path() {
    let with = |pointer: &str, value: Value| {
        let mut document = sample();
        *document.pointer_mut(pointer).unwrap() = value;
        document
    };
    refused(json!([]), "(root)", "must be an object, not a list");
    refused(json!({}), "meta.schemaVersion", "is missing");
    refused(with("/component", json!(null)), "component", "is missing");
    refused(
        with("/component", json!("x")),
        "component",
        "must be an object, not a text",
    );
    refused(
        with("/component/version", json!(1.0)),
        "component.version",
        "must be a text, not a number",
    );
    refused(
        with("/component/name", json!("x")),
        "component.name",
        "component name `x` has no path after its domain, as in `acme.org/shop`",
    );
    refused(
        with("/component/provider", json!({"name": "x"})),
        "component.provider",
        "must be a text, not an object",
    );
    refused(
        with("/component/resources/1/extraIdentity/os", json!(null)),
        "component.resources[1].extraIdentity.os",
        "must be a text, not null",
    );
    refused(
        with(
            "/component/resources/0/access",
            json!({"imageReference": "x"}),
        ),
        "component.resources[0].access.type",
        "is missing",
    );
    refused(
        with("/component/resources/0", json!(null)),
        "component.resources[0]",
        "must be an object, not null",
    );
    refused(
        with("/signatures/0/digest", json!([])),
        "signatures[0].digest",
        "must be an object, not a list",
    );
}

#[test]
fn an_unknown_schema_is_named() {
    for document in [
        json!({"meta": {"schemaVersion": "v9"}, "component": {}}),
        json!({"apiVersion": "ocm.software/v9", "kind": "ComponentVersion"}),
    ] {
        let error = Descriptor::from_document(document).unwrap_err();
        assert!(matches!(error, Error::UnknownSchema { .. }), "{error}");
    }
}

#[test]
fn broken_rules_are_warnings_with_their_path() {
    let mut document = sample();
    document["component"]["resources"][0]["name"] = json!("I");
    document["component"]["resources"][1]["version"] = json!("latest");
    document["component"]["componentReferences"][0]["new"] = json!(1);
    document["component"]["labels"][0]["version"] = json!("1");
    document["component"]["creationTime"] = json!("yesterday");
    let twice = document["component"]["resources"][1].clone();
    document["component"]["resources"]
        .as_array_mut()
        .unwrap()
        .push(twice);
    let found: Vec<String> = Descriptor::from_document(document)
        .unwrap()
        .validate()
        .iter()
        .map(|violation| {
            assert_eq!(violation.severity, Severity::Warning);
            violation.path.clone()
        })
        .collect();
    assert_eq!(
        found,
        [
            "component.labels[0].version",
            "component.creationTime",
            "component.componentReferences[0].new",
            "component.resources[0].name",
            "component.resources[1].version",
            "component.resources[2].version",
            "component.resources[2]",
        ]
    );
}

#[test]
fn too_much_is_refused() {
    let list = vec![json!({}); MAX_ELEMENTS + 1];
    let mut document = sample();
    document["component"]["sources"] = Value::Array(list);
    refused(
        document,
        "component.sources",
        "has 100001 entries, more than 100000",
    );
    assert_eq!(
        Descriptor::read_json(&vec![b' '; MAX_SIZE + 1]),
        Err(Error::TooLarge { size: MAX_SIZE + 1 })
    );
}

#[test]
fn an_element_is_found_by_part_of_its_identity() {
    let descriptor = descriptor();
    let find = |selector: &str| descriptor.find_resource(&selector.parse().unwrap());
    assert_eq!(find("name=image,os=linux").unwrap().0, 0);
    assert_eq!(find("os=darwin").unwrap().0, 1);
    assert_eq!(
        find("name=image").unwrap_err().to_string(),
        "more than one resource has the identity `name=image`: `name=image,os=linux,version=1.0.0`, \
         `name=image,os=darwin,version=1.0.0`"
    );
    assert_eq!(
        descriptor
            .find_reference(&Identity::from([("name", "x")]))
            .unwrap_err()
            .to_string(),
        "no reference has the identity `name=x`; there are `name=leaf,version=2.0.0`"
    );
}

#[test]
fn an_exact_identity_goes_before_a_longer_one() {
    let mut document = sample();
    document["component"]["resources"][0]["extraIdentity"] = json!({});
    let descriptor = Descriptor::from_document(document).unwrap();
    let selector = Identity::from([("name", "image")]);
    assert_eq!(descriptor.find_resource(&selector).unwrap().0, 0);
}
