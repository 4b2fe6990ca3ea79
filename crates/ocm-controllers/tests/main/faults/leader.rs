//! A leader that loses its lease in the middle of its work.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use ocm::Timestamp;
use ocm_controllers::operator::Operator;
use ocm_kube::lease::{Election, Led, Times};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::World;
use crate::delivery::config_map;
use crate::gate::{Gate, is_write};
use crate::running::options;
use crate::world::client_of;

const LEASE: &str = "leader";
const MAPS: usize = 24;

/// Starts a replica that wants the lease.
async fn replica(kubeconfig: &str, name: &'static str) -> (JoinHandle<Led<()>>, CancellationToken) {
    let client = client_of(kubeconfig).await;
    let times = Times {
        duration: Duration::from_mins(1),
        deadline: Duration::from_secs(40),
        retry: Duration::from_millis(200),
    };
    let election = Election::new(
        client.clone(),
        "default",
        LEASE,
        name,
        times,
        Timestamp::now,
    );
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let replica = tokio::spawn(async move {
        let operator = Operator::new(client, options());
        election.lead(&stopped, operator.run(stopped.clone())).await
    });
    (replica, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_loses_its_lease_in_the_middle_writes_nothing_more() {
    let world = World::alone().await;
    let maps: Vec<_> = (0..MAPS)
        .map(|it| config_map(&world.namespace, &format!("map-{it}"), "1"))
        .collect();
    world.publish("1.0.0", &maps.concat()).await;
    let (first, second) = (Gate::open(&world.cluster), Gate::open(&world.cluster));
    let (leading, _stop) = replica(&first.kubeconfig(), "first").await;
    first.passed(|it| it.starts_with("WATCH ")).await;
    let (waiting, stop) = replica(&second.kubeconfig(), "second").await;
    second.passed(|it| it.ends_with("/leases/leader")).await;
    assert!(!second.take_requests().iter().any(|it| is_write(it)));

    // Some twelve come before the maps.
    first.close_after(20);
    world.deliver("1.0.0");
    first.closed().await;
    first.holds(true).await;
    let applied = first.take_requests();
    let is_map = |it: &&String| it.starts_with("PATCH ") && it.contains("/configmaps/");
    let count = applied.iter().filter(is_map).count();
    assert!((1..MAPS).contains(&count), "{applied:#?}");
    // An administrator gives the lease to the other one.
    let leases = Api::<Lease>::namespaced(world.client.clone(), "default");
    let patch = Patch::Merge(json!({"spec": {"holderIdentity": "second"}}));
    let given = leases.patch(LEASE, &PatchParams::default(), &patch).await;
    given.unwrap();
    assert_eq!(leading.await.unwrap(), Led::Lost);
    // What it still wanted is wanted no more, whether the way is open or not.
    first.holds(false).await;
    first.take_requests();
    first.reopen();
    world.delivered("1.0.0").await;
    let late = first.take_requests();
    assert!(!late.iter().any(|it| is_write(it)), "{late:#?}");

    let theirs = second.take_requests();
    let written: Vec<_> = theirs.iter().filter(is_map).collect();
    assert!(
        written.len() >= MAPS - count && written.len() <= MAPS,
        "{written:#?}"
    );
    let ours = world.maps().list(&ListParams::default()).await.unwrap();
    let versions = ours
        .iter()
        .filter(|it| it.metadata.name.as_deref() != Some("kube-root-ca.crt"));
    assert_eq!(versions.count(), MAPS);

    world.withdraw();
    world.withdrawn().await;
    stop.cancel();
    assert_eq!(waiting.await.unwrap(), Led::Done(()));
    let lease = leases.get(LEASE).await.unwrap().spec.unwrap();
    assert_eq!(lease.holder_identity.as_deref(), Some(""));
}
