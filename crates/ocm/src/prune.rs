//! Keeping what some component versions need, and removing all others.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use ocm_model::{ComponentName, ComponentVersionId, Reference, RepositorySpec, Version};
use ocm_repository::{Error as RepositoryError, RepositoryRef};

use crate::error::Error;
use crate::kind::causes;
use crate::remove::{PARALLEL, RemovalReport, versions_of_all};
use crate::session::Ocm;

/// A component version that stays, with all that it refers to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PruneRoot {
    /// The component.
    pub component: ComponentName,
    /// The version; the newest one if there is none, and no pre-release unless there is nothing
    /// else.
    pub version: Option<Version>,
}

/// What stays, and whether anything goes.
#[derive(Clone, Debug, Default)]
pub struct PruneOptions {
    /// What stays.
    pub roots: BTreeSet<PruneRoot>,
    /// How many older versions of each root stay, with all that they refer to.
    pub keep: usize,
    /// Change nothing.
    pub dry_run: bool,
}

impl Ocm {
    /// Removes all component versions of a place that neither are named nor referred to by such,
    /// however far down, and then what nothing needs. What is no part of a component version stays.
    ///
    /// Where a registry does not list its components, only versions of the components that stay are
    /// removed.
    ///
    /// # Errors
    ///
    /// A root is not there, or something that stays cannot be read: then nothing is removed. The
    /// place cannot be written, or does not allow it; what stays is whole then as well, and the next
    /// call goes on.
    pub async fn prune(
        &self,
        spec: &RepositorySpec,
        options: &PruneOptions,
    ) -> Result<RemovalReport, Error> {
        let place = self.shrinking(spec).await?;
        let repository = &place.repository;
        let mut report = RemovalReport::new(spec, options.dry_run);
        // What comes while this looks around is in no list of what may go.
        let components: BTreeSet<ComponentName> = match repository.components().await {
            Err(error) if is_unlisted(&error) => {
                report.unlisted = true;
                let mut first = report.clone();
                retain(repository, roots(repository, options).await?, &mut first).await?;
                first.retained.into_iter().map(|id| id.name).collect()
            }
            components => components?.into_iter().collect(),
        };
        let all = versions_of_all(repository, components.iter().cloned()).await?;
        let roots = roots(repository, options).await?;
        retain(repository, roots, &mut report).await?;
        let gone = all.into_iter().filter(|id| !report.retained.contains(id));
        report.removed = gone.collect();
        place.shrink(&mut report, &components).await?;
        Ok(report)
    }
}

/// Returns whether a place has no list of its components.
fn is_unlisted(error: &RepositoryError) -> bool {
    causes(error).any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(ocm_oci::Error::Unsupported { .. })
        )
    })
}

/// Returns the component versions that are named, and the older ones that stay with them.
async fn roots(
    repository: &RepositoryRef,
    options: &PruneOptions,
) -> Result<BTreeSet<ComponentVersionId>, Error> {
    let mut roots = BTreeSet::new();
    for PruneRoot { component, version } in &options.roots {
        let id = |version: &Version| ComponentVersionId::new(component.clone(), version.clone());
        let versions = repository.versions(component).await?;
        let position = |is_first: &dyn Fn(&Version) -> bool| versions.iter().position(is_first);
        let first = if let Some(version) = version {
            position(&|it| it == version)
        } else {
            position(&|it| !it.is_prerelease()).or_else(|| position(&|_| true))
        };
        let Some(first) = first else {
            return Err(match version {
                Some(version) => RepositoryError::NotFound {
                    id: id(version),
                    location: repository.location(),
                },
                None => RepositoryError::NoComponent {
                    name: component.clone(),
                    location: repository.location(),
                },
            }
            .into());
        };
        let kept = versions[first..]
            .iter()
            .take(options.keep.saturating_add(1));
        roots.extend(kept.map(id));
    }
    Ok(roots)
}

/// Finds all that component versions refer to, however far down.
async fn retain(
    repository: &RepositoryRef,
    roots: BTreeSet<ComponentVersionId>,
    report: &mut RemovalReport,
) -> Result<(), Error> {
    let mut seen = roots.clone();
    let mut open = roots.clone();
    while !open.is_empty() {
        let mut read = stream::iter(std::mem::take(&mut open))
            .map(|id| async move {
                let stored = repository.component_version(&id).await;
                let references = stored.map(|stored| {
                    let references = stored.descriptor.references();
                    let components = references.iter().map(Reference::component);
                    components.collect::<Vec<_>>()
                });
                (id, references)
            })
            .buffered(PARALLEL);
        while let Some((id, references)) = read.next().await {
            match references {
                Ok(references) => {
                    report.retained.insert(id);
                    let fresh = references.into_iter().filter(|id| seen.insert(id.clone()));
                    open.extend(fresh.collect::<Vec<_>>());
                }
                Err(error) if error.is_not_found() && !roots.contains(&id) => {
                    report.elsewhere.insert(id);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
