//! RSA private keys.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use zeroize::Zeroizing;

use super::{Error, KeyFormat, MAX_BITS, MIN_BITS, Parts, PublicKey};
use crate::der::{self, KeyType, Kind};
use crate::pem;

/// An RSA private key of 2048 to 8192 bits, with the public key that belongs to it.
///
/// It has no `Display`, and its `Debug` form shows the public key only.
#[derive(Clone)]
pub struct PrivateKey {
    pair: KeyPair,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads PKCS#1 or PKCS#8, as PEM or DER. Of several PEM blocks the first RSA private key is
    /// taken.
    ///
    /// Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// There is no RSA private key, it is encrypted, too large or malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let parts = Parts::read(bytes)?;
        for (kind, block) in &parts.0 {
            match kind {
                Kind::RsaPrivate => return Self::from_pkcs1(&block.bytes),
                Kind::Pkcs8(KeyType::Rsa) => {
                    let pkcs1 = der::private_within(&block.bytes).ok_or(MALFORMED)?;
                    return Self::from_pkcs1(pkcs1);
                }
                _ => {}
            }
        }
        Err(parts.unexpected("an RSA private key"))
    }

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
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the size of the modulus in bits.
    pub const fn bits(&self) -> usize {
        self.public.bits()
    }

    /// Writes the key as PEM.
    ///
    /// # Errors
    ///
    /// The cryptographic library does not encode the key.
    pub fn to_pem(&self, format: KeyFormat) -> Result<PrivatePem, Error> {
        let encode = Error::Library {
            action: "encode the private key",
        };
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| encode.clone())?;
        let text = match format {
            KeyFormat::Pkcs8 => pem::write("PRIVATE KEY", &[], der.as_ref()),
            KeyFormat::Pkcs1 => {
                let pkcs1 = der::private_within(der.as_ref()).ok_or(encode)?;
                pem::write("RSA PRIVATE KEY", &[], pkcs1)
            }
        };
        Ok(PrivatePem(text))
    }

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.pair
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, Error> {
        let bits = der::private_bits(der).ok_or(MALFORMED)?;
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(Error::Size { bits });
        }
        Self::new(KeyPair::from_der(der).map_err(|_| MALFORMED)?)
    }

    fn new(pair: KeyPair) -> Result<Self, Error> {
        let public = PublicKey::from_der(pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// A private key as PEM text, wiped from memory when dropped.
pub struct PrivatePem(Zeroizing<String>);

impl PrivatePem {
    /// Returns the text, to be written where only its owner can read it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivatePem").finish_non_exhaustive()
    }
}

const MALFORMED: Error = Error::Malformed {
    what: "RSA private key",
};
