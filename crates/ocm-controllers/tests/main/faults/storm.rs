//! Others who write all the time to the same objects.

use kube::Api;
use kube::api::{Patch, PatchParams};
use ocm_controllers::api::{Component, Deployer};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::World;
use crate::delivery::component;
use crate::running::{of_component, wait_in};

/// How many requests of the controllers one write of somebody else may bring about.
const EACH: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_to_our_objects_all_the_time_hinders_nothing_and_loses_nothing() {
    let world = World::alone().await;
    let (gate, _controllers) = world.begun().await;

    let stop = CancellationToken::new();
    let components = Api::<Component>::namespaced(world.client.clone(), &world.namespace);
    let deployers = Api::<Deployer>::all(world.client.clone());
    let (maps, name, stopped) = (world.maps(), world.namespace.clone(), stop.clone());
    let storm = tokio::spawn(async move {
        let params = PatchParams::default();
        let mut writes = 0;
        // A number of writes in any case, so that they are in between.
        while writes < 60 || !stopped.is_cancelled() {
            writes += 1;
            let label =
                Patch::Merge(json!({"metadata": {"labels": {"theirs": writes.to_string()}}}));
            let (a, b, c) = tokio::join!(
                components.patch("it", &params, &label),
                deployers.patch(&name, &params, &label),
                maps.patch("one", &params, &label),
            );
            let _ = (a.unwrap(), b.unwrap(), c.unwrap());
        }
        writes
    });
    world.apply(&component("2.0.0", ""));
    let delivered = world.delivered("2.0.0").await;
    stop.cancel();
    let writes = storm.await.unwrap();
    let requests = gate.take_requests();
    assert!(
        requests.len() < 100 + 3 * EACH * writes,
        "{} requests for {writes} writes of others",
        requests.len()
    );
    // Labels of others are no reason to look at our objects, and stay.
    let status_writes = requests.iter().filter(|it| it.ends_with("/status")).count();
    assert!(status_writes < 20, "{requests:#?}");
    assert_eq!(delivered.status.unwrap().deployed.len(), 1);
    let map = world.maps().get("one").await.unwrap();
    assert_eq!(map.data.unwrap()["key"], "2");
    let last = writes.to_string();
    assert_eq!(map.metadata.labels.unwrap()["theirs"], last);
    let deployers = Api::<Deployer>::all(world.client.clone());
    let deployer = deployers.get(&world.namespace).await.unwrap();
    assert_eq!(deployer.metadata.labels.unwrap()["theirs"], last);
    world.withdraw();
    world.withdrawn().await;
}

/// A condition of somebody else.
fn theirs(number: u64) -> serde_json::Value {
    json!({
        "type": "acme.org/Approved", "status": "True", "reason": "Round",
        "message": number.to_string(), "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_others_stay_while_ours_change_and_cost_no_writes() {
    let world = World::alone().await;
    let (gate, _controllers) = world.begun().await;
    let components = Api::<Component>::namespaced(world.client.clone(), &world.namespace);
    // Where nobody is in between, a change of a status is one request.
    world.apply(&component("2.77.0", ""));
    let says = |it: &Component| of_component(it).contains("acme.org/shop:2.77.0");
    wait_in(components.clone(), "it", says).await;
    let requests = gate.take_requests();
    let statuses = requests.iter().filter(|it| it.contains("/components/it"));
    let statuses: Vec<_> = statuses.collect();
    assert_eq!(statuses.len(), 1, "{requests:#?}");

    let stop = CancellationToken::new();
    let (api, stopped) = (components.clone(), stop.clone());
    let storm = tokio::spawn(async move {
        let mut number = 0;
        while number < 60 || !stopped.is_cancelled() {
            let now = api.get("it").await.unwrap();
            let mut conditions = json!(now.status.unwrap().conditions);
            let list = conditions.as_array_mut().unwrap();
            list.retain(|it| it["type"] != "acme.org/Approved");
            // Now before, now after the others.
            let end = if number % 2 == 0 { 0 } else { list.len() };
            list.insert(end, theirs(number + 1));
            let version = now.metadata.resource_version;
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": version}, "status": {"conditions": conditions},
            }));
            let params = PatchParams::default();
            // Ours may come in between.
            number += u64::from(api.patch_status("it", &params, &patch).await.is_ok());
        }
        number
    });
    let invalid = |number: usize| component(&format!("2.{number}.0"), "");
    for number in 1..20 {
        // There is no such version.
        world.apply(&invalid(number));
        let says = |it: &Component| {
            of_component(it).contains(&format!("component version acme.org/shop:2.{number}.0"))
        };
        wait_in(components.clone(), "it", says).await;
    }
    world.apply(&component("2.0.0", ""));
    world.delivered("2.0.0").await;
    stop.cancel();
    let last = storm.await.unwrap();
    let now = components.get("it").await.unwrap();
    let conditions = &now.status.as_ref().unwrap().conditions;
    let approved: Vec<_> = conditions
        .iter()
        .filter(|it| it.kind == "acme.org/Approved")
        .map(|it| it.message.clone())
        .collect();
    assert_eq!(approved, [last.to_string()]);
    assert_eq!(conditions.len(), 2, "{conditions:?}");
    assert_eq!(of_component(&now), "True Succeeded: Applied version 2.0.0");

    world.withdraw();
    world.withdrawn().await;
}
