//! What signatures by keys are called, and how they are made and checked.
//!
//! | algorithm | media type of the plain value | value | known to the Go tools |
//! | --- | --- | --- | --- |
//! | `RSASSA-PSS` | `application/vnd.ocm.signature.rsa.pss` | hexadecimal | yes |
//! | `RSASSA-PKCS1-V1_5` | `application/vnd.ocm.signature.rsa` | hexadecimal | yes |
//! | `ECDSA-P256-SHA256`, `ECDSA-P384-SHA384`, `ECDSA-P521-SHA512` | `application/vnd.ocm.signature.ecdsa` | hexadecimal, of the DER form of RFC 3279 | no |
//! | `Ed25519` | `application/vnd.ocm.signature.ed25519` | hexadecimal, of the 64 bytes of RFC 8032 | no |
//!
//! RSA pads the digest of the descriptor. The others take the bytes of that digest for the message:
//! Ed25519 knows nothing else, and ECDSA hashes the message with the hash that its name says,
//! whatever the hash of the descriptor.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ocm_digest::Digest;
use thiserror::Error;

use crate::key::{Curve, PrivateKey, PublicKey};
use crate::rsa::{self, RsaAlgorithm};

/// How a key signs a digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// With an RSA key.
    Rsa(RsaAlgorithm),
    /// With an ECDSA key on a curve, and the hash that belongs to the curve.
    Ecdsa(Curve),
    /// With an Ed25519 key.
    Ed25519,
}

impl SignatureAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 6] = [
        Self::Rsa(RsaAlgorithm::Pss),
        Self::Rsa(RsaAlgorithm::Pkcs1V15),
        Self::Ecdsa(Curve::P256),
        Self::Ecdsa(Curve::P384),
        Self::Ecdsa(Curve::P521),
        Self::Ed25519,
    ];

    /// Returns the algorithm that a key signs with unless told otherwise.
    pub const fn of_key(key: &PrivateKey) -> Self {
        match key {
            PrivateKey::Rsa(_) => Self::Rsa(RsaAlgorithm::Pss),
            PrivateKey::Ecdsa(key) => Self::Ecdsa(key.public_key().curve()),
            PrivateKey::Ed25519(_) => Self::Ed25519,
        }
    }

    /// Returns the name in component descriptors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa(algorithm) => algorithm.as_str(),
            Self::Ecdsa(Curve::P256) => "ECDSA-P256-SHA256",
            Self::Ecdsa(Curve::P384) => "ECDSA-P384-SHA384",
            Self::Ecdsa(Curve::P521) => "ECDSA-P521-SHA512",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Reads the name, whatever its case.
    pub fn from_name(name: &str) -> Option<Self> {
        (Self::ALL.into_iter()).find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str()))
    }

    /// Returns the media type of a plain signature, which is hexadecimal text.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Rsa(algorithm) => algorithm.media_type(),
            Self::Ecdsa(_) => "application/vnd.ocm.signature.ecdsa",
            Self::Ed25519 => "application/vnd.ocm.signature.ed25519",
        }
    }

    /// Tells whether a key is for this algorithm.
    pub const fn fits(self, key: &PublicKey) -> bool {
        match (self, key) {
            (Self::Rsa(_), PublicKey::Rsa(_)) | (Self::Ed25519, PublicKey::Ed25519(_)) => true,
            (Self::Ecdsa(curve), PublicKey::Ecdsa(key)) => curve as u8 == key.curve() as u8,
            _ => false,
        }
    }

    /// Signs a digest.
    ///
    /// # Errors
    ///
    /// The key is not for this algorithm, or the cryptographic library refuses.
    pub fn sign(self, digest: &Digest, key: &PrivateKey) -> Result<Vec<u8>, Error> {
        let public = key.public_key();
        match (self, key) {
            (Self::Rsa(algorithm), PrivateKey::Rsa(key)) => Ok(algorithm.sign(digest, key)?),
            (Self::Ecdsa(_), PrivateKey::Ecdsa(key)) if self.fits(&public) => {
                let signed = key.pair().sign(&SystemRandom::new(), digest.as_bytes());
                let signed = signed.map_err(|_| Error::Refused { key: public })?;
                Ok(signed.as_ref().to_vec())
            }
            (Self::Ed25519, PrivateKey::Ed25519(key)) => {
                let signed = key.pair().try_sign(digest.as_bytes());
                let signed = signed.map_err(|_| Error::Refused { key: public })?;
                Ok(signed.as_ref().to_vec())
            }
            _ => Err(self.unfit(public)),
        }
    }

    /// Verifies the signature of a digest. Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// The signature was not made by this algorithm, of this digest, by the private key that
    /// belongs to `key`; or the key is too short to tell.
    pub fn verify(self, digest: &Digest, signature: &[u8], key: &PublicKey) -> Result<(), Error> {
        let message = digest.as_bytes();
        let matched = match (self, key) {
            (Self::Rsa(algorithm), PublicKey::Rsa(key)) => {
                return Ok(algorithm.verify(digest, signature, key)?);
            }
            (Self::Ecdsa(curve), PublicKey::Ecdsa(key)) if curve == key.curve() => {
                UnparsedPublicKey::new(curve.verifying(), key.pkix()).verify(message, signature)
            }
            (Self::Ed25519, PublicKey::Ed25519(key)) => {
                UnparsedPublicKey::new(&ED25519, key.pkix()).verify(message, signature)
            }
            _ => return Err(self.unfit(key.clone())),
        };
        matched.map_err(|_| Error::Mismatch)
    }

    const fn unfit(self, key: PublicKey) -> Error {
        Error::Unfit {
            algorithm: self,
            key,
        }
    }
}

impl From<RsaAlgorithm> for SignatureAlgorithm {
    fn from(algorithm: RsaAlgorithm) -> Self {
        Self::Rsa(algorithm)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a signature could not be made or is not valid.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The signature is of another digest, by another key, or by another algorithm.
    #[error("the signature does not match the public key")]
    Mismatch,
    /// The key is of another kind, or on another curve.
    #[error("an {key} is not for {algorithm}")]
    Unfit {
        algorithm: SignatureAlgorithm,
        key: PublicKey,
    },
    /// Why is specific to RSA.
    #[error(transparent)]
    Rsa(rsa::Error),
    /// The cryptographic library does not sign.
    #[error("the cryptographic library cannot sign with this {key}")]
    Refused { key: PublicKey },
}

impl From<rsa::Error> for Error {
    fn from(error: rsa::Error) -> Self {
        match error {
            rsa::Error::Mismatch => Self::Mismatch,
            error => Self::Rsa(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for algorithm in SignatureAlgorithm::ALL {
            let name = algorithm.as_str();
            assert_eq!(SignatureAlgorithm::from_name(name), Some(algorithm));
            let name = name.to_lowercase();
            assert_eq!(SignatureAlgorithm::from_name(&name), Some(algorithm));
        }
        assert_eq!(SignatureAlgorithm::from_name("ECDSA"), None);
    }
}
