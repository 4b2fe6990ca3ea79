//! What others may add to the graph: ways to get credentials, and stores that have them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::credentials::Credentials;
use crate::identity::ConsumerIdentity;
use crate::typed;

/// An error of a plugin.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A way to get credentials from a specification in place of them, such as a login flow.
#[async_trait]
pub trait CredentialPlugin: Send + Sync {
    /// Returns who the plugin itself is, if it needs credentials.
    fn consumer_identity(&self, spec: &Value) -> Result<Option<ConsumerIdentity>, BoxError>;

    /// Gets the credentials.
    async fn resolve(
        &self,
        spec: &Value,
        credentials: Option<&Credentials>,
    ) -> Result<Credentials, BoxError>;
}

/// A store of credentials, listed under `repositories`.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// Tells whether the store may know credentials for an identity.
    fn serves(&self, identity: &ConsumerIdentity) -> bool;

    /// Looks credentials up; none if the store has none.
    async fn resolve(
        &self,
        spec: &Value,
        identity: &ConsumerIdentity,
    ) -> Result<Option<Credentials>, BoxError>;
}

/// The types that a graph knows besides its own, by their names without versions.
#[derive(Clone, Default)]
pub struct Plugins {
    credentials: BTreeMap<String, Arc<dyn CredentialPlugin>>,
    stores: BTreeMap<String, Arc<dyn CredentialStore>>,
    plain: BTreeSet<String>,
}

impl Plugins {
    /// Adds a way to get credentials, for a type of specification.
    #[must_use]
    pub fn with_plugin(mut self, kind: &str, plugin: Arc<dyn CredentialPlugin>) -> Self {
        self.credentials
            .insert(typed::name(kind).to_owned(), plugin);
        self
    }

    /// Adds a type of store.
    #[must_use]
    pub fn with_store(mut self, kind: &str, store: Arc<dyn CredentialStore>) -> Self {
        self.stores.insert(typed::name(kind).to_owned(), store);
        self
    }

    /// Adds a type of credentials that are stated as they are.
    #[must_use]
    pub fn with_credential_type(mut self, kind: &str) -> Self {
        self.plain.insert(typed::name(kind).to_owned());
        self
    }

    pub(super) fn plugin(&self, kind: &str) -> Option<&Arc<dyn CredentialPlugin>> {
        self.credentials.get(typed::name(kind))
    }

    pub(super) fn store(&self, kind: &str) -> Option<&Arc<dyn CredentialStore>> {
        self.stores.get(typed::name(kind))
    }

    pub(super) fn has_credential_type(&self, kind: &str) -> bool {
        self.plain.contains(typed::name(kind))
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugins")
            .field("credentials", &self.credentials.keys())
            .field("stores", &self.stores.keys())
            .field("plain", &self.plain)
            .finish()
    }
}
