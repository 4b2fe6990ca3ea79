//! Who may do what: rules from a file.
//!
//! ```yaml
//! groups:
//!   release: [alice, ci]
//! rules:
//!   - groups: [release]
//!     repositories: ["acme/**"]
//!     allow: [pull, push, delete]
//!   - users: ["*"]                 # whoever has logged in
//!     repositories: ["acme/**"]
//!     allow: [pull]
//!   - anonymous: true
//!     repositories: ["public/*"]
//!     allow: [pull]
//! ```
//!
//! What no rule allows is not allowed. In a pattern `*` stands for any part of one element of a
//! name, and `**`, as an element of its own, for any number of elements.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What can be done with a repository.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Pull,
    Push,
    Delete,
}

impl Action {
    pub(crate) const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// Returns the word for it in scopes.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

/// Somebody who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    Anonymous,
    User(String),
}

/// All rules.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    #[serde(default)]
    groups: BTreeMap<String, BTreeSet<String>>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    users: BTreeSet<String>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    anonymous: bool,
    repositories: BTreeSet<String>,
    allow: BTreeSet<Action>,
}

impl Rules {
    /// Reads a file.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(content).map_err(|_| Error::Encoding)?;
        let rules: Self = serde_saphyr::from_str(text).map_err(Box::new)?;
        for (number, rule) in (1..).zip(&rules.rules) {
            if let Some(group) = rule
                .groups
                .iter()
                .find(|it| !rules.groups.contains_key(*it))
            {
                return Err(Error::NoSuchGroup {
                    number,
                    group: group.clone(),
                });
            }
            if let Some(pattern) = rule.repositories.iter().find(|it| !is_pattern(it)) {
                return Err(Error::Pattern {
                    number,
                    pattern: pattern.clone(),
                });
            }
        }
        Ok(rules)
    }

    /// The rules where there is no file: who has logged in may do everything.
    pub(crate) fn for_users() -> Self {
        Self::one(Rule {
            users: BTreeSet::from(["*".to_owned()]),
            allow: BTreeSet::from(Action::ALL),
            ..Rule::default()
        })
    }

    fn one(mut rule: Rule) -> Self {
        rule.repositories.insert("**".to_owned());
        Self {
            groups: BTreeMap::new(),
            rules: vec![rule],
        }
    }

    /// Lets everybody pull.
    #[must_use]
    pub(crate) fn and_anonymous_pull(mut self) -> Self {
        let rule = Rule {
            anonymous: true,
            allow: BTreeSet::from([Action::Pull]),
            ..Rule::default()
        };
        self.rules.extend(Self::one(rule).rules);
        self
    }

    /// Returns whether somebody may do something.
    pub(crate) fn permit(&self, subject: &Subject, action: Action, repository: &str) -> bool {
        self.rules
            .iter()
            .filter(|rule| rule.allow.contains(&action) && self.applies(rule, subject))
            .any(|rule| rule.repositories.iter().any(|it| matches(it, repository)))
    }

    /// Returns whether somebody may do anything anywhere.
    pub(crate) fn know(&self, subject: &Subject) -> bool {
        self.rules.iter().any(|rule| self.applies(rule, subject))
    }

    fn applies(&self, rule: &Rule, subject: &Subject) -> bool {
        // What everybody may do, those may as well that are known.
        rule.anonymous
            || match subject {
                Subject::Anonymous => false,
                Subject::User(name) => {
                    let in_group =
                        |group| self.groups.get(group).is_some_and(|it| it.contains(name));
                    rule.users.contains("*")
                        || rule.users.contains(name)
                        || rule.groups.iter().any(in_group)
                }
            }
    }
}

/// Why a file is none of rules.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it is no text")]
    Encoding,
    #[error("the rules cannot be read")]
    Yaml(#[from] Box<serde_saphyr::Error>),
    #[error("rule {number}: there is no group `{group}`")]
    NoSuchGroup { number: usize, group: String },
    #[error("rule {number}: `{pattern}` is no pattern for names of repositories")]
    Pattern { number: usize, pattern: String },
}

fn is_pattern(text: &str) -> bool {
    text.len() <= 255
        && text.split('/').all(|element| {
            let known = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-*".contains(&byte)
            };
            // Two stars within an element promise what they do not do.
            !element.is_empty()
                && element.bytes().all(known)
                && (element == "**" || !element.contains("**"))
        })
}

/// Returns whether a name is one of those that a pattern stands for.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<_> = pattern.split('/').collect();
    let name: Vec<_> = name.split('/').collect();
    wild(&pattern, &name, &"**", |pattern, element| {
        wild(pattern.as_bytes(), element.as_bytes(), &b'*', |a, b| a == b)
    })
}

/// Compares a sequence with a pattern in which `star` stands for any number of items. Goes back to
/// the last star alone, so that the time is at most the product of the lengths.
fn wild<T: PartialEq>(pattern: &[T], items: &[T], star: &T, same: impl Fn(&T, &T) -> bool) -> bool {
    let (mut at, mut item) = (0, 0);
    let mut last = None;
    while item < items.len() {
        if pattern.get(at) == Some(star) {
            last = Some((at, item));
            at += 1;
        } else if pattern.get(at).is_some_and(|it| same(it, &items[item])) {
            at += 1;
            item += 1;
        } else if let Some((star_at, taken)) = last {
            last = Some((star_at, taken + 1));
            at = star_at + 1;
            item = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|it| it == star)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
groups:
  release: [alice, ci]
rules:
  - groups: [release]
    repositories: ["acme/**"]
    allow: [pull, push]
  - users: [bob]
    repositories: ["acme/*/bob-*"]
    allow: [delete]
  - users: ["*"]
    repositories: ["shared"]
    allow: [pull]
  - anonymous: true
    repositories: ["public/**"]
    allow: [pull]
"#;

    fn user(name: &str) -> Subject {
        Subject::User(name.to_owned())
    }

    #[test]
    fn what_no_rule_allows_is_not_allowed() {
        use Action::{Delete, Pull, Push};
        let rules = Rules::parse(RULES.as_bytes()).unwrap();
        for (subject, action, repository, expected) in [
            (user("alice"), Push, "acme/shop", true),
            (user("ci"), Pull, "acme/a/b/c", true),
            (user("alice"), Delete, "acme/shop", false),
            (user("alice"), Push, "acme", true),
            (user("alice"), Push, "acme-other/shop", false),
            (user("alice"), Push, "other/acme/shop", false),
            (user("bob"), Push, "acme/shop", false),
            (user("bob"), Delete, "acme/x/bob-1", true),
            (user("bob"), Delete, "acme/x/y/bob-1", false),
            (user("bob"), Delete, "acme/x/bob", false),
            (user("bob"), Pull, "shared", true),
            (user("*"), Push, "acme/shop", false),
            (Subject::Anonymous, Pull, "shared", false),
            (Subject::Anonymous, Pull, "public/a", true),
            (Subject::Anonymous, Push, "public/a", false),
            (user("bob"), Pull, "public/a", true),
        ] {
            let permitted = rules.permit(&subject, action, repository);
            assert_eq!(permitted, expected, "{subject:?} {action:?} {repository}");
        }
        assert!(rules.know(&Subject::Anonymous));
        assert!(!Rules::for_users().know(&Subject::Anonymous));
        assert!(Rules::for_users().permit(&user("x"), Delete, "a/b"));
        let open = Rules::for_users().and_anonymous_pull();
        assert!(open.permit(&Subject::Anonymous, Pull, "a/b"));
        assert!(!open.permit(&Subject::Anonymous, Push, "a/b"));
    }

    #[test]
    fn a_pattern_is_compared_element_by_element() {
        for (pattern, name, expected) in [
            ("**", "a/b/c", true),
            ("*", "a/b", false),
            ("a/**/d", "a/d", true),
            ("a/**/d", "a/b/c/d", true),
            ("a/**/d", "a/b/c/d/e", false),
            ("**/x/**/y", "a/x/b/x/y", true),
            ("a*b*c", "aXXbYYbc", true),
            ("a*b*c", "aXXbYYb", false),
            ("*a", "a", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let long = "a".repeat(200);
        assert!(!matches(&"*a".repeat(100), &format!("{long}b")));
    }

    #[test]
    fn other_files_are_refused() {
        for text in [
            "",
            "rules: {}",
            "rules: [{repositories: [a]}]",
            "rules: [{repositories: [a], allow: [fly]}]",
            "rules: [{repositories: [a], allow: [pull], user: [x]}]",
            "rules: [{repositories: [A], allow: [pull]}]",
            "rules: [{repositories: ['a/'], allow: [pull]}]",
            "rules: [{repositories: ['a**'], allow: [pull]}]",
            "rules: [{repositories: [a], groups: [none], allow: [pull]}]",
        ] {
            assert!(Rules::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Rules::parse(b"\xff").is_err());
    }
}
