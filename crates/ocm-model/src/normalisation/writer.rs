//! How a normalised descriptor is written: its entries in order, without a tree in between.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::json::{self, Escapes, is_negative_zero, write_text};

/// How objects and texts look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// RFC 8785.
    Canonical,
    /// jsonNormalisation/v1: every object is a list of one-entry objects, and text is escaped as
    /// Go's encoder does.
    Entries,
}

/// Collects the bytes of a normalised descriptor.
pub(super) struct Writer {
    form: Form,
    /// Whether entries with `null` are left out, at every depth. In lists `null` stays.
    drops_null: bool,
    out: String,
}

impl Writer {
    pub(super) const fn new(form: Form, drops_null: bool) -> Self {
        Self {
            form,
            drops_null,
            out: String::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    pub(super) fn text(&mut self, text: &str) {
        let escapes = match self.form {
            Form::Canonical => Escapes::Needed,
            Form::Entries => Escapes::OfGo,
        };
        write_text(text, escapes, &mut self.out);
    }

    pub(super) fn null(&mut self) {
        self.out.push_str("null");
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.out.push_str(if flag { "true" } else { "false" });
    }

    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
        self.out.push(']');
    }

    /// Writes an object. `fill` adds its entries, sorted by key.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        self.out.push(match self.form {
            Form::Canonical => '{',
            Form::Entries => '[',
        });
        let mut object = Object {
            writer: self,
            last: None,
        };
        fill(&mut object);
        self.out.push(match self.form {
            Form::Canonical => '}',
            Form::Entries => ']',
        });
    }

    /// Writes a value of others. The Go implementations leave entries without a name out, at every
    /// depth and in either form, so signatures do not cover them.
    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(flag) => self.flag(*flag),
            Value::Number(number) => self.number(number, value),
            Value::String(text) => self.text(text),
            Value::Array(items) => self.list(items, Self::value),
            Value::Object(map) => {
                let mut entries: Vec<(&str, &Value)> = map
                    .iter()
                    .filter(|(key, item)| !(key.is_empty() || self.drops_null && item.is_null()))
                    .map(|(key, item)| (key.as_str(), item))
                    .collect();
                self.sort(&mut entries);
                self.object(|object| {
                    for (key, item) in entries {
                        object.foreign(key, |writer| writer.value(item));
                    }
                });
            }
        }
    }

    /// Sorts entries by key as the form demands.
    pub(super) fn sort<T>(&self, entries: &mut [(&str, T)]) {
        let form = self.form;
        entries.sort_unstable_by(|(left, _), (right, _)| order(form, left, right));
    }

    fn number(&mut self, number: &Number, value: &Value) {
        // The whole numbers that a double holds are written as they are.
        const EXACT: u64 = 1 << 53;
        match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) if whole <= EXACT => self.out.push_str(&whole.to_string()),
            (_, Some(whole)) if whole.unsigned_abs() <= EXACT => {
                self.out.push_str(&whole.to_string());
            }
            // Go prints a double as ECMAScript does, except that it keeps the sign of zero.
            _ if self.form == Form::Entries && is_negative_zero(number) => self.out.push_str("-0"),
            _ => (self.out).push_str(&String::from_utf8_lossy(&json::canonical(value))),
        }
    }
}

/// By UTF-16 code units in RFC 8785, by bytes in Go.
fn order(form: Form, left: &str, right: &str) -> Ordering {
    match form {
        Form::Canonical if !(left.is_ascii() && right.is_ascii()) => {
            left.encode_utf16().cmp(right.encode_utf16())
        }
        _ => left.cmp(right),
    }
}

/// An object that is being written.
pub(super) struct Object<'a> {
    writer: &'a mut Writer,
    last: Option<&'static str>,
}

impl Object<'_> {
    /// Adds an entry.
    pub(super) fn entry(&mut self, key: &'static str, write: impl FnOnce(&mut Writer)) {
        debug_assert!(self.last < Some(key), "{key} comes after {:?}", self.last);
        self.foreign(key, write);
        self.last = Some(key);
    }

    /// Adds an entry whose key is not ours. Its order is the caller's care.
    pub(super) fn foreign(&mut self, key: &str, write: impl FnOnce(&mut Writer)) {
        let writer = &mut *self.writer;
        if self.last.is_some() {
            writer.out.push(',');
        }
        self.last = Some("");
        let is_object = writer.form == Form::Entries;
        if is_object {
            writer.out.push('{');
        }
        writer.text(key);
        writer.out.push(':');
        write(writer);
        if is_object {
            writer.out.push('}');
        }
    }

    /// Adds an entry with text.
    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.entry(key, |writer| writer.text(text));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(form: Form, value: &Value) -> String {
        let mut writer = Writer::new(form, false);
        writer.value(value);
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn objects_are_lists_of_their_entries_in_v1() {
        let value = json!({"b": [1, {}], "a": {"d": null, "c": "<&>"}, "n": [-0.0, 1e21]});
        assert_eq!(
            written(Form::Entries, &value),
            concat!(
                r#"[{"a":[{"c":"\u003c\u0026\u003e"},{"d":null}]},{"b":[1,[]]},"#,
                r#"{"n":[-0,1e+21]}]"#
            )
        );
    }

    /// The examples of the specification ("Examples for Signing of Component Versions") are lists of
    /// entries.
    #[test]
    fn lists_of_entries_are_those_of_the_examples_of_the_specification() {
        macro_rules! data {
            ($name:literal) => {
                include_str!(concat!(
                    "../../../../conformance/normalisation/entry-lists/",
                    $name
                ))
            };
        }
        for (document, entries, digest) in [
            (
                data!("simple.json"),
                data!("simple.entries.json"),
                "01c211f5c9cfd7c40e5b84d66a2fb7d19cb0d65174b06c57b403c2ad9fdf8ed2",
            ),
            (
                data!("with-reference.json"),
                data!("with-reference.entries.json"),
                "01801dfb56ba7b4033b8177e53e689644f1447c8270004b2c05c5fe45aa1063f",
            ),
        ] {
            let document = json::parse(document.as_bytes()).unwrap();
            let text = written(Form::Entries, &document);
            assert_eq!(text, entries);
            assert_eq!(ocm_digest::Digest::sha256(text).to_hex(), digest);
        }
    }

    #[test]
    fn the_canonical_form_is_that_of_rfc_8785() {
        for value in [
            json!({"\u{fb33}": 1, "\u{1f600}": 2, "a": [null, true, -0.0, 0.1, 1e21, -1, 1e-7]}),
            json!([u64::MAX, i64::MIN, 1_u64 << 53, (1_u64 << 53) + 1, 100.0]),
            json!("\u{0}\u{1f}\u{7f}\u{80}\u{2028}<>&\"\\/\u{8}\u{c}\n\r\t\u{1f600}"),
        ] {
            let expected = String::from_utf8(json::canonical(&value)).unwrap();
            assert_eq!(written(Form::Canonical, &value), expected);
        }
    }

    #[test]
    fn entries_without_a_name_are_left_out() {
        let value = json!({"": 1, "a": [{"": 2, "b": {"": {}}}]});
        assert_eq!(written(Form::Canonical, &value), r#"{"a":[{"b":{}}]}"#);
        assert_eq!(written(Form::Entries, &value), r#"[{"a":[[{"b":[]}]]}]"#);
    }

    #[test]
    fn null_can_be_left_out_of_objects() {
        let mut writer = Writer::new(Form::Canonical, true);
        writer.value(&json!({"a": null, "b": [null, {"c": null}]}));
        assert_eq!(writer.finish(), br#"{"b":[null,{}]}"#);
    }
}
