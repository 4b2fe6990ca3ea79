//! The ways to content that is no component version: which technologies there are.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use ocm_backends::access::{self, StoreProvider};
use ocm_backends::image::OciArtifactInput;
use ocm_backends::ocm::{OcmAccess, OcmInput};
use ocm_backends::{HttpSource, WebConfig};
use ocm_config::{ConsumerIdentity, Credentials};
use ocm_constructor::InputMethods;
use ocm_oci::{RegistryOptions, Scheme};
use ocm_repository::{AccessMethods, RepositoryRef};

use crate::elsewhere::Elsewhere;
use crate::error::Error;
use crate::resolver::Resolvers;
use crate::session::Ocm;

impl Ocm {
    /// Returns the ways to reach content outside of a component repository, for what stands in it.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read.
    pub async fn access_methods(&self, home: &RepositoryRef) -> Result<AccessMethods, Error> {
        self.access_methods_of(Elsewhere::new(self, home).await?)
            .await
    }

    /// Returns the ways to reach content of component versions that resolvers find.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read.
    pub async fn access_methods_among(&self, resolvers: Resolvers) -> Result<AccessMethods, Error> {
        self.access_methods_of(Elsewhere::among(self, resolvers))
            .await
    }

    /// Returns the ways to reach content, with the given way to other component versions.
    pub(crate) async fn access_methods_of(
        &self,
        elsewhere: Elsewhere,
    ) -> Result<AccessMethods, Error> {
        let stores: Arc<dyn StoreProvider> = Arc::new(self.clone());
        let web = self.web().await?;
        let methods =
            access::methods(Arc::clone(&stores)).with(OcmAccess::new(Arc::new(elsewhere)));
        #[cfg(feature = "git")]
        let methods = methods.with(ocm_backends::git::GitAccess::new(self.git(&web)));
        #[cfg(feature = "wget")]
        let methods = methods.with(ocm_backends::wget::WgetAccess::new(web.clone()));
        #[cfg(feature = "helm")]
        let methods = methods.with(ocm_backends::helm::HelmAccess::new(web.clone(), stores));
        #[cfg(feature = "npm")]
        let methods = methods.with(ocm_backends::npm::NpmAccess::new(web.clone()));
        #[cfg(feature = "maven")]
        let methods = methods.with(ocm_backends::maven::MavenAccess::new(web.clone()));
        #[cfg(feature = "github")]
        let methods = methods.with(ocm_backends::github::GitHubAccess::new(web.clone()));
        #[cfg(feature = "s3")]
        let methods = methods.with(ocm_backends::s3::S3Access::new(web.clone()));
        drop(web);
        Ok(methods)
    }

    /// Returns the ways to take in content while packing into a repository.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read.
    pub async fn input_methods(&self, target: &RepositoryRef) -> Result<InputMethods, Error> {
        let stores: Arc<dyn StoreProvider> = Arc::new(self.clone());
        let web = self.web().await?;
        let elsewhere = Elsewhere::new(self, target).await?;
        let methods = InputMethods::files()
            .with(OciArtifactInput::new(Arc::clone(&stores)))
            .with(OcmInput::new(Arc::new(elsewhere)));
        #[cfg(feature = "docker")]
        let methods = {
            let daemon = self.environment().vars.get("DOCKER_HOST");
            let daemon = ocm_backends::docker::DockerDaemon::new(daemon.map(String::as_str));
            methods
                .with(ocm_backends::docker::DockerInput::new(daemon.clone()))
                .with(ocm_backends::docker::DockerMultiInput::new(daemon))
        };
        #[cfg(feature = "git")]
        let methods = methods.with(ocm_backends::git::GitInput::new(self.git(&web)));
        #[cfg(feature = "wget")]
        let methods = methods.with(ocm_backends::wget::WgetInput::new(web.clone()));
        #[cfg(feature = "helm")]
        let methods = methods.with(ocm_backends::helm::HelmInput::new(web.clone(), stores));
        #[cfg(feature = "npm")]
        let methods = methods.with(ocm_backends::npm::NpmInput::new(web.clone()));
        #[cfg(feature = "maven")]
        let methods = methods.with(ocm_backends::maven::MavenInput::new(web.clone()));
        drop(web);
        Ok(methods)
    }

    /// Returns the client of git repositories.
    #[cfg(feature = "git")]
    fn git(&self, web: &HttpSource) -> ocm_backends::git::GitSource {
        let ssh = self.environment().vars.get("GIT_SSH_COMMAND").cloned();
        let keys = Arc::new(crate::ssh::ConfiguredKeys(self.clone()));
        ocm_backends::git::GitSource::new(web.clone(), keys).with_ssh_command(ssh)
    }

    /// Returns the client of web servers, once it is sure that the configuration can be read.
    async fn web(&self) -> Result<HttpSource, Error> {
        self.config().await?.http()?;
        Ok(HttpSource::new(Arc::new(self.clone())))
    }
}

#[async_trait]
impl WebConfig for Ocm {
    async fn options(
        &self,
        host: &str,
    ) -> Result<RegistryOptions, Box<dyn StdError + Send + Sync>> {
        Ok(self.registry_options(host, Scheme::Auto).await?)
    }

    async fn credentials(
        &self,
        consumer: &ConsumerIdentity,
    ) -> Result<Option<Credentials>, Box<dyn StdError + Send + Sync>> {
        Ok(Self::credentials(self).await?.resolve(consumer).await?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "servers refuse what is signed at another time than theirs, so nobody can choose it"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
