//! Timestamps that OpenSSL has made are read and believed.

use std::path::Path;

use ocm_digest::HashAlgorithm;
use ocm_model::TimestampSpec;
use ocm_signing::key::Certificate;
use ocm_signing::role::{TimestampVerifier as _, VerifyError};
use ocm_signing::x509::Roots;
use ocm_timestamp::{TimestampAuthorities, Token, TokenError};
use serde_json::Map;

use crate::authority::Authority;

pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/openssl");
    std::fs::read(path.join(name)).unwrap()
}

/// Returns the timestamp in an answer: what follows the status.
pub(crate) fn token(name: &str) -> Vec<u8> {
    let answer = data(name);
    // A sequence with a length of two bytes, and in it a status of five bytes and its header.
    assert_eq!((answer[0], answer[1], answer[4]), (0x30, 0x82, 0x30));
    answer[4 + 2 + usize::from(answer[5])..].to_vec()
}

fn believers() -> TimestampAuthorities {
    TimestampAuthorities::new(Roots::new(
        Certificate::parse_chain(&data("root.pem")).unwrap(),
    ))
}

fn spec(token: &Token) -> TimestampSpec {
    TimestampSpec {
        value: token.to_pem(),
        time: None,
        extra: Map::new(),
    }
}

#[test]
fn every_key_and_hash_is_believed() {
    for hash in [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
    ] {
        let digest = hash.digest(data("content.txt"));
        for authority in ["rsa", "ec"] {
            let name = format!("{authority}.{hash}.tsr");
            let token = Token::from_der(&token(&name)).unwrap();
            assert_eq!(*token.imprint(), digest, "{name}");
            let time = believers().verify(&digest, &spec(&token)).unwrap();
            assert_eq!(time, token.time());
            assert!(time.to_string().starts_with("2026-11-28T03:2"), "{time}");
            let other = hash.digest("other");
            let outcome = believers().verify(&other, &spec(&token));
            assert!(matches!(outcome, Err(VerifyError::Mismatch(_))));
            let outcome = Authority::new().believers().verify(&digest, &spec(&token));
            assert!(matches!(outcome, Err(VerifyError::Untrusted(_))));
        }
    }
}

#[test]
fn a_token_alone_and_its_pem_are_the_same() {
    let token = Token::from_der(&data("rsa.sha256.token.der")).unwrap();
    let again = Token::from_pem(&token.to_pem()).unwrap();
    assert_eq!(again.to_pem(), token.to_pem());
    assert_eq!(again.time(), token.time());
    assert_eq!(again.imprint(), token.imprint());
    assert_eq!(
        token.signer().subject().to_string(),
        "CN=test authority rsa,O=acme.org"
    );
    assert!(
        token
            .to_pem()
            .starts_with("-----BEGIN TIMESTAMP INFO-----\n")
    );
}

#[test]
fn a_certificate_may_be_named_by_sha1() {
    let token = Token::from_der(&token("rsa.ess-sha1.tsr")).unwrap();
    let digest = HashAlgorithm::Sha256.digest(data("content.txt"));
    believers().verify(&digest, &spec(&token)).unwrap();
}

#[test]
fn what_cannot_be_used_says_why() {
    let reason = |name: &str| Token::from_der(&token(name)).unwrap_err();
    assert_eq!(reason("rsa.no-certificate.tsr"), TokenError::NoCertificate);
    assert_eq!(reason("rsa.of-sha1.tsr"), TokenError::UnknownHash);
}
