//! RSA keys.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{self, KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RsaParameters};
use ocm_digest::Digest;
use zeroize::Zeroizing;

use super::{Error, KeyFormat, MAX_BITS, MIN_BITS};
use crate::der;
use crate::pem;

/// An RSA private key of 2048 to 8192 bits, with the public key that belongs to it.
///
/// It has no `Display`, and its `Debug` form shows the public key only.
#[derive(Clone)]
pub struct RsaPrivateKey {
    pair: KeyPair,
    public: RsaPublicKey,
}

impl RsaPrivateKey {
    /// Makes a new key of 2048, 3072 or 4096 bits.
    ///
    /// # Errors
    ///
    /// Another size is asked for, or there is no entropy.
    pub fn generate(bits: usize) -> Result<Self, Error> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(Error::GenerateSize { bits }),
        };
        let pair = KeyPair::generate(size).map_err(|_| Error::Library {
            action: "generate an RSA key",
        })?;
        Self::new(pair)
    }

    /// Returns the public key.
    pub const fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    /// Returns the size of the modulus in bits.
    pub const fn bits(&self) -> usize {
        self.public.bits()
    }

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        Self::from_pkcs1(der::private_within(der).ok_or(MALFORMED)?)
    }

    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, Error> {
        let bits = der::private_bits(der).ok_or(MALFORMED)?;
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(Error::Size { bits });
        }
        Self::new(KeyPair::from_der(der).map_err(|_| MALFORMED)?)
    }

    /// Returns the PKCS#8 form.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| Error::ENCODE)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    pub(super) fn to_pem(&self, format: KeyFormat) -> Result<Zeroizing<String>, Error> {
        let der = self.to_pkcs8()?;
        Ok(match format {
            KeyFormat::Pkcs8 => pem::write("PRIVATE KEY", &[], &der),
            KeyFormat::Pkcs1 => {
                let pkcs1 = der::private_within(&der).ok_or(Error::ENCODE)?;
                pem::write("RSA PRIVATE KEY", &[], pkcs1)
            }
        })
    }

    fn new(pair: KeyPair) -> Result<Self, Error> {
        let public = RsaPublicKey::from_der(pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// An RSA public key.
///
/// Keys of less than 2048 bits are held, too, since signatures of that age exist; what they may
/// still be used for is decided when a signature is verified.
#[derive(Clone, Eq, PartialEq)]
pub struct RsaPublicKey {
    pkcs1: Box<[u8]>,
    pkix: Box<[u8]>,
    bits: usize,
}

impl RsaPublicKey {
    /// Returns the size of the modulus in bits.
    pub const fn bits(&self) -> usize {
        self.bits
    }

    pub(crate) const fn pkcs1(&self) -> &[u8] {
        &self.pkcs1
    }

    pub(super) const fn pkix(&self) -> &[u8] {
        &self.pkix
    }

    /// Takes PKCS#1 or PKIX.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, Error> {
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

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPublicKey")
            .field("bits", &self.bits)
            .field("fingerprint", &Digest::sha256(&self.pkix))
            .finish_non_exhaustive()
    }
}

const MALFORMED: Error = Error::Malformed {
    what: "RSA private key",
};
