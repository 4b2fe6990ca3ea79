//! Two descriptors of the same component version, made one.

use ocm_model::Descriptor;
use ocm_model::descriptor::Error;
use serde_json::{Map, Value};

/// The objects that hold elements and labels, in either layout of a descriptor.
const HOLDERS: [&str; 3] = ["component", "metadata", "spec"];

/// Joins what the target has with what comes, where signatures cover the same in both.
///
/// - Accesses stay as the target has them, for that is where its content is.
/// - Signatures and unsigned labels are united; where both have one of a name, the incoming wins.
/// - The layout is v2, unless both have another.
/// - Everything else that no signature covers is as it comes; what only the target has stays.
///
/// # Errors
///
/// The union is larger than a descriptor may be.
pub fn merge(existing: &Descriptor, incoming: &Descriptor) -> Result<Descriptor, Error> {
    if existing.schema() != incoming.schema() {
        return merge(&existing.to_v2(), &incoming.to_v2());
    }
    let mut document = incoming.as_document().clone();
    let old = existing.as_document();
    fill(&mut document, old);
    unite(&mut document, old, "signatures", |_| true);
    keep_contexts(&mut document, old);
    for holder in HOLDERS {
        if let (Some(Value::Object(new)), Some(Value::Object(old))) =
            (document.get_mut(holder), old.get(holder))
        {
            merge_holder(new, old);
        }
    }
    Descriptor::from_document(Value::Object(document))
}

/// Tells whether two descriptors say the same, `null`, empty and absent being one.
pub(crate) fn says_the_same(left: &Descriptor, right: &Descriptor) -> bool {
    if left.schema() != right.schema() {
        return says_the_same(&left.to_v2(), &right.to_v2());
    }
    pruned(&left.to_document()) == pruned(&right.to_document())
}

fn merge_holder(new: &mut Map<String, Value>, old: &Map<String, Value>) {
    fill(new, old);
    keep_contexts(new, old);
    unite(new, old, "labels", |label| !is_signed(label));
    for list in ["resources", "sources"] {
        let (Some(Value::Array(new)), Some(Value::Array(old))) = (new.get_mut(list), old.get(list))
        else {
            continue;
        };
        for (new, old) in new.iter_mut().zip(old) {
            if let (Value::Object(new), Value::Object(old)) = (new, old) {
                fill(new, old);
                unite(new, old, "labels", |label| !is_signed(label));
                if let Some(access) = old.get("access") {
                    new.insert("access".to_owned(), access.clone());
                }
            }
        }
    }
}

/// Adds the fields that only the target has.
fn fill(new: &mut Map<String, Value>, old: &Map<String, Value>) {
    for (key, value) in old {
        if !new.contains_key(key) {
            new.insert(key.clone(), value.clone());
        }
    }
}

/// Where the component version has been is known to the target alone.
fn keep_contexts(new: &mut Map<String, Value>, old: &Map<String, Value>) {
    const CONTEXTS: &str = "repositoryContexts";
    if let Some(Value::Array(contexts)) = old.get(CONTEXTS)
        && !contexts.is_empty()
    {
        new.insert(CONTEXTS.to_owned(), Value::Array(contexts.clone()));
    }
}

/// Unites two lists of named objects in the order of the target, new ones last. `may_change` says
/// which of the target's may be replaced by the incoming of the same name.
fn unite(
    new: &mut Map<String, Value>,
    old: &Map<String, Value>,
    key: &str,
    may_change: impl Fn(&Value) -> bool,
) {
    let Some(Value::Array(old)) = old.get(key) else {
        return;
    };
    let incoming = match new.get(key) {
        Some(Value::Array(incoming)) => incoming.clone(),
        _ => Vec::new(),
    };
    let mut united: Vec<Value> = old
        .iter()
        .map(|item| {
            let replacement = incoming.iter().find(|other| other["name"] == item["name"]);
            match replacement {
                Some(other) if may_change(item) && !incoming.contains(item) => other.clone(),
                _ => item.clone(),
            }
        })
        .collect();
    for item in incoming {
        if !united.iter().any(|known| known["name"] == item["name"]) {
            united.push(item);
        }
    }
    new.insert(key.to_owned(), Value::Array(united));
}

/// Old descriptors have the flag as text.
fn is_signed(label: &Value) -> bool {
    matches!(&label["signing"], Value::Bool(true))
        || matches!(&label["signing"], Value::String(text) if text == "true")
}

/// Returns a value without entries that are empty.
pub(crate) fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), pruned(value)))
            .filter(|(_, value)| !is_empty(value))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(pruned).collect(),
        other => other.clone(),
    }
}

pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{component, descriptor, signed};

    fn labelled(labels: &Value, access: &str) -> Descriptor {
        descriptor(&component(json!({
            "labels": labels,
            "resources": [{"name": "image", "version": "1.0.0", "type": "ociImage",
                "relation": "local", "access": {"type": access}, "labels": labels}],
        })))
    }

    #[test]
    fn the_target_keeps_its_access_and_labels_and_gains_the_new_ones() {
        let existing = labelled(
            &json!([{"name": "a", "value": 1}, {"name": "b", "value": 1}]),
            "at-target/v1",
        );
        let incoming = labelled(
            &json!([{"name": "c", "value": 2}, {"name": "a", "value": 2}]),
            "at-source/v1",
        );
        let merged = merge(&existing, &incoming).unwrap();
        let expected = json!([
            {"name": "a", "value": 2}, {"name": "b", "value": 1}, {"name": "c", "value": 2}
        ]);
        let component = &merged.as_document()["component"];
        assert_eq!(component["labels"], expected);
        assert_eq!(component["resources"][0]["labels"], expected);
        assert_eq!(component["resources"][0]["access"]["type"], "at-target/v1");
    }

    #[test]
    fn of_two_signatures_of_one_name_the_incoming_stays() {
        let signed = |signatures: &[(&str, &str)]| {
            let names: Vec<&str> = signatures.iter().map(|(name, _)| *name).collect();
            let mut document = signed(&component(json!({})), &names).to_document();
            for (number, (_, value)) in signatures.iter().enumerate() {
                document["signatures"][number]["signature"]["value"] = json!(value);
            }
            Descriptor::from_document(document).unwrap()
        };
        let existing = signed(&[("both", "old"), ("operator", "o")]);
        let incoming = signed(&[("both", "new"), ("auditor", "a")]);
        let expected = signed(&[("both", "new"), ("operator", "o"), ("auditor", "a")]);
        let merged = merge(&existing, &incoming).unwrap();
        assert_eq!(
            merged.as_document()["signatures"],
            expected.as_document()["signatures"]
        );
    }

    #[test]
    fn merging_again_changes_nothing() {
        let existing = labelled(&json!([{"name": "b", "value": 1}]), "x/v1");
        let incoming = labelled(
            &json!([{"name": "a", "value": 2}, {"name": "b", "value": 2}]),
            "y/v1",
        );
        let once = merge(&existing, &incoming).unwrap();
        assert_eq!(merge(&once, &incoming).unwrap(), once);
    }

    #[test]
    fn labels_of_one_name_are_not_mixed_up() {
        let twice = json!([{"name": "a", "value": 1}, {"name": "a", "value": 2}]);
        let both = labelled(&twice, "x/v1");
        assert_eq!(merge(&both, &both).unwrap(), both);
    }

    #[test]
    fn null_and_empty_say_the_same() {
        let null = descriptor(&component(json!({"sources": null})));
        let empty = descriptor(&component(json!({"sources": []})));
        assert!(says_the_same(&null, &empty));
    }

    #[test]
    fn unknown_fields_of_both_sides_stay() {
        let existing = descriptor(&component(json!({"old": 1, "both": 1})));
        let incoming = descriptor(&component(json!({"new": 2, "both": 2})));
        let merged = merge(&existing, &incoming).unwrap();
        let component = &merged.as_document()["component"];
        assert_eq!(
            (&component["old"], &component["new"], &component["both"]),
            (&json!(1), &json!(2), &json!(2))
        );
    }
}
