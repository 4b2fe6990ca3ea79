//! A value of a document together with its place, so that a refusal can say where.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::document::Error;
use crate::duration;
use crate::location::{Place, Source};

/// A borrowed value that knows where it stands.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) place: Place,
    pub(crate) source: &'a Source,
}

impl<'a> Node<'a> {
    pub(crate) fn top(value: &'a Value, source: &'a Source) -> Self {
        Self {
            value,
            place: Place::default(),
            source,
        }
    }

    /// Returns a field that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Self {
            value,
            place: self.place.field(name),
            source: self.source,
        })
    }

    pub(crate) fn require(&self, name: &'static str) -> Result<Self, Error> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    pub(crate) fn missing(&self, field: &'static str) -> Error {
        Error::Missing {
            at: self.source.locate(&self.place),
            field,
        }
    }

    /// Returns the elements of a list field; one that is absent has none, null elements are left out.
    pub(crate) fn items(&self, name: &str) -> Result<Vec<Self>, Error> {
        let Some(list) = self.get(name) else {
            return Ok(Vec::new());
        };
        let Value::Array(values) = list.value else {
            return Err(list.unexpected("a list"));
        };
        Ok(values
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_null())
            .map(|(index, value)| Self {
                value,
                place: list.place.index(index),
                source: self.source,
            })
            .collect())
    }

    pub(crate) fn object(&self) -> Result<&'a Map<String, Value>, Error> {
        self.value
            .as_object()
            .ok_or_else(|| self.unexpected("an object"))
    }

    pub(crate) fn text(&self) -> Result<&'a str, Error> {
        self.value.as_str().ok_or_else(|| self.unexpected("a text"))
    }

    /// Returns a text; a number or a boolean is taken as it is written, since `port: 5000` is
    /// what people write.
    pub(crate) fn scalar(&self) -> Result<String, Error> {
        scalar(self.value).ok_or_else(|| self.unexpected("a text"))
    }

    pub(crate) fn boolean(&self) -> Result<bool, Error> {
        self.value
            .as_bool()
            .ok_or_else(|| self.unexpected("true or false"))
    }

    pub(crate) fn integer(&self) -> Result<i64, Error> {
        self.value
            .as_i64()
            .ok_or_else(|| self.unexpected("a whole number"))
    }

    /// Returns a duration that is not negative.
    pub(crate) fn duration(&self) -> Result<Duration, Error> {
        duration::from_value(self.value).map_err(|reason| self.invalid(reason))
    }

    pub(crate) fn text_field(&self, name: &str) -> Result<Option<String>, Error> {
        self.get(name)
            .map(|node| node.text().map(str::to_owned))
            .transpose()
    }

    pub(crate) fn boolean_field(&self, name: &str) -> Result<Option<bool>, Error> {
        self.get(name).map(|node| node.boolean()).transpose()
    }

    pub(crate) fn duration_field(&self, name: &str) -> Result<Option<Duration>, Error> {
        self.get(name).map(|node| node.duration()).transpose()
    }

    pub(crate) fn unexpected(&self, expected: &'static str) -> Error {
        Error::Unexpected {
            at: self.source.locate(&self.place),
            expected,
            found: kind(self.value),
        }
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> Error {
        Error::Invalid {
            at: self.source.locate(&self.place),
            reason: reason.into(),
        }
    }
}

/// Returns a scalar as text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
