//! Bundles that the Sigstore project publishes for its clients, most made by the public instance.

use std::sync::Arc;

use ocm_sigstore::{Log, PublicKey, SigstoreVerifier, TrustedRoot};

use crate::data::{chain, path, public_root, read, trusting};

const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// Verifies one case as its files say.
fn verify(case: &str) -> Result<(), String> {
    let file = |end: &str| format!("published/{case}.{end}");
    let optional = |end: &str| path(&file(end)).exists().then(|| read(&file(end)));
    let shared = || {
        case.starts_with("rekor2-")
            .then(|| read("published/rekor2.root.json"))
    };
    let root = match optional("root.json").or_else(shared) {
        Some(json) => Arc::new(TrustedRoot::read(&json).map_err(|error| chain(&error))?),
        None => public_root(),
    };
    let verifier = match optional("pub") {
        Some(pem) => {
            let key = PublicKey::parse(&pem).map_err(|error| chain(&error))?;
            SigstoreVerifier::with_key(key, root, Log::Required)
        }
        None => trusting(BEACON, GITHUB, root),
    };
    let artifact = optional("artifact").unwrap_or_else(|| read("published/a.txt"));
    let verified = verifier.verify_bundle(&artifact, &read(&file("bundle.json")));
    verified.map(drop).map_err(|error| chain(&error))
}

#[test]
fn each_bundle_holds_or_fails_as_it_should() {
    let mut cases: Vec<String> = std::fs::read_dir(path("published"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".bundle.json").map(str::to_owned))
        .collect();
    cases.sort();
    let mut reasons = Vec::new();
    for case in &cases {
        match verify(case) {
            Ok(()) => assert!(!case.ends_with("_fail"), "{case} must not hold"),
            Err(reason) => {
                assert!(case.ends_with("_fail"), "{case} must hold: {reason}");
                reasons.push(format!("{case}: {reason}"));
            }
        }
    }
    assert!(cases.len() > 50, "{} cases", cases.len());
    insta::assert_snapshot!("reasons", reasons.join("\n"));
}

#[test]
fn what_a_bundle_proves_is_said() {
    let verifier = trusting(BEACON, GITHUB, public_root());
    let bundle = read("published/happy-path-v0.3.bundle.json");
    let signatory = verifier
        .verify_bundle(&read("published/a.txt"), &bundle)
        .unwrap();
    insta::assert_json_snapshot!(signatory, @r#"
    {
      "kind": "identity",
      "identity": "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main",
      "issuer": "https://token.actions.githubusercontent.com",
      "time": "2024-03-19T17:26:26Z"
    }
    "#);
}

#[test]
fn identity_and_issuer_must_be_right() {
    let bundle = read("published/happy-path-v0.3.bundle.json");
    let verify = |identity, issuer| {
        let verifier = trusting(identity, issuer, public_root());
        let verified = verifier.verify_bundle(&read("published/a.txt"), &bundle);
        verified.map(drop).map_err(|error| chain(&error))
    };
    assert_eq!(verify(BEACON, GITHUB), Ok(()));
    let other = verify(BEACON, "https://accounts.google.com").unwrap_err();
    assert!(
        other.starts_with("the signer was identified by `https://token.actions"),
        "{other}"
    );
    let other = verify("ann@acme.org", GITHUB).unwrap_err();
    assert!(
        other.starts_with("the signature is by `https://github.com/"),
        "{other}"
    );
}

#[test]
fn a_bundle_of_another_instance_does_not_hold() {
    let bundle = read("published/rekor2-happy-path.bundle.json");
    let verifier = trusting(BEACON, GITHUB, public_root());
    assert!(
        verifier
            .verify_bundle(&read("published/a.txt"), &bundle)
            .is_err()
    );
}
