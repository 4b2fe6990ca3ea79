//! Content that is a resource of another component version.

use async_trait::async_trait;
use ocm_backends::ocm::ComponentVersions;
use ocm_model::{Access, ComponentVersionId, Descriptor, RepositorySpec};
use ocm_repository::{Content, Error, RepositoryRef};

use crate::error;
use crate::resolver::Resolvers;
use crate::session::{Ocm, Use};

/// How often a resource may be a resource of another component version, in a row. There may be a
/// circle.
const MAX_DEPTH: usize = 8;

/// The component versions that others get content from: those of the same repository, those that
/// resolvers find, and those of repositories that an access names.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    ocm: Ocm,
    resolvers: Resolvers,
    depth: usize,
}

impl Elsewhere {
    /// Starts at a repository.
    pub(crate) async fn new(ocm: &Ocm, home: &RepositoryRef) -> Result<Self, error::Error> {
        Ok(Self::among(ocm, ocm.resolvers(home).await?))
    }

    /// Looks where resolvers look.
    pub(crate) fn among(ocm: &Ocm, resolvers: Resolvers) -> Self {
        Self {
            ocm: ocm.clone(),
            resolvers,
            depth: 0,
        }
    }
}

#[async_trait]
impl ComponentVersions for Elsewhere {
    async fn component_version(
        &self,
        repository: Option<&RepositorySpec>,
        id: &ComponentVersionId,
    ) -> Result<(RepositoryRef, Descriptor), Error> {
        let Some(spec) = repository else {
            let (repository, stored) = self.resolvers.component_version(id).await?;
            return Ok((repository, stored.descriptor));
        };
        let repository = self.ocm.open(spec, Use::Read).await;
        let repository =
            repository.map_err(|source| Error::backend("open", spec.to_string(), source))?;
        let stored = repository.component_version(id).await?;
        Ok((repository, stored.descriptor))
    }

    async fn content(
        &self,
        repository: &RepositoryRef,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error> {
        if access.is_local() {
            return repository.local_content(id, access).await;
        }
        if self.depth >= MAX_DEPTH {
            let reason = "resources are resources of other component versions too often";
            return Err(Error::backend("read", format!("content of {id}"), reason));
        }
        let mut next = Self::new(&self.ocm, repository)
            .await
            .map_err(|source| Error::backend("read", format!("content of {id}"), source))?;
        next.depth = self.depth + 1;
        let methods = self.ocm.access_methods_of(next).await;
        let methods =
            methods.map_err(|source| Error::backend("read", format!("content of {id}"), source))?;
        methods.content(access).await
    }
}
