//! The roles around a signature: who makes it, who checks it, and who testifies when it was made.
//!
//! All of them work on a digest alone. RSA is in [`crate::rsa`]; another kind of signature is
//! another module, or crate, that implements the traits.

use std::error::Error;

use async_trait::async_trait;
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::{SignatureInfo, TimestampSpec};

use crate::signatory::Signatory;

/// Makes signatures of digests.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Signs a digest.
    ///
    /// # Errors
    ///
    /// The signer refuses, whatever its reason.
    async fn sign(&self, digest: &Digest) -> Result<SignatureInfo, SignError>;
}

/// Checks signatures of digests.
pub trait Verifier: Send + Sync {
    /// Checks that a signature was made of this digest by whom the verifier trusts, and returns
    /// who that is.
    ///
    /// Certificates are judged as of `at`: the time that a verified timestamp of the signature
    /// states, else the present as the caller knows it.
    ///
    /// # Errors
    ///
    /// The signature is not known to be valid; the variant tells who is to blame.
    fn verify(
        &self,
        digest: &Digest,
        signature: &SignatureInfo,
        at: Timestamp,
    ) -> Result<Signatory, VerifyError>;
}

/// Has somebody testify that a digest exists, which is a timestamp of RFC 3161.
#[async_trait]
pub trait Timestamper: Send + Sync {
    /// Obtains a timestamp of the digest that is signed.
    ///
    /// What is stamped is the digest of the normalised descriptor (the message imprint is its
    /// algorithm and value), not the signature: so do the Go tools.
    ///
    /// # Errors
    ///
    /// The authority cannot be reached, refuses, or gives a timestamp of something else.
    async fn stamp(&self, digest: &Digest) -> Result<TimestampSpec, SignError>;
}

/// Checks timestamps.
pub trait TimestampVerifier: Send + Sync {
    /// Checks that a timestamp is of this digest and by an authority that is trusted, and returns
    /// the time that it states: not the one beside it, which nobody vouches for.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Untrusted`] if the timestamp could be right, but its authority is not
    /// trusted here; the signature is judged as if it had none then. Any other error makes the
    /// signature invalid.
    fn verify(&self, digest: &Digest, timestamp: &TimestampSpec) -> Result<Timestamp, VerifyError>;
}

/// What a signer or verifier of any kind has to say.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a [`Signer`] made no signature, or a [`Timestamper`] no timestamp.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SignError(pub BoxError);

/// Why a [`Verifier`] does not vouch for a signature. The message is that of the verifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The signature is of a kind that this verifier does not know.
    #[error(transparent)]
    Unknown(BoxError),
    /// The signature cannot be read.
    #[error(transparent)]
    Malformed(BoxError),
    /// The signature can be read, but is of another digest or by another key.
    #[error(transparent)]
    Mismatch(BoxError),
    /// There is nothing that the signature can be checked against, or it is not to be relied on.
    #[error(transparent)]
    Untrusted(BoxError),
}
