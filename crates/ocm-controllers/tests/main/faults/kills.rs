//! Controllers that are killed, and what those that come after them make of it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use super::{Controllers, World};
use crate::delivery::{component, config_map};
use crate::gate::Gate;

/// After how many writes of each phase the first controllers are killed. A phase has some fifteen.
const WRITES: &[usize] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];

impl World {
    /// Has controllers work until something is done; the first ones are killed after so many
    /// writes, and others take their place. Returns whether that came about.
    async fn killed_after(&self, writes: usize, done: impl AsyncFn()) -> bool {
        let gate = Gate::open(&self.cluster);
        gate.close_after(writes);
        let controllers = Controllers::start(gate.kubeconfig());
        let killed = tokio::select! {
            biased;
            () = done() => false,
            () = gate.closed() => true,
        };
        drop(controllers);
        if killed {
            let _controllers = Controllers::start(self.cluster.kubeconfig());
            done().await;
        }
        killed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_controllers_are_killed_the_next_ones_come_to_the_same_end() {
    let mut world = World::alone().await;
    let mut kills = [0, 0, 0];
    for &writes in WRITES {
        world.namespace = world.cluster.namespace();
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
            assert_eq!(values, expected, "killed after {writes}");
            let elsewhere = Api::<ConfigMap>::namespaced(world.client.clone(), &other);
            let elsewhere = elsewhere.get_opt("elsewhere").await.unwrap();
            assert_eq!(elsewhere.is_some(), is_elsewhere, "killed after {writes}");
        };

        world.deliver("1.0.0");
        let delivered = async || drop(world.delivered("1.0.0").await);
        kills[0] += usize::from(world.killed_after(writes, delivered).await);
        expect(&[("one", "1"), ("two", "1")], true).await;

        world.apply(&component("2.0.0", ""));
        let delivered = async || drop(world.delivered("2.0.0").await);
        kills[1] += usize::from(world.killed_after(writes, delivered).await);
        expect(&[("four", "2"), ("one", "2")], false).await;
        let deployed = world.delivered("2.0.0").await.status.unwrap().deployed;
        assert_eq!(deployed.len(), 2, "killed after {writes}");

        world.withdraw();
        let withdrawn = async || world.withdrawn().await;
        kills[2] += usize::from(world.killed_after(writes, withdrawn).await);
        expect(&[], false).await;
    }
    // Not only once all was done.
    assert!(kills.iter().all(|it| *it > 3), "{kills:?}");
    let all = Api::<ConfigMap>::all(world.client.clone());
    let ours =
        ListParams::default().labels("app.kubernetes.io/managed-by=deployer.delivery.ocm.software");
    assert!(all.list(&ours).await.unwrap().items.is_empty());
}
