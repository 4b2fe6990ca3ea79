//! What a key may do at a time: bindings, expiry, revocations, usage (RFC 9580, sections 5.2.3 and
//! 10.1).
//!
//! Nothing in a key ring is believed because it stands there. A user id or subkey belongs to a
//! primary key if a signature of the primary key says so, and a subkey signs for it if the subkey
//! says so, too. The rules, where OpenPGP leaves room:
//!
//! - The newest statement of the owner counts, also for signatures that are older than it: key
//!   rings are cleaned of old statements.
//! - A key must not have expired when a signature was made. What it signed before stays valid.
//! - A key that was revoked as superseded or retired has signed validly until then. For any other
//!   reason, or none, it never has: whoever has the key by now can date signatures back.
//! - Statements need a strong hash; revocations do not.

use jiff::Timestamp;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, RevocationCode, Signature, SignatureConfig, SignatureType, SubpacketData,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, KeyVersion, PublicParams, Tag,
};
use thiserror::Error;

use crate::packet::{after, claims_issuer, created, demands_unknown, expires, from_pgp, is_strong};
use crate::ring::{Certificate, Subkey, User};
use crate::selector::{KeySelector, hex};

/// The fewest bits of an RSA key.
const MIN_RSA_BITS: u16 = 2048;

/// The most bits of an RSA key.
const MAX_RSA_BITS: u16 = 8192;

/// A key that can make signatures: the primary key, or one of its subkeys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Primary(&'a Certificate),
    Subkey(&'a Certificate, &'a Subkey),
}

impl<'a> Part<'a> {
    pub(crate) const fn certificate(self) -> &'a Certificate {
        match self {
            Self::Primary(certificate) | Self::Subkey(certificate, _) => certificate,
        }
    }

    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(it) => &it.primary,
            Self::Subkey(_, it) => &it.key,
        }
    }

    /// Returns the fingerprint in upper-case hexadecimal digits.
    pub(crate) fn name(&self) -> String {
        hex(self.details().fingerprint().as_bytes())
    }

    pub(crate) fn created(&self) -> pgp::types::Timestamp {
        self.details().created_at()
    }

    /// Tells whether a signature may be by this key, as far as it says.
    pub(crate) fn claimed_by(&self, signature: &Signature) -> bool {
        match self {
            Self::Primary(it) => claims_issuer(signature, &it.primary),
            Self::Subkey(_, it) => claims_issuer(signature, &it.key),
        }
    }

    /// Tells whether this very key made a signature of these bytes, whatever it is worth.
    pub(crate) fn made(&self, signature: &Signature, bytes: &[u8]) -> bool {
        let Some(config) = signature.config() else {
            return false;
        };
        config.pub_alg == self.details().algorithm()
            && match self {
                Self::Primary(it) => signature.verify(&it.primary, bytes),
                Self::Subkey(_, it) => signature.verify(&it.key, bytes),
            }
            .is_ok()
    }

    /// Checks that signatures by this key and by its primary key prove something.
    pub(crate) fn accept(&self) -> Result<(), Error> {
        accept_algorithm(&self.certificate().primary)?;
        match self {
            Self::Primary(_) => Ok(()),
            Self::Subkey(_, subkey) => accept_algorithm(&subkey.key),
        }
    }

    /// Checks that a signature which this key made at a time is one by its owner, as known `at`.
    pub(crate) fn check(&self, made: Timestamp, at: Timestamp) -> Result<Statement, Error> {
        self.accept()?;
        let certificate = self.certificate();
        let statement = certificate.statement(at)?;
        statement.lifetime.check(made)?;
        let may_sign = match self {
            Self::Primary(_) => statement.may_sign,
            Self::Subkey(_, subkey) => {
                let binding = certificate.binding(subkey, at)?;
                binding.lifetime.check(made)?;
                binding.may_sign
            }
        };
        if may_sign {
            Ok(statement)
        } else {
            Err(Error::NotForSigning { key: self.name() })
        }
    }
}

impl Certificate {
    /// Returns the keys that a selector means: all for the primary key, else the one it names.
    pub(crate) fn parts<'a>(
        &'a self,
        selector: Option<&'a KeySelector>,
    ) -> impl Iterator<Item = Part<'a>> {
        let whole = selector.is_none_or(|it| it.names(&self.primary));
        let subkeys = self.subkeys.iter();
        let named = subkeys
            .filter(move |it| whole || selector.is_some_and(|selector| selector.names(&it.key)));
        let primary = whole.then_some(Part::Primary(self));
        primary
            .into_iter()
            .chain(named.map(|it| Part::Subkey(self, it)))
    }

    /// Returns what the primary key says of itself.
    fn statement(&self, at: Timestamp) -> Result<Statement, Error> {
        let key = hex(self.primary.fingerprint().as_bytes());
        let direct = newest(self.direct.iter().filter(|it| {
            it.typ() == Some(SignatureType::Key)
                && is_sound(it, at)
                && claims_issuer(it, &self.primary)
                && it.verify_key(&self.primary).is_ok()
        }));
        let users: Vec<_> = (self.users.iter())
            .filter_map(|user| Some((user, self.certification(user, at)?)))
            .collect();
        let primary_user = newest_by(users.iter().map(|(_, signature)| *signature), |it| {
            (states_primary(it), created(it))
        });
        // Keys of version 6 state everything beside the primary key (RFC 9580, section 10.1.1).
        let governing = match self.primary.version() {
            KeyVersion::V6 => direct,
            _ => primary_user.or(direct),
        };
        let Some(governing) = governing else {
            return Err(self.without_statement(key));
        };
        let expires = [Some(governing), direct].into_iter().flatten();
        let expires = expires
            .filter_map(|it| after(self.primary.created_at(), it.key_expiration_time()))
            .min();
        let flags = flags(governing).or_else(|| flags(direct?));
        let statements = users.iter().map(|(_, it)| *it).chain(direct);
        let revocations = self.revocations(statements.collect());
        Ok(Statement {
            lifetime: Lifetime::new(key, &self.primary, expires, revocations),
            // Keys of long ago do not state their usage.
            may_sign: flags.is_none_or(KeyFlags::sign),
            user_ids: users
                .iter()
                .map(|(user, _)| String::from_utf8_lossy(user.id.id()).into_owned())
                .collect(),
        })
    }

    /// Returns the newest certification of a user id, unless it was revoked later.
    fn certification<'a>(&self, user: &'a User, at: Timestamp) -> Option<&'a Signature> {
        let by_primary = |it: &&Signature| {
            claims_issuer(it, &self.primary)
                && it
                    .verify_certification(&self.primary, Tag::UserId, &user.id)
                    .is_ok()
        };
        let certification = newest(
            (user.signatures.iter())
                .filter(|it| certifies(it) && is_sound(it, at))
                .filter(by_primary),
        )?;
        let revoked = (user.signatures.iter())
            .filter(|it| it.typ() == Some(SignatureType::CertRevocation))
            .filter(|it| created(it) >= created(certification))
            .any(|it| by_primary(&it));
        (!revoked).then_some(certification)
    }

    /// Returns the revocations of the primary key.
    ///
    /// One that is claimed by a key which the owner has named for it is believed as it is: that
    /// key need not be at hand.
    fn revocations(&self, statements: Vec<&Signature>) -> Vec<Revocation> {
        let revokers: Vec<&[u8]> = (statements.into_iter())
            .filter_map(Signature::config)
            .flat_map(SignatureConfig::hashed_subpackets)
            .filter_map(|it| match &it.data {
                SubpacketData::RevocationKey(key) => Some(key.fingerprint.as_slice()),
                _ => None,
            })
            .collect();
        let by_revoker = |it: &Signature| {
            let fingerprints = it.issuer_fingerprint();
            fingerprints.iter().any(|it| revokers.contains(&it.as_bytes()))
                // A key id is the end of a fingerprint of version 4.
                || (it.issuer_key_id().iter())
                    .any(|id| revokers.iter().any(|it| it.ends_with(id.as_ref())))
        };
        (self.direct.iter())
            .filter(|it| it.typ() == Some(SignatureType::KeyRevocation))
            .filter_map(|it| {
                if it.verify_key(&self.primary).is_ok() {
                    Some(Revocation::of(it))
                } else {
                    by_revoker(it).then_some(Revocation::ForEver)
                }
            })
            .collect()
    }

    /// Returns what the primary key says of a subkey.
    fn binding(&self, subkey: &Subkey, at: Timestamp) -> Result<Binding, Error> {
        let key = hex(subkey.key.fingerprint().as_bytes());
        let by_primary = |it: &&Signature| {
            claims_issuer(it, &self.primary)
                && it.verify_subkey_binding(&self.primary, &subkey.key).is_ok()
        };
        let of = |typ| {
            (subkey.signatures.iter())
                .filter(move |it| it.typ() == Some(typ))
                .filter(by_primary)
        };
        let bindings = of(SignatureType::SubkeyBinding);
        let Some(binding) = newest(bindings.filter(|it| is_sound(it, at))) else {
            return Err(Error::NotBound { key });
        };
        let may_sign = flags(binding).is_some_and(KeyFlags::sign);
        if may_sign && !self.is_bound_back(subkey, binding, at) {
            return Err(Error::NotBoundBack { key });
        }
        let expires = after(subkey.key.created_at(), binding.key_expiration_time());
        let revocations = of(SignatureType::SubkeyRevocation).map(Revocation::of);
        Ok(Binding {
            lifetime: Lifetime::new(key, &subkey.key, expires, revocations.collect()),
            may_sign,
        })
    }

    /// Tells whether a subkey agrees to sign for this primary key: without that, anybody could
    /// claim the signatures of somebody else's subkey.
    fn is_bound_back(&self, subkey: &Subkey, binding: &Signature, at: Timestamp) -> bool {
        let Some(config) = binding.config() else {
            return false;
        };
        // It is a signature of its own, so that it may stand where the binding does not cover it.
        (config
            .hashed_subpackets()
            .chain(config.unhashed_subpackets()))
        .any(|it| {
            let SubpacketData::EmbeddedSignature(back) = &it.data else {
                return false;
            };
            is_sound(back, at)
                && back
                    .verify_primary_key_binding(&subkey.key, &self.primary)
                    .is_ok()
        })
    }

    /// Returns the reason why there is no statement.
    fn without_statement(&self, key: String) -> Error {
        let users = self.users.iter().flat_map(|it| &it.signatures);
        let weak = (users.chain(&self.direct))
            .filter(|it| certifies(it) || it.typ() == Some(SignatureType::Key))
            .filter(|it| claims_issuer(it, &self.primary))
            .filter_map(Signature::hash_alg)
            .find(|hash| !is_strong(*hash));
        match weak {
            Some(hash) => Error::WeakStatement { key, hash },
            None => Error::NoStatement { key },
        }
    }
}

/// What an owner says of a primary key.
#[derive(Debug)]
pub(crate) struct Statement {
    lifetime: Lifetime,
    may_sign: bool,
    /// The user ids that the primary key has certified, and not revoked.
    pub(crate) user_ids: Vec<String>,
}

/// What an owner says of a subkey.
struct Binding {
    lifetime: Lifetime,
    may_sign: bool,
}

/// When a key can make valid signatures.
#[derive(Debug)]
struct Lifetime {
    key: String,
    begins: Option<Timestamp>,
    expires: Option<Timestamp>,
    revocations: Vec<Revocation>,
}

impl Lifetime {
    fn new(
        key: String,
        details: &impl KeyDetails,
        expires: Option<Timestamp>,
        revocations: Vec<Revocation>,
    ) -> Self {
        Self {
            key,
            begins: from_pgp(details.created_at()),
            expires,
            revocations,
        }
    }

    fn check(&self, made: Timestamp) -> Result<(), Error> {
        let key = || self.key.clone();
        for revocation in &self.revocations {
            match *revocation {
                Revocation::ForEver => return Err(Error::Revoked { key: key() }),
                Revocation::Since(since) if made >= since => {
                    return Err(Error::RevokedBefore { key: key(), since });
                }
                Revocation::Since(_) => {}
            }
        }
        if let Some(begins) = self.begins.filter(|it| made < *it) {
            return Err(Error::NotYet { key: key(), begins });
        }
        match self.expires {
            Some(expired) if made >= expired => Err(Error::Expired {
                key: key(),
                expired,
            }),
            _ => Ok(()),
        }
    }
}

/// What a revocation does to signatures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Revocation {
    /// None is valid any more.
    ForEver,
    /// Those from then on are not.
    Since(Timestamp),
}

impl Revocation {
    fn of(signature: &Signature) -> Self {
        let soft = matches!(
            signature.revocation_reason_code(),
            Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired)
        );
        match created(signature) {
            Some(since) if soft => Self::Since(since),
            _ => Self::ForEver,
        }
    }
}

/// Tells whether a signature certifies a user id. (The library counts revocations among these.)
fn certifies(signature: &Signature) -> bool {
    use SignatureType::{CertCasual, CertGeneric, CertPersona, CertPositive};
    matches!(
        signature.typ(),
        Some(CertGeneric | CertPersona | CertCasual | CertPositive)
    )
}

/// Tells whether a statement may be relied on, once it is known who made it.
fn is_sound(signature: &Signature, at: Timestamp) -> bool {
    signature.hash_alg().is_some_and(is_strong)
        && created(signature).is_some()
        && expires(signature).is_none_or(|it| at < it)
        && !demands_unknown(signature)
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    newest_by(signatures, created)
}

fn newest_by<'a, K: Ord>(
    signatures: impl Iterator<Item = &'a Signature>,
    key: impl Fn(&Signature) -> K,
) -> Option<&'a Signature> {
    signatures.max_by_key(|it| key(it))
}

fn flags(signature: &Signature) -> Option<&KeyFlags> {
    (signature.config()?.hashed_subpackets()).find_map(|it| match &it.data {
        SubpacketData::KeyFlags(flags) => Some(flags),
        _ => None,
    })
}

fn states_primary(signature: &Signature) -> bool {
    signature.config().is_some_and(|config| {
        (config.hashed_subpackets()).any(|it| matches!(it.data, SubpacketData::IsPrimary(true)))
    })
}

/// Accepts the algorithms that are believed to be unbroken, in sizes that are.
fn accept_algorithm(key: &impl KeyDetails) -> Result<(), Error> {
    let algorithm = match key.public_params() {
        PublicParams::RSA(params) => {
            // A number of OpenPGP begins with its size in bits; the modulus comes first.
            let mut bytes = Vec::new();
            let bits = match (params.to_writer(&mut bytes), bytes.as_slice()) {
                (Ok(()), [high, low, ..]) => u16::from_be_bytes([*high, *low]),
                _ => 0,
            };
            if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                return Ok(());
            }
            format!("RSA of {bits} bits")
        }
        PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. }
            | EcdsaPublicParams::P384 { .. }
            | EcdsaPublicParams::P521 { .. },
        )
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => return Ok(()),
        // Of secp256k1, the library rejects half of the signatures that others make (those with a
        // large `s`), so that none is better.
        PublicParams::ECDSA(params) => format!("ECDSA over {}", params.curve()),
        PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Unsupported { curve, .. }) => {
            format!("EdDSA over {curve}")
        }
        _ => format!("{:?}", key.algorithm()),
    };
    Err(Error::Algorithm {
        key: hex(key.fingerprint().as_bytes()),
        algorithm,
    })
}

/// Why a key is not good for a signature.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The primary key says nothing of itself, or somebody else does.
    #[error("OpenPGP key {key} has no valid self-signature")]
    NoStatement { key: String },
    /// What the primary key says of itself could be forged.
    #[error("the self-signatures of OpenPGP key {key} use {hash}, which is too weak")]
    WeakStatement { key: String, hash: HashAlgorithm },
    /// The primary key does not say that the subkey is its own.
    #[error("OpenPGP subkey {key} is not bound to its primary key by a valid signature")]
    NotBound { key: String },
    /// The subkey does not say that it signs for the primary key.
    #[error("OpenPGP subkey {key} has not signed that it belongs to its primary key")]
    NotBoundBack { key: String },
    /// The owner wants the key to be used for other things.
    #[error("OpenPGP key {key} is not for signing")]
    NotForSigning { key: String },
    /// The signature claims to be older than the key.
    #[error("OpenPGP key {key} was made later, on {begins}")]
    NotYet { key: String, begins: Timestamp },
    /// The key had expired when the signature was made.
    #[error("OpenPGP key {key} had expired on {expired}")]
    Expired { key: String, expired: Timestamp },
    /// The owner has withdrawn the key and all its signatures.
    #[error("OpenPGP key {key} has been revoked")]
    Revoked { key: String },
    /// The owner had withdrawn the key when the signature was made.
    #[error("OpenPGP key {key} had been revoked on {since}")]
    RevokedBefore { key: String, since: Timestamp },
    /// The key is too weak, or not known to be strong.
    #[error("OpenPGP key {key} is of an algorithm that is not accepted, {algorithm}")]
    Algorithm { key: String, algorithm: String },
}
