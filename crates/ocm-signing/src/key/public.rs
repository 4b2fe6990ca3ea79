//! Public keys of any kind.

use std::fmt;

use ocm_digest::Digest;

use super::{
    Certificate, EcdsaPublicKey, Ed25519PublicKey, Error, KeyFormat, Parts, PrivateKey,
    RsaPublicKey,
};
use crate::der::{self, KeyType, Kind};
use crate::pem;

/// A public key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PublicKey {
    /// For RSASSA-PSS and RSASSA-PKCS1-v1_5.
    Rsa(RsaPublicKey),
    /// For ECDSA.
    Ecdsa(EcdsaPublicKey),
    /// For Ed25519.
    Ed25519(Ed25519PublicKey),
}

impl PublicKey {
    /// Reads PKIX, PKCS#1 or an X.509 certificate, as PEM or DER. Of several PEM blocks the first
    /// one that holds a public key is taken, so of a chain of certificates the leaf. A private key
    /// gives its public one.
    ///
    /// The certificate is taken as a container: its dates, usages and issuer are not looked at, as
    /// whoever hands in a key says that it is to be trusted.
    ///
    /// Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// There is no key of a kind that is supported, or it is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const EXPECTED: &str = "a public key or a certificate with one";
        let parts = Parts::read(bytes)?;
        for (kind, block) in &parts.0 {
            match kind {
                Kind::RsaPublic => return RsaPublicKey::from_der(&block.bytes).map(Self::Rsa),
                Kind::PublicInfo(_) => return Self::from_pkix(&block.bytes),
                Kind::Certificate => {
                    let certificate = Certificate::from_der(&block.bytes)?;
                    return certificate.public_key().cloned().map_err(Clone::clone);
                }
                _ => {}
            }
        }
        match PrivateKey::parse(bytes) {
            Ok(private) => Ok(private.public_key()),
            Err(Error::Unexpected { .. }) => Err(parts.unexpected(EXPECTED)),
            Err(error) => Err(error),
        }
    }

    /// Returns the SHA-256 of the PKIX form, which names the key in messages.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(self.pkix())
    }

    /// Writes the key as PEM.
    pub fn to_pem(&self, format: KeyFormat) -> String {
        let text = match (self, format) {
            (Self::Rsa(key), KeyFormat::Pkcs1) => pem::write("RSA PUBLIC KEY", &[], key.pkcs1()),
            _ => pem::write("PUBLIC KEY", &[], self.pkix()),
        };
        text.to_string()
    }

    /// Takes `SubjectPublicKeyInfo`.
    pub(super) fn from_pkix(der: &[u8]) -> Result<Self, Error> {
        match der::classify(der) {
            Kind::PublicInfo(KeyType::Rsa) => RsaPublicKey::from_der(der).map(Self::Rsa),
            Kind::PublicInfo(KeyType::Ec(curve)) => {
                EcdsaPublicKey::from_der(der, curve).map(Self::Ecdsa)
            }
            Kind::PublicInfo(KeyType::Ed25519) => {
                Ed25519PublicKey::from_der(der).map(Self::Ed25519)
            }
            other => Err(Error::Unexpected {
                expected: "an RSA, ECDSA or Ed25519 public key",
                found: other.name(),
            }),
        }
    }

    pub(crate) const fn pkix(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.pkix(),
            Self::Ecdsa(key) => key.pkix(),
            Self::Ed25519(key) => key.pkix(),
        }
    }
}

/// The kind of the key, with its size or curve.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(key) => write!(f, "RSA key of {} bits", key.bits()),
            Self::Ecdsa(key) => write!(f, "ECDSA key on {}", key.curve()),
            Self::Ed25519(_) => f.write_str("Ed25519 key"),
        }
    }
}
