//! Signatures that OpenSSL has made are verified, whatever their salt.

use ocm_digest::{Digest, HashAlgorithm};
use ocm_signing::key::{PrivateKey, PublicKey};
use ocm_signing::rsa::{Error, RsaAlgorithm};

use crate::data::{key, private_key, read};

const HASHES: [HashAlgorithm; 3] = [
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

fn digest(hash: HashAlgorithm) -> Digest {
    hash.digest(read("openssl/message.txt"))
}

fn public_key(bits: usize) -> PublicKey {
    let name = match bits {
        2048 => "test-rsa-2048.pub.pkix.pem".to_owned(),
        bits => format!("test-rsa-{bits}.pub.pem"),
    };
    PublicKey::parse(&key(&name)).unwrap()
}

fn signature(bits: usize, hash: HashAlgorithm, padding: &str) -> Vec<u8> {
    hex::decode(read(&format!("openssl/rsa-{bits}.{hash}.{padding}.hex"))).unwrap()
}

#[track_caller]
fn verify(
    algorithm: RsaAlgorithm,
    bits: usize,
    hash: HashAlgorithm,
    padding: &str,
) -> Result<(), Error> {
    let signature = signature(bits, hash, padding);
    algorithm.verify(&digest(hash), &signature, &public_key(bits))
}

#[test]
fn pkcs1_signatures_verify() {
    for bits in [2048, 2049] {
        for hash in HASHES {
            assert_eq!(verify(RsaAlgorithm::Pkcs1V15, bits, hash, "pkcs1"), Ok(()));
        }
    }
}

#[test]
fn pss_signatures_with_the_longest_salt_or_that_of_the_digest_verify() {
    for bits in [2048, 2049] {
        for hash in HASHES {
            for padding in ["pss-salt-max", "pss-salt-digest"] {
                assert_eq!(verify(RsaAlgorithm::Pss, bits, hash, padding), Ok(()));
            }
        }
    }
}

#[test]
fn pss_signatures_with_any_other_salt_verify() {
    for bits in [2048, 2049] {
        for salt in [0, 20, 100] {
            let padding = format!("pss-salt-{salt}");
            assert_eq!(
                verify(RsaAlgorithm::Pss, bits, HashAlgorithm::Sha256, &padding),
                Ok(()),
                "{bits} bits, salt {salt}"
            );
        }
    }
}

#[test]
fn one_algorithm_is_not_taken_for_the_other() {
    let hash = HashAlgorithm::Sha256;
    for (algorithm, padding) in [
        (RsaAlgorithm::Pss, "pkcs1"),
        (RsaAlgorithm::Pkcs1V15, "pss-salt-max"),
    ] {
        assert_eq!(verify(algorithm, 2048, hash, padding), Err(Error::Mismatch));
    }
}

#[test]
fn one_hash_is_not_taken_for_another() {
    let signature = signature(2048, HashAlgorithm::Sha256, "pkcs1");
    let other = digest(HashAlgorithm::Sha512);
    assert_eq!(
        RsaAlgorithm::Pkcs1V15.verify(&other, &signature, &public_key(2048)),
        Err(Error::Mismatch)
    );
}

#[test]
fn short_keys_verify_only_what_is_old() {
    for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        assert_eq!(verify(RsaAlgorithm::Pkcs1V15, 1024, hash, "pkcs1"), Ok(()));
    }
    for (algorithm, hash, padding) in [
        (RsaAlgorithm::Pkcs1V15, HashAlgorithm::Sha384, "pkcs1"),
        (RsaAlgorithm::Pss, HashAlgorithm::Sha256, "pss-salt-max"),
    ] {
        assert_eq!(
            verify(algorithm, 1024, hash, padding),
            Err(Error::KeyTooShort {
                bits: 1024,
                algorithm
            })
        );
    }
}

#[test]
fn pkcs1_signatures_are_those_of_openssl() {
    for hash in HASHES {
        assert_eq!(
            RsaAlgorithm::Pkcs1V15.sign(&digest(hash), &private_key()),
            Ok(signature(2048, hash, "pkcs1"))
        );
    }
}

#[test]
fn what_is_signed_here_verifies_here() {
    let odd = PrivateKey::parse(&key("test-rsa-2049.pem")).unwrap();
    for private in [private_key(), odd] {
        for algorithm in [RsaAlgorithm::Pss, RsaAlgorithm::Pkcs1V15] {
            for hash in HASHES {
                let signature = algorithm.sign(&digest(hash), &private).unwrap();
                let public = private.public_key();
                assert_eq!(algorithm.verify(&digest(hash), &signature, public), Ok(()));
                assert_eq!(
                    algorithm.verify(&hash.digest(b"other"), &signature, public),
                    Err(Error::Mismatch)
                );
            }
        }
    }
}

#[test]
fn a_signature_by_another_key_does_not_verify() {
    let signature = signature(2048, HashAlgorithm::Sha256, "pss-salt-max");
    let digest = digest(HashAlgorithm::Sha256);
    let other = crate::data::go_key();
    assert_eq!(
        RsaAlgorithm::Pss.verify(&digest, &signature, &other),
        Err(Error::Mismatch)
    );
    assert_eq!(
        RsaAlgorithm::Pss.verify(&digest, &signature, &public_key(2049)),
        Err(Error::Length {
            expected: 257,
            actual: 256
        })
    );
}
