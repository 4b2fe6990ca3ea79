//! OpenPGP in the role of the verifier.

use jiff::{SignedDuration, Timestamp};
use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use ocm_signing::Signatory;
use ocm_signing::role::{Verifier, VerifyError};
use thiserror::Error;

use crate::detached::{self, Detached};
use crate::packet::expires;
use crate::ring::KeyRing;
use crate::selector::KeySelector;
use crate::validity::{self, Part};
use crate::{ALGORITHM, MEDIA_TYPE};

/// By how much the clock of who signs may be ahead.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Verifies signatures by the keys of a key ring.
#[derive(Clone, Debug)]
pub struct OpenPgpVerifier {
    ring: KeyRing,
    selector: Option<KeySelector>,
}

impl OpenPgpVerifier {
    /// Trusts all keys of a key ring, or the one that is named.
    pub const fn new(ring: KeyRing, selector: Option<KeySelector>) -> Self {
        Self { ring, selector }
    }

    /// Returns who has made a signature of bytes.
    ///
    /// # Errors
    ///
    /// The signature is by no key that is trusted, of other bytes, not valid `at` that time, or by
    /// a key that could not make it by then.
    pub fn check(
        &self,
        bytes: &[u8],
        signature: &Detached,
        at: Timestamp,
    ) -> Result<Signatory, Error> {
        let candidates: Vec<Part<'_>> = (self.ring.selected(self.selector.as_ref()))
            .flat_map(|it| it.parts(self.selector.as_ref()))
            .filter(|it| it.claimed_by(&signature.packet))
            .collect();
        if candidates.is_empty() {
            return Err(self.no_key(signature));
        }
        let mut unfit = None;
        for candidate in candidates {
            // Of an algorithm that is not known, the signature cannot be checked either.
            let outcome = match candidate.accept() {
                Ok(()) if candidate.made(&signature.packet, bytes) => {
                    judge(candidate, signature, at)
                }
                Ok(()) => continue,
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(signatory) => return Ok(signatory),
                Err(error) => unfit = unfit.or(Some(error)),
            }
        }
        Err(unfit.unwrap_or(Error::Mismatch))
    }

    fn no_key(&self, signature: &Detached) -> Error {
        let issuer = signature.claimed_issuer();
        let issuer = issuer.unwrap_or_else(|| "an unknown key".to_owned());
        match &self.selector {
            Some(selector) => Error::NotTheKey {
                issuer,
                wanted: selector.clone(),
            },
            None => Error::NoKey { issuer },
        }
    }
}

fn judge(maker: Part<'_>, signature: &Detached, at: Timestamp) -> Result<Signatory, Error> {
    let made = signature.made();
    if made > at.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX) {
        return Err(Error::FromTheFuture { made });
    }
    if let Some(expired) = expires(&signature.packet).filter(|it| *it <= at) {
        return Err(Error::Expired { expired });
    }
    let statement = maker.check(made, at)?;
    Ok(Signatory::OpenPgp {
        fingerprint: maker.certificate().fingerprint(),
        user_ids: statement.user_ids,
    })
}

impl Verifier for OpenPgpVerifier {
    fn verify(
        &self,
        digest: &Digest,
        signature: &SignatureInfo,
        at: Timestamp,
    ) -> Result<Signatory, VerifyError> {
        let algorithm = &signature.algorithm;
        let own = algorithm.is_empty() || algorithm.eq_ignore_ascii_case(ALGORITHM);
        if !own || signature.media_type != MEDIA_TYPE {
            let error = Error::Kind {
                algorithm: algorithm.clone(),
                media_type: signature.media_type.clone(),
            };
            return Err(VerifyError::Unknown(error.into()));
        }
        let detached = Detached::parse(&signature.value).map_err(|error| match error {
            detached::Error::WeakHash { .. } => VerifyError::Untrusted(error.into()),
            _ => VerifyError::Malformed(error.into()),
        })?;
        self.check(digest.as_bytes(), &detached, at)
            .map_err(|error| match error {
                Error::Mismatch => VerifyError::Mismatch(error.into()),
                _ => VerifyError::Untrusted(error.into()),
            })
    }
}

/// Why a signature is not valid.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The signature is not one of OpenPGP.
    #[error(
        "expected algorithm `{ALGORITHM}` with media type `{MEDIA_TYPE}`, \
         found `{algorithm}` with `{media_type}`"
    )]
    Kind {
        algorithm: String,
        media_type: String,
    },
    /// Nobody who is trusted claims to have made the signature.
    #[error("the signature is by OpenPGP key {issuer}, which is not among the public keys")]
    NoKey { issuer: String },
    /// It is not the key that was asked for.
    #[error("the signature is by OpenPGP key {issuer}, not by {wanted}")]
    NotTheKey { issuer: String, wanted: KeySelector },
    /// The signature was not made of these bytes by the key that it names.
    #[error("the OpenPGP signature does not belong to this digest and key")]
    Mismatch,
    /// The signature is not valid any more, as its maker wanted.
    #[error("the OpenPGP signature expired on {expired}")]
    Expired { expired: Timestamp },
    /// The time that the signature states cannot be right.
    #[error("the OpenPGP signature claims to be made on {made}, which is in the future")]
    FromTheFuture { made: Timestamp },
    /// The key was not good for this signature.
    #[error(transparent)]
    Key(#[from] validity::Error),
}
