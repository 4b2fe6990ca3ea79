//! The credential graph: from a consumer identity to its credentials.
//!
//! Its nodes are the consumers of the configuration. A credential of a consumer may come from a
//! plugin, which may need credentials of its own: that is an edge to another node. Stores such as
//! Docker's configuration are asked when no consumer has an answer.

mod build;
mod plugin;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

pub use self::plugin::{BoxError, CredentialPlugin, CredentialStore, Plugins};
use crate::config::Config;
use crate::credentials::{Bases, Credentials};
use crate::docker::{self, DockerRepository};
use crate::document::Warning;
use crate::environment::Environment;
use crate::identity::{ConsumerIdentity, Mismatch, Specificity, compare, same_type};
use crate::location::Location;

/// Everything that a configuration says about credentials, ready to be asked.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use ocm_config::graph::CredentialGraph;
/// use ocm_config::{Config, ConfigDocument, ConsumerIdentity, Environment};
///
/// let document = ConfigDocument::parse(
///     "
///     type: credentials.config.ocm.software
///     consumers:
///     - identity: {type: OCIRegistry, hostname: ghcr.io, path: acme/*}
///       credentials: [{type: Credentials/v1, properties: {username: robot}}]
///     ",
///     "example",
/// )?;
/// let graph = CredentialGraph::new(&Config::new([document]), &Environment::default());
/// let registry = ConsumerIdentity::oci_registry("https://ghcr.io/acme/shop")?;
/// let found = graph.resolve(&registry).await?.expect("the path matches");
/// assert_eq!(found.username().as_deref(), Some("robot"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct CredentialGraph {
    nodes: Vec<Node>,
    stores: Vec<Store>,
    env: Environment,
    warnings: Vec<Warning>,
}

/// A consumer of the configuration.
#[derive(Debug)]
struct Node {
    identity: ConsumerIdentity,
    location: Location,
    /// Stated in the configuration, and merged.
    direct: Option<Credentials>,
    /// To be had from plugins.
    indirect: Vec<Indirect>,
}

/// A credential that a plugin knows.
#[derive(Clone)]
struct Indirect {
    plugin: Arc<dyn CredentialPlugin>,
    spec: Value,
    bases: Arc<Bases>,
}

/// A store that is asked when no consumer has an answer.
struct Store {
    kind: StoreKind,
    /// Where it is configured, if it is; only then it has to work.
    configured: Option<Location>,
}

enum StoreKind {
    Docker(DockerRepository),
    Foreign {
        store: Arc<dyn CredentialStore>,
        spec: Value,
    },
}

impl CredentialGraph {
    /// Builds the graph with what this crate knows by itself.
    pub fn new(config: &Config, env: &Environment) -> Self {
        Self::with_plugins(config, env, &Plugins::default())
    }

    /// Builds the graph with further types of credentials and stores.
    ///
    /// What cannot be understood is left out with a [warning](Self::warnings), so that a mistake
    /// in one consumer leaves the others alone.
    pub fn with_plugins(config: &Config, env: &Environment, plugins: &Plugins) -> Self {
        build::build(config, env, plugins)
    }

    /// What was left out.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Finds the credentials of a consumer; none means to go on without.
    ///
    /// Of several consumers that fit, an equal one counts, then the one with more attributes, then
    /// the one with the longer path and fewer wildcards in it, then the one that is configured
    /// first in the strongest file.
    ///
    /// # Errors
    ///
    /// When a plugin or a configured store fails, or a plugin would need, in the end, the
    /// credentials that it is asked for.
    pub async fn resolve(&self, identity: &ConsumerIdentity) -> Result<Option<Credentials>, Error> {
        self.walk(identity, &[]).await
    }

    /// Returns the consumers of the same type that do not fit, the closest first.
    pub fn near_misses(&self, identity: &ConsumerIdentity) -> Vec<NearMiss> {
        let mut misses: Vec<_> = self
            .of_type(identity)
            .filter_map(|(_, node)| {
                Some(NearMiss {
                    identity: node.identity.clone(),
                    location: node.location.clone(),
                    mismatches: compare(&node.identity, identity).err()?,
                })
            })
            .collect();
        misses.sort_by_key(|miss| miss.mismatches.len());
        misses
    }

    /// Resolves an identity on the way from others, whose nodes are given.
    fn walk<'a>(
        &'a self,
        identity: &'a ConsumerIdentity,
        way: &'a [usize],
    ) -> Pin<Box<dyn Future<Output = Result<Option<Credentials>, Error>> + Send + 'a>> {
        Box::pin(async move {
            if let Some(index) = self.best(identity) {
                if way.contains(&index) {
                    return Err(self.cycle(way, index));
                }
                let way = [way, &[index]].concat();
                if let Some(found) = self.answer(&self.nodes[index], &way).await? {
                    return Ok(Some(found));
                }
            }
            self.ask_stores(identity).await
        })
    }

    /// Finds the consumer that fits best.
    fn best(&self, identity: &ConsumerIdentity) -> Option<usize> {
        let mut best: Option<(Specificity, usize)> = None;
        for (index, node) in self.of_type(identity) {
            let Ok(specificity) = compare(&node.identity, identity) else {
                continue;
            };
            // Not `>=`: among equals the first one counts.
            if best.is_none_or(|(other, _)| specificity > other) {
                best = Some((specificity, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn of_type(&self, identity: &ConsumerIdentity) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| same_type(node.identity.kind(), identity.kind()))
    }

    /// Returns what a consumer has: what is stated, or else what its plugins say together.
    async fn answer(&self, node: &Node, way: &[usize]) -> Result<Option<Credentials>, Error> {
        if let Some(direct) = &node.direct {
            return Ok(Some(direct.clone()));
        }
        let mut merged: Option<Credentials> = None;
        for indirect in &node.indirect {
            let found = self.ask_plugin(node, indirect, way).await?;
            merged = Some(match merged {
                Some(merged) => merged.overridden_by(found),
                None => found,
            });
        }
        Ok(merged)
    }

    async fn ask_plugin(
        &self,
        node: &Node,
        indirect: &Indirect,
        way: &[usize],
    ) -> Result<Credentials, Error> {
        let fail = |source| Error::Plugin {
            identity: node.identity.clone(),
            location: node.location.clone(),
            source,
        };
        let own = indirect.plugin.consumer_identity(&indirect.spec);
        let credentials = match own.map_err(fail)? {
            Some(identity) => self.walk(&identity, way).await?,
            None => None,
        };
        let found = indirect
            .plugin
            .resolve(&indirect.spec, credentials.as_ref())
            .await
            .map_err(fail)?;
        Ok(found.with_bases(Arc::clone(&indirect.bases)))
    }

    /// Asks the stores in their order. One that fails counts only if no other has an answer.
    async fn ask_stores(&self, identity: &ConsumerIdentity) -> Result<Option<Credentials>, Error> {
        let mut failed = None;
        for store in self.stores.iter().filter(|store| store.serves(identity)) {
            match (store.resolve(identity, &self.env).await, &store.configured) {
                (Ok(None), _) => {}
                (Ok(found), _) => return Ok(found),
                (Err(source), Some(location)) => {
                    failed = failed.or(Some(Error::Store {
                        identity: identity.clone(),
                        location: location.clone(),
                        source,
                    }));
                }
                (Err(error), None) => {
                    tracing::warn!(error = &*error, "the docker configuration is left out");
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn cycle(&self, way: &[usize], index: usize) -> Error {
        let start = way.iter().position(|step| *step == index).unwrap_or(0);
        let steps = way[start..].iter().chain([&index]);
        Error::Cycle {
            location: self.nodes[index].location.clone(),
            steps: steps
                .map(|step| self.nodes[*step].identity.to_string())
                .collect::<Vec<_>>()
                .join(" -> "),
        }
    }
}

impl Store {
    fn serves(&self, identity: &ConsumerIdentity) -> bool {
        match &self.kind {
            StoreKind::Docker(_) => same_type(identity.name(), "OCIRegistry"),
            StoreKind::Foreign { store, .. } => store.serves(identity),
        }
    }

    async fn resolve(
        &self,
        identity: &ConsumerIdentity,
        env: &Environment,
    ) -> Result<Option<Credentials>, BoxError> {
        match &self.kind {
            StoreKind::Docker(docker) => docker
                .resolve(identity, env)
                .await
                .map_err(|error: docker::Error| error.into()),
            StoreKind::Foreign { store, spec } => store.resolve(spec, identity).await,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("configured", &self.configured)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Indirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indirect").finish_non_exhaustive()
    }
}

/// A consumer that nearly fits, for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct NearMiss {
    /// The consumer as it is configured.
    pub identity: ConsumerIdentity,
    /// Where it is configured.
    pub location: Location,
    /// What keeps it from fitting.
    pub mismatches: Vec<Mismatch>,
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.identity, self.location)?;
        for (position, mismatch) in self.mismatches.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{mismatch}")?;
        }
        Ok(())
    }
}

/// Why there is no answer about credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// A plugin would have to know its credentials in order to get them.
    #[error("{location}: credentials depend on themselves: {steps}")]
    Cycle { location: Location, steps: String },
    /// A plugin fails.
    #[error("{location}: cannot get credentials for {identity}")]
    Plugin {
        identity: ConsumerIdentity,
        location: Location,
        source: BoxError,
    },
    /// A configured store fails, and no other has an answer.
    #[error("{location}: cannot look up credentials for {identity}")]
    Store {
        identity: ConsumerIdentity,
        location: Location,
        source: BoxError,
    },
}
