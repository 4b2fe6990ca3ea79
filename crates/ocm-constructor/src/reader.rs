//! Reading a parsed YAML document field by field, collecting everything that is wrong with it.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ocm_model::yaml::{Located, Position};
use serde_json::{Map, Value};

use crate::constructor::Problem;
use crate::place::Place;
use crate::template::Expanded;

/// One document of a file, and what has been found out about it.
pub(crate) struct Document<'a> {
    pub(crate) file: Arc<str>,
    pub(crate) located: Located,
    /// The lines of the file before this document.
    pub(crate) offset: u64,
    pub(crate) text: &'a Expanded,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'a> Document<'a> {
    pub(crate) const fn new(
        file: Arc<str>,
        located: Located,
        offset: u64,
        text: &'a Expanded,
    ) -> Self {
        Self {
            file,
            located,
            offset,
            text,
            problems: RefCell::new(Vec::new()),
            warnings: RefCell::new(Vec::new()),
        }
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node {
            document: self,
            value: &self.located.value,
            key: "",
            pointer: String::new(),
            path: String::new(),
        }
    }

    /// Returns the problems and the warnings, each in the order of the file.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |found: RefCell<Vec<Problem>>| {
            let mut found = found.into_inner();
            found.sort_by_key(|problem| problem.place.position);
            found
        };
        (sorted(self.problems), sorted(self.warnings))
    }

    fn position(&self, pointer: &str) -> Position {
        let mut position = self.located.position(pointer);
        position.line += self.offset;
        self.text.original(position)
    }
}

/// A value in a document. What returns `None` has reported why.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    document: &'a Document<'a>,
    pub(crate) value: &'a Value,
    /// The key that the value stands under, empty in lists and at the root.
    key: &'a str,
    pointer: String,
    path: String,
}

impl<'a> Node<'a> {
    pub(crate) fn place(&self) -> Place {
        Place {
            file: Arc::clone(&self.document.file),
            position: self.document.position(&self.pointer),
            path: self.path.clone(),
        }
    }

    pub(crate) fn problem(&self, message: impl Into<String>) {
        let place = self.place();
        self.document.problems.borrow_mut().push(Problem {
            place,
            message: message.into(),
        });
    }

    pub(crate) fn warning(&self, message: impl Into<String>) {
        let place = self.place();
        self.document.warnings.borrow_mut().push(Problem {
            place,
            message: message.into(),
        });
    }

    /// Reports that the value has another type.
    pub(crate) fn unexpected(&self, expected: &str) {
        let hint = match self.value {
            Value::Number(_) | Value::Bool(_) if expected == "a text" => " (put it in quotes)",
            _ => "",
        };
        let actual = describe(self.value);
        self.problem(format!("must be {expected}, not {actual}{hint}"));
    }

    /// Takes an object that has no other than these fields.
    pub(crate) fn object(&self, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.open_object()?;
        for node in fields.nodes() {
            let key = node.key();
            if !known.contains(&key) {
                let hint = match nearest(key, known) {
                    Some(near) => format!("; did you mean `{near}`?"),
                    None => format!("; known are {}", listed(known)),
                };
                node.problem(format!("is not a known field{hint}"));
            }
        }
        Some(fields)
    }

    /// Takes an object, whatever its fields.
    pub(crate) fn open_object(&self) -> Option<Fields<'a>> {
        let Value::Object(map) = self.value else {
            self.unexpected("an object");
            return None;
        };
        Some(Fields {
            node: self.clone(),
            map,
        })
    }

    /// Takes a list.
    pub(crate) fn list(&self) -> Option<Vec<Self>> {
        let Value::Array(items) = self.value else {
            self.unexpected("a list");
            return None;
        };
        let item = |(index, value)| Self {
            document: self.document,
            value,
            key: "",
            pointer: format!("{}/{index}", self.pointer),
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Takes a text.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.unexpected("a text");
        }
        text
    }

    /// Takes a text that is not empty.
    pub(crate) fn filled_text(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.is_empty() {
            self.problem("must not be empty");
            return None;
        }
        Some(text)
    }

    /// Takes a text that means something.
    pub(crate) fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Option<T> {
        match self.text()?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(error.to_string());
                None
            }
        }
    }

    /// Takes a boolean.
    pub(crate) fn flag(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.unexpected("a boolean");
        }
        flag
    }

    /// Returns the key that this value stands under.
    pub(crate) const fn key(&self) -> &'a str {
        self.key
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

/// The fields of an object.
pub(crate) struct Fields<'a> {
    node: Node<'a>,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Returns a field, `null` being absent.
    pub(crate) fn optional(&self, name: &str) -> Option<Node<'a>> {
        let (key, value) = self.map.get_key_value(name)?;
        (!value.is_null()).then(|| self.child(key, value))
    }

    /// Returns a field that must be there.
    pub(crate) fn required(&self, name: &str) -> Option<Node<'a>> {
        let field = self.optional(name);
        if field.is_none() {
            self.node.problem(format!("`{name}` is missing"));
        }
        field
    }

    /// Returns whether there is a field, be it `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Returns all fields.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node<'a>> {
        self.map.iter().map(|(key, value)| self.child(key, value))
    }

    /// Returns the names and values of all fields.
    pub(crate) const fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    fn child(&self, key: &'a str, value: &'a Value) -> Node<'a> {
        let step = key.replace('~', "~0").replace('/', "~1");
        let dot = if self.node.path.is_empty() { "" } else { "." };
        Node {
            document: self.node.document,
            value,
            key,
            pointer: format!("{}/{step}", self.node.pointer),
            path: format!("{}{dot}{key}", self.node.path),
        }
    }
}

/// Reads a field that need not be there.
pub(crate) fn optional<'a, T>(
    fields: &Fields<'a>,
    key: &str,
    read: impl FnOnce(&Node<'a>) -> Option<T>,
) -> Result<Option<T>, Reported> {
    let field = fields.optional(key);
    field.map(|node| read(&node).ok_or(Reported)).transpose()
}

/// A field is there, and what is wrong with it has been reported.
pub(crate) struct Reported;

/// Names the type of a value, with its article.
pub(crate) const fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Lists names in backticks.
pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Finds the name that differs in up to two characters, or in upper and lower case.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |other: &&str| edit_distance(&name.to_lowercase(), &other.to_lowercase());
    let allowed = 2.min(name.chars().count().saturating_sub(1) / 2);
    let near = known.iter().copied().min_by_key(distance)?;
    (distance(&near) <= allowed).then_some(near)
}

fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["resources", "sources", "name", "type"];
        assert_eq!(nearest("resource", &known), Some("resources"));
        assert_eq!(nearest("Sources", &known), Some("sources"));
        assert_eq!(nearest("nmae", &known), None);
        assert_eq!(nearest("resorces", &known), Some("resources"));
        assert_eq!(nearest("signatures", &known), None);
    }
}
