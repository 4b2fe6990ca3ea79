//! The proof that content has been verified.

use std::ops::Deref;

use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::NormalisationAlgorithm;

use crate::signatory::Signatory;

/// Content that at least one signature has been found to cover.
///
/// Only this crate makes values, so that a function which takes one cannot be called with content
/// that nobody has verified. It cannot be changed; [`Self::into_inner`] gives up the proof.
///
/// ```compile_fail
/// # use ocm_model::Descriptor;
/// # fn trust(descriptor: Descriptor) -> ocm_signing::Verified<Descriptor> {
/// ocm_signing::Verified { content: descriptor, report: Vec::new() }
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified<T> {
    content: T,
    report: Vec<Checked>,
}

/// What was found when a signature was checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// The name of the signature.
    pub signature: String,
    /// The signature algorithm, such as `RSASSA-PSS`.
    pub algorithm: String,
    /// The digest of the normalised descriptor, computed anew.
    pub digest: Digest,
    /// The normalisation that the signature names.
    pub normalisation: NormalisationAlgorithm,
    /// Which reading of that normalisation gives the digest.
    pub rules: Rules,
    /// Who made the signature.
    pub signatory: Signatory,
    /// When it was made at the latest, and who says so.
    pub time: SigningTime,
}

impl Checked {
    /// Returns when the signature was made, where somebody who is trusted testifies it.
    pub const fn signed_at(&self) -> Option<Timestamp> {
        match self.time {
            SigningTime::Attested(time) => Some(time),
            _ => self.signatory.time(),
        }
    }
}

/// What is known about when a signature was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SigningTime {
    /// The signature has no timestamp.
    Unknown,
    /// It has one by an authority that is trusted.
    Attested(Timestamp),
    /// It has one that nobody who is trusted vouches for, so that it counts for nothing.
    Unverified {
        /// Why not.
        reason: String,
    },
}

/// Which reading of a normalisation a signature was made under.
///
/// The Go implementations differ from each other in rare cases (versions of labels, `null`, absent
/// digests of references), and one of them computes `jsonNormalisation/v4alpha1` where it is asked
/// for `jsonNormalisation/v3`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rules {
    /// That of the implementation which owns the normalisation.
    Named,
    /// That of another implementation.
    Variant,
}

impl<T> Verified<T> {
    pub(crate) fn new(content: T, first: Checked) -> Self {
        Self {
            content,
            report: vec![first],
        }
    }

    pub(crate) fn push(&mut self, checked: Checked) {
        self.report.push(checked);
    }

    /// Returns what was found, signature by signature, in the order of checking; never empty.
    pub fn report(&self) -> &[Checked] {
        &self.report
    }

    /// Returns the content without the proof.
    pub fn into_inner(self) -> T {
        self.content
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.content
    }
}
