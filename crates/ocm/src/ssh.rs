//! Keys for SSH servers, from the configuration.

use std::error::Error as StdError;

use async_trait::async_trait;
use ocm_backends::git::{SshKey, SshKeys};
use ocm_config::ConsumerIdentity;

use crate::session::Ocm;

/// Finds the keys of git repositories: consumers of type `Git` with a `privateKey`, the name of a
/// file, and perhaps a `username`.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredKeys(pub(crate) Ocm);

#[async_trait]
impl SshKeys for ConfiguredKeys {
    async fn key(&self, address: &str) -> Result<Option<SshKey>, Box<dyn StdError + Send + Sync>> {
        let identity = ConsumerIdentity::from_url("Git", address)?;
        let found = self.0.credentials().await?.resolve(&identity).await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let Some(file) = found.get("privateKey") else {
            return Ok(None);
        };
        let file = file.into_exposed();
        if file.starts_with("-----") {
            return Err("`privateKey` must be the name of a file, not the key itself".into());
        }
        Ok(Some(SshKey {
            username: found.username(),
            file: self.0.path(file),
        }))
    }
}
