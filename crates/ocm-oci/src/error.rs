//! What every store can answer besides the thing asked for.

use std::error::Error as StdError;

use ocm_digest::Digest;

/// Why a store did not do what it was asked to.
///
/// Stores of every kind return the same variants, so that a caller can branch on what happened
/// without knowing the technology.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// There is no such repository, tag, manifest or blob.
    #[error("{what} not found")]
    NotFound { what: String },

    /// The store wants credentials, or better ones.
    #[error("{what}: not authenticated")]
    Unauthenticated { what: String },

    /// The credentials do not allow this.
    #[error("{what}: not allowed")]
    Denied { what: String },

    /// The store, or this view of it, cannot be written to.
    #[error("{store} is read-only")]
    ReadOnly { store: String },

    /// A tag does not point any more where it did when it was looked at.
    #[error("{what} has been changed by somebody else meanwhile")]
    Changed { what: String },

    /// Only one can write at a time, and somebody else does.
    #[error("{what} is being written by somebody else")]
    Busy { what: String },

    /// The store has no such operation.
    #[error("{store} does not support {operation}")]
    Unsupported {
        store: String,
        operation: &'static str,
    },

    /// A document, a name or an answer is malformed.
    #[error("{what} is malformed: {reason}")]
    Malformed { what: String, reason: String },

    /// A document is larger than what is accepted for its kind.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge { what: String, limit: u64 },

    /// Content is not what its digest or size says.
    #[error("{what} has digest {actual}, expected {expected}")]
    DigestMismatch {
        what: String,
        expected: Digest,
        actual: Digest,
    },

    /// A manifest names content that the store does not have.
    #[error("{what} refers to {digest}, which is missing")]
    Dangling { what: String, digest: Digest },

    /// An index has no image for a platform that is wanted.
    #[error("{what} has no image for {wanted}; it has {available}")]
    NoPlatform {
        what: String,
        wanted: String,
        available: String,
    },

    /// Content could not be read or written.
    #[error("cannot {action} {what}")]
    Blob {
        action: &'static str,
        what: String,
        #[source]
        source: ocm_blob::Error,
    },

    /// The other side failed, or could not be reached.
    #[error("{what}: {reason}")]
    Remote {
        what: String,
        reason: String,
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// Whether trying again may help.
        transient: bool,
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

impl Error {
    /// Says that something is not there.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// Says that a document, a name or an answer is malformed.
    pub fn malformed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            reason: reason.into(),
        }
    }

    /// Wraps an error of content with what was done to which object.
    pub fn blob(action: &'static str, what: impl Into<String>, source: ocm_blob::Error) -> Self {
        Self::Blob {
            action,
            what: what.into(),
            source,
        }
    }

    /// Returns the error of the store where content could not be read because of one, else this
    /// error itself.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Blob { source, .. } => of_content(source).unwrap_or(self),
            other => other,
        }
    }

    /// Returns whether something was asked for that is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.cause(), Self::NotFound { .. })
    }

    /// Returns whether content was read whole and is not what was promised.
    pub fn is_mismatch(&self) -> bool {
        match self.cause() {
            Self::DigestMismatch { .. } => true,
            Self::Blob { source, .. } => source.is_mismatch(),
            _ => false,
        }
    }

    /// Returns whether doing the same again may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.cause(),
            Self::Remote {
                transient: true,
                ..
            }
        )
    }
}

/// Finds the error of a store behind an error of content.
fn of_content(error: &ocm_blob::Error) -> Option<&Error> {
    let ocm_blob::Error::Source { source, .. } = error else {
        return None;
    };
    match source.downcast_ref::<Error>() {
        Some(cause) => Some(cause.cause()),
        None => of_content(source.downcast_ref()?),
    }
}
