//! What is asked of signature packets, whatever they are for.

use jiff::Timestamp;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SubpacketData};
use pgp::types::KeyDetails;

/// Tells whether a signature says that it was made by a key, or says nothing of the kind.
///
/// Some of it may stand where the signature does not cover it: it is a hint which key to try.
pub(crate) fn claims_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let ids = signature.issuer_key_id();
    let fingerprints = signature.issuer_fingerprint();
    (ids.is_empty() && fingerprints.is_empty())
        || ids.contains(&&key.legacy_key_id())
        || fingerprints.contains(&&key.fingerprint())
}

/// Tells whether a hash algorithm resists collisions.
pub(crate) const fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

/// Returns when a signature was made, as it states under its own protection.
pub(crate) fn created(signature: &Signature) -> Option<Timestamp> {
    from_pgp(signature.created()?)
}

/// Returns when a signature expires, if it does.
pub(crate) fn expires(signature: &Signature) -> Option<Timestamp> {
    after(signature.created()?, signature.signature_expiration_time())
}

/// Returns the end of a time span that has one: zero means for ever (RFC 9580, section 5.2.3.13).
pub(crate) fn after(
    start: pgp::types::Timestamp,
    span: Option<pgp::types::Duration>,
) -> Option<Timestamp> {
    match span?.as_secs() {
        0 => None,
        seconds => {
            let end = i64::from(start.as_secs()) + i64::from(seconds);
            Timestamp::from_second(end).ok()
        }
    }
}

/// Converts a time of OpenPGP, which ends in 2106.
pub(crate) fn from_pgp(time: pgp::types::Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(i64::from(time.as_secs())).ok()
}

/// Tells whether a signature demands that something be understood which is not. It is invalid then
/// (RFC 9580, section 5.2.3.7).
pub(crate) fn demands_unknown(signature: &Signature) -> bool {
    let Some(config) = signature.config() else {
        return true;
    };
    (config.hashed_subpackets()).any(|subpacket| {
        subpacket.is_critical
            && matches!(
                subpacket.data,
                SubpacketData::Notation(_)
                    | SubpacketData::TrustSignature(..)
                    | SubpacketData::RegularExpression(_)
                    | SubpacketData::SignatureTarget(..)
                    | SubpacketData::Experimental(..)
                    | SubpacketData::Other(..)
            )
    })
}
