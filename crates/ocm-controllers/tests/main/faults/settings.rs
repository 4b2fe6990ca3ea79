//! Configuration that changes while all is well.

use kube::Api;
use ocm_controllers::api::Deployer;
use ocm_controllers::operator::Options;

use super::{Controllers, World};
use crate::delivery::{config_map, repository};
use crate::running::{options, wait_in};

/// The passes that have failed, by kind.
fn failures(metrics: &ocm_kube::metrics::Metrics) -> Vec<String> {
    let text = metrics.to_text();
    let passes = text
        .lines()
        .filter(|it| it.starts_with("ocm_controllers_passes_total{"));
    let failed = |it: &&str| it.contains("\"failed\"") || it.contains("\"error\"");
    passes.filter(failed).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_configuration_is_no_failure_and_reaches_all_who_inherit_it() {
    let world = World::alone().await;
    let options: Options = options();
    let metrics = options.metrics.clone();
    let _controllers = Controllers::with(world.cluster.kubeconfig(), options);
    let map = config_map(&world.namespace, "one", "1");
    world.publish("1.0.0", &map).await;
    world.deliver("1.0.0");
    world.delivered("1.0.0").await;
    let before = failures(&metrics);
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {.ocmconfig: '{type: \
         resolvers.config.ocm.software/v1alpha1, resolvers: []}'}\n",
    );
    let with = "  ocmConfig: [{kind: ConfigMap, name: settings}]\n---\n";
    world.apply(&repository(&world.registry).replace("---\n", with));
    let has = |it: &Deployer| {
        let status = it.status.as_ref();
        let config = status.map_or(&[][..], |it| &it.effective_ocm_config);
        config.iter().any(|it| it.name == "settings")
    };
    let deployers = Api::<Deployer>::all(world.client.clone());
    let inherits = wait_in(deployers, &world.namespace, has).await;
    assert!(
        crate::running::of_deployer(&inherits).starts_with("True "),
        "{inherits:?}"
    );
    assert_eq!(failures(&metrics), before);
    let events = world.events().await;
    let changed = events.iter().filter(|it| it.contains("config"));
    assert_eq!(changed.count(), 0, "{events:#?}");
    world.withdraw();
    world.withdrawn().await;
}
