//! What a delta archive would leave out.

use std::collections::{BTreeMap, BTreeSet};

use ocm_digest::Digest;
use ocm_model::access::AccessKind;
use ocm_oci::{CopyOptions, Depth, Descriptor, media_type, survey};
use ocm_repository::{Artifact, Content};

use super::Base;
use super::chunked::count_new_bytes;
use super::chunks::{ChunkList, KnownChunks};
use crate::error::Error;
use crate::gather::{at, read};
use crate::plan::{Action, VersionPlan};
use crate::step::Step;
use crate::transfer::Transfer;

/// What a delta archive would leave out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preview {
    /// Blobs, with their sizes in bytes.
    pub whole: BTreeMap<Digest, u64>,
    /// Blobs of which parts are left out, with the size of these parts in bytes.
    pub in_part: BTreeMap<Digest, u64>,
}

/// Looks at everything that a plan moves, and reads the blobs of which parts may be left out, where
/// that is done.
pub(crate) async fn left_out(
    transfer: &Transfer,
    base: &Base,
    chunks: bool,
    copy: &CopyOptions,
) -> Result<Preview, Error> {
    let (mut preview, nothing) = (Preview::default(), BTreeSet::new());
    let known = chunks.then(|| KnownChunks::new(&base.chunks));
    let mut compressed = BTreeSet::new();
    let versions = transfer.plan.component_versions.iter();
    for version in versions.filter(|version| version.action != Action::Skip) {
        for artifact in artifacts(transfer, version).await? {
            let Artifact {
                store,
                repository,
                root,
            } = &artifact;
            let found = survey(store, repository, root, &nothing, Depth::Presence, copy);
            let failed = |source| {
                let what = format!("artifact {}", root.digest);
                let source = ocm_repository::Error::backend("read", what, source);
                Error::repository("look at", at(&version.id, &transfer.target), source)
            };
            for (digest, size) in found.await.map_err(failed)?.found_blobs {
                if base.has(&digest) {
                    preview.whole.insert(digest, size);
                    continue;
                }
                let is_seen = preview.in_part.contains_key(&digest) || compressed.contains(&digest);
                let Some(known) = known
                    .as_ref()
                    .filter(|_| ChunkList::is_for(size) && !is_seen)
                else {
                    continue;
                };
                let blob = store.blob(repository, &Descriptor::new("", digest, size));
                let new_bytes = count_new_bytes(&copy.watch(&blob), known).await;
                let what = || format!("blob {digest}");
                let new_bytes = new_bytes
                    .map_err(|source| failed(ocm_oci::Error::blob("read", what(), source)))?;
                if let Some(new) = new_bytes {
                    preview.in_part.insert(digest, size.saturating_sub(new));
                } else {
                    compressed.insert(digest);
                }
            }
        }
    }
    Ok(preview)
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
