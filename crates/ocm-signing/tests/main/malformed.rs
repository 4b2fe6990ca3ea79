//! Bytes of any kind give errors, never a panic and never a valid signature.

use ocm_digest::Digest;
use ocm_signing::key::{Certificate, PrivateKey, PublicKey};
use ocm_signing::rsa::RsaAlgorithm;
use ocm_signing::value::{MEDIA_TYPE_PEM, SignatureValue};
use proptest::prelude::*;

use crate::data::{key, rsa_key};

const FILES: [&str; 5] = [
    "test-rsa-2048.pkcs1.pem",
    "test-rsa-2048.pkcs8.pem",
    "test-rsa-2048.pub.pkix.pem",
    "test-rsa-2048.pub.pkcs1.pem",
    "test-rsa-2048.cert.pem",
];

/// Reads bytes as everything that can be read.
fn read_all(bytes: &[u8]) {
    let _ = PrivateKey::parse(bytes);
    let _ = PublicKey::parse(bytes);
    let _ = Certificate::parse_chain(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = SignatureValue::decode("", MEDIA_TYPE_PEM, &text);
    let _ = SignatureValue::decode("", RsaAlgorithm::Pss.media_type(), &text);
}

fn der(name: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(&key(name))
        .unwrap()
        .1
        .contents
}

proptest! {
    #[test]
    fn random_bytes_are_no_key(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
        prop_assert!(PublicKey::parse(&bytes).is_err());
    }

    #[test]
    fn a_cut_key_is_no_key(file in prop::sample::select(&FILES[..]), cut in 0_usize..400) {
        let der = der(file);
        let cut = &der[..cut.min(der.len() - 1)];
        read_all(cut);
        prop_assert!(PublicKey::parse(cut).is_err());
    }

    #[test]
    fn a_changed_key_does_not_panic(
        file in prop::sample::select(&FILES[..]),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut der = der(file);
        *at.get_mut(&mut der) ^= flip;
        read_all(&der);
        let mut pem = key(file);
        *at.get_mut(&mut pem) ^= flip;
        read_all(&pem);
    }

    #[test]
    fn random_bytes_are_no_signature(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        full in prop::collection::vec(any::<u8>(), 256),
    ) {
        let digest = Digest::sha256(b"content");
        let public = rsa_key().public_key().clone();
        for signature in [bytes, full] {
            let verified = RsaAlgorithm::Pkcs1V15.verify(&digest, &signature, &public);
            prop_assert!(verified.is_err());
        }
    }
}

proptest! {
    // Each case tries all salts.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_changed_signature_does_not_verify(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let digest = Digest::sha256(b"content");
        let private = rsa_key();
        for algorithm in [RsaAlgorithm::Pss, RsaAlgorithm::Pkcs1V15] {
            let mut signature = algorithm.sign(&digest, &private).unwrap();
            *at.get_mut(&mut signature) ^= flip;
            prop_assert!(algorithm.verify(&digest, &signature, private.public_key()).is_err());
        }
    }
}
