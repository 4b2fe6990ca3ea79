//! The two roles of a signature: who makes it, and who checks it.
//!
//! Both work on a digest alone. RSA is in [`crate::rsa`]; another kind of signature is another
//! module that implements the two traits.

use std::error::Error;

use ocm_digest::Digest;
use ocm_model::SignatureInfo;

/// Makes signatures of digests.
pub trait Signer: Send + Sync {
    /// Signs a digest.
    ///
    /// # Errors
    ///
    /// The signer refuses, whatever its reason.
    fn sign(&self, digest: &Digest) -> Result<SignatureInfo, SignError>;
}

/// Checks signatures of digests.
pub trait Verifier: Send + Sync {
    /// Checks that a signature was made of this digest by whom the verifier trusts.
    ///
    /// # Errors
    ///
    /// The signature is not known to be valid; the variant tells who is to blame.
    fn verify(&self, digest: &Digest, signature: &SignatureInfo) -> Result<(), VerifyError>;
}

/// What a signer or verifier of any kind has to say.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a [`Signer`] made no signature.
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
