//! Signing with all services, and verifying what comes of it.

use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::SignatureInfo;
use ocm_signing::role::VerifyError;
use ocm_signing::{Signatory, Signer as _, Verifier as _};
use ocm_sigstore::{
    AmbientToken, ConfigError, IdentityToken, Log, PrivateKey, Services, SignError, SigstoreSigner,
    SigstoreVerifier,
};
use serde_json::{Value, json};

use crate::data::{chain, public_root, rules, trusting};
use crate::stand_in::{Failure, Loopback, StandIn};

const ANN: &str = "ann@acme.org";

fn token(stand_in: &StandIn, seconds: i64) -> IdentityToken {
    let token = stand_in.issuer().token(ANN, seconds);
    IdentityToken::parse(&token, Timestamp::UNIX_EPOCH).unwrap()
}

fn signer(stand_in: &StandIn, services: Services) -> SigstoreSigner {
    SigstoreSigner::new(token(stand_in, 300), services, Arc::new(Loopback)).unwrap()
}

fn verifier(stand_in: &StandIn) -> SigstoreVerifier {
    trusting(ANN, stand_in.issuer().url.as_str(), stand_in.root())
}

fn digest() -> Digest {
    Digest::sha256("a normalised descriptor")
}

fn verify(verifier: &SigstoreVerifier, signed: &SignatureInfo) -> Result<Signatory, VerifyError> {
    verifier.verify(&digest(), signed, Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn who_signs_with_an_identity_is_known_by_it() {
    let stand_in = StandIn::start().await;
    for (version, clock) in [(1, true), (1, false), (2, true)] {
        let signer = signer(&stand_in, stand_in.services(version, clock));
        let signed = signer.sign(&digest()).await.unwrap();
        assert_eq!(signed.algorithm, "Sigstore/v1alpha1");
        assert_eq!(
            signed.media_type,
            "application/vnd.dev.sigstore.bundle.v0.3+json"
        );
        assert_eq!(signed.issuer, None);
        let signatory = verify(&verifier(&stand_in), &signed).unwrap();
        let Signatory::Identity {
            identity,
            issuer,
            time,
        } = signatory
        else {
            panic!("{signatory:?}");
        };
        assert_eq!(
            (identity.as_str(), issuer.as_str()),
            (ANN, stand_in.issuer().url.as_str())
        );
        assert!(Timestamp::now().as_second() - time.unwrap().as_second() < 60);

        let mut legacy = signed.clone();
        "sigstore".clone_into(&mut legacy.algorithm);
        assert!(verify(&verifier(&stand_in), &legacy).is_ok());
    }
}

#[tokio::test]
async fn digests_of_any_length_are_signed() {
    let stand_in = StandIn::start().await;
    let digest = HashAlgorithm::Sha512.digest("a normalised descriptor");
    let signed = signer(&stand_in, stand_in.services(1, true))
        .sign(&digest)
        .await
        .unwrap();
    let verified = verifier(&stand_in).verify(&digest, &signed, Timestamp::UNIX_EPOCH);
    assert!(verified.is_ok());
    let error = verify(&verifier(&stand_in), &signed).unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch(_)), "{error:?}");
}

#[tokio::test]
async fn a_job_signs_with_the_token_of_its_surroundings() {
    let stand_in = StandIn::start().await;
    let url = stand_in.at("/github?api-version=2").to_string();
    let variable = |permit: &'static str| {
        let url = url.as_str();
        move |name: &str| match name {
            "ACTIONS_ID_TOKEN_REQUEST_URL" => Some(url),
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN" => Some(permit),
            _ => None,
        }
    };
    let ambient = AmbientToken::find(variable("permit")).unwrap();
    let token = ambient
        .obtain("sigstore", &Loopback, Timestamp::now())
        .await
        .unwrap();
    assert_eq!(token.subject(), "https://ci.test/acme/shop");
    let services = stand_in.services(2, true);
    let signer = SigstoreSigner::new(token, services, Arc::new(Loopback)).unwrap();
    let signed = signer.sign(&digest()).await.unwrap();
    let config = json!({
        "certificateIdentityRegexp": "^https://ci\\.test/acme/",
        "certificateOIDCIssuer": stand_in.issuer().url,
    });
    let verifier = SigstoreVerifier::new(rules(&config), stand_in.root()).unwrap();
    assert!(verify(&verifier, &signed).is_ok());

    let wrong = AmbientToken::find(variable("other")).unwrap();
    let error = wrong
        .obtain("sigstore", &Loopback, Timestamp::now())
        .await
        .unwrap_err();
    assert!(error.is_not_allowed(), "{error}");
}

#[tokio::test]
async fn a_key_signs_with_and_without_services() {
    let stand_in = StandIn::start().await;
    let none = Services::default();
    for services in [
        stand_in.services(1, false),
        stand_in.services(2, true),
        none.clone(),
    ] {
        let key = PrivateKey::generate().unwrap();
        let public = key.public_key().clone();
        let log = if services == none {
            Log::Ignored
        } else {
            Log::Required
        };
        let signer = SigstoreSigner::with_key(key, services, Arc::new(Loopback));
        let signed = signer.sign(&digest()).await.unwrap();

        let trusting = |key, log| SigstoreVerifier::with_key(key, stand_in.root(), log);
        let signatory = verify(&trusting(public.clone(), log), &signed).unwrap();
        let fingerprint = public.fingerprint();
        assert_eq!(signatory, Signatory::Key { fingerprint });
        assert!(verify(&trusting(public.clone(), Log::Ignored), &signed).is_ok());
        assert_eq!(
            verify(&trusting(public, Log::Required), &signed).is_ok(),
            log == Log::Required
        );

        let other = PrivateKey::generate().unwrap().public_key().clone();
        let error = verify(&trusting(other, log), &signed).unwrap_err();
        assert!(matches!(error, VerifyError::Mismatch(_)), "{error:?}");
        let error = verify(&verifier(&stand_in), &signed).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the bundle was made with a key, and no key is trusted"
        );
    }
}

#[tokio::test]
async fn a_key_does_not_trust_identities() {
    let stand_in = StandIn::start().await;
    let signed = signer(&stand_in, stand_in.services(1, true))
        .sign(&digest())
        .await
        .unwrap();
    let key = PrivateKey::generate().unwrap().public_key().clone();
    let verifier = SigstoreVerifier::with_key(key, stand_in.root(), Log::Ignored);
    let error = verify(&verifier, &signed).unwrap_err();
    assert!(matches!(error, VerifyError::Untrusted(_)), "{error:?}");
}

#[tokio::test]
async fn a_private_infrastructure_needs_no_log_but_its_own_root() {
    let stand_in = StandIn::start().await;
    let mut services = stand_in.services(1, true);
    services.logs.clear();
    let signed = signer(&stand_in, services).sign(&digest()).await.unwrap();
    let config = |private: bool| {
        rules(&json!({
            "certificateIdentity": ANN,
            "certificateOIDCIssuer": stand_in.issuer().url,
            "privateInfrastructure": private,
        }))
    };
    let own = SigstoreVerifier::new(config(true), stand_in.root()).unwrap();
    assert!(verify(&own, &signed).is_ok());
    let strict = SigstoreVerifier::new(config(false), stand_in.root()).unwrap();
    assert!(matches!(
        verify(&strict, &signed),
        Err(VerifyError::Malformed(_))
    ));
    let public = SigstoreVerifier::new(config(true), public_root());
    assert!(matches!(public, Err(ConfigError::NoOwnRoot)));

    // The log of certificates is asked for as long as the root has one.
    let mut root = stand_in.root_json();
    root["ctlogs"] = json!([]);
    let root = ocm_sigstore::TrustedRoot::read(root.to_string().as_bytes()).unwrap();
    let root = Arc::new(root);
    assert!(
        verify(
            &SigstoreVerifier::new(config(true), root.clone()).unwrap(),
            &signed
        )
        .is_ok()
    );
    assert!(
        verify(
            &SigstoreVerifier::new(config(false), root).unwrap(),
            &signed
        )
        .is_err()
    );
}

#[tokio::test]
async fn the_public_root_does_not_know_other_services() {
    let stand_in = StandIn::start().await;
    let signed = signer(&stand_in, stand_in.services(1, true))
        .sign(&digest())
        .await
        .unwrap();
    let verifier = trusting(ANN, stand_in.issuer().url.as_str(), public_root());
    let error = verify(&verifier, &signed).unwrap_err();
    assert!(matches!(error, VerifyError::Untrusted(_)), "{error:?}");
}

#[tokio::test]
async fn a_certificate_must_live_when_the_log_says_it_signed() {
    let stand_in = StandIn::start().await;
    for hours in [-1, 1] {
        let time = Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        stand_in.set_log_time(time);
        let services = stand_in.services(1, false);
        let signed = signer(&stand_in, services).sign(&digest()).await.unwrap();
        let error = verify(&verifier(&stand_in), &signed).unwrap_err();
        assert!(matches!(error, VerifyError::Untrusted(_)), "{error:?}");
    }
}

#[tokio::test]
async fn the_same_signature_is_found_in_the_log_again() {
    // The log knows a signature that was lost on the way: only the log can give it twice.
    let stand_in = StandIn::start().await;
    let services = stand_in.services(1, true);
    let key = PrivateKey::generate().unwrap();
    let public = key.public_key().clone();
    let signer = SigstoreSigner::with_key(key, services, Arc::new(Loopback));
    let first = signer.sign(&digest()).await.unwrap();
    let json: Value = serde_json::from_slice(&STANDARD.decode(&first.value).unwrap()).unwrap();
    let entry = &json["verificationMaterial"]["tlogEntries"][0];
    let body = STANDARD
        .decode(entry["canonicalizedBody"].as_str().unwrap())
        .unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    let url = stand_in.at("/rekor/api/v1/log/entries");
    let again = client.post(url).body(body).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let there = again.headers()["location"].to_str().unwrap().to_owned();
    assert!(
        client
            .get(there)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    let verifier = SigstoreVerifier::with_key(public, stand_in.root(), Log::Required);
    assert!(verify(&verifier, &first).is_ok());
}

/// Signs while a service fails.
async fn refused(service: &'static str, status: u16, body: &'static str) -> SignError {
    let stand_in = StandIn::start().await;
    stand_in.fail(
        service,
        Failure(StatusCode::from_u16(status).unwrap(), body),
    );
    let version = if service == "rekor2" { 2 } else { 1 };
    let signer = signer(&stand_in, stand_in.services(version, true));
    signer.bundle(b"x").await.unwrap_err()
}

/// Returns whether other credentials, or another time, would help.
fn remedy(error: &SignError) -> (bool, bool) {
    let SignError::Service(error) = error else {
        panic!("{error:?}");
    };
    (error.is_not_allowed(), error.is_transient())
}

#[tokio::test]
async fn who_refuses_is_told_apart() {
    let denied = refused("fulcio", 403, r#"{"message":"not for you"}"#).await;
    assert_eq!(remedy(&denied), (true, false));
    assert!(
        denied
            .to_string()
            .ends_with("refuses with 403 Forbidden: not for you")
    );
    assert_eq!(remedy(&refused("fulcio", 400, "").await), (true, false));
    assert_eq!(remedy(&refused("fulcio", 503, "").await), (false, true));
    assert_eq!(remedy(&refused("fulcio", 404, "").await), (false, false));
    assert_eq!(remedy(&refused("rekor", 500, "").await), (false, true));
    assert_eq!(remedy(&refused("rekor", 400, "").await), (false, false));
    assert_eq!(remedy(&refused("rekor2", 429, "").await), (false, true));
    assert_eq!(remedy(&refused("tsa", 401, "").await), (true, false));
}

#[tokio::test]
async fn answers_that_make_no_sense_are_errors() {
    let odd = |error: SignError| {
        let text = chain(&error);
        assert_eq!(remedy(&error), (false, false), "{text}");
        text
    };
    let none = r#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":[]}}}"#;
    assert!(odd(refused("fulcio", 200, none).await).ends_with("there is no certificate"));
    odd(refused("fulcio", 200, "[]").await);
    let other = r#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]}}}"#;
    odd(refused("fulcio", 200, other).await);
    assert!(odd(refused("rekor", 201, "{}").await).ends_with("there is no entry"));
    odd(refused("rekor2", 201, "{}").await);
    assert!(odd(refused("tsa", 200, "").await).ends_with("the timestamp is of something else"));
    let endless = refused("tsa", 200, Box::leak("x".repeat(2 << 20).into_boxed_str())).await;
    assert!(odd(endless).ends_with("more than 1048576 bytes"));
}

#[tokio::test]
async fn a_service_that_is_not_there_may_come_back() {
    let stand_in = StandIn::start().await;
    let mut services = stand_in.services(1, true);
    // Nothing listens on this port of the loopback interface.
    services.logs[0].url = "http://127.0.0.1:9/".parse().unwrap();
    let error = signer(&stand_in, services).bundle(b"x").await.unwrap_err();
    assert_eq!(remedy(&error), (false, true));
    assert_eq!(
        error.to_string(),
        "cannot reach Rekor at http://127.0.0.1:9/"
    );
}

#[tokio::test]
async fn a_token_that_has_expired_is_refused() {
    let stand_in = StandIn::start().await;
    let expired = stand_in.issuer().token(ANN, -1);
    let error = IdentityToken::parse(&expired, Timestamp::now()).unwrap_err();
    assert!(error.is_not_allowed(), "{error}");
    // A clock that is slow here does not help.
    let token = IdentityToken::parse(&expired, Timestamp::UNIX_EPOCH).unwrap();
    let services = stand_in.services(1, true);
    let signer = SigstoreSigner::new(token, services, Arc::new(Loopback)).unwrap();
    let error = signer.bundle(b"x").await.unwrap_err();
    assert_eq!(remedy(&error), (true, false));
    assert!(
        error
            .to_string()
            .ends_with("error processing the identity token"),
        "{error}"
    );
}

#[tokio::test]
async fn services_that_could_not_be_verified_are_not_used() {
    let stand_in = StandIn::start().await;
    let mut timeless = stand_in.services(2, true);
    timeless.clocks.clear();
    let mut nobody = stand_in.services(1, true);
    nobody.authority = None;
    for services in [timeless, nobody] {
        let token = token(&stand_in, 300);
        assert!(SigstoreSigner::new(token, services, Arc::new(Loopback)).is_err());
    }
}
