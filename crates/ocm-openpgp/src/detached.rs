//! Detached signatures of bytes, as descriptors hold them: one, in ASCII armour.

use jiff::Timestamp;
use pgp::armor::BlockType;
use pgp::composed::DetachedSignature;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::SignatureVersion;
use pgp::packet::{Packet, PacketParser, PacketTrait as _, Signature, SignatureType};
use thiserror::Error;

use crate::armor::{self, Around};
use crate::packet::{created, demands_unknown, is_strong};
use crate::selector::hex;

/// The largest signature that is read, in bytes of armour.
pub const MAX_SIZE: usize = 64 * 1024;

/// A signature that can be checked: its form is right, nothing in it is unknown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detached {
    pub(crate) packet: Signature,
    made: Timestamp,
}

impl Detached {
    /// Reads the value of a signature: one block of armour with one signature, and nothing else.
    ///
    /// A value with several signatures is refused. It would be valid here and not there, depending
    /// on which keys somebody has.
    ///
    /// # Errors
    ///
    /// The text is too long or damaged, holds something else, or the signature is of a kind that
    /// proves nothing about bytes, or uses a weak hash.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_SIZE {
            return Err(Error::TooLarge { size: text.len() });
        }
        let blocks = armor::read(text, Around::Nothing)?;
        let block = match blocks.as_slice() {
            [] => return Err(Error::Empty),
            [block] => block,
            [..] => return Err(Error::Several),
        };
        if block.label != "SIGNATURE" {
            return Err(Error::Unexpected {
                found: format!("a block `PGP {}`", block.label),
            });
        }
        let mut packets = PacketParser::new(block.bytes.as_slice());
        let packet = match packets.next() {
            None => return Err(Error::Empty),
            Some(Err(error)) => {
                return Err(Error::Malformed {
                    detail: error.to_string(),
                });
            }
            Some(Ok(Packet::Signature(signature))) => signature,
            Some(Ok(packet)) => {
                return Err(Error::Unexpected {
                    found: format!("a packet of type {}", u8::from(packet.tag())),
                });
            }
        };
        if packets.next().is_some() || !packets.into_inner().is_empty() {
            return Err(Error::Several);
        }
        Self::of(packet)
    }

    /// Checks what a signature states of itself.
    pub(crate) fn of(packet: Signature) -> Result<Self, Error> {
        let Some(config) = packet.config() else {
            return Err(Error::Version {
                version: u8::from(packet.version()),
            });
        };
        if !matches!(
            config.version(),
            SignatureVersion::V4 | SignatureVersion::V6
        ) {
            return Err(Error::Version {
                version: u8::from(config.version()),
            });
        }
        if config.typ() != SignatureType::Binary {
            return Err(Error::NotOfBytes {
                kind: u8::from(config.typ()),
            });
        }
        if !is_strong(config.hash_alg) {
            return Err(Error::WeakHash {
                hash: config.hash_alg,
            });
        }
        if demands_unknown(&packet) {
            return Err(Error::DemandsUnknown);
        }
        let made = created(&packet).ok_or(Error::NoTime)?;
        Ok(Self { packet, made })
    }

    /// Writes the signature in armour.
    pub(crate) fn to_text(&self) -> Result<String, pgp::errors::Error> {
        let mut text = Vec::new();
        let signature = DetachedSignature::new(self.packet.clone());
        pgp::armor::write(&signature, BlockType::Signature, &mut text, None, true)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Returns when the signature was made, as its maker states.
    pub const fn made(&self) -> Timestamp {
        self.made
    }

    /// Returns which key the signature claims to be by, for messages.
    pub fn claimed_issuer(&self) -> Option<String> {
        let fingerprint = self.packet.issuer_fingerprint();
        if let Some(fingerprint) = fingerprint.first() {
            return Some(hex(fingerprint.as_bytes()));
        }
        let id = self.packet.issuer_key_id();
        id.first().map(|id| hex(id.as_ref()))
    }
}

/// Why a text is not a signature that can be checked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The text cannot be one signature.
    #[error("{size} bytes are too much for an OpenPGP signature, the limit is {MAX_SIZE}")]
    TooLarge { size: usize },
    /// The armour is damaged, or there is something beside it.
    #[error("malformed armour")]
    Armor(#[from] armor::Error),
    /// There is no signature.
    #[error("no OpenPGP signature found")]
    Empty,
    /// There is more than one signature, or something behind the one.
    #[error("there is more than one OpenPGP signature in the value")]
    Several,
    /// There is something else.
    #[error("expected an OpenPGP signature, found {found}")]
    Unexpected { found: String },
    /// The signature cannot be read.
    #[error("malformed OpenPGP signature: {detail}")]
    Malformed { detail: String },
    /// The version is too old to protect its own statements, or not known.
    #[error("OpenPGP signatures of version {version} are not supported, those of 4 and 6 are")]
    Version { version: u8 },
    /// The signature is of a text with any line ends, of a key, or of something else.
    #[error("the OpenPGP signature is of type {kind:#04x}, not one of bytes (0x00)")]
    NotOfBytes { kind: u8 },
    /// Other bytes could be found that the signature covers.
    #[error("the OpenPGP signature uses {hash}, which is too weak")]
    WeakHash { hash: HashAlgorithm },
    /// The signature is not to be accepted by whom does not understand all of it.
    #[error("the OpenPGP signature has a critical part that is not known here")]
    DemandsUnknown,
    /// When the signature was made is not known.
    #[error("the OpenPGP signature does not state when it was made")]
    NoTime,
}
