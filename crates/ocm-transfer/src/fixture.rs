//! Descriptors for the tests of pure rules.

use ocm_model::Descriptor;
use serde_json::{Value, json};

/// Returns a component, with some fields set.
pub(crate) fn component(fields: Value) -> Value {
    let mut component = json!({
        "name": "acme.org/notes", "version": "1.0.0", "provider": "acme.org",
        "repositoryContexts": null, "resources": null, "sources": null, "componentReferences": null,
    });
    let Value::Object(fields) = fields else {
        panic!("fields are an object");
    };
    for (key, value) in fields {
        component[key] = value;
    }
    component
}

/// Returns the descriptor of a component.
#[track_caller]
pub(crate) fn descriptor(component: &Value) -> Descriptor {
    let document = json!({"meta": {"schemaVersion": "v2"}, "component": component});
    Descriptor::from_document(document).unwrap()
}

/// Returns a descriptor with signatures of some names.
#[track_caller]
pub(crate) fn signed(component: &Value, names: &[&str]) -> Descriptor {
    let signatures: Vec<Value> = names.iter().map(|name| signature(name)).collect();
    let document = json!({
        "meta": {"schemaVersion": "v2"}, "component": component, "signatures": signatures,
    });
    Descriptor::from_document(document).unwrap()
}

fn signature(name: &str) -> Value {
    json!({
        "name": name,
        "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "jsonNormalisation/v4alpha1",
            "value": "00"},
        "signature": {"algorithm": "test", "value": "00", "mediaType": "text/plain"},
    })
}
