//! The RSA signer and verifier tell apart what can be wrong with a signature.

use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use ocm_signing::key::{Certificate, PrivateKey, PublicKey};
use ocm_signing::keyed::{KeySigner, KeyVerifier};
use ocm_signing::role::{Signer, Verifier, VerifyError};
use ocm_signing::rsa::RsaAlgorithm;
use ocm_signing::trust::Trust;
use ocm_signing::value::MEDIA_TYPE_PEM;

use crate::data::{clock, finish, go_key, key, private_key};

fn digest() -> Digest {
    Digest::sha256(b"content")
}

fn chain() -> Vec<Certificate> {
    Certificate::parse_chain(&key("test-rsa-2048.cert.pem")).unwrap()
}

fn signed(algorithm: RsaAlgorithm) -> SignatureInfo {
    finish(KeySigner::new(private_key(), algorithm).sign(&digest())).unwrap()
}

fn signed_with_chain() -> SignatureInfo {
    let signer = KeySigner::new(private_key(), RsaAlgorithm::Pss).with_chain(chain());
    finish(signer.unwrap().sign(&digest())).unwrap()
}

fn trusting(key: &PublicKey) -> KeyVerifier {
    KeyVerifier::with_key(key.clone())
}

#[track_caller]
fn reason(verifier: &KeyVerifier, signature: &SignatureInfo) -> VerifyError {
    verifier
        .verify(&digest(), signature, clock().now)
        .unwrap_err()
}

#[test]
fn a_signature_verifies_with_the_key_that_made_it() {
    for algorithm in [RsaAlgorithm::Pss, RsaAlgorithm::Pkcs1V15] {
        let signature = signed(algorithm);
        assert_eq!(signature.algorithm, algorithm.as_str());
        assert_eq!(signature.media_type, algorithm.media_type());
        assert_eq!(signature.issuer, None);
        let verifier = trusting(&private_key().public_key());
        verifier.verify(&digest(), &signature, clock().now).unwrap();
    }
}

#[test]
fn the_media_type_of_the_other_algorithm_is_accepted() {
    let mut signature = signed(RsaAlgorithm::Pss);
    signature.media_type = RsaAlgorithm::Pkcs1V15.media_type().to_owned();
    let verifier = trusting(&private_key().public_key());
    verifier.verify(&digest(), &signature, clock().now).unwrap();
}

#[test]
fn another_key_does_not_match() {
    for algorithm in [RsaAlgorithm::Pss, RsaAlgorithm::Pkcs1V15] {
        let error = reason(&trusting(&go_key()), &signed(algorithm));
        assert!(matches!(error, VerifyError::Mismatch(_)));
        assert_eq!(
            error.to_string(),
            "the signature does not match the public key"
        );
    }
}

#[test]
fn another_digest_does_not_match() {
    let verifier = trusting(&private_key().public_key());
    let signature = signed(RsaAlgorithm::Pss);
    let other = Digest::sha256(b"other content");
    let error = verifier
        .verify(&other, &signature, clock().now)
        .unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch(_)));
}

#[test]
fn a_claim_of_the_other_algorithm_does_not_match() {
    let mut signature = signed(RsaAlgorithm::Pss);
    signature.algorithm = RsaAlgorithm::Pkcs1V15.as_str().to_owned();
    let error = reason(&trusting(&private_key().public_key()), &signature);
    assert!(matches!(error, VerifyError::Mismatch(_)));
}

#[test]
fn a_cut_signature_says_that_it_is_short() {
    let mut signature = signed(RsaAlgorithm::Pss);
    signature.value.truncate(510);
    let error = reason(&trusting(&private_key().public_key()), &signature);
    assert!(matches!(error, VerifyError::Mismatch(_)));
    assert_eq!(
        error.to_string(),
        "the signature has 255 bytes, one by this public key has 256"
    );
}

#[test]
fn text_that_is_no_signature_is_malformed() {
    let verifier = trusting(&private_key().public_key());
    let mut signature = signed(RsaAlgorithm::Pss);
    signature.value.replace_range(0..1, "x");
    assert!(matches!(
        reason(&verifier, &signature),
        VerifyError::Malformed(_)
    ));
    signature.media_type = MEDIA_TYPE_PEM.to_owned();
    assert!(matches!(
        reason(&verifier, &signature),
        VerifyError::Malformed(_)
    ));
}

#[test]
fn other_kinds_of_signature_are_unknown() {
    let verifier = trusting(&private_key().public_key());
    let mut signature = signed(RsaAlgorithm::Pss);
    signature.algorithm = "GPG".to_owned();
    let error = reason(&verifier, &signature);
    assert!(matches!(error, VerifyError::Unknown(_)));
    assert_eq!(error.to_string(), "signature algorithm `GPG` is not known");
    let mut signature = signed(RsaAlgorithm::Pss);
    signature.media_type = "application/vnd.dev.sigstore.bundle.v0.3+json".to_owned();
    assert!(matches!(
        reason(&verifier, &signature),
        VerifyError::Unknown(_)
    ));
}

#[test]
fn short_keys_are_not_trusted() {
    let short = PublicKey::parse(&key("test-rsa-1024.pub.pem")).unwrap();
    let mut signature = signed(RsaAlgorithm::Pss);
    signature.value.truncate(256);
    let error = reason(&trusting(&short), &signature);
    assert!(matches!(error, VerifyError::Untrusted(_)));
    assert_eq!(
        error.to_string(),
        "an RSA key of 1024 bits is too short to verify RSASSA-PSS: \
         2048 are needed, and 1024 for RSASSA-PKCS1-V1_5 with SHA-256 or SHA-512"
    );
}

#[test]
fn a_signature_with_certificates_verifies_with_the_key_that_is_trusted() {
    let signature = signed_with_chain();
    assert_eq!(signature.media_type, MEDIA_TYPE_PEM);
    let verifier = trusting(&private_key().public_key());
    verifier.verify(&digest(), &signature, clock().now).unwrap();
}

#[test]
fn certificates_alone_prove_nothing() {
    let error = reason(&KeyVerifier::new(Trust::default()), &signed_with_chain());
    assert!(matches!(error, VerifyError::Untrusted(_)));
    assert_eq!(
        error.to_string(),
        "the signature brings a certificate for `CN=test signer,O=acme.org`, but no root \
         certificate and no public key is given to verify it with"
    );
    let error = reason(
        &KeyVerifier::new(Trust::default()),
        &signed(RsaAlgorithm::Pss),
    );
    assert!(matches!(error, VerifyError::Untrusted(_)));
    assert_eq!(
        error.to_string(),
        "no public key is given to verify the signature with"
    );
}

#[test]
fn a_root_certificate_is_not_taken_for_the_key_of_the_signer() {
    let root = PublicKey::parse(&key("test-root.cert.pem")).unwrap();
    let error = reason(&trusting(&root), &signed_with_chain());
    assert!(matches!(error, VerifyError::Mismatch(_)));
    assert_eq!(
        error.to_string(),
        "the signature was made by the key of its own certificate for \
         `CN=test signer,O=acme.org`, which is not the public key that is trusted"
    );
}

#[test]
fn certificates_of_another_key_are_not_put_beside_a_signature() {
    let signer = || KeySigner::new(private_key(), RsaAlgorithm::Pss);
    assert!(signer().with_chain(Vec::new()).is_err());
    let root = Certificate::parse_chain(&key("test-root.cert.pem")).unwrap();
    assert_eq!(
        signer().with_chain(root).unwrap_err().to_string(),
        "the first certificate, for `CN=test root,O=acme.org`, does not belong to the private key"
    );
}

#[test]
fn a_signer_does_not_show_its_key() {
    let key = PrivateKey::generate_rsa(2048).unwrap();
    let shown = format!("{:?}", KeySigner::new(key, RsaAlgorithm::Pss));
    assert!(
        shown.contains("fingerprint") && shown.len() < 250,
        "{shown}"
    );
}
