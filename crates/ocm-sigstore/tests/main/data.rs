//! Data of other tools.

use std::path::PathBuf;
use std::sync::Arc;

use ocm_sigstore::{SigstoreVerifier, TrustedRoot, VerificationConfiguration};
use serde_json::{Value, json};

/// Returns the path of a file in `conformance/sigstore`.
pub(crate) fn path(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../../conformance/sigstore").join(name)
}

pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn public_root() -> Arc<TrustedRoot> {
    Arc::new(TrustedRoot::public().unwrap())
}

pub(crate) fn rules(value: &Value) -> VerificationConfiguration {
    VerificationConfiguration::from_value(value).unwrap()
}

/// A verifier that trusts one identity of one issuer.
pub(crate) fn trusting(identity: &str, issuer: &str, root: Arc<TrustedRoot>) -> SigstoreVerifier {
    let config = json!({"certificateIdentity": identity, "certificateOIDCIssuer": issuer});
    SigstoreVerifier::new(rules(&config), root).unwrap()
}

/// Returns an error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
