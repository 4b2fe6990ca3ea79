//! Our definitions beside those that the Go controllers publish.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ocm_controllers::api::definitions;
use serde_json::{Value, json};

/// What ours have beyond the published ones, as pointers into the schema of a kind. Everything
/// below is optional.
const BEYOND: &[(&str, &[&str])] = &[
    (
        "Component",
        &[
            "/properties/spec/properties/sign",
            "/properties/spec/x-kubernetes-validations",
        ],
    ),
    ("Deployer", &["/properties/status/properties/appliedDigest"]),
    (
        "Replication",
        &[
            "/properties/spec/properties/componentRef/properties/namespace",
            "/properties/spec/properties/interval",
            "/properties/status/properties/history",
        ],
    ),
    ("Repository", &[]),
    (
        "Resource",
        &[
            "/properties/spec/properties/componentRef/properties/namespace",
            "/properties/spec/properties/interval",
            "/properties/spec/properties/skipVerify",
        ],
    ),
];

/// The entries of `ocmConfig` have short forms for secrets and config maps, so they are compared
/// apart. Rules about them have a price, which the API server only grants to a list that ends.
const CONFIG: &str = "/properties/spec/properties/ocmConfig/items";
const CONFIG_LIMIT: &str = "/properties/spec/properties/ocmConfig/maxItems";

/// The definitions of the Go controllers, by their kind.
pub(crate) fn published() -> BTreeMap<String, Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/crds");
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("the published definitions") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|it| it == "yaml") {
            let text = fs::read_to_string(&path).expect("a definition");
            let definition: Value = serde_saphyr::from_str(&text).expect("YAML");
            kinds.insert(kind(&definition), definition);
        }
    }
    kinds
}

fn ours() -> BTreeMap<String, Value> {
    let definitions = definitions().into_iter();
    let definitions = definitions.map(|it| serde_json::to_value(it).expect("as JSON"));
    definitions.map(|it| (kind(&it), it)).collect()
}

fn kind(definition: &Value) -> String {
    let kind = definition["spec"]["names"]["kind"].as_str();
    kind.expect("a kind").to_owned()
}

/// The schema of a kind without prose, and without what the API server adds itself.
fn schema(definition: &Value) -> Value {
    let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    without_prose(&mut schema);
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.retain(|name, _| name == "spec" || name == "status");
    }
    schema
}

fn without_prose(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    object.remove("description");
    // The API server fills in defaults before it asks for what is required.
    let properties = object.get("properties").cloned().unwrap_or_default();
    if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| {
            properties[name.as_str().expect("a name")]
                .get("default")
                .is_none()
        });
        required.sort_by_key(Value::to_string);
        if required.is_empty() {
            object.remove("required");
        }
    }
    if let Some(minimum) = object.get_mut("minimum") {
        *minimum = json!(minimum.as_f64());
    }
    if let Some(values) = object.get_mut("enum").and_then(Value::as_array_mut) {
        values.sort_by_key(Value::to_string);
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(without_prose);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            without_prose(inner);
        }
    }
    for rule in object
        .get_mut("x-kubernetes-validations")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let text = rule["rule"].as_str().expect("a rule");
        rule["rule"] = json!(text.replace('\'', "\""));
    }
}

/// Takes the value at a pointer away.
fn take(value: &mut Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut);
    let taken = parent.and_then(|object| object.remove(name));
    taken.unwrap_or_else(|| panic!("there is no {pointer}"))
}

#[test]
fn schemas_are_those_of_the_go_controllers_and_what_is_listed() {
    let published = published();
    let ours = ours();
    assert_eq!(ours.len(), 5);
    for (kind, beyond) in BEYOND {
        let mut ours = schema(&ours[*kind]);
        let mut theirs = schema(&published[*kind]);
        for pointer in *beyond {
            take(&mut ours, pointer);
        }
        assert_eq!(take(&mut ours, CONFIG_LIMIT), json!(128));
        take(&mut ours, CONFIG);
        take(&mut theirs, CONFIG);
        assert_same(kind, &ours, &theirs);
    }
}

#[test]
fn entries_of_ocm_config_have_short_forms() {
    for (kind, definition) in ours() {
        let mut ours = schema(&definition);
        let mut theirs = schema(&published()[&kind]);
        let mut ours = take(&mut ours, CONFIG);
        let theirs = take(&mut theirs, CONFIG);
        let reference = json!({
            "type": "object",
            "properties": { "name": { "type": "string", "default": "" } },
            "x-kubernetes-map-type": "atomic",
        });
        assert_eq!(take(&mut ours, "/properties/secretRef"), reference);
        assert_eq!(take(&mut ours, "/properties/configMapRef"), reference);
        assert_eq!(ours.get("required"), None);
        assert_eq!(theirs["required"], json!(["kind", "name"]));
        assert_eq!(ours["properties"], theirs["properties"], "{kind}");
    }
}

#[test]
fn names_scopes_columns_and_subresources_are_the_same() {
    let ours = ours();
    for (kind, theirs) in published() {
        let ours = &ours[&kind];
        assert_eq!(ours["metadata"]["name"], theirs["metadata"]["name"]);
        assert_eq!(ours["spec"]["group"], theirs["spec"]["group"]);
        assert_eq!(ours["spec"]["scope"], theirs["spec"]["scope"]);
        for name in ["kind", "plural", "singular", "shortNames", "categories"] {
            assert_eq!(ours["spec"]["names"][name], theirs["spec"]["names"][name]);
        }
        let (ours, theirs) = (&ours["spec"]["versions"], &theirs["spec"]["versions"]);
        assert_eq!(ours.as_array().map(Vec::len), Some(1));
        for name in ["name", "served", "storage", "subresources"] {
            assert_eq!(ours[0][name], theirs[0][name], "{kind}: {name}");
        }
        let columns = |version: &Value| {
            let mut columns = version["additionalPrinterColumns"].clone();
            columns
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(without_prose);
            columns
        };
        assert_eq!(columns(&ours[0]), columns(&theirs[0]), "{kind}");
    }
}

fn assert_same(kind: &str, ours: &Value, theirs: &Value) {
    let text = |value: &Value| serde_saphyr::to_string(&sorted(value)).expect("as YAML");
    let (ours, theirs) = (text(ours), text(theirs));
    let diff = similar::TextDiff::from_lines(&theirs, &ours);
    let diff = diff.unified_diff().to_string();
    assert!(diff.is_empty(), "{kind}:\n{diff}");
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|entry| entry.0);
            let entries = entries.into_iter();
            entries
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
