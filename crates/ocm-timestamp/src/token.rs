//! What a timestamp says: `SignedData` of RFC 5652 with `TSTInfo` of RFC 3161 in it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_signing::key::Certificate;
use ocm_signing::pem;
use ocm_signing::x509::has_signed;
use thiserror::Error;

use crate::asn1::{
    self, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, Value, constructed,
    primitive,
};
use crate::oid;
use crate::request::unwrap_content;

/// The largest timestamp that is read, in bytes of text or of DER.
pub const MAX_SIZE: usize = 256 * 1024;

/// The most certificates in a timestamp.
const MAX_CERTIFICATES: usize = 16;

const LABEL: &str = "TIMESTAMP INFO";

/// A timestamp whose signature is right.
///
/// That a value exists says that it is intact and was made by the holder of the certificate in it;
/// nothing about whether the holder is to be trusted.
#[derive(Clone, Debug)]
pub struct Token {
    signed_data: Vec<u8>,
    imprint: Digest,
    time: Timestamp,
    nonce: Option<Vec<u8>>,
    signer: Certificate,
    others: Vec<Certificate>,
}

impl Token {
    /// Reads the PEM text in a descriptor. Any text may be handed in.
    ///
    /// # Errors
    ///
    /// It is not one block of its kind with a timestamp whose signature is right.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_SIZE {
            return Err(Error::TooLarge { size: text.len() });
        }
        let blocks = pem::read(text)?;
        match blocks.as_slice() {
            [block] if block.label == LABEL => Self::from_der(&block.bytes),
            _ => Err(Error::NoBlock),
        }
    }

    /// Reads `SignedData`, or `ContentInfo` with it. Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// It is not a timestamp whose signature is right.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if der.len() > MAX_SIZE {
            return Err(Error::TooLarge { size: der.len() });
        }
        let malformed = |what| move || Error::Malformed { what };
        let signed_data = unwrap_content(der).ok_or_else(malformed("SignedData"))?;
        let parts = Parts::read(signed_data).ok_or_else(malformed("SignedData"))?;
        if parts.content_type != oid::TST_INFO {
            return Err(Error::OtherContent);
        }
        let info = Info::read(parts.content).ok_or_else(malformed("TSTInfo"))?;
        let imprint = info.imprint().ok_or(Error::UnknownHash)?;
        let time = info.time().ok_or_else(malformed("time"))?;
        let signature = SignerInfo::read(parts.signer).ok_or_else(malformed("SignerInfo"))?;
        let certificates = parts.certificates()?;
        let (signers, others): (Vec<_>, Vec<_>) =
            (certificates.into_iter()).partition(|certificate| signature.is_by(certificate));
        let signer = (signers.into_iter().next()).ok_or(Error::NoCertificate)?;
        signature.check(&parts, &signer)?;
        Ok(Self {
            signed_data: signed_data.to_vec(),
            imprint,
            time,
            nonce: info.nonce.map(<[u8]>::to_vec),
            signer,
            others,
        })
    }

    /// Returns the PEM text for a descriptor.
    pub fn to_pem(&self) -> String {
        pem::write(LABEL, &[], &self.signed_data).to_string()
    }

    /// Returns the digest that was stamped.
    pub const fn imprint(&self) -> &Digest {
        &self.imprint
    }

    /// Returns the time at which it was.
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns the certificate of the authority.
    pub const fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// Returns the other certificates in the timestamp.
    pub fn others(&self) -> &[Certificate] {
        &self.others
    }

    pub(crate) fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }
}

/// The parts of `SignedData`.
struct Parts<'a> {
    content_type: &'a [u8],
    content: &'a [u8],
    certificates: &'a [u8],
    signer: Value<'a>,
}

impl<'a> Parts<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut data = asn1::only(der, SEQUENCE)?.reader();
        data.take(INTEGER)?;
        data.take(SET)?;
        let mut encapsulated = data.take(SEQUENCE)?.reader();
        let content_type = encapsulated.take(OID)?.content;
        let content = encapsulated.take(constructed(0))?;
        let content = asn1::only(content.content, OCTET_STRING)?.content;
        let certificates = data.take(constructed(0)).map(|value| value.content);
        data.take(constructed(1));
        let mut signers = data.take(SET)?.reader();
        let signer = signers.take(SEQUENCE)?;
        // One authority signs a timestamp: RFC 3161, 2.4.2.
        (signers.is_at_end() && data.is_at_end()).then_some(Self {
            content_type,
            content,
            certificates: certificates.unwrap_or_default(),
            signer,
        })
    }

    fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        let mut reader = Reader(self.certificates);
        let mut certificates = Vec::new();
        while !reader.is_at_end() {
            let value = reader.next().ok_or(Error::Malformed {
                what: "set of certificates",
            })?;
            if certificates.len() == MAX_CERTIFICATES {
                return Err(Error::TooManyCertificates);
            }
            // Other kinds of certificate have tags of their own; one that cannot be read is of no
            // use, and does no harm.
            if value.tag == SEQUENCE
                && let Ok(certificate) = Certificate::from_der(value.whole)
            {
                certificates.push(certificate);
            }
        }
        Ok(certificates)
    }
}

/// `TSTInfo`, as far as it is needed.
struct Info<'a> {
    algorithm: &'a [u8],
    imprint: &'a [u8],
    time: &'a [u8],
    nonce: Option<&'a [u8]>,
}

impl<'a> Info<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut info = asn1::only(der, SEQUENCE)?.reader();
        if info.take(INTEGER)?.content != [1] {
            return None;
        }
        info.take(OID)?;
        let mut imprint = info.take(SEQUENCE)?.reader();
        let algorithm = imprint.take(SEQUENCE)?.reader().take(OID)?.content;
        let imprint = imprint.take(OCTET_STRING)?.content;
        info.take(INTEGER)?;
        let time = info.take(GENERALIZED_TIME)?.content;
        info.take(SEQUENCE);
        info.take(asn1::BOOLEAN);
        let nonce = info.take(INTEGER).map(|value| value.content);
        info.take(constructed(0));
        info.take(constructed(1));
        info.is_at_end().then_some(Self {
            algorithm,
            imprint,
            time,
            nonce,
        })
    }

    fn imprint(&self) -> Option<Digest> {
        Digest::new(oid::hash(self.algorithm)?, self.imprint).ok()
    }

    /// Reads `YYYYMMDDhhmmss[.s…]Z`, which is all that RFC 3161 allows.
    fn time(&self) -> Option<Timestamp> {
        let text = std::str::from_utf8(self.time).ok()?.strip_suffix('Z')?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() != 14 || !digits(whole) || fraction.is_empty() || !digits(fraction) {
            return None;
        }
        let number = |from: usize, to: usize| whole[from..to].parse::<i16>().ok();
        let short = |from: usize| number(from, from + 2).and_then(|it| i8::try_from(it).ok());
        let nanoseconds = format!("{fraction:0<9.9}").parse().ok()?;
        let time = DateTime::new(
            number(0, 4)?,
            short(4)?,
            short(6)?,
            short(8)?,
            short(10)?,
            short(12)?,
            nanoseconds,
        );
        TimeZone::UTC.to_timestamp(time.ok()?).ok()
    }
}

/// `SignerInfo`.
struct SignerInfo<'a> {
    issuer_and_serial: Option<(&'a [u8], &'a [u8])>,
    key_id: Option<&'a [u8]>,
    hash: HashAlgorithm,
    attributes: Value<'a>,
    signature_hash: HashAlgorithm,
    signature: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    fn read(value: Value<'a>) -> Option<Self> {
        let mut info = value.reader();
        info.take(INTEGER)?;
        let issuer_and_serial = match info.take(SEQUENCE) {
            Some(value) => {
                let mut reader = value.reader();
                Some((reader.take(SEQUENCE)?.whole, reader.take(INTEGER)?.content))
            }
            None => None,
        };
        let key_id = info.take(primitive(0)).map(|value| value.content);
        let hash = oid::hash(info.take(SEQUENCE)?.reader().take(OID)?.content)?;
        let attributes = info.take(constructed(0))?;
        let algorithm = info.take(SEQUENCE)?.reader().take(OID)?.content;
        let signature = info.take(OCTET_STRING)?.content;
        info.take(constructed(1));
        info.is_at_end().then_some(Self {
            issuer_and_serial,
            key_id,
            hash,
            attributes,
            signature_hash: oid::hash_of_signature(algorithm).unwrap_or(hash),
            signature,
        })
    }

    /// Tells whether a certificate is the one that the signature names.
    fn is_by(&self, certificate: &Certificate) -> bool {
        match (self.issuer_and_serial, self.key_id) {
            (Some((issuer, serial)), None) => {
                certificate.issuer_der() == issuer && certificate.serial() == serial
            }
            (None, Some(key_id)) => certificate.subject_key_id() == Some(key_id),
            _ => false,
        }
    }

    fn check(&self, parts: &Parts<'_>, signer: &Certificate) -> Result<(), Error> {
        let content_type = self.attribute(oid::CONTENT_TYPE, OID)?;
        if content_type.content != parts.content_type {
            return Err(Error::OtherContent);
        }
        let message = self.attribute(oid::MESSAGE_DIGEST, OCTET_STRING)?;
        if message.content != self.hash.digest(parts.content).as_bytes() {
            return Err(Error::Changed);
        }
        self.check_certificate(signer)?;
        // RFC 5652, 5.4: the attributes are signed as a set, whatever tag they have here.
        let mut attributes = self.attributes.whole.to_vec();
        attributes[0] = SET;
        if has_signed(signer, self.signature_hash, &attributes, self.signature) {
            Ok(())
        } else {
            Err(Error::Signature)
        }
    }

    /// Checks that the signature covers which certificate it is by, so that no other for the same
    /// key can be put in its place (RFC 3161, 2.4.2; RFC 5816).
    fn check_certificate(&self, signer: &Certificate) -> Result<(), Error> {
        let named = match self.attribute(oid::SIGNING_CERTIFICATE_V2, SEQUENCE) {
            Ok(value) => names_v2(value, signer),
            Err(_) => names_v1(self.attribute(oid::SIGNING_CERTIFICATE, SEQUENCE)?, signer),
        };
        match named {
            Some(true) => Ok(()),
            Some(false) => Err(Error::OtherCertificate),
            None => Err(Error::Malformed {
                what: "SigningCertificate",
            }),
        }
    }

    /// Returns the one value of an attribute that is there once.
    fn attribute(&self, kind: &[u8], tag: u8) -> Result<Value<'a>, Error> {
        let missing = Error::Malformed {
            what: "set of signed attributes",
        };
        let mut reader = self.attributes.reader();
        let mut found = None;
        while !reader.is_at_end() {
            let attribute = reader.take(SEQUENCE).ok_or_else(|| missing.clone())?;
            let mut attribute = attribute.reader();
            let name = attribute.take(OID).ok_or_else(|| missing.clone())?;
            if name.content != kind {
                continue;
            }
            let values = attribute.take(SET);
            let value = values.and_then(|values| asn1::only(values.content, tag));
            if value.is_none() || found.is_some() {
                return Err(missing);
            }
            found = value;
        }
        found.ok_or(missing)
    }
}

/// Tells whether `SigningCertificateV2` names a certificate.
fn names_v2(value: Value<'_>, certificate: &Certificate) -> Option<bool> {
    let (algorithm, stated) = first_name(value)?;
    let hash = match algorithm {
        Some(algorithm) => oid::hash(algorithm.reader().take(OID)?.content)?,
        None => HashAlgorithm::Sha256,
    };
    Some(stated == hash.digest(certificate.der()).as_bytes())
}

/// Tells whether `SigningCertificate` names a certificate, by the SHA-1 that it always has.
fn names_v1(value: Value<'_>, certificate: &Certificate) -> Option<bool> {
    let (_, stated) = first_name(value)?;
    let computed = digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate.der());
    Some(stated == computed.as_ref())
}

/// Returns the first name in either of the two: the algorithm, if there is one, and the hash.
fn first_name(value: Value<'_>) -> Option<(Option<Value<'_>>, &[u8])> {
    let names = value.reader().take(SEQUENCE)?;
    let mut first = names.reader().take(SEQUENCE)?.reader();
    let algorithm = first.take(SEQUENCE);
    Some((algorithm, first.take(OCTET_STRING)?.content))
}

/// Why something is not a timestamp.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// No timestamp is that large.
    #[error("{size} bytes are too much for a timestamp, the limit is {MAX_SIZE}")]
    TooLarge { size: usize },
    /// The PEM text is damaged.
    #[error("the timestamp is malformed PEM")]
    Pem(#[from] pem::Error),
    /// There is another block, none, or several.
    #[error("the timestamp is not one PEM block `{LABEL}`")]
    NoBlock,
    /// A structure is cut or not what it must be.
    #[error("the timestamp has a malformed {what}")]
    Malformed { what: &'static str },
    /// Something else was signed.
    #[error("what was signed is no timestamp")]
    OtherContent,
    /// The digest is of a kind that is not known.
    #[error("the digest in the timestamp is none of SHA-256, SHA-384 and SHA-512")]
    UnknownHash,
    /// Nobody has that many.
    #[error("the timestamp has more than {MAX_CERTIFICATES} certificates")]
    TooManyCertificates,
    /// Who has signed is not in it.
    #[error("the certificate of the authority is not in the timestamp")]
    NoCertificate,
    /// The certificate that was used is another one.
    #[error("the timestamp was not made with the certificate in it")]
    OtherCertificate,
    /// The content is not what was signed.
    #[error("the content of the timestamp was changed")]
    Changed,
    /// The signature is by another key, or of other attributes.
    #[error("the signature of the timestamp does not match the certificate in it")]
    Signature,
}
