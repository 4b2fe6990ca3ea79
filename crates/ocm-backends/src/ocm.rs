//! Access and input `ocm`: a resource of another component version.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::{Blob, BlobRef, ByteStream, Promise, verify};
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_digest::Digest;
use ocm_model::access::{AccessKind, OcmResource};
use ocm_model::typed::TypedSpec;
use ocm_model::{
    Access, ComponentVersionId, Descriptor, DigestSpec, Element as _, Identity, RepositorySpec,
};
use ocm_repository::{AccessMethod, Content, Error, RepositoryRef};
use serde::Deserialize;
use serde_json::Value;

/// Finds component versions, and reads what they consist of.
#[async_trait]
pub trait ComponentVersions: fmt::Debug + Send + Sync {
    /// Finds a component version: in the given repository, else where references are looked up.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if it is nowhere, or a repository fails.
    async fn component_version(
        &self,
        repository: Option<&RepositorySpec>,
        id: &ComponentVersionId,
    ) -> Result<(RepositoryRef, Descriptor), Error>;

    /// Returns the content behind an access of a component version that is in a repository.
    ///
    /// # Errors
    ///
    /// The content cannot be reached.
    async fn content(
        &self,
        repository: &RepositoryRef,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error>;
}

/// Reaches resources of other component versions: access type `ocm`.
///
/// `resourceRef` names the resource, and by `referencePath` the references that lead to it from the
/// component version. Without `ocmRepository` that is looked for as references are.
#[derive(Clone, Debug)]
pub struct OcmAccess {
    versions: Arc<dyn ComponentVersions>,
}

impl OcmAccess {
    /// Finds component versions by the given source.
    pub const fn new(versions: Arc<dyn ComponentVersions>) -> Self {
        Self { versions }
    }
}

#[async_trait]
impl AccessMethod for OcmAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::Ocm(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let Ok(AccessKind::Ocm(resource)) = access.kind() else {
            return Err(Error::UnsupportedAccess {
                access_type: access.type_text().to_owned(),
                operation: "reading",
            });
        };
        let wanted = Wanted::read(resource)
            .map_err(|reason| Error::backend("read", "resource of a component version", reason))?;
        wanted.content(self.versions.as_ref()).await
    }
}

/// The input `ocm`, with `ocmRepository`, `component`, `version` and `resourceRef`.
#[derive(Clone, Debug)]
pub struct OcmInput {
    versions: Arc<dyn ComponentVersions>,
}

impl OcmInput {
    /// Finds component versions by the given source.
    pub const fn new(versions: Arc<dyn ComponentVersions>) -> Self {
        Self { versions }
    }
}

#[async_trait]
impl InputMethod for OcmInput {
    fn types(&self) -> &[&'static str] {
        &["ocm", "Ocm", "OCM"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        _: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["ocmRepository", "component", "version", "resourceRef"])?;
        let wanted = Wanted::read(OcmResource {
            repository: input.spec.field("ocmRepository").cloned(),
            component: input.text("component")?,
            version: input.text("version")?,
            resource: input.spec.field("resourceRef").cloned(),
        });
        let wanted = wanted
            .map_err(|reason| InputError::unusable(input.place.clone(), reason.to_string()))?;
        let content = wanted.content(self.versions.as_ref()).await;
        let content = content.map_err(|error| {
            InputError::backend(input.place.clone(), "read", wanted.to_string(), error)
        })?;
        Ok(content.into())
    }
}

/// A resource, relative to a component version.
#[derive(Clone, Debug)]
struct Wanted {
    repository: Option<RepositorySpec>,
    id: ComponentVersionId,
    resource: ResourceRef,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceRef {
    resource: Identity,
    #[serde(default)]
    reference_path: Option<Vec<Identity>>,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "resource {} of {}", self.resource.resource, self.id)
    }
}

type Unusable = Box<dyn std::error::Error + Send + Sync>;

impl Wanted {
    fn read(fields: OcmResource) -> Result<Self, Unusable> {
        let missing = |field: &str| Unusable::from(format!("field `{field}` is missing"));
        let repository = match fields.repository.filter(|value| !value.is_null()) {
            Some(value) => Some(RepositorySpec::try_from(TypedSpec::from_json(value)?)?),
            None => None,
        };
        let component = fields.component.ok_or_else(|| missing("component"))?;
        let version = fields.version.ok_or_else(|| missing("version"))?;
        let resource: Value = fields.resource.ok_or_else(|| missing("resourceRef"))?;
        let resource: ResourceRef = serde_json::from_value(resource)
            .map_err(|error| format!("field `resourceRef` is not usable: {error}"))?;
        Ok(Self {
            repository,
            id: ComponentVersionId::new(component.parse()?, version.parse()?),
            resource,
        })
    }

    async fn content(&self, versions: &dyn ComponentVersions) -> Result<Content, Error> {
        let failed = |source: ocm_model::descriptor::LookupError| {
            Error::backend("find", self.to_string(), source)
        };
        let spec = self.repository.as_ref();
        let (mut repository, mut descriptor) = versions.component_version(spec, &self.id).await?;
        for step in self.resource.reference_path.iter().flatten() {
            let (_, reference) = descriptor.find_reference(step).map_err(failed)?;
            let child = reference.component();
            (repository, descriptor) = match repository.component_version(&child).await {
                Ok(stored) => (repository, stored.descriptor),
                Err(error) if error.is_not_found() => {
                    versions.component_version(None, &child).await?
                }
                Err(error) => return Err(error),
            };
        }
        let selector = &self.resource.resource;
        let (_, resource) = descriptor.find_resource(selector).map_err(failed)?;
        let id = descriptor.id();
        let access = resource.access.as_ref().filter(|access| !access.is_none());
        let access = access.ok_or_else(|| {
            let what = format!("resource {} of {id}", resource.identity());
            Error::backend("read", what, "it has no content")
        })?;
        let content = versions.content(&repository, id, access).await?;
        Ok(promised(content, resource.digest.as_ref()))
    }
}

/// Has content checked, as it is read, against the digest that its descriptor states.
fn promised(content: Content, spec: Option<&DigestSpec>) -> Content {
    let stated = spec.filter(|spec| spec.normalisation_algorithm == DigestSpec::GENERIC_BLOB);
    let digest = stated.and_then(|spec| spec.digest().ok());
    match (content, digest) {
        (Content::Blob(inner), Some(digest)) if inner.digest().is_none() => {
            Content::Blob(Arc::new(Promised { inner, digest }))
        }
        (content, _) => content,
    }
}

/// A blob of which somebody else says what its digest is.
#[derive(Debug)]
struct Promised {
    inner: BlobRef,
    digest: Digest,
}

#[async_trait]
impl Blob for Promised {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    fn media_type(&self) -> Option<&str> {
        self.inner.media_type()
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = Promise {
            size: self.inner.size(),
            digest: Some(self.digest),
        };
        Ok(verify(self.inner.open().await?, promise))
    }
}
