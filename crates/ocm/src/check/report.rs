//! What a check reports: each part, and what it was found to be.

use std::cmp::Reverse;
use std::fmt;

use ocm_model::ComponentVersionId;
use serde::Serialize;

use crate::kind::Kind;
use crate::serialise::display;

/// What a component version consists of, and what of it is there.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The component version.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// Where it was looked for.
    pub repository: String,
    /// Its parts, and those of what it refers to.
    pub parts: Vec<Part>,
}

/// One part.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The component version that it is a part of.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// What it is.
    pub kind: PartKind,
    /// What names it there.
    pub name: String,
    /// What it was found to be.
    #[serde(flatten)]
    pub outcome: PartOutcome,
}

/// What a part is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum PartKind {
    /// A signature.
    Signature,
    /// A component version that is referred to.
    Reference,
    /// A resource.
    Resource,
    /// A source.
    Source,
    /// The form in which the component version is stored.
    Stored,
    /// An artifact that refers to one of the content, or to the component version as it is stored.
    Referrer,
}

/// What a part was found to be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum PartOutcome {
    /// It is there, as far as that shows without reading it.
    Present {
        /// Its bytes, if they can be known without reading them.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// It was read to its end, and is what it should be.
    Verified {
        /// Its bytes.
        size: u64,
    },
    /// There is nothing to look for.
    Empty,
    /// It is not stored with the component versions, and was left alone for that.
    Elsewhere,
    /// It is not there.
    Missing {
        /// What is not.
        reason: String,
    },
    /// It is there, and is not what it should be.
    Wrong {
        /// In which way.
        reason: String,
    },
    /// Nobody can tell: it cannot be reached or read from here.
    Unreadable {
        /// Why.
        reason: String,
        /// The sort of failure.
        #[serde(skip)]
        kind: Kind,
    },
}

/// Something of a component version is missing, wrong, or cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("component version {component} is not complete in {repository}: {faults} of {parts} parts")]
pub struct Incomplete {
    /// The component version.
    pub component: ComponentVersionId,
    /// Where it was looked for.
    pub repository: String,
    /// How many parts are not as they should be.
    pub faults: usize,
    /// How many parts were looked at.
    pub parts: usize,
    pub(crate) kind: Kind,
}

impl CheckReport {
    /// Says whether everything is there and right.
    ///
    /// # Errors
    ///
    /// Something is not. The severest fault decides its [`Kind`], see [`Kind::severity`].
    pub fn verdict(&self) -> Result<(), Incomplete> {
        let kinds: Vec<Kind> = self.parts.iter().filter_map(Part::fault).collect();
        match kinds.iter().min_by_key(|kind| Reverse(kind.severity())) {
            None => Ok(()),
            Some(&kind) => Err(Incomplete {
                component: self.component.clone(),
                repository: self.repository.clone(),
                faults: kinds.len(),
                parts: self.parts.len(),
                kind,
            }),
        }
    }

    /// Returns the bytes of all parts, as far as they are known.
    pub fn size(&self) -> u64 {
        let sizes = self.parts.iter().map(|part| part.outcome.size());
        sizes.fold(0, u64::saturating_add)
    }
}

impl Part {
    pub(crate) fn new(
        component: ComponentVersionId,
        kind: PartKind,
        name: impl fmt::Display,
        outcome: PartOutcome,
    ) -> Self {
        let name = name.to_string();
        Self {
            component,
            kind,
            name,
            outcome,
        }
    }

    /// Returns the sort of what is wrong with it, if anything is.
    pub const fn fault(&self) -> Option<Kind> {
        self.outcome.fault()
    }
}

impl PartOutcome {
    /// Returns the sort of what is wrong, if anything is.
    pub const fn fault(&self) -> Option<Kind> {
        match self {
            Self::Missing { .. } => Some(Kind::NotFound),
            Self::Wrong { .. } => Some(Kind::VerificationFailed),
            Self::Unreadable { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// Returns the bytes that are there, as far as they are known.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Present { size } => size.unwrap_or_default(),
            Self::Verified { size } => *size,
            _ => 0,
        }
    }
}

impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Reference => "reference",
            Self::Resource => "resource",
            Self::Source => "source",
            Self::Stored => "stored",
            Self::Referrer => "referrer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_decides_before_what_is_missing() {
        let id: ComponentVersionId = "acme.org/a:1.0.0".parse().unwrap();
        let reason = || "x".to_owned();
        let outcomes = [
            PartOutcome::Present { size: Some(2) },
            PartOutcome::Unreadable {
                reason: reason(),
                kind: Kind::Remote,
            },
            PartOutcome::Missing { reason: reason() },
            PartOutcome::Wrong { reason: reason() },
        ];
        let kinds = [
            None,
            Some(Kind::Remote),
            Some(Kind::NotFound),
            Some(Kind::VerificationFailed),
        ];
        for count in 1..=outcomes.len() {
            let parts = outcomes[..count]
                .iter()
                .rev()
                .map(|outcome| Part::new(id.clone(), PartKind::Resource, "a", outcome.clone()));
            let report = CheckReport {
                component: id.clone(),
                repository: "a".to_owned(),
                parts: parts.collect(),
            };
            let verdict = report.verdict().err();
            assert_eq!(verdict.map(|verdict| verdict.kind), kinds[count - 1]);
            assert_eq!(report.size(), 2);
        }
    }
}
