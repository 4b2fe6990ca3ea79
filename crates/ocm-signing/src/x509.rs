//! Chains of certificates, from the one of a signer to a root that is trusted.
//!
//! Paths are built and checked by `webpki`: signatures, dates, basic constraints, name constraints,
//! and limits against chains that are made to be expensive. Here the purpose is checked beside it,
//! and what is left to its callers: that the signer's certificate is for the purpose by name, the
//! usages of keys, and the dates of the root.
//!
//! Revocation is not checked: nothing here asks anybody.

use std::time::Duration;

use jiff::Timestamp;
use ocm_digest::HashAlgorithm;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use thiserror::Error;
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId,
    KeyPurposeIdIter, KeyUsage, VerifiedPath, anchor_from_trusted_cert,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::key::Certificate;

/// What a certificate must be for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Signing component versions, which X.509 calls code.
    CodeSigning,
    /// Timestamps. RFC 3161, 2.3: the extension is critical, and no other purpose is in it.
    TimeStamping,
}

impl Purpose {
    /// Returns the content of the object identifier, which is the form that `webpki` compares.
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::CodeSigning => &[0x2b, 6, 1, 5, 5, 7, 3, 3],
            Self::TimeStamping => &[0x2b, 6, 1, 5, 5, 7, 3, 8],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::CodeSigning => "codeSigning",
            Self::TimeStamping => "timeStamping",
        }
    }
}

/// An issuer may be for any purpose, or say for which.
impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        const ANY: KeyPurposeId<'_> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0]);
        let wanted = KeyPurposeId::new(self.oid());
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?;
            if purpose == wanted || purpose == ANY {
                return Ok(());
            }
            present.push(purpose.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        Err(webpki::Error::RequiredEkuNotFoundContext(
            webpki::RequiredEkuNotFoundContext {
                required: KeyUsage::required_if_present(self.oid()),
                present,
            },
        ))
    }
}

/// Certificates that are trusted by themselves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Roots(Vec<Certificate>);

impl Roots {
    /// Trusts certificates, whether they are self-signed or not.
    pub const fn new(certificates: Vec<Certificate>) -> Self {
        Self(certificates)
    }

    /// Trusts others, too.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Tells whether nobody is trusted.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether this very certificate is trusted.
    pub fn contains(&self, certificate: &Certificate) -> bool {
        self.0.contains(certificate)
    }

    /// Checks that a certificate is for a purpose and leads to one of these roots, as of a moment.
    ///
    /// Intermediate certificates may be in any order, and there may be more than are needed.
    ///
    /// # Errors
    ///
    /// There is no such path, for the reason that is in the error.
    pub fn verify(
        &self,
        leaf: &Certificate,
        intermediates: &[&Certificate],
        purpose: Purpose,
        at: Timestamp,
    ) -> Result<(), ChainError> {
        check_leaf(leaf, purpose, at)?;
        let path = |source| ChainError::Path {
            subject: leaf.subject().to_string(),
            source: PathError(source),
        };
        let der: Vec<CertificateDer<'_>> = self.0.iter().map(to_der).collect();
        // What cannot be read as an anchor can vouch for nothing.
        let anchors: Vec<TrustAnchor<'_>> = (der.iter())
            .filter_map(|der| anchor_from_trusted_cert(der).ok())
            .collect();
        let between: Vec<CertificateDer<'_>> = intermediates.iter().map(|it| to_der(it)).collect();
        let leaf_der = to_der(leaf);
        let leaf = EndEntityCert::try_from(&leaf_der).map_err(path)?;
        let since = u64::try_from(at.as_second()).unwrap_or_default();
        leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &between,
            UnixTime::since_unix_epoch(Duration::from_secs(since)),
            purpose,
            None,
            Some(&|path| self.check_issuers(path, at)),
        )
        .map(drop)
        .map_err(path)
    }

    /// Checks what `webpki` leaves to its callers. An error here has it try another path.
    fn check_issuers(&self, path: &VerifiedPath<'_>, at: Timestamp) -> Result<(), webpki::Error> {
        for issuer in path.intermediate_certificates() {
            if !Usages::read(&issuer.der()).may_certify {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
        }
        let anchor = path.anchor();
        let mut able = (self.0.iter())
            .filter(|root| is_valid(root, at) && Usages::read(root.der()).may_certify);
        let is_anchor = |root: &Certificate| {
            anchor_from_trusted_cert(&to_der(root)).is_ok_and(|it| {
                it.subject == anchor.subject
                    && it.subject_public_key_info == anchor.subject_public_key_info
            })
        };
        if able.any(is_anchor) {
            Ok(())
        } else {
            // A root that is not valid at this time, or not for this, is as if it were not there.
            Err(webpki::Error::UnknownIssuer)
        }
    }
}

/// Tells whether a message was signed by the key of a certificate, of whatever kind it is.
///
/// The hash is the one that the message was hashed with, unless the key needs no hash.
pub fn has_signed(
    certificate: &Certificate,
    hash: HashAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    use webpki::aws_lc_rs as algorithms;
    let of_hash: &[&dyn SignatureVerificationAlgorithm] = match hash {
        HashAlgorithm::Sha256 => &[
            algorithms::RSA_PKCS1_2048_8192_SHA256,
            algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            algorithms::ECDSA_P256_SHA256,
            algorithms::ECDSA_P384_SHA256,
            algorithms::ECDSA_P521_SHA256,
            algorithms::ED25519,
        ],
        HashAlgorithm::Sha384 => &[
            algorithms::RSA_PKCS1_2048_8192_SHA384,
            algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
            algorithms::ECDSA_P256_SHA384,
            algorithms::ECDSA_P384_SHA384,
            algorithms::ECDSA_P521_SHA384,
            algorithms::ED25519,
        ],
        HashAlgorithm::Sha512 => &[
            algorithms::RSA_PKCS1_2048_8192_SHA512,
            algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
            algorithms::ECDSA_P256_SHA512,
            algorithms::ECDSA_P384_SHA512,
            algorithms::ECDSA_P521_SHA512,
            algorithms::ED25519,
        ],
    };
    is_signature_by(certificate, of_hash, message, signature)
}

/// Tells whether a certificate is signed by the key that it is for.
pub(crate) fn is_self_signed(certificate: &Certificate) -> bool {
    if !certificate.is_self_issued() {
        return false;
    }
    let Ok((_, parsed)) = X509Certificate::from_der(certificate.der()) else {
        return false;
    };
    let (message, signature) = (
        parsed.tbs_certificate.as_ref(),
        &parsed.signature_value.data,
    );
    is_signature_by(certificate, ALL_VERIFICATION_ALGS, message, signature)
}

/// Tells whether the holder of a certificate may issue others.
pub(crate) fn is_authority(certificate: &Certificate) -> bool {
    let usages = Usages::read(certificate.der());
    usages.is_issuer && usages.may_certify
}

fn is_signature_by(
    certificate: &Certificate,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let der = to_der(certificate);
    EndEntityCert::try_from(&der).is_ok_and(|own| {
        (algorithms.iter())
            .any(|&algorithm| own.verify_signature(algorithm, message, signature).is_ok())
    })
}

fn check_leaf(leaf: &Certificate, purpose: Purpose, at: Timestamp) -> Result<(), ChainError> {
    let subject = || leaf.subject().to_string();
    if at < leaf.not_before() {
        return Err(ChainError::NotYetValid {
            subject: subject(),
            from: leaf.not_before(),
            at,
        });
    }
    if at > leaf.not_after() {
        return Err(ChainError::Expired {
            subject: subject(),
            until: leaf.not_after(),
            at,
        });
    }
    let usages = Usages::read(leaf.der());
    if usages.is_issuer {
        return Err(ChainError::Issuer { subject: subject() });
    }
    let is_for = match purpose {
        Purpose::CodeSigning => usages.code_signing,
        Purpose::TimeStamping => usages.time_stamping_alone,
    };
    if !is_for || !usages.may_sign {
        return Err(ChainError::Purpose {
            subject: subject(),
            purpose: purpose.name(),
        });
    }
    Ok(())
}

fn is_valid(certificate: &Certificate, at: Timestamp) -> bool {
    (certificate.not_before()..=certificate.not_after()).contains(&at)
}

fn to_der(certificate: &Certificate) -> CertificateDer<'_> {
    CertificateDer::from(certificate.der())
}

/// What a certificate says that its key is for. One that cannot be read is for nothing.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that certificates say of themselves"
)]
struct Usages {
    is_issuer: bool,
    may_sign: bool,
    may_certify: bool,
    code_signing: bool,
    time_stamping_alone: bool,
}

impl Usages {
    fn read(der: &[u8]) -> Self {
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Self::default();
        };
        // Without the extension every usage is allowed.
        let mut usages = Self {
            may_sign: true,
            may_certify: true,
            ..Self::default()
        };
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => usages.is_issuer = constraints.ca,
                ParsedExtension::KeyUsage(usage) => {
                    usages.may_sign = usage.digital_signature() || usage.non_repudiation();
                    usages.may_certify = usage.key_cert_sign();
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    usages.code_signing = usage.code_signing;
                    let others = usage.any
                        || usage.server_auth
                        || usage.client_auth
                        || usage.code_signing
                        || usage.email_protection
                        || usage.ocsp_signing
                        || !usage.other.is_empty();
                    usages.time_stamping_alone =
                        usage.time_stamping && !others && extension.critical;
                }
                _ => {}
            }
        }
        usages
    }
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ChainError {
    /// The moment is before the certificate was valid.
    #[error("the certificate for `{subject}` is valid from {from}, but was used at {at}")]
    NotYetValid {
        subject: String,
        from: Timestamp,
        at: Timestamp,
    },
    /// The moment is after the certificate was valid.
    #[error("the certificate for `{subject}` was valid until {until}, and it is judged as of {at}")]
    Expired {
        subject: String,
        until: Timestamp,
        at: Timestamp,
    },
    /// Certificates of authorities are not for signing anything else.
    #[error("the certificate for `{subject}` is that of an authority, not of a signer")]
    Issuer { subject: String },
    /// The extended key usage is missing or another, or the key is not for signatures.
    #[error("the certificate for `{subject}` is not for {purpose}")]
    Purpose {
        subject: String,
        purpose: &'static str,
    },
    /// No valid path leads to a root.
    #[error("the certificate for `{subject}` does not lead to a root that is trusted")]
    Path { subject: String, source: PathError },
}

/// What is wrong with the best of the paths that were tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathError(webpki::Error);

impl std::error::Error for PathError {}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use webpki::Error as E;
        f.write_str(match &self.0 {
            E::UnknownIssuer => "no issuer of it is known, or none that is valid at that time",
            E::CertExpired { .. } => "an issuer is no longer valid at that time",
            E::CertNotValidYet { .. } => "an issuer is not yet valid at that time",
            E::InvalidSignatureForPublicKey => "its issuer has not signed it",
            E::RequiredEkuNotFoundContext(_) => "an issuer is not for this purpose",
            E::NameConstraintViolation => "an issuer is not allowed to certify that name",
            E::PathLenConstraintViolated => "an issuer is not allowed that many issuers below it",
            E::EndEntityUsedAsCa => "an issuer is not allowed to certify anybody",
            E::MaximumPathBuildCallsExceeded
            | E::MaximumPathDepthExceeded
            | E::MaximumSignatureChecksExceeded
            | E::MaximumNameConstraintComparisonsExceeded => "the certificates are too entangled",
            other => return write!(f, "{other:?}"),
        })
    }
}
