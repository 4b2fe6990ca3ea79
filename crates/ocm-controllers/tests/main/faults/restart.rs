//! Controllers that start where everything is there already.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Controllers, World};
use crate::delivery::config_map;
use crate::gate::{Gate, is_write};
use crate::running::wait_in;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_as_it_is_wanted_is_not_applied_again() {
    let world = World::alone().await;
    let maps: String = ["one", "two", "three"]
        .map(|name| config_map(&world.namespace, name, "1"))
        .concat();
    world.publish("1.0.0", &maps).await;
    let gate = Gate::open(&world.cluster);
    let controllers = Controllers::start(gate.kubeconfig());
    world.deliver("1.0.0");
    let before = world.delivered("1.0.0").await;
    assert!(before.status.unwrap().applied_digest.is_some());
    drop(controllers);
    gate.take_requests();

    let controllers = Controllers::start(gate.kubeconfig());
    // The members are listed once everything else is known.
    let members = format!("/api/v1/namespaces/{}/configmaps", world.namespace);
    gate.passed(|it| it == format!("GET {members}")).await;
    let mut asked = gate.take_requests();
    // A pass that is asked for begins when the one of the start has ended.
    world.kubectl(&[
        "annotate",
        "deployer",
        &world.namespace,
        "delivery.ocm.software/reconcile=now",
    ]);
    gate.passed(|it| it == format!("GET {members}")).await;
    asked.extend(gate.take_requests());
    asked.retain(|it| is_write(it));
    assert_eq!(asked, [""; 0]);

    // What was changed meanwhile is found.
    drop(controllers);
    let changed = Patch::Merge(json!({"data": {"key": "9"}}));
    let params = PatchParams::default();
    world.maps().patch("one", &params, &changed).await.unwrap();
    let _controllers = Controllers::start(gate.kubeconfig());
    let is_right = |it: &ConfigMap| it.data.as_ref().is_some_and(|it| it["key"] == "1");
    wait_in(world.maps(), "one", is_right).await;
    // Others count what there is in the cluster.
    world.withdraw();
    world.withdrawn().await;
}
