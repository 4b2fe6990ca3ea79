//! Private keys of any kind.

use std::fmt;

use zeroize::Zeroizing;

use super::protected::decrypt;
use super::{
    Curve, EcdsaPrivateKey, Ed25519PrivateKey, Error, KeyFormat, Parts, PublicKey, RsaPrivateKey,
};
use crate::der::{KeyType, Kind};
use crate::pem;

/// A private key, with the public key that belongs to it.
///
/// It has no `Display`, and its `Debug` form shows the public key only.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PrivateKey {
    /// For RSASSA-PSS and RSASSA-PKCS1-v1_5.
    Rsa(RsaPrivateKey),
    /// For ECDSA.
    Ecdsa(EcdsaPrivateKey),
    /// For Ed25519.
    Ed25519(Ed25519PrivateKey),
}

impl PrivateKey {
    /// Reads PKCS#8, PKCS#1 or SEC 1, as PEM or DER. Of several PEM blocks the first private key is
    /// taken.
    ///
    /// Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// There is no private key, it is encrypted, of a kind that is not supported, or malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let parts = Parts::read(bytes)?;
        for (kind, block) in &parts.0 {
            let der = &block.bytes;
            return match kind {
                Kind::RsaPrivate => RsaPrivateKey::from_pkcs1(der).map(Self::Rsa),
                Kind::Pkcs8(KeyType::Rsa) => RsaPrivateKey::from_pkcs8(der).map(Self::Rsa),
                Kind::EcPrivate(curve) | Kind::Pkcs8(KeyType::Ec(curve)) => {
                    EcdsaPrivateKey::from_der(der, *curve).map(Self::Ecdsa)
                }
                Kind::Pkcs8(KeyType::Ed25519) => {
                    Ed25519PrivateKey::from_pkcs8(der).map(Self::Ed25519)
                }
                _ => continue,
            };
        }
        Err(parts.unexpected("a private key"))
    }

    /// Reads what [`PrivateKey::parse`] does, and unlocks a key that is protected by a passphrase:
    /// PKCS#8 with PBES2, that is, PBKDF2 and AES-CBC (RFC 8018).
    ///
    /// # Errors
    ///
    /// As [`PrivateKey::parse`], or the passphrase is wrong, or the key is protected in another way.
    pub fn parse_protected(bytes: &[u8], passphrase: &[u8]) -> Result<Self, Error> {
        match Self::parse(bytes) {
            Err(Error::Encrypted) => {}
            other => return other,
        }
        let parts = Parts::read(bytes)?;
        let mut blocks = parts.0.iter();
        let protected = blocks.find(|(kind, _)| *kind == Kind::Encrypted);
        let (_, block) = protected.ok_or_else(|| Error::Protection {
            scheme: "PEM with the header DEK-Info".to_owned(),
        })?;
        Self::parse(&decrypt(&block.bytes, passphrase)?)
    }

    /// Makes a new RSA key of 2048, 3072 or 4096 bits.
    ///
    /// # Errors
    ///
    /// Another size is asked for, or there is no entropy.
    pub fn generate_rsa(bits: usize) -> Result<Self, Error> {
        RsaPrivateKey::generate(bits).map(Self::Rsa)
    }

    /// Makes a new ECDSA key.
    ///
    /// # Errors
    ///
    /// There is no entropy.
    pub fn generate_ecdsa(curve: Curve) -> Result<Self, Error> {
        EcdsaPrivateKey::generate(curve).map(Self::Ecdsa)
    }

    /// Makes a new Ed25519 key.
    ///
    /// # Errors
    ///
    /// There is no entropy.
    pub fn generate_ed25519() -> Result<Self, Error> {
        Ed25519PrivateKey::generate().map(Self::Ed25519)
    }

    /// Returns the public key.
    pub fn public_key(&self) -> PublicKey {
        match self {
            Self::Rsa(key) => PublicKey::Rsa(key.public_key().clone()),
            Self::Ecdsa(key) => PublicKey::Ecdsa(key.public_key().clone()),
            Self::Ed25519(key) => PublicKey::Ed25519(key.public_key().clone()),
        }
    }

    /// Writes the key as PEM.
    ///
    /// # Errors
    ///
    /// The cryptographic library does not encode the key.
    pub fn to_pem(&self, format: KeyFormat) -> Result<PrivatePem, Error> {
        let text = match self {
            Self::Rsa(key) => key.to_pem(format)?,
            other => pem::write("PRIVATE KEY", &[], &other.to_pkcs8()?),
        };
        Ok(PrivatePem(text))
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::Rsa(key) => key.to_pkcs8(),
            Self::Ecdsa(key) => key.to_pkcs8(),
            Self::Ed25519(key) => key.to_pkcs8(),
        }
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
