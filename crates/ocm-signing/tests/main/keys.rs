//! Every form of a key is read, and what is not an RSA key is named.

use ocm_signing::key::{Certificate, Error, KeyFormat, PrivateKey, PublicKey};

use crate::data::{key, private_key};

/// Returns the content of the first PEM block.
fn der(pem: &[u8]) -> Vec<u8> {
    use x509_parser::pem::Pem;
    Pem::iter_from_buffer(pem).next().unwrap().unwrap().contents
}

#[track_caller]
fn private_reason(bytes: &[u8]) -> String {
    PrivateKey::parse(bytes).unwrap_err().to_string()
}

#[track_caller]
fn public_reason(bytes: &[u8]) -> String {
    PublicKey::parse(bytes).unwrap_err().to_string()
}

#[test]
fn every_form_of_a_private_key_is_the_same_key() {
    let public = private_key().public_key().clone();
    for name in ["test-rsa-2048.pkcs1.pem", "test-rsa-2048.pkcs8.pem"] {
        for bytes in [key(name), der(&key(name))] {
            let private = PrivateKey::parse(&bytes).unwrap();
            assert_eq!(private.public_key(), &public, "{name}");
            assert_eq!(private.bits(), 2048);
        }
    }
}

#[test]
fn every_form_of_a_public_key_is_the_same_key() {
    let public = private_key().public_key().clone();
    for name in [
        "test-rsa-2048.pub.pkix.pem",
        "test-rsa-2048.pub.pkcs1.pem",
        "test-rsa-2048.cert.pem",
        "test-rsa-2048.pkcs1.pem",
        "test-rsa-2048.pkcs8.pem",
    ] {
        for bytes in [key(name), der(&key(name))] {
            assert_eq!(PublicKey::parse(&bytes).as_ref(), Ok(&public), "{name}");
        }
    }
}

#[test]
fn of_a_chain_the_leaf_is_the_key() {
    let chain = [key("test-rsa-2048.cert.pem"), key("test-root.cert.pem")].concat();
    assert_eq!(
        &PublicKey::parse(&chain).unwrap(),
        private_key().public_key()
    );
    let certificates = Certificate::parse_chain(&chain).unwrap();
    assert_eq!(certificates.len(), 2);
    assert_eq!(certificates[0].subject(), "O=acme.org, CN=test signer");
    assert_eq!(certificates[0].issuer(), certificates[1].subject());
}

#[test]
fn the_label_of_a_block_does_not_decide() {
    let text = String::from_utf8(key("test-rsa-2048.pkcs1.pem")).unwrap();
    let renamed = text.replace("RSA PRIVATE KEY", "PRIVATE KEY");
    assert!(PrivateKey::parse(renamed.as_bytes()).is_ok());
}

#[test]
fn a_key_reads_as_it_is_written() {
    let private = private_key();
    for format in [KeyFormat::Pkcs8, KeyFormat::Pkcs1] {
        let text = private.to_pem(format).unwrap();
        let again = PrivateKey::parse(text.expose().as_bytes()).unwrap();
        assert_eq!(again.public_key(), private.public_key());
        let text = private.public_key().to_pem(format);
        let again = PublicKey::parse(text.as_bytes()).unwrap();
        assert_eq!(&again, private.public_key());
    }
}

#[test]
fn keys_are_written_as_openssl_writes_them() {
    let private = private_key();
    for (format, private_file, public_file) in [
        (
            KeyFormat::Pkcs8,
            "test-rsa-2048.pkcs8.pem",
            "test-rsa-2048.pub.pkix.pem",
        ),
        (
            KeyFormat::Pkcs1,
            "test-rsa-2048.pkcs1.pem",
            "test-rsa-2048.pub.pkcs1.pem",
        ),
    ] {
        let text = private.to_pem(format).unwrap();
        assert_eq!(text.expose().as_bytes(), key(private_file));
        assert_eq!(
            private.public_key().to_pem(format).as_bytes(),
            key(public_file)
        );
    }
}

#[test]
fn a_new_key_has_the_size_that_was_asked_for() {
    assert_eq!(PrivateKey::generate(2048).unwrap().bits(), 2048);
    for bits in [0, 1024, 2047, 5000] {
        assert_eq!(
            PrivateKey::generate(bits).err(),
            Some(Error::GenerateSize { bits })
        );
    }
}

#[test]
fn a_private_key_never_shows_in_debug() {
    let private = private_key();
    let shown = format!("{private:?}");
    let fingerprint = private.public_key().fingerprint();
    assert_eq!(
        shown,
        format!(
            "PrivateKey {{ public: PublicKey {{ bits: 2048, fingerprint: {fingerprint}, .. }}, .. }}"
        )
    );
    let text = private.to_pem(KeyFormat::Pkcs8).unwrap();
    assert_eq!(format!("{text:?}"), "PrivatePem { .. }");
}

#[test]
fn encrypted_keys_are_called_so() {
    for name in [
        "test-rsa-2048.encrypted.pkcs1.pem",
        "test-rsa-2048.encrypted.pkcs8.pem",
    ] {
        assert_eq!(
            PrivateKey::parse(&key(name)).err(),
            Some(Error::Encrypted),
            "{name}"
        );
        assert_eq!(
            PublicKey::parse(&key(name)).err(),
            Some(Error::Encrypted),
            "{name}"
        );
    }
    let der = der(&key("test-rsa-2048.encrypted.pkcs8.pem"));
    assert_eq!(PrivateKey::parse(&der).err(), Some(Error::Encrypted));
}

#[test]
fn what_is_no_private_key_is_named() {
    for (name, found) in [
        ("test-rsa-2048.pub.pkix.pem", "an RSA public key"),
        ("test-rsa-2048.pub.pkcs1.pem", "an RSA public key"),
        ("test-rsa-2048.cert.pem", "a certificate"),
        ("test-ec.sec1.pem", "an elliptic curve private key"),
        ("test-ec.pkcs8.pem", "an elliptic curve private key"),
        ("test-ed25519.pem", "an Ed25519 private key"),
        ("test-rsa-pss.pem", "an RSASSA-PSS-only private key"),
        ("test-openssh.pem", "a PEM block `OPENSSH PRIVATE KEY`"),
    ] {
        let expected = format!("expected an RSA private key, found {found}");
        assert_eq!(private_reason(&key(name)), expected, "{name}");
    }
}

#[test]
fn what_is_no_public_key_is_named() {
    for (name, found) in [
        ("test-ec.pub.pem", "an elliptic curve public key"),
        ("test-ec.sec1.pem", "an elliptic curve private key"),
        ("test-openssh.pem", "a PEM block `OPENSSH PRIVATE KEY`"),
    ] {
        let expected = "expected an RSA public key or a certificate with one";
        assert_eq!(
            public_reason(&key(name)),
            format!("{expected}, found {found}"),
            "{name}"
        );
    }
    assert_eq!(
        public_reason(&key("test-ec.cert.pem")),
        "expected a certificate for an RSA public key, found one for an elliptic curve public key"
    );
    let reason = Certificate::parse_chain(&key("test-ec.pub.pem")).unwrap_err();
    assert_eq!(
        reason.to_string(),
        "expected a certificate, found an elliptic curve public key"
    );
}

#[test]
fn a_certificate_for_another_key_is_not_passed_over() {
    let chain = [key("test-ec.cert.pem"), key("test-root.cert.pem")].concat();
    assert!(matches!(
        PublicKey::parse(&chain),
        Err(Error::Unexpected { .. })
    ));
}

#[test]
fn short_keys_may_verify_but_not_sign() {
    assert_eq!(
        PublicKey::parse(&key("test-rsa-1024.pub.pem"))
            .unwrap()
            .bits(),
        1024
    );
    assert_eq!(
        private_reason(&key("test-rsa-1024.pem")),
        "an RSA key of 1024 bits is not supported, 2048 to 8192 are"
    );
}

#[test]
fn odd_sizes_are_counted_right() {
    assert_eq!(
        PrivateKey::parse(&key("test-rsa-2049.pem")).unwrap().bits(),
        2049
    );
    assert_eq!(
        PublicKey::parse(&key("test-rsa-2049.pub.pem"))
            .unwrap()
            .bits(),
        2049
    );
}

#[test]
fn what_is_no_key_at_all_says_so() {
    for bytes in [
        &b""[..],
        b"hello",
        b"0",
        b"\xff\xfe",
        b"-----BEGIN ",
        b"-----BEGIN \xff",
    ] {
        assert_eq!(PrivateKey::parse(bytes).err(), Some(Error::NoKey));
        assert_eq!(PublicKey::parse(bytes).err(), Some(Error::NoKey));
    }
    let large = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(
        public_reason(&large),
        "1048577 bytes are too much for a key, the limit is 1048576"
    );
}
