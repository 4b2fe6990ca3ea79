//! What controllers survive, in a cluster of their own.

mod bounds;
mod kills;
mod leader;
mod processes;
mod registry;
mod restart;
mod server;
mod settings;
mod storm;
mod transfers;

use std::sync::OnceLock;

use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::{Api, Client};
use ocm_controllers::api::{Component, Deployer, Repository, Resource};
use ocm_controllers::operator::{Operator, Options};
use ocm_testkit::{Cluster, FaultProxy, Registry};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use crate::delivery::{Packing, chain, config_map};
use crate::gate::Gate;
use crate::running::{gone_from, of_deployer, options, wait_in};
use crate::world::{COMPONENT, client_of, install, text};

/// A cluster that no controllers work in but those of a test, one test at a time; and a registry
/// and namespace of that test.
struct World {
    cluster: MutexGuard<'static, Cluster>,
    client: Client,
    namespace: String,
    registry: Registry,
    /// What stands between controllers and the registry, if there is something.
    proxy: Option<FaultProxy>,
}

impl World {
    /// Waits until no other test is in the cluster.
    async fn alone() -> Self {
        static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(|| {
            let cluster = Cluster::start();
            install(&cluster);
            Mutex::new(cluster)
        });
        let cluster = cluster.lock().await;
        Self {
            client: client_of(&cluster.kubeconfig()).await,
            namespace: cluster.namespace(),
            cluster,
            registry: Registry::start(),
            proxy: None,
        }
    }

    fn apply(&self, manifest: &str) {
        let arguments = ["apply", "--server-side", "-n", &*self.namespace, "-f", "-"];
        let output = self.cluster.kubectl_with(&arguments, manifest);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["-n", &*self.namespace], arguments].concat();
        let output = self.cluster.kubectl(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Publishes a version of the component with manifests.
    async fn publish(&self, version: &str, manifests: &str) {
        let packing = Packing::start(&self.registry, version).await;
        let packing = packing.blob("manifests", "application/yaml", manifests.as_bytes());
        packing.await.put().await;
    }

    /// Publishes versions 1.0.0 and 2.0.0 with a config map whose value is the first number, and has
    /// controllers behind a gate deliver the first.
    async fn begun(&self) -> (Gate, Controllers) {
        for value in ["1", "2"] {
            let map = config_map(&self.namespace, "one", value);
            self.publish(&format!("{value}.0.0"), &map).await;
        }
        let gate = Gate::open(&self.cluster);
        let controllers = Controllers::start(gate.kubeconfig());
        self.deliver("1.0.0");
        self.delivered("1.0.0").await;
        gate.take_requests();
        (gate, controllers)
    }

    /// Applies the objects that deliver a version.
    fn deliver(&self, version: &str) {
        let objects = chain(&self.registry, &self.namespace, version);
        let host = self.registry.host();
        let front = self.proxy.as_ref().map_or(host, FaultProxy::host);
        self.apply(&objects.replace(host, front));
    }

    /// Waits until a version is applied.
    async fn delivered(&self, version: &str) -> Deployer {
        let applied = format!("True Succeeded: Applied {COMPONENT}:{version}, resource manifests");
        let deployers = Api::<Deployer>::all(self.client.clone());
        wait_in(deployers, &self.namespace, |it| of_deployer(it) == applied).await
    }

    /// Deletes the objects that deliver, without waiting.
    fn withdraw(&self) {
        self.kubectl(&["delete", "--wait=false", "deployer", &self.namespace]);
        self.kubectl(&[
            "delete",
            "--wait=false",
            "repositories.delivery.ocm.software,components.delivery.ocm.software,\
             resources.delivery.ocm.software",
            "--all",
        ]);
    }

    /// Waits until the objects that deliver have gone.
    async fn withdrawn(&self) {
        let deployers = Api::<Deployer>::all(self.client.clone());
        gone_from(deployers, &self.namespace).await;
        let (client, namespace) = (|| self.client.clone(), &*self.namespace);
        gone_from(
            Api::<Resource>::namespaced(client(), namespace),
            "manifests",
        )
        .await;
        gone_from(Api::<Component>::namespaced(client(), namespace), "it").await;
        gone_from(Api::<Repository>::namespaced(client(), namespace), "shop").await;
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Names and values of the config maps, apart from that of the API server.
    async fn values(&self) -> Vec<(String, String)> {
        let maps = self.maps().list(&kube::api::ListParams::default()).await;
        let maps = maps.unwrap().into_iter().map(|map| {
            let value = map.data.unwrap_or_default().remove("key");
            (map.metadata.name.unwrap(), value.unwrap_or_default())
        });
        maps.filter(|(name, _)| name != "kube-root-ca.crt")
            .collect()
    }

    /// The events about our objects in the namespace, and about its deployer.
    async fn events(&self) -> Vec<String> {
        let events = Api::<Event>::all(self.client.clone());
        let events = events.list(&kube::api::ListParams::default()).await;
        let ours = events.unwrap().into_iter().filter(|it| {
            let object = &it.involved_object;
            object.namespace.as_deref() == Some(&*self.namespace)
                || object.name.as_deref() == Some(&*self.namespace)
        });
        ours.map(|it| {
            format!(
                "{} {}",
                it.reason.unwrap_or_default(),
                it.message.unwrap_or_default()
            )
        })
        .collect()
    }
}

/// Controllers, which end as if they were killed.
struct Controllers(Option<Runtime>);

impl Controllers {
    /// Starts controllers as those of the other tests are.
    fn start(kubeconfig: String) -> Self {
        Self::with(kubeconfig, options())
    }

    fn with(kubeconfig: String, options: Options) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        runtime.spawn(async move {
            let operator = Operator::new(client_of(&kubeconfig).await, options);
            operator.run(CancellationToken::new()).await;
        });
        Self(Some(runtime))
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
