//! The controllers as a process.

use ocm_testkit::{Cli, Cluster, Registry};
use serde_json::Value;

use crate::world::{install, text};

fn cli() -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_ocm-controllers"))
}

#[test]
fn a_process_leads_says_what_it_does_and_hands_the_lease_back() {
    let cluster = Cluster::start();
    install(&cluster);
    let registry = Registry::start();
    let mut cli = cli();
    cli.set(
        "KUBECONFIG",
        &cluster.kubeconfig_path().display().to_string(),
    );
    let mut process = cli.start("--leader-elect --health-probe-bind-address=127.0.0.1:0");
    let manifest = format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: shop, namespace: default}}
spec:
  repositorySpec: {{type: OCIRegistry, baseUrl: 'http://{}'}}
  interval: 1h
",
        registry.host()
    );
    let applied = cluster.kubectl_with(&["apply", "--server-side", "-f", "-"], &manifest);
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let line = process.wait_for("{\"timestamp\":");
    serde_json::from_str::<Value>(&format!("{{\"timestamp\":{line}")).unwrap();
    let rest = process.wait_for("Successfully reconciled OCM repository");
    assert!(rest.contains("\"name\":\"shop\""), "{rest}");

    let lease = [
        "get",
        "lease",
        "56490b8c.ocm.software",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    assert!(!text(&cluster.kubectl(&lease).stdout).is_empty());
    let ended = process.signal("TERM");
    assert_eq!(ended.code, Some(0), "{ended}");
    let lease = cluster.kubectl(&lease);
    assert!(lease.status.success(), "{}", text(&lease.stderr));
    assert_eq!(text(&lease.stdout), "");
}

#[test]
fn what_the_flags_do_not_allow_ends_the_process() {
    let run = cli().run("--resolver-cache-ttl=0");
    assert_eq!(run.code, Some(1), "{run}");
    assert!(
        run.stderr.contains("--resolver-cache-ttl must be positive"),
        "{run}"
    );
    assert_eq!(cli().run("--nonsense").code, Some(2));
}
