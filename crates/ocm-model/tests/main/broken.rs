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
