//! Ed25519 keys of RFC 8410.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use ocm_digest::Digest;
use zeroize::Zeroizing;

use super::Error;

/// An Ed25519 private key, with the public key that belongs to it.
///
/// It has no `Display`, and its `Debug` form shows the public key only.
#[derive(Clone)]
pub struct Ed25519PrivateKey {
    pair: Arc<Ed25519KeyPair>,
    public: Ed25519PublicKey,
}

impl Ed25519PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// There is no entropy.
    pub fn generate() -> Result<Self, Error> {
        let pair = Ed25519KeyPair::generate().map_err(|_| Error::Library {
            action: "generate an Ed25519 key",
        })?;
        Self::new(pair)
    }

    /// Returns the public key.
    pub const fn public_key(&self) -> &Ed25519PublicKey {
        &self.public
    }

    pub(crate) fn pair(&self) -> &Ed25519KeyPair {
        &self.pair
    }

    /// Takes PKCS#8, which OpenSSL writes without the public key.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
        Self::new(pair.map_err(|_| Error::Malformed {
            what: "Ed25519 private key",
        })?)
    }

    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let der = self.pair.to_pkcs8v1().map_err(|_| Error::ENCODE)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, Error> {
        let public = Ed25519PublicKey::from_der(pair.public_key().as_ref())?;
        let pair = Arc::new(pair);
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for Ed25519PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519PrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// An Ed25519 public key.
#[derive(Clone, Eq, PartialEq)]
pub struct Ed25519PublicKey {
    pkix: Box<[u8]>,
}

impl Ed25519PublicKey {
    pub(crate) const fn pkix(&self) -> &[u8] {
        &self.pkix
    }

    /// Takes PKIX, or the bare 32 bytes.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed {
            what: "Ed25519 public key",
        };
        let key = ParsedPublicKey::new(&ED25519, der).map_err(|_| MALFORMED)?;
        let pkix: PublicKeyX509Der<'_> = key.as_der().map_err(|_| MALFORMED)?;
        let pkix = pkix.as_ref().into();
        Ok(Self { pkix })
    }
}

impl fmt::Debug for Ed25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519PublicKey")
            .field("fingerprint", &Digest::sha256(&self.pkix))
            .finish_non_exhaustive()
    }
}
