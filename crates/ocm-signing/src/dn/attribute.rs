//! The types of attributes, by object identifier and by name.

use std::borrow::Cow;
use std::fmt;

/// What an attribute says, as a dotted object identifier.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct AttributeType(Cow<'static, str>);

/// Names and identifiers. The first name of an identifier is the one that is written.
const NAMES: &[(&str, &str)] = &[
    ("CN", "2.5.4.3"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("S", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("SN", "2.5.4.5"),
    ("POSTALCODE", "2.5.4.17"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
    ("E", "1.2.840.113549.1.9.1"),
    ("surname", "2.5.4.4"),
    ("title", "2.5.4.12"),
    ("description", "2.5.4.13"),
    ("searchGuide", "2.5.4.14"),
    ("businessCategory", "2.5.4.15"),
    ("postalAddress", "2.5.4.16"),
    ("postOfficeBox", "2.5.4.18"),
    ("physicalDeliveryOfficeName", "2.5.4.19"),
    ("telephoneNumber", "2.5.4.20"),
    ("telexNumber", "2.5.4.21"),
    ("teletexTerminalIdentifier", "2.5.4.22"),
    ("facsimileTelephoneNumber", "2.5.4.23"),
    ("x121Address", "2.5.4.24"),
    ("internationalISDNNumber", "2.5.4.25"),
    ("registeredAddress", "2.5.4.26"),
    ("destinationIndicator", "2.5.4.27"),
    ("preferredDeliveryMethod", "2.5.4.28"),
    ("member", "2.5.4.31"),
    ("owner", "2.5.4.32"),
    ("roleOccupant", "2.5.4.33"),
    ("seeAlso", "2.5.4.34"),
    ("userPassword", "2.5.4.35"),
    ("name", "2.5.4.41"),
    ("givenName", "2.5.4.42"),
    ("GN", "2.5.4.42"),
    ("initials", "2.5.4.43"),
    ("generationQualifier", "2.5.4.44"),
    ("dnQualifier", "2.5.4.46"),
    ("enhancedSearchGuide", "2.5.4.47"),
    ("distinguishedName", "2.5.4.49"),
    ("uniqueMember", "2.5.4.50"),
    ("houseIdentifier", "2.5.4.51"),
    ("organizationIdentifier", "2.5.4.97"),
];

impl AttributeType {
    pub(super) const COMMON_NAME: Self = Self(Cow::Borrowed("2.5.4.3"));

    pub(super) const fn from_oid(oid: String) -> Self {
        Self(Cow::Owned(oid))
    }

    /// Reads a name in any case, or an object identifier that may have `OID.` before it.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let named = NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        if let Some((_, oid)) = named {
            return Some(Self(Cow::Borrowed(oid)));
        }
        let oid = match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("OID.") => &text[4..],
            _ => text,
        };
        let arcs = || oid.split('.');
        let is_arc = |arc: &str| {
            !arc.is_empty()
                && arc.bytes().all(|byte| byte.is_ascii_digit())
                && (arc == "0" || !arc.starts_with('0'))
        };
        (arcs().count() >= 2 && arcs().all(is_arc)).then(|| Self(Cow::Owned(oid.to_owned())))
    }

    pub(super) fn as_oid(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMES.iter().find(|(_, oid)| *oid == self.0);
        f.write_str(named.map_or(&self.0, |(name, _)| name))
    }
}
