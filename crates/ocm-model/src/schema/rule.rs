//! Rules for texts.

use super::Severity;
use crate::name::{ComponentName, ElementName};
use crate::version::Version;

/// What a text must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Anything.
    Free,
    /// Anything but nothing.
    NonEmpty,
    /// A version of the descriptor schema: `v2`, whatever follows.
    SchemaVersion,
    /// The name of a component.
    ComponentName,
    /// The name of an element, or a key of an identity.
    ElementName,
    /// A version, relaxed semantic.
    Version,
    /// A type, such as `LocalBlob/v1`. What follows it is not looked at.
    TypeName,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A time (RFC 3339).
    Time,
    /// `local` or `external`.
    Relation,
    /// The version of a label, such as `v1`.
    LabelVersion,
    /// The name of a merge algorithm.
    MergeAlgorithm,
}

impl Rule {
    /// Tells whether a text follows the rule.
    pub fn is_followed_by(self, text: &str) -> bool {
        self.check(text).is_ok()
    }

    /// Checks a text. What no view could be made of is an error, all else a warning.
    pub(super) fn check(self, text: &str) -> Result<(), (Severity, String)> {
        let error = |message: String| Err((Severity::Error, message));
        let warning = |message: String| Err((Severity::Warning, message));
        match self {
            Self::NonEmpty if text.is_empty() => warning("must not be empty".to_owned()),
            Self::Free | Self::NonEmpty => Ok(()),
            Self::SchemaVersion if text.starts_with("v2") => Ok(()),
            Self::SchemaVersion => error(format!("`{text}` is not `v2`")),
            Self::ComponentName => match text.parse::<ComponentName>() {
                Ok(_) => Ok(()),
                Err(reason) => error(reason.to_string()),
            },
            Self::ElementName => match ElementName::check(text) {
                Ok(()) => Ok(()),
                Err(reason) => warning(reason.to_string()),
            },
            Self::Version => match Version::lenient(text) {
                Err(reason) => error(reason.to_string()),
                Ok(version) if version.is_semver() => Ok(()),
                Ok(version) => warning(format!("`{version}` is not a semantic version")),
            },
            Self::TypeName => {
                // The pattern of the published schema is not anchored at its end.
                if text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
                    return Ok(());
                }
                warning(format!("`{text}` is not a type such as `LocalBlob/v1`"))
            }
            Self::OneOf(names) if names.contains(&text) => Ok(()),
            Self::OneOf(names) => error(format!("must be {}, not `{text}`", one_of(names))),
            Self::Time if is_time(text) => Ok(()),
            Self::Time => warning(format!(
                "`{text}` is not a time such as `2026-01-31T12:00:00Z`"
            )),
            Self::Relation if matches!(text, "local" | "external") => Ok(()),
            Self::Relation => error(format!("must be `local` or `external`, not `{text}`")),
            Self::LabelVersion => {
                let number = text.strip_prefix('v').unwrap_or_default();
                if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Ok(());
                }
                warning(format!("`{text}` is not a version such as `v1`"))
            }
            Self::MergeAlgorithm => {
                let well_formed = text.len() >= 2
                    && text.starts_with(|first: char| first.is_ascii_lowercase())
                    && text.bytes().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/_-".contains(&byte)
                    });
                if well_formed {
                    return Ok(());
                }
                warning(format!("`{text}` is not the name of a merge algorithm"))
            }
        }
    }
}

fn one_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(" or ")
}

/// Tells whether a text is a time of RFC 3339. The parser of times alone takes more, such as a
/// blank for `T` and times without seconds.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let marks = [(4, "-"), (7, "-"), (10, "Tt"), (13, ":"), (16, ":")];
    let has_marks = marks.iter().all(|&(at, marks)| {
        bytes
            .get(at)
            .is_some_and(|byte| marks.as_bytes().contains(byte))
    });
    let has_zone = matches!(
        bytes,
        [.., b'Z' | b'z'] | [.., b'+' | b'-', _, _, b':', _, _]
    );
    let digits_end = |byte: &u8| byte.is_ascii_digit() || b"Zz+-.".contains(byte);
    has_marks
        && has_zone
        && bytes.get(19).is_some_and(digits_end)
        && !text.contains(',')
        && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00z",
            "2026-01-31T12:00:00.123Z",
            "2026-01-31T12:00:00+01:30",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(Rule::Time.check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "2026-01-31 12:00:00Z",
            "2026-13-31T12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00,5Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00+1:30",
            "2026-01-31T12:00:00+01:30[Europe/Berlin]",
            "2026-01-3\u{fc}T12:00:00Z",
            "+026-01-31T12:00:00Z",
        ] {
            assert!(Rule::Time.check(text).is_err(), "{text}");
        }
    }
}
