//! What is read is written back whole: read, change one thing, write, and nothing else differs.

use ocm_model::access::{AccessKind, LocalBlob};
use ocm_model::descriptor::Schema;
use ocm_model::{
    Access, ComponentVersionId, Descriptor, DigestSpec, ElementKind, Label, NestedDigest,
    NormalisationAlgorithm, Reference, Relation, Resource, Signature, Source, TypedSpec,
};
use serde_json::{Value, json};

use crate::everything::{everything, everything_v3alpha1};

/// Reads, changes, writes and reads again, as JSON and as YAML. What comes out must be the document
/// as `expect` changes it.
#[track_caller]
fn check(document: &Value, change: impl Fn(&mut Descriptor), expect: impl Fn(&mut Value)) {
    let mut descriptor = Descriptor::from_document(document.clone()).unwrap();
    change(&mut descriptor);
    let mut expected = document.clone();
    expect(&mut expected);
    let again = Descriptor::read_json(&descriptor.write_json()).unwrap();
    assert_eq!(again.to_document(), expected);
    let again = Descriptor::read_yaml(&descriptor.write_yaml()).unwrap();
    assert_eq!(again.to_document(), expected);
}

fn signature() -> Signature {
    serde_json::from_value(json!({
        "name": "two", "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "x", "value": "00"},
        "signature": {"algorithm": "RSASSA-PSS", "value": "00", "mediaType": "m"},
    }))
    .unwrap()
}

#[test]
fn every_change_touches_its_place_alone() {
    let document = everything();
    let access = Access::oci_artifact("ghcr.io/acme/x:1");
    let digest = DigestSpec::excluded();
    check(&document, |_| (), |_| ());
    check(
        &document,
        |it| it.set_resource_access(0, access.clone()).unwrap(),
        |it| it["component"]["resources"][0]["access"] = access.clone().into_json(),
    );
    check(
        &document,
        |it| it.set_source_access(0, access.clone()).unwrap(),
        |it| it["component"]["sources"][0]["access"] = access.clone().into_json(),
    );
    check(
        &document,
        |it| it.set_resource_digest(1, &digest).unwrap(),
        |it| it["component"]["resources"][1]["digest"] = json!(digest),
    );
    check(
        &document,
        |it| it.set_reference_digest(0, &digest).unwrap(),
        |it| it["component"]["componentReferences"][0]["digest"] = json!(digest),
    );
    check(
        &document,
        |it| it.set_element_labels(ElementKind::Source, 0, &[]).unwrap(),
        |it| {
            let source = it["component"]["sources"][0].as_object_mut().unwrap();
            source.shift_remove("labels");
        },
    );
    check(
        &document,
        |it| it.add_signature(&signature()).unwrap(),
        |it| {
            it["signatures"]
                .as_array_mut()
                .unwrap()
                .push(json!(signature()));
        },
    );
    check(
        &document,
        |it| drop(it.remove_signature("one")),
        |it| drop(it.as_object_mut().unwrap().shift_remove("signatures")),
    );
    check(
        &document,
        |it| it.set_creation_time("2027-01-01T00:00:00Z"),
        |it| it["component"]["creationTime"] = "2027-01-01T00:00:00Z".into(),
    );
    let context = TypedSpec::new("OCIRegistry").with("baseUrl", "b.io");
    check(
        &document,
        |it| it.push_repository_context(context.clone()),
        |it| {
            let contexts = it["component"]["repositoryContexts"]
                .as_array_mut()
                .unwrap();
            contexts.push(context.clone().into_json());
        },
    );
}

#[test]
fn labels_read_and_set_again_are_the_same() {
    let mut document = everything();
    document["component"]["labels"][0]["mergeAlgorithm"] = "old".into();
    document["component"]["labels"][0]["new"] = json!({"a": null});
    check(
        &document,
        |it| {
            let labels = it.labels();
            assert_eq!(labels[0].version.as_deref(), Some("v1"));
            assert_eq!(labels[0].merge_algorithm(), Some("default"));
            it.set_labels(&labels);
        },
        |_| (),
    );
}

#[test]
fn the_older_spelling_of_a_merge_algorithm_is_read_and_kept() {
    let mut document = everything();
    document["component"]["labels"][1]["mergeAlgorithm"] = "simpleMapMerge".into();
    check(
        &document,
        |it| {
            let label = it.label("plain").unwrap();
            assert_eq!(label.merge_algorithm(), Some("simpleMapMerge"));
            assert_eq!(label.merge, None);
            it.set_labels(&it.labels());
        },
        |_| (),
    );
    assert_eq!(Label::new("a", 1).merge_algorithm(), None);
}

#[test]
fn signatures_read_and_set_again_are_the_same() {
    let document = everything();
    check(
        &document,
        |it| {
            let signature = it.signature("one").unwrap();
            let timestamp = signature.timestamp.clone().unwrap();
            assert_eq!(timestamp.value, "PEM");
            assert_eq!(timestamp.time.as_deref(), Some("2026-01-01T00:00:00Z"));
            it.replace_signature(&signature);
        },
        |_| (),
    );
}

#[test]
fn nested_digests_read_and_set_again_are_the_same() {
    check(
        &everything(),
        |it| {
            let digests: Vec<NestedDigest> = it.nested_digests();
            assert_eq!(digests[0].resource_digests[0].name, "data");
            it.set_nested_digests(&digests);
        },
        |_| (),
    );
}

/// Absent, `null` and empty are told apart, in every field that may be each.
#[test]
fn absent_null_and_empty_stay_apart() {
    for (pointer, empty) in [
        ("/component/labels", json!([])),
        ("/component/repositoryContexts", json!([])),
        ("/component/sources", json!([])),
        ("/component/componentReferences", json!([])),
        ("/component/resources", json!([])),
        ("/component/resources/0/labels", json!([])),
        ("/component/resources/0/srcRefs", json!([])),
        ("/component/resources/0/extraIdentity", json!({})),
        ("/component/resources/0/digest", json!({})),
        ("/component/labels/0/version", json!("")),
        ("/component/labels/0/merge", json!({})),
        ("/component/labels/0/value", json!({})),
        ("/component/componentReferences/0/digest", json!({})),
        ("/component/creationTime", json!("")),
        ("/signatures", json!([])),
        ("/signatures/0/timestamp", json!({})),
        ("/nestedDigests", json!([])),
        ("/nestedDigests/0/resourceDigests", json!([])),
    ] {
        let (holder, key) = pointer.rsplit_once('/').unwrap();
        let mut absent = everything();
        let map = absent.pointer_mut(holder).unwrap().as_object_mut().unwrap();
        map.shift_remove(key);
        let mut null = everything();
        *null.pointer_mut(pointer).unwrap() = Value::Null;
        let mut is_empty = everything();
        *is_empty.pointer_mut(pointer).unwrap() = empty;
        for document in [absent, null, is_empty] {
            check(&document, set_source_access_if_any, |it| {
                if let Some(source) = it.pointer_mut("/component/sources/0/access") {
                    *source = Access::oci_artifact("x").into_json();
                }
            });
        }
    }
}

fn set_source_access_if_any(descriptor: &mut Descriptor) {
    if !descriptor.sources().is_empty() {
        descriptor
            .set_source_access(0, Access::oci_artifact("x"))
            .unwrap();
    }
}

#[test]
fn lists_keep_their_order() {
    let mut document = everything();
    let resource = |name: &str| json!({"name": name, "version": "1", "type": "t", "relation": "local", "access": {"type": "x"}});
    document["component"]["resources"] = ["zz", "aa", "mm"].map(resource).to_vec().into();
    document["component"]["labels"] = json!([{"name": "z", "value": 1}, {"name": "a", "value": 2}]);
    let mut reversed = document.clone();
    for list in ["resources", "labels"] {
        reversed["component"][list]
            .as_array_mut()
            .unwrap()
            .reverse();
    }
    check(&document, |_| (), |_| ());
    check(&reversed, |_| (), |_| ());
    let digest = |document: &Value| {
        let descriptor = Descriptor::from_document(document.clone()).unwrap();
        descriptor.normalise(NormalisationAlgorithm::default())
    };
    assert_ne!(digest(&document), digest(&reversed));
}

#[test]
fn v3alpha1_is_read_whole_and_stays_what_it_is() {
    let document = everything_v3alpha1();
    let descriptor = Descriptor::from_document(document.clone()).unwrap();
    assert_eq!(descriptor.schema(), Schema::V3Alpha1);
    assert_eq!(descriptor.resources().len(), 2);
    assert_eq!(descriptor.provider().labels.len(), 2);
    assert_eq!(descriptor.signatures().len(), 1);
    assert_eq!(descriptor.validate(), []);
    check(
        &document,
        |it| it.set_source_access(0, Access::oci_artifact("x")).unwrap(),
        |it| it["spec"]["sources"][0]["access"] = Access::oci_artifact("x").into_json(),
    );
}

#[test]
fn an_old_name_is_read_and_stays() {
    let mut document = everything();
    let resource = document["component"]["resources"][0]
        .as_object_mut()
        .unwrap();
    let refs = resource.shift_remove("srcRefs").unwrap();
    resource.insert("srcRef".to_owned(), refs);
    resource.insert(
        "access".to_owned(),
        json!({"type": "ociRegistry", "IMAGEREFERENCE": "a/b:c"}),
    );
    check(
        &document,
        |it| {
            let resource = &it.resources()[0];
            assert_eq!(
                resource.src_refs[0].identity_selector.to_string(),
                "name=code"
            );
            let access = resource.access.as_ref().unwrap();
            assert_eq!(access.type_text(), "ociRegistry");
            let AccessKind::OciImage(image) = access.kind().unwrap() else {
                panic!("no image");
            };
            assert_eq!(image.image_reference, "a/b:c");
            it.set_resource_access(1, Access::oci_artifact("x"))
                .unwrap();
        },
        |it| {
            it["component"]["resources"][1]["access"] =
                json!({"type": "ociArtifact/v1", "imageReference": "x"});
        },
    );
}

#[test]
fn new_values_have_canonical_names() {
    let version: ocm_model::Version = "1.0.0".parse().unwrap();
    let id = ComponentVersionId::new("acme.org/x".parse().unwrap(), version.clone());
    let mut descriptor = Descriptor::new(
        id.name.clone(),
        version.clone(),
        &ocm_model::Provider::new("acme"),
    );
    let blob = LocalBlob::new(&ocm_digest::Digest::sha256(b""), "a/b");
    let mut resource = Resource::new(
        "data",
        version.clone(),
        "blob",
        Relation::Local,
        Access::local_blob(&blob),
    );
    resource.src_refs = vec![ocm_model::SourceRef::default()];
    descriptor.push_resource(&resource);
    descriptor.push_source(&Source::new(
        "code",
        version,
        "git",
        Access::oci_artifact("x"),
    ));
    descriptor.push_reference(&Reference::new("leaf", id));
    let component = &descriptor.as_document()["component"];
    assert_eq!(component["resources"][0]["access"]["type"], "LocalBlob/v1");
    assert!(component["resources"][0].get("srcRefs").is_some());
    assert_eq!(component["sources"][0]["access"]["type"], "ociArtifact/v1");
    let reference = component["componentReferences"][0].as_object().unwrap();
    let keys: Vec<&String> = reference.keys().collect();
    assert_eq!(keys, ["name", "version", "componentName"]);
}

/// A descriptor with an access under an old name, signatures, and digests from below.
#[test]
fn a_descriptor_of_the_go_tests_is_kept_whole() {
    let text = include_str!("../../../../conformance/descriptors/signed-with-nested-digests.json");
    let document: Value = serde_json::from_str(text).unwrap();
    check(&document, |_| (), |_| ());
    let descriptor = Descriptor::from_document(document.clone()).unwrap();
    let signatures = document["signatures"].as_array().unwrap();
    assert_eq!(json!(descriptor.signatures()), json!(signatures));
    assert_eq!(
        json!(descriptor.nested_digests()),
        document["nestedDigests"]
    );
}
