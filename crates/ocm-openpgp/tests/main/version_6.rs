//! Keys of version 6: the sample of RFC 9580.

use ocm_openpgp::{Detached, KeyRing, OpenPgpSigner, OpenPgpVerifier};
use ocm_signing::Signatory;

use crate::data::{ring, today};

const FINGERPRINT: &str = "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9";

fn sample() -> KeyRing {
    ring("rfc9580-version-6.test-key.asc")
}

#[test]
fn the_sample_key_signs_and_verifies() {
    assert_eq!(sample().certificates()[0].fingerprint(), FINGERPRINT);
    let selector = FINGERPRINT.parse().unwrap();
    let signer = OpenPgpSigner::new(&sample(), Some(&selector), None, None, today()).unwrap();
    let signature = Detached::parse(&signer.sign_bytes(b"bytes").unwrap()).unwrap();
    let verifier = OpenPgpVerifier::new(sample(), Some(selector));
    let expected = Signatory::OpenPgp {
        fingerprint: FINGERPRINT.to_owned(),
        user_ids: Vec::new(),
    };
    assert_eq!(verifier.check(b"bytes", &signature, today()), Ok(expected));
    verifier.check(b"others", &signature, today()).unwrap_err();
}
