//! The object identifiers of timestamps, as the content of their DER form.

use ocm_digest::HashAlgorithm;

pub(crate) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
pub(crate) const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];

/// Attributes of a signature.
pub(crate) const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
pub(crate) const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
pub(crate) const SIGNING_CERTIFICATE: &[u8] =
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 12];
pub(crate) const SIGNING_CERTIFICATE_V2: &[u8] =
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];

const HASHES: [(HashAlgorithm, &[u8]); 3] = [
    (
        HashAlgorithm::Sha256,
        &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
    ),
    (
        HashAlgorithm::Sha384,
        &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
    ),
    (
        HashAlgorithm::Sha512,
        &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
    ),
];

/// Signature algorithms that name their hash.
const SIGNATURES: [(HashAlgorithm, &[u8]); 6] = [
    // Those of RSA with PKCS#1 v1.5.
    (
        HashAlgorithm::Sha256,
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
    ),
    (
        HashAlgorithm::Sha384,
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
    ),
    (
        HashAlgorithm::Sha512,
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
    ),
    // Those of ECDSA.
    (
        HashAlgorithm::Sha256,
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
    ),
    (
        HashAlgorithm::Sha384,
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
    ),
    (
        HashAlgorithm::Sha512,
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4],
    ),
];

pub(crate) fn of_hash(hash: HashAlgorithm) -> &'static [u8] {
    let found = HASHES.iter().find(|(known, _)| *known == hash);
    found.map_or(HASHES[0].1, |(_, oid)| oid)
}

pub(crate) fn hash(oid: &[u8]) -> Option<HashAlgorithm> {
    let found = HASHES.iter().find(|(_, known)| *known == oid);
    found.map(|(hash, _)| *hash)
}

/// Returns the hash that a signature algorithm names, if it does.
pub(crate) fn hash_of_signature(oid: &[u8]) -> Option<HashAlgorithm> {
    let found = SIGNATURES.iter().find(|(_, known)| *known == oid);
    found.map(|(hash, _)| *hash)
}
