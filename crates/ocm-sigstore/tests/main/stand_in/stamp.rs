//! The timestamp authority (RFC 3161, RFC 5652).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_digest::Digest;
use rcgen::{
    Certificate, CertificateParams, CustomExtension, DnType, KeyPair, KeyUsagePurpose,
    SerialNumber, SigningKey as _,
};
use serde_json::{Value, json};
use url::Url;

use super::der::{children, octets, oid, read, sequence, set, tlv};
use super::pki;

const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TST_INFO: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04,
];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const SIGNING_CERTIFICATE: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f,
];

/// Who testifies that something exists now.
pub(super) struct Clock {
    root: Certificate,
    leaf: Certificate,
    key: KeyPair,
}

impl Clock {
    pub(super) fn new() -> Self {
        let (root, issuer) = pki::root("tsa.test");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "clock");
        params.serial_number = Some(SerialNumber::from(7u64));
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        // The purpose of a clock is to be a clock only, so it is critical.
        let purpose = sequence(&[&oid(&[0x2b, 6, 1, 5, 5, 7, 3, 8])]);
        let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], purpose);
        usage.set_criticality(true);
        params.custom_extensions = vec![usage];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        Self { root, leaf, key }
    }

    /// Answers a query.
    pub(super) fn stamp(&self, query: &[u8]) -> Vec<u8> {
        let parts = children(read(query).1);
        let imprint = parts[1];
        let nonce = parts[2..].iter().find(|part| part[0] == 0x02);
        let time = Timestamp::now().strftime("%Y%m%d%H%M%SZ").to_string();
        let info = sequence(&[
            &tlv(0x02, &[&[1]]),
            &oid(&[0x2a, 3, 4]),
            imprint,
            &tlv(0x02, &[&[1]]),
            &tlv(0x18, &[time.as_bytes()]),
            nonce.copied().unwrap_or_default(),
        ]);
        let granted = sequence(&[&tlv(0x02, &[&[0]])]);
        sequence(&[&granted, &self.sign(&info)])
    }

    /// Signs content as CMS does.
    fn sign(&self, info: &[u8]) -> Vec<u8> {
        let sha256 = sequence(&[&oid(SHA256)]);
        let attribute = |name: &[u8], value: &[u8]| sequence(&[&oid(name), &set(&[value])]);
        let digest = octets(Digest::sha256(info).as_bytes());
        let certificate = octets(Digest::sha256(self.leaf.der()).as_bytes());
        let certificate = sequence(&[&sequence(&[&sequence(&[&certificate])])]);
        let mut attributes = [
            attribute(CONTENT_TYPE, &oid(TST_INFO)),
            attribute(MESSAGE_DIGEST, &digest),
            attribute(SIGNING_CERTIFICATE, &certificate),
        ];
        attributes.sort();
        let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
        // They are signed as a set, and written with another tag.
        let signature = self.key.sign(&set(&attributes)).unwrap();

        let tbs = children(read(children(read(self.leaf.der()).1)[0]).1);
        let (serial, issuer) = (tbs[1], tbs[3]);
        let signer = sequence(&[
            &tlv(0x02, &[&[1]]),
            &sequence(&[issuer, serial]),
            &sha256,
            &tlv(0xa0, &attributes),
            &sequence(&[&oid(ECDSA_SHA256)]),
            &octets(&signature),
        ]);
        let content = sequence(&[&oid(TST_INFO), &tlv(0xa0, &[&octets(info)])]);
        let signed = sequence(&[
            &tlv(0x02, &[&[3]]),
            &set(&[&sha256]),
            &content,
            &tlv(0xa0, &[self.leaf.der()]),
            &set(&[&signer]),
        ]);
        sequence(&[&oid(SIGNED_DATA), &tlv(0xa0, &[&signed])])
    }

    pub(super) fn trusted(&self, url: &Url) -> Value {
        let raw = |it: &Certificate| json!({"rawBytes": STANDARD.encode(it.der())});
        json!({
            "subject": {"organization": "test", "commonName": "tsa.test"},
            "uri": url,
            "certChain": {"certificates": [raw(&self.leaf), raw(&self.root)]},
            "validFor": {"start": "2024-01-01T00:00:00Z"},
        })
    }
}
