//! The two formats of the first Go tool, in a descriptor that it has signed with the public instance.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::{Descriptor, Signature};
use ocm_signing::role::VerifyError;
use ocm_signing::{Signatory, Verifier};
use ocm_sigstore::{Log, PublicKey, SigstoreVerifier};
use serde_json::{Value, json};

use crate::data::{chain, public_root, read, rules};

const WITH_CERTIFICATE: &str = "sigstore-recommended";
const WITH_KEY: &str = "sigstore-legacy";

fn signature(name: &str) -> Signature {
    let text = String::from_utf8(read("go-v1/component-descriptor.yaml")).unwrap();
    let descriptor = Descriptor::read_yaml(&text).unwrap();
    descriptor.signature(name).unwrap()
}

/// The signer has logged in at GitHub.
fn verifier() -> SigstoreVerifier {
    let config = json!({
        "certificateOIDCIssuer": "https://github.com/login/oauth",
        "certificateIdentityRegexp": "^[a-z.]+@gmail\\.com$",
    });
    SigstoreVerifier::new(rules(&config), public_root()).unwrap()
}

fn verify(verifier: &SigstoreVerifier, signature: &Signature) -> Result<Signatory, VerifyError> {
    let digest = signature.digest.digest().unwrap();
    verifier.verify(&digest, &signature.signature, Timestamp::UNIX_EPOCH)
}

/// Returns a signature whose log entry was changed.
fn changed(name: &str, change: impl Fn(&mut Value)) -> Signature {
    let mut signature = signature(name);
    let json = STANDARD.decode(&signature.signature.value).unwrap();
    let mut entries: Value = serde_json::from_slice(&json).unwrap();
    change(&mut entries);
    signature.signature.value = STANDARD.encode(entries.to_string());
    signature
}

/// Changes the one entry.
fn changed_entry(change: impl Fn(&mut Value)) -> Signature {
    changed(WITH_CERTIFICATE, |entries| {
        change(
            entries
                .as_object_mut()
                .unwrap()
                .values_mut()
                .next()
                .unwrap(),
        );
    })
}

/// Changes what is logged.
fn changed_body(change: impl Fn(&mut Value)) -> Signature {
    changed_entry(|entry| {
        let body = STANDARD.decode(entry["body"].as_str().unwrap()).unwrap();
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        change(&mut body);
        entry["body"] = STANDARD.encode(body.to_string()).into();
    })
}

#[test]
fn an_entry_with_certificate_says_who_has_signed_and_when() {
    let signatory = verify(&verifier(), &signature(WITH_CERTIFICATE)).unwrap();
    let Signatory::Identity { issuer, time, .. } = &signatory else {
        panic!("{signatory:?}");
    };
    assert_eq!(issuer, "https://github.com/login/oauth");
    assert_eq!(time.unwrap().to_string(), "2026-01-19T11:45:45Z");
}

#[test]
fn an_entry_with_key_could_be_by_anybody() {
    let error = verify(&verifier(), &signature(WITH_KEY)).unwrap_err();
    assert!(matches!(error, VerifyError::Untrusted(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("the signature has a key and no certificate")
    );
}

#[test]
fn an_entry_with_key_holds_for_who_has_the_key() {
    const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE78TlLDDs94tXQsMC7tkGnz0wApCr
JBgVBeLBUKXGoE59Yc/6bC9PuF5Eaby/sw5ExhmnLGStsc8tCEW+lb3K5Q==
-----END PUBLIC KEY-----
";
    let key = PublicKey::parse(KEY.as_bytes()).unwrap();
    let fingerprint = key.fingerprint();
    let verifier = SigstoreVerifier::with_key(key, public_root(), Log::Required);
    let signatory = verify(&verifier, &signature(WITH_KEY)).unwrap();
    assert_eq!(signatory, Signatory::Key { fingerprint });

    let other = ocm_sigstore::PrivateKey::generate().unwrap();
    let key = other.public_key().clone();
    let verifier = SigstoreVerifier::with_key(key, public_root(), Log::Required);
    let error = verify(&verifier, &signature(WITH_KEY)).unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch(_)), "{error:?}");
}

#[test]
fn a_signature_of_another_digest_does_not_hold() {
    let signature = signature(WITH_CERTIFICATE);
    for digest in [
        Digest::sha256("other"),
        ocm_digest::HashAlgorithm::Sha512.digest("other"),
    ] {
        let verified = verifier().verify(&digest, &signature.signature, Timestamp::UNIX_EPOCH);
        let error = verified.unwrap_err();
        assert!(matches!(error, VerifyError::Mismatch(_)), "{error:?}");
    }
}

#[test]
fn no_entry_is_no_signature() {
    let none = changed(WITH_CERTIFICATE, |entries| *entries = json!({}));
    let two = changed(WITH_CERTIFICATE, |entries| {
        let entry = entries
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        entries["second"] = entry;
    });
    for signature in [none, two] {
        let error = verify(&verifier(), &signature).unwrap_err();
        assert!(matches!(error, VerifyError::Malformed(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            "the value must have exactly one log entry"
        );
    }
}

#[test]
fn every_part_of_an_entry_counts() {
    let other = STANDARD.encode([7; 71]);
    let other = other.as_str();
    let faults: [(&str, Signature); 8] = [
        (
            "signature",
            changed_body(|body| body["spec"]["signature"]["content"] = other.into()),
        ),
        ("kind", changed_body(|body| body["kind"] = "rekord".into())),
        (
            "hash",
            changed_body(|body| body["spec"]["data"]["hash"]["algorithm"] = "sha1".into()),
        ),
        (
            "key",
            changed_body(|body| body["spec"]["signature"]["publicKey"]["content"] = other.into()),
        ),
        (
            "time",
            changed_entry(|entry| entry["integratedTime"] = 1_768_823_146.into()),
        ),
        (
            "promise",
            changed_entry(|entry| {
                entry["verification"]["signedEntryTimestamp"] = other.into();
            }),
        ),
        (
            "proof",
            changed_entry(|entry| {
                entry["verification"]["inclusionProof"]["logIndex"] = 1.into();
            }),
        ),
        (
            "no proof",
            changed_entry(|entry| {
                entry["verification"]
                    .as_object_mut()
                    .unwrap()
                    .remove("inclusionProof");
            }),
        ),
    ];
    let reasons: Vec<String> = faults
        .iter()
        .map(|(part, signature)| {
            let error = verify(&verifier(), signature).unwrap_err();
            format!("{part}: {}", chain(&error))
        })
        .collect();
    insta::assert_snapshot!("entry_faults", reasons.join("\n"));
}

#[test]
fn the_algorithm_and_the_media_type_belong_together() {
    let mut signature = signature(WITH_CERTIFICATE);
    for (algorithm, media_type) in [
        ("Sigstore/v1alpha1", ocm_sigstore::ENTRY_MEDIA_TYPE),
        ("sigstore-v2", ocm_sigstore::BUNDLE_MEDIA_TYPE),
        ("RSASSA-PSS", ocm_sigstore::ENTRY_MEDIA_TYPE),
        ("sigstore", "application/json"),
        ("", ""),
    ] {
        algorithm.clone_into(&mut signature.signature.algorithm);
        media_type.clone_into(&mut signature.signature.media_type);
        let error = verify(&verifier(), &signature).unwrap_err();
        assert!(matches!(error, VerifyError::Unknown(_)), "{error:?}");
    }
}
