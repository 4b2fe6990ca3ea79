//! The status of an object, written where it differs.

use http::HeaderValue;
use http::header::ACCEPT;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams, ValidationDirective};
use kube::core::{PartialObjectMeta, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use thiserror::Error as ThisError;

use crate::api_error::ApiError;

/// How often a write is tried that others come in between of.
const TRIES: usize = 4;

/// Asks for metadata instead of the object.
const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// Writes the difference between two statuses of an object. Returns whether there was one, and so a
/// request.
///
/// Fields that are in neither of the two stay as they are.
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
    let Some(difference) = difference(&before, &after) else {
        return Ok(false);
    };
    let uid = object.meta().uid.as_deref();
    // With the identifier the API server refuses to write to another object of the same name.
    let patch = Patch::Merge(json!({"metadata": {"uid": uid}, "status": difference}));
    let params = PatchParams {
        field_manager: Some(manager.to_owned()),
        // The fields are those of our own definition.
        field_validation: Some(ValidationDirective::Ignore),
        ..PatchParams::default()
    };
    for _ in 1..TRIES {
        match patch_status(api, name, &params, &patch).await {
            Ok(()) => return Ok(true),
            Err(error) if error.is_conflict() => {
                let now = api.get_metadata_opt(name).await;
                let now = now.map_err(|error| failed(error.into()))?;
                if now.and_then(|it| it.metadata.uid).as_deref() != uid {
                    return Err(failed(error));
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
    let written = patch_status(api, name, &params, &patch).await;
    written.map_err(failed)?;
    Ok(true)
}

/// Writes a status. The answer, which nobody needs, is the metadata alone.
async fn patch_status<K: Clone + Resource>(
    api: &Api<K>,
    name: &str,
    params: &PatchParams,
    patch: &Patch<Value>,
) -> Result<(), ApiError> {
    let request = Request::new(api.resource_url());
    let request = request.patch_subresource("status", name, params, patch);
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    request.headers_mut().insert(ACCEPT, METADATA);
    let client = api.clone().into_client();
    client.request::<PartialObjectMeta<K>>(request).await?;
    Ok(())
}

/// Drops fields that are null: a merge patch cannot write them.
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

/// Returns the merge patch (RFC 7386) from one value to another, if they differ.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let mut patch = Map::new();
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            for (key, after) in after {
                let changed = match before.get(key) {
                    Some(before) => difference(before, after),
                    None => Some(after.clone()),
                };
                patch.extend(changed.map(|changed| (key.clone(), changed)));
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (before, after) => (before != after).then(|| after.clone()),
    }
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
    fn check(before: &Value, after: &Value, patch: Option<&Value>) {
        let after = without_nulls(after.clone());
        assert_eq!(
            difference(&without_nulls(before.clone()), &after).as_ref(),
            patch
        );
    }

    #[test]
    fn what_is_the_same_is_not_written() {
        let status = json!({"a": [1, {"b": null}], "c": {"d": "e"}});
        check(&status, &status, None);
        check(
            &json!({}),
            &json!({"a": null, "b": {"c": null}}),
            Some(&json!({"b": {}})),
        );
        check(
            &json!({"b": {}}),
            &json!({"a": null, "b": {"c": null}}),
            None,
        );
    }

    #[test]
    fn only_what_differs_is_written() {
        let before = json!({"a": 1, "gone": 1, "list": [1, 2], "c": {"d": 1, "e": 2}});
        let after = json!({"a": 1, "list": [1], "c": {"d": 1, "e": 3}, "new": {"x": 1}});
        let patch = json!({"gone": null, "list": [1], "c": {"e": 3}, "new": {"x": 1}});
        check(&before, &after, Some(&patch));
        check(&Value::Null, &json!({"a": 1}), Some(&json!({"a": 1})));
    }
}
