//! The table, the JSON schema that is made of it, and the one that the Go implementation has
//! published, agree on good and on bad documents.

use jsonschema::Validator;
use ocm_model::descriptor::{Descriptor, Schema};
use ocm_model::schema::{self, Object, Severity, to_json_schema};
use ocm_model::{Access, NormalisationAlgorithm, yaml};
use serde_json::{Value, json};

use crate::broken::{Broken, every_way};
use crate::everything::{everything, everything_v3alpha1};

macro_rules! published {
    ($name:literal) => {
        include_str!(concat!("../../../../conformance/schemas/", $name))
    };
}

fn validator(schema: &Value) -> Validator {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(schema).unwrap()
}

fn published(text: &str) -> Validator {
    validator(&serde_json::from_str(text).unwrap())
}

fn ours(object: &'static Object) -> Validator {
    validator(&to_json_schema(object, "urn:test"))
}

fn is_accepted(object: &Object, document: &Value) -> bool {
    let map = document.as_object();
    map.is_some_and(|map| schema::check(object, map).is_empty())
}

/// Descriptors that follow the schema.
fn good() -> Vec<Value> {
    let of_go = [
        include_str!("../../../../conformance/go-tools/v2-leaf.json"),
        include_str!("../../../../conformance/normalisation/archive-of-v1/input.yaml"),
    ];
    let of_go = of_go.map(|text| yaml::parse(text).unwrap());
    [vec![everything()], of_go.to_vec()].concat()
}

/// Where we are stricter than the published schema, for what its own code cannot read either, or
/// because it says less than it means.
fn is_stricter(broken: &Broken) -> bool {
    let text = broken.document.pointer(&broken.pointer);
    let steps: Vec<&str> = broken.pointer.split('/').collect();
    let last = *steps.last().unwrap();
    let holder = steps.iter().rev().nth(1).copied().unwrap_or_default();
    // The values of identities are texts in Go, whatever the schema.
    let identities = ["extraIdentity", "identitySelector"];
    let identity = identities.contains(&last) && broken.change == r#"becomes {"os":1}"#
        || identities.contains(&last) && broken.change == "gets a field"
        || identities.contains(&holder) && !text.is_some_and(Value::is_string);
    // A pattern without a type lets every other type pass.
    let algorithm =
        last == "algorithm" && holder == "merge" && text.is_some_and(|text| !text.is_string());
    identity || algorithm
}

#[test]
fn the_verdict_on_descriptors_is_that_of_the_published_schema() {
    let published = published(published!("component-descriptor-v2.schema.json"));
    let table = Descriptor::table(Schema::V2);
    let ours = ours(table);
    let (mut good_ones, mut bad_ones) = (0, 0);
    for document in good() {
        assert!(is_accepted(table, &document), "{document}");
        assert!(ours.is_valid(&document) && published.is_valid(&document));
        for broken in every_way(&document) {
            let what = || format!("{} {}", broken.pointer, broken.change);
            let verdict = is_accepted(table, &broken.document);
            assert_eq!(ours.is_valid(&broken.document), verdict, "{}", what());
            if is_stricter(&broken) {
                assert!(!verdict, "{}", what());
            } else {
                assert_eq!(published.is_valid(&broken.document), verdict, "{}", what());
            }
            *(if verdict {
                &mut good_ones
            } else {
                &mut bad_ones
            }) += 1;
        }
    }
    assert!(
        good_ones > 1000 && bad_ones > 1000,
        "{good_ones}, {bad_ones}"
    );
}

#[test]
fn the_table_of_v3alpha1_is_its_schema() {
    let table = Descriptor::table(Schema::V3Alpha1);
    let ours = ours(table);
    let document = everything_v3alpha1();
    assert!(is_accepted(table, &document) && ours.is_valid(&document));
    for broken in every_way(&document) {
        let verdict = is_accepted(table, &broken.document);
        let what = || format!("{} {}", broken.pointer, broken.change);
        assert_eq!(ours.is_valid(&broken.document), verdict, "{}", what());
    }
}

#[test]
fn the_verdict_on_accesses_is_that_of_the_published_schemas() {
    let good = [
        (
            published!("access/LocalBlob.schema.json"),
            json!({
                "type": "LocalBlob/v1", "localReference": "sha256:0", "mediaType": "a/b",
                "referenceName": "a", "globalAccess": {"type": "OCIImage/v1", "imageReference": "a/b"},
            }),
        ),
        (
            published!("access/OCIImage.schema.json"),
            json!({"type": "ociArtifact", "imageReference": "ghcr.io/a/b:c"}),
        ),
        (
            published!("access/OCIImageLayer.schema.json"),
            json!({"type": "ociBlob/v1", "ref": "ghcr.io/a/b", "digest": "sha256:0", "size": 3, "mediaType": "a/b"}),
        ),
        (
            published!("access/Helm.schema.json"),
            json!({"type": "helm/v1", "helmRepository": "https://a", "helmChart": "a:1", "version": "1"}),
        ),
        (
            published!("access/GitHub.schema.json"),
            json!({"type": "gitHub", "repoUrl": "a", "apiHostname": "b", "commit": "c", "ref": "d"}),
        ),
        (
            published!("access/Wget.schema.json"),
            json!({
                "type": "wget", "url": "https://a", "mediaType": "a/b", "header": {"a": ["b"]},
                "verb": "GET", "body": "eA==", "noRedirect": true,
            }),
        ),
        (
            published!("access/S3Bucket.schema.json"),
            json!({
                "type": "s3Bucket/v1", "bucketName": "a", "objectKey": "b", "region": "c",
                "mediaType": "d", "version": "e", "endpoint": "f", "usePathStyle": true,
            }),
        ),
        (
            published!("access/File.schema.json"),
            json!({"type": "File/v1alpha1", "uri": "file:///a", "mediaType": "b", "digest": "c"}),
        ),
    ];
    for (text, document) in good {
        let mut text: Value = serde_json::from_str(text).unwrap();
        if text["title"] == "OCIImageLayer" {
            // It says that a digest is an object, and its code reads a text.
            text["properties"]["digest"] = json!({"type": "string"});
        }
        let published = validator(&text);
        let title = text["title"].as_str().unwrap();
        let table = Access::tables().find(|table| table.name == title).unwrap();
        let ours = ours(table);
        assert!(is_accepted(table, &document), "{document}");
        assert!(
            ours.is_valid(&document) && published.is_valid(&document),
            "{document}"
        );
        for broken in every_way(&document) {
            let what = || format!("{title}: {} {}", broken.pointer, broken.change);
            let verdict = is_accepted(table, &broken.document);
            assert_eq!(ours.is_valid(&broken.document), verdict, "{}", what());
            // Within descriptors, a type may go on after its version, and so it may here.
            if broken.pointer != "/globalAccess/type" {
                assert_eq!(published.is_valid(&broken.document), verdict, "{}", what());
            }
        }
    }
}

/// Views are made on demand and cannot fail: what they need is an error in the table.
#[test]
fn every_view_can_be_made_of_whatever_is_accepted() {
    let mut accepted = 0;
    let mut documents = good();
    let mut old = everything();
    let map = old["component"]["resources"][0].as_object_mut().unwrap();
    let refs = map.shift_remove("srcRefs").unwrap();
    map.insert("srcRef".to_owned(), refs);
    documents.extend([old, everything_v3alpha1()]);
    for document in documents {
        for broken in every_way(&document) {
            let Ok(descriptor) = Descriptor::from_document(broken.document) else {
                continue;
            };
            accepted += 1;
            look_at(&descriptor);
        }
    }
    assert!(accepted > 2000, "{accepted}");
}

fn look_at(descriptor: &Descriptor) {
    let _ = (
        descriptor.provider(),
        descriptor.labels(),
        descriptor.creation_time(),
    );
    let _ = (descriptor.signatures(), descriptor.nested_digests());
    let _ = (descriptor.repository_contexts(), descriptor.references());
    let _ = (descriptor.resources(), descriptor.sources());
    let _ = (
        descriptor.validate(),
        descriptor.check_digestible(),
        descriptor.to_v2(),
    );
    for algorithm in NormalisationAlgorithm::ALL {
        descriptor.normalise_candidates(algorithm);
    }
}

#[test]
fn what_is_wrong_in_yaml_has_line_and_column() {
    let text = "meta: {schemaVersion: v2}\ncomponent:\n  name: acme.org/x\n  version: 1.0.0\n  \
                provider: acme\n  resources: []\n  sources: []\n  repositoryContexts: []\n  \
                componentReferences:\n  - name: Leaf\n    componentName: acme.org/leaf\n    \
                version: 2.0.0\n    extra/field: 1\n";
    let descriptor = Descriptor::read_yaml(text).unwrap();
    let found: Vec<String> = descriptor
        .validate_located(text)
        .unwrap()
        .iter()
        .map(|violation| {
            assert_eq!(violation.severity, Severity::Warning);
            violation.to_string()
        })
        .collect();
    assert_eq!(
        found,
        [
            "line 10, column 11, at `component.componentReferences[0].name`: `Leaf` is not two or \
             more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or \
             digit",
            "line 13, column 18, at `component.componentReferences[0].extra/field`: is not allowed \
             here",
        ]
    );
    let strict = descriptor.check().unwrap_err();
    assert_eq!(strict.as_slice().len(), 2);
    assert!(
        strict
            .to_string()
            .contains("; component.componentReferences[0].extra/field: is not")
    );

    let broken = text.replace("version: 2.0.0", "version: 2.0");
    let error = Descriptor::read_yaml(&broken).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.to_string(),
        "line 12, column 14, at `component.componentReferences[0].version`: must be a text, not a \
         number"
    );
}

#[test]
fn names_and_identities_are_unique_by_real_comparison() {
    let mut document = everything();
    let component = &mut document["component"];
    let label = component["labels"][0].clone();
    component["labels"].as_array_mut().unwrap().push(label);
    // Concatenated, keys and values of these are the same.
    component["resources"][0]["extraIdentity"] = json!({"ab": "c", "de": "f"});
    let mut twin = component["resources"][0].clone();
    twin["extraIdentity"] = json!({"ab": "cde", "fg": ""});
    component["resources"].as_array_mut().unwrap().push(twin);
    let reference = component["componentReferences"][0].clone();
    let references = component["componentReferences"].as_array_mut().unwrap();
    references.push(reference);
    let signature = document["signatures"][0].clone();
    document["signatures"]
        .as_array_mut()
        .unwrap()
        .push(signature);

    let descriptor = Descriptor::from_document(document).unwrap();
    let found: Vec<String> = descriptor
        .validate()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "component.labels[2]: has the name `acme.org/note` of entry 0 of the list",
            "component.componentReferences[1]: has the identity `name=leaf,role=leaf,version=2.0.0` \
             of component.componentReferences[0]",
            "signatures[1]: has the name `one` of entry 0 of the list",
        ]
    );
}
