//! Signatures of Sigstore.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_sigstore::{
    IdentityToken, SignatureValue, SigstoreVerifier, TrustedRoot, VerificationConfiguration,
};
use serde_json::json;

/// Trusts whoever has identified themselves anywhere.
static VERIFIER: LazyLock<SigstoreVerifier> = LazyLock::new(|| {
    let anybody = json!({
        "certificateIdentityRegexp": ".",
        "certificateOIDCIssuerRegexp": ".",
    });
    let anybody = VerificationConfiguration::from_value(&anybody).expect("rules for both");
    let root = TrustedRoot::public().expect("the root that is part of the program");
    SigstoreVerifier::new(anybody, Arc::new(root)).expect("rules for the public root")
});

/// A bundle.
pub fn sigstore_bundle(bytes: &[u8]) {
    if SignatureValue::from_bundle(bytes).is_ok() {
        assert!(
            VERIFIER
                .verify_bundle(b"what nobody has signed", bytes)
                .is_err()
        );
    }
}

/// A log entry of the first Go tool.
pub fn sigstore_entry(bytes: &[u8]) {
    if let Ok(value) = SignatureValue::from_entry(bytes) {
        let other = Digest::sha256("what nobody has signed");
        assert!(VERIFIER.verify_value(&other, &value).is_err());
    }
}

/// An identity token.
pub fn identity_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(token) = IdentityToken::parse(text, Timestamp::UNIX_EPOCH) {
        assert!(!token.subject().is_empty());
    }
}
