//! Naming a key by its fingerprint or its key id.

use std::fmt;
use std::str::FromStr;

use pgp::types::KeyDetails;
use thiserror::Error;

/// Names a key: a fingerprint (40 hexadecimal digits, 64 for keys of version 6) or a key id (16).
///
/// A primary key stands for its subkeys, too. A subkey stands for itself alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySelector {
    digits: String,
}

impl KeySelector {
    /// Tells whether this is the name of a key.
    pub(crate) fn names(&self, key: &impl KeyDetails) -> bool {
        let digits = match self.digits.len() {
            16 => hex(key.legacy_key_id().as_ref()),
            _ => hex(key.fingerprint().as_bytes()),
        };
        digits == self.digits
    }
}

impl FromStr for KeySelector {
    type Err = ParseKeySelectorError;

    /// Reads hexadecimal digits of any case. Spaces, as `gpg` prints them, and `0x` before them
    /// are read over.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text
            .chars()
            .filter(|it| !it.is_ascii_whitespace())
            .collect();
        let digits = digits.strip_prefix("0x").unwrap_or(&digits);
        let valid = matches!(digits.len(), 16 | 40 | 64)
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !valid {
            return Err(ParseKeySelectorError {
                text: text.to_owned(),
            });
        }
        Ok(Self {
            digits: digits.to_ascii_uppercase(),
        })
    }
}

impl fmt::Display for KeySelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits)
    }
}

/// Writes bytes as fingerprints are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// A text names no key.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "`{text}` names no OpenPGP key: a fingerprint has 40 or 64 hexadecimal digits, a key id has 16"
)]
pub struct ParseKeySelectorError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_and_key_ids_are_read_as_people_write_them() {
        for text in [
            "0123456789abcdef",
            "0x0123456789ABCDEF",
            "0123 4567 89ab cdef",
        ] {
            let selector: KeySelector = text.parse().unwrap();
            assert_eq!(selector.to_string(), "0123456789ABCDEF");
        }
        assert!(
            "0123456789abcdef0123456789abcdef01234567"
                .parse::<KeySelector>()
                .is_ok()
        );
    }

    #[test]
    fn short_key_ids_and_names_are_no_selectors() {
        for text in ["", "01234567", "ann@acme.org", "0123456789abcdeg"] {
            assert!(text.parse::<KeySelector>().is_err(), "{text}");
        }
    }
}
