//! Signing a descriptor: normalise, hash, sign the hash.

use ocm_digest::HashAlgorithm;
use ocm_model::{Descriptor, NormalisationAlgorithm, Signature};
use serde_json::Map;
use thiserror::Error;

use crate::role::{SignError, Signer, Timestamper};

/// How a descriptor is to be signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignOptions {
    /// The name of the signature, unique in the descriptor.
    pub name: String,
    /// How the descriptor becomes bytes.
    pub normalisation: NormalisationAlgorithm,
    /// How the bytes are hashed.
    pub hash: HashAlgorithm,
    /// Whether the new signature may replace one of its name.
    pub replace: bool,
}

impl Default for SignOptions {
    /// The signature `default` over the SHA-256 of `jsonNormalisation/v4alpha1`, replacing none.
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            normalisation: NormalisationAlgorithm::default(),
            hash: HashAlgorithm::default(),
            replace: false,
        }
    }
}

/// Makes a signature of a descriptor. [`Descriptor::replace_signature`] puts it there.
///
/// The descriptor is signed as it is. That each element has a digest says
/// [`Descriptor::check_digestible`]; that it is the digest of the content, only the content.
///
/// With a timestamper, the signature comes with a timestamp of the digest that is signed.
///
/// # Errors
///
/// The name is empty or taken, the signer refuses, or there is no timestamp to be had.
pub async fn sign(
    descriptor: &Descriptor,
    options: &SignOptions,
    signer: &dyn Signer,
    timestamper: Option<&dyn Timestamper>,
) -> Result<Signature, Error> {
    let name = || options.name.clone();
    if options.name.is_empty() {
        return Err(Error::NoName);
    }
    if !options.replace && descriptor.signature(&options.name).is_some() {
        return Err(Error::NameTaken { name: name() });
    }
    let normalised = descriptor.normalise(options.normalisation);
    let digest = normalised.digest(options.hash);
    let signature = signer.sign(&digest).await;
    let signature = signature.map_err(|source| Error::Refused {
        name: name(),
        source,
    })?;
    let timestamp = match timestamper {
        Some(timestamper) => {
            let timestamp = timestamper.stamp(&digest).await;
            Some(timestamp.map_err(|source| Error::NotStamped {
                name: name(),
                source,
            })?)
        }
        None => None,
    };
    Ok(Signature {
        name: name(),
        digest: normalised.digest_spec(options.hash),
        signature,
        timestamp,
        extra: Map::new(),
    })
}

/// Why a descriptor is not signed.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// A signature is found by its name.
    #[error("a signature needs a name")]
    NoName,
    /// A signature of this name is there, and is not to be replaced.
    #[error("signature `{name}` exists already")]
    NameTaken { name: String },
    /// The signer made no signature.
    #[error("cannot make signature `{name}`")]
    Refused { name: String, source: SignError },
    /// The timestamper gave no timestamp.
    #[error("cannot obtain a timestamp for signature `{name}`")]
    NotStamped { name: String, source: SignError },
}
