//! Key rings: files with OpenPGP keys, public or private.
//!
//! A key is more than a number: it consists of a primary key, the user ids and subkeys that belong
//! to it, and the signatures by which the primary key says so (a *certificate*; RFC 9580, section
//! 10.1). What these signatures are worth is found by [`crate::validity`].

use std::collections::BTreeMap;

use pgp::packet::{
    Packet, PacketParser, PacketTrait as _, PublicKey, PublicSubkey, SecretKey, SecretSubkey,
    Signature, SignatureType, UserId,
};
use pgp::types::{KeyDetails as _, KeyVersion};
use thiserror::Error;

use crate::armor::{self, Around};
use crate::packet::claims_issuer;
use crate::selector::{KeySelector, hex};

/// The largest key ring that is read, in bytes.
pub const MAX_SIZE: usize = 4 * 1024 * 1024;

/// The most packets in a key ring. A key that many people have certified has thousands.
const MAX_PACKETS: usize = 16 * 1024;

/// The keys of a file, in its order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyRing {
    certificates: Vec<Certificate>,
}

impl KeyRing {
    /// Tells whether bytes look like OpenPGP keys, for files that may be keys of other kinds.
    pub fn is_one(bytes: &[u8]) -> bool {
        // The first packet is a public or private key; in the header, bit 7 is always set.
        let binary = |first: u8| match first {
            0b1100_0000.. => matches!(first & 0b11_1111, 5 | 6),
            0b1000_0000.. => matches!((first >> 2) & 0b1111, 5 | 6),
            _ => false,
        };
        armor::is_armored(bytes) || bytes.first().copied().is_some_and(binary)
    }

    /// Reads keys, armoured or binary. Blocks of armour may follow each other, and a revocation
    /// certificate may stand beside its key.
    ///
    /// # Errors
    ///
    /// The bytes are too many, are no keys, or are damaged. Keys of other versions than 4 and 6
    /// are skipped.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_SIZE {
            return Err(Error::TooLarge { size: bytes.len() });
        }
        let mut reader = Reader::default();
        if armor::is_armored(bytes) {
            let text = std::str::from_utf8(bytes).map_err(|_| Error::NoKeys)?;
            for block in armor::read(text, Around::AnyText)? {
                if !matches!(
                    block.label.as_str(),
                    "PUBLIC KEY BLOCK" | "PRIVATE KEY BLOCK"
                ) {
                    return Err(Error::Unexpected {
                        found: format!("a block `PGP {}`", block.label),
                    });
                }
                reader.read(&block.bytes)?;
            }
        } else if Self::is_one(bytes) {
            reader.read(bytes)?;
        }
        reader.finish()
    }

    /// Returns the keys.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Tells whether there is a private key.
    pub fn has_secret(&self) -> bool {
        self.certificates.iter().any(Certificate::has_secret)
    }

    /// Returns the keys that are meant, or all of them.
    pub(crate) fn selected<'a>(
        &'a self,
        selector: Option<&'a KeySelector>,
    ) -> impl Iterator<Item = &'a Certificate> {
        self.certificates
            .iter()
            .filter(move |it| selector.is_none_or(|selector| it.contains(selector)))
    }
}

/// A primary key with what it says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    pub(crate) primary: PublicKey,
    pub(crate) secret: Option<SecretKey>,
    /// Signatures over the primary key alone, and its revocations.
    pub(crate) direct: Vec<Signature>,
    pub(crate) users: Vec<User>,
    pub(crate) subkeys: Vec<Subkey>,
}

impl Certificate {
    /// Returns the fingerprint of the primary key, in upper-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hex(self.primary.fingerprint().as_bytes())
    }

    fn has_secret(&self) -> bool {
        self.secret.is_some() || self.subkeys.iter().any(|it| it.secret.is_some())
    }

    fn contains(&self, selector: &KeySelector) -> bool {
        selector.names(&self.primary) || self.subkeys.iter().any(|it| selector.names(&it.key))
    }

    /// Takes over what another copy of the same key has: a revocation may be in one alone.
    fn merge(&mut self, other: Self) {
        self.secret = self.secret.take().or(other.secret);
        extend(&mut self.direct, other.direct);
        for user in other.users {
            match self.users.iter_mut().find(|it| it.id.id() == user.id.id()) {
                Some(known) => extend(&mut known.signatures, user.signatures),
                None => self.users.push(user),
            }
        }
        for subkey in other.subkeys {
            let fingerprint = subkey.key.fingerprint();
            match (self.subkeys.iter_mut()).find(|it| it.key.fingerprint() == fingerprint) {
                Some(known) => {
                    known.secret = known.secret.take().or(subkey.secret);
                    extend(&mut known.signatures, subkey.signatures);
                }
                None => self.subkeys.push(subkey),
            }
        }
    }
}

fn extend(signatures: &mut Vec<Signature>, more: Vec<Signature>) {
    for signature in more {
        if !signatures.contains(&signature) {
            signatures.push(signature);
        }
    }
}

/// A user id with the signatures that certify or revoke it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) signatures: Vec<Signature>,
}

/// A subkey with the signatures that bind or revoke it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subkey {
    pub(crate) key: PublicSubkey,
    pub(crate) secret: Option<SecretSubkey>,
    pub(crate) signatures: Vec<Signature>,
}

/// Puts packets together to certificates.
#[derive(Default)]
struct Reader {
    certificates: Vec<Certificate>,
    /// Revocations that stand before any key: a revocation certificate of its own.
    revocations: Vec<Signature>,
    packets: usize,
}

/// What the signature that comes next is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum About {
    /// Nothing was read yet.
    Nothing,
    Primary,
    User,
    Subkey,
    /// A part that is not looked at: a picture, a subkey of an unknown kind.
    Skipped,
    /// A whole key of an unknown kind.
    SkippedKey,
}

impl Reader {
    /// Reads the packets of a file, or of one block of armour.
    fn read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut about = About::Nothing;
        for packet in PacketParser::new(bytes) {
            self.packets += 1;
            if self.packets > MAX_PACKETS {
                return Err(Error::TooMany);
            }
            about = match packet {
                Ok(packet) => self.packet(packet, about)?,
                Err(error) if is_unsupported(&error) => match about {
                    About::Nothing | About::SkippedKey => About::SkippedKey,
                    _ => About::Skipped,
                },
                Err(error) => {
                    return Err(Error::Malformed {
                        detail: error.to_string(),
                    });
                }
            };
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet, about: About) -> Result<About, Error> {
        let found = format!("a packet of type {}", u8::from(packet.tag()));
        match packet {
            Packet::PublicKey(key) => return Ok(self.begin(key, None)),
            Packet::SecretKey(key) => return Ok(self.begin(key.public_key().clone(), Some(key))),
            Packet::Marker(_) | Packet::Padding(_) | Packet::Trust(_) => return Ok(about),
            _ if about == About::SkippedKey => return Ok(about),
            Packet::Signature(signature) if about == About::Nothing => {
                if signature.typ() != Some(SignatureType::KeyRevocation) {
                    return Err(Error::Unexpected { found });
                }
                self.revocations.push(signature);
                return Ok(about);
            }
            _ if about == About::Nothing => return Err(Error::Unexpected { found }),
            _ => {}
        }
        // What is not `Nothing` or `SkippedKey` comes after a certificate has begun.
        let Some(last) = self.certificates.last_mut() else {
            return Err(Error::Unexpected { found });
        };
        let signatures = Vec::new();
        match packet {
            Packet::Signature(signature) => {
                let of = match about {
                    About::Primary => Some(&mut last.direct),
                    About::User => last.users.last_mut().map(|it| &mut it.signatures),
                    About::Subkey => last.subkeys.last_mut().map(|it| &mut it.signatures),
                    _ => None,
                };
                if let Some(of) = of {
                    of.push(signature);
                }
                Ok(about)
            }
            Packet::UserId(id) => {
                last.users.push(User { id, signatures });
                Ok(About::User)
            }
            Packet::PublicSubkey(key) => {
                let secret = None;
                last.subkeys.push(Subkey {
                    key,
                    secret,
                    signatures,
                });
                Ok(About::Subkey)
            }
            Packet::SecretSubkey(secret) => {
                last.subkeys.push(Subkey {
                    key: secret.public_key().clone(),
                    secret: Some(secret),
                    signatures,
                });
                Ok(About::Subkey)
            }
            Packet::UserAttribute(_) => Ok(About::Skipped),
            _ => Err(Error::Unexpected { found }),
        }
    }

    fn begin(&mut self, primary: PublicKey, secret: Option<SecretKey>) -> About {
        if !matches!(primary.version(), KeyVersion::V4 | KeyVersion::V6) {
            return About::SkippedKey;
        }
        self.certificates.push(Certificate {
            primary,
            secret,
            direct: Vec::new(),
            users: Vec::new(),
            subkeys: Vec::new(),
        });
        About::Primary
    }

    fn finish(self) -> Result<KeyRing, Error> {
        let mut certificates: Vec<Certificate> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for certificate in self.certificates {
            let place = *places
                .entry(certificate.fingerprint())
                .or_insert(certificates.len());
            match certificates.get_mut(place) {
                Some(known) => known.merge(certificate),
                None => certificates.push(certificate),
            }
        }
        if certificates.is_empty() {
            return Err(Error::NoKeys);
        }
        for revocation in self.revocations {
            let of = certificates
                .iter_mut()
                .find(|it| claims_issuer(&revocation, &it.primary));
            match of {
                Some(certificate) => certificate.direct.push(revocation),
                None => return Err(Error::RevocationOfOther),
            }
        }
        Ok(KeyRing { certificates })
    }
}

/// Tells what may be skipped (an unknown version or kind) from what is damaged.
fn is_unsupported(error: &pgp::errors::Error) -> bool {
    use pgp::errors::Error::{InvalidPacketContent, Unsupported};
    match error {
        Unsupported { .. } => true,
        InvalidPacketContent { source } => matches!(**source, Unsupported { .. }),
        _ => false,
    }
}

/// Why bytes are not OpenPGP keys.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be a key ring.
    #[error("{size} bytes are too much for a key ring, the limit is {MAX_SIZE}")]
    TooLarge { size: usize },
    /// The file has more parts than any key ring.
    #[error("the key ring has more than {MAX_PACKETS} packets")]
    TooMany,
    /// The file is something else, or has keys of unknown versions only.
    #[error("no OpenPGP key of version 4 or 6 found")]
    NoKeys,
    /// The armour is damaged.
    #[error("malformed armour")]
    Armor(#[from] armor::Error),
    /// A packet cannot be read.
    #[error("malformed OpenPGP key: {detail}")]
    Malformed { detail: String },
    /// A revocation certificate stands beside keys that it does not revoke.
    #[error("there is a revocation certificate of a key that is not there")]
    RevocationOfOther,
    /// The file is OpenPGP, but no keys.
    #[error("expected OpenPGP keys, found {found}")]
    Unexpected { found: String },
}
