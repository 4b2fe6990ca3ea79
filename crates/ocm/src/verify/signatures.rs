//! The signatures of a component version.

use ocm_model::{Descriptor, Signature};
use ocm_signing::policy::Outcome;
use ocm_signing::references::{Referenced, are_stated_otherwise, restate};
use ocm_signing::verify::{self, Names, Subject, check};
use ocm_signing::{Checked, Clock, Verifier};

use super::{FailingSignature, VerifyError, VerifyOptions};
use crate::error::Error;
use crate::kind::reason_of;
use crate::session::Ocm;

/// The signatures that were checked.
pub(super) struct Found {
    pub(super) holding: Vec<Checked>,
    /// Those that do not hold, and need not.
    pub(super) failing: Vec<FailingSignature>,
}

impl Ocm {
    /// Checks the signatures that are asked for by name, which must hold; else those that are
    /// there, all of which must hold unless a policy says which ones must.
    pub(super) async fn check_signatures(
        &self,
        descriptor: &Descriptor,
        referenced: &Referenced,
        options: &VerifyOptions,
    ) -> Result<Found, Error> {
        let subject = Subject::new(descriptor);
        let signatures = subject.signatures();
        if signatures.is_empty() {
            return Err(VerifyError::NoSignatures {
                id: descriptor.id().clone(),
            }
            .into());
        }
        let there = || signatures.iter().map(|it| it.name.clone()).collect();
        for name in &options.signatures {
            if !signatures.iter().any(|it| it.name == *name) {
                let (name, names) = (name.clone(), Names(there()));
                return Err(verify::Error::NoSignature { name, names }.into());
            }
        }
        let is_wanted = |name: &String| options.signatures.contains(name);
        let mut outcomes = Vec::new();
        for signature in signatures {
            let name = &signature.name;
            let must_hold = is_wanted(name);
            if !must_hold && options.policy.is_none() && !options.signatures.is_empty() {
                continue;
            }
            let result = self
                .check_one(&subject, signature, referenced, options)
                .await;
            let result = match result {
                Ok(checked) => Ok(checked),
                Err(error) if must_hold || options.policy.is_none() => return Err(error),
                Err(error) if says_not_valid(&error) => Err(reason_of(&error)),
                Err(error) => return Err(error),
            };
            let signature = name.clone();
            outcomes.push(Outcome { signature, result });
        }
        if let Some(policy) = &options.policy {
            let decision = policy.decide(&outcomes);
            decision.map_err(|source| VerifyError::Policy {
                id: descriptor.id().clone(),
                source,
            })?;
        }
        let mut found = Found {
            holding: Vec::new(),
            failing: Vec::new(),
        };
        for Outcome { signature, result } in outcomes {
            match result {
                Ok(checked) => found.holding.push(checked),
                Err(reason) => found.failing.push(FailingSignature {
                    name: signature,
                    reason,
                }),
            }
        }
        Ok(found)
    }

    /// Checks one signature with each of the keys that may have made it.
    async fn check_one(
        &self,
        subject: &Subject<'_>,
        signature: &Signature,
        referenced: &Referenced,
        options: &VerifyOptions,
    ) -> Result<Checked, Error> {
        let clock = Clock {
            now: options.now,
            timestamps: options.timestamps.as_deref(),
        };
        let mut first = None;
        for verifier in self.verifiers(signature, &options.trust).await? {
            match check_signature(subject, signature, referenced, verifier.as_ref(), clock) {
                Ok(checked) => return Ok(checked),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| {
            let signature = signature.name.clone();
            VerifyError::NoKey { signature }.into()
        }))
    }
}

/// Tells whether an error is that a signature does not hold, or cannot be told to, and not that
/// something is wrong with what it is verified with.
const fn says_not_valid(error: &Error) -> bool {
    matches!(
        error,
        Error::Signature(_)
            | Error::Verify(
                VerifyError::NoKey { .. }
                    | VerifyError::NoSignatory { .. }
                    | VerifyError::UnknownKind { .. }
                    | VerifyError::OtherKind { .. }
            )
    )
}

/// Checks one signature. The first Go tool signs a tree by stating the digests of references
/// under the algorithms of the signature; where they are stated otherwise by now, the signature is
/// checked against the descriptor as it was then.
fn check_signature(
    subject: &Subject<'_>,
    signature: &Signature,
    referenced: &Referenced,
    verifier: &dyn Verifier,
    clock: Clock<'_>,
) -> Result<Checked, Error> {
    let descriptor = subject.descriptor();
    let outcome = subject.check(&signature.name, verifier, clock);
    let changed = matches!(outcome, Err(verify::Error::ContentChanged { .. }));
    if changed && are_stated_otherwise(descriptor, signature) {
        let normalisation = signature.digest.normalisation_algorithm.parse().ok();
        if let (Some(normalisation), Some(hash)) = (normalisation, signature.digest.algorithm())
            && let Ok(restated) = restate(descriptor, normalisation, hash, referenced)
        {
            return Ok(check(&restated, &signature.name, verifier, clock)?);
        }
    }
    Ok(outcome?)
}
