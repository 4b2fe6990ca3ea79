//! YAML byte for byte as the Go tools write it.
//!
//! They go through `sigs.k8s.io/yaml`, whose emitter descends from libyaml: block style, two
//! blanks, sequences not indented in mappings, lines folded beyond 80 columns, keys in natural
//! order. Equal bytes give equal digests, whichever tool has packed a value.

mod number;
mod scalar;

use std::cmp::Ordering;

use serde_json::Value;

use self::number::number;
use self::scalar::{Facts, Style, resolves};

/// The column beyond which text is folded where it may be.
const WIDTH: usize = 80;

/// The number of blanks by which a level is indented.
const INDENT: usize = 2;

/// The length beyond which a key stands alone, behind a question mark.
const MAX_SIMPLE_KEY: usize = 128;

/// Writes a value as a YAML document.
pub(crate) fn write(value: &Value) -> String {
    let mut emitter = Emitter {
        out: String::new(),
        column: 0,
        indent: None,
        whitespace: true,
        indention: true,
    };
    emitter.node(value, Place::Root);
    emitter.write_indent();
    emitter.out
}

/// Where a node stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Root,
    Item,
    Key,
    Value,
}

struct Emitter {
    out: String,
    /// The column, in characters.
    column: usize,
    /// How far the current level is indented; not at all before the first.
    indent: Option<usize>,
    /// Whether the last character was a blank that separates.
    whitespace: bool,
    /// Whether there is nothing but indentation and indicators on the line.
    indention: bool,
}

impl Emitter {
    fn node(&mut self, value: &Value, place: Place) {
        match value {
            Value::Null => self.scalar("null", Style::Plain, place),
            Value::Bool(true) => self.scalar("true", Style::Plain, place),
            Value::Bool(false) => self.scalar("false", Style::Plain, place),
            Value::Number(value) => self.scalar(&number(value), Style::Plain, place),
            Value::String(text) => self.text(text, place),
            Value::Array(items) if items.is_empty() => self.indicator("[]", true, false),
            Value::Array(items) => self.sequence(items, place),
            Value::Object(fields) if fields.is_empty() => self.indicator("{}", true, false),
            Value::Object(fields) => self.mapping(fields),
        }
    }

    fn sequence(&mut self, items: &[Value], place: Place) {
        let before = self.indent;
        let is_indentless = place == Place::Value && !self.indention;
        if !is_indentless || before.is_none() {
            self.increase_indent();
        }
        for item in items {
            self.write_indent();
            self.indicator("-", true, true);
            self.node(item, Place::Item);
        }
        self.indent = before;
    }

    fn mapping(&mut self, fields: &serde_json::Map<String, Value>) {
        let before = self.indent;
        self.increase_indent();
        let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
        fields.sort_by(|(a, _), (b, _)| natural(a, b));
        for (key, value) in fields {
            self.write_indent();
            if key.len() <= MAX_SIMPLE_KEY && !Facts::of(key).multiline {
                self.text(key, Place::Key);
                self.indicator(":", false, false);
            } else {
                self.indicator("?", true, true);
                self.text(key, Place::Value);
                self.write_indent();
                self.indicator(":", true, true);
            }
            self.node(value, Place::Value);
        }
        self.indent = before;
    }

    fn increase_indent(&mut self) {
        self.indent = Some(self.indent.map_or(0, |indent| indent + INDENT));
    }

    fn text(&mut self, text: &str, place: Place) {
        let style = Facts::of(text).style(text, !resolves(text), place == Place::Key);
        self.scalar(text, style, place);
    }

    /// Writes a scalar. Lines that it goes on in are indented by one level more.
    fn scalar(&mut self, text: &str, style: Style, place: Place) {
        let before = self.indent;
        self.indent = Some(before.unwrap_or(0) + INDENT);
        match style {
            Style::Plain => self.plain(text, place),
            Style::Single => self.single_quoted(text, place),
            Style::Double => self.double_quoted(text, place),
            Style::Literal => self.literal(text),
        }
        self.indent = before;
    }

    fn plain(&mut self, text: &str, place: Place) {
        if !self.whitespace {
            self.put(' ');
        }
        let mut spaces = false;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let folds = character == ' '
                && place != Place::Key
                && !spaces
                && self.column > WIDTH
                && characters.peek() != Some(&' ');
            if folds {
                self.write_indent();
            } else {
                self.put(character);
            }
            spaces = character == ' ';
            self.indention &= spaces;
        }
        self.end_scalar();
    }

    fn single_quoted(&mut self, text: &str, place: Place) {
        self.indicator("'", true, false);
        let (mut spaces, mut breaks) = (false, false);
        let mut characters = text.char_indices().peekable();
        while let Some((index, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if character == ' ' {
                let folds = place != Place::Key
                    && !spaces
                    && self.column > WIDTH
                    && index > 0
                    && next.is_some_and(|next| next != ' ');
                self.space(folds);
                spaces = true;
            } else if is_break(character) {
                if !breaks && character == '\n' {
                    self.put_break();
                }
                self.write_break(character);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if character == '\'' {
                    self.put('\'');
                }
                self.put(character);
                self.indention = false;
                (spaces, breaks) = (false, false);
            }
        }
        self.indicator("'", false, false);
        self.end_scalar();
    }

    fn double_quoted(&mut self, text: &str, place: Place) {
        self.indicator("\"", true, false);
        let mut spaces = false;
        let mut characters = text.char_indices().peekable();
        while let Some((index, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if character == ' ' {
                let folds = place != Place::Key
                    && !spaces
                    && self.column > WIDTH
                    && index > 0
                    && next.is_some();
                self.space(folds);
                if folds && next == Some(' ') {
                    self.put('\\');
                }
                spaces = true;
                continue;
            }
            match scalar::escape(character) {
                Some(escaped) => escaped.chars().for_each(|character| self.put(character)),
                None => self.put(character),
            }
            spaces = false;
        }
        self.indicator("\"", false, false);
        self.end_scalar();
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false);
        if text.starts_with(|first| first == ' ' || is_break(first)) {
            self.indicator("2", false, false);
        }
        let mut last = text.chars().rev();
        match (last.next().is_some_and(is_break), last.next()) {
            (false, _) => self.indicator("-", false, false),
            (true, None) => self.indicator("+", false, false),
            (true, Some(before)) if is_break(before) => self.indicator("+", false, false),
            (true, Some(_)) => {}
        }
        self.put_break();
        (self.indention, self.whitespace) = (true, true);
        let mut breaks = true;
        for character in text.chars() {
            if is_break(character) {
                self.write_break(character);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                self.put(character);
                (self.indention, breaks) = (false, false);
            }
        }
    }

    /// Writes a blank, or goes to the next line in its place.
    fn space(&mut self, folds: bool) {
        if folds {
            self.write_indent();
        } else {
            self.put(' ');
        }
    }

    fn end_scalar(&mut self) {
        (self.whitespace, self.indention) = (false, false);
    }

    /// Goes to the start of a line at the current level, unless the line is still empty.
    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        let is_full =
            self.column > indent || self.column == indent && !self.whitespace || !self.indention;
        if is_full {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        (self.whitespace, self.indention) = (true, true);
    }

    fn indicator(&mut self, text: &str, needs_whitespace: bool, keeps_indention: bool) {
        if needs_whitespace && !self.whitespace {
            self.put(' ');
        }
        self.out.push_str(text);
        self.column += text.len();
        self.whitespace = false;
        self.indention &= keeps_indention;
    }

    fn put(&mut self, character: char) {
        self.out.push(character);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn write_break(&mut self, character: char) {
        if character == '\n' {
            self.put_break();
        } else {
            self.out.push(character);
            self.column = 0;
        }
    }
}

/// Whether a character ends a line, in YAML 1.1.
fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Compares keys: letters behind everything else, numbers by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (Some(&first), Some(&second)) = (a.get(common), b.get(common)) else {
        return a.len().cmp(&b.len());
    };
    match (first.is_alphabetic(), second.is_alphabetic()) {
        (true, true) => return first.cmp(&second),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero within a number is one of its digits.
    let in_number = a[..common]
        .iter()
        .rev()
        .take_while(|digit| digit.is_numeric())
        .any(|digit| *digit != '0');
    let start = i64::from(in_number && (first == '0' || second == '0'));
    let (value_a, digits_a) = digits(&a[common..], start);
    let (value_b, digits_b) = digits(&b[common..], start);
    value_a
        .cmp(&value_b)
        .then(digits_a.cmp(&digits_b))
        .then(first.cmp(&second))
}

/// Returns the number at the start of a text, and how many digits it has.
fn digits(text: &[char], start: i64) -> (i64, usize) {
    let digits = text.iter().take_while(|digit| digit.is_numeric());
    digits.fold((start, 0), |(value, count), digit| {
        let digit = i64::from(u32::from(*digit)) - i64::from(u32::from('0'));
        (value.wrapping_mul(10).wrapping_add(digit), count + 1)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_in_natural_order() {
        let mut keys = [
            "b", "a10", "a9", "a", "1", "-", "a-b", "ab", "A", "a09", "\u{e4}",
        ];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(
            keys,
            [
                "-", "1", "A", "a", "a-b", "a9", "a09", "a10", "ab", "b", "\u{e4}"
            ]
        );
    }

    #[test]
    fn a_document_may_be_a_scalar() {
        assert_eq!(write(&json!("x")), "x\n");
        assert_eq!(write(&json!(null)), "null\n");
        assert_eq!(write(&json!([])), "[]\n");
        assert_eq!(write(&json!("a\nb\n")), "|\n  a\n  b\n");
    }

    #[test]
    fn a_long_key_stands_alone() {
        let key = "k".repeat(129);
        let expected = format!("? {key}\n: - 1\n");
        assert_eq!(write(&json!({ key: [1] })), expected);
    }
}
