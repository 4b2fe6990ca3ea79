//! Keys, certificates and signatures.

use ocm_digest::Digest;
use ocm_signing::key::{Certificate, KeyFormat, PrivateKey, PublicKey};
use ocm_signing::rsa::SignatureValue;

const FORMATS: [KeyFormat; 2] = [KeyFormat::Pkcs8, KeyFormat::Pkcs1];

/// A public or private key.
pub fn key(bytes: &[u8]) {
    if let Ok(public) = PublicKey::parse(bytes) {
        for format in FORMATS {
            let again = PublicKey::parse(public.to_pem(format).as_bytes());
            assert_eq!(again.as_ref(), Ok(&public));
        }
    }
    if let Ok(private) = PrivateKey::parse(bytes) {
        for format in FORMATS {
            let text = private.to_pem(format).expect("a key can be written");
            let again = PrivateKey::parse(text.expose().as_bytes()).expect("a written key");
            assert_eq!(again.public_key(), private.public_key());
        }
    }
}

/// A chain of certificates.
pub fn certificates(bytes: &[u8]) {
    let Ok(chain) = Certificate::parse_chain(bytes) else {
        return;
    };
    let text: String = chain.iter().map(Certificate::to_pem).collect();
    assert_eq!(Certificate::parse_chain(text.as_bytes()), Ok(chain));
}

/// The three fields of a signature: algorithm and media type on a line each, then the value.
pub fn signature_value(bytes: &[u8]) {
    let (algorithm, rest) = crate::first_line(bytes);
    let (media_type, value) = crate::first_line(rest);
    let Ok(value) = std::str::from_utf8(value) else {
        return;
    };
    let Ok(signature) = SignatureValue::decode(algorithm, media_type, value) else {
        return;
    };
    let (media_type, value) = signature.encode();
    let again = SignatureValue::decode(signature.algorithm.as_str(), media_type, &value);
    assert_eq!(again.as_ref(), Ok(&signature));
    let digest = Digest::sha256("content that nobody has signed");
    for certificate in &signature.chain {
        let key = certificate.public_key();
        let verified = signature.algorithm.verify(&digest, &signature.bytes, key);
        assert!(verified.is_err());
    }
}
