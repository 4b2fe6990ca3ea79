//! Verifying a descriptor: normalise as the signature says, compare the digests, check the
//! signature of the digest.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use ocm_digest::{Digest, HashAlgorithm, ParseDigestError};
use ocm_model::normalisation::UnknownNormalisation;
use ocm_model::{Descriptor, NormalisationAlgorithm, Signature};
use thiserror::Error;

use crate::role::{BoxError, TimestampVerifier, Verifier, VerifyError};
use crate::verified::{Checked, Rules, SigningTime, Verified};

/// What is known about time where signatures are verified.
#[derive(Clone, Copy)]
pub struct Clock<'a> {
    /// The present, as of which signatures without a verified timestamp are judged.
    pub now: Timestamp,
    /// Who checks timestamps. Without, they count for nothing.
    pub timestamps: Option<&'a dyn TimestampVerifier>,
}

impl Clock<'_> {
    /// Knows what time it is, and trusts no timestamp.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            timestamps: None,
        }
    }
}

/// Verifies one signature of a descriptor.
///
/// The signature covers the descriptor, and by it the digests of resources and references. That
/// their content has these digests is checked where it is read.
///
/// # Errors
///
/// Everything but a valid signature of this name over this content by whom `verifier` trusts.
pub fn verify(
    descriptor: Descriptor,
    signature: &str,
    verifier: &dyn Verifier,
    clock: Clock<'_>,
) -> Result<Verified<Descriptor>, Error> {
    let checked = check(&descriptor, signature, verifier, clock)?;
    Ok(Verified::new(descriptor, checked))
}

impl Verified<Descriptor> {
    /// Verifies one more signature.
    ///
    /// # Errors
    ///
    /// As those of [`verify`].
    pub fn and(
        mut self,
        signature: &str,
        verifier: &dyn Verifier,
        clock: Clock<'_>,
    ) -> Result<Self, Error> {
        let checked = check(&self, signature, verifier, clock)?;
        self.push(checked);
        Ok(self)
    }
}

/// Verifies one signature of a descriptor that is kept by the caller, and gives the report alone.
/// [`Subject`] is for several.
///
/// # Errors
///
/// As those of [`verify`].
pub fn check(
    descriptor: &Descriptor,
    signature: &str,
    verifier: &dyn Verifier,
    clock: Clock<'_>,
) -> Result<Checked, Error> {
    Subject::new(descriptor).check(signature, verifier, clock)
}

/// A descriptor whose signatures are checked one by one. They are read once, and what they cover is
/// computed once for each pair of normalisation and hash.
#[derive(Debug)]
pub struct Subject<'a> {
    descriptor: &'a Descriptor,
    signatures: Vec<Signature>,
    digests: Mutex<BTreeMap<(NormalisationAlgorithm, HashAlgorithm), Digest>>,
}

impl<'a> Subject<'a> {
    /// Reads the signatures of a descriptor.
    pub fn new(descriptor: &'a Descriptor) -> Self {
        Self {
            descriptor,
            signatures: descriptor.signatures(),
            digests: Mutex::default(),
        }
    }

    /// Returns the descriptor.
    pub const fn descriptor(&self) -> &'a Descriptor {
        self.descriptor
    }

    /// Returns the signatures that are there, in their order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Verifies one signature, and gives the report.
    ///
    /// # Errors
    ///
    /// As those of [`verify`].
    pub fn check(
        &self,
        signature: &str,
        verifier: &dyn Verifier,
        clock: Clock<'_>,
    ) -> Result<Checked, Error> {
        let signature = self.find(signature)?;
        let covered = self.covered(signature)?;
        let time = signing_time(signature, &covered.digest, clock)?;
        let at = match time {
            SigningTime::Attested(at) => at,
            SigningTime::Unknown | SigningTime::Unverified { .. } => clock.now,
        };
        let signatory = verifier.verify(&covered.digest, &signature.signature, at);
        let signatory =
            signatory.map_err(|error| Error::of_verifier(signature.name.clone(), error))?;
        Ok(Checked {
            signature: signature.name.clone(),
            algorithm: signature.signature.algorithm.clone(),
            digest: covered.digest,
            normalisation: covered.normalisation,
            rules: covered.rules,
            signatory,
            time,
        })
    }

    /// Returns the one signature of a name.
    fn find(&self, name: &str) -> Result<&Signature, Error> {
        let mut found = self.signatures.iter().filter(|it| it.name == name);
        let name = name.to_owned();
        match (found.next(), found.next()) {
            (Some(signature), None) => Ok(signature),
            (Some(_), Some(_)) => Err(Error::Ambiguous { name }),
            (None, _) => {
                let names = self.signatures.iter().map(|it| it.name.clone());
                let names = Names(names.collect());
                Err(Error::NoSignature { name, names })
            }
        }
    }

    /// Checks that a signature speaks of this content, whoever made it.
    fn covered(&self, signature: &Signature) -> Result<Covered, Error> {
        let name = || signature.name.clone();
        let normalisation: NormalisationAlgorithm =
            (signature.digest.normalisation_algorithm.parse()).map_err(|source| {
                Error::UnknownNormalisation {
                    name: name(),
                    source,
                }
            })?;
        let stated = (signature.digest.digest()).map_err(|source| Error::Digest {
            name: name(),
            source,
        })?;
        let hash = stated.algorithm();
        let computed = self.digest(normalisation, hash);
        let is_stated = |digest: &Digest| *digest == stated;
        let rules = if is_stated(&computed) {
            Rules::Named
        } else if (self.descriptor.normalise_candidates(normalisation).iter())
            .any(|candidate| is_stated(&candidate.digest(hash)))
        {
            Rules::Variant
        } else {
            return Err(Error::ContentChanged {
                name: name(),
                stated,
                computed,
            });
        };
        Ok(Covered {
            digest: stated,
            normalisation,
            rules,
        })
    }

    /// Returns the digest of the descriptor by the rules of an algorithm.
    fn digest(&self, normalisation: NormalisationAlgorithm, hash: HashAlgorithm) -> Digest {
        // Each change is one insertion, so that the map is whole even where a holder panicked.
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        *digests
            .entry((normalisation, hash))
            .or_insert_with(|| self.descriptor.normalise(normalisation).digest(hash))
    }
}

/// Finds out when a signature was made. A timestamp that is wrong makes it invalid; one that is
/// not trusted is as good as none.
fn signing_time(
    signature: &Signature,
    digest: &Digest,
    clock: Clock<'_>,
) -> Result<SigningTime, Error> {
    let Some(timestamp) = &signature.timestamp else {
        return Ok(SigningTime::Unknown);
    };
    let Some(verifier) = clock.timestamps else {
        let reason = "no timestamp authority is trusted".to_owned();
        return Ok(SigningTime::Unverified { reason });
    };
    match verifier.verify(digest, timestamp) {
        Ok(time) => Ok(SigningTime::Attested(time)),
        Err(VerifyError::Untrusted(source)) => {
            let reason = source.to_string();
            Ok(SigningTime::Unverified { reason })
        }
        Err(source) => Err(Error::Timestamp {
            name: signature.name.clone(),
            source,
        }),
    }
}

/// What a signature was found to speak of.
struct Covered {
    digest: Digest,
    normalisation: NormalisationAlgorithm,
    rules: Rules,
}

/// The names of the signatures that are there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names(pub Vec<String>);

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is none at all");
        }
        write!(f, "there is `{}`", self.0.join("`, `"))
    }
}

/// Why a descriptor is not verified.
///
/// No variant means that something could not be read or reached: each says that the descriptor is
/// not to be relied on as it is.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// There is no signature of this name.
    #[error("no signature `{name}`, {names}")]
    NoSignature { name: String, names: Names },
    /// There are several signatures of this name, so that one could stand for the other.
    #[error("there is more than one signature `{name}`")]
    Ambiguous { name: String },
    /// How the descriptor is to be normalised is not known.
    #[error("cannot compute what signature `{name}` covers")]
    UnknownNormalisation {
        name: String,
        source: UnknownNormalisation,
    },
    /// The digest in the signature is malformed, or its algorithm is not known.
    #[error("signature `{name}` has no digest that can be computed")]
    Digest {
        name: String,
        source: ParseDigestError,
    },
    /// The signature was made of a descriptor with other content. Where
    /// [`crate::references::are_stated_otherwise`], it may still hold for the restated descriptor.
    #[error(
        "the content is not what was signed: signature `{name}` is of {stated}, \
         the descriptor has {computed}"
    )]
    ContentChanged {
        name: String,
        stated: Digest,
        computed: Digest,
    },
    /// The verifier does not know this kind of signature.
    #[error("cannot verify signature `{name}`")]
    UnknownAlgorithm { name: String, source: BoxError },
    /// The signature cannot be read.
    #[error("signature `{name}` is malformed")]
    Malformed { name: String, source: BoxError },
    /// The signature was not made by whom the verifier trusts, or of another digest.
    #[error("signature `{name}` is not valid")]
    Mismatch { name: String, source: BoxError },
    /// The timestamp of the signature is of something else, or damaged.
    #[error("signature `{name}` has a timestamp that does not hold")]
    Timestamp { name: String, source: VerifyError },
    /// The verifier has nothing to trust, or no trust in what it has.
    #[error("signature `{name}` cannot be trusted")]
    Untrusted { name: String, source: BoxError },
}

impl Error {
    fn of_verifier(name: String, error: VerifyError) -> Self {
        match error {
            VerifyError::Unknown(source) => Self::UnknownAlgorithm { name, source },
            VerifyError::Malformed(source) => Self::Malformed { name, source },
            VerifyError::Mismatch(source) => Self::Mismatch { name, source },
            VerifyError::Untrusted(source) => Self::Untrusted { name, source },
        }
    }
}
