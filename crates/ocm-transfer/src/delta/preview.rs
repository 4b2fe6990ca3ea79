//! What a delta archive would leave out.

use std::collections::{BTreeMap, BTreeSet};

use ocm_digest::Digest;
use ocm_model::access::AccessKind;
use ocm_oci::{CopyOptions, Depth, media_type, survey};
use ocm_repository::{Artifact, Content};

use super::Base;
use crate::error::Error;
use crate::gather::{at, read};
use crate::plan::{Action, VersionPlan};
use crate::step::Step;
use crate::transfer::Transfer;

/// Looks at everything that a plan moves.
pub(crate) async fn left_out(
    transfer: &Transfer,
    base: &Base,
    copy: &CopyOptions,
) -> Result<BTreeMap<Digest, u64>, Error> {
    let (mut left_out, nothing) = (BTreeMap::new(), BTreeSet::new());
    let versions = transfer.plan.component_versions.iter();
    for version in versions.filter(|version| version.action != Action::Skip) {
        for artifact in artifacts(transfer, version).await? {
            let Artifact {
                store,
                repository,
                root,
            } = &artifact;
            let found = survey(store, repository, root, &nothing, Depth::Presence, copy);
            let found = found.await.map_err(|source| {
                let what = format!("artifact {}", root.digest);
                let source = ocm_repository::Error::backend("read", what, source);
                Error::repository("look at", at(&version.id, &transfer.target), source)
            })?;
            let blobs = found.found_blobs.into_iter();
            left_out.extend(blobs.filter(|(digest, _)| base.has(digest)));
        }
    }
    Ok(left_out)
}

/// Returns what a component version is stored as, and the images that are copied with it.
async fn artifacts(transfer: &Transfer, version: &VersionPlan) -> Result<Vec<Artifact>, Error> {
    let source = transfer.sources.get(&version.source)?;
    let failed = |error| Error::repository("read", at(&version.id, source), error);
    let stored = source.stored_artifact(&version.id).await.map_err(failed)?;
    let mut artifacts: Vec<Artifact> = stored.into_iter().collect();
    let descriptor = read(source, &version.id).await?.descriptor;
    for (resource, plan) in descriptor.resources().iter().zip(&version.resources) {
        let is_copied = plan.step.moves() && plan.step != Step::CopyLocalBlob;
        let image = resource
            .access
            .as_ref()
            .filter(|access| is_copied && matches!(access.kind(), Ok(AccessKind::OciImage(_))));
        let Some(access) = image else { continue };
        // Carrying out the plan says what is wrong, if it still is.
        if let Ok(Content::Artifact(artifact)) = transfer.access.content(access).await
            && media_type::is_manifest(&artifact.root.media_type)
        {
            artifacts.push(*artifact);
        }
    }
    Ok(artifacts)
}
