//! Damaged and strange input is refused, and says why.

use ocm_openpgp::detached::Error as SignatureError;
use ocm_openpgp::ring::Error as RingError;
use ocm_openpgp::{ArmorError, Detached, KeyRing, OpenPgpVerifier};

use crate::data::{digest, read, ring, text, today};

#[track_caller]
fn signature_fails(text: &str) -> SignatureError {
    Detached::parse(text).unwrap_err()
}

#[test]
fn a_value_holds_one_signature_and_nothing_else() {
    let one = text("ed25519-SHA256");
    let several = SignatureError::Several;
    assert_eq!(signature_fails(&text("two")), several);
    assert_eq!(signature_fails(&one.repeat(2)), several);
    assert_eq!(
        signature_fails(&format!("{one}x")),
        SignatureError::Armor(ArmorError::Around)
    );
    assert_eq!(signature_fails(""), SignatureError::Empty);
    assert_eq!(signature_fails("\n \n"), SignatureError::Empty);
    assert_eq!(
        signature_fails(&"\n".repeat(64 * 1024 + 1)).to_string(),
        "65537 bytes are too much for an OpenPGP signature, the limit is 65536"
    );
    Detached::parse(&format!("\n{}\n\n", one.replace('\n', "\r\n"))).unwrap();
}

#[test]
fn what_is_no_signature_of_bytes_is_told() {
    assert_eq!(
        signature_fails(&text("text-mode")).to_string(),
        "the OpenPGP signature is of type 0x01, not one of bytes (0x00)"
    );
    let key = String::from_utf8(read("keys/ed25519.pub.asc")).unwrap();
    assert_eq!(
        signature_fails(&key).to_string(),
        "expected an OpenPGP signature, found a block `PGP PUBLIC KEY BLOCK`"
    );
    assert_eq!(
        signature_fails(&key.replace("PUBLIC KEY BLOCK", "SIGNATURE")).to_string(),
        "expected an OpenPGP signature, found a packet of type 6"
    );
    assert_eq!(
        signature_fails(&text("message")).to_string(),
        "expected an OpenPGP signature, found a block `PGP MESSAGE`"
    );
}

#[test]
fn every_cut_of_a_signature_is_refused() {
    let whole = text("ed25519-SHA256");
    for end in 0..whole.trim_end().len() {
        assert!(Detached::parse(&whole[..end]).is_err(), "{end}");
    }
}

#[test]
fn every_changed_byte_of_a_signature_is_noticed() {
    let binary = read("signatures/binary.sig");
    let verifier = OpenPgpVerifier::new(ring("ed25519.pub.asc"), None);
    let verifies = |bytes: &[u8]| {
        let text = armored(bytes);
        Detached::parse(&text).is_ok_and(|it| verifier.check(&digest(), &it, today()).is_ok())
    };
    assert!(verifies(&binary));
    // Not covered by the signature, and a hint only, since the fingerprint is there, too: the key
    // id, and that it is one.
    let key_id = ring("ed25519.pub.asc").certificates()[0].fingerprint()[24..].to_owned();
    let key_id: Vec<u8> = (0..8)
        .map(|it| u8::from_str_radix(&key_id[it * 2..it * 2 + 2], 16).unwrap())
        .collect();
    let hint = binary.windows(8).rposition(|it| it == key_id).unwrap();
    let key_id = hint - 1..hint + 8;
    // How many bits of the last byte of a number count; all are there anyhow.
    let bit_counts = [hint + 11, hint + 45];
    for place in 0..binary.len() {
        if key_id.contains(&place) || bit_counts.contains(&place) {
            continue;
        }
        for bit in [0, 7] {
            let mut changed = binary.clone();
            changed[place] ^= 1 << bit;
            assert!(!verifies(&changed), "byte {place}, bit {bit}");
        }
    }
}

/// Armours bytes without checksum.
fn armored(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("-----BEGIN PGP SIGNATURE-----\n\n{encoded}\n-----END PGP SIGNATURE-----\n")
}

#[test]
fn what_are_no_keys_is_told() {
    let fails = |bytes: &[u8]| KeyRing::parse(bytes).unwrap_err();
    assert_eq!(fails(b""), RingError::NoKeys);
    assert_eq!(fails(b"-----BEGIN PUBLIC KEY-----"), RingError::NoKeys);
    assert_eq!(
        fails(text("ed25519-SHA256").as_bytes()).to_string(),
        "expected OpenPGP keys, found a block `PGP SIGNATURE`"
    );
    let signature = text("ed25519-SHA256").replace("SIGNATURE", "PUBLIC KEY BLOCK");
    assert_eq!(
        fails(signature.as_bytes()).to_string(),
        "expected OpenPGP keys, found a packet of type 2"
    );
    assert_eq!(
        fails(&vec![0x99; 4 * 1024 * 1024 + 1]).to_string(),
        "4194305 bytes are too much for a key ring, the limit is 4194304"
    );
    let many = [0xca, 3, b'P', b'G', b'P'].repeat(16 * 1024);
    let many = [read("keys/ring.pub.gpg"), many].concat();
    assert_eq!(fails(&many), RingError::TooMany);
}

#[test]
fn files_are_told_apart_by_their_content() {
    for name in [
        "ring.pub.asc",
        "ring.pub.gpg",
        "ed25519.test-key.gpg",
        "rsa3072.test-key.asc",
    ] {
        assert!(KeyRing::is_one(&read(&format!("keys/{name}"))), "{name}");
    }
    for other in [
        &b"-----BEGIN PRIVATE KEY-----"[..],
        b"-----BEGIN CERTIFICATE-----",
        &[0x30, 0x82],
        b"",
        b"key",
    ] {
        assert!(!KeyRing::is_one(other));
    }
}

/// A packet that is cut is never left out in silence: it could be a revocation.
#[test]
fn a_cut_key_ring_is_refused_unless_whole_packets_are_missing() {
    let whole = read("keys/ring.pub.gpg");
    let mut accepted = 0;
    for end in 0..whole.len() {
        if let Ok(ring) = KeyRing::parse(&whole[..end]) {
            accepted += 1;
            assert!(ring.certificates().len() <= 3);
        }
    }
    // Three primary keys, three user ids, their certifications, two subkeys, two bindings; and a
    // byte or two of the next header, of which nothing is read.
    assert!(accepted <= 13 * 4, "{accepted}");
}
