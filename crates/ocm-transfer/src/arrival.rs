//! Whether what was transferred has arrived.

use std::collections::BTreeSet;

use ocm_digest::Digest;
use ocm_model::{Access, Descriptor};
use ocm_oci::{CopyOptions, Depth, Referrer, Selection, list_referrers, survey};
use ocm_repository::{Artifact, Content, Error as RepositoryError, selection_of};

use crate::error::Error;
use crate::gather::{at, is_missing, read};
use crate::options::Policy;
use crate::parallel;
use crate::plan::{Action, VersionPlan};
use crate::reference::KnownDigest;
use crate::transfer::Transfer;

/// How many component versions are looked at at a time.
const PARALLEL: usize = 8;

/// Checks all component versions of a plan at the target.
pub(crate) async fn check(transfer: &Transfer) -> Result<(), Error> {
    let indices = 0..transfer.plan.component_versions.len();
    let transfer = transfer.clone();
    let checks = indices.map(move |index| {
        let transfer = transfer.clone();
        async move {
            let version = &transfer.plan.component_versions[index];
            check_version(&transfer, version).await
        }
    });
    parallel::all(checks, PARALLEL).await.map(drop)
}

async fn check_version(transfer: &Transfer, version: &VersionPlan) -> Result<(), Error> {
    // That policy takes whatever is there.
    if version.action == Action::Skip && transfer.plan.options.existing == Policy::Skip {
        return Ok(());
    }
    let target = &transfer.target;
    let incomplete = |reason: String| Error::Copy {
        id: version.id.clone(),
        location: target.location(),
        reason,
    };
    let arrived = match read(target, &version.id).await {
        Ok(stored) => stored.descriptor,
        Err(error) if error.is_not_found() => {
            return Err(incomplete("the component version is missing".to_owned()));
        }
        Err(error) => return Err(error),
    };
    let digest = KnownDigest::of(&arrived).digest_spec();
    if digest != version.digest {
        return Err(incomplete(format!(
            "its digest is {}, at the source it is {}",
            digest.value, version.digest.value
        )));
    }
    if version.action == Action::Skip {
        return Ok(());
    }
    let failed = |error| Error::repository("look at", at(&version.id, target), error);
    let stored = target.stored_artifact(&version.id).await.map_err(failed)?;
    let sparse = sparse(&arrived);
    if let Some(stored) = stored
        && let Some(fault) = first_fault(&stored, &sparse, Selection::all())
            .await
            .map_err(failed)?
    {
        return Err(incomplete(fault));
    }
    let source = transfer.sources.get(&version.source)?;
    let sent = read(source, &version.id).await?.descriptor;
    let accesses = |descriptor: &Descriptor| -> Vec<Option<Access>> {
        let resources = descriptor.resources().into_iter().map(|it| it.access);
        let sources = descriptor.sources().into_iter().map(|it| it.access);
        resources.chain(sources).collect()
    };
    let pairs = accesses(&sent).into_iter().zip(accesses(&arrived));
    let moved = pairs.zip(version.resources.iter().chain(&version.sources));
    for ((sent, arrived), plan) in moved.filter(|(_, plan)| plan.step.moves()) {
        let Some(arrived) = arrived else {
            return Err(incomplete(format!("{} has no access", plan.identity)));
        };
        let there = match transfer
            .access
            .content_of(target, &version.id, &arrived)
            .await
        {
            Ok(content) => content,
            Err(error) if is_missing(&error) => {
                return Err(incomplete(format!("{} is missing", plan.identity)));
            }
            Err(error) => return Err(Error::repository("read", at(&version.id, target), error)),
        };
        let (Content::Artifact(there), Some(sent)) = (there, sent) else {
            continue;
        };
        // What is local belongs to what the component version is stored as.
        let is_looked_at = arrived.is_local() && arrived.platforms().is_none();
        if !is_looked_at
            && let Some(fault) = first_fault(&there, &BTreeSet::new(), selection_of(&arrived))
                .await
                .map_err(failed)?
        {
            return Err(incomplete(format!("{}: {fault}", plan.identity)));
        }
        let here = transfer.access.content_of(source, &version.id, &sent).await;
        let here =
            here.map_err(|error| Error::repository("read", at(&version.id, source), error))?;
        let Content::Artifact(here) = here else {
            continue;
        };
        let missing = missing_referrer(&here, &there, selection_of(&arrived)).await;
        if let Some(missing) = missing.map_err(|error| {
            let error = RepositoryError::backend("list", "referrers", error);
            Error::repository("compare", at(&version.id, target), error)
        })? {
            return Err(incomplete(format!(
                "{missing}, which refers to {}, is missing",
                plan.identity
            )));
        }
    }
    Ok(())
}

/// Returns the local artifacts of which not all images were copied.
fn sparse(descriptor: &Descriptor) -> BTreeSet<Digest> {
    let resources = descriptor.resources().into_iter().map(|it| it.access);
    let sources = descriptor.sources().into_iter().map(|it| it.access);
    let sparse = resources
        .chain(sources)
        .flatten()
        .filter(|it| it.platforms().is_some());
    let local = sparse.filter_map(|access| access.as_local_blob());
    local
        .filter_map(|blob| blob.local_reference.parse().ok())
        .collect()
}

/// Returns what an artifact lacks, of what is wanted: a manifest or a blob that is not there, or
/// has another size.
async fn first_fault(
    artifact: &Artifact,
    except: &BTreeSet<Digest>,
    selection: Selection,
) -> Result<Option<String>, RepositoryError> {
    let Artifact {
        store,
        repository,
        root,
    } = artifact;
    let options = CopyOptions::new(PARALLEL).with_selection(selection);
    let survey = survey(store, repository, root, except, Depth::Presence, &options).await;
    let survey = survey.map_err(|error| {
        RepositoryError::backend("look at", format!("artifact {}", root.digest), error)
    })?;
    Ok(survey.faults.first().map(ToString::to_string))
}

/// Returns something that refers to an artifact at its source, or to what was copied of it, and not
/// at the target.
async fn missing_referrer(
    here: &Artifact,
    there: &Artifact,
    selection: Selection,
) -> Result<Option<String>, ocm_oci::Error> {
    let options = CopyOptions::new(PARALLEL).with_selection(selection);
    let sent = referrers(here, &options).await?;
    if sent.is_empty() {
        return Ok(None);
    }
    let arrived = referrers(there, &options).await?;
    // What has a tag may be another there, which has more.
    let name = |referrer: Referrer| match referrer.tag {
        Some(tag) => tag.as_str().to_owned(),
        None => referrer.manifest.digest.to_string(),
    };
    let arrived: BTreeSet<String> = arrived.into_iter().map(name).collect();
    let mut sent = sent.into_iter().map(name);
    Ok(sent.find(|name| !arrived.contains(name)))
}

async fn referrers(
    artifact: &Artifact,
    options: &CopyOptions,
) -> Result<Vec<Referrer>, ocm_oci::Error> {
    let place = (&artifact.store, &artifact.repository);
    let listed = list_referrers(place, &artifact.root, options).await?;
    Ok(listed.into_iter().flat_map(|(_, new)| new).collect())
}
