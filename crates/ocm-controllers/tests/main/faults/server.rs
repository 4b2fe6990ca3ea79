//! An API server that is away, slow, or loses watches.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use ocm_controllers::api::Replication;
use serde_json::json;
use tokio::time::timeout;

use super::World;
use crate::delivery::{component, config_map};
use crate::gate::is_write;
use crate::running::{gone_from, wait_in};
use crate::world::install;

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_where_the_api_server_was_away_and_where_its_database_hangs() {
    let world = World::alone().await;
    let (gate, _controllers) = world.begun().await;
    let third = config_map(&world.namespace, "one", "3");
    world.publish("3.0.0", &third).await;
    let uid = world.maps().get("one").await.unwrap().metadata.uid;

    world.cluster.stop_api_server();
    // What watches and cannot tries again, though not without end.
    gate.take_requests();
    gate.passed(|it| it.starts_with("GET ") || it.starts_with("WATCH "))
        .await;
    world.cluster.start_api_server();
    world.apply(&component("2.0.0", ""));
    world.delivered("2.0.0").await;

    // The change is there, but what comes of it cannot be written.
    gate.close_after(0);
    world.apply(&component("3.0.0", ""));
    gate.holds(true).await;
    world.cluster.pause_database();
    gate.take_requests();
    gate.reopen();
    gate.passed(|it| !it.starts_with("WATCH ")).await;
    let answered = timeout(Duration::from_secs(2), world.delivered("3.0.0"));
    assert!(answered.await.is_err(), "the database was to hang");
    world.cluster.resume_database();
    world.delivered("3.0.0").await;
    let kept = world.maps().get("one").await.unwrap();
    assert_eq!(kept.data.unwrap()["key"], "3");
    assert_eq!(kept.metadata.uid, uid);
    world.withdraw();
    world.withdrawn().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_cut_miss_nothing_and_have_nothing_done_again() {
    let world = World::alone().await;
    let (gate, _controllers) = world.begun().await;
    let is_watched =
        |plural: &'static str| move |it: &str| it.starts_with("WATCH ") && it.ends_with(plural);
    for _ in 0..3 {
        gate.cut_watches();
        gate.passed(is_watched("/components")).await;
        gate.passed(is_watched("/configmaps")).await;
        let again = gate.take_requests();
        // Nothing has changed.
        assert!(!again.iter().any(|it| is_write(it)), "{again:#?}");
        assert!(again.len() < 50, "{again:#?}");
    }
    // Changes while nobody watches.
    gate.close_after(0);
    gate.cut_watches();
    world.apply(&component("2.0.0", ""));
    gate.reopen();
    world.delivered("2.0.0").await;
    gate.close_after(0);
    gate.cut_watches();
    let patch = Patch::Merge(json!({"data": {"key": "other"}}));
    let (maps, params) = (world.maps(), PatchParams::default());
    maps.patch("one", &params, &patch).await.unwrap();
    gate.reopen();
    let is_right = |map: &k8s_openapi::api::core::v1::ConfigMap| {
        map.data.as_ref().is_some_and(|it| it["key"] == "2")
    };
    wait_in(world.maps(), "one", is_right).await;
    world.withdraw();
    world.withdrawn().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_of_ours_that_vanishes_hinders_no_other_and_counts_when_it_is_back() {
    let world = World::alone().await;
    let (gate, _controllers) = world.begun().await;
    world.kubectl(&["delete", "crd", "replications.delivery.ocm.software"]);
    gate.take_requests();
    gate.cut_watches();
    gate.passed(|it| it.ends_with("/replications")).await;
    world.apply(&component("2.0.0", ""));
    world.delivered("2.0.0").await;

    install(&world.cluster);
    world.apply(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Replication
metadata: {name: copy}
spec: {componentRef: {name: missing}, targetRepositoryRef: {name: shop}}
",
    );
    let replications = || Api::<Replication>::namespaced(world.client.clone(), &world.namespace);
    let is_looked_at = |it: &Replication| it.status.is_some();
    wait_in(replications(), "copy", is_looked_at).await;
    world.kubectl(&[
        "delete",
        "--wait=false",
        "replications.delivery.ocm.software",
        "copy",
    ]);
    gone_from(replications(), "copy").await;
    world.withdraw();
    world.withdrawn().await;
}
