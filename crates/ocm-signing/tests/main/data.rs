//! Files of `testdata` and of the shared `conformance` folder.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ocm_model::{Descriptor, Signature};
use ocm_signing::key::{PrivateKey, PublicKey, RsaPrivateKey, RsaPublicKey};
use ocm_signing::{Checked, Clock, SignOptions, Signer, Verifier, sign, verify};

/// Reads a file below `testdata`.
#[track_caller]
pub(crate) fn read(path: &str) -> Vec<u8> {
    read_file(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("testdata")
            .join(path),
    )
}

/// Reads a key file.
#[track_caller]
pub(crate) fn key(name: &str) -> Vec<u8> {
    read(&format!("keys/{name}"))
}

/// The time of verifying where it does not matter.
pub(crate) fn clock() -> Clock<'static> {
    Clock::at("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
}

/// Waits for what has nothing to wait for.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// Signs without a timestamp.
pub(crate) fn sign_now(
    descriptor: &Descriptor,
    options: &SignOptions,
    signer: &dyn Signer,
) -> Result<Signature, sign::Error> {
    finish(sign(descriptor, options, signer, None))
}

/// Verifies a signature without a timestamp.
pub(crate) fn check_now(
    descriptor: &Descriptor,
    name: &str,
    verifier: &dyn Verifier,
) -> Result<Checked, verify::Error> {
    verify::check(descriptor, name, verifier, clock())
}

/// The private key that signs in tests.
pub(crate) fn private_key() -> PrivateKey {
    PrivateKey::parse(&key("test-rsa-2048.pkcs1.pem")).unwrap()
}

/// The same key for code that knows its kind.
pub(crate) fn rsa_key() -> RsaPrivateKey {
    match private_key() {
        PrivateKey::Rsa(key) => key,
        other => panic!("{other:?}"),
    }
}

/// Takes a key that must be one of RSA.
pub(crate) fn rsa_public(key: PublicKey) -> RsaPublicKey {
    match key {
        PublicKey::Rsa(key) => key,
        other => panic!("{other:?}"),
    }
}

/// The key that has signed the descriptors of the Go tools.
pub(crate) fn go_key() -> PublicKey {
    PublicKey::parse(&read_file(&conformance("go-tools/public.pem"))).unwrap()
}

/// Returns the path of a file that crates share.
pub(crate) fn conformance(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance")
        .join(path)
}

#[track_caller]
fn read_file(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
