//! Documents that differ from a good one in one place.

use serde_json::{Map, Value, json};

/// A document with one change.
pub(crate) struct Broken {
    /// The JSON pointer of what was changed.
    pub(crate) pointer: String,
    /// What was done there.
    pub(crate) change: String,
    pub(crate) document: Value,
}

/// Changes every value of a document in every way.
pub(crate) fn every_way(document: &Value) -> Vec<Broken> {
    let mut pointers = Vec::new();
    collect(document, String::new(), &mut pointers);
    let mut all = Vec::new();
    for pointer in pointers {
        let mut add = |change: String, edit: &dyn Fn(&mut Value)| {
            let mut document = document.clone();
            edit(document.pointer_mut(&pointer).unwrap());
            all.push(Broken {
                pointer: pointer.clone(),
                change,
                document,
            });
        };
        for value in replacements() {
            add(format!("becomes {value}"), &|at| *at = value.clone());
        }
        let value = document.pointer(&pointer).unwrap();
        if let Value::Object(map) = value {
            add("gets a field".to_owned(), &|at| {
                object(at).insert("more".to_owned(), json!(1));
            });
            for key in map.keys() {
                add(format!("loses {key}"), &|at| {
                    object(at).shift_remove(key);
                });
            }
        }
        if let Value::String(text) = value {
            for (what, other) in [
                ("is doubled", format!("{text}{text}")),
                ("is in capitals", text.to_uppercase()),
                ("gets a blank", format!("{text} ")),
                ("loses its start", text.chars().skip(1).collect()),
            ] {
                add(what.to_owned(), &|at| *at = other.clone().into());
            }
        }
    }
    all
}

/// One of each type, and texts that some rule refuses.
fn replacements() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!([]),
        json!([null]),
        json!([{}]),
        json!({}),
        json!({"a": "b"}),
        json!({"os": 1}),
        json!({"type": "x"}),
        json!(""),
        json!("a"),
        json!("true"),
        json!("v1"),
        json!("01.2.3"),
        json!("1.2.3.4"),
        json!("acme.org"),
        json!("acme.org/x"),
        json!("2026-01-31"),
        json!("\u{fc}"),
    ]
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{index}"), pointers);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let step = key.replace('~', "~0").replace('/', "~1");
                collect(item, format!("{pointer}/{step}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(pointer);
}

/// A descriptor that has everything which a descriptor can have.
pub(crate) fn everything() -> Value {
    let label = json!({
        "name": "acme.org/note", "value": {"a": null, "b": [1]}, "version": "v1", "signing": true,
        "merge": {"algorithm": "default", "config": {"overwrite": "none"}},
    });
    let plain = json!({"name": "plain", "value": [null, 1.5, "x"]});
    let digest = json!({
        "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1", "value": "00",
    });
    json!({
        "meta": {"schemaVersion": "v2", "new": 1},
        "component": {
            "name": "acme.org/notes", "version": "1.0.0-rc.1+b", "provider": "acme.org",
            "creationTime": "2026-01-01T00:00:00Z",
            "labels": [label, plain],
            "repositoryContexts": [{"type": "OCIRegistry", "baseUrl": "ghcr.io", "new": null}],
            "resources": [
                {
                    "name": "image", "version": "v1.0", "type": "ociImage", "relation": "local",
                    "extraIdentity": {"os": "linux", "architecture": "amd64"},
                    "srcRefs": [{"identitySelector": {"name": "code"}, "labels": [plain]}],
                    "labels": [label],
                    "access": {"type": "LocalBlob/v1", "localReference": "sha256:00", "mediaType": "a/b"},
                    "digest": digest, "new": {"a": []},
                },
                {
                    "name": "chart", "version": "2", "type": "landscaper.gardener.cloud/blueprint",
                    "relation": "external", "access": {"type": "none"}, "labels": null,
                    "srcRefs": null, "digest": null,
                },
            ],
            "sources": [{
                "name": "code", "version": "1.0.0", "type": "git", "extraIdentity": {"vcs": "git"},
                "labels": [plain], "access": {"type": "gitHub", "repoUrl": "x", "commit": "y"},
            }],
            "componentReferences": [{
                "name": "leaf", "componentName": "acme.org/leaf", "version": "2.0.0",
                "extraIdentity": {"role": "leaf"}, "labels": [label], "digest": digest,
            }],
            "new": {"b": 1, "a": 2},
        },
        "signatures": [{
            "name": "one", "digest": digest,
            "signature": {
                "algorithm": "RSASSA-PSS", "value": "ff", "mediaType": "m", "issuer": "CN=x", "new": 1,
            },
            "timestamp": {"value": "PEM", "time": "2026-01-01T00:00:00Z", "new": 2},
        }],
        "nestedDigests": [{
            "name": "acme.org/leaf", "version": "2.0.0", "digest": digest, "new": 3,
            "resourceDigests": [{
                "name": "data", "version": "1", "extraIdentity": {"os": "linux"}, "digest": digest,
            }],
        }],
        "new": [{"z": null, "y": []}],
    })
}

/// The same in the layout v3alpha1.
pub(crate) fn everything_v3alpha1() -> Value {
    let all = everything();
    let component = &all["component"];
    json!({
        "apiVersion": "ocm.software/v3alpha1",
        "kind": "ComponentVersion",
        "metadata": {
            "name": component["name"], "version": component["version"],
            "creationTime": component["creationTime"], "labels": component["labels"],
            "provider": {"name": "acme.org", "labels": component["labels"], "new": 1},
        },
        "repositoryContexts": component["repositoryContexts"],
        "spec": {
            "resources": component["resources"], "sources": component["sources"],
            "references": component["componentReferences"], "new": 1,
        },
        "signatures": all["signatures"],
        "nestedDigests": all["nestedDigests"],
        "new": 1,
    })
}
