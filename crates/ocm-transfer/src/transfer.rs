//! A plan together with the repositories that it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ocm_oci::CopyOptions;
use ocm_repository::{AccessMethods, RepositoryRef};

use crate::arrival;
use crate::delta::{Base, Preview, preview};
use crate::error::Error;
use crate::execute::{ExecuteOptions, execute};
use crate::plan::{TransferPlan, VersionPlan};
use crate::planner::Inspector;
use crate::report::TransferReport;
use crate::standing;

/// A transfer that has been planned and can be carried out.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub(crate) plan: Arc<TransferPlan>,
    pub(crate) target: RepositoryRef,
    pub(crate) sources: Sources,
    pub(crate) access: AccessMethods,
}

impl Transfer {
    pub(crate) fn new(
        plan: TransferPlan,
        target: RepositoryRef,
        sources: Sources,
        access: AccessMethods,
    ) -> Self {
        Self {
            plan: Arc::new(plan),
            target,
            sources,
            access,
        }
    }

    /// Takes a plan that was made before. `sources` has a repository under each name by which
    /// the plan calls one ([`TransferPlan::sources`]).
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if one is missing, or the plan contradicts itself.
    pub fn from_plan(
        plan: TransferPlan,
        target: RepositoryRef,
        sources: BTreeMap<String, RepositoryRef>,
        access: AccessMethods,
    ) -> Result<Self, Error> {
        plan.check()?;
        if let Some(missing) = plan
            .sources()
            .into_iter()
            .find(|name| !sources.contains_key(*name))
        {
            return Err(Error::plan(format!("its source {missing} is not at hand")));
        }
        Ok(Self::new(plan, target, Sources(sources), access))
    }

    /// Returns the plan.
    pub fn plan(&self) -> &TransferPlan {
        &self.plan
    }

    /// Returns the repository that is written.
    pub const fn target(&self) -> &RepositoryRef {
        &self.target
    }

    /// Returns the component versions to which no other of the plan refers, and where they are.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if a source is not at hand.
    pub fn roots(&self) -> Result<Vec<(&RepositoryRef, &VersionPlan)>, Error> {
        let versions = &self.plan.component_versions;
        let referenced: BTreeSet<_> = versions
            .iter()
            .flat_map(|version| &version.references)
            .collect();
        let roots = versions
            .iter()
            .filter(|version| !referenced.contains(&version.id));
        roots
            .map(|version| Ok((self.sources.get(&version.source)?, version)))
            .collect()
    }

    /// Checks what has been carried out: that the target has each component version with the
    /// digest that it has at its source, the content of each resource that was moved, and what
    /// refers to it. Content itself was checked while it moved.
    ///
    /// # Errors
    ///
    /// [`Error::Copy`] if something is missing or another; a repository fails.
    pub async fn check_copy(&self) -> Result<(), Error> {
        arrival::check(self).await
    }

    /// Checks that what a stored plan is about is as it was when the plan was made: each component
    /// version at its source, and what the target has of it. What an earlier run of the plan has
    /// done already is no change.
    ///
    /// # Errors
    ///
    /// [`Error::ChangedSince`] names the first component version that is another now; a
    /// component version is gone, or a repository fails.
    pub async fn check_standing(&self) -> Result<(), Error> {
        standing::check(self).await
    }

    /// Has every component version looked at that is going to be read, as it is stored at its
    /// source. Planning does so by itself; this is for plans that were stored.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if one must not be transferred, [`Error::ChangedSince`] if one is not
    /// what it was when the plan was made; a repository fails.
    pub async fn inspect(&self, inspector: &Arc<dyn Inspector>) -> Result<(), Error> {
        standing::inspect(self, inspector).await
    }

    /// Returns what carrying the plan out into a delta archive would leave out, since a base has it:
    /// of local blobs, and of images that are copied by value. With `chunks`, large blobs are read,
    /// to know which parts of them.
    ///
    /// # Errors
    ///
    /// A repository fails.
    pub async fn left_out_by(
        &self,
        base: &Base,
        chunks: bool,
        copy: &CopyOptions,
    ) -> Result<Preview, Error> {
        preview::left_out(self, base, chunks, copy).await
    }

    /// Carries the plan out.
    ///
    /// Children are written before those that refer to them, and content before the descriptor
    /// that names it. What is written is committed, also when something fails on the way; then
    /// planning and executing again continues where it ended.
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops all work and leaves no half component version. The target has
    /// not been committed then: a caller that wants to keep what has been written, so that the
    /// next run need not move it again, calls
    /// [`commit`](ocm_repository::ComponentRepository::commit) of the target.
    ///
    /// # Errors
    ///
    /// The first thing that fails ends the transfer.
    pub async fn execute(&self, options: &ExecuteOptions) -> Result<TransferReport, Error> {
        execute(self, options).await
    }
}

/// The repositories that a plan reads, under the names by which it calls them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(BTreeMap<String, RepositoryRef>);

impl Sources {
    /// Returns the name of a repository: its location, told apart from others of that location.
    pub(crate) fn name(&mut self, repository: &RepositoryRef) -> String {
        let known = self
            .0
            .iter()
            .find(|(_, known)| Arc::ptr_eq(known, repository));
        if let Some((name, _)) = known {
            return name.clone();
        }
        let location = repository.location();
        let names = (2..).map(|number: u32| format!("{location}#{number}"));
        let name = std::iter::once(location.clone())
            .chain(names)
            .find(|name| !self.0.contains_key(name))
            .unwrap_or(location);
        self.0.insert(name.clone(), Arc::clone(repository));
        name
    }

    pub(crate) fn get(&self, name: &str) -> Result<&RepositoryRef, Error> {
        self.0
            .get(name)
            .ok_or_else(|| Error::plan(format!("its source {name} is not at hand")))
    }
}
