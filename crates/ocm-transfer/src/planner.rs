//! Making a plan: which component versions, in which order, and what is to be done with each.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_model::ComponentVersionId;
use ocm_repository::{AccessMethods, RepositoryRef, StoredVersion};

use crate::error::{BeyondReach, Conflict, Error};
use crate::gather::{Gathered, Gatherer, Wanted, read};
use crate::options::TransferOptions;
use crate::order::children_first;
use crate::parallel;
use crate::plan::{Totals, TransferPlan, VersionPlan};
use crate::reference;
use crate::step::Step;
use crate::transfer::{Sources, Transfer};

/// A component version to start from.
#[derive(Clone, Debug)]
pub struct Root {
    /// Where it is.
    pub repository: RepositoryRef,
    /// Which it is.
    pub id: ComponentVersionId,
}

impl Root {
    /// Returns all component versions of a repository, by name and then newest first.
    ///
    /// # Errors
    ///
    /// The repository cannot list.
    pub async fn all(repository: &RepositoryRef) -> Result<Vec<Self>, Error> {
        const PARALLEL: usize = 16;
        let location = repository.location();
        let components = repository.components().await;
        let components = components
            .map_err(|source| Error::repository("list the components in", &location, source))?;
        let repository = Arc::clone(repository);
        let listings = components.into_iter().map(move |name| {
            let repository = Arc::clone(&repository);
            async move {
                let versions = repository.versions(&name).await;
                let versions = versions
                    .map_err(|source| Error::repository("list the versions of", &name, source))?;
                let root = |version| Self {
                    repository: Arc::clone(&repository),
                    id: ComponentVersionId::new(name.clone(), version),
                };
                Ok(versions.into_iter().map(root).collect::<Vec<_>>())
            }
        });
        let listed = parallel::all(listings, PARALLEL).await?;
        Ok(listed.concat())
    }
}

/// Knows where component versions are that are not in the repository of those that refer to them.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Returns the repository in which a component version is to be looked for, if any.
    ///
    /// # Errors
    ///
    /// The repository cannot be opened.
    async fn repository(
        &self,
        id: &ComponentVersionId,
    ) -> Result<Option<RepositoryRef>, ocm_repository::Error>;
}

/// Looks at component versions before they are transferred.
pub trait Inspector: fmt::Debug + Send + Sync {
    /// Looks at a component version as it is stored at its source.
    ///
    /// # Errors
    ///
    /// It must not be transferred.
    fn inspect(&self, stored: &StoredVersion) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// Makes plans for transfers to one repository.
///
/// Planning reads descriptors and asks what the target has; it writes nothing, and reads no
/// content.
#[derive(Clone, Debug)]
pub struct Planner {
    gatherer: Gatherer,
    parallel: usize,
}

impl Planner {
    /// Plans transfers to a repository.
    pub fn new(target: RepositoryRef) -> Self {
        // A registry gets half as many requests at a time, or as many manifests in fewer of them.
        const PARALLEL: usize = 32;
        Self {
            gatherer: Gatherer {
                target,
                options: Arc::default(),
                access: AccessMethods::new(),
                resolver: None,
                inspector: None,
                given: Arc::default(),
                measures: false,
            },
            parallel: PARALLEL,
        }
    }

    /// Says what is asked for.
    #[must_use]
    pub fn with_options(mut self, options: TransferOptions) -> Self {
        self.gatherer.options = Arc::new(options);
        self
    }

    /// Says how content is read that is not stored with its component version. Without, such
    /// content is not copied.
    #[must_use]
    pub fn with_access(mut self, access: AccessMethods) -> Self {
        self.gatherer.access = access;
        self
    }

    /// Says where component versions are looked for that are referred to and not in the
    /// repository of those that refer to them.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.gatherer.resolver = Some(resolver);
        self
    }

    /// Says who looks at each component version.
    #[must_use]
    pub fn with_inspector(mut self, inspector: Arc<dyn Inspector>) -> Self {
        self.gatherer.inspector = Some(inspector);
        self
    }

    /// Says what is done with the resources of component versions, in the order of their
    /// descriptors, instead of what the options say.
    #[must_use]
    pub fn with_steps(mut self, steps: BTreeMap<ComponentVersionId, Vec<Step>>) -> Self {
        let given = steps
            .into_iter()
            .map(|(id, steps)| (id, steps.into_iter().map(Some).collect()));
        self.gatherer.given = Arc::new(given.collect());
        self
    }

    /// Also finds out the sizes of artifacts, for whoever wants to know how much is going to move.
    /// It takes reading their manifests once more.
    #[must_use]
    pub const fn measuring(mut self) -> Self {
        self.gatherer.measures = true;
        self
    }

    /// Says how many component versions are read at a time.
    #[must_use]
    pub const fn with_parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel;
        self
    }

    /// Plans the transfer of component versions, and of what they refer to as far as asked for.
    ///
    /// A component version that is reached in several ways is planned once. Of two roots with the
    /// same name and version the first counts. The plan depends on nothing but what is read.
    ///
    /// # Errors
    ///
    /// A component version cannot be read, is not the one that a reference promises, or must not
    /// be replaced at the target; all of the last kind are named together.
    pub async fn plan(&self, roots: Vec<Root>) -> Result<Transfer, Error> {
        let graph = self.gather(roots).await?;
        self.check_references(&graph).await?;
        self.check_conflicts(&graph)?;
        check_reach(&graph)?;

        let mut sources = Sources::default();
        let mut gathered: Vec<Option<Gathered>> = graph.versions.into_iter().map(Some).collect();
        let component_versions: Vec<VersionPlan> = graph
            .order
            .into_iter()
            .filter_map(|index| Some((index, gathered[index].take()?)))
            .map(|(index, version)| {
                let references = graph.children[index]
                    .iter()
                    .map(|&child| graph.ids[child].clone());
                version_plan(version, references.collect(), &mut sources)
            })
            .collect();
        let plan = TransferPlan {
            r#type: TransferPlan::TYPE.to_owned(),
            target: self.gatherer.target.location(),
            options: self.gatherer.options.as_ref().clone(),
            totals: Totals::of(&component_versions),
            component_versions,
        };
        Ok(Transfer::new(
            plan,
            Arc::clone(&self.gatherer.target),
            sources,
            self.gatherer.access.clone(),
        ))
    }

    /// Reads level by level, so that each component version is reached in the fewest steps, and
    /// that what is found does not depend on who answers first.
    async fn gather(&self, roots: Vec<Root>) -> Result<Graph, Error> {
        let mut versions: Vec<Gathered> = Vec::new();
        let mut index: BTreeMap<ComponentVersionId, usize> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut level: Vec<Wanted> = roots
            .into_iter()
            .filter(|root| seen.insert(root.id.clone()))
            .map(|root| Wanted {
                id: root.id,
                repositories: vec![root.repository],
                parent: None,
            })
            .collect();
        let roots = level.len();
        let mut steps = 0;
        while !level.is_empty() {
            let gatherer = self.gatherer.clone();
            let readings = level
                .into_iter()
                .map(move |wanted| gatherer.clone().gather(wanted));
            let found = parallel::all(readings, self.parallel).await?;
            let first = versions.len();
            for version in found {
                index.insert(version.id.clone(), versions.len());
                versions.push(version);
            }
            level = if self.gatherer.options.recursive.reaches_beyond(steps) {
                next_level(&versions[first..], &index)
            } else {
                Vec::new()
            };
            if self.gatherer.options.stop_on_existing {
                level = self.missing(level).await?;
            }
            steps += 1;
        }
        Graph::new(versions, index, roots)
    }

    /// Leaves out what the target has.
    async fn missing(&self, level: Vec<Wanted>) -> Result<Vec<Wanted>, Error> {
        let gatherer = self.gatherer.clone();
        let looks = level.into_iter().map(move |wanted| {
            let gatherer = gatherer.clone();
            async move {
                let existing = gatherer.target_digest(&wanted.id).await?;
                Ok(existing.is_none().then_some(wanted))
            }
        });
        let found = parallel::all(looks, self.parallel).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Checks each reference within the plan against the component version that it is to.
    async fn check_references(&self, graph: &Graph) -> Result<(), Error> {
        // Anything unusual takes the descriptor once more; it is not kept for that.
        let mut again = BTreeMap::new();
        for version in &graph.versions {
            for promise in &version.references {
                let Some((child, digest)) =
                    graph.child(&promise.child).zip(promise.digest.as_ref())
                else {
                    continue;
                };
                if child.digest.is(digest) {
                    continue;
                }
                if !again.contains_key(&child.id) {
                    let stored = read(&child.source, &child.id).await?;
                    again.insert(child.id.clone(), stored.descriptor);
                }
                reference::check(&again[&child.id], digest).map_err(|reason| {
                    Error::ReferenceDigest {
                        parent: version.id.clone(),
                        reference: promise.identity.clone(),
                        child: child.id.clone(),
                        reason,
                    }
                })?;
            }
        }
        Ok(())
    }

    fn check_conflicts(&self, graph: &Graph) -> Result<(), Error> {
        let conflicts: Vec<Conflict> = graph
            .versions
            .iter()
            .filter_map(|version| {
                let difference = version.assessment.as_ref().err()?.clone();
                let id = version.id.clone();
                Some(Conflict { id, difference })
            })
            .collect();
        if conflicts.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict {
            target: self.gatherer.target.location(),
            conflicts,
        })
    }
}

/// A copy that was asked for and is not made would be no success.
fn check_reach(graph: &Graph) -> Result<(), Error> {
    let assessed = graph
        .versions
        .iter()
        .filter_map(|version| version.assessment.as_ref().ok());
    let elements: Vec<BeyondReach> = assessed
        .flat_map(|assessment| assessment.beyond_reach.iter().cloned())
        .collect();
    if elements.is_empty() {
        return Ok(());
    }
    Err(Error::BeyondReach { elements })
}

/// Collects what the component versions of a level refer to and has not been read.
fn next_level(level: &[Gathered], index: &BTreeMap<ComponentVersionId, usize>) -> Vec<Wanted> {
    let mut next: BTreeMap<ComponentVersionId, Wanted> = BTreeMap::new();
    for version in level {
        for promise in &version.references {
            if index.contains_key(&promise.child) {
                continue;
            }
            let wanted = next.entry(promise.child.clone()).or_insert_with(|| Wanted {
                id: promise.child.clone(),
                repositories: Vec::new(),
                parent: Some(version.id.clone()),
            });
            let known = &mut wanted.repositories;
            if !known
                .iter()
                .any(|repository| Arc::ptr_eq(repository, &version.source))
            {
                known.push(Arc::clone(&version.source));
            }
        }
    }
    next.into_values().collect()
}

fn version_plan(
    version: Gathered,
    references: Vec<ComponentVersionId>,
    sources: &mut Sources,
) -> VersionPlan {
    let target_digest = version.planned_target_digest();
    let assessment = version
        .assessment
        .expect("conflicts have ended the planning");
    VersionPlan {
        source: sources.name(&version.source),
        source_digest: version.source_digest,
        digest: version.digest.digest_spec(),
        action: assessment.action,
        reason: assessment.reason,
        target_digest,
        references,
        resources: assessment.resources,
        sources: assessment.sources,
        id: version.id,
    }
}

/// Component versions and who refers to whom.
struct Graph {
    versions: Vec<Gathered>,
    ids: Vec<ComponentVersionId>,
    index: BTreeMap<ComponentVersionId, usize>,
    children: Vec<Vec<usize>>,
    /// Children before those that refer to them.
    order: Vec<usize>,
}

impl Graph {
    fn new(
        versions: Vec<Gathered>,
        index: BTreeMap<ComponentVersionId, usize>,
        roots: usize,
    ) -> Result<Self, Error> {
        let children: Vec<Vec<usize>> = versions
            .iter()
            .map(|version| {
                let mut seen = BTreeSet::new();
                let children = version
                    .references
                    .iter()
                    .filter_map(|promise| index.get(&promise.child));
                children
                    .copied()
                    .filter(|child| seen.insert(*child))
                    .collect()
            })
            .collect();
        let ids: Vec<ComponentVersionId> =
            versions.iter().map(|version| version.id.clone()).collect();
        let roots: Vec<usize> = (0..roots).collect();
        let order = children_first(&roots, &children).map_err(|circle| Error::Circle {
            circle: circle.into_iter().map(|node| ids[node].clone()).collect(),
        })?;
        Ok(Self {
            versions,
            ids,
            index,
            children,
            order,
        })
    }

    fn child(&self, id: &ComponentVersionId) -> Option<&Gathered> {
        self.index.get(id).map(|&index| &self.versions[index])
    }
}
