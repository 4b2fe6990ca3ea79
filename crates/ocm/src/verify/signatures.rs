//! The signatures of a component version.

use ocm_model::{Descriptor, Signature};
use ocm_signing::references::{Referenced, are_stated_otherwise, restate};
use ocm_signing::verify::{self, Names, check};
use ocm_signing::{Checked, Clock, Verifier};

use super::{VerifyError, VerifyOptions};
use crate::error::Error;
use crate::session::Ocm;

impl Ocm {
    /// Checks the signatures that are asked for, or all that are there.
    pub(super) async fn check_signatures(
        &self,
        descriptor: &Descriptor,
        referenced: &Referenced,
        options: &VerifyOptions,
    ) -> Result<Vec<Checked>, Error> {
        let there: Vec<String> = descriptor
            .signatures()
            .into_iter()
            .map(|signature| signature.name)
            .collect();
        if there.is_empty() {
            return Err(VerifyError::NoSignatures {
                id: descriptor.id().clone(),
            }
            .into());
        }
        let wanted = if options.signatures.is_empty() {
            &there
        } else {
            &options.signatures
        };
        let mut report = Vec::new();
        for name in wanted {
            let Some(signature) = descriptor.signature(name) else {
                let names = Names(there.clone());
                let name = name.clone();
                return Err(verify::Error::NoSignature { name, names }.into());
            };
            let verifier = self.verifier(&signature, &options.trust).await?;
            let clock = Clock {
                now: options.now,
                timestamps: options.timestamps.as_deref(),
            };
            report.push(check_signature(
                descriptor,
                &signature,
                referenced,
                verifier.as_ref(),
                clock,
            )?);
        }
        Ok(report)
    }
}

/// Checks one signature. The first Go tool signs a tree by stating the digests of references
/// under the algorithms of the signature; where they are stated otherwise by now, the signature is
/// checked against the descriptor as it was then.
fn check_signature(
    descriptor: &Descriptor,
    signature: &Signature,
    referenced: &Referenced,
    verifier: &dyn Verifier,
    clock: Clock<'_>,
) -> Result<Checked, Error> {
    let outcome = check(descriptor, &signature.name, verifier, clock);
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
