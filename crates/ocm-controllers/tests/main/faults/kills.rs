//! Controllers that are killed, and what those that come after them make of it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use ocm_testkit::{FaultProxy, Registry};
use serde_json::json;

use super::{Controllers, World};
use crate::delivery::{component, config_map};
use crate::gate::Gate;

/// After how many writes of each phase the first controllers are killed. A phase has some fifteen.
const WRITES: &[usize] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];

/// What kills controllers while something is done.
pub(super) trait Killer {
    /// Has something begun, and controllers work until it is done. Those that begin are killed on the
    /// way, and others take their place. Returns whether that came about.
    async fn kills(&mut self, world: &World, begin: impl Fn(), done: impl AsyncFn()) -> bool;
}

/// Controllers of this process, of which the first ones end after so many writes.
struct AfterWrites(usize);

impl Killer for AfterWrites {
    async fn kills(&mut self, world: &World, begin: impl Fn(), done: impl AsyncFn()) -> bool {
        begin();
        let gate = Gate::open(&world.cluster);
        gate.close_after(self.0);
        let controllers = Controllers::start(gate.kubeconfig());
        let killed = tokio::select! {
            biased;
            () = done() => false,
            () = gate.closed() => true,
        };
        drop(controllers);
        if killed {
            let _controllers = Controllers::start(world.cluster.kubeconfig());
            done().await;
        }
        killed
    }
}

/// Has manifests delivered, replaced and taken away in a new namespace, with a killer around, and
/// makes sure that each time all is as it should be and nothing of others is gone. Returns how often
/// each of the three was disturbed.
pub(super) async fn story(world: &mut World, killer: &mut impl Killer, label: &str) -> [usize; 3] {
    world.namespace = world.cluster.namespace();
    // What the program has read of a version counts for half an hour, and here it is another one.
    world.registry = Registry::start();
    if world.proxy.is_some() {
        world.proxy = Some(FaultProxy::start(world.registry.host()));
    }
    let world = &*world;
    let namespace = world.namespace.clone();
    let other = world.cluster.namespace();
    let map = |name: &str, value: &str| config_map(&namespace, name, value);
    let elsewhere = config_map(&other, "elsewhere", "1");
    let first = map("one", "1") + &map("two", "1") + &elsewhere;
    world.publish("1.0.0", &first).await;
    world
        .publish("2.0.0", &(map("one", "2") + &map("four", "2")))
        .await;
    // Objects of somebody else, one of them in a set of the same kind.
    for (name, labels) in [
        ("foreign", json!({})),
        (
            "other-set",
            json!({"applyset.kubernetes.io/part-of": "applyset-other-v1"}),
        ),
    ] {
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels}, "data": {"key": "theirs"},
        }))
        .unwrap();
        let created = world.maps().create(&PostParams::default(), &map).await;
        created.unwrap();
    }
    let expect = async |ours: &[(&str, &str)], is_elsewhere: bool| {
        let foreign = [("foreign", "theirs"), ("other-set", "theirs")];
        let mut expected: Vec<_> = ours.iter().chain(&foreign).copied().collect();
        expected.sort_unstable();
        let values = world.values().await;
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(values, expected, "{label}");
        let elsewhere = Api::<ConfigMap>::namespaced(world.client.clone(), &other);
        let elsewhere = elsewhere.get_opt("elsewhere").await.unwrap();
        assert_eq!(elsewhere.is_some(), is_elsewhere, "{label}");
    };

    let begin = || world.deliver("1.0.0");
    let delivered = async || drop(world.delivered("1.0.0").await);
    let created = killer.kills(world, begin, delivered).await;
    expect(&[("one", "1"), ("two", "1")], true).await;

    let begin = || world.apply(&component("2.0.0", ""));
    let delivered = async || drop(world.delivered("2.0.0").await);
    let upgraded = killer.kills(world, begin, delivered).await;
    expect(&[("four", "2"), ("one", "2")], false).await;
    let deployed = world.delivered("2.0.0").await.status.unwrap().deployed;
    assert_eq!(deployed.len(), 2, "{label}");

    let begin = || world.withdraw();
    let withdrawn = async || world.withdrawn().await;
    let deleted = killer.kills(world, begin, withdrawn).await;
    expect(&[], false).await;

    [created, upgraded, deleted].map(usize::from)
}

/// Makes sure that nothing is left of what was ever delivered.
pub(super) async fn nothing_is_left(world: &World) {
    let all = Api::<ConfigMap>::all(world.client.clone());
    let ours =
        ListParams::default().labels("app.kubernetes.io/managed-by=deployer.delivery.ocm.software");
    assert!(all.list(&ours).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_controllers_are_killed_the_next_ones_come_to_the_same_end() {
    let mut world = World::alone().await;
    let mut kills = [0, 0, 0];
    for &writes in WRITES {
        let label = format!("killed after {writes} writes");
        let more = story(&mut world, &mut AfterWrites(writes), &label).await;
        kills = std::array::from_fn(|it| kills[it] + more[it]);
    }
    // Not only once all was done.
    assert!(kills.iter().all(|it| *it > 3), "{kills:?}");
    nothing_is_left(&world).await;
}
