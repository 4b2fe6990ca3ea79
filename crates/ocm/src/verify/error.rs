//! Why a component version is not verified.

use std::error::Error as StdError;

use ocm_digest::Digest;
use ocm_model::{ComponentVersionId, Identity};
use ocm_signing::policy::Violations;

/// Why a component version is not verified.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum VerifyError {
    /// Nobody has signed.
    #[error("component version {id} has no signatures")]
    NoSignatures { id: ComponentVersionId },

    /// The signatures that hold are not those that must.
    #[error("component version {id} lacks signatures that are required")]
    Policy {
        id: ComponentVersionId,
        #[source]
        source: Violations,
    },

    /// There is no key to check a signature with.
    #[error("no public key for signature `{signature}`")]
    NoKey { signature: String },

    /// It is not said who must have made a signature by an identity.
    #[error("no rule says who must have made signature `{signature}`")]
    NoSignatory { signature: String },

    /// Nobody here verifies signatures of this kind.
    #[error(
        "signature `{signature}` is of a kind that is not known here: algorithm `{algorithm}`, \
         media type `{media_type}`"
    )]
    UnknownKind {
        signature: String,
        algorithm: String,
        media_type: String,
    },

    /// The configuration wants the signature verified as one of another kind.
    #[error(
        "signature `{signature}` is to be verified by `{configured}`, but it is of algorithm \
         `{algorithm}`"
    )]
    OtherKind {
        signature: String,
        algorithm: String,
        configured: String,
    },

    /// A referenced component version is missing or cannot be read.
    #[error("{id} refers to {reference}, which cannot be read")]
    Reference {
        id: ComponentVersionId,
        reference: ComponentVersionId,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// A referenced component version is not covered by the signature.
    #[error("{id} refers to {reference} without a digest, so that no signature covers it")]
    ReferenceWithoutDigest {
        id: ComponentVersionId,
        reference: ComponentVersionId,
    },

    /// A referenced component version is not the one that was signed.
    #[error("{id} refers to {reference} with digest {expected}, but it has {actual}")]
    ReferenceDigest {
        id: ComponentVersionId,
        reference: ComponentVersionId,
        expected: String,
        actual: String,
    },

    /// Content is missing, or is damaged.
    #[error("resource {resource} of {id} is not what was signed")]
    Content {
        id: ComponentVersionId,
        resource: Identity,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// Content is whole, but is other content.
    #[error("resource {resource} of {id} has digest {actual}, signed was {expected}")]
    ContentDigest {
        id: ComponentVersionId,
        resource: Identity,
        expected: String,
        actual: Digest,
    },
}
