//! Signatures by keys, with or without certificates, in the two roles of a signature.

use async_trait::async_trait;
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use thiserror::Error;

use crate::algorithm::{self, SignatureAlgorithm};
use crate::dn::{DistinguishedName, ParseDnError};
use crate::key::{Certificate, PrivateKey, PublicKey};
use crate::role::{SignError, Signer, Verifier, VerifyError};
use crate::rsa;
use crate::signatory::Signatory;
use crate::trust::Trust;
use crate::value::{Error as ValueError, SignatureValue};
use crate::x509::{Purpose, is_self_signed};

/// Signs with a private key.
#[derive(Clone, Debug)]
pub struct KeySigner {
    key: PrivateKey,
    algorithm: SignatureAlgorithm,
    chain: Vec<Certificate>,
}

impl KeySigner {
    /// Takes the key, which must be of the kind that the algorithm needs. Signatures are plain,
    /// which is hexadecimal text.
    pub fn new(key: PrivateKey, algorithm: impl Into<SignatureAlgorithm>) -> Self {
        Self {
            key,
            algorithm: algorithm.into(),
            chain: Vec::new(),
        }
    }

    /// Makes sure that a public key belongs to the private one, so that who has it can verify.
    ///
    /// # Errors
    ///
    /// It belongs to another.
    pub fn with_public_key(self, public: &PublicKey) -> Result<Self, Error> {
        if *public == self.key.public_key() {
            Ok(self)
        } else {
            Err(Error::OtherPublicKey)
        }
    }

    /// Puts certificates beside each signature, which makes it PEM. That of the key comes first.
    ///
    /// Roots are left out: who verifies has them, or does not trust them, and the second Go tool
    /// refuses signatures that bring one.
    ///
    /// # Errors
    ///
    /// There is no certificate, or the first one is for another key or signed by itself: nobody
    /// could verify the signatures.
    pub fn with_chain(self, chain: Vec<Certificate>) -> Result<Self, Error> {
        let leaf = chain.first().ok_or(Error::NoCertificate)?;
        let subject = || leaf.subject().to_string();
        if leaf.public_key().ok() != Some(&self.key.public_key()) {
            return Err(Error::CertificateOfOther { subject: subject() });
        }
        if is_self_signed(leaf) {
            return Err(Error::SelfSigned { subject: subject() });
        }
        let chain = chain.into_iter().filter(|it| !is_self_signed(it)).collect();
        Ok(Self { chain, ..self })
    }
}

#[async_trait]
impl Signer for KeySigner {
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

/// Verifies signatures by keys that are trusted, or certified by whom is trusted.
///
/// A signature that was made by the key that is trusted holds, whether it brings certificates or
/// not. Otherwise it must bring certificates: the first is for the key that made it and for code
/// signing, and leads to a root that is trusted, as of the moment that the verifier is given.
///
/// Certificates that a signature brings never make a root: one that is signed by itself is refused
/// unless it is one of the roots that are trusted anyway.
///
/// The `issuer` that a signature states is covered by no signature. It is checked all the same: it
/// must name the holder of the certificate, as the first Go tool has it, or the issuer of it, as the
/// second has it.
#[derive(Clone, Debug)]
pub struct KeyVerifier {
    trust: Trust,
}

impl KeyVerifier {
    /// Trusts a key, and nobody else.
    pub fn with_key(key: PublicKey) -> Self {
        Self::new(Trust::of_key(key))
    }

    /// Trusts as it is told.
    pub const fn new(trust: Trust) -> Self {
        Self { trust }
    }

    /// Finds out whose key has made a signature, which is the one that is trusted.
    fn by_key(
        &self,
        key: &PublicKey,
        value: &SignatureValue,
        stated: Option<&DistinguishedName>,
    ) -> Result<Signatory, VerifyError> {
        let given = self.trust.certificate();
        let brought = (value.chain.first()).filter(|leaf| leaf.public_key().ok() == Some(key));
        if let Some(certificate) = given.or(brought) {
            check_stated(certificate, stated)?;
        }
        // Nobody vouches for the names in a certificate that the signature brings.
        match (given, self.trust.issuer()) {
            (Some(certificate), Some(wanted)) => check_wanted(certificate, wanted)?,
            (None, Some(wanted)) => {
                let wanted = wanted.to_string();
                return Err(untrusted(Error::NamelessKey { wanted }));
            }
            (_, None) => {}
        }
        Ok(Signatory::Key {
            fingerprint: key.fingerprint(),
        })
    }

    /// Checks a signature by the key of a certificate that a root vouches for.
    fn by_chain(
        &self,
        digest: &Digest,
        value: &SignatureValue,
        stated: Option<&DistinguishedName>,
        at: Timestamp,
    ) -> Result<Signatory, VerifyError> {
        let [leaf, others @ ..] = value.chain.as_slice() else {
            return Err(untrusted(Error::NoKey));
        };
        let subject = || leaf.subject().to_string();
        let roots = self.trust.roots();
        if roots.is_empty() {
            return Err(untrusted(Error::NoAnchor { subject: subject() }));
        }
        if self.trust.needs_issuer() {
            return Err(untrusted(Error::NeedsIssuer { subject: subject() }));
        }
        let key = leaf.public_key().map_err(|error| {
            VerifyError::Malformed(ValueError::Certificate(error.clone()).into())
        })?;
        (value.algorithm)
            .verify(digest, &value.bytes, key)
            .map_err(of_algorithm)?;
        let own_root = (value.chain.iter()).find(|it| is_self_signed(it) && !roots.contains(it));
        if let Some(root) = own_root {
            let subject = root.subject().to_string();
            return Err(untrusted(Error::OwnRoot { subject }));
        }
        let intermediates: Vec<_> = others.iter().chain(self.trust.intermediates()).collect();
        roots
            .verify(leaf, &intermediates, Purpose::CodeSigning, at)
            .map_err(|error| VerifyError::Untrusted(error.into()))?;
        check_stated(leaf, stated)?;
        if let Some(wanted) = self.trust.issuer() {
            check_wanted(leaf, wanted)?;
        }
        Ok(Signatory::Certificate {
            subject: subject(),
            issuer: leaf.issuer().to_string(),
            fingerprint: key.fingerprint(),
        })
    }
}

impl Verifier for KeyVerifier {
    fn verify(
        &self,
        digest: &Digest,
        signature: &SignatureInfo,
        at: Timestamp,
    ) -> Result<Signatory, VerifyError> {
        let value = SignatureValue::decode(
            &signature.algorithm,
            &signature.media_type,
            &signature.value,
        )?;
        let stated = stated_issuer(signature)?;
        let stated = stated.as_ref();
        if let Some(key) = self.trust.key() {
            let Err(error) = value.algorithm.verify(digest, &value.bytes, key) else {
                return self.by_key(key, &value, stated);
            };
            if value.chain.is_empty() || self.trust.roots().is_empty() {
                return Err(not_by_key(error, digest, &value));
            }
        }
        self.by_chain(digest, &value, stated, at)
    }
}

/// Reads the name that a signature states.
fn stated_issuer(signature: &SignatureInfo) -> Result<Option<DistinguishedName>, VerifyError> {
    let text = signature.issuer.as_deref().unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(None);
    }
    let name = text.parse().map_err(Error::Issuer);
    name.map(Some)
        .map_err(|error| VerifyError::Malformed(error.into()))
}

/// Checks that what the signature states is said by the certificate.
fn check_stated(
    certificate: &Certificate,
    stated: Option<&DistinguishedName>,
) -> Result<(), VerifyError> {
    let Some(stated) = stated else {
        return Ok(());
    };
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    if subject.is_same(stated) || issuer.is_same(stated) {
        return Ok(());
    }
    let error = Error::StatedIssuer {
        stated: stated.to_string(),
        subject: subject.to_string(),
        issuer: issuer.to_string(),
    };
    Err(VerifyError::Mismatch(error.into()))
}

/// Checks that a certificate is for, or by, whom the verifier demands.
fn check_wanted(certificate: &Certificate, wanted: &DistinguishedName) -> Result<(), VerifyError> {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    if subject.includes(wanted) || issuer.includes(wanted) {
        return Ok(());
    }
    Err(untrusted(Error::OtherIssuer {
        wanted: wanted.to_string(),
        subject: subject.to_string(),
        issuer: issuer.to_string(),
    }))
}

/// Explains why a signature is not by the key that is trusted, where no root is.
fn not_by_key(error: algorithm::Error, digest: &Digest, value: &SignatureValue) -> VerifyError {
    let leaf = value.chain.first();
    let by_leaf = leaf.filter(|leaf| {
        let key = leaf.public_key();
        key.is_ok_and(|key| value.algorithm.verify(digest, &value.bytes, key).is_ok())
    });
    match (of_algorithm(error), by_leaf) {
        (VerifyError::Mismatch(_), Some(leaf)) => {
            let subject = leaf.subject().to_string();
            VerifyError::Mismatch(Error::NotTheAnchor { subject }.into())
        }
        (error, _) => error,
    }
}

fn of_algorithm(error: algorithm::Error) -> VerifyError {
    match error {
        algorithm::Error::Rsa(rsa::Error::KeyTooShort { .. }) => {
            VerifyError::Untrusted(error.into())
        }
        _ => VerifyError::Mismatch(error.into()),
    }
}

fn untrusted(error: Error) -> VerifyError {
    VerifyError::Untrusted(error.into())
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

/// Why keys, certificates and names do not go together.
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
    /// Nobody could verify the signature with the public key that is given.
    #[error("the public key does not belong to the private key")]
    OtherPublicKey,
    /// Whoever trusts it needs no certificate, and nobody else can verify it.
    #[error(
        "the certificate for `{subject}` is signed by itself: nobody vouches for it, so sign \
         without it and hand the public key to those who verify"
    )]
    SelfSigned { subject: String },
    /// Nothing to verify with is there.
    #[error("no public key is given to verify the signature with")]
    NoKey,
    /// Only the signature itself says that it is to be trusted.
    #[error(
        "the signature brings a certificate for `{subject}`, but no root certificate and no \
         public key is given to verify it with"
    )]
    NoAnchor { subject: String },
    /// The signature is intact, but by someone else.
    #[error(
        "the signature was made by the key of its own certificate for `{subject}`, which is not \
         the public key that is trusted"
    )]
    NotTheAnchor { subject: String },
    /// A signature cannot say whom to trust.
    #[error(
        "the signature brings the certificate for `{subject}`, which is signed by itself and no \
         root that is trusted here"
    )]
    OwnRoot { subject: String },
    /// The roots of the system vouch for anybody.
    #[error(
        "the signature brings a certificate for `{subject}`, and only the roots of the system \
         could vouch for it, which do so for anybody: it must be said which issuer is \
         trusted"
    )]
    NeedsIssuer { subject: String },
    /// The issuer in the signature is no distinguished name.
    #[error("cannot read the issuer that the signature states")]
    Issuer(#[source] ParseDnError),
    /// The signature and its certificate name others.
    #[error(
        "the signature states the issuer `{stated}`, but the certificate is for `{subject}` and \
         by `{issuer}`"
    )]
    StatedIssuer {
        stated: String,
        subject: String,
        issuer: String,
    },
    /// The certificate is in order, but for and by others than demanded.
    #[error(
        "the issuer must be `{wanted}`, but the certificate is for `{subject}` and by `{issuer}`"
    )]
    OtherIssuer {
        wanted: String,
        subject: String,
        issuer: String,
    },
    /// A bare key has no name.
    #[error(
        "the issuer must be `{wanted}`, but the public key that is trusted is in no certificate"
    )]
    NamelessKey { wanted: String },
}
