//! Verifying, without asking anybody.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use ocm_signing::role::VerifyError;
use ocm_signing::{Signatory, Verifier};
use sigstore_crypto::SubjectAltName;
use sigstore_types::{Artifact, Bundle, DerPublicKey, SignatureContent};
use sigstore_verify::{
    CertificateError, Error as Refusal, PublicKeyVerificationPolicy, TransparencyLogError,
    VerificationPolicy, VerificationResult,
};
use thiserror::Error;

use crate::config::{ConfigError, Log, VerificationConfiguration};
use crate::identity::{IdentityRules, Stranger};
use crate::key::PublicKey;
use crate::trust::TrustedRoot;
use crate::value::{ReadError, SignatureValue};

/// Verifies signatures of Sigstore against a [`TrustedRoot`], with all that is needed for it in the
/// signature: no service is asked.
///
/// A certificate must lead to an authority of the root, must be in a log of certificates, and must
/// have been valid at every time that a transparency log or a timestamp authority has testified;
/// there must be such a time. The signature must be in a transparency log, and be of the digest.
#[derive(Clone, Debug)]
pub struct SigstoreVerifier {
    root: Arc<TrustedRoot>,
    trusted: Trusted,
    log: Log,
}

/// Whose signatures hold.
#[derive(Clone, Debug)]
enum Trusted {
    Identity(IdentityRules),
    Key(PublicKey),
}

impl SigstoreVerifier {
    /// Trusts identities.
    ///
    /// # Errors
    ///
    /// The infrastructure is private, and the root is that of the public instance.
    pub fn new(
        config: VerificationConfiguration,
        root: Arc<TrustedRoot>,
    ) -> Result<Self, ConfigError> {
        if config.log == Log::Ignored && !root.is_own() {
            return Err(ConfigError::NoOwnRoot);
        }
        Ok(Self {
            root,
            trusted: Trusted::Identity(config.rules),
            log: config.log,
        })
    }

    /// Trusts the holder of a key. The root is for what transparency logs and timestamp
    /// authorities say.
    pub fn with_key(key: PublicKey, root: Arc<TrustedRoot>, log: Log) -> Self {
        Self {
            root,
            trusted: Trusted::Key(key),
            log,
        }
    }

    /// Verifies a bundle of any bytes. [`Verifier::verify`] does so for the bytes of a digest.
    ///
    /// # Errors
    ///
    /// The bundle does not prove that somebody who is trusted has signed the bytes.
    pub fn verify_bundle(&self, bytes: &[u8], bundle: &[u8]) -> Result<Signatory, Error> {
        let value = SignatureValue::from_bundle(bundle)?;
        self.check(Artifact::from_blob(bytes), &value)
    }

    /// Verifies a signature of a digest that was read before.
    ///
    /// # Errors
    ///
    /// The signature does not prove that somebody who is trusted has signed the digest.
    pub fn verify_value(
        &self,
        digest: &Digest,
        value: &SignatureValue,
    ) -> Result<Signatory, Error> {
        let artifact = value.artifact(digest).ok_or(Error::OtherDigest)?;
        self.check(artifact, value)
    }

    fn check(&self, artifact: Artifact<'_>, value: &SignatureValue) -> Result<Signatory, Error> {
        match &self.trusted {
            Trusted::Identity(rules) => {
                if let Some(key) = &value.logged_key {
                    self.check_key(artifact, &value.bundle, key)?;
                    return Err(Error::Anonymous);
                }
                if value.is_of_key() {
                    return Err(Error::KeyWanted);
                }
                self.check_identity(artifact, &value.bundle, rules)
            }
            Trusted::Key(key) => {
                if !value.is_of_key() {
                    return Err(Error::IdentityWanted);
                }
                self.check_key(artifact, &value.bundle, key.spki())?;
                Ok(Signatory::Key {
                    fingerprint: key.fingerprint(),
                })
            }
        }
    }

    fn check_identity(
        &self,
        artifact: Artifact<'_>,
        bundle: &Bundle,
        rules: &IdentityRules,
    ) -> Result<Signatory, Error> {
        let mut policy = VerificationPolicy::any_identity();
        if self.log == Log::Ignored {
            policy = policy.skip_tlog_unsafe();
            // Who runs private services without a log of certificates has said so in the root.
            if !self.root.has_certificate_log() {
                policy = policy.skip_sct();
            }
        }
        let result = self.root.verifier().verify(artifact, bundle, &policy)?;
        let identity = result.identity().map(SubjectAltName::as_str);
        rules.check(identity, result.issuer())?;
        Ok(Signatory::Identity {
            identity: identity.unwrap_or_default().to_owned(),
            issuer: result.issuer().unwrap_or_default().to_owned(),
            time: earliest(&result),
        })
    }

    fn check_key(
        &self,
        artifact: Artifact<'_>,
        bundle: &Bundle,
        key: &DerPublicKey,
    ) -> Result<(), Error> {
        if self.log == Log::Ignored && is_bare(bundle) {
            return check_bare(&artifact, bundle, key);
        }
        let mut policy = PublicKeyVerificationPolicy::new(key.clone());
        if self.log == Log::Ignored {
            policy = policy.skip_tlog_unsafe();
        }
        self.root.verifier().verify(artifact, bundle, &policy)?;
        Ok(())
    }
}

impl Verifier for SigstoreVerifier {
    /// Certificates are judged as of the times that the signature proves, whatever `at` is.
    fn verify(
        &self,
        digest: &Digest,
        signature: &SignatureInfo,
        _at: Timestamp,
    ) -> Result<Signatory, VerifyError> {
        let verified = SignatureValue::read(signature)
            .map_err(Error::Read)
            .and_then(|value| self.verify_value(digest, &value));
        verified.map_err(VerifyError::from)
    }
}

fn earliest(result: &VerificationResult) -> Option<Timestamp> {
    let times = result.verified_timestamps().iter().copied();
    times.chain(result.integrated_time()).min()
}

/// Returns whether a bundle has nothing but a signature.
fn is_bare(bundle: &Bundle) -> bool {
    let material = &bundle.verification_material;
    material.tlog_entries.is_empty()
        && (material.timestamp_verification_data.rfc3161_timestamps).is_empty()
}

/// Checks a signature that neither a log nor an authority testifies, which keys do not need: they
/// hold at all times. The verifier of the family wants some testimony in every bundle.
fn check_bare(artifact: &Artifact<'_>, bundle: &Bundle, key: &DerPublicKey) -> Result<(), Error> {
    let SignatureContent::MessageSignature(message) = &bundle.content else {
        return Err(Error::Read(ReadError::Attestation));
    };
    let Some(bytes) = artifact.blob() else {
        return Err(Error::OtherDigest);
    };
    let algorithm = sigstore_crypto::KeyAlgorithm::from_spki(key).map_err(Refusal::from)?;
    let scheme = match &message.message_digest {
        Some(stated) => {
            let hash = match stated.algorithm {
                sigstore_types::HashAlgorithm::Sha2256 => ocm_digest::HashAlgorithm::Sha256,
                sigstore_types::HashAlgorithm::Sha2384 => ocm_digest::HashAlgorithm::Sha384,
                sigstore_types::HashAlgorithm::Sha2512 => ocm_digest::HashAlgorithm::Sha512,
                _ => return Err(Error::OtherDigest),
            };
            if hash.digest(bytes).as_bytes() != stated.digest.as_bytes() {
                return Err(Error::OtherDigest);
            }
            (algorithm.resolve_signing_scheme(stated.algorithm)).map_err(Refusal::from)?
        }
        None => algorithm.default_signing_scheme(),
    };
    sigstore_crypto::verify_signature(key, bytes, &message.signature, scheme)
        .map_err(|error| Refusal::SignatureInvalid(error.to_string()))?;
    Ok(())
}

/// Why a signature of Sigstore does not hold.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The signature cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The signature is of something else.
    #[error("the signature is of another digest")]
    OtherDigest,
    /// The first format of the first Go tool says which key has signed, and not whose it is.
    #[error(
        "the signature has a key and no certificate, so that it could be by anybody; \
         only who has the key by other means can trust it"
    )]
    Anonymous,
    /// The bundle is of a key, and identities are trusted.
    #[error("the bundle was made with a key, and no key is trusted")]
    KeyWanted,
    /// The bundle is of an identity, and a key is trusted.
    #[error("the bundle was made by an identity, and only a key is trusted")]
    IdentityWanted,
    /// Somebody else has signed.
    #[error(transparent)]
    Stranger(#[from] Stranger),
    /// A part of the proof does not hold.
    #[error("the bundle does not prove the signature")]
    Refused(#[source] Box<Reason>),
}

/// What of a proof does not hold.
///
/// It has no causes of its own: the message already says theirs.
#[derive(Debug)]
pub struct Reason(Refusal);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Reason {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(Reason(refusal)))
    }
}

impl From<Error> for VerifyError {
    fn from(error: Error) -> Self {
        let role = match &error {
            Error::Read(ReadError::Format { .. }) => Self::Unknown,
            Error::Read(_) => Self::Malformed,
            Error::OtherDigest => Self::Mismatch,
            Error::Anonymous | Error::KeyWanted | Error::IdentityWanted | Error::Stranger(_) => {
                Self::Untrusted
            }
            Error::Refused(reason) => blame(&reason.0),
        };
        role(Box::new(error))
    }
}

/// Returns who is to blame when a proof does not hold.
fn blame(refusal: &Refusal) -> fn(ocm_signing::role::BoxError) -> VerifyError {
    match refusal {
        Refusal::SignatureInvalid(_)
        | Refusal::ArtifactMismatch(_)
        | Refusal::TransparencyLog(TransparencyLogError::EntryMismatch(_)) => VerifyError::Mismatch,
        Refusal::InvalidBundle(_)
        | Refusal::UnsupportedBundle(_)
        | Refusal::Types(_)
        | Refusal::Bundle(_)
        | Refusal::Crypto(_)
        | Refusal::Certificate(CertificateError::Malformed(_))
        | Refusal::TransparencyLog(TransparencyLogError::MalformedEntry(_)) => {
            VerifyError::Malformed
        }
        _ => VerifyError::Untrusted,
    }
}
