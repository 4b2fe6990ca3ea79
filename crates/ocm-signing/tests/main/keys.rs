//! Every form of a key is read, and what is not an RSA key is named.

use ocm_signing::key::{Certificate, Curve, Error, KeyFormat, PrivateKey, PublicKey};

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
            assert_eq!(private.public_key(), public, "{name}");
            assert_eq!(private.public_key().to_string(), "RSA key of 2048 bits");
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
        PublicKey::parse(&chain).unwrap(),
        private_key().public_key()
    );
    let certificates = Certificate::parse_chain(&chain).unwrap();
    assert_eq!(certificates.len(), 2);
    assert_eq!(
        certificates[0].subject().to_string(),
        "CN=test signer,O=acme.org"
    );
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
        assert_eq!(again, private.public_key());
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
    let public = |key: PrivateKey| key.public_key().to_string();
    let key = PrivateKey::generate_rsa(2048).unwrap();
    assert_eq!(public(key), "RSA key of 2048 bits");
    for curve in Curve::ALL {
        let key = PrivateKey::generate_ecdsa(curve).unwrap();
        assert_eq!(public(key), format!("ECDSA key on {curve}"));
    }
    let key = PrivateKey::generate_ed25519().unwrap();
    assert_eq!(public(key), "Ed25519 key");
    for bits in [0, 1024, 2047, 5000] {
        assert_eq!(
            PrivateKey::generate_rsa(bits).err(),
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
            "Rsa(RsaPrivateKey {{ public: RsaPublicKey {{ bits: 2048, \
             fingerprint: {fingerprint}, .. }}, .. }})"
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
fn a_passphrase_unlocks_a_key() {
    let pem = key("test-rsa-2048.encrypted.pkcs8.pem");
    for bytes in [pem.clone(), der(&pem)] {
        let unlocked = PrivateKey::parse_protected(&bytes, b"x").unwrap();
        assert_eq!(
            unlocked.public_key().fingerprint(),
            private_key().public_key().fingerprint()
        );
        let wrong = PrivateKey::parse_protected(&bytes, b"y").err();
        assert_eq!(wrong, Some(Error::Passphrase));
    }
    let plain = key("test-rsa-2048.pkcs8.pem");
    assert!(PrivateKey::parse_protected(&plain, b"x").is_ok());
    let old = PrivateKey::parse_protected(&key("test-rsa-2048.encrypted.pkcs1.pem"), b"x");
    assert!(matches!(old, Err(Error::Protection { .. })), "{old:?}");
}

#[test]
fn a_damaged_protected_key_is_an_error() {
    let whole = der(&key("test-rsa-2048.encrypted.pkcs8.pem"));
    for at in 0..120 {
        let mut broken = whole.clone();
        broken[at] ^= 1;
        assert!(PrivateKey::parse_protected(&whole[..at], b"x").is_err());
        // Some bytes say nothing, such as the tag of a NULL; none changes the key.
        if let Ok(read) = PrivateKey::parse_protected(&broken, b"x") {
            assert_eq!(
                read.public_key().fingerprint(),
                private_key().public_key().fingerprint(),
                "{at}"
            );
        }
    }
}

#[test]
fn every_form_of_a_key_of_another_kind_is_the_same_key() {
    for (stem, forms, public, shown) in [
        (
            "test-ec",
            &["sec1", "pkcs8"][..],
            "pub.pem",
            "ECDSA key on P-256",
        ),
        (
            "test-p384",
            &["sec1", "pkcs8"],
            "pub.pem",
            "ECDSA key on P-384",
        ),
        (
            "test-p521",
            &["sec1", "pkcs8"],
            "pub.pem",
            "ECDSA key on P-521",
        ),
        ("test-ed25519", &[""], "pub.pem", "Ed25519 key"),
    ] {
        let public = PublicKey::parse(&key(&format!("{stem}.{public}"))).unwrap();
        assert_eq!(public.to_string(), shown);
        for form in forms {
            let name = format!("{stem}.{form}.pem").replace("..", ".");
            let private = key(&name);
            // OpenSSL may put the parameters of the curve before the key.
            for bytes in [private.clone(), last_der(&private)] {
                let private = PrivateKey::parse(&bytes).unwrap();
                assert_eq!(private.public_key(), public, "{name}");
                assert_eq!(PublicKey::parse(&bytes).as_ref(), Ok(&public), "{name}");
                let text = private.to_pem(KeyFormat::Pkcs8).unwrap();
                let again = PrivateKey::parse(text.expose().as_bytes()).unwrap();
                assert_eq!(again.public_key(), public, "{name}");
            }
        }
        let der = der(public.to_pem(KeyFormat::Pkcs1).as_bytes());
        assert_eq!(PublicKey::parse(&der).as_ref(), Ok(&public));
    }
}

/// Returns the content of the last PEM block.
fn last_der(pem: &[u8]) -> Vec<u8> {
    use x509_parser::pem::Pem;
    Pem::iter_from_buffer(pem).last().unwrap().unwrap().contents
}

#[test]
fn what_is_no_private_key_is_named() {
    for (name, found) in [
        ("test-rsa-2048.pub.pkix.pem", "an RSA public key"),
        ("test-rsa-2048.pub.pkcs1.pem", "an RSA public key"),
        ("test-rsa-2048.cert.pem", "a certificate"),
        ("test-ec.pub.pem", "an ECDSA public key"),
        ("test-rsa-pss.pem", "an RSASSA-PSS-only private key"),
        ("test-openssh.pem", "a PEM block `OPENSSH PRIVATE KEY`"),
    ] {
        let expected = format!("expected a private key, found {found}");
        assert_eq!(private_reason(&key(name)), expected, "{name}");
    }
    assert_eq!(
        private_reason(&key("test-secp256k1.pem")),
        "only keys on the curves P-256, P-384 and P-521 are supported, by their names"
    );
}

#[test]
fn what_is_no_public_key_is_named() {
    assert_eq!(
        public_reason(&key("test-openssh.pem")),
        "expected a public key or a certificate with one, found a PEM block `OPENSSH PRIVATE KEY`"
    );
    let reason = Certificate::parse_chain(&key("test-ec.pub.pem")).unwrap_err();
    assert_eq!(
        reason.to_string(),
        "expected a certificate, found an ECDSA public key"
    );
}

#[test]
fn a_certificate_may_be_for_any_kind_of_key() {
    let chain = [key("test-ec.cert.pem"), key("test-root.cert.pem")].concat();
    let public = PublicKey::parse(&chain).unwrap();
    assert_eq!(public.to_string(), "ECDSA key on P-256");
}

#[test]
fn short_keys_may_verify_but_not_sign() {
    let short = PublicKey::parse(&key("test-rsa-1024.pub.pem")).unwrap();
    assert_eq!(short.to_string(), "RSA key of 1024 bits");
    assert_eq!(
        private_reason(&key("test-rsa-1024.pem")),
        "an RSA key of 1024 bits is not supported, 2048 to 8192 are"
    );
}

#[test]
fn odd_sizes_are_counted_right() {
    let private = PrivateKey::parse(&key("test-rsa-2049.pem")).unwrap();
    let public = PublicKey::parse(&key("test-rsa-2049.pub.pem")).unwrap();
    assert_eq!(private.public_key(), public);
    assert_eq!(public.to_string(), "RSA key of 2049 bits");
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
