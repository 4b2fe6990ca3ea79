//! Signatures that OpenSSL has made are verified, whatever their salt.

use ocm_digest::{Digest, HashAlgorithm};
use ocm_signing::algorithm::SignatureAlgorithm;
use ocm_signing::key::{Curve, PrivateKey, PublicKey, RsaPublicKey};
use ocm_signing::rsa::{Error, RsaAlgorithm};

use crate::data::{key, private_key, read, rsa_key, rsa_public};

const HASHES: [HashAlgorithm; 3] = [
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

fn digest(hash: HashAlgorithm) -> Digest {
    hash.digest(read("openssl/message.txt"))
}

fn public_key(bits: usize) -> RsaPublicKey {
    let name = match bits {
        2048 => "test-rsa-2048.pub.pkix.pem".to_owned(),
        bits => format!("test-rsa-{bits}.pub.pem"),
    };
    rsa_public(PublicKey::parse(&key(&name)).unwrap())
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
            RsaAlgorithm::Pkcs1V15.sign(&digest(hash), &rsa_key()),
            Ok(signature(2048, hash, "pkcs1"))
        );
    }
}

#[test]
fn pss_signatures_of_long_keys_verify_whatever_their_salt() {
    for bits in [3072, 4096] {
        let hash = HashAlgorithm::Sha256;
        for salt in ["0", "20", "77", "digest", "max"] {
            let padding = format!("pss-salt-{salt}");
            assert_eq!(
                verify(RsaAlgorithm::Pss, bits, hash, &padding),
                Ok(()),
                "{bits} bits, salt {salt}"
            );
        }
        assert_eq!(verify(RsaAlgorithm::Pkcs1V15, bits, hash, "pkcs1"), Ok(()));
    }
}

#[test]
fn signatures_of_other_kinds_verify() {
    let algorithms = [
        (SignatureAlgorithm::Ecdsa(Curve::P256), "ec", "ecdsa-p256"),
        (SignatureAlgorithm::Ecdsa(Curve::P384), "p384", "ecdsa-p384"),
        (SignatureAlgorithm::Ecdsa(Curve::P521), "p521", "ecdsa-p521"),
        (SignatureAlgorithm::Ed25519, "ed25519", "ed25519"),
    ];
    let public = |name: &str| PublicKey::parse(&key(&format!("test-{name}.pub.pem"))).unwrap();
    for (algorithm, name, file) in algorithms {
        for hash in HASHES {
            let signature = hex::decode(read(&format!("openssl/{file}.{hash}.hex"))).unwrap();
            let digest = digest(hash);
            let outcome = algorithm.verify(&digest, &signature, &public(name));
            assert_eq!(outcome, Ok(()), "{algorithm} {hash}");
            let other = hash.digest(b"other");
            assert!(algorithm.verify(&other, &signature, &public(name)).is_err());
            for (_, other, _) in algorithms.iter().filter(|(_, other, _)| *other != name) {
                assert!(
                    algorithm
                        .verify(&digest, &signature, &public(other))
                        .is_err()
                );
            }
        }
    }
}

#[test]
fn ed25519_signatures_are_those_of_openssl() {
    let private = PrivateKey::parse(&key("test-ed25519.pem")).unwrap();
    for hash in HASHES {
        let expected = hex::decode(read(&format!("openssl/ed25519.{hash}.hex"))).unwrap();
        assert_eq!(
            SignatureAlgorithm::Ed25519.sign(&digest(hash), &private),
            Ok(expected)
        );
    }
}

#[test]
fn what_is_signed_here_verifies_here() {
    let read = |name: &str| PrivateKey::parse(&key(name)).unwrap();
    let keys = [
        private_key(),
        read("test-rsa-2049.pem"),
        read("test-ec.sec1.pem"),
        read("test-p384.pkcs8.pem"),
        read("test-p521.sec1.pem"),
        read("test-ed25519.pem"),
    ];
    for private in keys {
        let public = private.public_key();
        let fits = |algorithm: &SignatureAlgorithm| algorithm.fits(&public);
        for algorithm in SignatureAlgorithm::ALL.into_iter().filter(fits) {
            for hash in HASHES {
                let signature = algorithm.sign(&digest(hash), &private).unwrap();
                assert_eq!(algorithm.verify(&digest(hash), &signature, &public), Ok(()));
                assert!(
                    algorithm
                        .verify(&hash.digest(b"other"), &signature, &public)
                        .is_err()
                );
            }
        }
    }
}

#[test]
fn a_key_of_another_kind_is_named() {
    let reason = |algorithm: SignatureAlgorithm, name: &str| {
        let private = PrivateKey::parse(&key(name)).unwrap();
        let digest = digest(HashAlgorithm::Sha256);
        algorithm.sign(&digest, &private).unwrap_err().to_string()
    };
    assert_eq!(
        reason(RsaAlgorithm::Pss.into(), "test-ec.sec1.pem"),
        "an ECDSA key on P-256 is not for RSASSA-PSS"
    );
    assert_eq!(
        reason(SignatureAlgorithm::Ecdsa(Curve::P384), "test-ec.sec1.pem"),
        "an ECDSA key on P-256 is not for ECDSA-P384-SHA384"
    );
    assert_eq!(
        reason(SignatureAlgorithm::Ed25519, "test-rsa-2048.pkcs1.pem"),
        "an RSA key of 2048 bits is not for Ed25519"
    );
}

#[test]
fn a_signature_by_another_key_does_not_verify() {
    let signature = signature(2048, HashAlgorithm::Sha256, "pss-salt-max");
    let digest = digest(HashAlgorithm::Sha256);
    let other = rsa_public(crate::data::go_key());
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
