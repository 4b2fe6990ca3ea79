//! Certificates that are made here are of use here.

use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_signing::algorithm::SignatureAlgorithm;
use ocm_signing::issue::{Authority, Content};
use ocm_signing::key::{Certificate, Curve, PrivateKey};
use ocm_signing::keyed::{KeySigner, KeyVerifier};
use ocm_signing::role::{Signer, Verifier};
use ocm_signing::trust::Trust;
use ocm_signing::x509::Roots;

use crate::data::private_key;

fn content(subject: &str, authority: bool) -> Content {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    Content {
        subject: subject.parse().unwrap(),
        validity: (time("2026-01-01T00:00:00Z"), time("2036-01-01T00:00:00Z")),
        authority,
    }
}

fn keys() -> [PrivateKey; 5] {
    [
        private_key(),
        PrivateKey::generate_ecdsa(Curve::P256).unwrap(),
        PrivateKey::generate_ecdsa(Curve::P384).unwrap(),
        PrivateKey::generate_ecdsa(Curve::P521).unwrap(),
        PrivateKey::generate_ed25519().unwrap(),
    ]
}

#[tokio::test]
async fn a_chain_of_ones_own_verifies() {
    for key in keys() {
        let root = content("CN=root,O=acme.org", true)
            .self_signed(&key)
            .unwrap();
        let authority = Authority::new(vec![root.clone()], key.clone()).unwrap();
        for holder in keys() {
            let subject = "CN=release,OU=build,O=acme.org,ST=BW,C=DE";
            let chain = authority
                .issue(&content(subject, false), &holder.public_key())
                .unwrap();
            assert_eq!(chain[0].subject().to_string(), subject);
            assert_eq!(chain[0].issuer().to_string(), "CN=root,O=acme.org");
            assert_eq!(chain[1], root);
            let algorithm = SignatureAlgorithm::of_key(&holder);
            let signer = KeySigner::new(holder, algorithm).with_chain(chain).unwrap();
            let digest = Digest::sha256("content");
            let signature = signer.sign(&digest).await.unwrap();
            let trust = Trust::default().with_roots(Roots::new(vec![root.clone()]));
            let at = "2026-06-01T00:00:00Z".parse().unwrap();
            KeyVerifier::new(trust)
                .verify(&digest, &signature, at)
                .unwrap();
        }
    }
}

#[test]
fn authorities_may_be_several_deep() {
    let [key, below, holder, ..] = keys();
    let root = content("CN=root", true).self_signed(&key).unwrap();
    let upper = Authority::new(vec![root], key).unwrap();
    let chain = upper
        .issue(&content("CN=lower", true), &below.public_key())
        .unwrap();
    let lower = Authority::new(chain, below).unwrap();
    let chain = lower
        .issue(&content("CN=leaf", false), &holder.public_key())
        .unwrap();
    let names: Vec<String> = chain.iter().map(|it| it.subject().to_string()).collect();
    assert_eq!(names, ["CN=leaf", "CN=lower", "CN=root"]);
}

#[test]
fn serial_numbers_differ() {
    let key = private_key();
    let make = || content("CN=root", true).self_signed(&key).unwrap();
    assert_ne!(make(), make());
}

#[test]
fn what_cannot_be_made_says_why() {
    let key = private_key();
    let other = PrivateKey::generate_ed25519().unwrap();
    let reason = |content: Content| content.self_signed(&key).unwrap_err().to_string();
    assert_eq!(
        reason(content("CN=a,C=DE+C=US", false)),
        "the attribute 2.5.4.6 is in the subject more than once, which is not supported"
    );
    let mut never = content("CN=a", false);
    (never.validity.0, never.validity.1) = (never.validity.1, never.validity.0);
    assert_eq!(
        reason(never),
        "the certificate would be valid at no time that can be written"
    );
    let leaf: Certificate = content("CN=leaf", false).self_signed(&key).unwrap();
    assert_eq!(
        Authority::new(vec![leaf.clone()], other.clone())
            .unwrap_err()
            .to_string(),
        "the certificate for `CN=leaf` does not belong to the private key of the authority"
    );
    assert_eq!(
        Authority::new(Vec::new(), other.clone())
            .unwrap_err()
            .to_string(),
        "the authority has no certificate"
    );
    let signer = Authority::new(vec![leaf], key.clone()).unwrap();
    let outcome = signer.issue(&content("CN=below", false), &other.public_key());
    assert_eq!(
        outcome.unwrap_err().to_string(),
        "the certificate for `CN=leaf` cannot issue others"
    );
}
