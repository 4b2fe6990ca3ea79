//! Replications that have to wait for each other.

use kube::Api;
use kube::api::{DeleteParams, ListParams};
use ocm_controllers::api::Replication;
use ocm_controllers::operator::Options;
use ocm_testkit::{Fault, Registry, eventually};

use super::{Controllers, World};
use crate::delivery::{component, repository};
use crate::running::{gone_from, options, readiness, wait_in};

/// How many replications there are, and how many of them may transfer at a time.
const ALL: usize = 6;
const AT_A_TIME: u16 = 2;

fn of(replication: &Replication) -> String {
    let status = replication.status.as_ref();
    let conditions = status.map_or(&[][..], |it| &it.conditions);
    readiness(conditions, replication.metadata.generation)
}

fn replication(number: usize) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Replication
metadata: {{name: copy-{number}}}
spec: {{componentRef: {{name: it}}, targetRepositoryRef: {{name: target}}}}
---
"
    )
}

/// Adds to a number how often a registry was asked to write a component version since the last time;
/// returns it.
fn take_writes(target: &Registry, seen: &mut usize) -> usize {
    let requests = target.take_requests();
    let is_write = |it: &&String| it.starts_with("PUT ") && it.contains("/manifests/");
    *seen += requests.iter().filter(is_write).count();
    *seen
}

fn wait_for_writes(target: &Registry, seen: &mut usize, wanted: usize) {
    eventually("transfers", || {
        let now = take_writes(target, seen);
        (now >= wanted).then_some(()).ok_or(now.to_string())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_transfers_go_on_at_a_time_and_those_that_wait_go_at_once() {
    let world = World::alone().await;
    let target = Registry::start();
    world.publish("1.0.0", "notes").await;
    let options = Options {
        replication_concurrency: AT_A_TIME,
        ..options()
    };
    let _controllers = Controllers::with(world.cluster.kubeconfig(), options);
    target.fail(1000, "PUT", "/manifests/", Fault::HoldUntilHealed);
    let mut objects = repository(&world.registry) + &component("1.0.0", "");
    objects += &repository(&target).replace("{name: shop}", "{name: target}");
    for number in 0..ALL {
        objects += &replication(number);
    }
    world.apply(&objects);
    let replications = || Api::<Replication>::namespaced(world.client.clone(), &world.namespace);
    let mut names: Vec<_> = (0..ALL).map(|it| format!("copy-{it}")).collect();
    for name in &names {
        let goes_on = |it: &Replication| of(it).starts_with("False TransferInProgress: ");
        wait_in(replications(), name, goes_on).await;
    }
    let mut writes = 0;
    let limit = usize::from(AT_A_TIME);
    tokio::task::block_in_place(|| wait_for_writes(&target, &mut writes, limit));

    // Which of them have a turn is said.
    let moving = async |names: &[String]| {
        let moves = |it: &Replication| of(it).contains(" of 1 component versions are there");
        for _ in 0..1000 {
            let all = replications().list(&ListParams::default()).await.unwrap();
            let moving = all.into_iter().filter(moves);
            let moving = moving.map(|it| it.metadata.name.unwrap());
            let moving: Vec<_> = moving.filter(|it| names.contains(it)).collect();
            if moving.len() >= limit {
                assert_eq!(moving.len(), limit, "{moving:?}");
                return moving;
            }
        }
        panic!("fewer than {limit} have a turn");
    };
    let running = moving(&names).await;
    let delete = async |name: &str| {
        let params = DeleteParams::default();
        drop(replications().delete(name, &params).await.unwrap());
        gone_from(replications(), name).await;
    };
    // One that waits.
    let waiting = names
        .iter()
        .find(|it| !running.contains(it))
        .unwrap()
        .clone();
    delete(&waiting).await;
    assert_eq!(take_writes(&target, &mut writes), limit);
    // One that goes on, whose turn the next one gets.
    delete(&running[0]).await;
    tokio::task::block_in_place(|| wait_for_writes(&target, &mut writes, limit + 1));
    names.retain(|it| *it != waiting && *it != running[0]);
    let now = moving(&names).await;
    assert!(now.contains(&running[1]), "{now:?}");
    assert_eq!(take_writes(&target, &mut writes), limit + 1);

    target.heal();
    for name in &names {
        wait_in(replications(), name, |it| of(it).starts_with("True ")).await;
        delete(name).await;
    }
    world.kubectl(&[
        "delete",
        "--wait=false",
        "repositories.delivery.ocm.software,components.delivery.ocm.software",
        "--all",
    ]);
}
