//! The jobs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use ocm_controllers::api::Component;
use ocm_testkit::{Fault, Registry};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Shape;
use crate::bare;
use crate::controller::{Controller, Cost, servers_cpu, settle};
use crate::counts::Counts;
use crate::objects::{Kind, NAMESPACE, make, map_name};
use crate::ready;
use crate::world::{World, publish};

/// The version that components have at first, and the one that comes.
const VERSION: &str = "1.0.0";
const NEXT: &str = "1.1.0";

/// How long something may take that takes moments.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often the registry is looked at while nothing changes.
const SECOND: Duration = Duration::from_secs(1);

/// How often requests to a registry that hangs are held.
const ALWAYS: usize = 1_000_000;

/// Everything is new; then the controllers start again, and nothing is.
pub(crate) async fn deliver(program: &Path, go: Option<&Path>, shape: Shape) -> Result<Value> {
    let registry = Registry::start();
    publish(&registry, 0..shape.components, VERSION, shape.maps).await?;
    let world = World::start().await?;
    let ours = delivered(&world, program, &registry, shape).await?;

    settle().await?;
    let before = Counts::now(&world.client).await?;
    let controller = start(program, &world)?;
    let looked = [
        ("Repository", 1),
        ("Component", shape.components),
        ("Resource", shape.resources),
        ("Deployer", shape.deployers),
    ];
    let again = controller.has_looked(&looked).await?;
    drop(controller);
    let counts = Counts::now(&world.client).await?.since(&before);
    tell(&format!("again: {again:?}, {counts}"));
    let requests = registry.take_requests().len();
    // What is applied as it is there changes nothing; the API server is asked all the same.
    let unchanged = counts.of("APPLY configmaps");
    let again = json!({
        "cost": again,
        "writes": counts.writes() - unchanged,
        "applies": unchanged,
        "requests": requests,
    });

    let bare = bare::apply_all(&world.client, shape.deployers * shape.maps).await?;
    tell(&format!("{bare:?}"));
    let writes =
        bare::write_all(&world.client, shape.deployers * shape.maps, bare.parallel).await?;
    tell(&format!("{writes:?}"));
    drop(world);
    let go = match go {
        Some(go) => {
            let world = World::start().await?;
            let delivered = delivered(&world, go, &registry, shape).await;
            Some(delivered.unwrap_or_else(|error| json!({"error": format!("{error:#}")})))
        }
        None => None,
    };
    Ok(json!({
        "ours": ours,
        "again": again,
        "bare": {
            "seconds": bare.seconds,
            "parallel": bare.parallel,
            "servers": bare.servers,
        },
        "writes": writes,
        "go": go,
    }))
}

/// Makes all objects, then starts controllers and waits until everything is delivered.
async fn delivered(
    world: &World,
    program: &Path,
    registry: &Registry,
    shape: Shape,
) -> Result<Value> {
    let kind = sound(registry, VERSION, "1h");
    make(&world.client, kind, shape).await?;
    settle().await?;
    registry.take_requests();
    let before = Counts::now(&world.client).await?;
    let servers = servers_cpu()?;
    let start_of_all = Instant::now();
    let controller = start(program, world)?;
    let ready = ready::all(&world.client, kind.name, shape).await?;
    let cost = Cost {
        wall: ready.at.duration_since(start_of_all).as_secs_f64(),
        ..controller.cost()?
    };
    let servers = servers_cpu()? - servers;
    let requests = registry.take_requests();
    // What is said of it in events may still be on its way.
    drop(controller);
    let counts = Counts::now(&world.client).await?.since(&before);
    tell(&format!(
        "{}: {cost:?}, servers {servers:.1} s, {counts}",
        program.display()
    ));
    Ok(json!({
        "cost": cost,
        "servers": servers,
        "requests": requests.len(),
        "status_changes": ready.changes,
        "status_writes": counts.status_writes(),
        "writes": counts.writes(),
    }))
}

/// Nothing changes, and everything is looked at again and again.
pub(crate) async fn idle(program: &Path, shape: Shape, seconds: u64, every: u64) -> Result<Value> {
    let registry = Registry::start();
    publish(&registry, 0..shape.components, VERSION, shape.maps).await?;
    let world = World::start().await?;
    let every = format!("{every}s");
    let kind = sound(&registry, ">=1.0.0", &every);
    make(&world.client, kind, shape).await?;
    // What was read is looked at again after a minute, and not only after half an hour.
    let kubeconfig = world.cluster.kubeconfig_path();
    let controller = Controller::start(program, &kubeconfig, &["--resolver-cache-ttl=1"])?;
    ready::all(&world.client, kind.name, shape).await?;
    // What has come at once must have been looked at apart from each other.
    tokio::time::sleep(SECOND * 15).await;
    registry.take_requests();
    let (before, counts) = (controller.cost()?, Counts::now(&world.client).await?);
    let mut ticks = interval(SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut most, mut all) = (0, Vec::new());
    for _ in 0..seconds {
        ticks.tick().await;
        let mut requests = registry.take_requests();
        most = most.max(requests.len());
        all.append(&mut requests);
    }
    let cost = controller.cost()?;
    let counts = Counts::now(&world.client).await?.since(&counts);
    tell(&format!("idle: {cost:?}, {counts}"));
    let heads = all.iter().filter(|it| it.starts_with("HEAD ")).count();
    let lists = all.iter().filter(|it| it.ends_with("/tags/list")).count();
    Ok(json!({
        "cost": {
            "wall": cost.wall - before.wall,
            "cpu": cost.cpu - before.cpu,
            "memory": cost.memory,
        },
        "requests": all.len(),
        "heads": heads,
        "lists": lists,
        "most": most,
        "writes": counts.writes(),
    }))
}

/// A new version of a component appears, and its object is told to look.
pub(crate) async fn upgrade(program: &Path, shape: Shape) -> Result<Value> {
    let registry = Registry::start();
    publish(&registry, 0..shape.components, VERSION, shape.maps).await?;
    let world = World::start().await?;
    let kind = sound(&registry, ">=1.0.0", "1h");
    make(&world.client, kind, shape).await?;
    let controller = start(program, &world)?;
    ready::all(&world.client, kind.name, shape).await?;
    // What was listed a moment ago is not listed again.
    tokio::time::sleep(SECOND * 5).await;
    settle().await?;
    publish(&registry, 0..1, NEXT, shape.maps).await?;
    let before = controller.cost()?;
    let start = Instant::now();
    let components = Api::<Component>::namespaced(world.client.clone(), NAMESPACE);
    let annotation = json!({"delivery.ocm.software/reconcile": "now"});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotation}}));
    let name = format!("{}-c0000", kind.name);
    components
        .patch(&name, &PatchParams::default(), &patch)
        .await?;
    timeout(PATIENCE, upgraded(&world.client, shape.maps))
        .await
        .context("the new version did not come")??;
    let cost = Cost {
        wall: start.elapsed().as_secs_f64(),
        ..controller.cost()?
    };
    Ok(json!({
        "cost": {"wall": cost.wall, "cpu": cost.cpu - before.cpu, "memory": cost.memory},
        "requests": registry.take_requests().len(),
    }))
}

/// Waits until all config maps of the first component have the next version.
async fn upgraded(client: &Client, maps: usize) -> Result<()> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    let mut missing: Vec<_> = (0..maps).map(|map| map_name(0, map)).collect();
    while let Some(event) = events.next().await {
        if let Event::Apply(map) | Event::InitApply(map) = event?
            && map
                .data
                .iter()
                .any(|it| it.get("version").is_some_and(|it| it == NEXT))
        {
            let name = map.name_any();
            missing.retain(|it| *it != name);
            if missing.is_empty() {
                return Ok(());
            }
        }
    }
    bail!("the watch has ended")
}

/// One of two registries answers who asks whether it is there, and nothing else.
pub(crate) async fn hang(program: &Path, shape: Shape, hanging: usize) -> Result<Value> {
    let (sound_registry, hangs) = (Registry::start(), Registry::start());
    publish(&sound_registry, 0..shape.components, VERSION, shape.maps).await?;
    for method in ["GET", "HEAD"] {
        hangs.fail(ALWAYS, method, "manifests", Fault::Hold);
        hangs.fail(ALWAYS, method, "tags", Fault::Hold);
    }
    let mut costs = Vec::new();
    for is_hanging in [false, true] {
        let world = World::start().await?;
        let kind = sound(&sound_registry, VERSION, "1h");
        make(&world.client, kind, shape).await?;
        let without = Shape {
            components: hanging,
            resources: hanging,
            deployers: hanging,
            maps: 0,
        };
        let other = Kind {
            name: "hanging",
            host: hangs.host(),
            ..kind
        };
        if is_hanging {
            make(&world.client, other, without).await?;
        }
        settle().await?;
        let start_of_all = Instant::now();
        let controller = start(program, &world)?;
        let ready = ready::all(&world.client, kind.name, shape).await?;
        costs.push(Cost {
            wall: ready.at.duration_since(start_of_all).as_secs_f64(),
            ..controller.cost()?
        });
        tell(&format!("hang: {costs:?}"));
    }
    Ok(json!({"without": costs[0], "with": costs[1]}))
}

fn sound<'a>(registry: &'a Registry, semver: &'a str, interval: &'a str) -> Kind<'a> {
    Kind {
        name: "sound",
        host: registry.host(),
        semver,
        interval,
    }
}

fn start(program: &Path, world: &World) -> Result<Controller> {
    Controller::start(program, &world.cluster.kubeconfig_path(), &[])
}

#[expect(clippy::print_stderr, reason = "a developer reads along")]
fn tell(text: &str) {
    eprintln!("   {text}");
}
