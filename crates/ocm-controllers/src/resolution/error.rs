//! Why there is no answer of a repository.

use std::time::Duration;

use ocm::Kind;
use ocm::model::{ComponentName, ComponentVersionId, Identity, RepositorySpec};

use super::content_error::ContentError;

/// Why there is no answer of a repository, or none that holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// The repository cannot be opened, or does not answer.
    #[error("cannot use repository {what}")]
    Repository {
        what: String,
        source: Box<ocm::Error>,
    },
    /// An archive is not where archives may be.
    #[error("there is no archive {path} below the directory for archives")]
    Archive { path: String },
    /// The versions of a component cannot be listed.
    #[error("failed to list versions of {component}")]
    List {
        component: ComponentName,
        source: ocm::repository::Error,
    },
    /// The component version cannot be read.
    #[error("failed to get component version {id}")]
    Read {
        id: ComponentVersionId,
        source: ocm::repository::Error,
    },
    /// A signature that must hold is not there.
    #[error("signature {signature} not found in component {id}")]
    NoSignature {
        signature: String,
        id: ComponentVersionId,
    },
    /// A signature does not hold.
    #[error("signature verification failed for signature {signature}")]
    Signature {
        signature: String,
        source: Box<ocm::Error>,
    },
    /// The component version is not the one that is referred to.
    #[error("digest mismatch of {id}: {stated} is stated, {computed} was computed")]
    Digest {
        id: ComponentVersionId,
        stated: String,
        computed: String,
    },
    /// It is not known how the digest that is stated was computed.
    #[error("cannot compute the digest of {id} by `{normalisation}` and `{hash}`")]
    UnknownDigest {
        id: ComponentVersionId,
        normalisation: String,
        hash: String,
    },
    /// The content of a resource cannot be read, or is something else.
    #[error("failed to read resource {resource} of {id}")]
    Content {
        resource: Identity,
        id: ComponentVersionId,
        source: Box<ContentError>,
    },
    /// There was no answer in time.
    #[error("there was no answer about {what} within {} seconds", limit.as_secs())]
    Late { what: String, limit: Duration },
    /// The work has ended without an outcome.
    #[error("the work was lost")]
    Lost,
}

impl Error {
    pub(super) fn repository(what: &RepositorySpec, source: ocm::Error) -> Self {
        Self::Repository {
            what: what.to_string(),
            source: Box::new(source),
        }
    }

    pub(super) fn read(id: &ComponentVersionId, source: ocm::repository::Error) -> Self {
        let id = id.clone();
        Self::Read { id, source }
    }

    pub(super) fn list(component: &ComponentName, source: ocm::repository::Error) -> Self {
        let component = component.clone();
        Self::List { component, source }
    }

    /// Tells whether the same may succeed without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Late { .. } | Self::Lost) || Kind::of(self) == Kind::Remote
    }
}
