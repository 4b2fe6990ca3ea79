//! What can go wrong between a caller and a component repository.

use std::error::Error as StdError;

use ocm_model::{ComponentName, ComponentVersionId};

/// Why a repository did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// There is no such component version.
    #[error("component version {id} not found in {location}")]
    NotFound {
        id: ComponentVersionId,
        location: String,
    },

    /// There is no such component.
    #[error("component {name} not found in {location}")]
    NoComponent {
        name: ComponentName,
        location: String,
    },

    /// The component version changed between reading and writing it.
    #[error("component version {id} in {location} was changed by somebody else")]
    Changed {
        id: ComponentVersionId,
        location: String,
    },

    /// What is stored is no component version, or contradicts itself.
    #[error("{what} in {location} is malformed: {reason}")]
    Malformed {
        what: String,
        location: String,
        reason: String,
    },

    /// A local blob is named that the component version does not have.
    #[error("component version {id} has no local blob {reference}")]
    NoLocalBlob {
        id: ComponentVersionId,
        reference: String,
    },

    /// There is no way to reach content with this access.
    #[error("access type `{access_type}` is not supported for {operation}")]
    UnsupportedAccess {
        access_type: String,
        operation: &'static str,
    },

    /// The repository, or its format, is only read.
    #[error("{location} can only be read")]
    ReadOnly { location: String },

    /// The repository cannot do this.
    #[error("{location} does not support {operation}")]
    Unsupported {
        location: String,
        operation: &'static str,
    },

    /// The technology underneath failed; its own error is the source.
    #[error("cannot {action} {what}")]
    Backend {
        action: &'static str,
        what: String,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// Wraps the error of the technology underneath with what was done to which object.
    pub fn backend(
        action: &'static str,
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Backend {
            action,
            what: what.into(),
            source: source.into(),
        }
    }

    /// Returns whether a component or a component version was asked for that is not there.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NoComponent { .. })
    }
}
