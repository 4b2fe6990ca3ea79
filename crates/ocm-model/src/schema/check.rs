//! The check of a document against a table.

use serde_json::{Map, Value};

use super::{Field, Need, Object, Rule, Severity, Shape, Step, Violation};
use crate::descriptor::MAX_ELEMENTS;
use crate::json::describe;

/// Finds everything in a document that breaks a rule of a table, in the order of the table.
pub fn check(object: &Object, document: &Map<String, Value>) -> Vec<Violation> {
    let mut checker = Checker::default();
    checker.object(object, document);
    checker.violations
}

/// Finds everything in a document of any shape that breaks a rule, as [`check`] does.
pub fn check_value(shape: impl Into<Shape>, document: &Value) -> Vec<Violation> {
    let mut checker = Checker::default();
    checker.value(&shape.into(), document);
    checker.violations
}

#[derive(Default)]
struct Checker<'a> {
    steps: Vec<Step<'a>>,
    violations: Vec<Violation>,
}

impl<'a> Checker<'a> {
    fn error(&mut self, message: impl Into<String>) {
        self.found(message.into(), Severity::Error);
    }

    fn warning(&mut self, message: impl Into<String>) {
        self.found(message.into(), Severity::Warning);
    }

    fn found(&mut self, message: String, severity: Severity) {
        let violation = Violation::new(&self.steps, message, severity);
        self.violations.push(violation);
    }

    fn within(&mut self, step: Step<'a>, check: impl FnOnce(&mut Self)) {
        self.steps.push(step);
        check(self);
        self.steps.pop();
    }

    fn value(&mut self, shape: &Shape, value: &'a Value) {
        match (shape, value) {
            (Shape::Any, _) | (Shape::Flag, Value::Bool(_)) => {}
            (Shape::Flag, Value::String(text)) if text == "true" || text == "false" => {
                self.warning("must be a boolean, not a text");
            }
            (Shape::Size, Value::Number(number)) if number.is_u64() => {}
            (Shape::Text(rule), Value::String(text)) => self.text(*rule, text),
            (Shape::Identity, Value::Object(map)) => self.identity(map),
            (Shape::TextLists, Value::Object(map)) => {
                for (key, list) in map {
                    self.within(Step::Key(key), |checker| {
                        checker.value(&Shape::List(&Shape::Text(Rule::Free)), list);
                    });
                }
            }
            (Shape::List(item), Value::Array(items)) => self.list(item, items),
            (Shape::Object(object) | Shape::ObjectOrText(object), Value::Object(map)) => {
                self.object(object, map);
            }
            (Shape::ObjectOrText(_), Value::String(text)) => self.text(Rule::NonEmpty, text),
            (Shape::Either(either), Value::Object(map)) if map.contains_key(either.key) => {
                self.object(either.with, map);
            }
            (Shape::Either(either), Value::Object(map)) => self.object(either.without, map),
            (Shape::Typed, Value::Object(map)) => self.typed(map),
            _ => {
                let expected = match shape {
                    Shape::Any => "anything",
                    Shape::Flag => "a boolean",
                    Shape::Size => "a whole number from zero",
                    Shape::Text(_) => "a text",
                    Shape::List(_) => "a list",
                    Shape::ObjectOrText(_) => "an object or a text",
                    Shape::Identity
                    | Shape::TextLists
                    | Shape::Object(_)
                    | Shape::Either(_)
                    | Shape::Typed => "an object",
                };
                self.error(format!("must be {expected}, not {}", describe(value)));
            }
        }
    }

    fn object(&mut self, object: &Object, map: &'a Map<String, Value>) {
        let mut present = [None; Object::MAX_FIELDS];
        let mut has_others = false;
        for (key, value) in map {
            match object.fields.iter().position(|field| field.name == key) {
                Some(index) => present[index] = Some(value),
                None => has_others = true,
            }
        }
        for (field, value) in object.fields.iter().zip(present) {
            if value.is_none() && field.need == Need::Optional {
                continue;
            }
            self.within(Step::Key(field.name), |checker| checker.field(field, value));
        }
        if object.is_closed && has_others {
            for key in map.keys() {
                if object.fields.iter().all(|field| field.name != key) {
                    self.within(Step::Key(key), |checker| {
                        checker.warning("is not allowed here");
                    });
                }
            }
        }
    }

    fn field(&mut self, field: &Field, value: Option<&'a Value>) {
        match (value, field.need) {
            (Some(Value::Null), _) if field.is_nullable => {}
            (Some(Value::Null), _) if matches!(field.shape, Shape::Any) => {}
            (None | Some(Value::Null), Need::Required) => self.error("is missing"),
            (None | Some(Value::Null), Need::Expected) => self.warning("is missing"),
            (Some(Value::Null), Need::Optional) => self.warning("must not be null"),
            (None, Need::Optional) => {}
            (Some(value), _) => self.value(&field.shape, value),
        }
    }

    fn list(&mut self, item: &Shape, items: &'a [Value]) {
        if items.len() > MAX_ELEMENTS {
            let count = items.len();
            return self.error(format!("has {count} entries, more than {MAX_ELEMENTS}"));
        }
        for (index, value) in items.iter().enumerate() {
            self.within(Step::Index(index), |checker| checker.value(item, value));
        }
    }

    fn identity(&mut self, map: &'a Map<String, Value>) {
        for (key, value) in map {
            self.within(Step::Key(key), |checker| {
                if !value.is_string() {
                    checker.error(format!("must be a text, not {}", describe(value)));
                }
                checker.text(Rule::ElementName, key);
            });
        }
    }

    fn typed(&mut self, map: &'a Map<String, Value>) {
        self.within(Step::Key("type"), |checker| match map.get("type") {
            Some(Value::String(text)) if !text.is_empty() => checker.text(Rule::TypeName, text),
            None | Some(Value::Null | Value::String(_)) => checker.error("is missing"),
            Some(other) => checker.error(format!("must be a text, not {}", describe(other))),
        });
    }

    fn text(&mut self, rule: Rule, text: &str) {
        if let Err((severity, message)) = rule.check(text) {
            self.found(message, severity);
        }
    }
}
