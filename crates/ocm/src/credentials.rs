//! Credentials of hosts from the configuration, asked for when they are needed.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use ocm_config::ConsumerIdentity;
use ocm_oci::{CredentialSource, RegistryCredentials, RegistryIdentity};

use crate::session::{Inner, Ocm};

/// Finds credentials of registries in the configuration.
///
/// It holds on to the session weakly: the session owns the clients that own this.
pub(crate) struct Configured {
    session: Weak<Inner>,
}

impl Configured {
    pub(crate) fn new(session: &Arc<Inner>) -> Self {
        Self {
            session: Arc::downgrade(session),
        }
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Configured")
    }
}

#[async_trait]
impl CredentialSource for Configured {
    async fn credentials(
        &self,
        registry: &RegistryIdentity,
    ) -> Result<Option<RegistryCredentials>, Box<dyn StdError + Send + Sync>> {
        let Some(inner) = self.session.upgrade() else {
            return Ok(None);
        };
        let RegistryIdentity {
            scheme,
            host,
            port,
            repository,
        } = registry;
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("{scheme}://{host}{port}/{repository}");
        let identity = ConsumerIdentity::oci_registry(&url)?;
        let ocm = Ocm(inner);
        let graph = ocm.credentials().await?;
        let Some(found) = graph.resolve(&identity).await? else {
            return Ok(None);
        };
        if let Some(token) = found.identity_token() {
            return Ok(Some(RegistryCredentials::IdentityToken(
                token.into_exposed(),
            )));
        }
        if let (Some(username), Some(password)) = (found.username(), found.password()) {
            let password = password.into_exposed();
            return Ok(Some(RegistryCredentials::Basic { username, password }));
        }
        let token = found.access_token().or_else(|| found.token());
        Ok(token.map(|token| RegistryCredentials::AccessToken(token.into_exposed())))
    }
}
