//! Files of `conformance/openpgp`.

use std::path::Path;

use jiff::Timestamp;
use ocm_openpgp::verify::Error;
use ocm_openpgp::{Detached, KeyRing, OpenPgpVerifier};
use ocm_signing::Signatory;

/// Reads a file.
#[track_caller]
pub(crate) fn read(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance/openpgp")
        .join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads a key ring below `keys`.
#[track_caller]
pub(crate) fn ring(name: &str) -> KeyRing {
    KeyRing::parse(&read(&format!("keys/{name}"))).unwrap()
}

/// Reads the text of a signature below `signatures`.
#[track_caller]
pub(crate) fn text(name: &str) -> String {
    String::from_utf8(read(&format!("signatures/{name}.asc"))).unwrap()
}

/// Returns the bytes that all signatures cover.
pub(crate) fn digest() -> Vec<u8> {
    read("digest.bin")
}

/// Returns a time in the form `2024-06-01`, at midnight.
#[track_caller]
pub(crate) fn on(day: &str) -> Timestamp {
    format!("{day}T00:00:00Z").parse().unwrap()
}

/// Long after everything in the data.
pub(crate) fn today() -> Timestamp {
    on("2026-11-01")
}

/// Checks a signature by a key.
#[track_caller]
pub(crate) fn check(key: &str, signature: &str, at: Timestamp) -> Result<Signatory, Error> {
    let signature = Detached::parse(&text(signature)).unwrap();
    OpenPgpVerifier::new(ring(&format!("{key}.pub.asc")), None).check(&digest(), &signature, at)
}

/// Returns the text of an error.
#[track_caller]
pub(crate) fn refusal(key: &str, signature: &str, at: Timestamp) -> String {
    check(key, signature, at).unwrap_err().to_string()
}
