//! OpenPGP keys and signatures.

use std::sync::LazyLock;

use jiff::Timestamp;
use ocm_openpgp::{Detached, KeyRing, OpenPgpSigner, OpenPgpVerifier};

/// Keys that have signed other bytes.
static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../conformance/openpgp/keys/ring.pub.gpg");
    KeyRing::parse(bytes).expect("keys of gpg can be read")
});

static SIGNATURE: LazyLock<Detached> = LazyLock::new(|| {
    let text = include_str!("../../../conformance/openpgp/signatures/ed25519-SHA256.asc");
    Detached::parse(text).expect("a signature of gpg can be read")
});

const OTHER: &[u8] = b"bytes that nobody has signed";

/// A key ring, public or private.
pub fn openpgp_keys(bytes: &[u8]) {
    let Ok(ring) = KeyRing::parse(bytes) else {
        return;
    };
    assert!(!ring.certificates().is_empty());
    assert!(KeyRing::is_one(bytes));
    let at = SIGNATURE.made();
    // Without a passphrase, nothing is unlocked, which could be made to take long.
    if let Ok(signer) = OpenPgpSigner::new(&ring, None, None, None, at) {
        assert!(!signer.fingerprint().is_empty());
    }
    let verifier = OpenPgpVerifier::new(ring, None);
    assert!(verifier.check(OTHER, &SIGNATURE, at).is_err());
}

/// A signature in ASCII armour.
pub fn openpgp_signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(signature) = Detached::parse(text) else {
        return;
    };
    assert!(signature.made() >= Timestamp::UNIX_EPOCH);
    let verifier = OpenPgpVerifier::new(KEYS.clone(), None);
    let outcome = verifier.check(OTHER, &signature, signature.made());
    assert!(outcome.is_err());
}
