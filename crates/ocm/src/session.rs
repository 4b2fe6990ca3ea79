//! The session: configuration, credentials, and the repositories that are open.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocm_backends::access::StoreProvider;
use ocm_backends::{ComponentArchive, OciComponentRepository, Registry};
use ocm_config::graph::{CredentialGraph, Plugins};
use ocm_config::settings::{HttpConfig, Retries};
use ocm_config::{Config, Environment};
use ocm_ctf::{Access, CtfFormat, Elsewhere, Scratch};
use ocm_model::repository::{self, CtfRepository, OciRepository, Scheme as UrlScheme};
use ocm_model::{ComponentName, ComponentVersionId, Constraint, RepositorySpec, Version};
use ocm_oci::{ImageReference, RegistryClient, RegistryOptions, RepositoryName, Scheme, StoreRef};
use ocm_repository::RepositoryRef;
use tokio::sync::OnceCell;

use crate::address::{self, Located};
use crate::credentials::Configured;
use crate::error::Error;
use crate::handlers::LOGIN;
use crate::kind::Kind;

/// A component version that no repository has.
const PROBE: &str = "ocm.software/probe:0.0.0";

/// What a repository is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// Reading what is there.
    Read,
    /// Reading and changing what is there.
    Change,
    /// Reading and writing; an archive that is not there is created.
    Write,
}

/// Returns the form of an archive that a specification names.
pub(crate) const fn form(named: repository::CtfFormat) -> CtfFormat {
    match named {
        repository::CtfFormat::Directory => CtfFormat::Directory,
        repository::CtfFormat::Tar => CtfFormat::Tar,
        repository::CtfFormat::Tgz => CtfFormat::TarGzip,
    }
}

/// A session with what one user has configured. Clones share it.
#[derive(Clone, Debug)]
pub struct Ocm(pub(crate) Arc<Inner>);

/// Where the components of a place in a registry stand.
pub(crate) struct Place {
    pub(crate) store: StoreRef,
    pub(crate) prefix: Option<RepositoryName>,
    pub(crate) host: String,
}

/// What a session owns.
pub(crate) struct Inner {
    environment: Environment,
    files: Vec<PathBuf>,
    config: OnceCell<Config>,
    credentials: OnceCell<CredentialGraph>,
    registries: Mutex<BTreeMap<String, StoreRef>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ocm")
            .field("cwd", &self.environment.cwd)
            .finish_non_exhaustive()
    }
}

impl Ocm {
    /// Starts a session that looks for configuration where the environment says.
    pub fn new(environment: Environment) -> Self {
        Self::with_config(environment, Vec::new())
    }

    /// Starts a session whose configuration is in the given files, and nowhere else.
    pub fn with_config(environment: Environment, files: Vec<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            environment,
            files,
            config: OnceCell::new(),
            credentials: OnceCell::new(),
            registries: Mutex::default(),
        }))
    }

    /// Starts a session whose configuration is handed in: no file is looked for. With an empty
    /// environment nothing of the machine is seen, neither credentials nor their helpers.
    ///
    /// ```
    /// use ocm::config::{Config, ConfigDocument};
    /// use ocm::{Environment, Ocm};
    ///
    /// let document = ConfigDocument::parse("type: generic.config.ocm.software/v1", "mine")?;
    /// let ocm = Ocm::with_documents(Environment::default(), Config::new([document]));
    /// # Ok::<(), ocm::config::DocumentError>(())
    /// ```
    pub fn with_documents(environment: Environment, config: Config) -> Self {
        Self(Arc::new(Inner {
            environment,
            files: Vec::new(),
            config: OnceCell::new_with(Some(config)),
            credentials: OnceCell::new(),
            registries: Mutex::default(),
        }))
    }

    /// Returns the configuration, which is read when it is asked for first.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub async fn config(&self) -> Result<&Config, Error> {
        let Inner {
            config,
            files,
            environment,
            ..
        } = self.0.as_ref();
        Ok(config
            .get_or_try_init(|| Config::load(files, environment))
            .await?)
    }

    /// Returns the credentials of the configuration.
    ///
    /// # Errors
    ///
    /// As [`Ocm::config`].
    pub async fn credentials(&self) -> Result<&CredentialGraph, Error> {
        let Inner {
            credentials,
            environment,
            ..
        } = self.0.as_ref();
        credentials
            .get_or_try_init(|| async {
                let plugins = Plugins::default().with_credential_type(LOGIN);
                let config = self.config().await?;
                Ok(CredentialGraph::with_plugins(config, environment, &plugins))
            })
            .await
    }

    /// Returns what the session may see of its process.
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// Returns a path as seen from the working directory of the session.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.environment.absolute(path)
    }

    /// Opens a repository.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    pub async fn open(&self, spec: &RepositorySpec, usage: Use) -> Result<RepositoryRef, Error> {
        match spec {
            RepositorySpec::Ctf(ctf) => {
                if ComponentArchive::is_directory(&self.path(&ctf.path))
                    && let Some(archive) = self.component_archive(&ctf.path).await?
                {
                    return Ok(Arc::new(archive));
                }
                let store = match self.ctf(ctf, usage).await {
                    Ok(store) => store,
                    // A file without the index of a CTF may be an archive of the other sort.
                    Err(error) if usage == Use::Read => {
                        match self.component_archive(&ctf.path).await {
                            Ok(Some(archive)) => return Ok(Arc::new(archive)),
                            _ => return Err(error),
                        }
                    }
                    Err(error) => return Err(error),
                };
                if usage == Use::Read {
                    self.warn_of_delta(&store).await;
                }
                let mut repository = OciComponentRepository::new(store, None);
                if usage == Use::Write && ctf.is_format_named() {
                    // Elsewhere the name alone would make another archive of it.
                    let path = self.path(&ctf.path).to_string_lossy().into_owned();
                    let named = RepositorySpec::Ctf(CtfRepository {
                        path,
                        ..ctf.clone()
                    });
                    repository = repository.with_location(named.to_string());
                }
                Ok(Arc::new(repository))
            }
            RepositorySpec::ComponentArchive(archive) => {
                let path = &archive.path;
                let archive = self.component_archive(path).await?;
                Ok(Arc::new(archive.ok_or_else(|| {
                    Error::NoComponentArchive {
                        location: path.clone(),
                    }
                })?))
            }
            RepositorySpec::Oci(oci) => {
                let Place {
                    store,
                    prefix,
                    host,
                } = self.registry_place(spec, oci).await?;
                let in_the_clear = store.location().starts_with("http://");
                let scheme = in_the_clear.then(|| "http".to_owned());
                let repository = OciComponentRepository::new(store, prefix)
                    .with_registry(Registry { scheme, host });
                Ok(Arc::new(repository))
            }
            other => Err(Error::UnknownRepository {
                spec: other.to_string(),
            }),
        }
    }

    /// Returns the client of a registry, and where in it the components of a place stand.
    pub(crate) async fn registry_place(
        &self,
        spec: &RepositorySpec,
        oci: &OciRepository,
    ) -> Result<Place, Error> {
        let scheme = match oci.base_url.scheme {
            Some(UrlScheme::Http) => Scheme::Http,
            Some(_) => Scheme::Https,
            None => Scheme::Auto,
        };
        let host = oci.base_url.authority();
        let store = self.registry(&host, scheme).await?;
        let prefix = Some(oci.sub_path.as_str()).filter(|path| !path.is_empty());
        let prefix = prefix.map(str::parse).transpose();
        let prefix = prefix.map_err(|source| address::Error::Path {
            spec: spec.to_string(),
            source,
        })?;
        Ok(Place {
            store,
            prefix,
            host,
        })
    }

    /// Asks whether a repository answers, whatever it has.
    ///
    /// A registry is asked for a component version that does not exist. That it does not show it to
    /// everybody is an answer, too: many do not say what does not exist to whom.
    ///
    /// # Errors
    ///
    /// There is no repository, or it cannot be reached.
    pub async fn reach(&self, spec: &RepositorySpec) -> Result<(), Error> {
        let repository = self.open(spec, Use::Read).await?;
        let probe = PROBE.parse().expect("a component version");
        match repository.stored_digest(&probe).await {
            Ok(_) => Ok(()),
            Err(error) if Kind::of(&error) == Kind::NotAllowed => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a component archive; `None` if what is at the path is something else.
    ///
    /// # Errors
    ///
    /// There is nothing, or it is no archive, or malformed.
    pub(crate) async fn component_archive(
        &self,
        path: &str,
    ) -> Result<Option<ComponentArchive>, Error> {
        let full = self.path(path);
        if !full.exists() {
            return Err(Error::NoRepository {
                location: path.to_owned(),
            });
        }
        Ok(ComponentArchive::open(&full, path, &Scratch::default()).await?)
    }

    /// Opens an archive, and writes it in the form that was named.
    async fn ctf(&self, ctf: &CtfRepository, usage: Use) -> Result<StoreRef, Error> {
        match ctf.format.map(form) {
            Some(named) if usage == Use::Write => {
                let full = self.path(&ctf.path);
                let (elsewhere, scratch) = (Elsewhere::default(), Scratch::default());
                let opened = ocm_ctf::open_to_write(&full, Some(named), elsewhere, &scratch).await;
                Ok(opened?)
            }
            _ => self.archive(&ctf.path, usage).await,
        }
    }

    /// Opens an archive: a directory, a tar, or a compressed tar.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    pub async fn archive(&self, path: &str, usage: Use) -> Result<StoreRef, Error> {
        let full = self.path(path);
        if usage != Use::Write && !full.exists() {
            return Err(Error::NoRepository {
                location: path.to_owned(),
            });
        }
        let access = if usage == Use::Read {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        };
        Ok(ocm_ctf::open(&full, access, &Scratch::default()).await?)
    }

    /// Returns the client of a registry. One client serves the whole session, with its
    /// connections, tokens and limits.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read, or its certificates are malformed.
    pub async fn registry(&self, host: &str, scheme: Scheme) -> Result<StoreRef, Error> {
        let key = format!("{scheme:?} {host}");
        if let Some(client) = self.registries().get(&key) {
            return Ok(Arc::clone(client));
        }
        let options = self.registry_options(host, scheme).await?;
        let client: StoreRef = Arc::new(RegistryClient::new(options)?);
        Ok(Arc::clone(self.registries().entry(key).or_insert(client)))
    }

    /// Each change is one insertion, so that the map is whole even where a holder panicked.
    fn registries(&self) -> MutexGuard<'_, BTreeMap<String, StoreRef>> {
        self.0
            .registries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how a host is reached, and how credentials of a registry on it are found.
    pub(crate) async fn registry_options(
        &self,
        host: &str,
        scheme: Scheme,
    ) -> Result<RegistryOptions, Error> {
        let http: HttpConfig = self.config().await?.http()?;
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().ok()),
            None => (host, None),
        };
        let settings = http.for_host(name, port);
        let mut options = RegistryOptions::new(host);
        options.scheme = scheme;
        let state = self.0.environment.state_home();
        options.remember_uploads_in = state.map(|state| state.join("ocm/uploads"));
        options.credentials = Arc::new(Configured::new(&self.0));
        if let Some(connect) = settings.tcp_dial_timeout {
            options.timeouts.connect = connect;
        }
        if let Some(read) = settings.response_header_timeout {
            options.timeouts.read = read;
        }
        options.insecure_skip_verify = settings.insecure_skip_verify.unwrap_or(false);
        if let Some(pem) = settings.root_cas_pem {
            options.extra_ca_pems.push(pem.into_bytes());
        }
        if let Some(file) = settings.root_cas_pem_file {
            let path = self.path(&file);
            let pem = tokio::fs::read(&path).await;
            options
                .extra_ca_pems
                .push(pem.map_err(|source| Error::File {
                    action: "read",
                    path,
                    source,
                })?);
        }
        if settings.retry.max_retries.is_some() {
            options.retry.patience = std::time::Duration::ZERO;
        }
        match settings.retry.max_retries {
            Some(Retries::Off) => options.retry = ocm_oci::RetryPolicy::once(),
            Some(Retries::UpTo(times)) => options.retry.attempts = times.saturating_add(1),
            Some(Retries::Endless) => options.retry.attempts = u32::MAX,
            None => {}
        }
        if let Some(wait) = settings.retry.min_wait {
            options.retry.first_delay = wait;
        }
        if let Some(wait) = settings.retry.max_wait {
            options.retry.max_delay = wait;
        }
        Ok(options)
    }

    /// Returns the one version that a reference means: the one it names, else the newest.
    ///
    /// # Errors
    ///
    /// There is no such component.
    pub async fn one_version(
        &self,
        repository: &RepositoryRef,
        located: &Located,
    ) -> Result<ComponentVersionId, Error> {
        if located.version.is_some() {
            return located.id();
        }
        let versions = self.versions(repository, located, None, true).await?;
        let newest = versions.into_iter().next();
        newest.ok_or_else(|| Error::NoVersion {
            reference: located.to_string(),
        })
    }

    /// Checks the digest that a reference states, if it does.
    ///
    /// # Errors
    ///
    /// The component version has another, or does not exist.
    pub async fn check_stored_digest(
        &self,
        repository: &RepositoryRef,
        located: &Located,
    ) -> Result<(), Error> {
        let id = located.id()?;
        let stored = repository.component_version(&id).await?;
        located.check_digest(&id, &stored)
    }

    /// Returns the versions that a reference means, newest first: the one it names, else all that
    /// a constraint admits, or the newest of them.
    ///
    /// # Errors
    ///
    /// There is no such component.
    pub async fn versions(
        &self,
        repository: &RepositoryRef,
        located: &Located,
        constraint: Option<&Constraint>,
        latest: bool,
    ) -> Result<Vec<ComponentVersionId>, Error> {
        if located.version.is_some() {
            return Ok(vec![located.id()?]);
        }
        self.versions_of(repository, &located.component, constraint, latest)
            .await
    }

    /// Returns the versions of a component, newest first: all that a constraint admits, or the
    /// newest of them.
    ///
    /// # Errors
    ///
    /// There is no such component.
    pub async fn versions_of(
        &self,
        repository: &RepositoryRef,
        component: &ComponentName,
        constraint: Option<&Constraint>,
        latest: bool,
    ) -> Result<Vec<ComponentVersionId>, Error> {
        let versions = repository.versions(component).await?;
        let admitted: Vec<Version> = versions
            .into_iter()
            .filter(|version| constraint.is_none_or(|constraint| constraint.matches(version)))
            .collect();
        let released = admitted.iter().position(|version| !version.is_prerelease());
        let chosen = if latest {
            // A pre-release is the latest only where there is nothing else.
            admitted
                .into_iter()
                .skip(released.unwrap_or(0))
                .take(1)
                .collect()
        } else {
            admitted
        };
        let with_name = |version| ComponentVersionId::new(component.clone(), version);
        Ok(chosen.into_iter().map(with_name).collect())
    }
}

#[async_trait::async_trait]
impl StoreProvider for Ocm {
    async fn store(&self, image: &ImageReference) -> Result<StoreRef, ocm_oci::Error> {
        let scheme = match image.scheme.as_deref() {
            Some("http") => Scheme::Http,
            Some(_) => Scheme::Https,
            None => Scheme::Auto,
        };
        self.registry(&image.registry, scheme)
            .await
            .map_err(|error| match error {
                Error::Store(error) => error,
                other => ocm_oci::Error::Remote {
                    what: format!("registry {}", image.registry),
                    reason: "cannot be used".to_owned(),
                    status: None,
                    transient: false,
                    source: Some(Box::new(other)),
                },
            })
    }
}
