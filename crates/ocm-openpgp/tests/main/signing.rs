//! Private keys of `gpg` sign here, and their public halves verify.

use jiff::Timestamp;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::SignatureInfo;
use ocm_openpgp::sign::Error;
use ocm_openpgp::{Detached, KeyRing, OpenPgpSigner, OpenPgpVerifier};
use ocm_signing::role::VerifyError;
use ocm_signing::{Signer as _, Verifier as _};

use crate::data::{on, read, ring, today};

const PASSPHRASE: &[u8] = b"correct horse";

fn signer(key: &str, passphrase: Option<&[u8]>) -> Result<OpenPgpSigner, Error> {
    OpenPgpSigner::new(&ring(key), None, passphrase, None, today())
}

#[track_caller]
fn refused(key: &str, at: Timestamp, ending: &str) {
    let error = OpenPgpSigner::new(&ring(key), None, None, None, at).unwrap_err();
    assert!(error.to_string().ends_with(ending), "{error}");
}

/// Signs and verifies.
#[track_caller]
fn round_trip(signer: &OpenPgpSigner, public: KeyRing) -> Detached {
    let text = signer.sign_bytes(b"bytes").unwrap();
    let signature = Detached::parse(&text).unwrap();
    assert_eq!(signature.claimed_issuer(), Some(signer.fingerprint()));
    let verifier = OpenPgpVerifier::new(public, None);
    verifier.check(b"bytes", &signature, today()).unwrap();
    verifier.check(b"others", &signature, today()).unwrap_err();
    signature
}

#[test]
fn keys_of_every_kind_sign() {
    for kind in [
        "rsa3072", "ed25519", "nistp256", "nistp384", "nistp521", "subkeys",
    ] {
        let signer = signer(&format!("{kind}.test-key.asc"), None)
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        round_trip(&signer, ring(&format!("{kind}.pub.asc")));
        // The public key falls back to that of the private key.
        let signature = round_trip(&signer, ring(&format!("{kind}.test-key.asc")));
        assert_eq!(signature.made(), today());
    }
    assert_eq!(ring("ed25519.test-key.asc"), ring("ed25519.test-key.gpg"));
}

#[test]
fn the_subkey_signs_where_there_is_one_and_the_primary_key_may_be_elsewhere() {
    let primary = ring("subkeys.pub.asc").certificates()[0].fingerprint();
    for file in ["subkeys", "subkeys-offline-primary"] {
        let signer = signer(&format!("{file}.test-key.asc"), None).unwrap();
        assert_ne!(signer.fingerprint(), primary);
        round_trip(&signer, ring("subkeys.pub.asc"));
    }
}

#[test]
fn a_passphrase_unlocks() {
    for kind in ["locked", "locked-rsa"] {
        let file = format!("{kind}.test-key.asc");
        assert!(matches!(signer(&file, None), Err(Error::Locked { .. })));
        assert!(matches!(
            signer(&file, Some(b"wrong horse")),
            Err(Error::Passphrase { .. })
        ));
        let signer = signer(&file, Some(PASSPHRASE)).unwrap();
        round_trip(&signer, ring(&format!("{kind}.pub.asc")));
    }
    // A key that is not locked does not mind.
    signer("ed25519.test-key.asc", Some(PASSPHRASE)).unwrap();
}

#[test]
fn a_key_that_may_not_sign_does_not() {
    let expired = "had expired on 2025-01-01T00:00:00Z";
    refused("expired.test-key.asc", today(), expired);
    OpenPgpSigner::new(
        &ring("expired.test-key.asc"),
        None,
        None,
        None,
        on("2024-12-31"),
    )
    .unwrap();
    refused("subkey-expired.test-key.asc", today(), expired);
    refused("certify-only.test-key.asc", today(), "is not for signing");
    refused(
        "ed25519.test-key.asc",
        on("2023-12-31"),
        "was made later, on 2024-01-01T00:00:00Z",
    );
    refused(
        "ed25519.pub.asc",
        today(),
        "there is no private OpenPGP key",
    );

    let revoked = ["test-key", "pub"].map(|it| read(&format!("keys/revoked-superseded.{it}.asc")));
    let revoked = KeyRing::parse(&revoked.concat()).unwrap();
    let error = OpenPgpSigner::new(&revoked, None, None, None, today()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("had been revoked on 2025-01-01T00:00:00Z"),
        "{error}"
    );
}

#[test]
fn a_key_can_be_named() {
    let both = ["rsa3072", "subkeys"].map(|it| read(&format!("keys/{it}.test-key.asc")));
    let both = KeyRing::parse(&both.concat()).unwrap();
    let named = |name: &str| {
        let selector = name.parse().unwrap();
        OpenPgpSigner::new(&both, Some(&selector), None, None, today())
    };
    let [first, second] = [0, 1].map(|it| both.certificates()[it].fingerprint());
    assert_eq!(named(&first).unwrap().fingerprint(), first);
    let subkey = named(&second).unwrap().fingerprint();
    assert_ne!(subkey, second);
    assert_eq!(named(&subkey).unwrap().fingerprint(), subkey);
    assert_eq!(named(&subkey[24..]).unwrap().fingerprint(), subkey);
    assert_eq!(
        named("0123456789ABCDEF").unwrap_err().to_string(),
        "there is no OpenPGP key 0123456789ABCDEF"
    );
}

#[test]
fn the_hash_is_as_long_as_the_key_needs() {
    let with = |kind: &str, hash| {
        let ring = ring(&format!("{kind}.test-key.asc"));
        OpenPgpSigner::new(&ring, None, None, hash, today())
    };
    with("ed25519", Some(HashAlgorithm::Sha384)).unwrap();
    let error = with("nistp384", Some(HashAlgorithm::Sha256))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot sign a hash of sha256, it needs sha384"),
        "{error}"
    );
    let signer = with("nistp384", Some(HashAlgorithm::Sha512)).unwrap();
    round_trip(&signer, ring("nistp384.pub.asc"));
}

#[test]
fn times_that_openpgp_does_not_have_are_refused() {
    let key = ring("ed25519.test-key.asc");
    let signer = OpenPgpSigner::new(&key, None, None, None, on("2107-01-01")).unwrap();
    assert_eq!(
        signer.sign_bytes(b"bytes").unwrap_err().to_string(),
        "an OpenPGP signature cannot be made on 2107-01-01T00:00:00Z"
    );
}

#[tokio::test]
async fn the_roles_of_signatures_are_filled() {
    let digest = Digest::sha256("content");
    let signer = signer("subkeys.test-key.asc", None).unwrap();
    let signature = signer.sign(&digest).await.unwrap();
    assert_eq!(signature.algorithm, "GPG");
    assert_eq!(signature.media_type, "application/vnd.ocm.signature.gpg");

    let verifier = OpenPgpVerifier::new(ring("subkeys.pub.asc"), None);
    let signatory = verifier.verify(&digest, &signature, today()).unwrap();
    let fingerprint = ring("subkeys.pub.asc").certificates()[0].fingerprint();
    assert_eq!(
        signatory.to_string(),
        format!("subkeys <subkeys@example.org>, OpenPGP key {fingerprint}")
    );

    let verify = |verifier: &OpenPgpVerifier, digest: &Digest, signature: &SignatureInfo| {
        verifier.verify(digest, signature, today()).unwrap_err()
    };
    let other = Digest::sha256("other");
    assert!(matches!(
        verify(&verifier, &other, &signature),
        VerifyError::Mismatch(_)
    ));
    let cut = SignatureInfo {
        value: signature.value[..100].to_owned(),
        ..signature.clone()
    };
    assert!(matches!(
        verify(&verifier, &digest, &cut),
        VerifyError::Malformed(_)
    ));
    let rsa = SignatureInfo {
        media_type: "application/vnd.ocm.signature.rsa".to_owned(),
        ..signature.clone()
    };
    assert!(matches!(
        verify(&verifier, &digest, &rsa),
        VerifyError::Unknown(_)
    ));
    let stranger = OpenPgpVerifier::new(ring("rsa3072.pub.asc"), None);
    assert!(matches!(
        verify(&stranger, &digest, &signature),
        VerifyError::Untrusted(_)
    ));
}
