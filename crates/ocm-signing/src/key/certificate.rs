//! X.509 certificates.

use std::fmt;

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::{Error, Parts, PublicKey};
use crate::der::Kind;
use crate::dn::DistinguishedName;
use crate::pem;

/// An X.509 certificate.
///
/// That a value exists says that it could be read, nothing about whether it is to be trusted.
#[derive(Clone, Eq, PartialEq)]
pub struct Certificate {
    der: Box<[u8]>,
    key: Result<PublicKey, Error>,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    validity: (Timestamp, Timestamp),
    issuer_der: Box<[u8]>,
    serial: Box<[u8]>,
    subject_key_id: Option<Box<[u8]>>,
    self_issued: bool,
}

impl Certificate {
    /// Reads the certificates of a PEM text in their order, or one in DER.
    ///
    /// Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// There is no certificate, or one is malformed.
    pub fn parse_chain(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        let parts = Parts::read(bytes)?;
        let certificates = parts
            .0
            .iter()
            .filter(|(kind, _)| *kind == Kind::Certificate);
        let chain: Vec<_> = certificates
            .map(|(_, block)| Self::from_der(&block.bytes))
            .collect::<Result<_, _>>()?;
        if chain.is_empty() {
            return Err(parts.unexpected("a certificate"));
        }
        Ok(chain)
    }

    /// Reads a certificate in DER. Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// It is malformed.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed {
            what: "certificate",
        };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| MALFORMED)?;
        if !rest.is_empty() {
            return Err(MALFORMED);
        }
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| MALFORMED)
        };
        let validity = parsed.validity();
        Ok(Self {
            der: der.into(),
            key: PublicKey::from_pkix(parsed.public_key().raw),
            subject: DistinguishedName::from_x509(parsed.subject()),
            issuer: DistinguishedName::from_x509(parsed.issuer()),
            validity: (time(validity.not_before)?, time(validity.not_after)?),
            issuer_der: parsed.issuer().as_raw().into(),
            serial: parsed.raw_serial().into(),
            subject_key_id: subject_key_id(&parsed),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
        })
    }

    /// Returns the key that the certificate is for.
    ///
    /// # Errors
    ///
    /// The key is malformed or of a kind that is not supported.
    pub const fn public_key(&self) -> Result<&PublicKey, &Error> {
        self.key.as_ref()
    }

    /// Returns the distinguished name of the holder.
    pub const fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Returns the distinguished name of who issued the certificate.
    pub const fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// Returns the first moment at which the certificate is valid.
    pub const fn not_before(&self) -> Timestamp {
        self.validity.0
    }

    /// Returns the last moment at which the certificate is valid.
    pub const fn not_after(&self) -> Timestamp {
        self.validity.1
    }

    /// Returns the name of the issuer in DER, which with the serial number names the certificate.
    pub const fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    /// Returns the serial number as the content of an integer in DER.
    pub const fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Returns the identifier of the key, if the certificate has one.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    /// Tells whether holder and issuer have the same name, as those of a root have.
    pub const fn is_self_issued(&self) -> bool {
        self.self_issued
    }

    /// Returns the certificate as PEM.
    pub fn to_pem(&self) -> String {
        pem::write("CERTIFICATE", &[], &self.der).to_string()
    }

    /// Returns the certificate in DER.
    pub const fn der(&self) -> &[u8] {
        &self.der
    }
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Box<[u8]>> {
    let found = (certificate.extensions().iter()).find_map(|it| match it.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    found.map(Box::from)
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &format_args!("{}", self.subject))
            .field("issuer", &format_args!("{}", self.issuer))
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
