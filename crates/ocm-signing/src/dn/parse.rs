//! Reading the text form of a distinguished name.

use thiserror::Error;

use super::attribute::AttributeType;
use super::value::Value;
use super::{Attribute, DistinguishedName, MAX_TEXT};

/// What may stand around a value without being part of it.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Reads a name.
pub(super) fn name(text: &str) -> Result<Vec<Vec<Attribute>>, ParseDnError> {
    if text.len() > MAX_TEXT {
        return Err(ParseDnError::TooLong { size: text.len() });
    }
    if text.trim().is_empty() {
        return Err(ParseDnError::Empty);
    }
    if !split(text, &['='])?.contains_separator() {
        return Ok(DistinguishedName::of_common_name(text.trim()).parts);
    }
    if let Some(text) = text.trim_start().strip_prefix('/') {
        return slashed(text);
    }
    let parts = split(text, &[',', ';'])?.0;
    parts
        .into_iter()
        .map(|part| {
            let attributes = split(part, &['+'])?.0;
            attributes.into_iter().map(attribute).collect()
        })
        .collect()
}

/// Reads what OpenSSL writes by default: parts from the least specific on, each after a slash. A
/// slash that no attribute follows is part of a value.
fn slashed(text: &str) -> Result<Vec<Vec<Attribute>>, ParseDnError> {
    let mut parts: Vec<String> = Vec::new();
    for piece in text.split('/') {
        let begins = piece
            .split_once('=')
            .is_some_and(|(name, _)| AttributeType::from_text(name.trim()).is_some());
        match parts.last_mut() {
            Some(last) if !begins => {
                last.push('/');
                last.push_str(piece);
            }
            _ => parts.push(piece.to_owned()),
        }
    }
    let parts = parts.iter().rev().map(|part| Ok(vec![attribute(part)?]));
    parts.collect()
}

fn attribute(text: &str) -> Result<Attribute, ParseDnError> {
    let Some((name, written)) = text.split_once('=') else {
        return Err(ParseDnError::NoValue {
            text: text.trim().to_owned(),
        });
    };
    let name = name.trim();
    let kind = AttributeType::from_text(name).ok_or_else(|| ParseDnError::UnknownAttribute {
        name: name.to_owned(),
    })?;
    let value = value(written).ok_or_else(|| ParseDnError::NotText {
        value: written.trim().to_owned(),
    })?;
    Ok(Attribute { kind, value })
}

/// Reads a value; a `#` that no DER value follows stands for itself, as for the Go tools.
fn value(written: &str) -> Option<Value> {
    let written = trim(written);
    if let Some(value) = written.strip_prefix('#').and_then(Value::from_hex) {
        return Some(value);
    }
    let quoted = (written.strip_prefix('"')).and_then(|rest| rest.strip_suffix('"'));
    unescape(quoted.unwrap_or(written)).map(Value::Text)
}

/// Removes spaces at the ends, but not the last one if it is escaped.
fn trim(text: &str) -> &str {
    let text = text.trim_start_matches(SPACES);
    let trimmed = text.trim_end_matches(SPACES);
    let escapes = trimmed.bytes().rev().take_while(|byte| *byte == b'\\');
    if trimmed.len() < text.len() && escapes.count() % 2 == 1 {
        &text[..=trimmed.len()]
    } else {
        trimmed
    }
}

/// Resolves escapes; the bytes of one letter may each be escaped. Returns nothing if they are no
/// UTF-8.
fn unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3);
        let pair = digits.and_then(|digits| {
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok()?;
            Some(byte[0])
        });
        match (byte, pair) {
            (b'\\', Some(pair)) => {
                plain.push(pair);
                at += 3;
            }
            (b'\\', None) => {
                // A lone escape at the end stands for itself, as for the Go tools.
                plain.push(*bytes.get(at + 1).unwrap_or(&b'\\'));
                at += 2;
            }
            (byte, _) => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).ok()
}

/// The pieces between separators.
struct Pieces<'a>(Vec<&'a str>);

impl Pieces<'_> {
    const fn contains_separator(&self) -> bool {
        self.0.len() > 1
    }
}

/// Splits a text at separators that are neither escaped nor quoted.
fn split<'a>(text: &'a str, separators: &[char]) -> Result<Pieces<'a>, ParseDnError> {
    let mut pieces = Vec::new();
    let (mut start, mut escaped, mut quoted) = (0, false, false);
    for (index, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            letter if !quoted && separators.contains(&letter) => {
                pieces.push(&text[start..index]);
                start = index + letter.len_utf8();
            }
            _ => {}
        }
    }
    if quoted {
        return Err(ParseDnError::Unquoted);
    }
    pieces.push(&text[start..]);
    Ok(Pieces(pieces))
}

/// Why a text is not a distinguished name.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseDnError {
    /// There is nothing.
    #[error("a distinguished name cannot be empty")]
    Empty,
    /// No name is that long.
    #[error("{size} bytes are too much for a distinguished name, the limit is {MAX_TEXT}")]
    TooLong { size: usize },
    /// One part has no `=`, but others have.
    #[error("`{text}` is no attribute of a distinguished name: it has no `=`")]
    NoValue { text: String },
    /// What is before the `=` is not known.
    #[error("`{name}` is no attribute of a distinguished name")]
    UnknownAttribute { name: String },
    /// The escaped bytes are no text.
    #[error("`{value}` is not UTF-8 when its escapes are resolved")]
    NotText { value: String },
    /// The second of two quotation marks is missing.
    #[error("a quotation mark in the distinguished name has no counterpart")]
    Unquoted,
}
