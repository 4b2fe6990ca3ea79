//! Labels, and the provider, which has some.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A named value attached to a component, an element, a provider (OCM specification, "Labels").
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Label {
    /// The name; unique in its list.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// Any JSON value.
    #[serde(default)]
    pub value: Value,
    /// The version of the format of the value, such as `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether signatures cover the label.
    #[serde(
        default,
        deserialize_with = "flag",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub signing: bool,
    /// How two values are merged when component versions are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Label {
    /// Returns a label that signatures do not cover.
    pub fn new(name: &str, value: impl Into<Value>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
            ..Self::default()
        }
    }

    /// Returns a label that signatures cover.
    pub fn signing(name: &str, value: impl Into<Value>) -> Self {
        Self {
            signing: true,
            ..Self::new(name, value)
        }
    }
}

impl Label {
    /// Returns the name of the algorithm by which two values are merged: that of
    /// [`Label::merge`], else what old descriptors have in the field `mergeAlgorithm`.
    pub fn merge_algorithm(&self) -> Option<&str> {
        let current = self.merge.as_ref().map(|merge| merge.algorithm.as_str());
        let old = || self.extra.get("mergeAlgorithm").and_then(Value::as_str);
        current.filter(|name| !name.is_empty()).or_else(old)
    }
}

/// How two values of a label are merged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Merge {
    /// The algorithm, such as `simpleMapMerge`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub algorithm: String,
    /// What the algorithm is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

/// Who provides a component.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Provider {
    /// The name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// What else is said about the provider.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub labels: Vec<Label>,
}

impl Provider {
    /// Returns a provider without labels.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: Vec::new(),
        }
    }

    /// Reads the text of a descriptor: a name, or a JSON object with name and labels.
    pub fn from_text(text: &str) -> Self {
        if text.trim_start().starts_with('{')
            && let Ok(map) = crate::json::parse_object(text.as_bytes())
            && let Ok(provider) = Self::deserialize(Value::Object(map))
        {
            return provider;
        }
        Self::new(text)
    }

    /// Writes the text of a descriptor: the name, or a JSON object if there are labels.
    pub fn to_text(&self) -> String {
        if self.labels.is_empty() {
            return self.name.clone();
        }
        serde_json::to_string(self).expect("text and JSON values can be written")
    }
}

/// Takes a boolean, and the texts that old data has in its place.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(serde::de::Error::custom(format!(
            "`signing` must be a boolean, not {}",
            crate::json::describe(&other)
        ))),
    }
}

/// Takes `null` as if the field were absent.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_label_reads_as_it_is_written() {
        for value in [
            json!({"name": "a", "value": null}),
            json!({"name": "a", "value": [1, {"b": null}], "version": "v1", "signing": true}),
            json!({"name": "a", "value": 1, "merge": {"algorithm": "default", "config": {"x": 1}}}),
            json!({"name": "a", "value": "x", "mergeAlgorithm": "old"}),
        ] {
            let label: Label = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(label).unwrap(), value);
        }
    }

    #[test]
    fn signing_may_be_text() {
        let label: Label = serde_json::from_value(json!({"name": "a", "signing": "true"})).unwrap();
        assert!(label.signing);
        assert!(serde_json::from_value::<Label>(json!({"name": "a", "signing": 1})).is_err());
    }

    #[test]
    fn a_provider_is_a_name_or_an_object_as_text() {
        assert_eq!(Provider::from_text("acme"), Provider::new("acme"));
        assert_eq!(Provider::from_text("{broken"), Provider::new("{broken"));
        let text = r#" {"name":"acme","labels":[{"name":"a","value":1,"signing":true}]}"#;
        let provider = Provider::from_text(text);
        assert_eq!(provider.name, "acme");
        assert_eq!(provider.labels, [Label::signing("a", 1)]);
        assert_eq!(provider.to_text(), text.trim());
        assert_eq!(
            Provider::from_text(r#"{"name":"acme","labels":null}"#).to_text(),
            "acme"
        );
    }
}
