//! What kro makes of a graph of resources, as far as the examples use it: defaults of the schema of
//! an instance, and paths into it and into what was made before.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The resources of a graph, in an order in which they can be made, for one instance.
pub(super) struct Graph {
    resources: Vec<Value>,
    /// What expressions may name.
    known: BTreeMap<String, Value>,
    next: usize,
}

impl Graph {
    pub(super) fn new(definition: &Value, instance: &Value) -> Self {
        let schema = &definition["spec"]["schema"];
        assert_eq!(schema["kind"], instance["kind"]);
        let spec = with_defaults(&schema["spec"], &instance["spec"]);
        let mut values = Map::new();
        values.insert("spec".to_owned(), spec);
        Self {
            resources: definition["spec"]["resources"].as_array().unwrap().clone(),
            known: BTreeMap::from([("schema".to_owned(), Value::Object(values))]),
            next: 0,
        }
    }

    /// The next resource with its name in the graph, in which all expressions have a value.
    pub(super) fn next(&mut self) -> Option<(String, Value)> {
        let resource = self.resources.get(self.next)?;
        self.next += 1;
        let id = resource["id"].as_str().unwrap().to_owned();
        Some((id, self.evaluated(&resource["template"])))
    }

    /// Says what a resource has become in the cluster.
    pub(super) fn is(&mut self, id: String, object: Value) {
        self.known.insert(id, object);
    }

    fn evaluated(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|it| self.evaluated(it)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, it)| (name.clone(), self.evaluated(it)))
                .collect(),
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("${") else {
            return text.to_owned();
        };
        let (path, after) = rest.split_once('}').unwrap();
        let (id, path) = path.split_once('.').unwrap();
        let pointer = format!("/{}", path.replace('.', "/"));
        let known = self.known.get(id).and_then(|it| it.pointer(&pointer));
        let found = known.and_then(Value::as_str).filter(|it| !it.is_empty());
        let found = found.unwrap_or_else(|| panic!("nothing at {id}{pointer}"));
        format!("{before}{found}{}", self.text(after))
    }
}

/// An instance with the values that its schema, such as `string | default="a"`, has for what it does
/// not say.
fn with_defaults(schema: &Value, instance: &Value) -> Value {
    let mut spec = instance.as_object().cloned().unwrap_or_default();
    for (name, schema) in schema.as_object().unwrap() {
        let value = match schema.as_str() {
            Some(text) => {
                let default = text.split_once("default=").unwrap().1;
                let default = serde_json::from_str(default).unwrap();
                spec.get(name).cloned().unwrap_or(default)
            }
            None => with_defaults(schema, &spec.get(name).cloned().unwrap_or_default()),
        };
        spec.insert(name.clone(), value);
    }
    Value::Object(spec)
}

/// The objects of a manifest.
pub(super) fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// Tells whether an object is one that our controllers make ready.
pub(super) fn is_ours(object: &Value) -> bool {
    object["apiVersion"] == "delivery.ocm.software/v1alpha1"
}
