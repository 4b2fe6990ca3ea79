//! One transfer.

use std::sync::Arc;

use ocm::digest::Digest;
use ocm::model::{ComponentVersionId, NormalisationAlgorithm, RepositorySpec, json};
use ocm::oci::CopyOptions;
use ocm::repository::StoredVersion;
use ocm::transfer::{ExecuteOptions, Inspector, Planner, Root, TransferOptions, TransferProgress};
use ocm::{Kind, Use};
use serde_json::json;

use crate::api::DigestInfo;
use crate::config::Loaded;
use crate::resolution::{self, Place, Resolutions};

/// How many blobs of one transfer move at a time, and how many component versions.
const PARALLEL: usize = 4;

/// What is transferred where.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: ComponentVersionId,
    /// The digest of the component version that was verified.
    pub(super) digest: Option<DigestInfo>,
    pub(super) source: RepositorySpec,
    pub(super) target: RepositorySpec,
    pub(super) config: Loaded,
    pub(super) options: TransferOptions,
    /// What the annotation says that has an object looked at.
    pub(super) asked: Option<String>,
}

/// What came of a transfer.
pub(super) type Outcome = Result<Moved, Arc<Error>>;

/// What a transfer has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moved {
    /// All was there.
    Nothing,
    /// Component versions or content.
    Something,
}

impl Job {
    /// Names the job by everything that it depends on: another name is another transfer.
    pub(super) fn name(&self) -> Digest {
        let Self {
            id,
            digest,
            source,
            target,
            config,
            options,
            asked,
        } = self;
        let spec = |spec: &RepositorySpec| spec.to_spec().into_json();
        let parts = json!([
            id.to_string(),
            digest,
            spec(source),
            spec(target),
            config.hash,
            options,
            asked
        ]);
        Digest::sha256(json::canonical(&parts))
    }

    /// Transfers, if there is something to do. `moving` is told how many component versions there
    /// are as soon as that is known and not nothing.
    pub(super) async fn run(
        &self,
        resolutions: &Resolutions,
        moving: impl Fn(u64),
        progress: Arc<dyn TransferProgress>,
    ) -> Result<Moved, Error> {
        let place = |spec: &RepositorySpec| Place {
            config: self.config.clone(),
            repository: spec.clone(),
        };
        let (session, source) = resolutions.open(&place(&self.source), Use::Read).await?;
        let (_, target) = resolutions.open(&place(&self.target), Use::Write).await?;
        let configured = |source| Error::Configured { source };
        let resolvers = session.resolvers(&source).await.map_err(configured)?;
        let access = session.access_methods_among(resolvers.clone()).await;
        let access = access.map_err(configured)?;
        let elsewhere = ocm::transfer::Resolver::repository(&resolvers, &self.id).await;
        let elsewhere = elsewhere.map_err(|source| Error::Source {
            id: self.id.clone(),
            source,
        })?;
        let root = Root {
            repository: elsewhere.unwrap_or(source),
            id: self.id.clone(),
        };
        let planner = Planner::new(target)
            .with_options(self.options.clone())
            .with_access(access)
            .with_resolver(Arc::new(resolvers))
            .with_inspector(Arc::new(Verified {
                id: self.id.clone(),
                digest: self.digest.clone(),
            }));
        let failed = |source| Error::Transfer {
            id: self.id.clone(),
            source: Box::new(source),
        };
        let transfer = planner.plan(vec![root]).await.map_err(failed)?;
        let totals = &transfer.plan().totals;
        if totals.add + totals.update + totals.replace > 0 {
            moving(totals.component_versions);
        }
        let options = ExecuteOptions {
            copy: CopyOptions::new(PARALLEL),
            parallel: PARALLEL,
            progress,
        };
        let report = transfer.execute(&options).await.map_err(failed)?;
        transfer.check_copy().await.map_err(failed)?;
        let changed = report.added + report.updated + report.replaced + report.blobs.moved;
        Ok(if changed == 0 {
            Moved::Nothing
        } else {
            Moved::Something
        })
    }
}

/// Lets the component version pass that was verified, and no other of its name: between the two
/// the source may have changed.
#[derive(Debug)]
struct Verified {
    id: ComponentVersionId,
    digest: Option<DigestInfo>,
}

impl Inspector for Verified {
    fn inspect(
        &self,
        stored: &StoredVersion,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(digest) = &self.digest else {
            return Ok(());
        };
        let descriptor = &stored.descriptor;
        if *descriptor.id() != self.id {
            return Ok(());
        }
        let now = descriptor.normalise(NormalisationAlgorithm::JsonV4Alpha1);
        let now = now.digest(ocm::digest::HashAlgorithm::Sha256).to_hex();
        if now == digest.value {
            return Ok(());
        }
        let Self { id, .. } = self;
        let value = &digest.value;
        Err(format!("digest mismatch of {id}: {value} was verified, {now} was read").into())
    }
}

/// Why something was not transferred.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A repository cannot be opened.
    #[error(transparent)]
    Repository(#[from] resolution::Error),
    /// The configuration cannot be used.
    #[error("cannot use the configuration")]
    Configured { source: ocm::Error },
    /// The configuration names a repository that cannot be opened.
    #[error("cannot look for {id}")]
    Source {
        id: ComponentVersionId,
        source: ocm::repository::Error,
    },
    /// The transfer has failed.
    #[error("cannot transfer {id}")]
    Transfer {
        id: ComponentVersionId,
        source: Box<ocm::transfer::Error>,
    },
    /// The work has ended without an outcome.
    #[error("the transfer was lost")]
    Lost,
}

impl Error {
    /// Tells whether the same may succeed without anything being changed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Repository(error) => error.is_transient(),
            Self::Lost => true,
            _ => Kind::of(self) == Kind::Remote,
        }
    }
}
