//! What verifying reports: what was checked, and what it was found to be.

use ocm_model::{ComponentVersionId, DigestSpec, Identity};
use ocm_signing::{Checked, SigningTime};
use serde::Serialize;

use crate::serialise::display;

/// What was checked and found right.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// The component version.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// Its signatures.
    #[serde(serialize_with = "signatures")]
    pub signatures: Vec<Checked>,
    /// Signatures that do not hold, and that the policy does not need.
    pub failing: Vec<FailingSignature>,
    /// The component versions below it, each once.
    pub references: Vec<ReferenceCheck>,
    /// The content of all of them.
    pub content: Vec<ContentCheck>,
}

impl VerifyReport {
    /// Returns the bytes of content that were read.
    pub fn size(&self) -> u64 {
        self.content
            .iter()
            .map(|content| content.outcome.size())
            .sum()
    }
}

/// A signature that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct FailingSignature {
    /// Its name.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// A reference whose digest is that of the component version it names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceCheck {
    /// The referenced component version.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// The digest of its descriptor.
    pub digest: DigestSpec,
}

/// What became of the content of a resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentCheck {
    /// The component version that the resource belongs to.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// The identity of the resource.
    #[serde(serialize_with = "display")]
    pub resource: Identity,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: ContentOutcome,
}

impl ContentCheck {
    /// Returns why the content could not be checked, if it could not.
    pub fn unchecked(&self) -> Option<&str> {
        match &self.outcome {
            ContentOutcome::Unchecked { reason } => Some(reason),
            ContentOutcome::Verified { .. } | ContentOutcome::Excluded => None,
        }
    }
}

/// What became of the content of a resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum ContentOutcome {
    /// It was read to its end, and is what the digest says.
    Verified {
        /// The bytes that were read.
        size: u64,
    },
    /// The signer left it out on purpose, or there is none.
    Excluded,
    /// It could not be checked: it cannot be reached from here, or has no digest.
    Unchecked {
        /// Why.
        reason: String,
    },
}

impl ContentOutcome {
    const fn size(&self) -> u64 {
        match self {
            Self::Verified { size } => *size,
            Self::Excluded | Self::Unchecked { .. } => 0,
        }
    }
}

fn signatures<S: serde::Serializer>(checked: &[Checked], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(checked.iter().map(|checked| {
        let mut entry = serde_json::json!({
            "name": checked.signature,
            "algorithm": checked.algorithm,
            "digest": checked.digest.to_string(),
            "normalisation": checked.normalisation.to_string(),
            "signatory": checked.signatory,
        });
        if let Some(time) = checked.signed_at() {
            entry["signedAt"] = time.to_string().into();
        }
        if let SigningTime::Unverified { reason } = &checked.time {
            entry["unverifiedTimestamp"] = reason.as_str().into();
        }
        entry
    }))
}
