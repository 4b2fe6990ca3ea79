//! References to other component versions: where these are, and their digests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::HashAlgorithm;
use ocm_model::{
    ComponentName, ComponentVersionId, Descriptor, DigestSpec, NormalisationAlgorithm, Reference,
};
use ocm_repository::{Error, RepositoryRef};

use super::{Build, BuildError, ExternalPolicy, ReferenceDigests, printed};
use crate::constructor::Entry;
use crate::place::Place;

/// Says where component versions may be found that are not in the target.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Returns the repositories that may have a component, the likeliest first.
    ///
    /// # Errors
    ///
    /// A repository cannot be opened.
    async fn repositories(&self, component: &ComponentName) -> Result<Vec<RepositoryRef>, Error>;
}

/// Repositories that are asked for every component, in their order.
#[async_trait]
impl Resolver for Vec<RepositoryRef> {
    async fn repositories(&self, _: &ComponentName) -> Result<Vec<RepositoryRef>, Error> {
        Ok(self.clone())
    }
}

/// The component versions that are referred to and are not in the file.
#[derive(Debug, Default)]
pub(super) struct Referenced(pub(super) BTreeMap<ComponentVersionId, Found>);

/// A component version that was looked for.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) descriptor: Descriptor,
    /// Where it is; `None` for the target itself.
    pub(super) elsewhere: Option<RepositoryRef>,
}

impl Referenced {
    pub(super) fn digests(&self) -> BTreeMap<ComponentVersionId, DigestSpec> {
        let found = self.0.iter();
        found
            .map(|(id, found)| (id.clone(), digest_of(&found.descriptor)))
            .collect()
    }
}

impl Build<'_> {
    /// Looks up all references that are not in the file.
    pub(super) async fn referenced(&self) -> Result<Referenced, BuildError> {
        if self.options.reference_digests == ReferenceDigests::Skip
            && self.options.external == ExternalPolicy::Skip
        {
            return Ok(Referenced::default());
        }
        let mut wanted: BTreeMap<ComponentVersionId, &Place> = BTreeMap::new();
        for entry in self
            .components
            .iter()
            .flat_map(|component| &component.references)
        {
            wanted
                .entry(entry.element.component())
                .or_insert(&entry.place);
        }
        for component in self.components {
            wanted.remove(&component.id);
        }
        let found = wanted.into_iter().map(|(id, place)| async move {
            let found = self.find(&id, place).await?;
            Ok::<_, BuildError>((id, found))
        });
        let found = stream::iter(found).buffered(self.options.copy.parallel());
        Ok(Referenced(found.try_collect().await?))
    }

    /// Looks for a component version in the target, then elsewhere.
    pub(super) async fn find(
        &self,
        id: &ComponentVersionId,
        place: &Place,
    ) -> Result<Found, BuildError> {
        let failed = |source| BuildError::Repository {
            action: "look for",
            what: id.to_string(),
            source,
        };
        let elsewhere = match &self.options.resolver {
            Some(resolver) => resolver.repositories(&id.name).await.map_err(failed)?,
            None => Vec::new(),
        };
        let mut searched = Vec::new();
        let places = std::iter::once((self.target, None)).chain(
            elsewhere
                .iter()
                .map(|repository| (repository, Some(repository))),
        );
        for (repository, elsewhere) in places {
            match repository.component_version(id).await {
                Ok(stored) => {
                    return Ok(Found {
                        descriptor: stored.descriptor,
                        elsewhere: elsewhere.map(Arc::clone),
                    });
                }
                Err(error) if error.is_not_found() => searched.push(repository.location()),
                Err(error) => return Err(failed(error)),
            }
        }
        Err(BuildError::NoReference {
            place: place.clone(),
            id: id.clone(),
            searched: searched.join(", "),
        })
    }
}

/// Returns the digest by which others refer to a component version.
pub(super) fn digest_of(descriptor: &Descriptor) -> DigestSpec {
    descriptor
        .normalise(NormalisationAlgorithm::JsonV4Alpha1)
        .digest_spec(HashAlgorithm::Sha256)
}

/// Returns the digest of a reference, which must be the one in the file if that has one.
pub(super) fn checked(
    entry: &Entry<Reference>,
    digests: &BTreeMap<ComponentVersionId, DigestSpec>,
) -> Result<Option<DigestSpec>, BuildError> {
    let id = entry.element.component();
    let actual = digests.get(&id);
    match (&entry.element.digest, actual) {
        (Some(given), Some(actual)) if given != actual => Err(BuildError::DigestMismatch {
            place: entry.place.clone(),
            what: format!("component version {id}"),
            expected: printed(given),
            actual: printed(actual),
        }),
        (given, actual) => Ok(actual.or(given.as_ref()).cloned()),
    }
}
