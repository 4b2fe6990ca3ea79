//! What the client of web servers has to be told.

use std::error::Error as StdError;
use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use ocm_config::{ConsumerIdentity, Credentials};
use ocm_oci::RegistryOptions;

/// What the client of web servers has to be told: whom to trust, how long to wait, and who it is.
#[async_trait]
pub trait WebConfig: fmt::Debug + Send + Sync {
    /// Returns how a host is reached, such as `acme.org` or `localhost:8080`. Credentials in the
    /// options do not count.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read.
    async fn options(&self, host: &str)
    -> Result<RegistryOptions, Box<dyn StdError + Send + Sync>>;

    /// Returns the credentials of a consumer, or none to go without.
    ///
    /// # Errors
    ///
    /// There should be credentials, but they cannot be obtained.
    async fn credentials(
        &self,
        consumer: &ConsumerIdentity,
    ) -> Result<Option<Credentials>, Box<dyn StdError + Send + Sync>>;

    /// Returns the time, which some requests are signed with.
    fn now(&self) -> SystemTime;
}
