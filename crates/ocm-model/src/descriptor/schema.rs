//! The check of descriptors against their schema, which is a table.
//!
//! An error is what no view could be made of. A warning is what the published JSON schema
//! forbids, but descriptors in the field have.

mod table;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Descriptor, Error, Schema};
use crate::element::ElementKind;
use crate::identity::Identity;
use crate::schema::{self, Object, Severity, Step, Violation};

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
            let steps = [Step::Key("meta"), Step::Key("schemaVersion")];
            let message = "is missing".to_owned();
            Err(Error::Shape(Violation::new(
                &steps,
                message,
                Severity::Error,
            )))
        }
    }
}

/// Returns the table of a layout.
pub(super) const fn table(schema: Schema) -> &'static Object {
    match schema {
        Schema::V2 => &table::V2,
        Schema::V3Alpha1 => &table::V3ALPHA1,
    }
}

/// Checks a document against the table of its layout.
pub(super) fn check(schema: Schema, document: &Map<String, Value>) -> Vec<Violation> {
    schema::check(table(schema), document)
}

/// Checks what a table cannot say: identities, and the names of labels and signatures, are unique.
pub(super) fn check_uniqueness(descriptor: &Descriptor) -> Vec<Violation> {
    let mut violations = Vec::new();
    let component = descriptor.schema.component();
    unique_names(
        &[Step::Key(component), Step::Key("labels")],
        descriptor.raw_labels(),
        &mut violations,
    );
    for kind in ElementKind::ALL {
        let (holder, key) = descriptor.schema.list(kind);
        let mut seen = BTreeMap::new();
        for (index, element) in descriptor.list(kind).iter().enumerate() {
            let path = [Step::Key(holder), Step::Key(key), Step::Index(index)];
            let extra = element.get("extraIdentity");
            if extra.is_some_and(|extra| extra.get("name").is_some()) {
                let [holder, key, index] = path;
                let path = [holder, key, index, Step::Key("extraIdentity")];
                let message = "must not have the attribute `name`".to_owned();
                violations.push(Violation::new(&path, message, Severity::Warning));
            }
            if let Some(Value::Array(labels)) = element.get("labels") {
                let [holder, key, index] = path;
                let path = [holder, key, index, Step::Key("labels")];
                unique_names(&path, labels, &mut violations);
            }
            let attributes = super::lookup::attributes_of(element);
            if let Some(first) = seen.get(&attributes) {
                let identity: Identity = attributes.into_iter().collect();
                let message = format!("has the identity `{identity}` of {holder}.{key}[{first}]");
                violations.push(Violation::new(&path, message, Severity::Warning));
            } else {
                seen.insert(attributes, index);
            }
        }
    }
    if let Some(Value::Array(signatures)) = descriptor.document.get("signatures") {
        unique_names(&[Step::Key("signatures")], signatures, &mut violations);
    }
    violations
}

/// Checks that no two objects of a list have the same name.
fn unique_names(list: &[Step<'_>], objects: &[Value], violations: &mut Vec<Violation>) {
    let mut names = BTreeMap::new();
    for (index, object) in objects.iter().enumerate() {
        let Some(name) = object.get("name").and_then(Value::as_str) else {
            continue;
        };
        if let Some(first) = names.get(name) {
            let steps: Vec<Step<'_>> = [list, &[Step::Index(index)]].concat();
            let message = format!("has the name `{name}` of entry {first} of the list");
            violations.push(Violation::new(&steps, message, Severity::Warning));
        } else {
            names.insert(name, index);
        }
    }
}
