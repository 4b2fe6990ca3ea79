//! Waits until objects are ready, and counts how often their status has changed on the way.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use ocm_controllers::api::{Component, Deployer, Repository, Resource};
use serde_json::Value;
use tokio::time::timeout;

use crate::Shape;

/// How long it may take until everything is ready.
const PATIENCE: Duration = Duration::from_mins(10);

/// When the last object became ready, and how often statuses have changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) at: Instant,
    pub(crate) changes: u64,
}

/// Waits until all objects whose name begins so are ready.
pub(crate) async fn all(client: &Client, name: &str, shape: Shape) -> Result<Ready> {
    let waiting = async {
        tokio::try_join!(
            kind(client, ApiResource::erase::<Repository>(&()), name, 1),
            kind(
                client,
                ApiResource::erase::<Component>(&()),
                name,
                shape.components
            ),
            kind(
                client,
                ApiResource::erase::<Resource>(&()),
                name,
                shape.resources
            ),
            kind(
                client,
                ApiResource::erase::<Deployer>(&()),
                name,
                shape.deployers
            ),
        )
    };
    match timeout(PATIENCE, waiting).await {
        Ok(all) => {
            let (a, b, c, d) = all?;
            let all = [a, b, c, d];
            let at = all.iter().map(|it| it.at).max();
            Ok(Ready {
                at: at.unwrap_or(a.at),
                changes: all.iter().map(|it| it.changes).sum(),
            })
        }
        Err(_) => bail!("not everything is ready after {PATIENCE:?}"),
    }
}

async fn kind(client: &Client, resource: ApiResource, name: &str, number: usize) -> Result<Ready> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let mut statuses: BTreeMap<String, Value> = BTreeMap::new();
    let (mut ready, mut changes) = (0, 0);
    while ready < number
        && let Some(event) = events.next().await
    {
        let (Event::Apply(object) | Event::InitApply(object)) = event? else {
            continue;
        };
        let object_name = object.name_any();
        if !object_name.starts_with(name) {
            continue;
        }
        let status = object.data.get("status").cloned().unwrap_or_default();
        let before = statuses.insert(object_name, status.clone());
        let before = before.unwrap_or_default();
        if before != status {
            changes += 1;
        }
        ready = ready + usize::from(is_ready(&status)) - usize::from(is_ready(&before));
    }
    Ok(Ready {
        at: Instant::now(),
        changes,
    })
}

fn is_ready(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
}
