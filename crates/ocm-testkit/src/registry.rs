//! The embedded registry on a free port.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use base64::Engine as _;
use ocm_oci::MemoryStore;
use ocm_registry::RegistryOptions;

use crate::served::Served;

/// A registry that keeps everything in memory, and ends with the test.
#[derive(Debug)]
pub struct Registry(Served);

impl Registry {
    /// Starts a registry that is open to everyone.
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// Starts a registry that wants a user name and a password.
    pub fn with_password(user: &str, password: &str) -> Self {
        Self::serve(Some(basic(user, password)))
    }

    /// Wants another user name and password from now on.
    pub fn set_password(&self, user: &str, password: &str) {
        self.0.authorize(basic(user, password));
    }

    fn serve(authorization: Option<String>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let registry = ocm_registry::Registry::new(store, RegistryOptions::default());
        Self(Served::start(registry.router(), authorization))
    }
}

/// Returns how a user states a password in the header `Authorization`.
pub(crate) fn basic(user: &str, password: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {encoded}")
}

impl Deref for Registry {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.0
    }
}

impl DerefMut for Registry {
    fn deref_mut(&mut self) -> &mut Served {
        &mut self.0
    }
}
