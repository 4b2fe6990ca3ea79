//! The bare server-side applies of what was delivered, and all writes that it takes, without anybody
//! who decides on them: the limits of who delivers it.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    Api, ApiResource, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
};
use kube::{Client, Resource as _, ResourceExt as _};
use ocm_controllers::api::{Component, Deployer, Repository, Resource};
use serde::Serialize;
use serde_json::json;

use crate::controller::{servers_cpu, settle};
use crate::objects::{NAMESPACE, api_of, apply, apply_one};

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
    let maps = delivered(client, expected).await?;
    let mut best: Option<Bare> = None;
    for parallel in PARALLEL {
        let objects = copies(client, &maps, &format!("bare-{parallel}")).await?;
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

/// Writes all that it takes to deliver: applies of what was delivered, and finalizers and status of
/// each object that delivers it, as those are now. All of it goes to copies, which are made before.
pub(crate) async fn write_all(client: &Client, expected: usize, parallel: usize) -> Result<Writes> {
    let maps = delivered(client, expected).await?;
    let maps = copies(client, &maps, "bare-writes").await?;
    let mut originals = Vec::new();
    for resource in [
        ApiResource::erase::<Repository>(&()),
        ApiResource::erase::<Component>(&()),
        ApiResource::erase::<Resource>(&()),
        ApiResource::erase::<Deployer>(&()),
    ] {
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let listed = api.list(&ListParams::default()).await?;
        originals.extend(listed.items.into_iter().map(|it| (resource.clone(), it)));
    }
    let copied = originals.iter().map(|(resource, original)| {
        let name = copy_name(original);
        let spec = original.data.get("spec");
        let mut copy = DynamicObject::new(&name, resource).data(json!({"spec": spec}));
        copy.metadata
            .namespace
            .clone_from(&original.metadata.namespace);
        copy
    });
    apply(client, copied.collect(), parallel).await?;
    settle().await?;

    let (applies, objects) = (maps.len(), originals.len());
    let (start, before) = (Instant::now(), servers_cpu()?);
    let params = PatchParams::default();
    let params = &params;
    let writing = originals.iter().map(|(resource, original)| async move {
        let name = copy_name(original);
        let api = api_of(client.clone(), resource, original.namespace().as_deref());
        let finalizers = json!({"metadata": {"finalizers": original.finalizers()}});
        api.patch_metadata(&name, params, &Patch::Merge(finalizers))
            .await?;
        let status = json!({"status": original.data.get("status")});
        api.patch_status(&name, params, &Patch::Merge(status))
            .await?;
        anyhow::Ok(())
    });
    let applying = maps.into_iter().map(|map| apply_one(client, map));
    // As controllers do both, one goes on beside the other.
    let half = (parallel / 2).max(1);
    tokio::try_join!(
        stream::iter(writing)
            .buffer_unordered(half)
            .try_collect::<()>(),
        stream::iter(applying)
            .buffer_unordered(half)
            .try_collect::<()>(),
    )?;
    Ok(Writes {
        seconds: start.elapsed().as_secs_f64(),
        servers: servers_cpu()? - before,
        applies,
        objects,
    })
}

/// How long all writes took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Writes {
    pub(crate) seconds: f64,
    /// The seconds that API server and database were busy.
    pub(crate) servers: f64,
    /// How many objects were applied.
    pub(crate) applies: usize,
    /// How many objects got finalizers, and a status.
    pub(crate) objects: usize,
}

fn copy_name(original: &DynamicObject) -> String {
    format!("bare-{}", original.name_any())
}

async fn delivered(client: &Client, expected: usize) -> Result<Vec<ConfigMap>> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    let maps = maps.list(&ListParams::default()).await?.items;
    ensure!(
        maps.len() == expected,
        "{} of {expected} were delivered",
        maps.len()
    );
    Ok(maps)
}

/// Makes a namespace, and returns what is to be applied there.
async fn copies(
    client: &Client,
    maps: &[ConfigMap],
    namespace: &str,
) -> Result<Vec<DynamicObject>> {
    let made = Namespace {
        metadata: ObjectMeta {
            name: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.create(&PostParams::default(), &made).await?;
    Ok(maps.iter().map(|map| fresh(map, namespace)).collect())
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
        .data(json!({"data": map.data}));
    object.metadata = metadata;
    object
}
