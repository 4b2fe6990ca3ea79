//! Files of `testdata` and of the shared `conformance` folder.

use std::path::{Path, PathBuf};

use ocm_signing::key::{PrivateKey, PublicKey};

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

/// The private key that signs in tests.
pub(crate) fn private_key() -> PrivateKey {
    PrivateKey::parse(&key("test-rsa-2048.pkcs1.pem")).unwrap()
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
