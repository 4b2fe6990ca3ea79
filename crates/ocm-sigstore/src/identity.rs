//! Who must have signed: rules for the identity and its issuer.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// The most bytes that a compiled regular expression takes.
const MAX_PATTERN_SIZE: usize = 1 << 20;

/// Whom the certificate of a signature must be for, and who must have identified them.
///
/// Both are needed: an issuer alone lets all its users sign, and an identity alone can be claimed
/// at any issuer.
#[derive(Clone, Debug)]
pub struct IdentityRules {
    /// The OpenID Connect issuer.
    pub issuer: Rule,
    /// The identity: the mail address or the URI in the certificate.
    pub identity: Rule,
}

impl IdentityRules {
    /// Checks what a certificate says.
    ///
    /// # Errors
    ///
    /// One of the two is missing, or another than the rule wants.
    pub fn check(&self, identity: Option<&str>, issuer: Option<&str>) -> Result<(), Stranger> {
        let ok = |rule: &Rule, value: Option<&str>| value.is_some_and(|value| rule.allows(value));
        if !ok(&self.issuer, issuer) {
            return Err(Stranger::Issuer {
                wanted: self.issuer.to_string(),
                found: Found::of(issuer),
            });
        }
        if !ok(&self.identity, identity) {
            return Err(Stranger::Identity {
                wanted: self.identity.to_string(),
                found: Found::of(identity),
            });
        }
        Ok(())
    }
}

/// What a text must be.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Exactly this text.
    Exact(String),
    /// A text in which the expression matches somewhere.
    Matches(Pattern),
}

impl Rule {
    /// Returns whether a text is allowed.
    pub fn allows(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == text,
            Self::Matches(pattern) => pattern.0.is_match(text.as_bytes()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "`{text}`"),
            Self::Matches(pattern) => write!(f, "one that matches `{}`", pattern.0),
        }
    }
}

/// A regular expression.
///
/// As with the other Sigstore tools it may match anywhere; `^` and `$` anchor it. Classes such as
/// `\d` and `\w` mean ASCII, as in Go.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// It is malformed, or too large.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        RegexBuilder::new(text)
            .unicode(false)
            .size_limit(MAX_PATTERN_SIZE)
            .build()
            .map(Self)
            .map_err(|source| PatternError {
                pattern: text.to_owned(),
                source,
            })
    }
}

/// Why a text is no regular expression.
#[derive(Debug, Error)]
#[error("`{pattern}` is not a regular expression that can be used")]
pub struct PatternError {
    pattern: String,
    source: regex::Error,
}

/// Why a signature is by somebody else than the rules want.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Stranger {
    /// The certificate was issued to somebody else.
    #[error("the signature is by {found}, and must be by {wanted}")]
    Identity { wanted: String, found: Found },
    /// The holder of the certificate was identified by somebody else.
    #[error("the signer was identified by {found}, and must be by {wanted}")]
    Issuer { wanted: String, found: Found },
}

/// What a certificate states, for messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found(Option<String>);

impl Found {
    fn of(text: Option<&str>) -> Self {
        Self(text.map(str::to_owned))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, "`{text}`"),
            None => f.write_str("nobody that the certificate names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str) -> Rule {
        Rule::Matches(Pattern::parse(pattern).unwrap())
    }

    #[test]
    fn a_rule_is_exact_or_matches_anywhere() {
        assert!(Rule::Exact("a@acme.org".to_owned()).allows("a@acme.org"));
        assert!(!Rule::Exact("a@acme.org".to_owned()).allows("aa@acme.org"));
        assert!(matches("acme").allows("https://acme.org/x"));
        assert!(!matches("^acme").allows("https://acme.org/x"));
        assert!(matches(r"^\d+$").allows("123"));
        assert!(!matches(r"^\d+$").allows("١٢٣"), "digits are ASCII");
    }

    #[test]
    fn expressions_have_limits() {
        assert!(Pattern::parse("(").is_err());
        assert!(Pattern::parse("(a{1000}){1000}").is_err());
    }

    #[test]
    fn both_must_be_right_and_there() {
        let rules = IdentityRules {
            issuer: Rule::Exact("https://id.acme.org".to_owned()),
            identity: matches("@acme.org$"),
        };
        let check = |identity, issuer| rules.check(identity, issuer);
        let issuer = Some("https://id.acme.org");
        assert_eq!(check(Some("ann@acme.org"), issuer), Ok(()));
        assert_eq!(
            check(Some("ann@evil.org"), issuer).unwrap_err().to_string(),
            "the signature is by `ann@evil.org`, and must be by one that matches `@acme.org$`"
        );
        assert_eq!(
            check(Some("ann@acme.org"), None).unwrap_err().to_string(),
            "the signer was identified by nobody that the certificate names, \
             and must be by `https://id.acme.org`"
        );
        assert!(check(None, issuer).is_err());
    }
}
