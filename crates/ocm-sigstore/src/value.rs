//! Values of signatures: bundles, and the entries of logs that the first Go tool kept instead.
//!
//! | algorithm | media type | value |
//! | --- | --- | --- |
//! | `Sigstore/v1alpha1`, `sigstore` | `application/vnd.dev.sigstore.bundle.v0.3+json` | Base64 of a bundle in JSON |
//! | `sigstore-v2` | `application/vnd.ocm.signature.sigstore` | Base64 of `{"<uuid>": entry}`, with the certificate in the entry |
//! | `sigstore` | `application/vnd.ocm.signature.sigstore` | the same, with a public key in the entry |
//!
//! A bundle signs the bytes of a digest as if they were a file, so that what is signed is the hash
//! of a hash. The entries sign the digest itself.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::SignatureInfo;
use serde::Deserialize;
use sigstore_bundle::{BundleV03, VerificationMaterialV03};
use sigstore_rekor::{LogEntry, RekorEntryBody};
use sigstore_types::{
    Artifact, Bundle, DerCertificate, DerPublicKey, KindVersion, MessageDigest, MessageSignature,
    Sha256Hash, SignatureContent, VerificationMaterialContent,
};
use thiserror::Error;

use crate::{ALGORITHM, BUNDLE_MEDIA_TYPE, LEGACY_ALGORITHM};

/// The media type of what the first Go tool writes.
pub const ENTRY_MEDIA_TYPE: &str = "application/vnd.ocm.signature.sigstore";
/// The algorithm of the first Go tool that keeps the certificate in the log.
pub const ENTRY_ALGORITHM: &str = "sigstore-v2";

/// The most bytes of a bundle or an entry, before it is written in Base64.
pub const MAX_VALUE_SIZE: usize = 1 << 20;

/// A signature that was read, and nothing of it believed yet.
#[derive(Debug)]
pub struct SignatureValue {
    /// The signature, and what is said to prove it.
    pub(crate) bundle: Bundle,
    /// What stands in the log for the key, where there is no certificate.
    pub(crate) logged_key: Option<DerPublicKey>,
    subject: Subject,
}

/// What was signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Subject {
    /// The bytes of the digest, as a file.
    Bytes,
    /// The digest.
    Digest,
}

impl SignatureValue {
    /// Reads the value of a signature, as its algorithm and media type say.
    ///
    /// # Errors
    ///
    /// The format is not known, or the value is too large or malformed.
    pub fn read(signature: &SignatureInfo) -> Result<Self, ReadError> {
        let read = match (signature.algorithm.as_str(), signature.media_type.as_str()) {
            (ALGORITHM | LEGACY_ALGORITHM, BUNDLE_MEDIA_TYPE) => Self::from_bundle,
            (ENTRY_ALGORITHM | LEGACY_ALGORITHM, ENTRY_MEDIA_TYPE) => Self::from_entry,
            (algorithm, media_type) => {
                return Err(ReadError::Format {
                    algorithm: algorithm.to_owned(),
                    media_type: media_type.to_owned(),
                });
            }
        };
        read(&decode(&signature.value)?)
    }

    /// Reads a bundle.
    ///
    /// # Errors
    ///
    /// The bundle is too large or malformed, or is of an attestation.
    pub fn from_bundle(json: &[u8]) -> Result<Self, ReadError> {
        /// What the parser of the family would guess.
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "mediaType")]
            _media_type: String,
        }
        let _: Wire = parse("bundle", json)?;
        let bundle: Bundle = parse("bundle", json)?;
        if !matches!(bundle.content, SignatureContent::MessageSignature(_)) {
            return Err(ReadError::Attestation);
        }
        Ok(Self {
            bundle,
            logged_key: None,
            subject: Subject::Bytes,
        })
    }

    /// Reads the log entry that the first Go tool keeps, and makes the bundle of it that would say
    /// the same.
    ///
    /// # Errors
    ///
    /// There is not exactly one entry of the right kind, or it is malformed.
    pub fn from_entry(json: &[u8]) -> Result<Self, ReadError> {
        let entries: BTreeMap<String, LogEntry> = parse("log entry", json)?;
        let mut entries = entries.into_values();
        // The first Go tool accepts none at all, which would be a signature by nobody.
        let (Some(entry), None) = (entries.next(), entries.next()) else {
            return Err(ReadError::NotOneEntry);
        };
        check_kind(entry.body.as_bytes())?;
        let format = KindVersion::HashedRekordV001;
        let body = match RekorEntryBody::parse(&entry.body, format) {
            Ok(RekorEntryBody::HashedRekordV001(body)) => body.spec,
            Ok(_) => return Err(ReadError::EntryKind),
            Err(error) => return Err(malformed("body of the log entry", error)),
        };
        let hash = &body.data.hash;
        if hash.algorithm != sigstore_types::HashAlgorithm::Sha2256 {
            return Err(ReadError::EntryKind);
        }
        let signed = Sha256Hash::from_hex(hash.value.as_str())
            .map_err(|error| malformed("digest in the log entry", error))?;
        let holder = Holder::parse(body.signature.public_key.content.as_bytes())?;
        let content = SignatureContent::MessageSignature(
            MessageSignature::new(body.signature.content).with_message_digest(MessageDigest::new(
                sigstore_types::HashAlgorithm::Sha2256,
                signed.into(),
            )),
        );
        let (material, logged_key) = match holder {
            Holder::Certificate(certificate) => {
                (VerificationMaterialV03::Certificate(certificate), None)
            }
            Holder::Key(key) => {
                let hint = String::new();
                (VerificationMaterialV03::PublicKey { hint }, Some(key))
            }
        };
        let entry = (entry.to_bundle_entry(format))
            .map_err(|error| malformed("proof of the log entry", error))?;
        Ok(Self {
            bundle: BundleV03::new(material, content)
                .with_tlog_entry(entry)
                .into_bundle(),
            logged_key,
            subject: Subject::Digest,
        })
    }

    /// Returns whether a signature has a format that [`Self::read`] may know: one of the media
    /// types, or an algorithm, of Sigstore.
    pub fn is_known(signature: &SignatureInfo) -> bool {
        let media_types = [BUNDLE_MEDIA_TYPE, ENTRY_MEDIA_TYPE];
        let algorithms = [ALGORITHM, LEGACY_ALGORITHM, ENTRY_ALGORITHM];
        media_types.contains(&signature.media_type.as_str())
            || algorithms.contains(&signature.algorithm.as_str())
    }

    /// Returns whether the signature is by a key, and not by an identity.
    pub const fn is_of_key(&self) -> bool {
        let content = &self.bundle.verification_material.content;
        matches!(content, VerificationMaterialContent::PublicKey(_))
    }

    /// Returns what must have been signed if a signature is of this digest; none if there is no
    /// such signature.
    pub(crate) fn artifact<'a>(&self, digest: &'a Digest) -> Option<Artifact<'a>> {
        match self.subject {
            Subject::Bytes => Some(Artifact::from_blob(digest.as_bytes())),
            Subject::Digest if digest.algorithm() == HashAlgorithm::Sha256 => {
                let hash = Sha256Hash::try_from(digest.as_bytes()).ok()?;
                Some(Artifact::from_digest(hash))
            }
            Subject::Digest => None,
        }
    }
}

/// Writes a bundle as the value of a signature.
pub(crate) fn encode(json: &str) -> String {
    STANDARD.encode(json)
}

fn decode(value: &str) -> Result<Vec<u8>, ReadError> {
    // Base64 takes four bytes for three.
    if value.len() > MAX_VALUE_SIZE / 3 * 4 + 4 {
        return Err(ReadError::TooLarge);
    }
    STANDARD
        .decode(value.trim_ascii())
        .map_err(|error| malformed("Base64 of the value", error))
}

fn parse<T: for<'de> Deserialize<'de>>(what: &'static str, json: &[u8]) -> Result<T, ReadError> {
    if json.len() > MAX_VALUE_SIZE {
        return Err(ReadError::TooLarge);
    }
    serde_json::from_slice(json).map_err(|error| malformed(what, error))
}

/// Checks that the body of an entry says that it is the kind of entry that it is read as.
fn check_kind(body: &[u8]) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire<'a> {
        kind: &'a str,
        api_version: &'a str,
    }
    let wire: Wire<'_> =
        serde_json::from_slice(body).map_err(|error| malformed("body of the log entry", error))?;
    match (wire.kind, wire.api_version) {
        ("hashedrekord", "0.0.1") => Ok(()),
        _ => Err(ReadError::EntryKind),
    }
}

/// Whose signature an entry of the log is.
enum Holder {
    Certificate(DerCertificate),
    Key(DerPublicKey),
}

impl Holder {
    fn parse(pem: &[u8]) -> Result<Self, ReadError> {
        const WHAT: &str = "key in the log entry";
        let pem = std::str::from_utf8(pem).map_err(|error| malformed(WHAT, error))?;
        if pem.contains("-----BEGIN CERTIFICATE-----") {
            let certificate = DerCertificate::from_pem(pem);
            return (certificate.map(Self::Certificate)).map_err(|error| malformed(WHAT, error));
        }
        let key = DerPublicKey::from_pem(pem);
        key.map(Self::Key).map_err(|error| malformed(WHAT, error))
    }
}

fn malformed(
    what: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> ReadError {
    ReadError::Malformed {
        what,
        source: Box::new(source),
    }
}

/// Why the value of a signature cannot be read.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ReadError {
    /// Another kind of signature.
    #[error("`{algorithm}` as {media_type} is not a signature of Sigstore")]
    Format {
        algorithm: String,
        media_type: String,
    },
    /// The value is larger than any honest one.
    #[error("the value has more than {MAX_VALUE_SIZE} bytes")]
    TooLarge,
    /// A part of the value is malformed.
    #[error("the {what} is malformed")]
    Malformed {
        what: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bundle signs a statement about something, not the thing.
    #[error("the bundle is of an attestation, not of a signature")]
    Attestation,
    /// There is no log entry, or it is not clear which one counts.
    #[error("the value must have exactly one log entry")]
    NotOneEntry,
    /// The log entry is not of a signature over a SHA-256.
    #[error("the log entry is not a `hashedrekord` 0.0.1 of a SHA-256")]
    EntryKind,
}
