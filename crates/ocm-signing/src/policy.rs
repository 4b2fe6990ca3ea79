//! Policies: which signatures must hold, how many, and by whom.
//!
//! A policy is a list of requirements, each of which must be met by signatures that hold. It is
//! written as a document, or one requirement at a time as text:
//!
//! ```
//! use ocm_signing::policy::Requirement;
//!
//! for text in [
//!     "release",
//!     "release: key=keys/release.pub",
//!     "release: subject=CN=release,O=acme; issuer=CN=ca,O=acme",
//!     "*: identity=*@acme.org; issuer=https://accounts.acme.org",
//!     "2",
//!     "2 of audit, qa, release",
//! ] {
//!     text.parse::<Requirement>()?;
//! }
//! # Ok::<(), ocm_signing::policy::ParseError>(())
//! ```
//!
//! Deciding needs nothing but the policy and what was found when the signatures were checked.

mod parse;

use std::fmt;

use serde::Deserialize;

pub use self::parse::ParseError;
use crate::dn::DistinguishedName;
use crate::signatory::Signatory;
use crate::verified::Checked;

/// What must hold for a component version to be accepted.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The requirements, each of which must be met.
    pub require: Vec<Requirement>,
}

/// Signatures of which there must be some.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "parse::Form")]
pub struct Requirement {
    /// How many signatories there must be. Who signs twice counts once.
    pub count: usize,
    /// The signatures that count: those that are wanted by any of the entries.
    pub of: Vec<Wanted>,
}

/// Signatures of a name, by somebody.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The name of the signature; without, any.
    #[serde(default)]
    pub signature: Option<String>,
    /// Who must have made it; without, anybody who is trusted.
    #[serde(default)]
    pub by: By,
}

/// Who made a signature: all that is given must be so.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// A key.
    #[serde(default)]
    pub key: Option<KeyName>,
    /// The distinguished name of the holder of a certificate (RFC 2253).
    #[serde(default)]
    pub subject: Option<String>,
    /// Who vouches for the signatory: the distinguished name of a certificate authority, or the
    /// URL of an `OpenID` Connect issuer.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The identity that the issuer vouches for, in which `*` stands for any text.
    #[serde(default)]
    pub identity: Option<String>,
}

/// A key, by its fingerprint or by the file that has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(from = "String")]
pub enum KeyName {
    /// `sha256:` and the SHA-256 of the key as `SubjectPublicKeyInfo`, or the fingerprint of an
    /// `OpenPGP` key.
    Fingerprint(String),
    /// A file, which whoever decides must have read first.
    File(String),
}

impl From<String> for KeyName {
    fn from(text: String) -> Self {
        let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sha256 =
            (text.strip_prefix("sha256:")).is_some_and(|hex| hex.len() == 64 && is_hex(hex));
        let pgp = matches!(text.len(), 40 | 64) && is_hex(&text);
        if sha256 || pgp {
            Self::Fingerprint(text)
        } else {
            Self::File(text)
        }
    }
}

/// A signature that was checked, whatever came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name of the signature.
    pub signature: String,
    /// What was found, or why the signature does not hold.
    pub result: Result<Checked, String>,
}

impl Policy {
    /// Replaces files of keys by the fingerprints of what is in them. The reader is told for which
    /// signature the key is wanted, if it is for one.
    ///
    /// # Errors
    ///
    /// Those of `fingerprint`.
    pub fn resolve_keys<E>(
        &mut self,
        mut fingerprint: impl FnMut(&str, Option<&str>) -> Result<String, E>,
    ) -> Result<(), E> {
        for wanted in self.require.iter_mut().flat_map(|it| &mut it.of) {
            if let Some(KeyName::File(path)) = &wanted.by.key {
                let resolved = fingerprint(path, wanted.signature.as_deref())?;
                wanted.by.key = Some(KeyName::Fingerprint(resolved));
            }
        }
        Ok(())
    }

    /// Decides whether the signatures that hold are enough.
    ///
    /// # Errors
    ///
    /// The requirements that are not met, each with what is missing.
    pub fn decide(&self, outcomes: &[Outcome]) -> Result<(), Violations> {
        let violations = self.require.iter();
        let violations: Vec<_> = violations
            .filter_map(|requirement| requirement.violation(outcomes))
            .collect();
        if violations.is_empty() {
            return Ok(());
        }
        Err(Violations(violations))
    }
}

impl Requirement {
    /// Wants one signature of a name.
    pub fn signature(name: impl Into<String>) -> Self {
        Self {
            count: 1,
            of: vec![Wanted {
                signature: Some(name.into()),
                by: By::default(),
            }],
        }
    }

    fn violation(&self, outcomes: &[Outcome]) -> Option<Violation> {
        let mut signatories: Vec<&Signatory> = Vec::new();
        for checked in outcomes.iter().filter_map(|it| it.result.as_ref().ok()) {
            let counts = self.of.iter().any(|wanted| wanted.is_met_by(checked));
            if counts && !signatories.iter().any(|it| it.is_same(&checked.signatory)) {
                signatories.push(&checked.signatory);
            }
        }
        if signatories.len() >= self.count {
            return None;
        }
        Some(Violation {
            requirement: self.clone(),
            found: signatories.len(),
            reasons: self.reasons(outcomes),
        })
    }

    /// Says of each signature that is asked for by name why it does not count.
    fn reasons(&self, outcomes: &[Outcome]) -> Vec<String> {
        let mut reasons = Vec::new();
        for wanted in &self.of {
            let Some(name) = &wanted.signature else {
                continue;
            };
            let reason = match outcomes.iter().find(|it| it.signature == *name) {
                None => format!("there is no signature `{name}`"),
                Some(Outcome {
                    result: Err(why), ..
                }) => why.clone(),
                Some(Outcome {
                    result: Ok(checked),
                    ..
                }) => {
                    if wanted.is_met_by(checked) {
                        continue;
                    }
                    format!("`{name}` is by {}", checked.signatory)
                }
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons
    }
}

impl Wanted {
    fn is_met_by(&self, checked: &Checked) -> bool {
        (self.signature.as_ref()).is_none_or(|name| *name == checked.signature)
            && self.by.is(&checked.signatory)
    }
}

impl By {
    /// Tells whether a signatory is the one that is meant. What a kind of signatory does not have,
    /// it is not.
    fn is(&self, signatory: &Signatory) -> bool {
        let Self {
            key,
            subject,
            issuer,
            identity,
        } = self;
        let is_key = |key: &KeyName| match (key, signatory.fingerprint()) {
            (KeyName::Fingerprint(wanted), Some(actual)) => wanted.eq_ignore_ascii_case(&actual),
            _ => false,
        };
        let is_subject = |wanted: &String| match signatory {
            Signatory::Certificate { subject, .. } => same_name(wanted, subject),
            _ => false,
        };
        let is_issuer = |wanted: &String| match signatory {
            Signatory::Certificate { issuer, .. } => same_name(wanted, issuer),
            Signatory::Identity { issuer, .. } => wanted == issuer,
            _ => false,
        };
        let is_identity = |wanted: &String| match signatory {
            Signatory::Identity { identity, .. } => matches(wanted, identity),
            _ => false,
        };
        key.as_ref().is_none_or(is_key)
            && subject.as_ref().is_none_or(is_subject)
            && issuer.as_ref().is_none_or(is_issuer)
            && identity.as_ref().is_none_or(is_identity)
    }
}

/// Compares distinguished names by their attributes.
fn same_name(one: &str, other: &str) -> bool {
    let read = |text: &str| text.parse::<DistinguishedName>();
    matches!((read(one), read(other)), (Ok(one), Ok(other)) if one.is_same(&other))
}

/// Matches a text in which `*` stands for any text, in linear time but for the last star.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// The requirements that are not met.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, violation) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}

/// A requirement that is not met.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The requirement.
    pub requirement: Requirement,
    /// How many signatories there are that count.
    pub found: usize,
    /// Why the signatures that are asked for by name do not count.
    pub reasons: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is required", self.requirement)?;
        if self.requirement.count > 1 {
            match self.found {
                0 => f.write_str(", there is none")?,
                found => write!(f, ", there is only {found}")?,
            }
        }
        if !self.reasons.is_empty() {
            write!(f, " ({})", self.reasons.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count != 1 {
            write!(f, "signatures by {} signatories of ", self.count)?;
        }
        for (position, wanted) in self.of.iter().enumerate() {
            if position > 0 {
                f.write_str(" or ")?;
            }
            write!(f, "{wanted}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.signature {
            Some(name) => write!(f, "signature `{name}`")?,
            None => f.write_str("any signature")?,
        }
        let By {
            key,
            subject,
            issuer,
            identity,
        } = &self.by;
        let key = key.as_ref().map(|key| match key {
            KeyName::Fingerprint(text) | KeyName::File(text) => text,
        });
        let facts = [
            ("key", key),
            ("subject", subject.as_ref()),
            ("identity", identity.as_ref()),
            ("issuer", issuer.as_ref()),
        ];
        let facts = facts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        for (position, (name, value)) in facts.enumerate() {
            let link = if position == 0 { " by" } else { " and" };
            write!(f, "{link} {name} {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
