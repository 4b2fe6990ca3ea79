//! Distinguished names: their text form of RFC 2253, and how two are compared.
//!
//! ```text
//! CN=Steve Kille,O=Isode\, Limited,C=GB      two names, one of which
//! OU=Sales+CN=J. Smith,O=Widget Inc.,C=US    has two attributes in its first part
//! ```
//!
//! Names are compared by their attributes alone. The order of attributes, how they are grouped,
//! the case of letters and repeated spaces do not matter: one certificate is written in several
//! ways by different tools, and RFC 5280, 7.1 compares so. Letters are folded by Unicode's simple
//! lower case; composed and decomposed forms of one letter differ.

mod attribute;
mod parse;
mod value;

use std::fmt;
use std::str::FromStr;

use x509_parser::x509::X509Name;

pub use parse::ParseDnError;

use attribute::AttributeType;
use value::Value;

/// The longest text that is read as a name, in bytes.
pub const MAX_TEXT: usize = 16 * 1024;

/// A distinguished name, most specific part first, as RFC 2253 writes it.
///
/// Equality is that of the text; names are compared by [`Self::is_same`] and [`Self::includes`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DistinguishedName {
    parts: Vec<Vec<Attribute>>,
}

/// One attribute of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Attribute {
    kind: AttributeType,
    value: Value,
}

impl DistinguishedName {
    /// Returns the name with one attribute, a common name.
    pub fn of_common_name(name: &str) -> Self {
        Self {
            parts: vec![vec![Attribute {
                kind: AttributeType::COMMON_NAME,
                value: Value::Text(name.to_owned()),
            }]],
        }
    }

    /// Writes the value of an attribute so that it can stand in the text of a name.
    pub fn escape(value: &str) -> String {
        Value::Text(value.to_owned()).to_string()
    }

    /// Tells whether two names have the same attributes.
    pub fn is_same(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }

    /// Tells whether a name has every attribute of a pattern, and maybe more.
    pub fn includes(&self, pattern: &Self) -> bool {
        let have = self.folded();
        pattern.folded().iter().all(|wanted| have.contains(wanted))
    }

    /// Returns the attributes as pairs of the dotted object identifier and the text of the value.
    ///
    /// Values that are no text are left out.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().flatten().filter_map(|attribute| {
            let text = attribute.value.as_text()?;
            Some((attribute.kind.as_oid(), text))
        })
    }

    /// Takes a name out of a certificate, where the least specific part comes first.
    pub(crate) fn from_x509(name: &X509Name<'_>) -> Self {
        let parts = name.iter_rdn().map(|part| {
            let attributes = part.iter().map(|attribute| Attribute {
                kind: AttributeType::from_oid(attribute.attr_type().to_id_string()),
                value: Value::from_der(attribute.attr_value()),
            });
            attributes.collect()
        });
        let mut parts: Vec<Vec<Attribute>> = parts.collect();
        parts.reverse();
        Self { parts }
    }

    /// Returns what is compared, sorted.
    fn folded(&self) -> Vec<(&AttributeType, Value)> {
        let attributes = self.parts.iter().flatten();
        let mut folded: Vec<_> = attributes
            .map(|attribute| (&attribute.kind, attribute.value.folded()))
            .collect();
        folded.sort();
        folded
    }
}

impl FromStr for DistinguishedName {
    type Err = ParseDnError;

    /// Reads RFC 2253, with what tools write beside it: semicolons between parts, quoted values,
    /// spaces around separators, and the slashes of OpenSSL (`/C=DE/O=acme/CN=release`).
    ///
    /// Text without any `=` is a common name. `SN` is the serial number, as for the Go tools, not
    /// the surname.
    fn from_str(text: &str) -> Result<Self, ParseDnError> {
        parse::name(text).map(|parts| Self { parts })
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            for (index, attribute) in part.iter().enumerate() {
                let separator = if index == 0 { "" } else { "+" };
                let Attribute { kind, value } = attribute;
                write!(f, "{separator}{kind}={value}")?;
            }
        }
        Ok(())
    }
}
