//! What can go wrong while reading or writing content.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocm_digest::Digest;

/// Why content could not be read or written.
///
/// Clonable, so that a stream that broke can say so to everybody who waits for it.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The content is not what its digest promised.
    #[error("content has digest {actual}, expected {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },

    /// The content is not what a checksum promised, by whichever algorithm there is one.
    #[error("content has {algorithm} checksum {actual}, expected {expected}")]
    ChecksumMismatch {
        algorithm: &'static str,
        expected: String,
        actual: String,
    },

    /// The content ended early or went on too long.
    #[error("content has {actual} bytes, expected {expected}")]
    SizeMismatch { expected: u64, actual: u64 },

    /// The content is larger than the reader accepts.
    #[error("content is larger than the limit of {limit} bytes")]
    TooLarge { limit: u64 },

    /// An archive or a compressed stream is malformed.
    #[error("malformed {format}: {reason}")]
    Malformed {
        format: &'static str,
        reason: String,
    },

    /// A file could not be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },

    /// Something underneath failed; its own error is the source.
    #[error("cannot read {what}")]
    Source {
        what: String,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Names the file that an operation was about.
    pub fn file(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.as_ref().to_owned(),
            source: Arc::new(source),
        }
    }

    /// Wraps the error of whatever content came from.
    pub fn source(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Source {
            what: what.into(),
            source: Arc::new(source),
        }
    }

    /// Says that an archive or a compressed stream is malformed.
    pub fn malformed(format: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            format,
            reason: reason.into(),
        }
    }

    /// Returns whether the content was read whole and is not what was promised.
    pub fn is_mismatch(&self) -> bool {
        match self {
            Self::DigestMismatch { .. }
            | Self::ChecksumMismatch { .. }
            | Self::SizeMismatch { .. } => true,
            Self::Source { source, .. } => {
                source.downcast_ref::<Self>().is_some_and(Self::is_mismatch)
            }
            _ => false,
        }
    }
}
