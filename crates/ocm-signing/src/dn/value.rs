//! Values of attributes: text in any of the encodings of ASN.1, or something else.

use std::fmt::{self, Write as _};

use x509_parser::asn1_rs::{Any, FromDer as _, Tag, ToDer as _};

/// What an attribute has for a value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Value {
    /// Any of the string types.
    Text(String),
    /// Another type, or a string that is none, in DER.
    Other(Vec<u8>),
}

impl Value {
    pub(super) fn from_der(value: &Any<'_>) -> Self {
        let other = || Self::Other(value.to_der_vec().unwrap_or_else(|_| value.data.to_vec()));
        text(value).map_or_else(other, Self::Text)
    }

    /// Reads the hexadecimal digits after a `#`, which are the DER form of a value.
    pub(super) fn from_hex(digits: &str) -> Option<Self> {
        let der = hex::decode(digits).ok()?;
        let (rest, value) = Any::from_der(&der).ok()?;
        rest.is_empty().then(|| Self::from_der(&value))
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }

    /// Returns what is compared: text in lower case, with one space where there are several, and
    /// none at the ends.
    pub(super) fn folded(&self) -> Self {
        match self {
            Self::Text(text) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                Self::Text(words.join(" ").to_lowercase())
            }
            Self::Other(_) => self.clone(),
        }
    }
}

fn text(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => String::from_utf8(bytes.to_vec()).ok(),
        // T.61 is read as Latin 1, which is what is found in it.
        Tag::T61String => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let (pairs, []) = bytes.as_chunks::<2>() else {
                return None;
            };
            let units: Vec<u16> = pairs.iter().copied().map(u16::from_be_bytes).collect();
            String::from_utf16(&units).ok()
        }
        Tag::UniversalString => {
            let (quads, []) = bytes.as_chunks::<4>() else {
                return None;
            };
            let codes = quads.iter().copied().map(u32::from_be_bytes);
            codes.map(char::from_u32).collect()
        }
        _ => None,
    }
}

/// The form of RFC 2253, with control characters as pairs of hexadecimal digits.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Text(text) => text,
            Self::Other(der) => return write!(f, "#{}", hex::encode(der)),
        };
        let last = text.chars().count().saturating_sub(1);
        for (index, letter) in text.chars().enumerate() {
            let at_end = index == 0 || index == last;
            match letter {
                ',' | '+' | '"' | '\\' | '<' | '>' | ';' => write!(f, "\\{letter}")?,
                '#' if index == 0 => f.write_str("\\#")?,
                ' ' if at_end => f.write_str("\\ ")?,
                letter if letter.is_control() => {
                    let mut bytes = [0; 4];
                    for byte in letter.encode_utf8(&mut bytes).bytes() {
                        write!(f, "\\{byte:02X}")?;
                    }
                }
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}
