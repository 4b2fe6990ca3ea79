//! Whether a plan that was stored still stands: whether what it was made from is as it was.

use std::sync::Arc;

use ocm_digest::Digest;
use ocm_repository::RepositoryRef;

use crate::error::Error;
use crate::gather::{at, read};
use crate::options::Policy;
use crate::parallel;
use crate::plan::{Action, VersionPlan};
use crate::planner::Inspector;
use crate::reference::KnownDigest;
use crate::transfer::Transfer;

/// How many component versions are asked for at a time.
const PARALLEL: usize = 16;

/// Checks all component versions of a plan, before any of them is touched.
pub(crate) async fn check(transfer: &Transfer) -> Result<(), Error> {
    let indices = 0..transfer.plan.component_versions.len();
    let transfer = transfer.clone();
    let checks = indices.map(move |index| {
        let transfer = transfer.clone();
        async move {
            let version = &transfer.plan.component_versions[index];
            check_source(&transfer, version).await?;
            check_target(&transfer, version).await
        }
    });
    parallel::all(checks, PARALLEL).await.map(drop)
}

/// Has all component versions inspected that are going to be read.
pub(crate) async fn inspect(
    transfer: &Transfer,
    inspector: &Arc<dyn Inspector>,
) -> Result<(), Error> {
    let versions = transfer.plan.component_versions.iter();
    let moving = versions.filter(|version| version.action != Action::Skip);
    let moving: Vec<VersionPlan> = moving.cloned().collect();
    let (transfer, inspector) = (transfer.clone(), Arc::clone(inspector));
    let inspections = moving.into_iter().map(move |version| {
        let source = transfer.sources.get(&version.source).map(Arc::clone);
        let inspector = Arc::clone(&inspector);
        async move {
            let source = source?;
            let stored = read(&source, &version.id).await?;
            if stored.stored_digest != version.source_digest {
                return Err(changed(&source, &version));
            }
            let passed = inspector.inspect(&stored);
            passed.map_err(|source| Error::Refused {
                id: version.id,
                source,
            })
        }
    });
    parallel::all(inspections, PARALLEL).await.map(drop)
}

/// What is skipped is not read, so it need not be there any more.
async fn check_source(transfer: &Transfer, version: &VersionPlan) -> Result<(), Error> {
    if version.action == Action::Skip {
        return Ok(());
    }
    let source = transfer.sources.get(&version.source)?;
    match stored(source, version).await? {
        Some(digest) if digest == version.source_digest => Ok(()),
        Some(_) => Err(changed(source, version)),
        None => read(source, &version.id).await.map(drop),
    }
}

async fn check_target(transfer: &Transfer, version: &VersionPlan) -> Result<(), Error> {
    let target = &transfer.target;
    let Some(digest) = stored(target, version).await? else {
        return match version.action {
            Action::Add => Ok(()),
            Action::Update | Action::Replace | Action::Skip => Err(changed(target, version)),
        };
    };
    let is_expected = version.target_digest == Some(digest)
        || digest == version.source_digest
        || transfer.plan.options.existing == Policy::Skip;
    if is_expected {
        return Ok(());
    }
    // An earlier run has written it, with the accesses of the target; or somebody has signed it.
    let existing = read(target, &version.id).await?;
    if KnownDigest::of(&existing.descriptor).digest_spec() == version.digest {
        return Ok(());
    }
    Err(changed(target, version))
}

async fn stored(
    repository: &RepositoryRef,
    version: &VersionPlan,
) -> Result<Option<Digest>, Error> {
    let digest = repository.stored_digest(&version.id).await;
    digest.map_err(|source| Error::repository("look for", at(&version.id, repository), source))
}

fn changed(repository: &RepositoryRef, version: &VersionPlan) -> Error {
    Error::ChangedSince {
        id: version.id.clone(),
        location: repository.location(),
    }
}
