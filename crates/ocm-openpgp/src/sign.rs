//! OpenPGP in the role of the signer.

use async_trait::async_trait;
use jiff::Timestamp;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::SignatureInfo;
use ocm_signing::role::{SignError, Signer};
use pgp::crypto::hash::HashAlgorithm as PgpHash;
use pgp::packet::{
    SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData,
};
use pgp::types::{
    EcdsaPublicParams, KeyDetails, KeyVersion, Password, PublicParams, S2kParams, SecretParams,
    SigningKey, StringToKey,
};
use thiserror::Error;

use crate::detached::Detached;
use crate::ring::{Certificate, KeyRing};
use crate::selector::{KeySelector, hex};
use crate::validity::{self, Part};
use crate::{ALGORITHM, MEDIA_TYPE};

/// Signs with a private key of a key ring.
#[derive(Clone, Debug)]
pub struct OpenPgpSigner {
    key: Unlocked,
    hash: HashAlgorithm,
    at: Timestamp,
}

impl OpenPgpSigner {
    /// Chooses a key and unlocks it: the first in the ring, or the one that is named. Of its keys
    /// for signing the newest subkey is taken, else the primary key, as `gpg` does.
    ///
    /// Signatures state that they were made `at` this time. Without a hash algorithm, SHA-256 is
    /// taken, or what the key needs.
    ///
    /// # Errors
    ///
    /// There is no private key that may sign at this time, it is locked ([`Error::Locked`] without
    /// passphrase, [`Error::Passphrase`] with a wrong one), or the hash is too short for the key.
    pub fn new(
        ring: &KeyRing,
        selector: Option<&KeySelector>,
        passphrase: Option<&[u8]>,
        hash: Option<HashAlgorithm>,
        at: Timestamp,
    ) -> Result<Self, Error> {
        let part = choose(ring, selector, at)?;
        let key = Unlocked::new(part, passphrase)?;
        let needed = needed_hash(key.details().public_params());
        let hash = hash.unwrap_or(needed);
        if hash.size() < needed.size() {
            return Err(Error::HashTooShort {
                key: part.name(),
                hash,
                needed,
            });
        }
        Ok(Self { key, hash, at })
    }

    /// Returns the fingerprint of the key that signs, in upper-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hex(self.key.details().fingerprint().as_bytes())
    }

    /// Signs bytes.
    ///
    /// # Errors
    ///
    /// The cryptographic library refuses, or the private key is damaged.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Result<String, Error> {
        let signature = match &self.key {
            Unlocked::Primary(key) => {
                let signature = self.make(key, bytes)?;
                signature.verify(key.public_key(), bytes)?;
                signature
            }
            Unlocked::Subkey(key) => {
                let signature = self.make(key, bytes)?;
                signature.verify(key.public_key(), bytes)?;
                signature
            }
        };
        let detached = Detached::of(signature).map_err(|error| Error::Library {
            detail: error.to_string(),
        })?;
        Ok(detached.to_text()?)
    }

    fn make(&self, key: &impl SigningKey, bytes: &[u8]) -> Result<Signature, Error> {
        let hash = match self.hash {
            HashAlgorithm::Sha256 => PgpHash::Sha256,
            HashAlgorithm::Sha384 => PgpHash::Sha384,
            HashAlgorithm::Sha512 => PgpHash::Sha512,
        };
        let of_bytes = SignatureType::Binary;
        let mut config = if key.version() == KeyVersion::V6 {
            let mut salt = vec![0; hash.salt_len().unwrap_or_default()];
            getrandom::fill(&mut salt).map_err(|error| Error::Library {
                detail: error.to_string(),
            })?;
            SignatureConfig::v6_with_salt(of_bytes, key.algorithm(), hash, salt)
        } else {
            SignatureConfig::v4(of_bytes, key.algorithm(), hash)
        };
        let seconds =
            u32::try_from(self.at.as_second()).map_err(|_| Error::Time { at: self.at })?;
        let made = pgp::types::Timestamp::from_secs(seconds);
        config.hashed_subpackets = vec![
            Subpacket::critical(SubpacketData::SignatureCreationTime(made))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        ];
        if key.version() == KeyVersion::V4 {
            let id = SubpacketData::IssuerKeyId(key.legacy_key_id());
            config.unhashed_subpackets = vec![Subpacket::regular(id)?];
        }
        Ok(config.sign(key, &Password::empty(), bytes)?)
    }
}

#[async_trait]
impl Signer for OpenPgpSigner {
    async fn sign(&self, digest: &Digest) -> Result<SignatureInfo, SignError> {
        let value = self.sign_bytes(digest.as_bytes());
        Ok(SignatureInfo {
            algorithm: ALGORITHM.to_owned(),
            value: value.map_err(|error| SignError(error.into()))?,
            media_type: MEDIA_TYPE.to_owned(),
            ..SignatureInfo::default()
        })
    }
}

/// A private key without passphrase. It is wiped when it is dropped.
#[derive(Clone, Debug)]
enum Unlocked {
    Primary(SecretKey),
    Subkey(SecretSubkey),
}

impl Unlocked {
    fn new(part: Part<'_>, passphrase: Option<&[u8]>) -> Result<Self, Error> {
        let name = || part.name();
        let wrong = |_| Error::Passphrase { key: name() };
        let no_secret = || Error::NoSecret { key: name() };
        let locked = secret_params(part).is_some_and(SecretParams::is_encrypted);
        let passphrase = match passphrase {
            Some(passphrase) => Password::from(passphrase),
            None if locked => return Err(Error::Locked { key: name() }),
            None => Password::empty(),
        };
        match part {
            Part::Primary(certificate) => {
                let mut key = certificate.secret.clone().ok_or_else(no_secret)?;
                if locked {
                    key.remove_password(&passphrase).map_err(wrong)?;
                }
                Ok(Self::Primary(key))
            }
            Part::Subkey(_, subkey) => {
                let mut key = subkey.secret.clone().ok_or_else(no_secret)?;
                if locked {
                    key.remove_password(&passphrase).map_err(wrong)?;
                }
                Ok(Self::Subkey(key))
            }
        }
    }

    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => key,
            Self::Subkey(key) => key,
        }
    }
}

/// Returns the key that signs.
fn choose<'a>(
    ring: &'a KeyRing,
    selector: Option<&'a KeySelector>,
    at: Timestamp,
) -> Result<Part<'a>, Error> {
    let mut unfit = None;
    let mut any = false;
    for certificate in ring.selected(selector) {
        any = true;
        for part in by_preference(certificate, selector) {
            match part.check(at, at) {
                Ok(_) => return Ok(part),
                // Primary keys are often only for certifying: what is wrong with a subkey tells more.
                Err(error) => unfit = unfit.or(Some(error)),
            }
        }
    }
    Err(match (unfit, selector) {
        (Some(error), _) => error.into(),
        (None, Some(selector)) if any => Error::NoSecret {
            key: selector.to_string(),
        },
        (None, Some(selector)) => Error::NotFound {
            wanted: selector.clone(),
        },
        (None, None) => Error::NoSecrets,
    })
}

/// Returns the keys of which the private half is at hand, the newest subkey first.
fn by_preference<'a>(
    certificate: &'a Certificate,
    selector: Option<&'a KeySelector>,
) -> Vec<Part<'a>> {
    let with_secret = |part: &Part<'_>| secret_params(*part).is_some_and(|it| !is_elsewhere(it));
    let mut parts: Vec<_> = certificate.parts(selector).filter(with_secret).collect();
    parts.sort_by_key(|part| match part {
        Part::Subkey(..) => (0, std::cmp::Reverse(part.created())),
        Part::Primary(_) => (1, std::cmp::Reverse(part.created())),
    });
    parts
}

fn secret_params(part: Part<'_>) -> Option<&SecretParams> {
    match part {
        Part::Primary(it) => it.secret.as_ref().map(SecretKey::secret_params),
        Part::Subkey(_, it) => it.secret.as_ref().map(SecretSubkey::secret_params),
    }
}

/// Tells whether a private key is only mentioned: it is on a card, or in a safe place (what `gpg`
/// calls a stub).
fn is_elsewhere(params: &SecretParams) -> bool {
    let SecretParams::Encrypted(encrypted) = params else {
        return false;
    };
    match encrypted.string_to_key_params() {
        S2kParams::Cfb { s2k, .. } | S2kParams::MalleableCfb { s2k, .. } => {
            matches!(s2k, StringToKey::Private { .. })
        }
        _ => false,
    }
}

/// Returns the shortest hash that a key can sign. Verifiers refuse those that are shorter than the
/// order of the curve (RFC 9580, section 5.2.3.3).
const fn needed_hash(key: &PublicParams) -> HashAlgorithm {
    match key {
        PublicParams::ECDSA(EcdsaPublicParams::P384 { .. }) => HashAlgorithm::Sha384,
        PublicParams::ECDSA(EcdsaPublicParams::P521 { .. }) | PublicParams::Ed448(_) => {
            HashAlgorithm::Sha512
        }
        _ => HashAlgorithm::Sha256,
    }
}

impl From<pgp::errors::Error> for Error {
    fn from(error: pgp::errors::Error) -> Self {
        Self::Library {
            detail: error.to_string(),
        }
    }
}

/// Why there is no signature.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// There are public keys only.
    #[error("there is no private OpenPGP key")]
    NoSecrets,
    /// The key is there, but not its private half: that may be on a card, or kept elsewhere.
    #[error("the private half of OpenPGP key {key} is not there")]
    NoSecret { key: String },
    /// There are other keys only.
    #[error("there is no OpenPGP key {wanted}")]
    NotFound { wanted: KeySelector },
    /// A passphrase is needed, and none was given.
    #[error("OpenPGP key {key} is protected by a passphrase")]
    Locked { key: String },
    /// The passphrase is wrong.
    #[error("the passphrase does not unlock OpenPGP key {key}")]
    Passphrase { key: String },
    /// Verifiers would refuse the signature.
    #[error("OpenPGP key {key} cannot sign a hash of {hash}, it needs {needed}")]
    HashTooShort {
        key: String,
        hash: HashAlgorithm,
        needed: HashAlgorithm,
    },
    /// OpenPGP has no such time.
    #[error("an OpenPGP signature cannot be made on {at}")]
    Time { at: Timestamp },
    /// The key may not sign, now or ever.
    #[error(transparent)]
    Key(#[from] validity::Error),
    /// The cryptographic library refused.
    #[error("the OpenPGP library cannot sign: {detail}")]
    Library { detail: String },
}
