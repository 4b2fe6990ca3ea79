//! What both Go tools have signed verifies, and nothing else does.

use ocm_digest::HashAlgorithm;
use ocm_model::{Descriptor, NormalisationAlgorithm};
use ocm_signing::keyed::KeyVerifier;
use ocm_signing::references::{Referenced, RestateError, are_stated_otherwise, restate};
use ocm_signing::verify::Error;
use ocm_signing::{Rules, verify};
use serde_json::Value;

use crate::data::{check_now, clock, conformance, go_key, private_key};

/// Every signed descriptor with the names of its signatures.
const SIGNED: [(&str, &[&str]); 3] = [
    ("v2-product.json", &["default", "pkcs1"]),
    ("v1-product.yaml", &["sig-v1", "sig-v2", "sig-v3"]),
    ("v1-leaf.yaml", &["sig-v1", "sig-v2", "sig-v3"]),
];

fn stored(file: &str) -> Descriptor {
    let text = std::fs::read_to_string(conformance(&format!("go-tools/{file}"))).unwrap();
    Descriptor::read_yaml(&text).unwrap()
}

/// Returns a descriptor as a signature covers it: v1 states the digests of references under the
/// algorithms of each signature.
fn descriptor(file: &str, signature: &str) -> Descriptor {
    let stored = stored(file);
    if !file.starts_with("v1") {
        return stored;
    }
    let normalisation = stored
        .signature(signature)
        .unwrap()
        .digest
        .normalisation_algorithm;
    let normalisation = normalisation.parse().unwrap();
    restate(&stored, normalisation, HashAlgorithm::Sha256, &leaf()).unwrap()
}

fn leaf() -> Referenced {
    [stored("v1-leaf.yaml")].into_iter().collect()
}

fn trusted() -> KeyVerifier {
    KeyVerifier::with_key(go_key())
}

#[test]
fn every_signature_of_the_go_tools_verifies() {
    for (file, names) in SIGNED {
        for name in names {
            let verified = verify(descriptor(file, name), name, &trusted(), clock())
                .unwrap_or_else(|error| panic!("{file}, {name}: {error}"));
            assert_eq!(verified.report()[0].rules, Rules::Named, "{file}, {name}");
        }
    }
}

#[test]
fn the_report_says_what_was_checked() {
    let verified = verify(stored("v2-product.json"), "default", &trusted(), clock())
        .and_then(|verified| verified.and("pkcs1", &trusted(), clock()))
        .unwrap();
    let [first, second] = verified.report() else {
        panic!("two signatures were checked");
    };
    assert_eq!(first.signature, "default");
    assert_eq!(first.algorithm, "RSASSA-PSS");
    assert_eq!(first.normalisation, NormalisationAlgorithm::JsonV4Alpha1);
    let digest = "sha256:167e30404efc87634859fc296762f5b8aac78dc83449e166835884b70685cec8";
    assert_eq!(first.digest.to_string(), digest);
    assert_eq!(second.signature, "pkcs1");
    assert_eq!(second.algorithm, "RSASSA-PKCS1-V1_5");
    assert_eq!(second.digest.algorithm().ocm_name(), "SHA-512");
}

#[test]
fn a_signature_under_v3_verifies_where_v4alpha1_was_computed_and_the_reverse() {
    // What the second tool does when it is asked for v3, and what the first cannot undo.
    let mut document = stored("v2-product.json").to_document();
    let path = "/signatures/0/digest/normalisationAlgorithm";
    *document.pointer_mut(path).unwrap() = "jsonNormalisation/v3".into();
    let renamed = Descriptor::from_document(document).unwrap();
    check_now(&renamed, "default", &trusted()).unwrap();

    let mut document = stored("v1-product.yaml").to_document();
    let path = "/signatures/2/digest/normalisationAlgorithm";
    *document.pointer_mut(path).unwrap() = "jsonNormalisation/v4alpha1".into();
    let renamed = Descriptor::from_document(document).unwrap();
    let checked = check_now(&renamed, "sig-v3", &trusted()).unwrap();
    assert_eq!(checked.rules, Rules::Variant);
}

#[test]
fn a_change_of_any_covered_field_is_noticed_and_of_any_other_is_not() {
    for (file, names) in SIGNED {
        for name in names {
            let document = descriptor(file, name).to_document();
            let mut paths = Vec::new();
            leaves(&document, String::new(), &mut paths);
            // What a change of these does is another test.
            paths.retain(|path| !path.starts_with("/signatures/"));
            let noticed = (paths.iter())
                .filter(|path| change_is_noticed(&document, file, name, path))
                .count();
            assert!(noticed >= 10, "{file}, {name}: only {noticed} fields");
        }
    }
}

/// Checks that a change of one field is noticed if it should be.
fn change_is_noticed(document: &Value, file: &str, name: &str, path: &str) -> bool {
    let mut changed = document.clone();
    change(changed.pointer_mut(path).unwrap());
    // Some changes make something that is no descriptor any more.
    let Ok(changed) = Descriptor::from_document(changed) else {
        return false;
    };
    let result = check_now(&changed, name, &trusted());
    let noticed = matches!(result, Err(Error::ContentChanged { .. }));
    assert_eq!(
        noticed,
        is_covered(document, path),
        "{file}, {name}, {path}: {result:?}"
    );
    assert_eq!(
        result.is_ok(),
        !noticed,
        "{file}, {name}, {path}: {result:?}"
    );
    noticed
}

/// Collects the JSON pointers of everything that is no object and no filled list.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, child) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(child, format!("{path}/{key}"), found);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, child) in list.iter().enumerate() {
                leaves(child, format!("{path}/{index}"), found);
            }
        }
        _ => found.push(path),
    }
}

fn change(value: &mut Value) {
    *value = match value {
        Value::String(text) => format!("{text}x").into(),
        Value::Bool(flag) => (!*flag).into(),
        Value::Number(_) => 4711.into(),
        _ => "was empty".into(),
    };
}

/// Tells whether signatures cover a field (OCM specification, "Normalization").
fn is_covered(document: &Value, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["meta" | "nestedDigests", ..]
        | ["component", "repositoryContexts", ..]
        | ["component", "resources", _, "access" | "srcRefs", ..]
        | ["component", "sources", _, "access", ..] => false,
        ["component", "labels", index, ..] => {
            document["component"]["labels"][index.parse::<usize>().unwrap()]["signing"] == true
        }
        _ => true,
    }
}

#[test]
fn a_change_of_any_field_of_a_signature_is_noticed() {
    for (file, names) in SIGNED {
        for (index, name) in names.iter().enumerate() {
            let document = descriptor(file, name).to_document();
            let mut paths = Vec::new();
            let pointer = format!("/signatures/{index}");
            leaves(document.pointer(&pointer).unwrap(), pointer, &mut paths);
            for path in &paths {
                let mut changed = document.clone();
                change(changed.pointer_mut(path).unwrap());
                let changed = Descriptor::from_document(changed).unwrap();
                let error = check_now(&changed, name, &trusted()).unwrap_err();
                let field = path.rsplit('/').next().unwrap();
                let expected = match field {
                    "name" => matches!(error, Error::NoSignature { .. }),
                    "algorithm" | "mediaType" => matches!(error, Error::UnknownAlgorithm { .. }),
                    "normalisationAlgorithm" => matches!(error, Error::UnknownNormalisation { .. }),
                    "hashAlgorithm" => matches!(error, Error::Digest { .. }),
                    "value" if path.contains("/digest/") => matches!(error, Error::Digest { .. }),
                    _ => matches!(error, Error::Malformed { .. }),
                };
                assert!(expected, "{file}, {path}: {error:?}");
            }
        }
    }
}

#[test]
fn another_key_does_not_verify_what_the_go_tools_signed() {
    let other = KeyVerifier::with_key(private_key().public_key().clone());
    for (file, names) in SIGNED {
        for name in names {
            let error = check_now(&descriptor(file, name), name, &other).unwrap_err();
            assert!(matches!(error, Error::Mismatch { .. }));
            assert_eq!(
                error.to_string(),
                format!("signature `{name}` is not valid")
            );
        }
    }
}

#[test]
fn a_signature_taken_from_another_component_version_is_noticed() {
    let mut leaf = stored("v1-leaf.yaml");
    let foreign = stored("v1-product.yaml").signature("sig-v3").unwrap();
    leaf.replace_signature(&foreign);
    let error = check_now(&leaf, "sig-v3", &trusted()).unwrap_err();
    assert!(matches!(error, Error::ContentChanged { .. }));
}

#[test]
fn signatures_under_several_normalisations_hold_once_references_are_restated() {
    let product = stored("v1-product.yaml");
    for (name, holds) in [("sig-v1", false), ("sig-v2", false), ("sig-v3", true)] {
        let signature = product.signature(name).unwrap();
        assert_eq!(are_stated_otherwise(&product, &signature), !holds, "{name}");
        assert_eq!(
            check_now(&product, name, &trusted()).is_ok(),
            holds,
            "{name}"
        );
        check_now(&descriptor("v1-product.yaml", name), name, &trusted()).unwrap();
    }
}

#[test]
fn references_are_restated_only_from_what_they_state() {
    let product = stored("v1-product.yaml");
    let restated = |referenced: &Referenced| {
        let normalisation = NormalisationAlgorithm::JsonV1;
        restate(&product, normalisation, HashAlgorithm::Sha256, referenced)
    };
    let missing = restated(&Referenced::default()).unwrap_err();
    assert!(matches!(missing, RestateError::Missing { .. }));

    let mut other = stored("v1-leaf.yaml");
    other.set_creation_time("2026-01-01T00:00:00Z");
    let error = restated(&[other].into_iter().collect()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "reference `leaf` does not state the digest of component version acme.org/bar/leaf:1.0.0"
    );
}

#[test]
fn component_versions_that_refer_to_themselves_are_not_followed() {
    let mut leaf = stored("v1-leaf.yaml");
    let mut reference = stored("v1-product.yaml").references().remove(0);
    reference.digest = None;
    leaf.push_reference(&reference);
    let referenced = [leaf.clone()].into_iter().collect();
    let (normalisation, hash) = (NormalisationAlgorithm::JsonV3, HashAlgorithm::Sha256);
    let error = restate(&leaf, normalisation, hash, &referenced).unwrap_err();
    assert!(matches!(error, RestateError::TooDeep { .. }));
}
