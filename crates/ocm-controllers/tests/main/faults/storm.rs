//! Others who write all the time to the same objects.

use kube::Api;
use kube::api::{Patch, PatchParams};
use ocm_controllers::api::{Component, Deployer};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::World;
use crate::delivery::component;

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
