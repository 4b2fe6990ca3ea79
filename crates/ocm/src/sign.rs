//! Signing component versions.

use std::sync::Arc;

use ocm_model::{ComponentVersionId, Descriptor, Signature};
use ocm_repository::{Expected, RepositoryRef};
use ocm_signing::Timestamper;
use ocm_signing::references::{are_stated_anew, restate};
use ocm_signing::sign::{SignOptions, sign};

use crate::address::Located;
use crate::error::Error;
use crate::handlers::SigningMethod;
use crate::session::{Ocm, Use};
use crate::tree::{self, Node};
use crate::trust::SigningKeys;

/// How often a signature is put on what somebody else has just changed, before giving up.
const ATTEMPTS: usize = 5;

/// What is signed, and how.
#[derive(Default)]
pub struct SignRequest {
    /// Name, normalisation, hash, and whether a signature may be replaced.
    pub options: SignOptions,
    /// Who makes the signature.
    pub method: SigningMethod,
    /// The keys; without, those that the configuration has for the signature.
    pub keys: SigningKeys,
    /// Who testifies when it was made.
    pub timestamper: Option<Arc<dyn Timestamper>>,
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
    /// Under the normalisations of the first Go tool, references count by their digests under the
    /// algorithms of the signature, as that tool computes them; the component versions that are
    /// referred to must be at hand then. What is stored keeps the digests that it states.
    ///
    /// Several signers can work at the same time: a signature is added to what is there at that
    /// moment, and none gets lost.
    ///
    /// # Errors
    ///
    /// The component version has content that its descriptor does not cover by a digest, there is
    /// no key, the name is taken, the repository cannot be written, or a component version that is
    /// referred to is needed and cannot be read.
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
        let signer = (self.signer(name, &request.method, &request.keys)).await?;
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
            let signed = self
                .as_signed(&descriptor, &repository, &request.options)
                .await?;
            let signature = sign(
                &signed,
                &request.options,
                signer.as_ref(),
                request.timestamper.as_deref(),
            )
            .await?;
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

    /// Returns a descriptor as whoever verifies the signature will hash it: as it is stored, or
    /// with digests of references under the algorithms of the signature.
    async fn as_signed(
        &self,
        descriptor: &Descriptor,
        repository: &RepositoryRef,
        options: &SignOptions,
    ) -> Result<Descriptor, Error> {
        let normalisation = options.normalisation;
        if !are_stated_anew(normalisation) || descriptor.references().is_empty() {
            return Ok(descriptor.clone());
        }
        let root = Node {
            descriptor: descriptor.clone(),
            repository: repository.clone(),
        };
        let referenced = tree::below(&self.gather(root).await?);
        restate(descriptor, normalisation, options.hash, &referenced).map_err(|source| {
            Error::Restate {
                id: descriptor.id().clone(),
                normalisation,
                source,
            }
        })
    }
}
