//! What conditions say: each reason of each kind, with the whole text.
//!
//! Scripts and people compare these. Of what changes from run to run there are only the host of the
//! registry and the namespace, which expectations call `REGISTRY` and `NAMESPACE`.

mod origins;
mod replication;
mod resources;

use std::fmt::Debug;
use std::time::Duration;

use futures::future::join_all;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Resource};
use ocm_testkit::Registry;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::running::{kubectl, operator};
use crate::world::{apply, client, cluster};

/// How long something may take before the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A namespace, and a registry.
struct World {
    client: Client,
    namespace: String,
    registry: Registry,
}

impl World {
    async fn new() -> Self {
        operator();
        Self {
            client: client().await,
            namespace: cluster().namespace(),
            registry: Registry::start(),
        }
    }

    fn apply(&self, manifest: &str) {
        apply(&self.namespace, &self.meant(manifest));
    }

    fn delete(&self, kind: &str, name: &str) {
        kubectl(&self.namespace, &["delete", kind, name, "--wait=false"]);
    }

    /// Writes the status of an object that is suspended, as it may have been written before.
    fn write_status(&self, kind: &str, name: &str, status: &str) {
        let status = format!("{{\"status\": {status}}}");
        let patch = ["patch", "--subresource=status", "--type=merge", "-p"];
        kubectl(
            &self.namespace,
            &[&patch[..], &[&*self.meant(&status), kind, name]].concat(),
        );
    }

    fn meant(&self, text: &str) -> String {
        text.replace("REGISTRY", self.registry.host())
            .replace("NAMESPACE", &self.namespace)
    }

    /// Waits until objects say what they are expected to, each of them.
    async fn say<K>(&self, api: Api<K>, of: fn(&K) -> String, expected: &[(&str, &str)])
    where
        K: Clone + Debug + DeserializeOwned + Resource<DynamicType = ()> + Send + 'static,
    {
        let waited = expected.iter().map(|(name, expected)| {
            let (name, expected) = (self.meant(name), self.meant(expected));
            let api = api.clone();
            async move {
                let is_so = |object: Option<&K>| object.is_some_and(|it| of(it) == expected);
                let waited = await_condition(api.clone(), &name, is_so);
                if timeout(PATIENCE, waited).await.is_ok() {
                    return None;
                }
                let now = api.get_opt(&name).await.unwrap();
                let now = now.map_or_else(|| "it is not there".to_owned(), |it| of(&it));
                Some(format!("{name}\n  expected: {expected}\n  found:    {now}"))
            }
        });
        let others: Vec<_> = join_all(waited).await.into_iter().flatten().collect();
        assert!(others.is_empty(), "{}", others.join("\n"));
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// The status of an object that is ready in its first generation.
fn ready(more: &str) -> String {
    format!(
        r#"{{"observedGeneration": 1, "conditions": [{{"type": "Ready", "status": "True",
        "reason": "Succeeded", "message": "it is", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z"}}]{more}}}"#
    )
}
