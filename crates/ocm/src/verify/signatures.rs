//! The signatures of a component version, and the keys for them.

use ocm_model::{Descriptor, Signature};
use ocm_signing::key::PublicKey;
use ocm_signing::references::{Referenced, are_stated_otherwise, restate};
use ocm_signing::rsa::RsaVerifier;
use ocm_signing::verify::{self, Names, check};
use ocm_signing::{Checked, Clock};

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
            let given = options
                .keys
                .iter()
                .find(|(of, _)| of.as_ref() == Some(name))
                .or_else(|| options.keys.iter().find(|(of, _)| of.is_none()));
            let key = match given {
                Some((_, key)) => key.clone(),
                None => self
                    .public_key(&signature.signature.algorithm, name)
                    .await?
                    .ok_or_else(|| VerifyError::NoKey {
                        signature: name.clone(),
                    })?,
            };
            report.push(check_signature(
                descriptor,
                &signature,
                referenced,
                key,
                Clock::at(options.now),
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
    key: PublicKey,
    clock: Clock<'_>,
) -> Result<Checked, Error> {
    let verifier = RsaVerifier::with_key(key);
    let outcome = check(descriptor, &signature.name, &verifier, clock);
    let changed = matches!(outcome, Err(verify::Error::ContentChanged { .. }));
    if changed && are_stated_otherwise(descriptor, signature) {
        let normalisation = signature.digest.normalisation_algorithm.parse().ok();
        if let (Some(normalisation), Some(hash)) = (normalisation, signature.digest.algorithm())
            && let Ok(restated) = restate(descriptor, normalisation, hash, referenced)
        {
            return Ok(check(&restated, &signature.name, &verifier, clock)?);
        }
    }
    Ok(outcome?)
}
