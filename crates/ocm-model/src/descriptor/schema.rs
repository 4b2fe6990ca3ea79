//! The schema of descriptors as a table, and the check against it.
//!
//! An error is what no view could be made of. A warning is what the published JSON schema
//! forbids, but descriptors in the field have.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

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

enum Shape {
    Any,
    Flag,
    Text(Rule),
    /// A map of texts whose keys are element names.
    Texts,
    List(&'static Self),
    Object(&'static Object),
    /// An object with a type.
    Typed,
}

struct Object {
    fields: &'static [Field],
    /// Whether other fields are forbidden.
    closed: bool,
}

struct Field {
    name: &'static str,
    shape: Shape,
    need: Need,
}

#[derive(Clone, Copy, PartialEq)]
enum Need {
    Optional,
    /// Demanded by the schema, but a view can do without.
    Expected,
    Required,
}

#[derive(Clone, Copy)]
enum Rule {
    Free,
    NonEmpty,
    SchemaVersion,
    ComponentName,
    ElementName,
    Version,
    TypeName,
    Relation,
    LabelVersion,
    MergeAlgorithm,
}

const fn field(name: &'static str, shape: Shape, need: Need) -> Field {
    Field { name, shape, need }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Need::Optional)
}

const fn expected(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Need::Expected)
}

const fn required(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Need::Required)
}

const fn open(fields: &'static [Field]) -> Object {
    Object {
        fields,
        closed: false,
    }
}

const fn closed(fields: &'static [Field]) -> Object {
    Object {
        fields,
        closed: true,
    }
}

const V2: Object = open(&[
    required("meta", Shape::Object(&META)),
    required("component", Shape::Object(&COMPONENT)),
    optional("signatures", Shape::List(&Shape::Object(&SIGNATURE))),
    optional("nestedDigests", Shape::List(&Shape::Object(&NESTED))),
]);

const META: Object = open(&[required("schemaVersion", Shape::Text(Rule::SchemaVersion))]);

const COMPONENT: Object = open(&[
    required("name", Shape::Text(Rule::ComponentName)),
    required("version", Shape::Text(Rule::Version)),
    optional("labels", LABELS),
    optional("creationTime", Shape::Text(Rule::Free)),
    expected("provider", Shape::Text(Rule::NonEmpty)),
    expected("repositoryContexts", Shape::List(&Shape::Typed)),
    expected("sources", Shape::List(&Shape::Object(&SOURCE))),
    expected(
        "componentReferences",
        Shape::List(&Shape::Object(&REFERENCE)),
    ),
    expected("resources", Shape::List(&Shape::Object(&RESOURCE))),
]);

const V3ALPHA1: Object = open(&[
    required("apiVersion", Shape::Text(Rule::Free)),
    expected("kind", Shape::Text(Rule::NonEmpty)),
    required("metadata", Shape::Object(&METADATA)),
    optional("repositoryContexts", Shape::List(&Shape::Typed)),
    optional("spec", Shape::Object(&SPEC)),
    optional("signatures", Shape::List(&Shape::Object(&SIGNATURE))),
    optional("nestedDigests", Shape::List(&Shape::Object(&NESTED))),
]);

const METADATA: Object = open(&[
    required("name", Shape::Text(Rule::ComponentName)),
    required("version", Shape::Text(Rule::Version)),
    optional("labels", LABELS),
    optional("creationTime", Shape::Text(Rule::Free)),
    expected("provider", Shape::Object(&PROVIDER)),
]);

const PROVIDER: Object = open(&[
    expected("name", Shape::Text(Rule::NonEmpty)),
    optional("labels", LABELS),
]);

const SPEC: Object = open(&[
    optional("resources", Shape::List(&Shape::Object(&RESOURCE))),
    optional("sources", Shape::List(&Shape::Object(&SOURCE))),
    optional("references", Shape::List(&Shape::Object(&REFERENCE))),
]);

const RESOURCE: Object = open(&[
    expected("name", Shape::Text(Rule::ElementName)),
    required("version", Shape::Text(Rule::Version)),
    expected("type", Shape::Text(Rule::NonEmpty)),
    expected("relation", Shape::Text(Rule::Relation)),
    optional("extraIdentity", Shape::Texts),
    optional("labels", LABELS),
    optional("srcRefs", Shape::List(&Shape::Object(&SRC_REF))),
    optional("srcRef", Shape::List(&Shape::Object(&SRC_REF))),
    expected("access", Shape::Typed),
    optional("digest", Shape::Object(&DIGEST)),
]);

const SOURCE: Object = open(&[
    expected("name", Shape::Text(Rule::ElementName)),
    required("version", Shape::Text(Rule::Version)),
    expected("type", Shape::Text(Rule::NonEmpty)),
    optional("extraIdentity", Shape::Texts),
    optional("labels", LABELS),
    expected("access", Shape::Typed),
]);

const REFERENCE: Object = closed(&[
    expected("name", Shape::Text(Rule::ElementName)),
    required("componentName", Shape::Text(Rule::ComponentName)),
    required("version", Shape::Text(Rule::Version)),
    optional("extraIdentity", Shape::Texts),
    optional("labels", LABELS),
    optional("digest", Shape::Object(&DIGEST)),
]);

const SRC_REF: Object = closed(&[
    optional("identitySelector", Shape::Texts),
    optional("labels", LABELS),
]);

const LABELS: Shape = Shape::List(&Shape::Object(&LABEL));

const LABEL: Object = open(&[
    expected("name", Shape::Text(Rule::NonEmpty)),
    expected("value", Shape::Any),
    optional("version", Shape::Text(Rule::LabelVersion)),
    optional("signing", Shape::Flag),
    optional("merge", Shape::Object(&MERGE)),
]);

const MERGE: Object = closed(&[
    optional("algorithm", Shape::Text(Rule::MergeAlgorithm)),
    optional("config", Shape::Any),
]);

const DIGEST: Object = open(&[
    expected("hashAlgorithm", Shape::Text(Rule::Free)),
    expected("normalisationAlgorithm", Shape::Text(Rule::Free)),
    expected("value", Shape::Text(Rule::Free)),
]);

const SIGNATURE: Object = closed(&[
    required("name", Shape::Text(Rule::NonEmpty)),
    required("digest", Shape::Object(&DIGEST)),
    required("signature", Shape::Object(&SIGNATURE_INFO)),
    optional("timestamp", Shape::Object(&TIMESTAMP)),
]);

const SIGNATURE_INFO: Object = open(&[
    expected("algorithm", Shape::Text(Rule::NonEmpty)),
    expected("value", Shape::Text(Rule::NonEmpty)),
    expected("mediaType", Shape::Text(Rule::NonEmpty)),
    optional("issuer", Shape::Text(Rule::NonEmpty)),
]);

const TIMESTAMP: Object = open(&[
    optional("value", Shape::Text(Rule::NonEmpty)),
    optional("time", Shape::Text(Rule::Free)),
]);

const NESTED: Object = open(&[
    required("name", Shape::Text(Rule::ComponentName)),
    expected("version", Shape::Text(Rule::Version)),
    optional("digest", Shape::Object(&DIGEST)),
    optional(
        "resourceDigests",
        Shape::List(&Shape::Object(&NESTED_RESOURCE)),
    ),
]);

const NESTED_RESOURCE: Object = open(&[
    required("name", Shape::Text(Rule::NonEmpty)),
    optional("version", Shape::Text(Rule::Free)),
    optional("extraIdentity", Shape::Texts),
    optional("digest", Shape::Object(&DIGEST)),
]);

/// Tells the layout of a document.
pub(super) fn detect(document: &Value) -> Result<Schema, Error> {
    let Value::Object(document) = document else {
        let message = format!("expected an object, found {}", describe(document));
        return Err(Error::Shape(Violation::error("(root)", message)));
    };
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
pub(super) fn check(schema: Schema, document: &Value) -> Vec<Violation> {
    let table = match schema {
        Schema::V2 => &V2,
        Schema::V3Alpha1 => &V3ALPHA1,
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
    fn error(&mut self, message: String) {
        self.violations.push(Violation::error(&self.path, message));
    }

    fn warning(&mut self, message: String) {
        self.violations
            .push(Violation::warning(&self.path, message));
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
                self.warning("must be a boolean, not a text".to_owned());
            }
            (Shape::Text(rule), Value::String(text)) => self.text(*rule, text),
            (Shape::Texts, Value::Object(map)) => self.texts(map),
            (Shape::List(item), Value::Array(items)) => self.list(item, items),
            (Shape::Object(object), Value::Object(_)) => self.object(object, value),
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

    fn object(&mut self, object: &Object, value: &Value) {
        let Value::Object(map) = value else {
            return self.value(&Shape::Object(&V2), value);
        };
        for field in object.fields {
            let present = map.get(field.name);
            self.within(field.name, |checker| match (present, field.need) {
                (None | Some(Value::Null), Need::Required) => {
                    checker.error("is missing".to_owned())
                }
                (None, Need::Expected) => checker.warning("is missing".to_owned()),
                // The schema allows null where a list is expected, and for a label's value.
                (Some(Value::Null), Need::Expected) => match field.shape {
                    Shape::List(_) | Shape::Any => {}
                    // A text has no view for null, and an empty one for absent.
                    Shape::Text(_) => checker.error("must be a text, not null".to_owned()),
                    _ => checker.warning("is missing".to_owned()),
                },
                (None | Some(Value::Null), Need::Optional) => {}
                (Some(value), _) => checker.value(&field.shape, value),
            });
        }
        if object.closed {
            for key in map.keys() {
                if object.fields.iter().all(|field| field.name != key) {
                    self.within(key, |checker| {
                        checker.warning("is not allowed here".to_owned())
                    });
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
            None | Some(Value::Null | Value::String(_)) => checker.error("is missing".to_owned()),
            Some(other) => checker.error(format!("must be a text, not {}", describe(other))),
        });
    }

    fn text(&mut self, rule: Rule, text: &str) {
        match rule {
            Rule::Free | Rule::SchemaVersion => {}
            Rule::NonEmpty => {
                if text.is_empty() {
                    self.warning("must not be empty".to_owned());
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
