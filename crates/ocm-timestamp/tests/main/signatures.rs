//! Signatures are judged as of the time that a timestamp proves.

use jiff::Timestamp;
use ocm_model::{Descriptor, Provider, TimestampSpec};
use ocm_signing::issue::{Authority as Issuer, Content};
use ocm_signing::key::{Curve, PrivateKey};
use ocm_signing::keyed::{KeySigner, KeyVerifier};
use ocm_signing::trust::Trust;
use ocm_signing::verify::{Error, check};
use ocm_signing::x509::Roots;
use ocm_signing::{Checked, Clock, SignOptions, sign};
use ocm_timestamp::TimestampAuthorities;
use serde_json::Map;

use crate::authority::Authority;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A descriptor signed with a certificate that is valid in the first half of 2026.
async fn signed() -> (Descriptor, KeyVerifier) {
    let content = |name: &str, from: &str, to: &str, authority| Content {
        subject: format!("CN={name}").parse().unwrap(),
        validity: (time(from), time(to)),
        authority,
    };
    let key = PrivateKey::generate_ecdsa(Curve::P256).unwrap();
    let root = content("root", "2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z", true)
        .self_signed(&key)
        .unwrap();
    let issuer = Issuer::new(vec![root.clone()], key).unwrap();
    let key = PrivateKey::generate_ed25519().unwrap();
    let content = content(
        "leaf",
        "2026-01-01T00:00:00Z",
        "2026-07-01T00:00:00Z",
        false,
    );
    let chain = issuer.issue(&content, &key.public_key()).unwrap();
    let signer = KeySigner::new(key, ocm_signing::algorithm::SignatureAlgorithm::Ed25519)
        .with_chain(chain)
        .unwrap();
    let mut descriptor = Descriptor::new(
        "acme.org/notes".parse().unwrap(),
        "1.0.0".parse().unwrap(),
        &Provider::new("acme.org"),
    );
    let signature = sign(&descriptor, &SignOptions::default(), &signer, None)
        .await
        .unwrap();
    descriptor.add_signature(&signature).unwrap();
    let trust = Trust::default().with_roots(Roots::new(vec![root]));
    (descriptor, KeyVerifier::new(trust))
}

/// Puts a timestamp beside the signature.
fn stamped(descriptor: &Descriptor, authority: &Authority, at: &str) -> Descriptor {
    let mut signature = descriptor.signature("default").unwrap();
    let digest = signature.digest.digest().unwrap();
    signature.timestamp = Some(TimestampSpec {
        value: authority.stamp(&digest, at).to_pem(),
        time: None,
        extra: Map::new(),
    });
    let mut descriptor = descriptor.clone();
    descriptor.replace_signature(&signature);
    descriptor
}

fn check_now(
    descriptor: &Descriptor,
    verifier: &KeyVerifier,
    authorities: Option<&TimestampAuthorities>,
) -> Result<Checked, Error> {
    let clock = Clock {
        now: time("2026-12-01T00:00:00Z"),
        timestamps: authorities.map(|it| it as _),
    };
    check(descriptor, "default", verifier, clock)
}

#[tokio::test]
async fn an_expired_certificate_holds_by_a_timestamp_from_before() {
    let (descriptor, verifier) = signed().await;
    let authority = Authority::new();
    let believers = authority.believers();
    let without = check_now(&descriptor, &verifier, Some(&believers));
    assert!(
        matches!(without, Err(Error::Untrusted { .. })),
        "{without:?}"
    );

    let stamped_in_time = stamped(&descriptor, &authority, "20260601120000Z");
    let checked = check_now(&stamped_in_time, &verifier, Some(&believers)).unwrap();
    assert_eq!(checked.signed_at(), Some(time("2026-06-01T12:00:00Z")));

    for at in ["20251231120000Z", "20260702120000Z"] {
        let outcome = check_now(
            &stamped(&descriptor, &authority, at),
            &verifier,
            Some(&believers),
        );
        assert!(matches!(outcome, Err(Error::Untrusted { .. })), "{at}");
    }
}

#[tokio::test]
async fn a_timestamp_of_nobody_who_is_trusted_is_as_good_as_none() {
    let (descriptor, verifier) = signed().await;
    let authority = Authority::new();
    let descriptor = stamped(&descriptor, &authority, "20260601120000Z");
    let others = Authority::new().believers();
    for authorities in [None, Some(&others)] {
        let outcome = check_now(&descriptor, &verifier, authorities);
        assert!(matches!(outcome, Err(Error::Untrusted { .. })));
        let clock = Clock {
            now: time("2026-03-01T00:00:00Z"),
            timestamps: authorities.map(|it| it as _),
        };
        check(&descriptor, "default", &verifier, clock).unwrap();
    }
}

#[tokio::test]
async fn a_timestamp_of_other_content_makes_a_signature_invalid() {
    let (descriptor, verifier) = signed().await;
    let authority = Authority::new();
    let mut signature = descriptor.signature("default").unwrap();
    let other = ocm_digest::Digest::sha256("other");
    signature.timestamp = Some(TimestampSpec {
        value: authority.stamp(&other, "20260601120000Z").to_pem(),
        time: None,
        extra: Map::new(),
    });
    let mut descriptor = descriptor.clone();
    descriptor.replace_signature(&signature);
    let outcome = check_now(&descriptor, &verifier, Some(&authority.believers()));
    assert!(
        matches!(outcome, Err(Error::Timestamp { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_timestamp_is_part_of_what_is_stored() {
    let (descriptor, verifier) = signed().await;
    let authority = Authority::new();
    let descriptor = stamped(&descriptor, &authority, "20260601120000Z");
    let again = Descriptor::read_json(&descriptor.write_json()).unwrap();
    assert_eq!(
        again.signature("default").unwrap().timestamp,
        descriptor.signature("default").unwrap().timestamp
    );
    check_now(&again, &verifier, Some(&authority.believers())).unwrap();
}
