//! Registries that are down, do not answer, break off, or have had enough.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use ocm_controllers::api::{Component, Deployer, Repository, Resource};
use ocm_controllers::operator::Options;
use ocm_controllers::resolution;
use ocm_kube::metrics::Metrics;
use ocm_testkit::{Fault, eventually};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Controllers, World};
use crate::delivery::config_map;
use crate::running::{of_component, of_deployer, of_repository, of_resource, options, wait_in};

/// More often than anything asks.
const ALWAYS: usize = 1_000_000;

/// How often everything is looked at until something is said about it.
const TRIES: usize = 20;

/// What is said about objects that are watched.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    /// Notes what is said about the objects of a kind, from now on.
    fn note<K>(&self, api: Api<K>, of: fn(&K) -> String) -> AbortOnDropHandle<()>
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let said = Arc::clone(&self.0);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let objects = watcher(api, watcher::Config::default()).applied_objects();
            let mut objects = objects.boxed();
            while let Ok(Some(object)) = objects.try_next().await {
                said.lock().unwrap().push(of(&object));
            }
        }))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl World {
    fn fail(&self, fault: &Fault) {
        for method in ["GET", "HEAD"] {
            self.registry.fail(ALWAYS, method, "", fault.clone());
        }
    }

    fn look_again(&self, kind: &str, name: &str, value: &str) {
        let annotation = format!("delivery.ocm.software/reconcile={value}");
        self.kubectl(&["annotate", "--overwrite", kind, name, &annotation]);
    }

    /// Has everything looked at until that was so, and the registry was asked.
    fn look_at_all(&self, metrics: &Metrics, name: &str) {
        let passes = || Passes::of(metrics);
        self.registry.take_requests();
        for look in 0..TRIES {
            let (before, value) = (passes(), format!("{name}-{look}"));
            self.look_again("deployer", &self.namespace, &value);
            self.look_again("resources.delivery.ocm.software", "manifests", &value);
            self.look_again("components.delivery.ocm.software", "it", &value);
            eventually("everything is looked at", || {
                let now = passes();
                now.exceeds(&before).then_some(()).ok_or(format!("{now:?}"))
            });
            // An outcome of a moment ago may count still.
            if !self.registry.take_requests().is_empty() {
                return;
            }
        }
        panic!("the registry is never asked");
    }
}

/// How many passes have come to an outcome, by kind.
#[derive(Debug)]
struct Passes([u64; 3]);

impl Passes {
    fn of(metrics: &Metrics) -> Self {
        let text = metrics.to_text();
        Self(["Component", "Resource", "Deployer"].map(|kind| {
            let ended = ["ready", "failed"].map(|result| {
                let name =
                    format!("ocm_controllers_passes_total{{kind=\"{kind}\",result=\"{result}\"}} ");
                let mut number = text.lines().filter_map(|it| it.strip_prefix(&name));
                number.next().map_or(0, |it| it.parse().unwrap())
            });
            ended.iter().sum()
        }))
    }

    fn exceeds(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(it, other)| it > other)
    }
}

/// A registry that does not answer is not waited for as long as elsewhere.
fn impatient() -> Options {
    let options = options();
    Options {
        resolution: resolution::Options {
            time_limit: Duration::from_secs(4),
            kept_for: Duration::from_secs(1),
            ..options.resolution
        },
        ..options
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_registry_what_it_has_given_stays_and_is_ready() {
    let world = World::alone().await;
    let map = config_map(&world.namespace, "one", "1");
    world.publish("1.0.0", &map).await;
    let options = impatient();
    let metrics = options.metrics.clone();
    let _controllers = Controllers::with(world.cluster.kubeconfig(), options);
    world.deliver(">=1.0.0");
    world.delivered("1.0.0").await;
    let before = world.maps().get("one").await.unwrap().metadata;

    let said = Said::default();
    let (client, namespace) = (|| world.client.clone(), &*world.namespace);
    let _noting = [
        said.note(
            Api::<Component>::namespaced(client(), namespace),
            of_component,
        ),
        said.note(
            Api::<Resource>::namespaced(client(), namespace),
            of_resource,
        ),
        said.note(Api::<Deployer>::all(client()), of_deployer),
    ];
    let faults = [
        Fault::Status(503),
        Fault::RetryAfter(429, 1),
        Fault::HoldUntilHealed,
        Fault::Cut,
    ];
    for (round, fault) in faults.iter().enumerate() {
        world.fail(fault);
        tokio::task::block_in_place(|| world.look_at_all(&metrics, &round.to_string()));
        world.registry.heal();
    }
    let said_meanwhile = said.take();
    assert!(said_meanwhile.len() >= 3, "{said_meanwhile:#?}");
    let unready = said_meanwhile.iter().filter(|it| !it.starts_with("True "));
    assert_eq!(unready.count(), 0, "{said_meanwhile:#?}");

    // That of the repository is said where it is looked at, and ends by itself.
    world.fail(&Fault::Status(503));
    world.look_again("repositories.delivery.ocm.software", "shop", "1");
    let repositories = || Api::<Repository>::namespaced(client(), namespace);
    let failed = |it: &Repository| of_repository(it).contains("health check failed");
    wait_in(repositories(), "shop", failed).await;
    world.registry.heal();
    let ready = |it: &Repository| of_repository(it).starts_with("True ");
    wait_in(repositories(), "shop", ready).await;
    world.delivered("1.0.0").await;
    let after = world.maps().get("one").await.unwrap().metadata;
    assert_eq!(after.uid, before.uid);
    assert_eq!(after.resource_version, before.resource_version);
    let events = world.events().await;
    assert!(events.len() < 30, "{events:#?}");

    // What is new is found as ever.
    world
        .publish("1.1.0", &config_map(namespace, "one", "2"))
        .await;
    for look in 0..TRIES {
        let value = format!("new-{look}");
        world.look_again("components.delivery.ocm.software", "it", &value);
        // That there was no answer may count for a moment still.
        let delivered = timeout(Duration::from_secs(3), world.delivered("1.1.0"));
        if delivered.await.is_ok() {
            break;
        }
    }
    world.delivered("1.1.0").await;
    world.withdraw();
    world.withdrawn().await;
}
