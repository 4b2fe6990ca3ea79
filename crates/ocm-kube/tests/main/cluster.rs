//! Clients for the cluster that all tests share.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
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
