//! An authority, and who believes it.

use ocm_digest::Digest;
use ocm_signing::x509::Roots;
use ocm_testkit::timestamps::{TimestampAuthority, info};
use ocm_timestamp::{TimestampAuthorities, Token, TokenError};

pub(crate) use ocm_testkit::timestamps::{
    Fault, INTEGER, Purposes, SEQUENCE, der, granted, read_request,
};

/// An authority below a root of its own, valid from 2025 to 2027.
pub(crate) struct Authority(TimestampAuthority);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(Purposes::Right)
    }

    pub(crate) fn with(purposes: Purposes) -> Self {
        Self(TimestampAuthority::new(purposes))
    }

    /// Who believes this authority, and nobody else.
    pub(crate) fn believers(&self) -> TimestampAuthorities {
        TimestampAuthorities::new(Roots::new(vec![self.0.root().clone()]))
    }

    /// Stamps a digest at a time (`YYYYMMDDhhmmssZ`).
    pub(crate) fn stamp(&self, digest: &Digest, time: &str) -> Token {
        self.try_stamp(digest, time, Fault::None).unwrap()
    }

    pub(crate) fn try_stamp(
        &self,
        digest: &Digest,
        time: &str,
        fault: Fault,
    ) -> Result<Token, TokenError> {
        Token::from_der(&self.0.token(&info(digest, time, None), fault))
    }

    /// Answers a request, as if it were of this digest.
    pub(crate) fn answer(&self, request: &[u8], digest: &Digest, fault: Fault) -> Vec<u8> {
        let (_, nonce) = read_request(request);
        let info = info(digest, "20260601120000.75Z", Some(&nonce));
        granted(&self.0.token(&info, fault))
    }
}
