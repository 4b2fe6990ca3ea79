//! The status of an object, written where it differs.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request};
use kube::api::Api;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value, json};
use thiserror::Error as ThisError;

use crate::api_error::ApiError;

/// How often a write is tried that others come in between of.
const TRIES: usize = 4;

/// Asks for metadata instead of the object, which nobody needs.
const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// The list of a status that several write to: each has its own entries, which are told apart by
/// their types.
const CONDITIONS: &str = "conditions";

/// Writes the difference between two statuses of an object. Returns whether there was one, and so a
/// request.
///
/// Fields that are in neither of the two stay as they are, and so do the conditions of others, also
/// those that were added since the status was read: definitions have conditions as a plain list,
/// which belongs to nobody, so they are written one by one.
///
/// # Errors
///
/// The API server refuses it, or the object has gone; also where another one has its name now.
pub async fn write<K>(
    api: &Api<K>,
    object: &K,
    before: &impl Serialize,
    after: &impl Serialize,
    manager: &str,
) -> Result<bool, Error>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Resource,
{
    let name = object.meta().name.as_deref().unwrap_or_default();
    let failed = |source: ApiError| Error::Api {
        name: name.to_owned(),
        source,
    };
    let value = |status: serde_json::Result<Value>| {
        status.map(without_nulls).map_err(|source| Error::NotJson {
            name: name.to_owned(),
            source,
        })
    };
    let before = value(serde_json::to_value(before))?;
    let after = value(serde_json::to_value(after))?;
    let steps = steps(&before, &after);
    if steps.is_empty() {
        return Ok(false);
    }
    let uid = json!(object.meta().uid);
    let client = api.clone().into_client();
    let url = format!("{}/{name}", api.resource_url());
    // Nothing is written to another object of the same name.
    let mut patch = [vec![test("/metadata/uid", uid.clone())], steps].concat();
    let mut tries = 1;
    loop {
        let Err(error) = send(&client, &url, manager, &patch).await else {
            return Ok(true);
        };
        // Something is not as it was: what is tested, or what the API server has just read.
        if tries == TRIES || !matches!(error.code(), Some(409 | 422)) {
            return Err(failed(error));
        }
        tries += 1;
        let now = get(&client, &url).await.map_err(failed)?;
        let metadata = &now["metadata"];
        if metadata["uid"] != uid {
            return Err(failed(error));
        }
        let status = merged(&now["status"], &before, &after);
        patch = vec![
            test(
                "/metadata/resourceVersion",
                metadata["resourceVersion"].clone(),
            ),
            add("/status", status),
        ];
    }
}

async fn send(client: &Client, url: &str, manager: &str, patch: &[Value]) -> Result<(), ApiError> {
    // The fields are those of our own definition.
    let url = format!("{url}/status?fieldManager={manager}&fieldValidation=Ignore");
    let request = Request::patch(url)
        .header(CONTENT_TYPE, "application/json-patch+json")
        .header(ACCEPT, METADATA)
        .body(serde_json::to_vec(patch).map_err(kube::Error::SerdeError)?);
    let request = request.map_err(kube::Error::HttpError)?;
    client.request::<IgnoredAny>(request).await?;
    Ok(())
}

async fn get(client: &Client, url: &str) -> Result<Value, ApiError> {
    let request = Request::get(url).body(Vec::new());
    Ok(client
        .request(request.map_err(kube::Error::HttpError)?)
        .await?)
}

/// Drops fields that are null: to the API server they are as those that are not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields
                .map(|(key, value)| (key, without_nulls(value)))
                .collect()
        }
        // Within a list they stay: a list is written whole.
        value => value,
    }
}

/// Returns the steps (RFC 6902) from one status to another, none if they are the same.
///
/// They fail where they would touch conditions that are not those of before. What is not there is
/// tested to be null.
fn steps(before: &Value, after: &Value) -> Vec<Value> {
    let mut steps = Vec::new();
    if before == after {
        return steps;
    }
    if before.as_object().is_none_or(Map::is_empty) {
        return vec![test("/status", Value::Null), add("/status", after.clone())];
    }
    let (mut before, mut after) = (before.clone(), after.clone());
    let (old, new) = (take_conditions(&mut before), take_conditions(&mut after));
    add_fields(&before, &after, "/status", &mut steps);
    add_conditions(old.as_ref(), new.as_ref(), &mut steps);
    steps
}

fn take_conditions(status: &mut Value) -> Option<Value> {
    status.as_object_mut()?.remove(CONDITIONS)
}

fn add_fields(before: &Value, after: &Value, path: &str, steps: &mut Vec<Value>) {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        if before != after {
            steps.push(add(path, after.clone()));
        }
        return;
    };
    let place = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        steps.push(json!({"op": "remove", "path": place(key)}));
    }
    for (key, value) in after {
        match before.get(key) {
            Some(before) => add_fields(before, value, &place(key), steps),
            None => steps.push(add(&place(key), value.clone())),
        }
    }
}

fn add_conditions(before: Option<&Value>, after: Option<&Value>, steps: &mut Vec<Value>) {
    if before == after {
        return;
    }
    let list = format!("/status/{CONDITIONS}");
    let (Some(Value::Array(known)), Some(Value::Array(after))) = (before, after) else {
        // There was no list, or there is to be none: all of it is ours.
        steps.push(test(&list, before.cloned().unwrap_or_default()));
        steps.push(add(&list, after.cloned().unwrap_or_else(|| json!([]))));
        return;
    };
    let is_new = |condition: &&Value| position(known, condition).is_none();
    // Only where the list is as it was, an entry that is new can be put at its end: somebody may
    // have added one of the same type.
    let is_same_length = after.iter().filter(|it| !is_new(it)).count() == known.len();
    if !is_same_length || after.iter().any(|it| is_new(&it)) {
        steps.push(test(&list, json!(known)));
    }
    if !is_same_length {
        steps.push(add(&list, json!(after)));
        return;
    }
    for condition in after {
        match position(known, condition) {
            Some(index) if known[index] == *condition => {}
            Some(index) => {
                let place = format!("{list}/{index}");
                steps.push(test(&format!("{place}/type"), condition["type"].clone()));
                steps.push(step("replace", &place, condition.clone()));
            }
            None => steps.push(add(&format!("{list}/-"), condition.clone())),
        }
    }
}

/// Returns where in a list of conditions the one is that has the type of another.
fn position(conditions: &[Value], condition: &Value) -> Option<usize> {
    conditions
        .iter()
        .position(|it| it["type"] == condition["type"])
}

fn test(path: &str, value: Value) -> Value {
    step("test", path, value)
}

/// Sets a field, whether it is there or not.
fn add(path: &str, value: Value) -> Value {
    step("add", path, value)
}

fn step(operation: &str, path: &str, value: Value) -> Value {
    let mut step = json!({"op": operation, "path": path});
    step["value"] = value;
    step
}

/// Returns the status as it is now, with what differs between two others.
fn merged(now: &Value, before: &Value, after: &Value) -> Value {
    let Value::Object(after) = after else {
        return after.clone();
    };
    let none = Map::new();
    let before = before.as_object().unwrap_or(&none);
    let mut merged = now.as_object().cloned().unwrap_or_default();
    merged.retain(|key, _| after.contains_key(key) || !before.contains_key(key));
    for (key, value) in after {
        let old = before.get(key).unwrap_or(&Value::Null);
        if value == old {
            continue;
        }
        let value = match (merged.get(key), value) {
            (Some(Value::Array(now)), Value::Array(after)) if key == CONDITIONS => {
                merged_conditions(now, old, after)
            }
            (Some(now), value) => self::merged(now, old, value),
            (None, value) => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    Value::Object(merged)
}

fn merged_conditions(now: &[Value], before: &Value, after: &[Value]) -> Value {
    let before = before.as_array().map_or(&[][..], Vec::as_slice);
    let mut merged = now.to_vec();
    merged.retain(|it| position(before, it).is_none() || position(after, it).is_some());
    for condition in after.iter().filter(|it| !before.contains(it)) {
        match position(&merged, condition) {
            Some(index) => merged[index] = condition.clone(),
            None => merged.push(condition.clone()),
        }
    }
    Value::Array(merged)
}

/// Why a status was not written.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The API server refuses it.
    #[error("cannot write the status of `{name}`")]
    Api {
        /// The object.
        name: String,
        /// What it says.
        source: ApiError,
    },
    /// It is no JSON.
    #[error("the status of `{name}` cannot be written as JSON")]
    NotJson {
        /// The object.
        name: String,
        /// Why not.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &Value, after: &Value, expected: &[Value]) {
        let (before, after) = (without_nulls(before.clone()), without_nulls(after.clone()));
        assert_eq!(steps(&before, &after), expected);
        // What comes of it where nothing else has changed.
        assert_eq!(merged(&before, &before, &after), after);
    }

    fn remove(path: &str) -> Value {
        json!({"op": "remove", "path": path})
    }

    #[test]
    fn what_is_the_same_is_not_written() {
        let status = json!({"a": [1, {"b": null}], "c": {"d": "e"}});
        check(&status, &status, &[]);
        let nothing = json!({"a": null, "b": {"c": null}});
        check(&json!({"b": {}}), &nothing, &[]);
    }

    #[test]
    fn only_what_differs_is_written() {
        let before = json!({"a": 1, "gone": 1, "list": [1, 2], "c": {"d/~": 1, "e": 2}});
        let after = json!({"a": 1, "list": [1], "c": {"d/~": 2, "e": 2}, "new": {"x": 1}});
        let expected = [
            remove("/status/gone"),
            add("/status/list", json!([1])),
            add("/status/c/d~1~0", json!(2)),
            add("/status/new", json!({"x": 1})),
        ];
        check(&before, &after, &expected);
        let first = [
            test("/status", Value::Null),
            add("/status", json!({"a": 1})),
        ];
        check(&json!({}), &json!({"a": 1}), &first);
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status})
    }

    #[test]
    fn conditions_are_written_one_by_one() {
        let list = |conditions: &[Value]| json!({"conditions": conditions, "a": 1});
        let (theirs, ready) = (condition("Theirs", "True"), condition("Ready", "True"));
        let unready = condition("Ready", "False");
        let healthy = condition("Healthy", "True");
        let before = list(&[theirs.clone(), ready.clone()]);
        let replaced = [
            test("/status/conditions/1/type", json!("Ready")),
            step("replace", "/status/conditions/1", unready.clone()),
        ];
        check(
            &before,
            &list(&[theirs.clone(), unready.clone()]),
            &replaced,
        );
        let added = [
            test("/status/conditions", before["conditions"].clone()),
            add("/status/conditions/-", healthy.clone()),
        ];
        check(
            &before,
            &list(&[theirs.clone(), ready.clone(), healthy.clone()]),
            &added,
        );
        let removed = [
            test("/status/conditions", before["conditions"].clone()),
            add("/status/conditions", json!([theirs.clone()])),
        ];
        check(&before, &list(std::slice::from_ref(&theirs)), &removed);
        let first = [
            test("/status/conditions", Value::Null),
            add("/status/conditions", json!([ready.clone()])),
        ];
        check(
            &json!({"a": 1}),
            &list(std::slice::from_ref(&ready)),
            &first,
        );

        // Where the list is not as it was any more.
        let now = list(&[healthy.clone(), ready.clone()]);
        let after = list(&[theirs.clone(), unready.clone()]);
        let expected = list(&[healthy.clone(), unready]);
        assert_eq!(merged(&now, &before, &after), expected);
        let removed = list(std::slice::from_ref(&theirs));
        assert_eq!(merged(&now, &before, &removed), list(&[healthy]));
    }

    #[test]
    fn what_others_have_written_meanwhile_stays() {
        let (before, after) = (json!({"a": 1, "gone": 1}), json!({"a": 2, "c": {"d": 1}}));
        let now = json!({"a": 1, "gone": 1, "theirs": 1, "c": {"theirs": 1}});
        let expected = json!({"a": 2, "theirs": 1, "c": {"theirs": 1, "d": 1}});
        assert_eq!(merged(&now, &before, &after), expected);
        assert_eq!(merged(&Value::Null, &before, &after), after);
    }
}
