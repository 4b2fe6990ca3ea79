//! The bare server-side applies of what was delivered: the limit of who delivers it.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Client, Resource as _};

use crate::controller::{servers_cpu, settle};
use crate::objects::{NAMESPACE, apply};

/// How many at a time is tried.
const PARALLEL: [usize; 4] = [4, 8, 16, 32];

/// How long the applies took, and how many went on at a time when they were the quickest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    pub(crate) seconds: f64,
    pub(crate) parallel: usize,
    /// The seconds that API server and database were busy.
    pub(crate) servers: f64,
}

/// Applies all that was delivered once more, with all that was written into it, to new namespaces.
pub(crate) async fn apply_all(client: &Client, expected: usize) -> Result<Bare> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    let maps = maps.list(&ListParams::default()).await?.items;
    ensure!(
        maps.len() == expected,
        "{} of {expected} were delivered",
        maps.len()
    );
    let mut best: Option<Bare> = None;
    for parallel in PARALLEL {
        let namespace = format!("bare-{parallel}");
        let made = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.create(&PostParams::default(), &made).await?;
        let objects = maps.iter().map(|map| fresh(map, &namespace));
        let objects: Vec<_> = objects.collect();
        settle().await?;
        let (start, before) = (Instant::now(), servers_cpu()?);
        apply(client, objects, parallel).await?;
        let bare = Bare {
            seconds: start.elapsed().as_secs_f64(),
            parallel,
            servers: servers_cpu()? - before,
        };
        if best.is_none_or(|best| bare.seconds < best.seconds) {
            best = Some(bare);
        }
    }
    best.context("at least one is tried")
}

/// The object without what the API server has added.
fn fresh(map: &ConfigMap, namespace: &str) -> DynamicObject {
    let metadata = ObjectMeta {
        name: map.meta().name.clone(),
        namespace: Some(namespace.to_owned()),
        labels: map.meta().labels.clone(),
        annotations: map.meta().annotations.clone(),
        owner_references: map.meta().owner_references.clone(),
        ..ObjectMeta::default()
    };
    let resource = ApiResource::erase::<ConfigMap>(&());
    let mut object = DynamicObject::new(map.meta().name.as_deref().unwrap_or_default(), &resource)
        .data(serde_json::json!({"data": map.data}));
    object.metadata = metadata;
    object
}
