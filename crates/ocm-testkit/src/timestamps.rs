//! A timestamp authority: it makes timestamps, right ones and wrong ones, and answers over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use ocm_digest::{Digest, HashAlgorithm};
use ocm_signing::key::Certificate;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SigningKey as _, date_time_ymd,
};

const MADE: &str = "a fixture that can be made";

/// The tag of a sequence.
pub const SEQUENCE: u8 = 0x30;
/// The tag of a set.
pub const SET: u8 = 0x31;
/// The tag of an object identifier.
pub const OID: u8 = 0x06;
/// The tag of an integer.
pub const INTEGER: u8 = 0x02;
/// The tag of an octet string.
pub const OCTETS: u8 = 0x04;
/// The tag of a generalised time.
pub const TIME: u8 = 0x18;

const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// Writes a value in DER.
pub fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(u8::try_from(length).expect(MADE)),
        0x80..=0xff => der.extend([0x81, u8::try_from(length).expect(MADE)]),
        _ => {
            der.push(0x82);
            der.extend(u16::try_from(length).expect(MADE).to_be_bytes());
        }
    }
    der.extend(content);
    der
}

/// What is wrong with a timestamp, if something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing is.
    None,
    /// The signed digest is of other content.
    Content,
    /// The signed attributes say that something else is signed.
    ContentType,
    /// No attribute says which certificate is used.
    NoCertificateName,
    /// The attribute names another certificate.
    OtherCertificateName,
    /// An attribute is there twice.
    Twice,
    /// There are two signatures.
    TwoSigners,
    /// The signature is cut.
    Signature,
    /// What is signed is no timestamp at all.
    OtherContent,
}

/// The purposes in the certificate of an authority.
#[derive(Clone, Copy, Debug)]
pub enum Purposes {
    /// Timestamps alone, critical.
    Right,
    /// Timestamps alone, but not critical.
    NotCritical,
    /// Timestamps and code.
    WithOthers,
    /// Code alone.
    Others,
    /// Nothing is said.
    None,
}

/// A timestamp authority below a root of its own.
#[derive(Debug)]
pub struct TimestampAuthority {
    root: Certificate,
    certificate: Certificate,
    key: KeyPair,
}

impl TimestampAuthority {
    /// Makes one whose certificates are valid from 2025 to 2027.
    pub fn new(purposes: Purposes) -> Self {
        Self::valid(purposes, (2025, 2027))
    }

    fn valid(purposes: Purposes, (from, to): (i32, i32)) -> Self {
        let mut root = named("root of timestamps", (from, to));
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root_key = KeyPair::generate().expect(MADE);
        let root_certificate = root.self_signed(&root_key).expect(MADE);
        let mut leaf = named("authority", (from, to));
        leaf.is_ca = IsCa::ExplicitNoCa;
        let stamping = der(OID, &[TIME_STAMPING]);
        let code = der(OID, &[CODE_SIGNING]);
        let listed = match purposes {
            Purposes::Right | Purposes::NotCritical => Some(vec![stamping]),
            Purposes::WithOthers => Some(vec![stamping, code]),
            Purposes::Others => Some(vec![code]),
            Purposes::None => None,
        };
        if let Some(listed) = listed {
            let content = der(SEQUENCE, &[&listed.concat()]);
            let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], content);
            usage.set_criticality(!matches!(purposes, Purposes::NotCritical));
            leaf.custom_extensions = vec![usage];
        }
        let key = KeyPair::generate().expect(MADE);
        let certificate = leaf
            .signed_by(&key, &Issuer::from_params(&root, &root_key))
            .expect(MADE);
        Self {
            root: Certificate::from_der(root_certificate.der()).expect(MADE),
            certificate: Certificate::from_der(certificate.der()).expect(MADE),
            key,
        }
    }

    /// Starts one that answers over HTTP as long as the test runs. Returns the certificate that
    /// vouches for it, as PEM, and its URL.
    ///
    /// It is valid from 2000 to 2100, and stamps with the time of the clock.
    pub fn start() -> (String, String) {
        let authority = Self::valid(Purposes::Right, (2000, 2100));
        let root = authority.root.to_pem();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                authority.answer(stream).ok();
            }
        });
        (root, url)
    }

    /// Returns the certificate that vouches for the authority.
    pub const fn root(&self) -> &Certificate {
        &self.root
    }

    /// Returns a timestamp as an authority sends it.
    pub fn token(&self, info: &[u8], fault: Fault) -> Vec<u8> {
        let algorithm = der(SEQUENCE, &[&der(OID, &[SHA256])]);
        let kind = match fault {
            Fault::OtherContent => SIGNED_DATA,
            _ => TST_INFO,
        };
        let content = der(
            SEQUENCE,
            &[&der(OID, &[kind]), &der(0xa0, &[&der(OCTETS, &[info])])],
        );
        let signer = self.signer(info, fault);
        let signers = match fault {
            Fault::TwoSigners => [signer.clone(), signer].concat(),
            _ => signer,
        };
        let data = der(
            SEQUENCE,
            &[
                &der(INTEGER, &[&[3]]),
                &der(SET, &[&algorithm]),
                &content,
                &der(0xa0, &[self.certificate.der()]),
                &der(SET, &[&signers]),
            ],
        );
        der(SEQUENCE, &[&der(OID, &[SIGNED_DATA]), &der(0xa0, &[&data])])
    }

    /// Answers one request.
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut request = vec![0; length];
        reader.read_exact(&mut request)?;
        let (digest, nonce) = read_request(&request);
        let time = jiff::Timestamp::now().strftime("%Y%m%d%H%M%SZ").to_string();
        let answer = granted(&self.token(&info(&digest, &time, Some(&nonce)), Fault::None));
        let mut stream = reader.into_inner();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            answer.len()
        )?;
        stream.write_all(&answer)
    }

    fn signer(&self, info: &[u8], fault: Fault) -> Vec<u8> {
        let signed = match fault {
            Fault::Content => HashAlgorithm::Sha256.digest(b"other"),
            _ => HashAlgorithm::Sha256.digest(info),
        };
        let named = match fault {
            Fault::OtherCertificateName => Digest::sha256(self.root.der()),
            _ => Digest::sha256(self.certificate.der()),
        };
        let kind = match fault {
            Fault::ContentType => SIGNED_DATA,
            _ => TST_INFO,
        };
        let name = der(SEQUENCE, &[&der(OCTETS, &[named.as_bytes()])]);
        let mut attributes = vec![
            attribute(CONTENT_TYPE, &der(OID, &[kind])),
            attribute(MESSAGE_DIGEST, &der(OCTETS, &[signed.as_bytes()])),
            attribute(CERTIFICATE_V2, &der(SEQUENCE, &[&der(SEQUENCE, &[&name])])),
        ];
        match fault {
            Fault::NoCertificateName => drop(attributes.pop()),
            Fault::Twice => attributes.push(attributes[1].clone()),
            _ => {}
        }
        let attributes = attributes.concat();
        let mut signature = self.key.sign(&der(SET, &[&attributes])).expect(MADE);
        if fault == Fault::Signature {
            signature.pop();
        }
        der(
            SEQUENCE,
            &[
                &der(INTEGER, &[&[1]]),
                &der(
                    SEQUENCE,
                    &[
                        self.certificate.issuer_der(),
                        &der(INTEGER, &[self.certificate.serial()]),
                    ],
                ),
                &der(SEQUENCE, &[&der(OID, &[SHA256])]),
                &der(0xa0, &[&attributes]),
                &der(SEQUENCE, &[&der(OID, &[ECDSA_SHA256])]),
                &der(OCTETS, &[&signature]),
            ],
        )
    }
}

/// Returns an answer that grants a timestamp.
pub fn granted(token: &[u8]) -> Vec<u8> {
    let status = der(SEQUENCE, &[&der(INTEGER, &[&[0]])]);
    der(SEQUENCE, &[&status, token])
}

/// Takes a request for a SHA-256 digest apart: the digest, and the content of the nonce.
///
/// # Panics
///
/// It is no such request.
pub fn read_request(request: &[u8]) -> (Digest, Vec<u8>) {
    let imprint = &request[5..];
    assert_eq!(imprint[..2], [SEQUENCE, 0x31], "a SHA-256 imprint");
    let digest = &imprint[0x33 - 32..0x33];
    let digest = Digest::new(HashAlgorithm::Sha256, digest).expect("a digest");
    let nonce = &imprint[0x33..];
    assert_eq!(nonce[0], INTEGER, "a nonce");
    let length = usize::from(nonce[1]);
    (digest, nonce[2..2 + length].to_vec())
}

/// Returns `TSTInfo` with a SHA-256 digest.
pub fn info(digest: &Digest, time: &str, nonce: Option<&[u8]>) -> Vec<u8> {
    let algorithm = der(SEQUENCE, &[&der(OID, &[SHA256]), &[5, 0]]);
    let nonce = nonce.map(|nonce| der(INTEGER, &[nonce]));
    der(
        SEQUENCE,
        &[
            &der(INTEGER, &[&[1]]),
            &der(OID, &[&[0x2a, 3, 4]]),
            &der(SEQUENCE, &[&algorithm, &der(OCTETS, &[digest.as_bytes()])]),
            &der(INTEGER, &[&[7]]),
            &der(TIME, &[time.as_bytes()]),
            &nonce.unwrap_or_default(),
        ],
    )
}

fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[&der(OID, &[kind]), &der(SET, &[value])])
}

fn named(name: &str, (from, to): (i32, i32)) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = date_time_ymd(from, 1, 1);
    parameters.not_after = date_time_ymd(to, 1, 1);
    parameters
}
