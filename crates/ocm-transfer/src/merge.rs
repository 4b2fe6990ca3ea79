//! Two descriptors of the same component version, made one.

use ocm_model::{Descriptor, descriptor};
use serde_json::{Map, Value};

use crate::label::merge_label;

/// The objects that hold elements and labels, in either layout of a descriptor.
const HOLDERS: [&str; 3] = ["component", "metadata", "spec"];

/// Joins what the target has with what comes, where signatures cover the same in both.
///
/// - Accesses stay as the target has them, for that is where its content is.
/// - Signatures are united; where both have one of a name, the incoming wins.
/// - So are unsigned labels, of the component version, its provider and all of its elements; where
///   both have one of a name, the incoming wins unless it names a merge algorithm.
/// - The layout is v2, unless both have another.
/// - Everything else that no signature covers is as it comes; what only the target has stays.
///
/// # Errors
///
/// A label cannot be merged, or the union is larger than a descriptor may be.
pub fn merge(existing: &Descriptor, incoming: &Descriptor) -> Result<Descriptor, MergeError> {
    if existing.schema() != incoming.schema() {
        return merge(&existing.to_v2(), &incoming.to_v2());
    }
    let mut document = incoming.as_document().clone();
    let old = existing.as_document();
    fill(&mut document, old);
    unite(&mut document, old, "signatures", |_, new| Ok(new.clone()))?;
    keep_contexts(&mut document, old);
    for holder in HOLDERS {
        if let (Some(Value::Object(new)), Some(Value::Object(old))) =
            (document.get_mut(holder), old.get(holder))
        {
            merge_holder(new, old)?;
        }
    }
    Descriptor::from_document(Value::Object(document)).map_err(MergeError::Descriptor)
}

/// Why two descriptors cannot be made one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum MergeError {
    /// A label that both have differs, and must not, or cannot be merged as it says.
    #[error("label `{name}` cannot be merged: {reason}")]
    Label { name: String, reason: String },

    /// The union is no descriptor.
    #[error(transparent)]
    Descriptor(descriptor::Error),
}

/// Tells whether two descriptors say the same, `null`, empty and absent being one.
pub(crate) fn says_the_same(left: &Descriptor, right: &Descriptor) -> bool {
    if left.schema() != right.schema() {
        return says_the_same(&left.to_v2(), &right.to_v2());
    }
    is_same_object(left.as_document(), right.as_document())
}

/// Compares without making copies, which may be large.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => is_same_object(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| is_same(left, right))
        }
        _ => left == right,
    }
}

fn is_same_object(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    let says = |value: &&Value| !is_nothing(value);
    let mut new = right.keys().filter(|key| !left.contains_key(*key));
    new.all(|key| is_nothing(&right[key]))
        && left.iter().all(
            |(key, value)| match (says(&value), right.get(key).filter(says)) {
                (true, Some(other)) => is_same(value, other),
                (says, other) => !says && other.is_none(),
            },
        )
}

/// Returns whether nothing is left of a value once it is pruned.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().all(is_nothing),
        other => is_empty(other),
    }
}

fn merge_holder(new: &mut Map<String, Value>, old: &Map<String, Value>) -> Result<(), MergeError> {
    fill(new, old);
    keep_contexts(new, old);
    unite_labels(new, old)?;
    unite_provider(new, old)?;
    for list in ["resources", "sources", "componentReferences", "references"] {
        let (Some(Value::Array(new)), Some(Value::Array(old))) = (new.get_mut(list), old.get(list))
        else {
            continue;
        };
        for (new, old) in new.iter_mut().zip(old) {
            if let (Value::Object(new), Value::Object(old)) = (new, old) {
                fill(new, old);
                unite_labels(new, old)?;
                if let Some(access) = old.get("access") {
                    new.insert("access".to_owned(), access.clone());
                }
            }
        }
    }
    Ok(())
}

/// A provider with labels is an object, or in the v2 layout the text of one.
fn unite_provider(
    new: &mut Map<String, Value>,
    old: &Map<String, Value>,
) -> Result<(), MergeError> {
    const PROVIDER: &str = "provider";
    let as_object = |provider: &Value| match provider {
        Value::String(text) => serde_json::from_str::<Map<String, Value>>(text).ok(),
        other => other.as_object().cloned(),
    };
    let (Some(provider), Some(known)) = (new.get(PROVIDER), old.get(PROVIDER)) else {
        return Ok(());
    };
    let (Some(mut object), Some(known)) = (as_object(provider), as_object(known)) else {
        return Ok(());
    };
    let before = object.clone();
    unite_labels(&mut object, &known)?;
    if object != before {
        let is_text = provider.is_string();
        let object = Value::Object(object);
        let united = if is_text {
            Value::String(object.to_string())
        } else {
            object
        };
        new.insert(PROVIDER.to_owned(), united);
    }
    Ok(())
}

fn unite_labels(new: &mut Map<String, Value>, old: &Map<String, Value>) -> Result<(), MergeError> {
    unite(new, old, "labels", |old, new| {
        if is_signed(old) {
            return Ok(old.clone());
        }
        merge_label(old, new).map_err(|reason| MergeError::Label {
            name: old["name"].as_str().unwrap_or_default().to_owned(),
            reason,
        })
    })
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

/// Unites two lists of named objects in the order of the target, new ones last. `join` says what
/// becomes of two that have the same name and differ.
fn unite(
    new: &mut Map<String, Value>,
    old: &Map<String, Value>,
    key: &str,
    join: impl Fn(&Value, &Value) -> Result<Value, MergeError>,
) -> Result<(), MergeError> {
    let Some(Value::Array(old)) = old.get(key) else {
        return Ok(());
    };
    let incoming = match new.get(key) {
        Some(Value::Array(incoming)) => incoming.clone(),
        _ => Vec::new(),
    };
    let mut united = Vec::with_capacity(old.len());
    for item in old {
        let replacement = incoming.iter().find(|other| other["name"] == item["name"]);
        united.push(match replacement {
            Some(other) if !incoming.contains(item) => join(item, other)?,
            _ => item.clone(),
        });
    }
    for item in incoming {
        if !united.iter().any(|known| known["name"] == item["name"]) {
            united.push(item);
        }
    }
    new.insert(key.to_owned(), Value::Array(united));
    Ok(())
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
    fn nothing_in_any_form_says_the_same() {
        let values = [
            json!({}),
            json!({"a": null}),
            json!({"a": {}}),
            json!({"a": {"b": [], "c": {"d": ""}}}),
            json!({"a": 0}),
            json!({"a": [null]}),
            json!({"a": [{}]}),
            json!({"a": [{"b": null}]}),
            json!({"a": false, "b": {"c": 1}}),
            json!({"b": {"c": 1, "d": {}}, "a": false}),
        ];
        for left in &values {
            for right in &values {
                let expected = pruned(left) == pruned(right);
                assert_eq!(is_same(left, right), expected, "{left} {right}");
            }
        }
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
    fn labels_are_merged_wherever_they_are_as_they_say() {
        let join = json!({"algorithm": "simpleListMerge"});
        let labelled = |value: Value, signing: bool| {
            let labels = json!([{"name": "seen", "value": value, "merge": join},
                {"name": "fixed", "value": 1, "signing": signing}]);
            let element = |kind: &str| {
                json!([{"name": "e", "version": "1.0.0", "type": kind,
                "relation": "local", "componentName": "acme.org/base", "labels": labels,
                "access": {"type": "none"}}])
            };
            descriptor(&component(json!({
                "labels": labels,
                "resources": element("blob"),
                "sources": element("git"),
                "componentReferences": element("component"),
            })))
        };
        let (existing, incoming) = (
            labelled(json!(["far"]), true),
            labelled(json!(["near"]), true),
        );
        let merged = merge(&existing, &incoming).unwrap();
        let component = &merged.as_document()["component"];
        for holder in [
            component,
            &component["resources"][0],
            &component["sources"][0],
            &component["componentReferences"][0],
        ] {
            assert_eq!(holder["labels"][0]["value"], json!(["near", "far"]));
        }
        assert_eq!(merge(&merged, &incoming).unwrap(), merged);
    }

    #[test]
    fn a_provider_that_is_a_text_keeps_its_labels() {
        let provider = |labels: Value| {
            let provider = json!({"name": "acme.org", "labels": labels}).to_string();
            descriptor(&component(json!({"provider": provider})))
        };
        let existing = provider(json!([{"name": "far", "value": 1}]));
        let incoming = provider(json!([{"name": "near", "value": 1}]));
        let merged = merge(&existing, &incoming).unwrap();
        let both = provider(json!([{"name": "far", "value": 1}, {"name": "near", "value": 1}]));
        assert_eq!(merged, both);
        let plain = descriptor(&component(json!({"provider": "acme.org"})));
        assert_eq!(merge(&plain, &incoming).unwrap(), incoming);
    }

    #[test]
    fn a_label_that_must_not_change_is_named() {
        let label = |value: Value| {
            let merge = json!({"algorithm": "default", "config": {"overwrite": "none"}});
            labelled(
                &json!([{"name": "stage", "value": value, "merge": merge}]),
                "x/v1",
            )
        };
        let error = merge(&label(json!(1)), &label(json!(2))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "label `stage` cannot be merged: its value must not change"
        );
        merge(&label(json!(1)), &label(json!(1))).unwrap();
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
