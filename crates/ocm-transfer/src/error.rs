//! What can go wrong in a transfer.

use std::error::Error as StdError;
use std::fmt;

use ocm_model::{ComponentVersionId, Identity};

use crate::decide::Difference;

/// Why a transfer was not planned, or not carried out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// A repository failed; its own error is the source.
    #[error("cannot {action} {what}")]
    Repository {
        action: &'static str,
        what: String,
        #[source]
        source: Box<ocm_repository::Error>,
    },

    /// A component version refers to one that is nowhere to be found.
    #[error("{child}, to which {parent} refers, not found in {looked}")]
    MissingReference {
        parent: ComponentVersionId,
        child: ComponentVersionId,
        looked: String,
    },

    /// A component version is not the one that a reference to it promises.
    #[error("reference `{reference}` of {parent} has not the digest of {child}: {reason}")]
    ReferenceDigest {
        parent: ComponentVersionId,
        reference: Identity,
        child: ComponentVersionId,
        reason: String,
    },

    /// A component version is not to be transferred as it is; the source says why.
    #[error("{id} is not transferred")]
    Refused {
        id: ComponentVersionId,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// Component versions refer to each other in a circle.
    #[error("component versions refer to each other in a circle: {}", path(.circle))]
    Circle { circle: Vec<ComponentVersionId> },

    /// The target has other content under the same names.
    #[error("{target} has other content for {}", list(.conflicts))]
    Conflict {
        target: String,
        /// Never empty.
        conflicts: Vec<Conflict>,
    },

    /// Content was to be copied that nobody here can read.
    #[error("cannot copy {}", beyond_reach(.elements))]
    BeyondReach {
        /// Never empty.
        elements: Vec<BeyondReach>,
    },

    /// The content of a resource or source cannot be moved; the source says why.
    #[error("cannot transfer {element} of {id}")]
    Content {
        id: ComponentVersionId,
        element: ElementId,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The content of a resource is not what the component descriptor states.
    #[error("{element} of {id} has digest {actual}, its component descriptor states {expected}")]
    ContentDigest {
        id: ComponentVersionId,
        element: ElementId,
        expected: String,
        actual: String,
    },

    /// A component version, at its source or at the target, is not what it was when the plan was
    /// made.
    #[error("{id} in {location} has changed since the transfer was planned")]
    ChangedSince {
        id: ComponentVersionId,
        location: String,
    },

    /// The descriptor that would be written is not what was signed.
    #[error("transferring {id} would change its digest in {difference}")]
    DigestChanged {
        id: ComponentVersionId,
        difference: Difference,
    },

    /// What has arrived is not what was sent.
    #[error("{location} has not got all of {id}: {reason}")]
    Copy {
        id: ComponentVersionId,
        location: String,
        reason: String,
    },

    /// A plan that was read is none, or does not fit.
    #[error("transfer plan cannot be used: {reason}")]
    Plan { reason: String },
}

impl Error {
    pub(crate) fn repository(
        action: &'static str,
        what: impl fmt::Display,
        source: ocm_repository::Error,
    ) -> Self {
        Self::Repository {
            action,
            what: what.to_string(),
            source: Box::new(source),
        }
    }

    pub(crate) fn plan(reason: impl Into<String>) -> Self {
        Self::Plan {
            reason: reason.into(),
        }
    }

    /// Returns whether a component version was asked for that is not there.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::MissingReference { .. } => true,
            Self::Repository { source, .. } => source.is_not_found(),
            _ => false,
        }
    }

    /// Returns whether content or a component version is not what a digest promises.
    pub fn is_verification(&self) -> bool {
        match self {
            Self::ReferenceDigest { .. } | Self::ContentDigest { .. } | Self::Copy { .. } => true,
            Self::Content { source, .. } => is_mismatch(source.as_ref()),
            Self::Repository { source, .. } => is_mismatch(source.as_ref()),
            _ => false,
        }
    }

    /// Returns whether a store refused a manifest because it lacks content of it.
    pub(crate) fn is_loss(&self) -> bool {
        chain(self)
            .any(|error| matches!(error.downcast_ref(), Some(ocm_oci::Error::Dangling { .. })))
    }

    /// Returns whether the target has something else, or was changed by somebody else meanwhile,
    /// or a plan is not any more about what is there.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::ChangedSince { .. } => true,
            Self::Repository { source, .. } => {
                matches!(source.as_ref(), ocm_repository::Error::Changed { .. })
            }
            _ => false,
        }
    }
}

/// Looks for content that is not what was promised, anywhere below an error.
fn is_mismatch(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|error| {
        let of_oci = error.downcast_ref();
        let of_blob = error.downcast_ref();
        of_oci.is_some_and(ocm_oci::Error::is_mismatch)
            || of_blob.is_some_and(ocm_blob::Error::is_mismatch)
    })
}

/// Returns an error and all that it comes from.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// A component version of which the target has other content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// The component version.
    pub id: ComponentVersionId,
    /// Where the two differ.
    pub difference: Difference,
}

/// Content that was to be copied and cannot be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BeyondReach {
    /// The component version.
    pub id: ComponentVersionId,
    /// The element that has it.
    pub element: ElementId,
    /// The type of its access.
    pub access_type: String,
    /// Why it cannot be copied.
    pub reason: String,
}

/// Names a resource or a source of a component version in messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ElementId {
    /// Which list it is in.
    pub kind: ocm_model::ElementKind,
    /// Which element of it.
    pub identity: Identity,
}

impl fmt::Display for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.identity)
    }
}

fn path(circle: &[ComponentVersionId]) -> String {
    let names: Vec<String> = circle.iter().map(ToString::to_string).collect();
    names.join(" → ")
}

fn list(conflicts: &[Conflict]) -> String {
    shortened(conflicts, |it| format!("{} (in {})", it.id, it.difference))
}

fn beyond_reach(elements: &[BeyondReach]) -> String {
    shortened(elements, |it| {
        format!("{} of {}: {}", it.element, it.id, it.reason)
    })
}

/// Names the first few.
fn shortened<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = items.iter().take(SHOWN).map(text).collect();
    match items.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
