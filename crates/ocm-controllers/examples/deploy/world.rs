//! An API server with our definitions, and registries with component versions.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use ocm::blob::MemoryBlob;
use ocm::model::{Descriptor, RepositorySpec, TypedSpec};
use ocm::repository::{Content, CopyOptions, Expected};
use ocm::{Environment, Ocm, Use};
use ocm_testkit::{Cluster, Registry};
use serde_json::json;

use crate::objects::{self, component_name};

/// How many component versions are published at a time.
const PUBLISHING: usize = 16;

/// An API server with our definitions and one namespace for everything.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let cluster = Cluster::start();
        let definitions = ocm_controllers::api::definitions();
        let definitions = definitions.iter().map(serde_json::to_string);
        let definitions: Vec<_> = definitions.collect::<serde_json::Result<_>>()?;
        let applied = cluster.kubectl_with(
            &["apply", "--server-side", "-f", "-"],
            &definitions.join("\n---\n"),
        );
        ensure!(applied.status.success(), "{applied:?}");
        let served = cluster.kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "customresourcedefinitions",
            "--all",
        ]);
        ensure!(served.status.success(), "{served:?}");
        let namespace = cluster.kubectl(&["create", "namespace", objects::NAMESPACE]);
        ensure!(namespace.status.success(), "{namespace:?}");
        let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Ok(Self {
            client: Client::try_from(config)?,
            cluster,
        })
    }
}

/// Publishes a version of each of these components, with its manifest as its only resource.
pub(crate) async fn publish(
    registry: &Registry,
    components: impl Iterator<Item = usize>,
    version: &str,
    maps: usize,
) -> Result<()> {
    let spec = TypedSpec::new("OCIRegistry/v1");
    let spec = spec.with("baseUrl", format!("http://{}", registry.host()));
    let spec = RepositorySpec::try_from(spec)?;
    let repository = Ocm::new(Environment::default())
        .open(&spec, Use::Write)
        .await?;
    let repository = &repository;
    let publishing = components.map(|number| async move {
        let manifest = objects::manifest(number, maps, version);
        let mut document = json!({
            "meta": {"schemaVersion": "v2"},
            "component": {
                "name": component_name(number), "version": version, "provider": "bench",
                "repositoryContexts": [], "resources": [], "sources": [],
                "componentReferences": [],
            },
        });
        let id = format!("{}:{version}", component_name(number)).parse()?;
        let blob = MemoryBlob::new(manifest.into_bytes()).with_media_type("application/yaml");
        let content = Content::Blob(Arc::new(blob));
        let options = CopyOptions::new(1);
        let added = repository
            .add_content(&id, &content, None, &options)
            .await?;
        document["component"]["resources"] = json!([{
            "name": "manifests", "version": version, "type": "blob", "relation": "local",
            "access": added.access.into_json(), "digest": added.digest,
        }]);
        let descriptor = Descriptor::from_document(document)?;
        repository.put(&descriptor, Expected::Anything).await?;
        anyhow::Ok(())
    });
    let mut publishing = stream::iter(publishing).buffer_unordered(PUBLISHING);
    while publishing.try_next().await?.is_some() {}
    repository.commit().await.context("publishing")?;
    registry.take_requests();
    Ok(())
}
