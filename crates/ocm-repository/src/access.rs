//! How content outside of component repositories is reached.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_model::{Access, ComponentVersionId};

use crate::content::Content;
use crate::error::Error;
use crate::repository::RepositoryRef;

/// Reaches content of some access types, such as images in registries or files on web servers.
#[async_trait]
pub trait AccessMethod: fmt::Debug + Send + Sync {
    /// Returns whether this method knows the type of an access.
    fn handles(&self, access: &Access) -> bool;

    /// Returns the content. Large content is not read before it is opened.
    ///
    /// # Errors
    ///
    /// The content does not exist or cannot be reached.
    async fn content(&self, access: &Access) -> Result<Content, Error>;

    /// Returns an access that names exactly the given content, where the one in hand names
    /// something that may move, such as an image by its tag.
    ///
    /// # Errors
    ///
    /// The content does not exist or cannot be reached.
    async fn pin(&self, access: &Access) -> Result<Access, Error> {
        Ok(access.clone())
    }
}

/// All access methods that a program has, tried in their order.
#[derive(Clone, Debug, Default)]
pub struct AccessMethods(Vec<Arc<dyn AccessMethod>>);

impl AccessMethods {
    /// Returns an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method behind those that are there.
    #[must_use]
    pub fn with(mut self, method: impl AccessMethod + 'static) -> Self {
        self.0.push(Arc::new(method));
        self
    }

    /// Returns the method for an access.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedAccess`] if there is none.
    pub fn method(
        &self,
        access: &Access,
        operation: &'static str,
    ) -> Result<&Arc<dyn AccessMethod>, Error> {
        self.0
            .iter()
            .find(|method| method.handles(access))
            .ok_or_else(|| Error::UnsupportedAccess {
                access_type: access.type_text().to_owned(),
                operation,
            })
    }

    /// Returns the content behind an access.
    ///
    /// # Errors
    ///
    /// No method knows the type, or the content cannot be reached.
    pub async fn content(&self, access: &Access) -> Result<Content, Error> {
        self.method(access, "reading")?.content(access).await
    }

    /// Returns the content behind an access of a component version: local content from the
    /// repository that has the component version, other content from where it is.
    ///
    /// # Errors
    ///
    /// As [`AccessMethods::content`] and [`ComponentRepository::local_content`](crate::ComponentRepository::local_content).
    pub async fn content_of(
        &self,
        repository: &RepositoryRef,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error> {
        if access.is_local() {
            repository.local_content(id, access).await
        } else {
            self.content(access).await
        }
    }
}
