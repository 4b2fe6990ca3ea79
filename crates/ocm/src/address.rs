//! Texts that name component versions and repositories.

use std::fmt;

use ocm_digest::Digest;
use ocm_model::reference::ParseReferenceError;
use ocm_model::repository::{ComponentArchiveRepository, CtfRepository, ParseRepositoryError};
use ocm_model::{ComponentName, ComponentRef, ComponentVersionId, RepositorySpec, Version};
use ocm_repository::StoredVersion;

use crate::error;
use crate::session::Ocm;

/// A component, or one version of it, in a repository.
#[derive(Clone, Debug)]
pub struct Located {
    /// The repository.
    pub repository: RepositorySpec,
    /// The component.
    pub component: ComponentName,
    /// The version, if the text names one.
    pub version: Option<Version>,
    /// The digest that the stored form must have, if the text states one.
    pub digest: Option<Digest>,
}

impl Located {
    /// Returns the component version.
    ///
    /// # Errors
    ///
    /// The text names no version.
    pub fn id(&self) -> Result<ComponentVersionId, error::Error> {
        let version = self.version.clone();
        let version = version.ok_or_else(|| error::Error::NoVersion {
            reference: self.to_string(),
        })?;
        Ok(ComponentVersionId::new(self.component.clone(), version))
    }

    /// Checks the digest that the text states, if it does.
    pub(crate) fn check_digest(
        &self,
        id: &ComponentVersionId,
        stored: &StoredVersion,
    ) -> Result<(), error::Error> {
        match self.digest {
            Some(expected) if expected != stored.stored_digest => {
                Err(error::Error::ReferenceDigest {
                    id: id.clone(),
                    expected,
                    actual: stored.stored_digest,
                })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}//{}", self.repository, self.component)?;
        match &self.version {
            Some(version) => write!(f, ":{version}"),
            None => Ok(()),
        }
    }
}

/// Why a text names nothing.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The text is malformed.
    #[error(transparent)]
    Malformed(#[from] ParseReferenceError),

    /// The text is no repository.
    #[error(transparent)]
    Repository(#[from] ParseRepositoryError),

    /// The path of a registry cannot have components below it.
    #[error("the path of {spec} is malformed")]
    Path {
        spec: String,
        #[source]
        source: ocm_oci::ParseNameError,
    },

    /// The text names a component alone, and no configuration says where it is.
    #[error("`{text}` names no repository")]
    NoRepository { text: String },
}

impl Ocm {
    /// Reads a text such as `ghcr.io/acme//acme.org/shop:1.0.0`. A path that exists is an archive.
    ///
    /// # Errors
    ///
    /// The text is no reference, or names no repository.
    pub fn reference(&self, text: &str) -> Result<Located, Error> {
        let parsed = ComponentRef::parse(text, |path| self.path(path).exists())?;
        let repository = parsed.repository.ok_or_else(|| Error::NoRepository {
            text: text.to_owned(),
        })?;
        Ok(Located {
            repository,
            component: parsed.component,
            version: parsed.version,
            digest: parsed.digest,
        })
    }

    /// Reads a text as [`Ocm::reference`] does. The path of a component archive, which has one
    /// component version, names that one: `./archive`, `ca::archive.tgz`.
    ///
    /// # Errors
    ///
    /// The text is no reference, or names no repository; or what looks like a component archive
    /// cannot be read.
    pub async fn locate(&self, text: &str) -> Result<Located, error::Error> {
        let error = match self.reference(text) {
            Ok(located) => return Ok(located),
            Err(error) => error,
        };
        let (RepositorySpec::ComponentArchive(ComponentArchiveRepository { path, .. })
        | RepositorySpec::Ctf(CtfRepository { path, .. })) = self.repository(text)?
        else {
            return Err(error.into());
        };
        if !self.path(&path).exists() {
            return Err(error.into());
        }
        let archive = self.component_archive(&path).await?;
        let id = archive.ok_or(error)?.id().clone();
        Ok(Located {
            repository: RepositorySpec::ComponentArchive(ComponentArchiveRepository::new(&path)),
            component: id.name,
            version: Some(id.version),
            digest: None,
        })
    }

    /// Reads a text such as `./shop.ctf` or `http://127.0.0.1:5001`.
    ///
    /// # Errors
    ///
    /// The text names no repository.
    pub fn repository(&self, text: &str) -> Result<RepositorySpec, Error> {
        Ok(RepositorySpec::parse(text, |path| {
            self.path(path).exists()
        })?)
    }
}
