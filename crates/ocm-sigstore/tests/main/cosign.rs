//! What `cosign` and the Go tool have signed with the stand-in, as `conformance/sigstore/cosign`
//! says.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::Descriptor;
use ocm_signing::{Signatory, Signer as _, Verifier as _};
use ocm_sigstore::{
    IdentityToken, Log, PrivateKey, PublicKey, Services, SigstoreSigner, SigstoreVerifier,
    TrustedRoot,
};
use serde_json::json;

use crate::data::{read, rules};
use crate::stand_in::{Loopback, StandIn};

fn root() -> Arc<TrustedRoot> {
    Arc::new(TrustedRoot::read(&read("cosign/trusted_root.json")).unwrap())
}

/// The issuer had another port on that day.
fn verifier() -> SigstoreVerifier {
    let config = json!({
        "certificateIdentity": "ann@acme.org",
        "certificateOIDCIssuerRegexp": "^http://127\\.0\\.0\\.1:[0-9]+/oidc$",
    });
    SigstoreVerifier::new(rules(&config), root()).unwrap()
}

#[test]
fn bundles_of_cosign_hold_here() {
    let digest = read("cosign/digest");
    for bundle in ["v1.json", "v2.json"] {
        let bundle = read(&format!("cosign/{bundle}"));
        let signatory = verifier().verify_bundle(&digest, &bundle).unwrap();
        assert!(signatory.time().is_some(), "{signatory:?}");
        assert!(verifier().verify_bundle(b"other", &bundle).is_err());
    }
}

#[test]
fn a_bundle_of_cosign_with_a_key_holds_here() {
    let key = PublicKey::parse(&read("cosign/key.pub")).unwrap();
    let fingerprint = key.fingerprint();
    let verifier = SigstoreVerifier::with_key(key, root(), Log::Required);
    let signatory = verifier.verify_bundle(&read("cosign/digest"), &read("cosign/key.json"));
    assert_eq!(signatory.unwrap(), Signatory::Key { fingerprint });
}

#[test]
fn a_signature_of_the_second_go_tool_holds_here() {
    let descriptor = Descriptor::read_json(&read("cosign/descriptor.json")).unwrap();
    let signature = descriptor.signature("default").unwrap();
    let digest = signature.digest.digest().unwrap();
    assert_eq!(
        descriptor
            .normalise("jsonNormalisation/v4alpha1".parse().unwrap())
            .digest(digest.algorithm()),
        digest
    );
    let signed = &signature.signature;
    assert!(
        verifier()
            .verify(&digest, signed, Timestamp::UNIX_EPOCH)
            .is_ok()
    );
}

/// Runs the stand-in for other tools, until the file `stop` is in the directory that the variable
/// `STAND_IN` names. What they need is written there, and what they may verify.
#[tokio::test]
#[ignore = "runs until it is told to stop"]
async fn the_stand_in_serves_other_tools() {
    let directory = PathBuf::from(std::env::var("STAND_IN").unwrap());
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
    let stand_in = StandIn::start().await;
    write("trusted_root.json", &stand_in.root_json().to_string());
    let digest = Digest::sha256("a normalised descriptor");
    std::fs::write(directory.join("digest"), digest.as_bytes()).unwrap();
    for version in [1, 2] {
        let config = stand_in.signing_config(version, true);
        write(
            &format!("signing_config.v{version}.json"),
            &config.to_string(),
        );
        let token = stand_in.issuer().token("ann@acme.org", 300);
        let token = IdentityToken::parse(&token, Timestamp::now()).unwrap();
        let services = stand_in.services(version, true);
        let signer = SigstoreSigner::new(token, services, Arc::new(Loopback)).unwrap();
        let signed = signer.sign(&digest).await.unwrap();
        let bundle = STANDARD.decode(signed.value).unwrap();
        write(
            &format!("ours.v{version}.json"),
            std::str::from_utf8(&bundle).unwrap(),
        );
    }
    for (name, services) in [
        ("log", stand_in.services(1, true)),
        ("bare", Services::default()),
    ] {
        let key = PrivateKey::generate().unwrap();
        write(&format!("ours.{name}.pub"), &key.public_key().to_pem());
        let signer = SigstoreSigner::with_key(key, services, Arc::new(Loopback));
        let bundle = signer.bundle(digest.as_bytes()).await.unwrap();
        write(&format!("ours.{name}.json"), &bundle);
    }
    write("token", &stand_in.issuer().token("ann@acme.org", 3600));
    while !directory.join("stop").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
