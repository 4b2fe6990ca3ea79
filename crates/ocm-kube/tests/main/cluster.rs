//! Clients for the cluster that all tests share.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use kube::api::DynamicObject;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use ocm_kube::manifest::{Limits, parse};
use ocm_testkit::Cluster;

/// A client that may do everything.
pub(crate) async fn client() -> Client {
    client_of(&Cluster::shared().kubeconfig()).await
}

/// A client with the rights of a kubeconfig.
pub(crate) async fn client_of(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// What a client has asked, as method and path.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    /// What was asked since the last time, sorted.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.0.lock().unwrap());
        asked.sort_unstable();
        asked
    }
}

/// A client that may do everything, and what it asks.
pub(crate) async fn noting_client() -> (Client, Asked) {
    let asked = Asked::default();
    let noting = Noting {
        client: client().await,
        asked: asked.clone(),
    };
    (Client::new(noting, "default"), asked)
}

struct Noting {
    client: Client,
    asked: Asked,
}

impl tower_service::Service<Request<Body>> for Noting {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, kube::Result<Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<kube::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let asked = format!("{} {}", request.method(), request.uri().path());
        self.asked.0.lock().unwrap().push(asked);
        let client = self.client.clone();
        async move { client.send(request).await }.boxed()
    }
}

/// A definition of a kind in a group of its own, as YAML.
pub(crate) fn definition(group: &str, kind: &str) -> String {
    let singular = kind.to_lowercase();
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {singular}s.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: {kind}, plural: {singular}s, singular: {singular}}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {{status: {{}}}}
    schema:
      openAPIV3Schema:
        type: object
        x-kubernetes-preserve-unknown-fields: true
"
    )
}

/// Runs `kubectl`, which must succeed; returns what it says.
#[track_caller]
pub(crate) fn kubectl(arguments: &str) -> String {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    kubectl_with(&arguments)
}

/// As [`kubectl`], with arguments that have spaces.
#[track_caller]
pub(crate) fn kubectl_with(arguments: &[&str]) -> String {
    let output = Cluster::shared().kubectl(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The objects of a manifest.
pub(crate) fn objects(manifest: &str) -> Vec<DynamicObject> {
    parse(manifest.as_bytes(), Limits::default()).unwrap()
}

/// Configuration in YAML, each with one value.
pub(crate) fn settings(namespace: &str, names: &[&str]) -> String {
    let settings = names.iter().map(|name| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             data: {{value: '1'}}\n"
        )
    });
    settings.collect()
}
