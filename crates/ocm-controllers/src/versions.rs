//! Which version of a component is taken.

use std::cmp::Ordering;

use ocm::model::constraint::ParseConstraintError;
use ocm::model::{Constraint, Version};
use regex::bytes::{Regex, RegexBuilder};

use crate::api::DowngradePolicy;

/// The largest regular expression, compiled, in bytes.
const FILTER_LIMIT: usize = 1 << 20;

/// What a component asks for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// This version, whether it is listed or not; also a short one, such as `v1.2`.
    Exactly(Version),
    /// The highest one that fits.
    Highest {
        /// The set of versions.
        constraint: Constraint,
        /// The constraint as it is written.
        text: String,
        /// What the text of the version must match somewhere.
        filter: Option<Filter>,
    },
}

/// A regular expression that versions must match.
///
/// It has the syntax of RE2 without classes of Unicode, which versions have no use for, and takes
/// time linear in the text, whatever it is.
#[derive(Clone, Debug)]
pub struct Filter(Regex);

impl Wanted {
    /// Reads `spec.semver` and `spec.semverFilter`.
    ///
    /// What is a version is that version and no constraint, also where it is short: `1.0` does not
    /// mean `1.0.x`. The filter counts for constraints alone, and then an empty one admits all.
    ///
    /// # Errors
    ///
    /// The text is neither a version nor a constraint, or the filter is no regular expression.
    pub fn parse(semver: &str, filter: Option<&str>) -> Result<Self, Error> {
        if let Ok(version) = semver.parse() {
            return Ok(Self::Exactly(version));
        }
        let filter = filter.filter(|it| !it.is_empty()).map(Filter::parse);
        let filter = filter.transpose()?;
        let constraint = semver.parse().map_err(|source| Error::Constraint {
            constraint: semver.to_owned(),
            source,
        })?;
        Ok(Self::Highest {
            constraint,
            text: semver.to_owned(),
            filter,
        })
    }

    /// Chooses one of the versions that a repository has, by its text as it was published.
    ///
    /// # Errors
    ///
    /// None fits.
    pub fn choose(&self, available: &[Version]) -> Result<Version, Error> {
        match self {
            Self::Exactly(version) => Ok(version.clone()),
            Self::Highest {
                constraint,
                text,
                filter,
            } => {
                let admitted = available.iter().filter(|version| {
                    constraint.matches(version)
                        && filter.as_ref().is_none_or(|filter| filter.admits(version))
                });
                let highest = admitted.max().cloned();
                highest.ok_or_else(|| Error::NoneFits {
                    constraint: text.clone(),
                })
            }
        }
    }
}

impl Filter {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut builder = RegexBuilder::new(text);
        let built = builder.unicode(false).size_limit(FILTER_LIMIT).build();
        built.map(Self).map_err(|source| Error::Filter {
            filter: text.to_owned(),
            source,
        })
    }

    /// Tells whether the expression matches somewhere in the text of a version.
    pub fn admits(&self, version: &Version) -> bool {
        self.0.is_match(version.as_str().as_bytes())
    }
}

/// Checks that a version may follow the one that was taken before, if any was.
///
/// Build metadata makes no version lower.
///
/// # Errors
///
/// It is lower, which the policy denies, or the version before is no semantic version.
pub fn check_downgrade(
    policy: DowngradePolicy,
    before: Option<&str>,
    candidate: &Version,
) -> Result<(), Error> {
    let Some(before) = before.filter(|it| !it.is_empty()) else {
        return Ok(());
    };
    let before: Version = before.parse().map_err(|source| Error::Before {
        version: before.to_owned(),
        source: Box::new(source),
    })?;
    let is_lower = candidate.cmp_precedence(&before) == Ordering::Less;
    if is_lower && policy == DowngradePolicy::Deny {
        return Err(Error::Downgrade {
            from: before.as_str().to_owned(),
            to: candidate.as_str().to_owned(),
        });
    }
    Ok(())
}

/// Why no version is taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// The constraint is none.
    #[error("cannot read constraint `{constraint}`")]
    Constraint {
        constraint: String,
        source: ParseConstraintError,
    },
    /// The filter is none.
    #[error("failed to parse regexp filter `{filter}`")]
    Filter {
        filter: String,
        source: regex::Error,
    },
    /// There is no such version.
    #[error("no valid versions found for constraint {constraint}")]
    NoneFits { constraint: String },
    /// The version is lower than the one that was taken before.
    #[error("component version cannot be downgraded from version {from} to version {to}")]
    Downgrade { from: String, to: String },
    /// It is not known whether the version is lower.
    #[error("failed to check reconciled version {version}")]
    Before {
        version: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(texts: &[&str]) -> Vec<Version> {
        let versions = texts.iter().map(|it| Version::lenient(it));
        versions.map(|it| it.expect("a version")).collect()
    }

    fn chosen(semver: &str, filter: Option<&str>, available: &[&str]) -> Option<String> {
        let wanted = Wanted::parse(semver, filter).expect("a wish");
        let chosen = wanted.choose(&versions(available)).ok()?;
        Some(chosen.as_str().to_owned())
    }

    #[test]
    fn the_highest_version_of_a_constraint_is_taken_as_it_was_published() {
        let available = ["1.0.0", "v1.10", "1.9.0", "2.0.0", "1.11.0-rc.1", "latest"];
        assert_eq!(chosen("^1", None, &available).as_deref(), Some("v1.10"));
        assert_eq!(
            chosen("^1.0-0", None, &available).as_deref(),
            Some("1.11.0-rc.1")
        );
        assert_eq!(chosen(">3", None, &available), None);
    }

    #[test]
    fn a_filter_excludes_versions() {
        let available = ["1.0.0", "1.0.1-dev", "1.1.0+eu", "1.2.0"];
        for (filter, expected) in [
            (r"\+eu$", Some("1.1.0+eu")),
            (r"^1\.[01]\.\d+$", Some("1.0.0")),
            ("", Some("1.2.0")),
            ("nothing", None),
        ] {
            let found = chosen("*", Some(filter), &available);
            assert_eq!(found.as_deref(), expected, "{filter}");
        }
    }

    #[test]
    fn a_version_is_no_range_however_short() {
        for text in ["1.0", "v1", "1.2.3+build.5", "v1.2.3-rc.1"] {
            assert_eq!(chosen(text, Some("x"), &["1.0.7"]).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_it_is() {
        let message = |semver, filter| {
            let error = Wanted::parse(semver, filter).expect_err("malformed");
            error.to_string()
        };
        assert_eq!(message(">>1", None), "cannot read constraint `>>1`");
        assert_eq!(
            message("^1", Some("(")),
            "failed to parse regexp filter `(`"
        );
        let large = "(a{1000}){1000}";
        assert!(message("^1", Some(large)).starts_with("failed to parse regexp filter"));
    }

    #[test]
    fn a_lower_version_is_taken_only_where_that_is_allowed() {
        let check = |policy, before, candidate: &str| {
            let candidate = candidate.parse().expect("a version");
            check_downgrade(policy, before, &candidate).map_err(|it| it.to_string())
        };
        let (allow, deny) = (DowngradePolicy::Allow, DowngradePolicy::Deny);
        assert_eq!(check(deny, None, "1.0.0"), Ok(()));
        assert_eq!(check(deny, Some("1.0.0"), "1.0.0+build"), Ok(()));
        assert_eq!(check(deny, Some("1.0.0+b"), "1.0.0+a"), Ok(()));
        assert_eq!(check(deny, Some("v1.0"), "1.0.1"), Ok(()));
        assert_eq!(check(allow, Some("2.0.0"), "1.0.0"), Ok(()));
        let refused = "component version cannot be downgraded from version v2.0 to version 1.0.0";
        assert_eq!(check(deny, Some("v2.0"), "1.0.0"), Err(refused.to_owned()));
        let unknown = "failed to check reconciled version latest";
        assert_eq!(
            check(allow, Some("latest"), "1.0.0"),
            Err(unknown.to_owned())
        );
    }
}
