//! The certificate authority, and the log of certificates.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_digest::Digest;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey as _,
};
use serde_json::{Value, json};
use url::Url;

use super::der::{children, octets, read, tlv};

/// Who certifies keys for some minutes.
pub(super) struct Authority {
    root: Certificate,
    issuer: Issuer<'static, KeyPair>,
    log: KeyPair,
    serial: AtomicU64,
}

impl Authority {
    pub(super) fn new() -> Self {
        let (root, issuer) = root("sigstore.test");
        Self {
            root,
            issuer,
            log: KeyPair::generate().unwrap(),
            serial: AtomicU64::new(1),
        }
    }

    /// Certifies a key, if the proof shows that it is at hand; the certificates in PEM.
    pub(super) fn certify(
        &self,
        pem: &str,
        subject: &str,
        issuer: &str,
        proof: &[u8],
    ) -> Option<Vec<String>> {
        let key = Point::parse(pem);
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.0);
        public.verify(subject.as_bytes(), proof).ok()?;

        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        let now = SystemTime::from(Timestamp::now());
        params.not_before = (now - Duration::from_secs(5)).into();
        params.not_after = (now + Duration::from_mins(10)).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
        let name = subject.to_owned().try_into().unwrap();
        params.subject_alt_names = vec![if subject.contains("://") {
            SanType::URI(name)
        } else {
            SanType::Rfc822Name(name)
        }];
        let utf8 = tlv(0x0c, &[issuer.as_bytes()]);
        let own = |last: u64, content: Vec<u8>| {
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, last], content)
        };
        params.custom_extensions = vec![own(1, issuer.as_bytes().to_vec()), own(8, utf8)];
        // What is logged is the certificate without the testimony of the log.
        let precertificate = params.signed_by(&key, &self.issuer).unwrap();
        let sct = self.log(tbs(precertificate.der()));
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(
                &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2],
                octets(&sct),
            ));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Some(vec![certificate.pem(), self.root.pem()])
    }

    /// Makes a list of one signed certificate timestamp (RFC 6962).
    fn log(&self, tbs: &[u8]) -> Vec<u8> {
        let time = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
        let mut signed = vec![0, 0];
        signed.extend(time.to_be_bytes());
        signed.extend([0, 1]);
        let issuer = Digest::sha256(self.issuer.key().subject_public_key_info());
        signed.extend(issuer.as_bytes());
        let length = u32::try_from(tbs.len()).unwrap().to_be_bytes();
        signed.extend(&length[1..]);
        signed.extend(tbs);
        signed.extend([0, 0]);
        let signature = self.log.sign(&signed).unwrap();

        let mut sct = vec![0];
        sct.extend(self.log_id().as_bytes());
        sct.extend(time.to_be_bytes());
        sct.extend([0, 0, 4, 3]);
        sct.extend(counted(&signature));
        counted(&counted(&sct))
    }

    fn log_id(&self) -> Digest {
        Digest::sha256(self.log.subject_public_key_info())
    }

    pub(super) fn trusted(&self, url: &Url) -> Value {
        json!({
            "subject": {"organization": "test", "commonName": "sigstore.test"},
            "uri": url,
            "certChain": {"certificates": [{"rawBytes": STANDARD.encode(self.root.der())}]},
            "validFor": {"start": "2024-01-01T00:00:00Z"},
        })
    }

    pub(super) fn trusted_log(&self) -> Value {
        json!({
            "baseUrl": "https://ctlog.test",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": STANDARD.encode(self.log.subject_public_key_info()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2024-01-01T00:00:00Z"},
            },
            "logId": {"keyId": STANDARD.encode(self.log_id().as_bytes())},
        })
    }
}

/// Makes an authority that certifies itself.
pub(super) fn root(name: &str) -> (Certificate, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    (root, Issuer::new(params, key))
}

/// Returns what of a certificate is signed.
fn tbs(der: &[u8]) -> &[u8] {
    children(read(der).1)[0]
}

/// Bytes with their number in front, in two bytes.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

/// A public key of P-256.
struct Point(Vec<u8>);

impl Point {
    fn parse(pem: &str) -> Self {
        let der = pem::parse(pem).unwrap().into_contents();
        Self(der[der.len() - 65..].to_vec())
    }
}

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
