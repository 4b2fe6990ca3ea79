//! How much controllers ask at a time, however many objects there are.

use std::time::Duration;

use kube::Api;
use kube::api::DeleteParams;
use ocm::{Environment, Ocm};
use ocm_controllers::api::{Component, Deployer, Resource};
use ocm_testkit::{FaultProxy, Line, Step};

use super::{Controllers, World};
use crate::delivery::{Packing, component, config_map, deployer, repository, resource};
use crate::gate::Gate;
use crate::running::{gone_from, of_deployer, wait_in};
use crate::world::COMPONENT;

/// How many there are of each kind, and how many config maps each deployer has.
const EACH: usize = 80;
const MAPS: usize = 8;

/// How much longer each request to the API server takes: so long that those pile up that have no
/// bound.
const LATENCY: Duration = Duration::from_millis(50);

/// How many requests to the API server may be under way at a time, apart from watches. Those of
/// passes have a bound of 32 and those of sets one of 16; what takes long on a slow machine gives its
/// turn to others. Without a bound, passes have one for each component and deployer. (Sets without
/// one stay below, as few manifests are applied at a time.)
const AT_ONCE: usize = 112;

/// How many requests of one configuration to one registry.
const TURNS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_objects_ask_no_more_at_a_time_than_a_few() {
    let world = World::alone().await;
    let line = Line {
        latency: Duration::from_millis(5),
        ..Line::default()
    };
    let proxy = FaultProxy::on(world.registry.host(), line);
    let name = |index: usize| format!("{}-{index}", world.namespace);
    let mut objects = repository(&world.registry).replace(world.registry.host(), proxy.host());
    for index in 0..EACH {
        let maps = (0..MAPS).map(|it| config_map(&world.namespace, &format!("m{index}-{it}"), "1"));
        let maps: String = maps.collect();
        let packed = format!("{COMPONENT}-{index}");
        let ocm = Ocm::new(Environment::default());
        let packing = Packing::with(&ocm, &world.registry, &packed, "1.0.0").await;
        let packing = packing.blob("manifests", "application/yaml", maps.as_bytes());
        packing.await.put().await;
        let it = format!("it-{index}");
        objects += &component("1.0.0", "")
            .replace("{name: it}", &format!("{{name: {it}}}"))
            .replace(COMPONENT, &packed);
        objects += &resource(&format!("manifests-{index}"), "manifests", "")
            .replace("{name: it}", &format!("{{name: {it}}}"));
        let of = format!("manifests-{index}");
        objects += &deployer(&name(index), &world.namespace, &of, "");
    }
    world.apply(&objects);
    let gate = Gate::open(&world.cluster);
    gate.slow(LATENCY);
    let _controllers = Controllers::start(gate.kubeconfig());
    let deployers = || Api::<Deployer>::all(world.client.clone());
    for index in 0..EACH {
        let ready = |it: &Deployer| of_deployer(it).starts_with("True ");
        wait_in(deployers(), &name(index), ready).await;
    }
    assert_eq!(world.values().await.len(), EACH * MAPS);
    let most = gate.most_at_once();
    gate.slow(Duration::ZERO);
    assert!((2..=AT_ONCE).contains(&most), "{most} requests at a time");
    let steps = [Step::ManifestGet, Step::Lookup, Step::BlobGet];
    let asked = steps.map(|step| proxy.most_at_once(step));
    assert!(asked.iter().all(|it| *it <= TURNS), "{asked:?}");
    assert!(asked.iter().any(|it| *it > 1), "{asked:?}");

    for index in 0..EACH {
        let params = DeleteParams::default();
        drop(deployers().delete(&name(index), &params).await.unwrap());
    }
    for index in 0..EACH {
        gone_from(deployers(), &name(index)).await;
    }
    assert_eq!(world.values().await, []);
    world.kubectl(&["delete", "--wait=false", "resources.delivery.ocm.software,components.delivery.ocm.software,repositories.delivery.ocm.software", "--all"]);
    let last = EACH - 1;
    let resources = Api::<Resource>::namespaced(world.client.clone(), &world.namespace);
    gone_from(resources, &format!("manifests-{last}")).await;
    let components = Api::<Component>::namespaced(world.client.clone(), &world.namespace);
    gone_from(components, &format!("it-{last}")).await;
}
