//! Everything together: what is watched, who hears of it, and who works on it.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::applier;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::{Api, Client};
use ocm::Timestamp;
use ocm_kube::events::Events;
use ocm_kube::metrics::Metrics;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::api::Deployer;
use crate::config::{ObjectKey, Rules, SourceKind};
use crate::deployer::{Deployments, Sets};
use crate::object::Object;
use crate::reconcile::{Context, Reconcile, Shared, pass};
use crate::relations::Relations;
use crate::replication::Transfers;
use crate::resolution::{self, Resolutions};
use crate::watch::{Next, Queues, stores, watch, watch_sources};

/// The name of the component in events: that of the Go controllers.
const RECORDER: &str = "ocm-k8s-toolkit";

/// How long until an object is looked at again whose pass has panicked.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// How long passes may go on that have begun when the process is asked to end: less than the
/// kubelet waits.
const DRAIN: Duration = Duration::from_secs(20);

/// How many requests of passes to the API server go on at a time: each has a connection.
const REQUESTS: usize = 32;

/// What the operator may do, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may use configuration of other namespaces.
    pub rules: Rules,
    /// How repositories are asked.
    pub resolution: resolution::Options,
    /// What this process is called in events; another name in each replica.
    pub instance: String,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
    /// Where numbers about the work go.
    pub metrics: Metrics,
    /// How many resources are worked on at a time; zero is no bound.
    pub resource_concurrency: u16,
    /// How many component versions are transferred at a time.
    pub replication_concurrency: u16,
    /// How manifests are downloaded.
    pub downloads: Downloads,
}

/// How manifests are downloaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Downloads {
    /// How many are kept.
    pub kept: usize,
    /// How many bytes one may have; zero is no bound.
    pub limit: u64,
}

impl Options {
    /// Returns the usual bounds, for a process that is called so in events.
    pub fn new(instance: String, clock: fn() -> Timestamp) -> Self {
        Self {
            rules: Rules::default(),
            resolution: resolution::Options::new(clock),
            instance,
            clock,
            metrics: Metrics::default(),
            resource_concurrency: 4,
            replication_concurrency: 4,
            downloads: Downloads {
                kept: 1000,
                limit: 2 << 20,
            },
        }
    }
}

/// The reconcilers.
pub struct Operator {
    client: Client,
    options: Options,
    ready: Arc<AtomicBool>,
}

impl Operator {
    /// Prepares the reconcilers, which do nothing yet.
    pub fn new(client: Client, options: Options) -> Self {
        Self {
            client,
            options,
            ready: Arc::default(),
        }
    }

    /// Returns what tells whether all objects are known and worked on.
    pub fn readiness(&self) -> impl Fn() -> Result<(), String> + Send + Sync + 'static {
        let ready = Arc::clone(&self.ready);
        move || {
            let ready = ready.load(Ordering::Relaxed);
            ready
                .then_some(())
                .ok_or_else(|| "not all objects are known yet".to_owned())
        }
    }

    /// Works until it is stopped; what has begun then is brought to its end.
    ///
    /// # Cancellation
    ///
    /// When it is dropped, what has begun is dropped, too.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            client,
            options,
            ready,
        } = self;
        let (stores, writers) = stores();
        let mut queues = Queues::default();
        let repositories = queues.add();
        let components = queues.add();
        let replications = queues.add();
        let resources = queues.add();
        let deployers = queues.add();
        let (events, writer) =
            Events::new(client.clone(), RECORDER, &options.instance, options.clock);
        let shared = Arc::new(Shared {
            client: client.clone(),
            clock: options.clock,
            rules: options.rules,
            resolutions: Resolutions::new(resolution::Options {
                contents: options.downloads.kept,
                metrics: options.metrics.clone(),
                ..options.resolution
            }),
            stores: stores.clone(),
            relations: Arc::new(Relations::new(queues)),
            events,
            metrics: options.metrics,
            requests: Semaphore::new(REQUESTS),
        });
        let transfers = Transfers::new(options.replication_concurrency, options.clock);
        let sets = Arc::new(Sets::new(client));
        let _watching = [
            watching(&shared, writers.repositories),
            watching(&shared, writers.components),
            watching(&shared, writers.resources),
            watching(&shared, writers.deployers),
            watching(&shared, writers.replications),
            watching_sources(&shared),
            watching_deployed(&shared, &sets),
        ];
        let working = async {
            // What an object depends on is known before it is looked at.
            if !matches!(stop.run_until_cancelled(stores.ready()).await, Some(Ok(()))) {
                return;
            }
            ready.store(true, Ordering::Relaxed);
            let worker = Worker {
                shared: &shared,
                stop: &stop,
            };
            tokio::join!(
                worker.work(repositories, stores.repositories, (), 0),
                worker.work(components, stores.components, (), 0),
                worker.work(replications, stores.replications, transfers, 0),
                worker.work(
                    resources,
                    stores.resources,
                    (),
                    options.resource_concurrency
                ),
                worker.work(
                    deployers,
                    stores.deployers,
                    Deployments::new(sets, options.downloads.limit),
                    0,
                ),
            );
        };
        let worked = CancellationToken::new();
        let working = async {
            working.await;
            worked.cancel();
        };
        // What passes have said is written before this ends.
        let writing = writer.run(worked.clone()).boxed();
        let working = async { tokio::join!(working, writing) }.boxed();
        let late = async {
            stop.cancelled().await;
            sleep(DRAIN).await;
            tracing::warn!("passes that have begun are dropped");
        };
        tokio::select! {
            _ = working => {}
            () = late => {}
        }
    }
}

/// Watches all objects of a kind.
fn watching<K: Object>(shared: &Shared, writer: Writer<K>) -> AbortOnDropHandle<()> {
    let relations = Arc::clone(&shared.relations);
    let watching = watch(Api::all(shared.client.clone()), writer, relations);
    AbortOnDropHandle::new(tokio::spawn(watching))
}

/// Watches all secrets, and all config maps from when somebody uses one.
fn watching_sources(shared: &Shared) -> AbortOnDropHandle<()> {
    let (client, relations) = (shared.client.clone(), Arc::clone(&shared.relations));
    let watching = async move {
        let secrets = Api::<PartialObjectMeta<Secret>>::all(client.clone());
        let config_maps = Api::<PartialObjectMeta<ConfigMap>>::all(client);
        let config_maps = async {
            // Deployers apply them by the thousand, and few installations read any.
            relations.config_map_used().await;
            watch_sources(config_maps, SourceKind::ConfigMap, &relations).await;
        };
        let secrets = watch_sources(secrets, SourceKind::Secret, &relations);
        tokio::join!(secrets, config_maps);
    };
    AbortOnDropHandle::new(tokio::spawn(watching))
}

/// Watches what deployers have applied.
fn watching_deployed(shared: &Shared, sets: &Sets) -> AbortOnDropHandle<()> {
    let (relations, changes) = (Arc::clone(&shared.relations), sets.changes());
    let watching = changes.for_each(move |owner| {
        relations.wake(&ObjectKey::new(Deployer::KIND, "", &owner.name));
        future::ready(())
    });
    AbortOnDropHandle::new(tokio::spawn(watching))
}

/// Looks at objects.
struct Worker<'a> {
    shared: &'a Arc<Shared>,
    stop: &'a CancellationToken,
}

impl Worker<'_> {
    /// Looks at the objects of a kind that come, each of them by one pass at a time, and so many
    /// at a time; zero is no bound.
    async fn work<K: Reconcile>(
        &self,
        next: Next<K>,
        store: Store<K>,
        services: K::Services,
        concurrency: u16,
    ) {
        let context = Context::new(Arc::clone(self.shared), services, store.clone());
        let context = Arc::new(context);
        let next = next.take_until(self.stop.clone().cancelled_owned());
        let look = |object: Arc<K>, context| {
            let span = tracing::info_span!("pass", kind = K::KIND, object = object.key().path());
            let pass = pass(object, context).instrument(span);
            AbortOnDropHandle::new(tokio::spawn(pass))
        };
        let panicked = |_: Arc<K>, _: &JoinError, _| Action::requeue(AFTER_PANIC);
        let config = controller::Config::default().concurrency(concurrency);
        let passes = applier(look, panicked, context, store, next, config);
        passes
            .for_each(|outcome| async move {
                match outcome {
                    // It has gone before its turn came.
                    Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
                    Err(error) => {
                        tracing::error!(kind = K::KIND, %error, "a pass has failed");
                    }
                }
            })
            .boxed()
            .await;
    }
}
