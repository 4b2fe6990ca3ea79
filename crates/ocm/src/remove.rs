//! Removing component versions from a place, and what nothing needs there any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_backends::{OciComponentRepository, is_component_version};
use ocm_ctf::{LeftOut, Removed, Scratch, Shrinking, Unneeded};
use ocm_digest::Digest;
use ocm_model::{
    ComponentName, ComponentVersionId, Reference as ComponentReference, RepositorySpec, Version,
};
use ocm_oci::{Reference, RepositoryName};
use ocm_repository::{Removal, RepositoryRef};
use serde::Serialize;

use crate::error::Error;
use crate::serialise::displays;
use crate::session::{Ocm, Use};

/// How many component versions and repositories are asked at a time.
pub(crate) const PARALLEL: usize = 8;

/// How component versions are deleted.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteOptions {
    /// Delete what other component versions of the place refer to as well, without looking for
    /// them.
    pub force: bool,
    /// Change nothing.
    pub dry_run: bool,
}

/// What is removed from a place, or would be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovalReport {
    /// The place.
    pub repository: String,
    /// Whether nothing has been changed.
    pub dry_run: bool,
    /// The component versions that stay because of what was named, sorted. Empty if it is not about
    /// what stays.
    #[serde(serialize_with = "displays")]
    pub retained: BTreeSet<ComponentVersionId>,
    /// What these refer to and the place does not have, sorted.
    #[serde(serialize_with = "displays")]
    pub elsewhere: BTreeSet<ComponentVersionId>,
    /// The component versions that go, sorted.
    #[serde(serialize_with = "displays")]
    pub removed: BTreeSet<ComponentVersionId>,
    /// Tags that go as well, `repository:tag`, such as aliases of versions that go.
    pub tags: Vec<String>,
    /// How many manifests go.
    pub manifests: u64,
    /// How many blobs go; `None` in a registry, which removes them by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blobs: Option<u64>,
    /// How many bytes go. In a registry this is what the manifests and their blobs have that no
    /// other version of the component names; content that others share stays.
    pub bytes: u64,
    /// Whether somebody else writes to the archive, so that other blobs that nothing needs go later.
    #[serde(rename = "shared")]
    pub is_shared: bool,
    /// Whether the place does not list its components, so that only those of what stays were looked
    /// at.
    pub unlisted: bool,
}

impl RemovalReport {
    pub(crate) fn new(spec: &RepositorySpec, dry_run: bool) -> Self {
        Self {
            repository: spec.to_string(),
            dry_run,
            retained: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            removed: BTreeSet::new(),
            tags: Vec::new(),
            manifests: 0,
            blobs: None,
            bytes: 0,
            is_shared: false,
            unlisted: false,
        }
    }
}

impl Ocm {
    /// Deletes component versions, with all that nothing else needs. In an archive the blobs go as
    /// well, and everything else that nothing needs; in a registry it is for the registry to remove
    /// them.
    ///
    /// # Errors
    ///
    /// One of them is not there, or [`Error::ReferredTo`]; then nothing is deleted. The place cannot
    /// be written, or does not allow it.
    pub async fn delete(
        &self,
        spec: &RepositorySpec,
        ids: &BTreeSet<ComponentVersionId>,
        options: DeleteOptions,
    ) -> Result<RemovalReport, Error> {
        let place = self.shrinking(spec).await?;
        if !options.force {
            refuse_referred(&place.repository, ids).await?;
        }
        let mut report = RemovalReport::new(spec, options.dry_run);
        report.removed.clone_from(ids);
        place.shrink(&mut report, &BTreeSet::new()).await?;
        Ok(report)
    }

    /// Opens a place to remove something from it. An archive in one file is looked at as it is now:
    /// if another one takes its place, nothing is removed from that.
    pub(crate) async fn shrinking(&self, spec: &RepositorySpec) -> Result<Place, Error> {
        let repository = self.open(spec, Use::Read).await?;
        let RepositorySpec::Ctf(ctf) = spec else {
            return Ok(Place {
                repository,
                archive: None,
            });
        };
        let archive = Shrinking::open(self.path(&ctf.path), &Scratch::default()).await?;
        Ok(Place {
            repository: Arc::new(OciComponentRepository::new(archive.store(), None)),
            archive: Some(archive),
        })
    }
}

/// A place that something is removed from.
pub(crate) struct Place {
    pub(crate) repository: RepositoryRef,
    /// The archive, where it is one.
    archive: Option<Shrinking>,
}

impl Place {
    /// Removes what a report says that is to be removed, and of some components what a removal has
    /// left that broke off, unless it says that nothing is changed. Reports what that is.
    pub(crate) async fn shrink(
        &self,
        report: &mut RemovalReport,
        components: &BTreeSet<ComponentName>,
    ) -> Result<(), Error> {
        let repository = &self.repository;
        let mut gone: BTreeMap<&ComponentName, BTreeSet<Version>> = BTreeMap::new();
        for id in &report.removed {
            let versions = gone.entry(&id.name).or_default();
            versions.insert(id.version.clone());
        }
        let others = components.iter().filter(|name| !gone.contains_key(*name));
        let unfinished = stream::iter(others.collect::<Vec<_>>())
            .map(|name| async move { (name, repository.has_unfinished_removal(name).await) })
            .buffered(PARALLEL);
        let unfinished: Vec<_> = unfinished.collect().await;
        for (name, is_unfinished) in unfinished {
            if is_unfinished? {
                gone.insert(name, BTreeSet::new());
            }
        }
        let removals = stream::iter(gone).map(|(component, versions)| async move {
            repository.removal(component, &versions).await
        });
        let removals: Vec<Removal> = removals.buffered(PARALLEL).try_collect().await?;
        for removal in &removals {
            let name = |tag| format!("{}:{tag}", removal.repository);
            report.tags.extend(removal.other_tags.iter().map(name));
            report.manifests += removal.manifests.len() as u64;
            report.bytes += removal.bytes();
        }
        if let Some(archive) = &self.archive {
            let mut left_out = left_out_of(&removals);
            let nameless = nameless(archive).await?.into_iter();
            left_out.nameless = nameless
                .filter(|entry| !left_out.manifests.contains(entry))
                .collect();
            report.manifests += left_out.nameless.len() as u64;
            let Removed {
                unneeded: Unneeded { blobs, bytes },
                young,
                is_shared,
            } = if report.dry_run {
                let known = removals.iter().flat_map(|removal| &removal.content);
                let sizes = known.map(|(digest, size)| (*digest, *size)).collect();
                Removed {
                    unneeded: archive.preview(&left_out, &sizes).await?,
                    young: 0,
                    is_shared: false,
                }
            } else {
                archive.leave_out(&left_out).await?
            };
            report.manifests -= young;
            report.is_shared = is_shared;
            (report.blobs, report.bytes) = (Some(blobs), bytes);
            return Ok(());
        }
        if report.dry_run {
            return Ok(());
        }
        let removing = stream::iter(&removals).map(|removal| repository.remove(removal));
        let _: Vec<()> = removing.buffer_unordered(PARALLEL).try_collect().await?;
        Ok(repository.commit().await?)
    }
}

/// Returns manifests of component versions in an archive that have lost their names, as the version
/// was written anew, with what only they have.
async fn nameless(archive: &Shrinking) -> Result<BTreeSet<(RepositoryName, Digest)>, Error> {
    let unnamed = archive.unnamed()?;
    let archive = archive.store();
    let mut nodes = BTreeMap::new();
    for (repository, digest) in unnamed {
        let reference = Reference::Digest(digest);
        // Of what cannot be read nobody knows whose it is.
        if let Ok(manifest) = archive.manifest(&repository, &reference).await {
            nodes.insert((repository, digest), manifest);
        }
    }
    let roots = nodes
        .iter()
        .filter(|(_, manifest)| is_component_version(manifest));
    let mut open: Vec<_> = roots.map(|(entry, _)| entry.clone()).collect();
    let mut found = BTreeSet::new();
    while let Some(entry) = open.pop() {
        let Some(manifest) = nodes.remove(&entry) else {
            continue;
        };
        let (repository, digest) = &entry;
        let document = manifest.parse()?;
        let children = document.children().into_iter().map(|child| child.digest);
        let referrers = archive.referrers(repository, digest).await?;
        let referrers = referrers.iter().map(|referrer| referrer.digest);
        let below = children.chain(referrers);
        open.extend(below.map(|digest| (repository.clone(), digest)));
        found.insert(entry);
    }
    Ok(found)
}

fn left_out_of(removals: &[Removal]) -> LeftOut {
    let mut left_out = LeftOut::default();
    for removal in removals {
        let repository = || removal.repository.clone();
        let manifests = removal.manifests.iter();
        left_out
            .manifests
            .extend(manifests.map(|entry| (repository(), entry.digest)));
        let going = removal.names();
        left_out.names.extend(going.map(|tag| (repository(), tag)));
        let tags = removal.tags_alone.iter();
        left_out
            .tags
            .extend(tags.map(|(tag, digest)| ((repository(), tag.clone()), *digest)));
        let lists = removal.stale_lists.iter();
        left_out
            .lists
            .extend(lists.map(|(tag, digest)| ((repository(), tag.clone()), *digest)));
    }
    left_out
}

/// Returns all component versions of some components of a place, newest first within each.
pub(crate) async fn versions_of_all(
    repository: &RepositoryRef,
    components: impl IntoIterator<Item = ComponentName>,
) -> Result<Vec<ComponentVersionId>, Error> {
    let listed = stream::iter(components).map(|name| async move {
        match repository.versions(&name).await {
            Ok(versions) => {
                let ids = versions.into_iter();
                let ids = ids.map(|version| ComponentVersionId::new(name.clone(), version));
                Ok::<_, Error>(ids.collect())
            }
            // A repository that has been emptied.
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    });
    let listed: Vec<Vec<_>> = listed.buffered(PARALLEL).try_collect().await?;
    Ok(listed.into_iter().flatten().collect())
}

/// Refuses the deletion of what others refer to.
async fn refuse_referred(
    repository: &RepositoryRef,
    ids: &BTreeSet<ComponentVersionId>,
) -> Result<(), Error> {
    let components = repository.components().await?;
    let mut others = versions_of_all(repository, components).await?;
    others.retain(|id| !ids.contains(id));
    let mut referring = stream::iter(others)
        .map(|id| async move {
            let stored = match repository.component_version(&id).await {
                Ok(stored) => stored,
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(Error::from(error)),
            };
            let references = stored.descriptor.references();
            let mut components = references.iter().map(ComponentReference::component);
            let referred = components.find(|component| ids.contains(component));
            Ok(referred.map(|referred| (referred, id)))
        })
        .buffered(PARALLEL);
    while let Some(found) = referring.try_next().await? {
        if let Some((id, by)) = found {
            let location = repository.location();
            return Err(Error::ReferredTo { id, by, location });
        }
    }
    Ok(())
}
