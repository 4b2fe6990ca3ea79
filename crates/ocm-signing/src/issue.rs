//! Making certificates for code signing: by a key for itself, or by an authority.
//!
//! It is for trying things out and for small private infrastructures, as the first Go tool had it.
//! There are no requests, no revocation, and nobody is asked.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use time::OffsetDateTime;

use crate::dn::DistinguishedName;
use crate::key::{self, Certificate, PrivateKey, PublicKey};
use crate::x509::is_authority;

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Content {
    /// Whom it is for. Each attribute may be there once.
    pub subject: DistinguishedName,
    /// The first and the last moment at which it is valid.
    pub validity: (Timestamp, Timestamp),
    /// Whether the holder may issue certificates, instead of signing component versions.
    pub authority: bool,
}

/// Who issues certificates.
#[derive(Clone, Debug)]
pub struct Authority {
    chain: Vec<Certificate>,
    key: PrivateKey,
}

impl Authority {
    /// Takes the certificate of the authority, followed by those of who has issued it, and the key
    /// that it is for.
    ///
    /// # Errors
    ///
    /// There is no certificate, or it is for another key.
    pub fn new(chain: Vec<Certificate>, key: PrivateKey) -> Result<Self, Error> {
        let first = chain.first().ok_or(Error::NoCertificate)?;
        if first.public_key().ok() != Some(&key.public_key()) {
            let subject = first.subject().to_string();
            return Err(Error::OtherKey { subject });
        }
        Ok(Self { chain, key })
    }

    /// Issues a certificate for a key, and returns it with the chain of the authority after it.
    ///
    /// # Errors
    ///
    /// The subject cannot be written, or the certificate of the authority cannot issue.
    pub fn issue(&self, content: &Content, key: &PublicKey) -> Result<Vec<Certificate>, Error> {
        let own = &self.chain[0];
        if !is_authority(own) {
            let subject = own.subject().to_string();
            return Err(Error::NotAuthority { subject });
        }
        let der = CertificateDer::from(own.der());
        let issuer = Issuer::from_ca_cert_der(&der, pair(&self.key)?)?;
        let key = SubjectPublicKeyInfo::from_der(key.pkix())?;
        let issued = content.parameters()?.signed_by(&key, &issuer)?;
        let issued = Certificate::from_der(issued.der())?;
        if !issued.issuer().is_same(own.subject()) {
            let subject = own.subject().to_string();
            return Err(Error::IssuerName { subject });
        }
        let mut chain = vec![issued];
        chain.extend(self.chain.iter().cloned());
        Ok(chain)
    }
}

impl Content {
    /// Makes a certificate for a key, signed by that key.
    ///
    /// # Errors
    ///
    /// The subject cannot be written.
    pub fn self_signed(&self, key: &PrivateKey) -> Result<Certificate, Error> {
        let certificate = self.parameters()?.self_signed(&pair(key)?)?;
        Ok(Certificate::from_der(certificate.der())?)
    }

    fn parameters(&self) -> Result<CertificateParams, Error> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        let mut attributes: Vec<_> = self.subject.attributes().collect();
        // A certificate begins with the least specific part.
        attributes.reverse();
        for (oid, text) in attributes {
            let arcs: Result<Vec<u64>, _> = oid.split('.').map(str::parse).collect();
            let kind = DnType::from_oid(&arcs.map_err(|_| Error::Attribute { oid: oid.into() })?);
            let name = &mut parameters.distinguished_name;
            if name.get(&kind).is_some() {
                return Err(Error::Repeated { oid: oid.into() });
            }
            let value = match text.try_into() {
                // RFC 5280, A.1: countries are printable strings.
                Ok(printable) if oid == "2.5.4.6" => DnValue::PrintableString(printable),
                _ => DnValue::Utf8String(text.to_owned()),
            };
            name.push(kind, value);
        }
        parameters.not_before = moment(self.validity.0)?;
        parameters.not_after = moment(self.validity.1)?;
        if parameters.not_before >= parameters.not_after {
            return Err(Error::Validity);
        }
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        parameters.use_authority_key_identifier_extension = true;
        (parameters.is_ca, parameters.key_usages) = if self.authority {
            (
                IsCa::Ca(BasicConstraints::Unconstrained),
                vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            )
        } else {
            (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature])
        };
        let mut serial = [0; 16];
        let random = SystemRandom::new().fill(&mut serial);
        random.map_err(|_| {
            Error::Key(key::Error::Library {
                action: "find a serial number",
            })
        })?;
        // It must be positive, and not begin with a zero.
        serial[0] = serial[0] & 0x7f | 0x40;
        parameters.serial_number = Some(SerialNumber::from_slice(&serial));
        Ok(parameters)
    }
}

fn pair(key: &PrivateKey) -> Result<KeyPair, Error> {
    let der = key.to_pkcs8()?;
    Ok(KeyPair::try_from(&PrivatePkcs8KeyDer::from(
        der.as_slice(),
    ))?)
}

fn moment(at: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| Error::Validity)
}

/// Why a certificate is not made.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// Nobody is to issue.
    #[error("the authority has no certificate")]
    NoCertificate,
    /// The certificate of the authority and its key do not belong together.
    #[error("the certificate for `{subject}` does not belong to the private key of the authority")]
    OtherKey { subject: String },
    /// The certificate of the authority is that of a signer.
    #[error("the certificate for `{subject}` cannot issue others")]
    NotAuthority { subject: String },
    /// The name of the authority cannot be written as it is in its certificate.
    #[error("the name `{subject}` of the authority has a form that cannot be written")]
    IssuerName { subject: String },
    /// The number of an attribute is out of range.
    #[error("the attribute {oid} cannot be written")]
    Attribute { oid: String },
    /// An attribute is given more than once.
    #[error("the attribute {oid} is in the subject more than once, which is not supported")]
    Repeated { oid: String },
    /// The certificate would never be valid.
    #[error("the certificate would be valid at no time that can be written")]
    Validity,
    /// A key cannot be used.
    #[error("cannot use the key")]
    Key(#[from] key::Error),
    /// The certificate cannot be written.
    #[error("cannot make the certificate")]
    Certificate(#[from] rcgen::Error),
}
