//! Reading requirements: from a document, and from text.

use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

use super::{By, KeyName, Requirement, Wanted};

/// A requirement as a document has it: one signature, or some of several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    signature: Option<String>,
    by: Option<By>,
    count: Option<usize>,
    of: Option<Vec<Wanted>>,
}

impl TryFrom<Form> for Requirement {
    type Error = ParseError;

    fn try_from(form: Form) -> Result<Self, ParseError> {
        let Form {
            signature,
            by,
            count,
            of,
        } = form;
        let of = match of {
            Some(of) if signature.is_none() && by.is_none() => of,
            Some(_) => return Err(ParseError::Both),
            None if signature.is_none() && by.is_none() && count.is_none() => {
                return Err(ParseError::Empty);
            }
            None => vec![Wanted {
                signature,
                by: by.unwrap_or_default(),
            }],
        };
        if of.is_empty() {
            return Err(ParseError::Empty);
        }
        match count {
            Some(0) => Err(ParseError::Zero),
            count => Ok(Self {
                count: count.unwrap_or(1),
                of,
            }),
        }
    }
}

impl FromStr for Requirement {
    type Err = ParseError;

    /// Reads `WHAT[: FACT=VALUE[; FACT=VALUE]…]`, where `WHAT` is the name of a signature, `*` for
    /// any, a number of signatories, or a number `of` names with commas between.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (what, facts) = text.split_once(':').unwrap_or((text, ""));
        let what = what.trim();
        let by = by(facts)?;
        let (number, names) = match what.split_once(char::is_whitespace) {
            Some((number, rest)) => match rest.trim_start().strip_prefix("of") {
                Some(names) if names.starts_with(char::is_whitespace) => (number, Some(names)),
                _ => (what, None),
            },
            None => (what, None),
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let count = if is_number {
            number.parse().map_err(|_| ParseError::Zero)?
        } else {
            1
        };
        if count == 0 {
            return Err(ParseError::Zero);
        }
        let names: Vec<&str> = match names {
            Some(names) if is_number => names.split(',').map(str::trim).collect(),
            _ if is_number => vec!["*"],
            _ => vec![what],
        };
        let of = names.into_iter().map(|name| match name {
            "" => Err(ParseError::NoName),
            "*" => Ok(Wanted {
                signature: None,
                by: by.clone(),
            }),
            name => Ok(Wanted {
                signature: Some(name.to_owned()),
                by: by.clone(),
            }),
        });
        Ok(Self {
            count,
            of: of.collect::<Result<_, _>>()?,
        })
    }
}

/// Reads who must have signed.
fn by(facts: &str) -> Result<By, ParseError> {
    let mut by = By::default();
    for fact in facts.split(';').map(str::trim).filter(|it| !it.is_empty()) {
        let unknown = || ParseError::Fact {
            fact: fact.to_owned(),
        };
        let (name, value) = fact.split_once('=').ok_or_else(unknown)?;
        let value = value.trim().to_owned();
        if value.is_empty() {
            return Err(unknown());
        }
        let before = match name.trim() {
            "key" => by.key.replace(KeyName::from(value)).is_some(),
            "subject" => by.subject.replace(value).is_some(),
            "issuer" => by.issuer.replace(value).is_some(),
            "identity" => by.identity.replace(value).is_some(),
            _ => return Err(unknown()),
        };
        if before {
            return Err(ParseError::Twice {
                fact: name.trim().to_owned(),
            });
        }
    }
    Ok(by)
}

/// Why a text or a document is no requirement.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseError {
    /// The name of a signature is missing.
    #[error("it names no signature; `*` is any")]
    NoName,
    /// Nothing is always there.
    #[error("the number of signatories is not from 1")]
    Zero,
    /// Something else than `FACT=VALUE`.
    #[error("`{fact}` is none of key=, subject=, issuer=, identity= with a value")]
    Fact { fact: String },
    /// One fact has one value.
    #[error("`{fact}` is given twice")]
    Twice { fact: String },
    /// Two ways to say the same.
    #[error("a requirement has either `of`, or `signature` and `by`")]
    Both,
    /// A requirement that requires nothing.
    #[error("a requirement needs `signature`, `by`, `count` or `of`")]
    Empty,
}
