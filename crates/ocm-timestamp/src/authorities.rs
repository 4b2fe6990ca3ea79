//! Checking timestamps against roots.

use jiff::{SignedDuration, Timestamp};
use ocm_digest::Digest;
use ocm_model::TimestampSpec;
use ocm_signing::key::Certificate;
use ocm_signing::role::{TimestampVerifier, VerifyError};
use ocm_signing::x509::{ChainError, Purpose, Roots};
use thiserror::Error;

use crate::token::Token;

/// The authorities whose timestamps are believed.
///
/// A certificate of an authority must be for timestamps alone, which must be critical, and lead to
/// one of the roots. It is judged as of the time in the timestamp.
#[derive(Clone, Debug, Default)]
pub struct TimestampAuthorities {
    roots: Roots,
    intermediates: Vec<Certificate>,
}

impl TimestampAuthorities {
    /// Believes whom these roots vouch for.
    pub const fn new(roots: Roots) -> Self {
        Self {
            roots,
            intermediates: Vec::new(),
        }
    }

    /// Knows certificates that may be missing in timestamps.
    #[must_use]
    pub fn with_intermediates(self, intermediates: Vec<Certificate>) -> Self {
        Self {
            intermediates,
            ..self
        }
    }

    /// Checks who has made a timestamp.
    ///
    /// # Errors
    ///
    /// No root vouches for the authority.
    pub fn check(&self, token: &Token) -> Result<(), ChainError> {
        let known = self.intermediates.iter();
        let intermediates: Vec<_> = token.others().iter().chain(known).collect();
        let at = token.time();
        (self.roots).verify(token.signer(), &intermediates, Purpose::TimeStamping, at)
    }
}

impl TimestampVerifier for TimestampAuthorities {
    fn verify(&self, digest: &Digest, timestamp: &TimestampSpec) -> Result<Timestamp, VerifyError> {
        let token = Token::from_pem(&timestamp.value);
        let token = token.map_err(|error| VerifyError::Malformed(error.into()))?;
        if token.imprint() != digest {
            let error = Error::OtherDigest {
                stamped: *token.imprint(),
                digest: *digest,
            };
            return Err(VerifyError::Mismatch(error.into()));
        }
        if let Some(stated) = &timestamp.time {
            check_stated(stated, token.time())?;
        }
        (self.check(&token)).map_err(|error| VerifyError::Untrusted(error.into()))?;
        Ok(token.time())
    }
}

/// Checks that the time beside a timestamp is the one in it, but for fractions of a second.
fn check_stated(stated: &str, time: Timestamp) -> Result<(), VerifyError> {
    let parsed: Result<Timestamp, _> = stated.parse();
    let is_same =
        parsed.is_ok_and(|stated| stated.duration_since(time).abs() < SignedDuration::from_secs(1));
    if is_same {
        return Ok(());
    }
    let error = Error::OtherTime {
        stated: stated.to_owned(),
        time,
    };
    Err(VerifyError::Mismatch(error.into()))
}

/// Why a timestamp does not belong to a signature.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The timestamp is of other content.
    #[error("the timestamp is of {stamped}, not of {digest}")]
    OtherDigest { stamped: Digest, digest: Digest },
    /// The time that the descriptor shows is not the one that is proved.
    #[error("the descriptor states the time {stated}, but the timestamp is of {time}")]
    OtherTime { stated: String, time: Timestamp },
}
