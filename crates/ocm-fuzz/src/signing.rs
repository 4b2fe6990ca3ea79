//! Keys, certificates and signatures.

use ocm_digest::Digest;
use ocm_signing::dn::DistinguishedName;
use ocm_signing::key::{Certificate, KeyFormat, PrivateKey, PublicKey};
use ocm_signing::value::SignatureValue;
use ocm_timestamp::{TimestampAuthorities, Token};

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
    for key in signature.chain.iter().filter_map(|it| it.public_key().ok()) {
        let verified = signature.algorithm.verify(&digest, &signature.bytes, key);
        assert!(verified.is_err());
    }
}

/// A distinguished name.
pub fn distinguished_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(name) = text.parse::<DistinguishedName>() else {
        return;
    };
    let again: DistinguishedName = name.to_string().parse().expect("a written name");
    assert_eq!(again.to_string(), name.to_string());
    assert!(again.is_same(&name) && name.includes(&again));
}

/// A timestamp, as PEM or in DER.
pub fn timestamp(bytes: &[u8]) {
    let token = match std::str::from_utf8(bytes) {
        Ok(text) => Token::from_pem(text),
        Err(_) => Token::from_der(bytes),
    };
    let Ok(token) = token else {
        return;
    };
    let again = Token::from_pem(&token.to_pem()).expect("a written timestamp");
    assert_eq!(again.time(), token.time());
    assert_eq!(again.imprint(), token.imprint());
    let nobody = TimestampAuthorities::default();
    assert!(nobody.check(&token).is_err());
}
