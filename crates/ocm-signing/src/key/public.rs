//! RSA public keys.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::RsaParameters;
use ocm_digest::Digest;

use super::{Certificate, Error, KeyFormat, MAX_BITS, Parts, PrivateKey};
use crate::der::{KeyType, Kind};
use crate::pem;

/// An RSA public key.
///
/// Keys of less than 2048 bits are held, too, since signatures of that age exist; what they may
/// still be used for is decided when a signature is verified.
#[derive(Clone, Eq, PartialEq)]
pub struct PublicKey {
    pkcs1: Box<[u8]>,
    pkix: Box<[u8]>,
    bits: usize,
}

impl PublicKey {
    /// Reads PKCS#1, PKIX or an X.509 certificate, as PEM or DER. Of several PEM blocks the first
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
    /// There is no RSA key, or it is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const EXPECTED: &str = "an RSA public key or a certificate with one";
        let parts = Parts::read(bytes)?;
        for (kind, block) in &parts.0 {
            match kind {
                Kind::RsaPublic | Kind::PublicInfo(KeyType::Rsa) => {
                    return Self::from_der(&block.bytes);
                }
                Kind::Certificate => {
                    return Ok(Certificate::from_der(&block.bytes)?.public_key().clone());
                }
                Kind::PublicInfo(_) => return Err(parts.unexpected(EXPECTED)),
                _ => {}
            }
        }
        match PrivateKey::parse(bytes) {
            Ok(private) => Ok(private.public_key().clone()),
            Err(Error::Unexpected { .. }) => Err(parts.unexpected(EXPECTED)),
            Err(error) => Err(error),
        }
    }

    /// Returns the size of the modulus in bits.
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// Returns the SHA-256 of the PKIX form, which names the key in messages.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.pkix)
    }

    /// Writes the key as PEM.
    pub fn to_pem(&self, format: KeyFormat) -> String {
        let text = match format {
            KeyFormat::Pkcs8 => pem::write("PUBLIC KEY", &[], &self.pkix),
            KeyFormat::Pkcs1 => pem::write("RSA PUBLIC KEY", &[], &self.pkcs1),
        };
        text.to_string()
    }

    pub(crate) const fn pkcs1(&self) -> &[u8] {
        &self.pkcs1
    }

    /// Takes PKCS#1 or PKIX.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed {
            what: "RSA public key",
        };
        let key = rsa::PublicKey::from_der(der).map_err(|_| MALFORMED)?;
        let pkcs1: Box<[u8]> = key.as_ref().into();
        let bits = RsaParameters::public_modulus_len(&pkcs1).map_err(|_| MALFORMED)? as usize;
        if bits > MAX_BITS {
            return Err(Error::Size { bits });
        }
        let pkix: PublicKeyX509Der<'_> = key.as_der().map_err(|_| MALFORMED)?;
        let pkix = pkix.as_ref().into();
        Ok(Self { pkcs1, pkix, bits })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("bits", &self.bits)
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}
