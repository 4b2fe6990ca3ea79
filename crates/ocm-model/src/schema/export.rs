//! A table as JSON schema (draft 2020-12).

use serde_json::{Map, Value, json};

use super::{Either, Field, Need, Object, Rule, Shape};

/// Returns the JSON schema of a table. `id` is what others name it by.
///
/// It refuses what [`check_value`](super::check_value) finds anything in, warnings included. Old
/// names of fields, and limits of size, are left out.
pub fn to_json_schema(shape: impl Into<Shape>, id: &str) -> Value {
    let mut definitions = Definitions::default();
    let shape = shape.into();
    let mut root = Map::new();
    root.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    root.insert("$id".to_owned(), id.into());
    match shape {
        Shape::Object(object) => {
            root.insert("title".to_owned(), object.about.into());
            root.extend(definitions.object(object));
        }
        Shape::Either(either) => {
            root.insert("title".to_owned(), either.about.into());
            root.extend(definitions.either(either));
        }
        other => {
            root.insert("allOf".to_owned(), json!([definitions.shape(&other)]));
        }
    }
    let mut named = Value::Object(definitions.0);
    named.sort_all_objects();
    if named != json!({}) {
        root.insert("$defs".to_owned(), named);
    }
    Value::Object(root)
}

/// What has a name.
#[derive(Default)]
struct Definitions(Map<String, Value>);

impl Definitions {
    fn object(&mut self, object: &Object) -> Map<String, Value> {
        let published = || object.fields.iter().filter(|field| !field.is_old);
        let properties: Map<String, Value> = published()
            .map(|field| (field.name.to_owned(), self.field(field)))
            .collect();
        let required: Vec<&str> = published()
            .filter(|field| field.need != Need::Optional)
            .map(|field| field.name)
            .collect();
        let mut schema = Map::new();
        schema.insert("description".to_owned(), object.about.into());
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        if object.is_closed {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        schema
    }

    fn field(&mut self, field: &Field) -> Value {
        let shape = self.shape(&field.shape);
        if field.is_nullable {
            json!({"anyOf": [shape, {"type": "null"}]})
        } else {
            shape
        }
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Any => json!(true),
            Shape::Flag => json!({"type": "boolean"}),
            Shape::Size => json!({"type": "integer", "minimum": 0}),
            Shape::Text(rule) => self.text(*rule),
            Shape::Identity => {
                let name = self.text(Rule::ElementName);
                self.named("identity", || {
                    json!({
                        "description": "What identifies an element beside its name",
                        "type": "object",
                        "propertyNames": name,
                        "additionalProperties": {"type": "string"},
                    })
                })
            }
            Shape::TextLists => json!({
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
            }),
            Shape::List(item) => json!({"type": "array", "items": self.shape(item)}),
            Shape::Object(object) => self.named_object(object),
            Shape::ObjectOrText(object) => {
                let text = self.text(Rule::NonEmpty);
                json!({"anyOf": [self.named_object(object), text]})
            }
            Shape::Either(either) => self.either(either).into(),
            Shape::Typed => {
                let name = self.text(Rule::TypeName);
                self.named("typed", || {
                    json!({
                        "description": "A specification whose type says what else it has",
                        "type": "object",
                        "properties": {"type": name},
                        "required": ["type"],
                    })
                })
            }
        }
    }

    fn named_object(&mut self, object: &Object) -> Value {
        if !self.0.contains_key(object.name) {
            // Holds the place: objects may be within each other.
            self.0.insert(object.name.to_owned(), Value::Null);
            let definition = self.object(object);
            self.0.insert(object.name.to_owned(), definition.into());
        }
        reference(object.name)
    }

    fn either(&mut self, either: &Either) -> Map<String, Value> {
        let mut schema = Map::new();
        schema.insert("description".to_owned(), either.about.into());
        schema.insert("if".to_owned(), json!({"required": [either.key]}));
        schema.insert("then".to_owned(), self.named_object(either.with));
        schema.insert("else".to_owned(), self.named_object(either.without));
        schema
    }

    fn text(&mut self, rule: Rule) -> Value {
        match rule {
            Rule::Free => json!({"type": "string"}),
            Rule::NonEmpty => json!({"type": "string", "minLength": 1}),
            Rule::SchemaVersion => json!({"type": "string", "pattern": "^v2"}),
            Rule::ComponentName => self.named("componentName", || {
                json!({
                    "description": "A DNS domain and a path, such as acme.org/shop",
                    "type": "string",
                    "maxLength": 255,
                    "pattern": COMPONENT_NAME,
                })
            }),
            Rule::ElementName => self.named("elementName", || {
                json!({
                    "description": "Lower-case letters, digits, -, _ and +",
                    "type": "string",
                    "minLength": 2,
                    "pattern": "^[a-z0-9]([-_+a-z0-9]*[a-z0-9])?$",
                })
            }),
            Rule::Version => self.named("version", || {
                json!({
                    "description": "A semantic version; a leading v, and the last two numbers, are optional",
                    "type": "string",
                    "maxLength": 255,
                    "pattern": VERSION,
                })
            }),
            Rule::TypeName => self.named("typeName", || {
                json!({
                    "description": "A type and the version of its format, such as LocalBlob/v1",
                    "type": "string",
                    "pattern": "^[a-zA-Z0-9]",
                })
            }),
            Rule::OneOf(names) => json!({"enum": names}),
            Rule::Time => json!({"type": "string", "format": "date-time"}),
            Rule::Relation => json!({"enum": ["local", "external"]}),
            Rule::LabelVersion => json!({"type": "string", "pattern": "^v[0-9]+$"}),
            Rule::MergeAlgorithm => {
                json!({"type": "string", "pattern": "^[a-z][a-z0-9/_-]+$"})
            }
        }
    }

    fn named(&mut self, name: &str, definition: impl FnOnce() -> Value) -> Value {
        let entry = self.0.entry(name);
        entry.or_insert_with(definition);
        reference(name)
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

const COMPONENT_NAME: &str =
    "^[a-z][-a-z0-9]*([.][a-z][-a-z0-9]*)*[.][a-z]{2,}(/[a-z][-a-z0-9_]*([.][a-z][-a-z0-9_]*)*)+$";

const VERSION: &str = concat!(
    "^v?(0|[1-9][0-9]*)([.](0|[1-9][0-9]*)([.](0|[1-9][0-9]*))?)?",
    "(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)([.](0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?",
    "([+][0-9a-zA-Z-]+([.][0-9a-zA-Z-]+)*)?$"
);
