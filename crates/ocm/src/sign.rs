//! Signing component versions.

use ocm_model::{ComponentVersionId, Signature};
use ocm_repository::Expected;
use ocm_signing::key::PrivateKey;
use ocm_signing::rsa::{RsaAlgorithm, RsaSigner};
use ocm_signing::sign::{SignOptions, sign};

use crate::address::Located;
use crate::error::Error;
use crate::session::{Ocm, Use};

/// How often a signature is put on what somebody else has just changed, before giving up.
const ATTEMPTS: usize = 5;

/// What is signed, and how.
#[derive(Debug)]
pub struct SignRequest {
    /// Name, normalisation, hash, and whether a signature may be replaced.
    pub options: SignOptions,
    /// The signature algorithm.
    pub algorithm: RsaAlgorithm,
    /// The key; without it, the one that the configuration has for the signature.
    pub key: Option<PrivateKey>,
    /// Only compute the signature, and write nothing.
    pub dry_run: bool,
}

/// A signature that was made.
#[derive(Clone, Debug)]
pub struct SignReport {
    /// What was signed.
    pub component: ComponentVersionId,
    /// The signature.
    pub signature: Signature,
}

impl Ocm {
    /// Signs a component version where it is stored.
    ///
    /// Several signers can work at the same time: a signature is added to what is there at that
    /// moment, and none gets lost.
    ///
    /// # Errors
    ///
    /// The component version has content that its descriptor does not cover by a digest, there is
    /// no key, the name is taken, or the repository cannot be written.
    pub async fn sign(
        &self,
        located: &Located,
        request: &SignRequest,
    ) -> Result<SignReport, Error> {
        let usage = if request.dry_run {
            Use::Read
        } else {
            Use::Write
        };
        let repository = self.open(&located.repository, usage).await?;
        let id = self.one_version(&repository, located).await?;
        let name = &request.options.name;
        let key = match request.key.clone() {
            Some(key) => Some(key),
            None => self.private_key(request.algorithm.as_str(), name).await?,
        };
        let key = key.ok_or_else(|| Error::NoPrivateKey {
            signature: name.clone(),
            algorithm: request.algorithm.as_str().to_owned(),
        })?;
        let signer = RsaSigner::new(key, request.algorithm);
        let mut attempt = 1;
        loop {
            let stored = repository.component_version(&id).await?;
            located.check_digest(&id, &stored)?;
            let mut descriptor = stored.descriptor;
            descriptor
                .check_digestible()
                .map_err(|source| Error::NotDigestible {
                    id: id.clone(),
                    source,
                })?;
            let signature = sign(&descriptor, &request.options, &signer)?;
            if request.dry_run {
                return Ok(SignReport {
                    component: id,
                    signature,
                });
            }
            descriptor.replace_signature(&signature);
            match repository
                .put(&descriptor, Expected::Stored(stored.stored_digest))
                .await
            {
                Ok(_) => {
                    repository.commit().await?;
                    return Ok(SignReport {
                        component: id,
                        signature,
                    });
                }
                Err(ocm_repository::Error::Changed { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
