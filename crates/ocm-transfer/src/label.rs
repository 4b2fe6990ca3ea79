//! What becomes of a label that is not signed and differs between source and target: the merge
//! algorithms of the first Go implementation, which a label names in its field `merge`.

use std::collections::{BTreeMap, BTreeSet};

use ocm_model::json;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Merges the label that the target has with the one of the same name that comes, as the latter
/// says. Without an algorithm the one that comes stays.
///
/// # Errors
///
/// The label admits no change, its algorithm is not known, or its value is not what the algorithm
/// is about. The text says which.
pub(crate) fn merge_label(existing: &Value, incoming: &Value) -> Result<Value, String> {
    let Some(spec) = incoming.get("merge").filter(|spec| !spec.is_null()) else {
        return Ok(incoming.clone());
    };
    let (old, new) = (&existing["value"], &incoming["value"]);
    let value = merge_value(spec, old, new)?;
    let mut merged = incoming.clone();
    if value != *new {
        merged["value"] = value;
    }
    Ok(merged)
}

/// An algorithm with its configuration.
#[derive(Clone, Deserialize)]
struct Specification {
    #[serde(default)]
    algorithm: String,
    #[serde(default)]
    config: Option<Value>,
}

/// Who wins where both sides have an entry and they differ.
#[derive(Clone, Copy, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Overwrite {
    /// As the algorithm has it.
    #[default]
    #[serde(rename = "")]
    Unsaid,
    /// Nobody: it must not change.
    None,
    /// The target.
    Local,
    /// What comes.
    Inbound,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    overwrite: Overwrite,
    key_field: String,
    ignored_fields: Vec<String>,
    /// How entries are merged that both sides have.
    entries: Option<Value>,
}

fn merge_value(spec: &Value, old: &Value, new: &Value) -> Result<Value, String> {
    let Specification { algorithm, config } =
        serde_json::from_value(spec.clone()).map_err(|error| error.to_string())?;
    let config = config.filter(|config| !config.is_null());
    let config = config.map_or_else(|| Ok(Config::default()), serde_json::from_value);
    let config = config.map_err(|error| format!("configuration of `{algorithm}`: {error}"))?;
    match algorithm.as_str() {
        "" | "default" => match config.overwrite {
            Overwrite::None if old != new => Err("its value must not change".to_owned()),
            Overwrite::Local => Ok(old.clone()),
            _ => Ok(new.clone()),
        },
        "simpleListMerge" => {
            let (old, new) = (list(&algorithm, old)?, list(&algorithm, new)?);
            Ok(join_lists(old, new, &config.ignored_fields).into())
        }
        "simpleMapMerge" => {
            let (old, new) = (map(&algorithm, old)?, map(&algorithm, new)?);
            let mut merged = new.clone();
            for (key, old) in old {
                let value = match new.get(key) {
                    Some(new) => merge_entry(&config, key, old, new)?,
                    None => old.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Ok(merged.into())
        }
        // The specification has a name of its own for it, misspelt.
        "mapListMerge" | "simpleMapListMerge" | "simplemapListNerge" => {
            let (old, new) = (list(&algorithm, old)?, list(&algorithm, new)?);
            for entry in old.iter().chain(new) {
                map(&algorithm, entry)?;
            }
            Ok(join_entries(&config, old, new)?.into())
        }
        other => Err(format!("merge algorithm `{other}` is not known")),
    }
}

/// Adds what only the target has.
fn join_lists(old: &[Value], new: &[Value], ignored: &[String]) -> Vec<Value> {
    let relevant = |entry: &Value| match entry {
        Value::Object(fields) => {
            let mut fields = fields.clone();
            fields.retain(|field, _| !ignored.contains(field));
            Value::Object(fields)
        }
        other => other.clone(),
    };
    let key = |entry: &Value| json::compact(&relevant(entry));
    let mut known: BTreeSet<Vec<u8>> = new.iter().map(key).collect();
    let mut joined = new.to_vec();
    for entry in old {
        if known.insert(key(entry)) {
            joined.push(entry.clone());
        }
    }
    joined
}

/// Adds entries that only the target has, and merges those that both have: entries are told apart
/// by one of their fields. What has no such field stays behind.
fn join_entries(config: &Config, old: &[Value], new: &[Value]) -> Result<Vec<Value>, String> {
    let field = match config.key_field.as_str() {
        "" => "name",
        field => field,
    };
    let mut joined = new.to_vec();
    let mut known: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (position, entry) in new.iter().enumerate() {
        if let Some(key) = entry.get(field) {
            known.entry(json::compact(key)).or_default().push(position);
        }
    }
    for entry in old {
        let Some(key) = entry.get(field).filter(|key| !key.is_null()) else {
            continue;
        };
        let positions = known.entry(json::compact(key)).or_default();
        for &position in &*positions {
            joined[position] = merge_entry(config, key, entry, &joined[position])?;
        }
        if positions.is_empty() {
            positions.push(joined.len());
            joined.push(entry.clone());
        }
    }
    Ok(joined)
}

fn merge_entry(
    config: &Config,
    key: impl std::fmt::Display,
    old: &Value,
    new: &Value,
) -> Result<Value, String> {
    if old == new {
        return Ok(new.clone());
    }
    match (config.overwrite, &config.entries) {
        (Overwrite::Unsaid, Some(spec)) if !spec.is_null() => {
            merge_value(spec, old, new).map_err(|error| format!("entry {key}: {error}"))
        }
        (Overwrite::Unsaid | Overwrite::None, _) => {
            Err(format!("its value for {key} must not change"))
        }
        (Overwrite::Local, _) => Ok(old.clone()),
        (Overwrite::Inbound, _) => Ok(new.clone()),
    }
}

fn list<'a>(algorithm: &str, value: &'a Value) -> Result<&'a [Value], String> {
    match value {
        Value::Null => Ok(&[]),
        value => value
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| format!("`{algorithm}` is about lists, which its value is not")),
    }
}

fn map<'a>(algorithm: &str, value: &'a Value) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("`{algorithm}` is about objects, which its value is not"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn merged(spec: &Value, old: &Value, new: &Value) -> Result<Value, String> {
        let existing = json!({"name": "a", "value": old, "merge": {"algorithm": "other"}});
        let incoming = json!({"name": "a", "value": new, "merge": spec, "version": "v2"});
        let label = merge_label(&existing, &incoming)?;
        assert_eq!(label["merge"], *spec);
        assert_eq!(label["version"], "v2");
        Ok(label["value"].clone())
    }

    #[track_caller]
    fn check(spec: &Value, old: &Value, new: &Value, expected: Result<Value, &str>) {
        let merged = merged(spec, old, new);
        match (&merged, &expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => assert_eq!(merged, expected.map_err(str::to_owned)),
        }
        if let Ok(once) = merged {
            let again = self::merged(spec, &once, new);
            assert_eq!(again, Ok(once), "merging again changes nothing");
        }
    }

    #[test]
    fn without_an_algorithm_the_incoming_stays() {
        let old = json!({"name": "a", "value": 1});
        for new in [
            json!({"name": "a", "value": 2}),
            json!({"name": "a", "merge": null}),
        ] {
            assert_eq!(merge_label(&old, &new), Ok(new));
        }
    }

    #[test]
    fn by_default_one_side_wins() {
        for (overwrite, expected) in [
            (json!({}), Ok(json!(2))),
            (json!({"overwrite": ""}), Ok(json!(2))),
            (json!({"overwrite": "inbound"}), Ok(json!(2))),
            (json!({"overwrite": "local"}), Ok(json!(1))),
            (json!({"overwrite": "none"}), Err("must not change")),
            (
                json!({"overwrite": "both"}),
                Err("configuration of `default`"),
            ),
        ] {
            let spec = json!({"algorithm": "default", "config": overwrite});
            check(&spec, &json!(1), &json!(2), expected);
        }
        let strict = json!({"algorithm": "default", "config": {"overwrite": "none"}});
        check(&strict, &json!([1]), &json!([1]), Ok(json!([1])));
    }

    #[test]
    fn lists_are_joined() {
        let spec = json!({"algorithm": "simpleListMerge"});
        check(
            &spec,
            &json!([1, 2, 2]),
            &json!([3, 1]),
            Ok(json!([3, 1, 2])),
        );
        check(&spec, &json!(null), &json!([1]), Ok(json!([1])));
        check(&spec, &json!("a"), &json!([1]), Err("is about lists"));
        let spec = json!({"algorithm": "simpleListMerge", "config": {"ignoredFields": ["at"]}});
        check(
            &spec,
            &json!([{"by": "a", "at": 1}, {"by": "b", "at": 1}]),
            &json!([{"by": "a", "at": 2}]),
            Ok(json!([{"by": "a", "at": 2}, {"by": "b", "at": 1}])),
        );
    }

    #[test]
    fn maps_are_joined() {
        let (old, new) = (json!({"a": 1, "b": 1}), json!({"b": 2, "c": 2}));
        let spec = |config: Value| json!({"algorithm": "simpleMapMerge", "config": config});
        let check = |config, expected| check(&spec(config), &old, &new, expected);
        check(json!(null), Err("its value for b must not change"));
        check(json!({"overwrite": "none"}), Err("must not change"));
        check(
            json!({"overwrite": "local"}),
            Ok(json!({"a": 1, "b": 1, "c": 2})),
        );
        check(
            json!({"overwrite": "inbound"}),
            Ok(json!({"a": 1, "b": 2, "c": 2})),
        );
        check(
            json!({"entries": {"algorithm": "default", "config": {"overwrite": "local"}}}),
            Ok(json!({"a": 1, "b": 1, "c": 2})),
        );
        check(
            json!({"entries": {"algorithm": "default", "config": {"overwrite": "none"}}}),
            Err("entry b: its value must not change"),
        );
    }

    #[test]
    fn lists_of_maps_are_joined_by_a_field() {
        let old = json!([{"name": "a", "v": 1}, {"name": "b", "v": 1}, {"v": 1}]);
        let new = json!([{"name": "b", "v": 2}, {"name": "c", "v": 2}]);
        let spec = |config: Value| json!({"algorithm": "mapListMerge", "config": config});
        check(
            &spec(json!({})),
            &old,
            &new,
            Err("its value for \"b\" must not change"),
        );
        check(
            &spec(json!({"overwrite": "inbound"})),
            &old,
            &new,
            Ok(json!([{"name": "b", "v": 2}, {"name": "c", "v": 2}, {"name": "a", "v": 1}])),
        );
        check(
            &spec(
                json!({"entries": {"algorithm": "simpleMapMerge", "config": {"overwrite": "local"}}}),
            ),
            &old,
            &new,
            Ok(json!([{"name": "b", "v": 1}, {"name": "c", "v": 2}, {"name": "a", "v": 1}])),
        );
        check(
            &spec(json!({"keyField": "v"})),
            &old,
            &new,
            Err("its value for 1 must not change"),
        );
        check(&spec(json!({})), &json!([1]), &new, Err("is about objects"));
        let specified = json!({"algorithm": "simplemapListNerge", "config": {"keyField": "v"}});
        check(
            &specified,
            &old,
            &new,
            Err("its value for 1 must not change"),
        );
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let spec = json!({"algorithm": "acme/own"});
        check(&spec, &json!(1), &json!(2), Err("`acme/own` is not known"));
        check(&json!("default"), &json!(1), &json!(2), Err("invalid type"));
    }
}
