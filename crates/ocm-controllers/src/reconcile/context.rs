//! What a pass works with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt as _};
use ocm::Timestamp;
use ocm_kube::events::Events;
use ocm_kube::metrics::{Counter, Histogram, Metrics};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::memory::Memories;
use super::{Failure, Reconcile, Retry};
use crate::api::{EffectiveConfig, Reason};
use crate::config::{self, Loaded, Referrer, Rules, Source, SourceKind, Used};
use crate::relations::Relations;
use crate::resolution::{Outcome, Resolutions, Ticket};
use crate::watch::Stores;

/// How long a pass waits for a repository before it says so and goes on when it is woken.
const PATIENCE: Duration = Duration::from_secs(1);

/// What passes over objects of all kinds share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) rules: Rules,
    pub(crate) resolutions: Resolutions,
    pub(crate) stores: Stores,
    pub(crate) relations: Arc<Relations>,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    /// Passes have no bound, since most of them wait; what they ask of the API server has.
    pub(crate) requests: Semaphore,
}

impl Shared {
    /// Waits for the turn to ask something of the API server. It ends when what is returned is
    /// dropped.
    pub(crate) async fn request(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.requests.acquire().await.ok()
    }
}

/// What passes over objects of one kind share.
pub(crate) struct Context<K: Reconcile> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) services: K::Services,
    pub(super) memories: Memories<K>,
    passes: Counter,
    took: Histogram,
}

/// Where the configuration of an object comes from, beside what it states itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct ConfigSources<'a> {
    /// What the object has that it is made from: it counts where the object states nothing.
    pub(crate) parent: &'a [EffectiveConfig],
    /// What counts in any case, after all else.
    pub(crate) also: &'a [EffectiveConfig],
    /// The secrets of its namespace that have keys. They are no configuration, but used as well.
    pub(crate) secrets: &'a [&'a str],
}

/// A pass that is measured.
pub(super) struct Measured<'a, K: Reconcile> {
    context: &'a Context<K>,
    began: Instant,
}

impl<K: Reconcile> Measured<'_, K> {
    pub(super) fn end(self, result: &'static str) {
        self.context.passes.add(&[K::KIND, result], 1);
        self.context.took.observe(&[K::KIND], self.began.elapsed());
    }
}

impl<K: Reconcile> Context<K> {
    /// Looks at the objects that a store has.
    pub(crate) fn new(shared: Arc<Shared>, services: K::Services, there: Store<K>) -> Self {
        let metrics = &shared.metrics;
        Self {
            passes: metrics.counter(
                "ocm_controllers_passes_total",
                "Passes over objects, by kind and by what came of them.",
                &["kind", "result"],
            ),
            took: metrics.histogram(
                "ocm_controllers_pass_seconds",
                "How long passes over objects take, by kind.",
                &["kind"],
            ),
            shared,
            services,
            memories: Memories::of(there),
        }
    }

    /// Begins to measure a pass.
    pub(super) fn measure(&self) -> Measured<'_, K> {
        Measured {
            context: self,
            began: Instant::now(),
        }
    }

    /// Waits a moment for an outcome. If that is not enough, the object is looked at again when it
    /// is there, whatever it is.
    pub(crate) async fn wait<T: Clone + Send + Sync + 'static>(
        &self,
        object: &K,
        mut ticket: Ticket<T>,
    ) -> Result<Outcome<T>, Failure> {
        if let Some(outcome) = ticket.within(PATIENCE).await {
            return Ok(outcome);
        }
        let (relations, key) = (Arc::clone(&self.shared.relations), object.key());
        ticket.then(move || relations.wake(&key));
        Err(Failure {
            reason: Reason::ResolutionInProgress,
            message: "component version resolution in progress".to_owned(),
            retry: Retry::WhenWoken,
        })
    }

    /// Returns the configuration that counts for an object, and says that the object uses what it
    /// comes from: it hears of changes of that from now on, before anything of it is read.
    pub(crate) fn effective(
        &self,
        object: &K,
        sources: ConfigSources<'_>,
    ) -> Result<Vec<EffectiveConfig>, Failure> {
        let failed = |error: &config::EffectiveError| {
            Failure::new(Reason::GetConfigurationFailed, error, false)
        };
        let namespace = object.namespace();
        let referrer = Referrer {
            namespace: namespace.as_deref(),
            stated: Some(object.stated_config()),
            parent: Some(sources.parent),
        };
        let keys = config::references(referrer).map_err(|error| failed(&error))?;
        let secrets = sources.secrets.iter().map(|name| {
            Used::Source(Source {
                kind: SourceKind::Secret,
                namespace: namespace.clone().unwrap_or_default(),
                name: (*name).to_owned(),
            })
        });
        let mut used: BTreeSet<_> = secrets.collect();
        used.extend(keys.iter().cloned().map(Used::Object));
        let relations = &self.shared.relations;
        // From here on the object hears of those, also of one that is not there yet.
        relations.uses(&object.key(), used.clone());
        let mut objects = BTreeMap::new();
        for key in keys {
            if let Some(effective) = self.shared.stores.effective_config(&key) {
                objects.insert(key, effective);
            }
        }
        let effective = config::effective(referrer, &objects);
        let mut effective = effective.map_err(|error| failed(&error))?;
        effective.extend_from_slice(sources.also);
        used.extend(effective.iter().map(|entry| {
            let kind = match entry.kind.as_str() {
                "ConfigMap" => SourceKind::ConfigMap,
                _ => SourceKind::Secret,
            };
            let namespace = entry.namespace.as_ref().or(namespace.as_ref());
            Used::Source(Source {
                kind,
                namespace: namespace.cloned().unwrap_or_default(),
                name: entry.name.clone(),
            })
        }));
        relations.uses(&object.key(), used);
        Ok(effective)
    }

    /// Reads the configuration that counts for an object.
    pub(crate) async fn load(
        &self,
        object: &K,
        effective: &[EffectiveConfig],
        reason: Reason,
    ) -> Result<Loaded, Failure> {
        self.load_for(object.namespace().as_deref(), effective, reason)
            .await
    }

    /// Reads configuration on behalf of a namespace, or of nobody who is in one.
    pub(crate) async fn load_for(
        &self,
        user: Option<&str>,
        effective: &[EffectiveConfig],
        reason: Reason,
    ) -> Result<Loaded, Failure> {
        let Shared { client, rules, .. } = &*self.shared;
        let _request = self.shared.request().await;
        let loaded = config::load(client, *rules, user, effective).await;
        loaded.map_err(|error| {
            let transient = error.is_transient();
            Failure::new(reason, &error, transient)
        })
    }
}
