//! Verifying: the signatures of a component version, the digests of its references, and content.
//!
//! One signature on the root vouches for everything below it: it covers the digests of resources
//! and of references, a reference's digest covers the referenced descriptor, and so on down. So
//! with the signature right, every digest below is compared with what is really there.

pub(crate) mod content;
mod error;
pub(crate) mod references;
mod report;
mod signatures;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use ocm_model::{Descriptor, RepositorySpec};
use ocm_oci::{CopyOptions, Moved};
use ocm_repository::{RepositoryRef, StoredVersion};
use ocm_signing::policy::Policy;
use ocm_signing::references::Referenced;
use ocm_signing::{Checked, TimestampVerifier};

use self::references::check_references;
use self::signatures::Found;
use crate::address::Located;
use crate::error::Error;
use crate::rules::Rules;
use crate::session::{Ocm, Use};
use crate::tree::{self, Node};
use crate::trust::{KeyMaterial, Trust};

pub use self::error::VerifyError;
pub use self::report::{
    ContentCheck, ContentOutcome, FailingSignature, ReferenceCheck, VerifyReport,
};

/// What is verified, and against which keys.
#[derive(Clone)]
pub struct VerifyOptions {
    /// The present, as of which keys and certificates are judged.
    pub now: Timestamp,
    /// The names of the signatures that must hold; none means every one that is there.
    pub signatures: Vec<String>,
    /// Which signatures must hold, instead of all that are there.
    pub policy: Option<Policy>,
    /// Whom to trust. A signature that has nothing here is checked with what the configuration has
    /// for it.
    pub trust: Trust,
    /// Who checks timestamps. Without, they count for nothing.
    pub timestamps: Option<Arc<dyn TimestampVerifier>>,
    /// Where component versions that are referred to are looked for, after the repository of the
    /// one that is verified and those that are configured.
    pub lookup: Vec<RepositorySpec>,
    /// Who checks the component descriptors against the rules of their schema, if anybody.
    pub rules: Option<Arc<Rules>>,
    /// Leave content alone: check signatures and references only.
    pub skip_content: bool,
    /// How many blobs are read at a time, and who is told.
    pub copy: CopyOptions,
    /// Who learns how far the content is. Its sizes are only found out for somebody.
    pub progress: Option<Arc<dyn VerifyProgress>>,
}

/// Learns how verifying content goes. Every method has a default that does nothing.
///
/// How the bytes of a blob are read is told to the [`CopyProgress`](ocm_oci::CopyProgress) in
/// [`VerifyOptions::copy`].
pub trait VerifyProgress: fmt::Debug + Send + Sync {
    /// The content of so many resources is looked at, of the sizes given as far as they are known.
    fn planned(&self, sizes: &[Option<u64>]) {
        let _ = sizes;
    }

    /// One of them is done with.
    fn checked(&self, read: &Moved) {
        let _ = read;
    }
}

impl VerifyOptions {
    /// Verifies every signature with what is configured for it.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            signatures: Vec::new(),
            policy: None,
            trust: Trust::default(),
            timestamps: None,
            lookup: Vec::new(),
            rules: None,
            skip_content: false,
            copy: CopyOptions::default(),
            progress: None,
        }
    }

    /// Verifies every signature with one key.
    pub fn with_key(key: KeyMaterial, now: Timestamp) -> Self {
        Self {
            trust: Trust::in_key(key),
            ..Self::new(now)
        }
    }
}

impl Ocm {
    /// Verifies a component version: its signatures, its references all the way down, and the
    /// content of every resource that can be reached.
    ///
    /// # Errors
    ///
    /// Something is not what was signed, or cannot be read. Nothing is verified then.
    pub async fn verify(
        &self,
        located: &Located,
        options: &VerifyOptions,
    ) -> Result<VerifyReport, Error> {
        let repository = self.open(&located.repository, Use::Read).await?;
        let id = self.one_version(&repository, located).await?;
        let stored = repository.component_version(&id).await?;
        located.check_digest(&id, &stored)?;
        self.verify_stored(repository, stored, options).await
    }

    /// Verifies the signatures of a component version that has been read, and nothing below it: no
    /// reference is followed and no content is read. So a signature by the first Go tool that
    /// covers digests of references which the descriptor does not state does not hold here.
    ///
    /// # Errors
    ///
    /// A signature that must hold is missing or does not.
    pub async fn verify_signatures(
        &self,
        descriptor: &Descriptor,
        options: &VerifyOptions,
    ) -> Result<Vec<Checked>, Error> {
        let found = self
            .check_signatures(descriptor, &Referenced::default(), options)
            .await?;
        Ok(found.holding)
    }

    /// Verifies a component version that has been read.
    pub(crate) async fn verify_stored(
        &self,
        repository: RepositoryRef,
        stored: StoredVersion,
        options: &VerifyOptions,
    ) -> Result<VerifyReport, Error> {
        let rules = options.rules.as_deref();
        rules.map_or(Ok(()), |rules| rules.check(&stored))?;
        let id = stored.descriptor.id().clone();
        let root = Node {
            descriptor: stored.descriptor,
            repository,
        };
        let nodes =
            self.gather(root, &options.lookup, rules)
                .await
                .map_err(|error| match error {
                    Error::Reference {
                        id,
                        reference,
                        source,
                    } => Error::Verify(VerifyError::Reference {
                        id,
                        reference,
                        source,
                    }),
                    error => error,
                })?;
        let nodes = tree::with_kept_digests(&nodes)?;
        let referenced = tree::below(&nodes);

        let Found { holding, failing } = self
            .check_signatures(&nodes[0].descriptor, &referenced, options)
            .await?;
        let references = check_references(&nodes, &referenced)?;
        let content = if options.skip_content {
            Vec::new()
        } else {
            self.check_content(&nodes, &options.copy, options.progress.as_deref())
                .await?
        };
        Ok(VerifyReport {
            component: id,
            signatures: holding,
            failing,
            references,
            content,
        })
    }
}
