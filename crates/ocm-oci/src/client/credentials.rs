//! Who the client is to a registry.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;

/// What credentials are asked for: one repository of one registry.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RegistryIdentity {
    /// `http` or `https`.
    pub scheme: String,
    /// The host as the caller named it, without port.
    pub host: String,
    /// The port, if the caller named one.
    pub port: Option<u16>,
    /// The repository; empty for what concerns the registry as a whole.
    pub repository: String,
}

/// What a registry, or the token service that it names, accepts as proof.
///
/// Secrets never show in `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub enum RegistryCredentials {
    /// A user and a password, or a token in place of it.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// A refresh token, which the token service exchanges for an access token.
    IdentityToken(String),
    /// An access token, sent to the registry as it is.
    AccessToken(String),
}

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => f
                .debug_struct("Basic")
                .field("username", username)
                .finish_non_exhaustive(),
            Self::IdentityToken(_) => f.write_str("IdentityToken(..)"),
            Self::AccessToken(_) => f.write_str("AccessToken(..)"),
        }
    }
}

/// Where credentials come from: configuration, helpers, a vault.
#[async_trait]
pub trait CredentialSource: fmt::Debug + Send + Sync {
    /// Returns the credentials for a repository, or `None` to go without.
    ///
    /// Called when a registry asks for credentials, and again when it no longer accepts them.
    ///
    /// # Errors
    ///
    /// There should be credentials, but they cannot be obtained.
    async fn credentials(
        &self,
        identity: &RegistryIdentity,
    ) -> Result<Option<RegistryCredentials>, Box<dyn StdError + Send + Sync>>;
}

/// No credentials for anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

#[async_trait]
impl CredentialSource for Anonymous {
    async fn credentials(
        &self,
        _: &RegistryIdentity,
    ) -> Result<Option<RegistryCredentials>, Box<dyn StdError + Send + Sync>> {
        Ok(None)
    }
}

/// The same credentials for everything that the registry has.
#[async_trait]
impl CredentialSource for RegistryCredentials {
    async fn credentials(
        &self,
        _: &RegistryIdentity,
    ) -> Result<Option<Self>, Box<dyn StdError + Send + Sync>> {
        Ok(Some(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        for credentials in [
            RegistryCredentials::Basic {
                username: "user".into(),
                password: "hunter2".into(),
            },
            RegistryCredentials::IdentityToken("hunter2".into()),
            RegistryCredentials::AccessToken("hunter2".into()),
        ] {
            assert!(!format!("{credentials:?}").contains("hunter2"));
        }
    }
}
