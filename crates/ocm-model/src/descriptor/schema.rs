//! The check of descriptors against their schema, which is a table.
//!
//! An error is what no view could be made of. A warning is what the published JSON schema
//! forbids, but descriptors in the field have.

mod table;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use self::table::{Need, Object, Rule, Shape};
use super::{Descriptor, Error, MAX_ELEMENTS, Schema};
use crate::element::ElementKind;
use crate::json::describe;
use crate::name::{ComponentName, ElementName};
use crate::version::Version;

/// A rule that a descriptor breaks.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Violation {
    /// Where, such as `component.resources[2].name`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
    /// How much it matters.
    pub severity: Severity,
}

/// How much a broken rule matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The descriptor can be used.
    Warning,
    /// The descriptor cannot be used.
    Error,
}

impl Violation {
    pub(super) fn error(path: &str, message: String) -> Self {
        Self::new(path, message, Severity::Error)
    }

    fn warning(path: &str, message: String) -> Self {
        Self::new(path, message, Severity::Warning)
    }

    fn new(path: &str, message: String, severity: Severity) -> Self {
        Self {
            path: path.to_owned(),
            message,
            severity,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Violation {}

/// Tells the layout of a document.
pub(super) fn detect(document: &Map<String, Value>) -> Result<Schema, Error> {
    let unknown = |version: &str| Error::UnknownSchema {
        version: version.to_owned(),
    };
    match document.get("apiVersion") {
        Some(Value::String(version)) if version == "ocm.software/v3alpha1" => {
            return Ok(Schema::V3Alpha1);
        }
        Some(Value::String(version)) if !document.contains_key("meta") => {
            return Err(unknown(version));
        }
        _ => {}
    }
    let version = document
        .get("meta")
        .and_then(|meta| meta.get("schemaVersion"));
    match version.and_then(Value::as_str) {
        Some(version) if version.starts_with("v2") => Ok(Schema::V2),
        Some(version) => Err(unknown(version)),
        None => {
            let message = "is missing".to_owned();
            Err(Error::Shape(Violation::error(
                "meta.schemaVersion",
                message,
            )))
        }
    }
}

/// Checks a document against the table.
pub(super) fn check(schema: Schema, document: &Map<String, Value>) -> Vec<Violation> {
    let table = match schema {
        Schema::V2 => &table::V2,
        Schema::V3Alpha1 => &table::V3ALPHA1,
    };
    let mut checker = Checker::default();
    checker.object(table, document);
    checker.violations
}

/// Checks what a table cannot say: identities and the names of signatures are unique.
pub(super) fn check_uniqueness(descriptor: &Descriptor) -> Vec<Violation> {
    let mut violations = Vec::new();
    for kind in ElementKind::ALL {
        let (holder, key) = descriptor.schema.list(kind);
        let mut seen = BTreeMap::new();
        for (index, element) in descriptor.list(kind).iter().enumerate() {
            let path = format!("{holder}.{key}[{index}]");
            let identity = super::lookup::identity_of(element);
            if element
                .get("extraIdentity")
                .is_some_and(|extra| extra.get("name").is_some())
            {
                let message = "must not have the attribute `name`".to_owned();
                violations.push(Violation::warning(
                    &format!("{path}.extraIdentity"),
                    message,
                ));
            }
            if let Some(first) = seen.get(&identity) {
                let message = format!("has the identity `{identity}` of {holder}.{key}[{first}]");
                violations.push(Violation::warning(&path, message));
            } else {
                seen.insert(identity, index);
            }
        }
    }
    let mut names = BTreeMap::new();
    for (index, signature) in descriptor.signatures().into_iter().enumerate() {
        if let Some(first) = names.insert(signature.name.clone(), index) {
            let message = format!("has the name `{}` of signatures[{first}]", signature.name);
            violations.push(Violation::warning(&format!("signatures[{index}]"), message));
        }
    }
    violations
}

#[derive(Default)]
struct Checker {
    path: String,
    violations: Vec<Violation>,
}

impl Checker {
    fn error(&mut self, message: impl Into<String>) {
        let violation = Violation::error(&self.path, message.into());
        self.violations.push(violation);
    }

    fn warning(&mut self, message: impl Into<String>) {
        let violation = Violation::warning(&self.path, message.into());
        self.violations.push(violation);
    }

    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        check(self);
        self.path.truncate(length);
    }

    fn value(&mut self, shape: &Shape, value: &Value) {
        match (shape, value) {
            (Shape::Any, _) | (Shape::Flag, Value::Bool(_)) => {}
            (Shape::Flag, Value::String(text)) if text == "true" || text == "false" => {
                self.warning("must be a boolean, not a text");
            }
            (Shape::Text(rule), Value::String(text)) => self.text(*rule, text),
            (Shape::Texts, Value::Object(map)) => self.texts(map),
            (Shape::List(item), Value::Array(items)) => self.list(item, items),
            (Shape::Object(object), Value::Object(map)) => self.object(object, map),
            (Shape::Typed, Value::Object(map)) => self.typed(map),
            _ => {
                let expected = match shape {
                    Shape::Any => "anything",
                    Shape::Flag => "a boolean",
                    Shape::Text(_) => "a text",
                    Shape::List(_) => "a list",
                    Shape::Texts | Shape::Object(_) | Shape::Typed => "an object",
                };
                self.error(format!("must be {expected}, not {}", describe(value)));
            }
        }
    }

    fn object(&mut self, object: &Object, map: &Map<String, Value>) {
        for field in object.fields {
            let present = map.get(field.name);
            self.within(field.name, |checker| match (present, field.need) {
                (None | Some(Value::Null), Need::Required) => checker.error("is missing"),
                (None, Need::Expected) => checker.warning("is missing"),
                // The schema allows null where a list is expected, and for a label's value.
                (Some(Value::Null), Need::Expected) => match field.shape {
                    Shape::List(_) | Shape::Any => {}
                    _ => checker.warning("is missing"),
                },
                (None | Some(Value::Null), Need::Optional) => {}
                (Some(value), _) => checker.value(&field.shape, value),
            });
        }
        if object.closed {
            for key in map.keys() {
                if object.fields.iter().all(|field| field.name != key) {
                    self.within(key, |checker| checker.warning("is not allowed here"));
                }
            }
        }
    }

    fn list(&mut self, item: &Shape, items: &[Value]) {
        if items.len() > MAX_ELEMENTS {
            return self.error(format!(
                "has {} entries, more than {MAX_ELEMENTS}",
                items.len()
            ));
        }
        for (index, value) in items.iter().enumerate() {
            self.within(&format!("[{index}]"), |checker| checker.value(item, value));
        }
    }

    fn texts(&mut self, map: &Map<String, Value>) {
        for (key, value) in map {
            self.within(key, |checker| {
                if !value.is_string() {
                    checker.error(format!("must be a text, not {}", describe(value)));
                }
                if let Err(error) = key.parse::<ElementName>() {
                    checker.warning(error.to_string());
                }
            });
        }
    }

    fn typed(&mut self, map: &Map<String, Value>) {
        self.within("type", |checker| match map.get("type") {
            Some(Value::String(text)) if !text.is_empty() => checker.text(Rule::TypeName, text),
            None | Some(Value::Null | Value::String(_)) => checker.error("is missing"),
            Some(other) => checker.error(format!("must be a text, not {}", describe(other))),
        });
    }

    fn text(&mut self, rule: Rule, text: &str) {
        match rule {
            Rule::Free | Rule::SchemaVersion => {}
            Rule::NonEmpty => {
                if text.is_empty() {
                    self.warning("must not be empty");
                }
            }
            Rule::ComponentName => {
                if let Err(error) = text.parse::<ComponentName>() {
                    self.error(error.to_string());
                }
            }
            Rule::ElementName => {
                if let Err(error) = text.parse::<ElementName>() {
                    self.warning(error.to_string());
                }
            }
            Rule::Version => match Version::lenient(text) {
                Err(error) => self.error(error.to_string()),
                Ok(version) if !version.is_semver() => {
                    self.warning(format!("`{version}` is not a semantic version"));
                }
                Ok(_) => {}
            },
            Rule::TypeName => {
                // The pattern of the schema is not anchored at its end.
                if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
                    self.warning(format!("`{text}` is not a type such as `LocalBlob/v1`"));
                }
            }
            Rule::Time => {
                if !text.is_empty() && text.parse::<jiff::Timestamp>().is_err() {
                    self.warning(format!(
                        "`{text}` is not a time such as `2026-01-31T12:00:00Z`"
                    ));
                }
            }
            Rule::Relation => {
                if !matches!(text, "local" | "external") {
                    self.error(format!("must be `local` or `external`, not `{text}`"));
                }
            }
            Rule::LabelVersion => {
                let number = text.strip_prefix('v').unwrap_or_default();
                if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    self.warning(format!("`{text}` is not a version such as `v1`"));
                }
            }
            Rule::MergeAlgorithm => {
                let well_formed = text.len() >= 2
                    && text.starts_with(|first: char| first.is_ascii_lowercase())
                    && text.bytes().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/_-".contains(&byte)
                    });
                if !well_formed {
                    self.warning(format!("`{text}` is not the name of a merge algorithm"));
                }
            }
        }
    }
}
