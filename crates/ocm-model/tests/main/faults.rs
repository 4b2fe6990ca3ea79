//! What the Go tools get wrong about the model, and what happens here instead. The table in
//! `docs/concepts/model.md` names these tests.

use ocm_digest::HashAlgorithm;
use ocm_model::{Access, Descriptor, DigestSpec, Identity, NormalisationAlgorithm, Version};
use serde_json::{Value, json};

use NormalisationAlgorithm::{JsonV1, JsonV2, JsonV3, JsonV4Alpha1};

use crate::everything::everything;

fn read(document: &Value) -> Descriptor {
    Descriptor::from_document(document.clone()).unwrap()
}

/// The second Go tool loses label versions and merges, timestamps, nested digests and unknown
/// fields whenever it writes; a transfer loses the creation time.
#[test]
fn what_is_read_is_written_whole() {
    let mut descriptor = read(&everything());
    descriptor
        .set_resource_access(0, Access::oci_artifact("x"))
        .unwrap();
    let written = String::from_utf8(descriptor.write_json()).unwrap();
    for kept in [
        r#""creationTime":"2026-01-01T00:00:00Z""#,
        r#""version":"v1""#,
        r#""merge":{"algorithm":"default","config":{"overwrite":"none"}}"#,
        r#""timestamp":{"new":2,"time":"2026-01-01T00:00:00Z","value":"PEM"}"#,
        r#""nestedDigests":[{"digest""#,
        r#""new":[{"y":[],"z":null}]"#,
    ] {
        assert!(written.contains(kept), "{kept}");
    }
}

/// The second Go tool knows neither v1 nor v2, nor the old spelling of hashes.
#[test]
fn all_normalisations_and_spellings_of_hashes_are_known() {
    let descriptor = read(&everything());
    for algorithm in [JsonV1, JsonV2, JsonV3, JsonV4Alpha1] {
        assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        assert!(!descriptor.normalise(algorithm).as_bytes().is_empty());
    }
    for (name, hash) in [
        ("sha256", HashAlgorithm::Sha256),
        ("SHA-256", HashAlgorithm::Sha256),
        ("SHA256", HashAlgorithm::Sha256),
        ("SHA-384", HashAlgorithm::Sha384),
        ("sha512", HashAlgorithm::Sha512),
    ] {
        let digest = DigestSpec {
            hash_algorithm: name.to_owned(),
            ..DigestSpec::default()
        };
        assert_eq!(digest.algorithm(), Some(hash), "{name}");
    }
}

/// A signature under v3 over a label with a version does not hold for the second Go tool, which
/// computes v4alpha1 for it and has lost the version. Here each is tried by the rules of both.
#[test]
fn a_signature_under_v3_is_tried_by_the_rules_of_both_tools() {
    let descriptor = read(&everything());
    let forms = |algorithm| -> Vec<Vec<u8>> {
        let candidates = descriptor.normalise_candidates(algorithm);
        candidates.iter().map(|it| it.as_bytes().to_vec()).collect()
    };
    let (v3, v4) = (
        descriptor.normalise(JsonV3),
        descriptor.normalise(JsonV4Alpha1),
    );
    assert_ne!(v3.as_bytes(), v4.as_bytes());
    for algorithm in [JsonV3, JsonV4Alpha1] {
        for form in [&v3, &v4] {
            assert!(
                forms(algorithm).contains(&form.as_bytes().to_vec()),
                "{algorithm}"
            );
        }
    }
}

/// The table of exclusions of the Go tools has another key than the document. Signatures depend
/// on it, so it is the same here, and users are told.
#[test]
fn unsigned_labels_of_references_are_covered() {
    let before = read(&everything());
    let mut document = everything();
    document["component"]["componentReferences"][0]["labels"] =
        json!([{"name": "unsigned", "value": 1}]);
    let one = read(&document);
    document["component"]["componentReferences"][0]["labels"][0]["value"] = json!(2);
    let two = read(&document);
    for algorithm in [JsonV2, JsonV3, JsonV4Alpha1] {
        assert_ne!(one.normalise(algorithm), two.normalise(algorithm));
        assert_ne!(one.normalise(algorithm), before.normalise(algorithm));
    }
    assert_eq!(one.normalise(JsonV1), two.normalise(JsonV1));
}

/// The check before signing in the second Go tool knows `None` alone.
#[test]
fn no_content_is_known_in_both_spellings() {
    for name in ["none", "None", "none/v1"] {
        let mut document = everything();
        document["component"]["resources"][1]["access"] = json!({"type": name});
        assert!(read(&document).is_safely_digestible(), "{name}");
    }
}

/// The second Go tool writes three empty texts for a digest that a reference does not have.
#[test]
fn an_empty_digest_of_a_reference_is_none_and_none_is_written_for_it() {
    let mut document = everything();
    let empty = json!({"hashAlgorithm": "", "normalisationAlgorithm": "", "value": ""});
    document["component"]["componentReferences"][0]["digest"] = empty;
    let descriptor = read(&document);
    let mut reference = descriptor.references().remove(0);
    assert_eq!(reference.digest, None);
    assert!(!descriptor.is_safely_digestible());
    assert_eq!(descriptor.to_document(), document);
    reference.name = "other".to_owned();
    let mut more = descriptor;
    more.push_reference(&reference);
    let written = &more.as_document()["component"]["componentReferences"][1];
    assert_eq!(written.get("digest"), None);
}

/// The second Go tool hashes keys and values of identities one after the other, without
/// separators, so that some that differ are taken for the same.
#[test]
fn identities_that_differ_are_told_apart() {
    let one = Identity::from([("name", "ab"), ("os", "c")]);
    let other = Identity::from([("name", "a"), ("os", "bc")]);
    assert_ne!(one, other);
    let mut document = everything();
    let resource = document["component"]["resources"][0].clone();
    let list = document["component"]["resources"].as_array_mut().unwrap();
    list[0]["extraIdentity"] = json!({"aa": "bb", "cc": "dd"});
    let mut twin = resource;
    twin["extraIdentity"] = json!({"aa": "bbcc", "dd": ""});
    list.push(twin);
    assert_eq!(read(&document).validate(), []);
}

/// The second Go tool lists versions that differ only in build metadata, or in the `v`, as one.
#[test]
fn versions_that_differ_in_text_are_kept_apart() {
    let mut versions: Vec<Version> = ["1.0.0", "v1.0.0", "1.0.0+a", "1.0.0+b", "1.0"]
        .map(|text| text.parse().unwrap())
        .into();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 5);
}

/// The second Go tool does not undo the mapping of `+` in tags.
#[test]
fn a_version_is_read_back_from_its_tag() {
    for text in ["1.2.3+ci.42", "v1.0+b", "1.0.0-rc.1+x.y"] {
        let version: Version = text.parse().unwrap();
        assert!(!version.to_tag().contains('+'));
        assert_eq!(Version::from_tag(&version.to_tag()), Ok(version));
    }
}

/// The second Go tool only logs what breaks the schema. Here a strict reader refuses it.
#[test]
fn what_breaks_the_schema_is_refused_by_who_is_strict() {
    let mut document = everything();
    document["component"]["resources"][0]["name"] = "Not A Name".into();
    let descriptor = read(&document);
    let violations = descriptor.check().unwrap_err();
    assert_eq!(violations.as_slice()[0].path, "component.resources[0].name");
}

/// The second Go tool does not read what the specification calls an image, `OCIArtifact/v1`, nor
/// the old name for references to sources, nor v3alpha1.
#[test]
fn names_of_all_generations_are_read() {
    let access = json!({"type": "OCIArtifact/v1", "imageReference": "a/b:c"});
    let access = Access::from_json(access).unwrap();
    assert!(matches!(
        access.kind(),
        Ok(ocm_model::access::AccessKind::OciImage(_))
    ));
    let v3alpha1 = crate::everything::everything_v3alpha1();
    assert_eq!(
        read(&v3alpha1).to_v2().resources(),
        read(&everything()).resources()
    );
}
