//! Version constraints, such as `>=1.2, <2 || ~3.1`.
//!
//! The grammar and the answers are those of Masterminds/semver 3, which users of the Go
//! implementation know from resolvers and from `--semver-constraint`:
//!
//! - `,` or white space means *and*, `||` means *or*;
//! - `=` `!=` `>` `<` `>=` `=>` `<=` `=<` `~` `~>` `^`, none meaning `=`;
//! - `x`, `X` or `*` stand for any number, a missing number too: `=1.2` has every patch of 1.2;
//! - `1.2 - 2.3` is `>=1.2, <=2.3`;
//! - pre-releases are considered in a group of *and* only if one of its versions is one.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::version::Version;

/// A set of versions, described by comparisons.
///
/// ```
/// use ocm_model::Constraint;
///
/// let constraint: Constraint = "^1.2 || >=3.0.0-0".parse()?;
/// assert!(constraint.matches(&"v1.9".parse().unwrap()));
/// assert!(constraint.matches(&"3.1.0-rc.1".parse().unwrap()));
/// assert!(!constraint.matches(&"2.0.0".parse().unwrap()));
/// # Ok::<(), ocm_model::constraint::ParseConstraintError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Constraint {
    text: String,
    any_of: Vec<Vec<Comparison>>,
}

impl Constraint {
    /// The longest constraint, in bytes, as in the reference.
    pub const MAX_LENGTH: usize = 512;

    /// How many groups `||` may separate, as in the reference.
    pub const MAX_GROUPS: usize = 32;

    /// Tells whether a version is in the set. A version without semantics never is.
    pub fn matches(&self, version: &Version) -> bool {
        let Some(version) = version.semver() else {
            return false;
        };
        self.any_of.iter().any(|all_of| {
            let prereleases = all_of
                .iter()
                .any(|comparison| !comparison.version.pre.is_empty());
            (prereleases || version.pre.is_empty())
                && all_of.iter().all(|comparison| comparison.matches(version))
        })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

/// Longer spellings first, for the parser takes the first that fits.
const OPERATORS: &[(&str, Operator)] = &[
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

/// Which of the numbers are given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Given {
    All,
    /// `1.2` or `1.2.x`
    MajorMinor,
    /// `1` or `1.x`
    Major,
    /// `*`
    Nothing,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Comparison {
    operator: Operator,
    version: semver::Version,
    given: Given,
}

impl Comparison {
    fn matches(&self, version: &semver::Version) -> bool {
        match self.operator {
            Operator::Equal if self.given == Given::All => {
                self.order_of(version) == Ordering::Equal
            }
            Operator::Equal | Operator::Tilde => self.tilde(version),
            Operator::NotEqual => self.not_equal(version),
            Operator::Greater => self.greater(version),
            Operator::Less => self.order_of(version) == Ordering::Less,
            Operator::GreaterOrEqual => self.order_of(version) != Ordering::Less,
            Operator::LessOrEqual => self.less_or_equal(version),
            Operator::Caret => self.caret(version),
        }
    }

    /// How a version stands to ours.
    fn order_of(&self, version: &semver::Version) -> Ordering {
        version.cmp_precedence(&self.version)
    }

    fn same_major(&self, version: &semver::Version) -> bool {
        version.major == self.version.major
    }

    fn same_minor(&self, version: &semver::Version) -> bool {
        version.minor == self.version.minor
    }

    fn tilde(&self, version: &semver::Version) -> bool {
        if self.order_of(version) == Ordering::Less {
            return false;
        }
        let zero = (self.version.major, self.version.minor, self.version.patch) == (0, 0, 0);
        if zero && matches!(self.given, Given::All | Given::Nothing) {
            return true;
        }
        self.same_major(version) && (self.given == Given::Major || self.same_minor(version))
    }

    fn not_equal(&self, version: &semver::Version) -> bool {
        match self.given {
            Given::Major => !self.same_major(version),
            Given::MajorMinor => {
                !self.same_major(version)
                    || !self.same_minor(version)
                    || version.pre != self.version.pre
            }
            Given::All | Given::Nothing => self.order_of(version) != Ordering::Equal,
        }
    }

    fn greater(&self, version: &semver::Version) -> bool {
        match self.given {
            Given::Major => version.major > self.version.major,
            Given::MajorMinor => {
                (version.major, version.minor) > (self.version.major, self.version.minor)
            }
            Given::All | Given::Nothing => self.order_of(version) == Ordering::Greater,
        }
    }

    fn less_or_equal(&self, version: &semver::Version) -> bool {
        match self.given {
            Given::All => self.order_of(version) != Ordering::Greater,
            Given::Major => version.major <= self.version.major,
            Given::MajorMinor | Given::Nothing => {
                (version.major, version.minor) <= (self.version.major, self.version.minor)
            }
        }
    }

    fn caret(&self, version: &semver::Version) -> bool {
        if self.order_of(version) == Ordering::Less {
            return false;
        }
        let (major, minor) = (self.version.major, self.version.minor);
        if major > 0 || self.given == Given::Major {
            return self.same_major(version);
        }
        if minor > 0 || self.given == Given::MajorMinor {
            return version.major == 0 && self.same_minor(version);
        }
        // That makes `^*` the version 0.0.0 alone, as in the reference.
        (version.major, version.minor, version.patch) == (0, 0, self.version.patch)
    }
}

impl FromStr for Constraint {
    type Err = ParseConstraintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseConstraintError {
            text: text.chars().take(Self::MAX_LENGTH).collect(),
        };
        if text.len() > Self::MAX_LENGTH {
            return Err(malformed());
        }
        if text.split("||").count() > Self::MAX_GROUPS {
            return Err(malformed());
        }
        let everything = if text.trim().is_empty() { "*" } else { text };
        let any_of = everything
            .split("||")
            .map(|group| Parser { rest: group }.group())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(malformed)?;
        Ok(Self {
            text: text.to_owned(),
            any_of,
        })
    }
}

/// Takes a group of comparisons apart, from left to right.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn group(mut self) -> Option<Vec<Comparison>> {
        let mut comparisons = Vec::new();
        self.spaces();
        loop {
            self.comparison(&mut comparisons)?;
            let separated = self.spaces();
            if self.rest.is_empty() {
                return Some(comparisons);
            }
            if self.literal(",") {
                self.spaces();
            } else if !separated {
                return None;
            }
        }
    }

    fn comparison(&mut self, comparisons: &mut Vec<Comparison>) -> Option<()> {
        let operator = OPERATORS.iter().find(|(text, _)| self.literal(text));
        self.spaces();
        let (version, given) = self.version()?;
        let after = self.rest;
        if operator.is_none() && self.spaces() && self.literal("-") && self.spaces() {
            let (upper, upper_given) = self.version()?;
            comparisons.push(Comparison {
                operator: Operator::GreaterOrEqual,
                version,
                given,
            });
            comparisons.push(Comparison {
                operator: Operator::LessOrEqual,
                version: upper,
                given: upper_given,
            });
            return Some(());
        }
        self.rest = after;
        comparisons.push(Comparison {
            operator: operator.map_or(Operator::Equal, |(_, operator)| *operator),
            version,
            given,
        });
        Some(())
    }

    fn version(&mut self) -> Option<(semver::Version, Given)> {
        let is_version =
            |character: char| character.is_ascii_alphanumeric() || ".*-+".contains(character);
        let end = self
            .rest
            .find(|character| !is_version(character))
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        parse_pattern(text.strip_prefix('v').unwrap_or(text))
    }

    fn literal(&mut self, literal: &str) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Skips white space and tells whether there was any.
    fn spaces(&mut self) -> bool {
        let trimmed = self.rest.trim_start();
        let skipped = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        skipped
    }
}

/// Parses `1.x`, `1.2`, `*`, `1.2.3-rc.1+build`.
fn parse_pattern(text: &str) -> Option<(semver::Version, Given)> {
    let core_end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(core_end);
    let (pre, build) = rest.split_once('+').unwrap_or((rest, ""));
    semver::BuildMetadata::new(build).ok()?;
    if rest.ends_with('+') || pre == "-" {
        return None;
    }
    let parts: Vec<&str> = core.split('.').collect();
    let well_formed = |part: &&str| {
        matches!(*part, "x" | "X" | "*") || part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.len() > 3
        || !parts
            .iter()
            .all(|part| !part.is_empty() && well_formed(part))
    {
        return None;
    }
    let wild = |index: usize| {
        parts
            .get(index)
            .is_none_or(|part| matches!(*part, "x" | "X" | "*"))
    };
    let number = |index: usize| -> Option<u64> { parts.get(index)?.parse().ok() };
    let (given, [major, minor, patch]) = if wild(0) {
        (Given::Nothing, [0, 0, 0])
    } else if wild(1) {
        (Given::Major, [number(0)?, 0, 0])
    } else if wild(2) {
        (Given::MajorMinor, [number(0)?, number(1)?, 0])
    } else {
        (Given::All, [number(0)?, number(1)?, number(2)?])
    };
    let mut version = semver::Version::new(major, minor, patch);
    version.pre = semver::Prerelease::new(pre.strip_prefix('-').unwrap_or(pre)).ok()?;
    Some((version, given))
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Constraint {
    type Error = ParseConstraintError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> Self {
        constraint.text
    }
}

/// Why a text is not a [`Constraint`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not a version constraint such as `>=1.2, <2` or `~1.4 || ^3`")]
#[expect(missing_docs, reason = "the message names its field")]
pub struct ParseConstraintError {
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_those_of_masterminds() {
        let table = include_str!("../../../conformance/constraints/masterminds.tsv");
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let [constraint, version, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("malformed line {line:?}");
            };
            let parsed: Constraint = constraint.parse().unwrap();
            let answer = parsed.matches(&version.parse().unwrap());
            assert_eq!(answer.to_string(), expected, "{constraint} with {version}");
        }
    }

    #[test]
    fn groups_are_separated_by_commas_spaces_and_bars() {
        for (text, groups, first) in [
            (">40.50.60, < 50.70", 1, 2),
            (">= 1.2.3 < 2.0 || => 3.0 < 4", 2, 2),
            ("3 - 4 || => 3.0, < 4", 2, 2),
            ("12.3.34 ~1.2.3", 1, 2),
            ("1.0.0 - 2.0.0, <=2.0.0", 1, 3),
            ("2 - 3 4.0.0 - 5.1", 1, 4),
            ("v2.3.5-20161202202307-sha.e8fc5e5", 1, 1),
        ] {
            let constraint: Constraint = text.parse().unwrap();
            assert_eq!(constraint.any_of.len(), groups, "{text}");
            assert_eq!(constraint.any_of[0].len(), first, "{text}");
            assert_eq!(constraint.to_string(), text);
        }
    }

    #[test]
    fn malformed_constraints_are_refused() {
        for text in [
            "foo",
            ">= bar",
            "BAR >= 1.2.3",
            "v1.2.3-beta.01",
            "12.3.4.1234",
            "12.3.34~ 1.2.3",
            "1.0 -2.0",
            "> 1 - 2",
            "1,",
            ",1",
            "1 ||",
            "1x",
            "=",
            "1..2",
            "1-",
            "1+",
            "1 2 3 !",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Constraint>().is_err(), "{text}");
        }
        for (groups, is_read) in [
            (Constraint::MAX_GROUPS, true),
            (Constraint::MAX_GROUPS + 1, false),
        ] {
            let text = vec![">= 1.0.0"; groups].join(" || ");
            assert_eq!(text.parse::<Constraint>().is_ok(), is_read);
        }
        for (length, is_read) in [
            (Constraint::MAX_LENGTH, true),
            (Constraint::MAX_LENGTH + 1, false),
        ] {
            let text = format!("{:>length$}", "1");
            assert_eq!(text.parse::<Constraint>().is_ok(), is_read);
        }
    }

    #[test]
    fn a_version_without_semantics_never_matches() {
        let anything: Constraint = "*".parse().unwrap();
        assert!(!anything.matches(&Version::lenient("latest").unwrap()));
    }
}
