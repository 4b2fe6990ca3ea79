//! Keys and signatures of `gpg` are judged as OpenPGP demands.

use ocm_openpgp::{Detached, KeyRing, OpenPgpVerifier};
use ocm_signing::Signatory;

use crate::data::{check, digest, on, read, refusal, ring, text, today};

/// Replaces fingerprints, which differ whenever the data is made anew.
fn without_fingerprints(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_one = word.len() >= 40 && word.bytes().take(40).all(|it| it.is_ascii_hexdigit());
        if is_one {
            format!("KEY{}", &word[40..])
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn refused(key: &str, signature: &str, reason: &str) {
    let refusal = refusal(key, signature, today());
    assert_eq!(without_fingerprints(&refusal), reason);
}

#[test]
fn keys_of_every_kind_verify() {
    for kind in ["rsa3072", "nistp256", "nistp384", "nistp521", "subkeys"] {
        let signatory = check(kind, kind, today()).unwrap_or_else(|it| panic!("{kind}: {it}"));
        let Signatory::OpenPgp {
            fingerprint,
            user_ids,
        } = signatory
        else {
            panic!("{kind}");
        };
        assert_eq!(
            fingerprint,
            ring(&format!("{kind}.pub.asc")).certificates()[0].fingerprint()
        );
        assert_eq!(user_ids, [format!("{kind} <{kind}@example.org>")]);
    }
}

#[test]
fn strong_hashes_verify_and_weak_ones_do_not() {
    for hash in ["SHA256", "SHA384", "SHA512"] {
        check("ed25519", &format!("ed25519-{hash}"), today()).unwrap();
    }
    for hash in ["SHA224", "SHA1", "RIPEMD160"] {
        let error = Detached::parse(&text(&format!("ed25519-{hash}"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the OpenPGP signature uses {hash}, which is too weak")
        );
    }
}

#[test]
fn other_bytes_and_other_keys_do_not_verify() {
    let signature = Detached::parse(&text("ed25519-SHA256")).unwrap();
    let verifier = OpenPgpVerifier::new(ring("ed25519.pub.asc"), None);
    let error = verifier.check(b"other", &signature, today()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the OpenPGP signature does not belong to this digest and key"
    );
    refused(
        "rsa3072",
        "ed25519-SHA256",
        "the signature is by OpenPGP key KEY, which is not among the public keys",
    );
}

#[test]
fn a_key_signs_validly_until_it_expires() {
    check("expired", "key-expired-later", today()).unwrap();
    refused(
        "expired",
        "key-expired-before",
        "OpenPGP key KEY had expired on 2025-01-01T00:00:00Z",
    );
    check("expired-extended", "key-expired-before", today()).unwrap();
    check("subkey-expired", "subkey-expired-later", today()).unwrap();
    refused(
        "subkey-expired",
        "subkey-expired-before",
        "OpenPGP key KEY had expired on 2025-01-01T00:00:00Z",
    );
}

#[test]
fn a_key_that_may_be_stolen_never_signed_validly() {
    let revoked = "OpenPGP key KEY has been revoked";
    check(
        "revoked-compromised.before",
        "key-revoked-compromised-later",
        today(),
    )
    .unwrap();
    refused(
        "revoked-compromised",
        "key-revoked-compromised-later",
        revoked,
    );
    refused(
        "revoked-compromised",
        "key-revoked-compromised-before",
        revoked,
    );
    refused("revoked-by-other", "revoked-by-other", revoked);
}

#[test]
fn a_key_that_was_superseded_signed_validly_until_then() {
    check(
        "revoked-superseded",
        "key-revoked-superseded-later",
        today(),
    )
    .unwrap();
    let since = "OpenPGP key KEY had been revoked on 2025-01-01T00:00:00Z";
    refused("revoked-superseded", "key-revoked-superseded-before", since);
}

#[test]
fn a_subkey_can_be_revoked_alone() {
    refused(
        "subkey-revoked",
        "subkey-revoked",
        "OpenPGP key KEY has been revoked",
    );
}

#[test]
fn a_revocation_beside_another_copy_of_the_key_counts() {
    let signature = Detached::parse(&text("key-revoked-compromised-later")).unwrap();
    for order in [[".before", ""], ["", ".before"]] {
        let [first, second] =
            order.map(|it| read(&format!("keys/revoked-compromised{it}.pub.asc")));
        let both = KeyRing::parse(&[first, second].concat()).unwrap();
        assert_eq!(both.certificates().len(), 1);
        let verifier = OpenPgpVerifier::new(both, None);
        assert!(verifier.check(&digest(), &signature, today()).is_err());
    }
}

#[test]
fn a_revocation_certificate_beside_its_key_counts() {
    let revocation = read("keys/revoked-compromised.revocation.asc");
    let key = read("keys/revoked-compromised.before.pub.asc");
    let signature = Detached::parse(&text("key-revoked-compromised-later")).unwrap();
    for parts in [[&key, &revocation], [&revocation, &key]] {
        let ring = KeyRing::parse(&parts.map(Clone::clone).concat()).unwrap();
        let verifier = OpenPgpVerifier::new(ring, None);
        let error = verifier.check(&digest(), &signature, today()).unwrap_err();
        assert!(error.to_string().ends_with("has been revoked"), "{error}");
    }
    let other = [read("keys/ed25519.pub.asc"), revocation].concat();
    assert_eq!(
        KeyRing::parse(&other).unwrap_err().to_string(),
        "there is a revocation certificate of a key that is not there"
    );
}

#[test]
fn a_key_for_certifying_does_not_sign() {
    refused(
        "certify-only",
        "certify-only",
        "OpenPGP key KEY is not for signing",
    );
}

#[test]
fn weak_and_unknown_kinds_of_keys_are_not_accepted() {
    let of =
        |algorithm| format!("OpenPGP key KEY is of an algorithm that is not accepted, {algorithm}");
    refused("dsa", "dsa", &of("DSA"));
    refused("rsa1024", "rsa1024", &of("RSA of 1024 bits"));
    refused(
        "self-signature-sha1",
        "self-signature-sha1",
        "the self-signatures of OpenPGP key KEY use SHA1, which is too weak",
    );
    refused("secp256k1", "secp256k1", &of("ECDSA over secp256k1"));
    refused("brainpool", "brainpool", &of("ECDSA over brainpoolP256r1"));
}

#[test]
fn only_user_ids_that_hold_are_told() {
    let Signatory::OpenPgp { user_ids, .. } = check("users", "users", today()).unwrap() else {
        panic!();
    };
    assert_eq!(user_ids, ["second <second@example.org>"]);
}

#[test]
fn a_signature_ends_when_its_maker_wanted() {
    check("ed25519", "expires-in-30-days", on("2024-06-30")).unwrap();
    assert_eq!(
        refusal("ed25519", "expires-in-30-days", on("2024-07-01")),
        "the OpenPGP signature expired on 2024-07-01T00:00:00Z"
    );
}

#[test]
fn a_signature_from_the_future_is_refused_but_for_clocks_that_differ() {
    let made = on("2024-06-01");
    let before = |minutes| made - jiff::SignedDuration::from_mins(minutes);
    check("ed25519", "ed25519-SHA256", before(5)).unwrap();
    assert_eq!(
        refusal("ed25519", "ed25519-SHA256", before(6)),
        "the OpenPGP signature claims to be made on 2024-06-01T00:00:00Z, which is in the future"
    );
}

#[test]
fn a_notation_is_read_over_unless_it_is_critical() {
    check("ed25519", "notation", today()).unwrap();
    let error = Detached::parse(&text("critical-notation")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the OpenPGP signature has a critical part that is not known here"
    );
}

#[test]
fn a_ring_has_several_keys_and_one_can_be_named() {
    let armored = ring("ring.pub.asc");
    let binary = ring("ring.pub.gpg");
    assert_eq!(armored, binary);
    assert_eq!(armored.certificates().len(), 3);
    let concatenated = ["rsa3072", "ed25519", "subkeys"]
        .map(|it| read(&format!("keys/{it}.pub.asc")))
        .concat();
    assert_eq!(KeyRing::parse(&concatenated).unwrap(), armored);

    let signature = Detached::parse(&text("subkeys")).unwrap();
    let check = |selector: Option<&str>| {
        let selector = selector.map(|it| it.parse().unwrap());
        OpenPgpVerifier::new(armored.clone(), selector).check(&digest(), &signature, today())
    };
    let fingerprint = armored.certificates()[2].fingerprint();
    check(None).unwrap();
    check(Some(&fingerprint)).unwrap();
    check(Some(&fingerprint.to_lowercase()[24..])).unwrap();
    // The subkey is named by the signature itself.
    check(Some(&signature.claimed_issuer().unwrap())).unwrap();
    let other = armored.certificates()[0].fingerprint();
    let error = check(Some(&other)).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "the signature is by OpenPGP key {}, not by {other}",
            signature.claimed_issuer().unwrap()
        )
    );
}
