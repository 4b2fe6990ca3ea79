//! Typed specifications, `{type, …}`, with their raw JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::json;

/// An object that says by its field `type` what its other fields mean.
///
/// The object is kept whole, so that a specification of unknown type passes through unchanged.
/// Fields are found whatever the case of their names, because the Go implementation reads them
/// so, and old data has `URL` for `url`.
#[derive(Clone, PartialEq, Serialize)]
#[serde(into = "Map<String, Value>")]
pub struct TypedSpec(Map<String, Value>);

impl TypedSpec {
    /// Returns a specification of a type, without further fields.
    pub fn new(type_name: &str) -> Self {
        // As many as most have that are made.
        const FIELDS: usize = 6;
        let mut map = Map::with_capacity(FIELDS);
        map.insert("type".to_owned(), type_name.into());
        Self(map)
    }

    /// Takes an object that has a field `type` with some text.
    ///
    /// # Errors
    ///
    /// The value is not such an object.
    pub fn from_json(value: Value) -> Result<Self, FieldError> {
        match value {
            Value::Object(map) => map.try_into(),
            other => Err(FieldError {
                spec: String::new(),
                field: "type".to_owned(),
                problem: Problem::NoObject(json::describe(&other)),
            }),
        }
    }

    /// Returns the type as it is written, such as `localBlob` or `LocalBlob/v1`.
    pub fn type_text(&self) -> &str {
        self.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the object.
    pub const fn as_json(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns the object.
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }

    /// Returns this specification with one more field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0.insert(field.to_owned(), value.into());
        self
    }

    /// Returns this specification with one more field, unless there is nothing to set.
    #[must_use]
    pub fn with_some(self, field: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    /// Returns the value of a field, exact spelling first, `null` being absent.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let any_case = || {
            let mut fields = self.0.iter();
            fields
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        self.get(name)
            .or_else(any_case)
            .filter(|value| !value.is_null())
    }

    /// Looks a field up. Most specifications have so few that comparing is quicker than hashing.
    fn get(&self, name: &str) -> Option<&Value> {
        const FEW: usize = 8;
        if self.0.len() > FEW {
            return self.0.get(name);
        }
        let mut fields = self.0.iter();
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Returns the text in a field.
    ///
    /// # Errors
    ///
    /// The field has another type.
    pub fn text(&self, name: &str) -> Result<Option<String>, FieldError> {
        match self.field(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.unexpected(name, "a text", other)),
        }
    }

    /// Returns the text in a field that must be there.
    ///
    /// # Errors
    ///
    /// The field is missing or has another type.
    pub fn required_text(&self, name: &str) -> Result<String, FieldError> {
        self.text(name)?
            .ok_or_else(|| self.problem(name, Problem::Missing))
    }

    /// Returns the flag in a field, `false` if it is absent.
    ///
    /// # Errors
    ///
    /// The field has another type.
    pub fn flag(&self, name: &str) -> Result<bool, FieldError> {
        match self.field(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.unexpected(name, "a boolean", other)),
        }
    }

    /// Returns the number in a field that must be there.
    ///
    /// # Errors
    ///
    /// The field is missing or is no whole number from zero.
    pub fn required_size(&self, name: &str) -> Result<u64, FieldError> {
        let value = self
            .field(name)
            .ok_or_else(|| self.problem(name, Problem::Missing))?;
        value
            .as_u64()
            .ok_or_else(|| self.unexpected(name, "a whole number from zero", value))
    }

    /// Returns the map of lists of text in a field, such as HTTP headers.
    ///
    /// # Errors
    ///
    /// The field has another type.
    pub fn texts(&self, name: &str) -> Result<BTreeMap<String, Vec<String>>, FieldError> {
        let Some(value) = self.field(name) else {
            return Ok(BTreeMap::new());
        };
        BTreeMap::deserialize(value)
            .map_err(|_| self.unexpected(name, "a map of lists of text", value))
    }

    /// Returns the error that a field has a value which cannot be used.
    pub fn invalid(&self, field: &str, reason: &dyn fmt::Display) -> FieldError {
        self.problem(field, Problem::Invalid(reason.to_string()))
    }

    fn unexpected(&self, field: &str, expected: &'static str, actual: &Value) -> FieldError {
        let actual = json::describe(actual);
        self.problem(field, Problem::Unexpected { expected, actual })
    }

    fn problem(&self, field: &str, problem: Problem) -> FieldError {
        FieldError {
            spec: self.type_text().to_owned(),
            field: field.to_owned(),
            problem,
        }
    }
}

impl fmt::Debug for TypedSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

/// By hand, since a map of `serde_json` grows field by field, which takes longer than to read them.
impl<'de> Deserialize<'de> for TypedSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = TypedSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TypedSpec, A::Error> {
        const MOST: usize = 16;
        let mut fields = Map::with_capacity(map.size_hint().unwrap_or_default().min(MOST));
        while let Some((key, value)) = map.next_entry()? {
            fields.insert(key, value);
        }
        TypedSpec::try_from(fields).map_err(A::Error::custom)
    }
}

impl TryFrom<Map<String, Value>> for TypedSpec {
    type Error = FieldError;

    fn try_from(map: Map<String, Value>) -> Result<Self, Self::Error> {
        let problem = match map.get("type") {
            Some(Value::String(text)) if !text.is_empty() => return Ok(Self(map)),
            None | Some(Value::Null | Value::String(_)) => Problem::Missing,
            Some(other) => Problem::Unexpected {
                expected: "a text",
                actual: json::describe(other),
            },
        };
        Err(FieldError {
            spec: String::new(),
            field: "type".to_owned(),
            problem,
        })
    }
}

impl From<TypedSpec> for Map<String, Value> {
    fn from(spec: TypedSpec) -> Self {
        spec.0
    }
}

/// Why a field of a typed specification cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("field `{field}` of {} {problem}", name_of(.spec))]
pub struct FieldError {
    /// The type of the specification; empty if that is what is missing.
    pub spec: String,
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

fn name_of(spec: &str) -> String {
    if spec.is_empty() {
        "a typed specification".to_owned()
    } else {
        format!("`{spec}`")
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Problem {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// The specification is no object at all.
    #[error("cannot be read, for there is {0} in place of an object")]
    NoObject(&'static str),
    /// It has the wrong type.
    #[error("must be {expected}, not {actual}")]
    Unexpected {
        expected: &'static str,
        actual: &'static str,
    },
    /// Its text means nothing.
    #[error("is not usable: {0}")]
    Invalid(String),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> TypedSpec {
        TypedSpec::from_json(value).unwrap()
    }

    #[test]
    fn fields_are_found_in_any_case_but_exact_ones_first() {
        let wget = spec(json!({"type": "wget", "URL": "a", "x": 1}));
        assert_eq!(wget.required_text("url").unwrap(), "a");
        let both = spec(json!({"type": "wget", "URL": "a", "url": "b"}));
        assert_eq!(both.required_text("url").unwrap(), "b");
    }

    #[test]
    fn errors_name_the_specification_and_the_field() {
        let blob = spec(json!({"type": "localBlob", "mediaType": 1}));
        assert_eq!(
            blob.required_text("localReference")
                .unwrap_err()
                .to_string(),
            "field `localReference` of `localBlob` is missing"
        );
        assert_eq!(
            blob.text("mediaType").unwrap_err().to_string(),
            "field `mediaType` of `localBlob` must be a text, not a number"
        );
    }

    #[test]
    fn a_specification_without_type_is_refused() {
        for value in [
            json!({}),
            json!({"type": ""}),
            json!({"type": 1}),
            json!([]),
            json!(null),
        ] {
            assert!(TypedSpec::from_json(value).is_err());
        }
    }

    #[test]
    fn unknown_fields_pass_through() {
        let value = json!({"z": {"b": 1, "a": null}, "type": "x/v1"});
        assert_eq!(spec(value.clone()).into_json(), value);
    }
}
