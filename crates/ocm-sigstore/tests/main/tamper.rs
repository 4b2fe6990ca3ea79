//! Every part of a bundle counts.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use ocm_signing::Verifier as _;
use ocm_signing::role::VerifyError;
use ocm_sigstore::{IdentityToken, SignatureValue, SigstoreSigner};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::data::{read, trusting};
use crate::stand_in::{Loopback, StandIn};

const BYTES: &[u8] = b"a digest, as it were";

async fn bundle(stand_in: &StandIn, version: u32) -> Value {
    let token = stand_in.issuer().token("ann@acme.org", 300);
    let token = IdentityToken::parse(&token, Timestamp::UNIX_EPOCH).unwrap();
    let services = stand_in.services(version, true);
    let signer = SigstoreSigner::new(token, services, Arc::new(Loopback)).unwrap();
    serde_json::from_str(&signer.bundle(BYTES).await.unwrap()).unwrap()
}

/// Verifies a bundle, and says who is to blame.
fn blame(stand_in: &StandIn, bundle: &Value) -> &'static str {
    let verifier = trusting(
        "ann@acme.org",
        stand_in.issuer().url.as_str(),
        stand_in.root(),
    );
    match verifier.verify_bundle(BYTES, bundle.to_string().as_bytes()) {
        Ok(_) => "nobody",
        Err(error) => match VerifyError::from(error) {
            VerifyError::Malformed(_) => "malformed",
            VerifyError::Mismatch(_) => "mismatch",
            VerifyError::Untrusted(_) => "untrusted",
            _ => "unknown",
        },
    }
}

#[tokio::test]
async fn a_part_of_another_bundle_does_not_fit() {
    let stand_in = StandIn::start().await;
    let entry = "/verificationMaterial/tlogEntries/0";
    let at = |below: &str| format!("{entry}/{below}");
    let parts = [
        ("/messageSignature/signature".to_owned(), "untrusted"),
        (
            "/verificationMaterial/certificate/rawBytes".to_owned(),
            "mismatch",
        ),
        (
            "/verificationMaterial/timestampVerificationData".to_owned(),
            "untrusted",
        ),
        (entry.to_owned(), "mismatch"),
        (at("canonicalizedBody"), "untrusted"),
        (at("inclusionProof"), "untrusted"),
    ];
    for version in [1, 2] {
        let good = bundle(&stand_in, version).await;
        let other = bundle(&stand_in, version).await;
        assert_eq!(blame(&stand_in, &good), "nobody");
        // In version 1 the index stands in what the log has signed, in version 2 beside it.
        let index = if version == 1 {
            "untrusted"
        } else {
            "malformed"
        };
        for (part, expected) in parts.iter().chain([&(at("logIndex"), index)]) {
            let mut mixed = good.clone();
            *mixed.pointer_mut(part).unwrap() = other.pointer(part).unwrap().clone();
            let found = blame(&stand_in, &mixed);
            assert_eq!(found, *expected, "{part} of version {version}");
        }
    }
}

#[tokio::test]
async fn a_part_that_is_missing_is_missed() {
    let stand_in = StandIn::start().await;
    for version in [1, 2] {
        let good = bundle(&stand_in, version).await;
        let without = |parent: &str, name: &str| {
            let mut bundle = good.clone();
            let parent = bundle.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            parent.remove(name).unwrap();
            blame(&stand_in, &bundle)
        };
        let material = "/verificationMaterial";
        let entry = "/verificationMaterial/tlogEntries/0";
        assert_eq!(without("", "messageSignature"), "malformed");
        assert_eq!(without("", "mediaType"), "malformed");
        assert_eq!(without(material, "certificate"), "malformed");
        assert_eq!(without(material, "tlogEntries"), "malformed");
        assert_eq!(without(entry, "inclusionProof"), "malformed");
        assert_eq!(without(entry, "canonicalizedBody"), "malformed");
        let timeless = without(material, "timestampVerificationData");
        assert_eq!(timeless, if version == 1 { "nobody" } else { "untrusted" });
    }
}

#[tokio::test]
async fn each_authority_of_the_root_counts() {
    let stand_in = StandIn::start().await;
    let other = StandIn::start().await;
    for version in [1, 2] {
        let bundle = bundle(&stand_in, version).await.to_string();
        for (part, counts) in [
            ("tlogs", true),
            ("certificateAuthorities", true),
            ("ctlogs", true),
            ("timestampAuthorities", true),
        ] {
            for replacement in [json!([]), other.root_json()[part].clone()] {
                let mut root = stand_in.root_json();
                root[part] = replacement;
                let root = ocm_sigstore::TrustedRoot::read(root.to_string().as_bytes()).unwrap();
                let issuer = stand_in.issuer().url.as_str();
                let verifier = trusting("ann@acme.org", issuer, Arc::new(root));
                let verified = verifier.verify_bundle(BYTES, bundle.as_bytes());
                assert_eq!(verified.is_err(), counts, "{part}, version {version}");
            }
        }
    }
}

fn signature(json: &[u8]) -> SignatureInfo {
    SignatureInfo {
        algorithm: ocm_sigstore::ALGORITHM.to_owned(),
        value: STANDARD.encode(json),
        media_type: ocm_sigstore::BUNDLE_MEDIA_TYPE.to_owned(),
        issuer: None,
        extra: serde_json::Map::new(),
    }
}

#[test]
fn what_is_no_bundle_is_malformed() {
    let attestation = read("attestation.bundle.json");
    let large = vec![b' '; ocm_sigstore::MAX_VALUE_SIZE + 1];
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    for json in [
        &b""[..],
        b"{}",
        b"null",
        b"\xff",
        &attestation,
        &large,
        &deep,
    ] {
        assert!(SignatureValue::from_bundle(json).is_err());
        assert!(SignatureValue::from_entry(json).is_err());
        assert!(SignatureValue::read(&signature(json)).is_err());
    }
    let mut not_base64 = signature(b"");
    not_base64.value = "!".to_owned();
    assert!(SignatureValue::read(&not_base64).is_err());
}

proptest! {
    #[test]
    fn a_damaged_bundle_never_holds_for_something_else(position: usize, byte: u8) {
        const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
        let mut bundle = read("published/happy-path-v0.3.bundle.json");
        let position = position % bundle.len();
        bundle[position] = byte;
        let issuer = "https://token.actions.githubusercontent.com";
        let verifier = trusting(IDENTITY, issuer, crate::data::public_root());
        let other = Digest::sha256("other");
        let verified = verifier.verify(&other, &signature(&bundle), Timestamp::UNIX_EPOCH);
        prop_assert!(verified.is_err());
    }
}
