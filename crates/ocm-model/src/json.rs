//! JSON in and out: the one parser for foreign bytes, and the two ways we write.
//!
//! [`parse`] refuses what a signature must not depend on: duplicate keys, of which readers keep
//! different ones. [`canonical`] writes RFC 8785, the form that is hashed; [`compact`] writes the
//! form in which descriptors are stored.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error as ThisError;

/// How many values and keys a document may have, all levels together, where each object counts for
/// six more: enough for a descriptor with 13 000 resources that have labels, identities and digests.
///
/// The size of a document does not bound the memory that it takes: two bytes (`0,`) become a value
/// of 72, and an object takes as much as seven of them. So the worst document that is accepted takes
/// some 70 MiB, and commands that hold a few copies of it do with 256 MiB.
pub const MAX_NODES: usize = 1_000_000;

/// How many values an object counts for, besides itself and what is in it.
const OBJECT: usize = 6;

/// Parses one JSON document. Keys keep their order.
///
/// # Errors
///
/// The bytes are no JSON, an object has a key twice, values nest deeper than 128 levels, a number
/// does not fit a double, or there is more than [`MAX_NODES`] of them.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    match std::str::from_utf8(bytes) {
        // Each text would be looked at again.
        Ok(text) => parse_by(serde_json::Deserializer::from_str(text)),
        Err(_) => parse_by(serde_json::Deserializer::from_slice(bytes)),
    }
}

fn parse_by<'de, R: serde_json::de::Read<'de>>(
    mut deserializer: serde_json::Deserializer<R>,
) -> Result<Value, Error> {
    let path = RefCell::new(Vec::new());
    let pending = RefCell::new(Vec::new());
    let left = Cell::new(MAX_NODES);
    let parsed = Unique {
        path: &path,
        pending: &pending,
        left: &left,
    };
    let parsed = parsed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| Error {
        line: error.line(),
        column: error.column(),
        path: render_path(&path.borrow()),
        message: message_of(&error),
    })
}

/// Parses one JSON document whose root is an object.
///
/// # Errors
///
/// As [`parse`], or the root is something else.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    match parse(bytes)? {
        Value::Object(map) => Ok(map),
        other => Err(Error {
            line: 1,
            column: 1,
            path: String::new(),
            message: format!("expected an object, found {}", describe(&other)),
        }),
    }
}

/// Writes the canonical form of RFC 8785: keys sorted by UTF-16 code units, numbers as ECMAScript
/// prints them, no spaces.
pub fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("a JSON value has only finite numbers")
}

/// Writes a value compactly, the keys of each object sorted, without a final newline.
///
/// These are the bytes that the Go implementation stores for the same value, so that manifests
/// that hold them get the same digest: `<`, `>`, `&` and the two Unicode line separators are
/// escaped as its encoder does.
pub fn compact(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write_compact(value, &mut out);
    out.into_bytes()
}

/// Names the type of a value, with its article, for messages.
pub(crate) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Which characters of a text are escaped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Escapes {
    /// Those that JSON does not allow otherwise, as RFC 8785 has it.
    Needed,
    /// Those of Go's `encoding/json`: also `<`, `>`, `&` and the two Unicode line separators.
    OfGo,
}

/// Which bytes make a text one that may have something to escape. A separator starts with the last
/// of them, as do other characters.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    let others = *b"\"\\<>&\xe2";
    let mut index = 0;
    while index < others.len() {
        special[others[index] as usize] = true;
        index += 1;
    }
    special
};

/// Writes a text in quotes.
pub(crate) fn write_text(text: &str, escapes: Escapes, out: &mut String) {
    use fmt::Write as _;
    // Nearly all texts have nothing to escape.
    let is_special = |found, byte| found | SPECIAL[usize::from(byte)];
    let may_be_special = text.bytes().fold(false, is_special);
    out.reserve(text.len() + 2);
    out.push('"');
    if !may_be_special {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let separator = byte == 0xe2 && text[at..].starts_with(['\u{2028}', '\u{2029}']);
        let special = match byte {
            b'"' | b'\\' | 0..=0x1f => true,
            b'<' | b'>' | b'&' => escapes == Escapes::OfGo,
            _ => separator && escapes == Escapes::OfGo,
        };
        if !special {
            continue;
        }
        let character = text[at..].chars().next().unwrap_or_default();
        out.push_str(&text[plain..at]);
        plain = at + character.len_utf8();
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            other => {
                write!(out, "\\u{:04x}", u32::from(other)).expect("a String takes any text");
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Tells whether a number is the zero whose sign only the canonical form drops.
pub(crate) fn is_negative_zero(number: &Number) -> bool {
    number
        .as_f64()
        .is_some_and(|number| number == 0.0 && number.is_sign_negative())
}

/// Writes a value as [`compact`] does.
pub(crate) fn write_compact(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) if is_negative_zero(number) => out.push_str("-0"),
        Value::Number(number) if number.is_f64() => {
            out.push_str(&String::from_utf8_lossy(&canonical(value)));
        }
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_text(text, Escapes::OfGo, out),
        Value::Array(items) => write_list(items, out, |_, item, out| write_compact(item, out)),
        Value::Object(map) => write_compact_object(map, out),
    }
}

/// Writes an object as [`compact`] does.
pub(crate) fn write_compact_object(map: &Map<String, Value>, out: &mut String) {
    write_object(map, out, |_, value, out| write_compact(value, out));
}

/// Writes a list whose items `write` writes, each with its index.
pub(crate) fn write_list(
    items: &[Value],
    out: &mut String,
    mut write: impl FnMut(usize, &Value, &mut String),
) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(index, item, out);
    }
    out.push(']');
}

/// Writes an object as [`compact`] does, where `write` writes the values, each with its key.
pub(crate) fn write_object(
    map: &Map<String, Value>,
    out: &mut String,
    mut write: impl FnMut(&str, &Value, &mut String),
) {
    out.push('{');
    let mut entry = |index: usize, key: &str, item: &Value| {
        if index > 0 {
            out.push(',');
        }
        write_text(key, Escapes::OfGo, out);
        out.push(':');
        write(key, item, out);
    };
    if map.keys().is_sorted() {
        for (index, (key, item)) in map.iter().enumerate() {
            entry(index, key, item);
        }
    } else {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        for (index, (key, item)) in entries.into_iter().enumerate() {
            entry(index, key, item);
        }
    }
    out.push('}');
}

/// Builds a [`Value`].
#[derive(Clone, Copy)]
struct Unique<'a> {
    /// Where an error is, the innermost step first: each level adds its own on the way out, so
    /// that a document without errors pays nothing for it.
    path: &'a RefCell<Vec<Step>>,
    pending: &'a RefCell<Vec<(String, Value)>>,
    /// How many more values and keys there may be.
    left: &'a Cell<usize>,
}

impl Unique<'_> {
    /// Counts a value or a key.
    fn count<E: de::Error>(self) -> Result<(), E> {
        self.count_as(1)
    }

    /// Counts something that takes as much memory as so many values.
    fn count_as<E: de::Error>(self, values: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(values).ok_or_else(|| {
            E::custom(format_args!(
                "more than {MAX_NODES} values and keys in one document"
            ))
        })?;
        self.left.set(left);
        Ok(())
    }

    /// Adds to the path of an error.
    fn within<T, E>(self, parsed: Result<T, E>, step: impl FnOnce() -> Step) -> Result<T, E> {
        if parsed.is_err() {
            self.path.borrow_mut().push(step());
        }
        parsed
    }
}

enum Step {
    Key(String),
    Index(usize),
}

/// How many steps of a path are shown; who nests deeper wants no help.
const SHOWN_STEPS: usize = 16;

fn render_path(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps.iter().rev().take(SHOWN_STEPS) {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => {
                out.push('.');
                out.push_str(key);
            }
            Step::Index(index) => {
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
        }
    }
    if steps.len() > SHOWN_STEPS {
        out.push('…');
    }
    out
}

/// The parser's words without the position that it appends to them.
fn message_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) =
            self.within(items.next_element_seed(self), || Step::Index(list.len()))?
        {
            list.push(item);
        }
        // A list of one would keep room for four.
        list.shrink_to_fit();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.count_as(OBJECT)?;
        let mut object = Entries::new(self.pending);
        while let Some(key) = entries.next_key::<String>()? {
            let value = self.count().and_then(|()| {
                if object.has(&key) {
                    return Err(de::Error::custom("key appears twice in one object"));
                }
                entries.next_value_seed(self)
            });
            let value = self.within(value, || Step::Key(key.clone()))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object.finish()))
    }
}

/// The entries of an object while it is read.
///
/// A map that grows has up to twice the room that it needs, and descriptors consist of small
/// objects. So the map is made when the number of entries is known, unless there are many.
struct Entries<'a> {
    /// The entries of all objects that are being read, the innermost last.
    pending: &'a RefCell<Vec<(String, Value)>>,
    /// Where those of this object start.
    start: usize,
    many: Map<String, Value>,
}

impl<'a> Entries<'a> {
    /// How many keys are compared one by one.
    const FEW: usize = 16;

    fn new(pending: &'a RefCell<Vec<(String, Value)>>) -> Self {
        Self {
            pending,
            start: pending.borrow().len(),
            many: Map::new(),
        }
    }

    fn has(&self, key: &str) -> bool {
        let pending = self.pending.borrow();
        let mut few = pending[self.start..].iter();
        few.any(|(known, _)| known == key) || self.many.contains_key(key)
    }

    fn insert(&mut self, key: String, value: Value) {
        let mut pending = self.pending.borrow_mut();
        pending.push((key, value));
        if pending.len() - self.start > Self::FEW || !self.many.is_empty() {
            self.many.extend(pending.drain(self.start..));
        }
    }

    fn finish(self) -> Map<String, Value> {
        if self.many.is_empty() {
            self.pending.borrow_mut().drain(self.start..).collect()
        } else {
            self.many
        }
    }
}

/// Why bytes are not acceptable JSON.
#[derive(Clone, Debug, Eq, ThisError, PartialEq)]
#[error("line {line}, column {column}{}: {message}", at(.path))]
pub struct Error {
    /// The line of the offence, from 1.
    pub line: usize,
    /// The column of the offence in bytes, from 1.
    pub column: usize,
    /// The path of the value being read, such as `component.resources[2].name`; empty at the root.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

fn at(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(", at `{path}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_duplicate_key_is_refused_and_located() {
        assert_eq!(
            message("{\"a\": [1, {\"b\": 1,\n \"b\": 2}]}"),
            "line 2, column 4, at `a[1].b`: key appears twice in one object"
        );
    }

    #[test]
    fn escapes_do_not_hide_a_duplicate_key() {
        assert!(message(r#"{"a": 1, "\u0061": 2}"#).contains("twice"));
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_no_overflow() {
        let deep = "[".repeat(100_000);
        assert!(message(&deep).contains("recursion limit"));
        let deep = "{\"a\":".repeat(100_000);
        assert!(message(&deep).contains("recursion limit"));
    }

    #[test]
    fn too_many_values_are_refused_where_they_start_to_be() {
        let list = |count: usize| format!("{{\"a\": [0{}]}}", ",0".repeat(count - 1));
        let fitting = MAX_NODES - 3 - OBJECT;
        assert!(parse(list(fitting).as_bytes()).is_ok());
        assert_eq!(
            message(&list(fitting + 1)),
            format!(
                "line 1, column {}, at `a[{fitting}]`: more than 1000000 values and keys in one \
                 document",
                "{\"a\": [".len() + 2 * fitting
            )
        );
    }

    #[test]
    fn objects_count_for_what_they_take() {
        let list = |count: usize| format!("[{{}}{}]", ",{}".repeat(count - 1));
        let fitting = (MAX_NODES - 1) / (1 + OBJECT);
        assert!(parse(list(fitting).as_bytes()).is_ok());
        let error = message(&list(fitting + 1));
        assert!(error.contains("more than 1000000 values"), "{error}");
    }

    #[test]
    fn keys_count_as_well() {
        let keys: Vec<String> = (0..MAX_NODES / 2).map(|n| format!("\"{n}\":0")).collect();
        let error = message(&format!("{{{}}}", keys.join(",")));
        assert!(error.contains("more than 1000000 values"), "{error}");
    }

    #[test]
    fn numbers_that_fit_no_double_are_refused() {
        assert!(message("[1e400]").contains("out of range"));
        assert_eq!(
            message("[NaN]"),
            "line 1, column 2, at `[0]`: expected value"
        );
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert!(message("{} {}").contains("trailing characters"));
        assert!(parse(b"\xff").is_err());
        assert!(parse(b"").is_err());
    }

    #[test]
    fn keys_keep_their_order_and_are_sorted_on_writing() {
        let value = parse(br#"{"b": 1, "a": {"d": [true, null], "c": 1.50}}"#).unwrap();
        assert_eq!(
            value.to_string(),
            r#"{"b":1,"a":{"d":[true,null],"c":1.5}}"#
        );
        assert_eq!(compact(&value), br#"{"a":{"c":1.5,"d":[true,null]},"b":1}"#);
    }

    #[test]
    fn canonical_numbers_are_those_of_ecmascript() {
        let value = parse(b"[1e21, 1e-7, 9007199254740993, 100.0, -0.0, 0.1]").unwrap();
        assert_eq!(
            String::from_utf8(canonical(&value)).unwrap(),
            "[1e+21,1e-7,9007199254740992,100,0,0.1]"
        );
    }

    #[test]
    fn a_stored_number_reads_as_it_was() {
        let written = compact(&parse(b"[-0.0, 0.0, 1e3, 1e22]").unwrap());
        assert_eq!(String::from_utf8_lossy(&written), "[-0,0,1000,1e+22]");
        assert_eq!(compact(&parse(&written).unwrap()), written);
    }

    #[test]
    fn canonical_keys_are_sorted_by_utf16() {
        let value = parse("{\"\u{fb33}\": 1, \"\u{1f600}\": 2}".as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(canonical(&value)).unwrap(),
            "{\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn compact_text_is_escaped_as_go_does() {
        let value = Value::String("<a&b>\u{2028}\u{1}\t\"\u{e4}\"".to_owned());
        assert_eq!(
            String::from_utf8(compact(&value)).unwrap(),
            "\"\\u003ca\\u0026b\\u003e\\u2028\\u0001\\t\\\"\u{e4}\\\"\""
        );
    }

    #[test]
    fn a_root_that_is_no_object_is_named() {
        assert!(
            parse_object(b"[]")
                .unwrap_err()
                .to_string()
                .ends_with("found a list")
        );
    }
}
