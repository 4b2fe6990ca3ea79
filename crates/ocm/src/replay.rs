//! Transfers whose plan was stored, here or by the second Go tool, and verifying what is planned.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_model::repository::CtfRepository;
use ocm_model::{ComponentVersionId, Descriptor, NormalisationAlgorithm, RepositorySpec};
use ocm_oci::{MemoryStore, StoreRef};
use ocm_repository::{Expected, RepositoryRef};
use ocm_transfer::plan::VersionPlan;
use ocm_transfer::{
    GraphTransfer, Planner, Policy, ResourceCopy, Root, Transfer, TransferOptions, TransferPlan,
};

use crate::error::Error;
use crate::session::{Ocm, Use};
use crate::verify::{VerifyOptions, VerifyReport};

impl Ocm {
    /// Opens the repositories that a stored plan names, so that it can be carried out. Whether it
    /// still stands is another question: [`Transfer::check_standing`].
    ///
    /// # Errors
    ///
    /// A repository cannot be opened, or the plan contradicts itself.
    pub async fn reopen(&self, plan: TransferPlan) -> Result<Transfer, Error> {
        let spec = self.named(&plan.target)?;
        let names = plan.sources();
        let mut opened: BTreeMap<&str, RepositoryRef> = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for name in &names {
            let place = without_number(name, |place| names.contains(place));
            let repository = match opened.get(place) {
                Some(repository) => RepositoryRef::clone(repository),
                None => self.open_source(&self.named(place)?, &spec).await?,
            };
            opened.insert(place, RepositoryRef::clone(&repository));
            sources.insert((*name).to_owned(), repository);
        }
        let target = self.open(&spec, Use::Write).await?;
        let home = sources.values().next().unwrap_or(&target);
        let access = self.access_methods(home).await?;
        Ok(Transfer::from_plan(plan, target, sources, access)?)
    }

    /// Returns the repositories from which a stored plan reads, each once.
    ///
    /// # Errors
    ///
    /// The plan names one that cannot be one.
    pub fn places(&self, plan: &TransferPlan) -> Result<Vec<RepositorySpec>, Error> {
        let names = plan.sources();
        let mut places = Vec::new();
        for name in &names {
            let place = self.named(without_number(name, |place| names.contains(place)))?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(places)
    }

    /// Plans what the second Go tool has stored as a graph of transformations.
    ///
    /// Component versions are read where they come from, not taken from the document, which may
    /// lack fields; those of which nothing is read there are taken from the document.
    ///
    /// # Errors
    ///
    /// [`ChangedSince`](ocm_transfer::Error::ChangedSince) if a component version is not the one
    /// of the document any more; otherwise as planning and opening fail.
    pub async fn plan_graph(
        &self,
        graph: GraphTransfer,
        existing: Policy,
    ) -> Result<Transfer, Error> {
        let target = self.open(&graph.target, Use::Write).await?;
        let embedded: StoreRef = Arc::new(MemoryStore::new());
        let embedded: RepositoryRef = Arc::new(OciComponentRepository::new(embedded, None));
        let mut opened: BTreeMap<String, RepositoryRef> = BTreeMap::new();
        let mut roots = Vec::new();
        let mut steps = BTreeMap::new();
        for version in graph.versions {
            let id = version.descriptor.id().clone();
            let repository = match &version.source {
                None => {
                    embedded.put(&version.descriptor, Expected::Absent).await?;
                    RepositoryRef::clone(&embedded)
                }
                Some(spec) => {
                    let name = spec.to_string();
                    let repository = match opened.get(&name) {
                        Some(repository) => RepositoryRef::clone(repository),
                        None => self.open(spec, Use::Read).await?,
                    };
                    check_same(&repository, &version.descriptor).await?;
                    opened.insert(name, RepositoryRef::clone(&repository));
                    repository
                }
            };
            roots.push(Root {
                repository,
                id: id.clone(),
            });
            steps.insert(id, version.steps);
        }
        let home = opened.values().next().unwrap_or(&target);
        let access = self.access_methods(home).await?;
        // The document has a step for each resource. What it would copy, and the target has when
        // this is planned, is copied all the same if the target loses it meanwhile.
        let options = TransferOptions {
            existing,
            copy_resources: ResourceCopy::All,
            ..TransferOptions::default()
        };
        let planner = Planner::new(target)
            .with_options(options)
            .with_access(access)
            .with_steps(steps)
            .measuring();
        Ok(planner.plan(roots).await?)
    }

    /// Verifies a component version that a transfer starts from ([`Transfer::roots`]), as
    /// [`Ocm::verify`] does. It must be stored as it was when the plan was made, so that nothing
    /// else is moved than what is verified.
    ///
    /// # Errors
    ///
    /// As verifying fails; [`ChangedSince`](ocm_transfer::Error::ChangedSince) if the component
    /// version is another now.
    pub async fn verify_planned(
        &self,
        repository: &RepositoryRef,
        version: &VersionPlan,
        options: &VerifyOptions,
    ) -> Result<VerifyReport, Error> {
        let stored = repository.component_version(&version.id).await?;
        if stored.stored_digest != version.source_digest {
            return Err(changed(repository, &version.id));
        }
        self.verify_stored(RepositoryRef::clone(repository), stored, options)
            .await
    }

    /// Reads the name that a plan has for a repository. Archives have whole paths there, which are
    /// not to be taken for registries where nothing is yet.
    fn named(&self, name: &str) -> Result<RepositorySpec, Error> {
        if Path::new(name).is_absolute() {
            return Ok(RepositorySpec::Ctf(CtfRepository::new(name)));
        }
        Ok(self.repository(name)?)
    }
}

/// Checks that a component version is the one that a document has, in what signatures cover. The
/// document may lack what the Go tool does not know.
async fn check_same(repository: &RepositoryRef, document: &Descriptor) -> Result<(), Error> {
    const ALGORITHM: NormalisationAlgorithm = NormalisationAlgorithm::JsonV4Alpha1;
    let stored = repository.component_version(document.id()).await?;
    let known = stored.descriptor.normalise_candidates(ALGORITHM);
    if known.contains(&document.normalise(ALGORITHM)) {
        return Ok(());
    }
    Err(changed(repository, document.id()))
}

fn changed(repository: &RepositoryRef, id: &ComponentVersionId) -> Error {
    let error = ocm_transfer::Error::ChangedSince {
        id: id.clone(),
        location: repository.location(),
    };
    error.into()
}

/// A plan tells places that were opened twice apart by a number. They are one place.
fn without_number(name: &str, is_known: impl Fn(&str) -> bool) -> &str {
    match name.rsplit_once('#') {
        Some((place, number)) if number.parse::<u32>().is_ok() && is_known(place) => place,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_that_is_there_without_number_is_the_same() {
        let known = |place: &str| place == "ghcr.io/acme";
        assert_eq!(without_number("ghcr.io/acme#2", known), "ghcr.io/acme");
        assert_eq!(without_number("ghcr.io/acme", known), "ghcr.io/acme");
        assert_eq!(without_number("ghcr.io/acme#x", known), "ghcr.io/acme#x");
        assert_eq!(without_number("/srv/disk#2", known), "/srv/disk#2");
    }
}
