//! RSA in the two roles of a signature.

use async_trait::async_trait;
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use thiserror::Error;

use super::{RsaAlgorithm, SignatureValue, ValueError};
use crate::key::{Certificate, PrivateKey, PublicKey};
use crate::role::{SignError, Signer, Verifier, VerifyError};
use crate::signatory::Signatory;

/// Signs with an RSA key.
#[derive(Clone, Debug)]
pub struct RsaSigner {
    key: PrivateKey,
    algorithm: RsaAlgorithm,
    chain: Vec<Certificate>,
}

impl RsaSigner {
    /// Takes the key. Signatures are plain, which is hexadecimal text.
    pub const fn new(key: PrivateKey, algorithm: RsaAlgorithm) -> Self {
        Self {
            key,
            algorithm,
            chain: Vec::new(),
        }
    }

    /// Puts certificates beside each signature, which makes it PEM. That of the key comes first.
    ///
    /// # Errors
    ///
    /// There is no certificate, or the first one is for another key: nobody could verify the
    /// signatures.
    pub fn with_chain(self, chain: Vec<Certificate>) -> Result<Self, Error> {
        let leaf = chain.first().ok_or(Error::NoCertificate)?;
        if leaf.public_key() != self.key.public_key() {
            return Err(Error::CertificateOfOther {
                subject: leaf.subject().to_owned(),
            });
        }
        Ok(Self { chain, ..self })
    }
}

#[async_trait]
impl Signer for RsaSigner {
    async fn sign(&self, digest: &Digest) -> Result<SignatureInfo, SignError> {
        let signed = self.algorithm.sign(digest, &self.key);
        let value = SignatureValue {
            algorithm: self.algorithm,
            bytes: signed.map_err(|error| SignError(error.into()))?,
            chain: self.chain.clone(),
        };
        let (media_type, text) = value.encode();
        Ok(SignatureInfo {
            algorithm: self.algorithm.as_str().to_owned(),
            value: text,
            media_type: media_type.to_owned(),
            ..SignatureInfo::default()
        })
    }
}

/// Verifies with an RSA public key.
///
/// A signature may bring certificates. They are not validated against any roots, so they prove
/// nothing: the key that is trusted must have made the signature, whether it brings some or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RsaVerifier {
    key: Option<PublicKey>,
}

impl RsaVerifier {
    /// Trusts a key.
    pub const fn with_key(key: PublicKey) -> Self {
        Self { key: Some(key) }
    }

    /// Trusts nobody. Verifying fails and says what would be needed.
    pub const fn without_key() -> Self {
        Self { key: None }
    }
}

impl Verifier for RsaVerifier {
    fn verify(
        &self,
        digest: &Digest,
        signature: &SignatureInfo,
        _at: Timestamp,
    ) -> Result<Signatory, VerifyError> {
        let value = SignatureValue::decode(
            &signature.algorithm,
            &signature.media_type,
            &signature.value,
        )?;
        let SignatureValue {
            algorithm,
            bytes,
            chain,
        } = &value;
        let subject = || chain.first().map(|leaf| leaf.subject().to_owned());
        let Some(key) = &self.key else {
            let error = subject().map_or(Error::NoKey, |subject| Error::NoAnchor { subject });
            return Err(VerifyError::Untrusted(error.into()));
        };
        algorithm.verify(digest, bytes, key).map_err(|error| {
            if let super::Error::KeyTooShort { .. } = error {
                return VerifyError::Untrusted(error.into());
            }
            let by_leaf = (chain.first())
                .is_some_and(|leaf| algorithm.verify(digest, bytes, leaf.public_key()).is_ok());
            match subject() {
                Some(subject) if by_leaf => {
                    VerifyError::Mismatch(Error::NotTheAnchor { subject }.into())
                }
                _ => VerifyError::Mismatch(error.into()),
            }
        })?;
        Ok(Signatory::Key {
            fingerprint: key.fingerprint(),
        })
    }
}

impl From<ValueError> for VerifyError {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::UnknownAlgorithm { .. } | ValueError::UnknownMediaType { .. } => {
                Self::Unknown(error.into())
            }
            _ => Self::Malformed(error.into()),
        }
    }
}

/// Why keys and certificates do not go together.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// A signature is to bring certificates, and there are none.
    #[error("a chain of certificates is needed to sign with one, and it is empty")]
    NoCertificate,
    /// The certificate that is to be beside the signature does not belong to the signing key.
    #[error("the first certificate, for `{subject}`, does not belong to the private key")]
    CertificateOfOther { subject: String },
    /// Nothing to verify with is there.
    #[error("no public key is given to verify the signature with")]
    NoKey,
    /// Only the signature itself says that it is to be trusted.
    #[error(
        "the signature brings a certificate for `{subject}`, which is not validated against any \
         roots: a public key is needed to verify with"
    )]
    NoAnchor { subject: String },
    /// The signature is intact, but by someone else.
    #[error(
        "the signature was made by the key of its own certificate for `{subject}`, \
         which is not the public key that is trusted"
    )]
    NotTheAnchor { subject: String },
}
