//! What holds for every descriptor.

use ocm_model::{
    Access, ComponentRef, Descriptor, Identity, NormalisationAlgorithm, RepositorySpec, Version,
    json,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::generate::{document, value};

fn read(document: &Value) -> Descriptor {
    Descriptor::from_document(document.clone()).unwrap()
}

fn normalised(descriptor: &Descriptor) -> [Vec<u8>; 4] {
    NormalisationAlgorithm::ALL.map(|algorithm| descriptor.normalise(algorithm).as_bytes().to_vec())
}

/// The same value with the keys of every object in reverse.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(reversed).collect(),
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().rev().collect();
            entries
                .into_iter()
                .map(|(key, item)| (key.clone(), reversed(item)))
                .collect::<Map<_, _>>()
                .into()
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(crate::generate::cases())]

    #[test]
    fn a_round_trip_through_json_loses_nothing(document in document()) {
        let descriptor = read(&document);
        let again = Descriptor::read_json(&descriptor.write_json()).unwrap();
        prop_assert_eq!(again.as_document(), descriptor.as_document());
        prop_assert_eq!(normalised(&again), normalised(&descriptor));
    }

    #[test]
    fn a_round_trip_through_yaml_keeps_the_digest(document in document()) {
        let descriptor = read(&document);
        let again = Descriptor::read_yaml(&descriptor.write_yaml()).unwrap();
        prop_assert_eq!(normalised(&again), normalised(&descriptor));
    }

    #[test]
    fn the_order_of_keys_does_not_matter(document in document()) {
        let (one, other) = (read(&document), read(&reversed(&document)));
        prop_assert_eq!(one.write_json(), other.write_json());
        prop_assert_eq!(normalised(&one), normalised(&other));
    }

    #[test]
    fn what_is_not_covered_does_not_matter(document in document(), extra in value()) {
        let before = read(&document);
        let mut after = before.clone();
        for (index, resource) in before.resources().iter().enumerate() {
            if resource.access.as_ref().is_some_and(|access| !access.is_none()) {
                after.set_resource_access(index, Access::oci_artifact("a/b:c")).unwrap();
            }
        }
        let mut changed = after.to_document();
        changed["component"]["extra"] = extra.clone();
        changed["component"]["repositoryContexts"] = json!([{"type": "acme", "extra": extra}]);
        prop_assert_eq!(normalised(&read(&changed)), normalised(&before));
    }

    #[test]
    fn what_is_covered_matters(document in document(), field in 0..4_usize) {
        let before = read(&document);
        let mut changed = document.clone();
        match field {
            0 => changed["component"]["version"] = "9.9.9".into(),
            1 => changed["component"]["creationTime"] = "2026-01-01T00:00:00Z".into(),
            2 => changed["component"]["provider"] = "somebody else".into(),
            _ => {
                let list = &mut changed["component"]["resources"];
                let mut resources = list.as_array().cloned().unwrap_or_default();
                resources.push(json!({"name": "more", "version": "1", "access": {"type": "x"}}));
                *list = resources.into();
            }
        }
        for (one, other) in normalised(&before).iter().zip(&normalised(&read(&changed))) {
            prop_assert_ne!(one, other);
        }
    }

    #[test]
    fn canonical_json_is_stable(value in value()) {
        let bytes = json::canonical(&value);
        let again = json::parse(&bytes).unwrap();
        prop_assert_eq!(json::canonical(&again), bytes);
        prop_assert_eq!(json::parse(&json::compact(&value)).unwrap(), value);
    }

    #[test]
    fn identities_without_separators_read_as_they_print(
        attributes in proptest::collection::btree_map("[a-z]{1,4}", "[^,]{0,6}", 0..4)
    ) {
        let identity: Identity = attributes.into_iter().collect();
        prop_assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity);
    }

    #[test]
    fn versions_are_totally_ordered(texts in proptest::collection::vec("[v0-3][.0-3a-]{0,4}", 3)) {
        let versions: Vec<Version> =
            texts.iter().filter_map(|text| Version::lenient(text).ok()).collect();
        for (one, other) in versions.iter().zip(versions.iter().skip(1)) {
            prop_assert_eq!(one.cmp(other), other.cmp(one).reverse());
            prop_assert_eq!(one == other, one.cmp(other).is_eq());
        }
    }

    #[test]
    fn references_read_as_they_print(
        text in "(ctf::|oci::|[+]|)[./]{0,2}[a-c:.]{0,4}/?[a-c.]{0,4}(//|/)(acme\\.org|b\\.cd)/[a-c]{1,3}(:[0-9a-c.]{0,3})?"
    ) {
        if let Ok(reference) = text.parse::<ComponentRef>() {
            let printed = reference.to_string();
            prop_assert_eq!(printed.parse::<ComponentRef>(), Ok(reference), "{}", printed);
        }
    }

    #[test]
    fn repositories_read_as_they_print(text in "(ctf[+]tgz::|tar::|oci::|[+]|)[-a-c:./\\[\\]@]{0,10}") {
        if let Ok(repository) = text.parse::<RepositorySpec>() {
            let printed = repository.to_string();
            prop_assert_eq!(printed.parse::<RepositorySpec>(), Ok(repository), "{}", printed);
        }
    }
}
