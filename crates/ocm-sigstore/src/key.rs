//! Keys that sign without an identity.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_digest::Digest;
use sigstore_crypto::VerificationKey;
use sigstore_types::{DerPublicKey, SignatureBytes};
use thiserror::Error;
use zeroize::Zeroizing;

/// The largest text that is read as a key, in bytes.
const MAX_KEY_SIZE: usize = 64 << 10;

/// A public key that somebody trusts: of RSA, of ECDSA over P-256 or P-384, or of Ed25519.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey(DerPublicKey);

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` of X.509 in PEM, as `cosign public-key` prints it.
    ///
    /// # Errors
    ///
    /// The text is not such a key, or of an algorithm that is not known.
    pub fn parse(pem: &[u8]) -> Result<Self, KeyError> {
        let fail = |source| KeyError::Public { source };
        let text = text(pem)?;
        let key = DerPublicKey::from_pem(text).map_err(|error| fail(error.into()))?;
        VerificationKey::from_spki(&key).map_err(|error| fail(error.into()))?;
        Ok(Self(key))
    }

    /// Writes the key in PEM.
    pub fn to_pem(&self) -> String {
        self.0.to_pem()
    }

    /// Returns the SHA-256 of the key as `SubjectPublicKeyInfo`.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(self.0.as_bytes())
    }

    /// Returns what a bundle says about its key, which is for finding it, and proves nothing.
    pub(crate) fn hint(&self) -> String {
        STANDARD.encode(self.fingerprint().as_bytes())
    }

    pub(crate) const fn spki(&self) -> &DerPublicKey {
        &self.0
    }
}

/// A private key of ECDSA over P-256, which is what the tools of Sigstore make.
///
/// Its `Debug` form shows the public key only.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads a key in PEM: PKCS#8, or the form of SEC 1 that OpenSSL writes.
    ///
    /// # Errors
    ///
    /// The text is not such a key, or it is encrypted.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(self::text(text)?).map_err(|_| KeyError::Private)?;
        let block = blocks
            .into_iter()
            .find(|block| block.tag() != "EC PARAMETERS")
            .ok_or(KeyError::Private)?;
        let tag = block.tag().to_owned();
        let der = Zeroizing::new(block.into_contents());
        match tag.as_str() {
            "PRIVATE KEY" | "EC PRIVATE KEY" => {
                let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
                let pair = EcdsaKeyPair::from_private_key_der(algorithm, &der);
                Self::new(pair.map_err(|_| KeyError::Private)?)
            }
            tag if tag.starts_with("ENCRYPTED") => Err(KeyError::Encrypted),
            _ => Err(KeyError::Private),
        }
    }

    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// There is no entropy.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        Self::new(pair.map_err(|_| KeyError::Library)?)
    }

    /// Returns the public key.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the SHA-256 of a message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<SignatureBytes, KeyError> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| KeyError::Library)?;
        Ok(SignatureBytes::from_bytes(signature.as_ref()))
    }

    fn new(pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let spki: PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| KeyError::Library)?;
        let public = PublicKey(DerPublicKey::from_bytes(spki.as_ref()));
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

fn text(bytes: &[u8]) -> Result<&str, KeyError> {
    if bytes.len() > MAX_KEY_SIZE {
        return Err(KeyError::TooLarge { size: bytes.len() });
    }
    std::str::from_utf8(bytes).map_err(|_| KeyError::NoText)
}

/// Why a text is not a key that can be used.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be a key.
    #[error("{size} bytes are too much for a key, the limit is {MAX_KEY_SIZE}")]
    TooLarge { size: usize },
    /// PEM is text.
    #[error("a key is wanted in PEM, which is text")]
    NoText,
    /// There is no public key.
    #[error("not a public key in PEM of RSA, ECDSA or Ed25519")]
    Public {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no private key that can sign here.
    #[error("not a private key in PEM of ECDSA over P-256")]
    Private,
    /// The key has a passphrase.
    #[error("the private key is encrypted, which is not supported: decrypt it first")]
    Encrypted,
    /// The cryptographic library failed.
    #[error("the cryptographic library cannot make a key or a signature")]
    Library,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC1: &str =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFvlpxDBjtaqIfsVH0tPKrz7+FbIBQ1kTmPPZ8E6W2TWoAoGCCqGSM49
-----END EC PRIVATE KEY-----\n";

    #[test]
    fn what_is_no_key_is_told_apart() {
        let parse = |text: &[u8]| PrivateKey::parse(text).unwrap_err();
        assert!(matches!(parse(b"\xff"), KeyError::NoText));
        assert!(matches!(parse(b""), KeyError::Private));
        assert!(matches!(parse(SEC1.as_bytes()), KeyError::Private));
        let encrypted = SEC1.replace("EC PRIVATE", "ENCRYPTED SIGSTORE PRIVATE");
        assert!(matches!(parse(encrypted.as_bytes()), KeyError::Encrypted));
        let large = vec![b' '; MAX_KEY_SIZE + 1];
        assert!(matches!(parse(&large), KeyError::TooLarge { .. }));
        let public = PublicKey::parse(SEC1.as_bytes()).unwrap_err();
        assert!(matches!(public, KeyError::Public { .. }));
    }

    #[test]
    fn a_private_key_does_not_show_itself() {
        let key = PrivateKey::generate().unwrap();
        let other = PrivateKey::generate().unwrap();
        assert_ne!(key.public_key(), other.public_key());
        assert!(format!("{key:?}").starts_with("PrivateKey { public: PublicKey("));
    }
}
