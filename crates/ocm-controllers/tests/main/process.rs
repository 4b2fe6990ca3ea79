//! The controllers as a process.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use ocm_controllers::install::{NAMESPACE, roles};
use ocm_testkit::{Cli, Cluster, Registry, eventually};
use serde_json::{Value, json};

use crate::delivery::{Packing, chain, config_map};
use crate::world::{cluster, install, text};

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
    apply(&cluster, &repository(&registry));
    let line = process.wait_for("{\"timestamp\":");
    serde_json::from_str::<Value>(&format!("{{\"timestamp\":{line}")).unwrap();
    let rest = process.wait_for("Successfully reconciled OCM repository");
    assert!(rest.contains("\"object\":\"default/shop\""), "{rest}");

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

/// A repository in the namespace `default`.
fn repository(registry: &Registry) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: shop, namespace: default}}
spec:
  repositorySpec: {{type: OCIRegistry, baseUrl: 'http://{}'}}
  interval: 1h
",
        registry.host()
    )
}

fn apply(cluster: &Cluster, manifest: &str) {
    let applied = cluster.kubectl_with(&["apply", "--server-side", "-f", "-"], manifest);
    assert!(applied.status.success(), "{}", text(&applied.stderr));
}

/// An account with the permissions that are generated, and no others; returns its kubeconfig.
fn account(cluster: &Cluster) -> String {
    apply(
        cluster,
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            .to_string(),
    );
    let user = json!([{
        "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "controller",
    }]);
    let roles: Vec<_> = roles()
        .into_iter()
        .map(|mut it| {
            if it.get("subjects").is_some() {
                it["subjects"] = user.clone();
            }
            it.to_string()
        })
        .collect();
    apply(cluster, &roles.join("\n---\n"));
    let context = "\"user\": \"test\"}";
    let with_namespace = format!("\"user\": \"test\", \"namespace\": \"{NAMESPACE}\"}}");
    let kubeconfig = cluster.kubeconfig_for("controller");
    assert!(kubeconfig.contains(context), "{kubeconfig}");
    kubeconfig.replace(context, &with_namespace)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// What the process answers at a path.
fn get(port: u16, path: &str) -> Result<String, String> {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().map_err(|error: std::io::Error| error.to_string())
}

#[test]
fn the_permissions_that_are_generated_are_enough_and_what_is_done_is_not_done_again() {
    let cluster = Cluster::start();
    install(&cluster);
    let registry = Registry::start();
    apply(&cluster, &repository(&registry));
    let mut cli = cli();
    cli.write("kubeconfig", account(&cluster));
    let path = cli.path("kubeconfig").display().to_string();
    cli.set("KUBECONFIG", &path);
    let version = || {
        let get = [
            "get",
            "repository",
            "shop",
            "-o",
            "jsonpath={.metadata.resourceVersion}",
        ];
        text(&cluster.kubectl(&get).stdout)
    };
    let mut versions = Vec::new();
    for _ in 0..2 {
        let (probes, metrics) = (free_port(), free_port());
        let process = cli.start(&format!(
            "--leader-elect --health-probe-bind-address=127.0.0.1:{probes} \
             --metrics-bind-address=127.0.0.1:{metrics}"
        ));
        let pass = "ocm_controllers_passes_total{kind=\"Repository\",result=\"ready\"}";
        eventually("a pass", || {
            let numbers = get(metrics, "/metrics")?;
            numbers.contains(pass).then_some(()).ok_or(numbers)
        });
        for path in ["/healthz", "/readyz"] {
            let answer = get(probes, path).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        versions.push(version());
        let ended = process.signal("TERM");
        assert_eq!(ended.code, Some(0), "{ended}");
        assert!(!ended.stderr.contains("forbidden"), "{ended}");
    }
    // The second one has found all as it should be, and has written nothing.
    assert_eq!(versions[0], versions[1]);
    let may = |verb: &str, what: &str| {
        let arguments = ["auth", "can-i", verb, what, "--as=controller", "-A"];
        text(&cluster.kubectl(&arguments).stdout).trim() == "yes"
    };
    assert!(may("list", "secrets"));
    for (verb, what) in [
        ("create", "secrets"),
        ("update", "secrets"),
        ("delete", "components.delivery.ocm.software"),
        ("create", "deployments.apps"),
        ("get", "pods"),
    ] {
        assert!(!may(verb, what), "{verb} {what}");
    }
}

#[test]
fn metrics_are_served_over_tls_with_the_certificate_that_is_there() {
    let mut cli = cli();
    // There is no API server; metrics are served all the same.
    cli.write(
        "kubeconfig",
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        })
        .to_string(),
    );
    let kubeconfig = cli.path("kubeconfig").display().to_string();
    cli.set("KUBECONFIG", &kubeconfig);
    let path = |name: &str| cli.path(name).display().to_string();
    let trusted = |name: &str| format!("--certificate-authority={}", path(name));
    let certificate = |trusted: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        cli.write(trusted, made.cert.pem());
        cli.write("certificates/tls.crt", made.cert.pem());
        cli.write("certificates/tls.key", made.signing_key.serialize_pem());
    };
    let numbers = |port: u16, trusted: &str| {
        let server = format!("--server=https://localhost:{port}");
        let arguments = [&server, trusted, "get", "--raw", "/metrics"];
        let output = cluster().kubectl(&arguments);
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    };
    let start = |port: u16, more: &str| {
        cli.start(&format!(
            "--health-probe-bind-address=0 --metrics-bind-address=127.0.0.1:{port} \
             --metrics-secure --zap-log-level=error {more}"
        ))
    };
    certificate("first");
    let (given, own) = (free_port(), free_port());
    let process = start(
        given,
        &format!("--metrics-cert-path={}", path("certificates")),
    );
    let first = eventually("metrics", || numbers(given, &trusted("first")));
    assert!(
        first.contains("ocm_system_ocm_k8s_toolkit_cache_hit"),
        "{first}"
    );
    certificate("second");
    eventually("another certificate", || numbers(given, &trusted("second")));
    assert!(numbers(given, &trusted("first")).is_err());
    // Without TLS there is an alert, or nothing at all.
    let plain = get(given, "/metrics").unwrap_or_default();
    assert!(!plain.contains("ocm_"), "{plain}");
    assert_eq!(process.signal("TERM").code, Some(0));

    let process = start(own, "");
    eventually("a certificate of its own", || {
        numbers(own, "--insecure-skip-tls-verify")
    });
    assert!(numbers(own, &trusted("second")).is_err());
    assert_eq!(process.signal("TERM").code, Some(0));
}

#[test]
fn work_goes_on_after_the_api_server_was_away() {
    let cluster = Cluster::start();
    install(&cluster);
    let registry = Registry::start();
    let mut cli = cli();
    let kubeconfig = cluster.kubeconfig_path().display().to_string();
    cli.set("KUBECONFIG", &kubeconfig);
    let mut process = cli.start("--health-probe-bind-address=0");
    apply(&cluster, &repository(&registry));
    let get = [
        "get",
        "repository",
        "shop",
        "-o",
        "jsonpath={.status.conditions[*].reason}",
    ];
    eventually("the repository is ready", || {
        let reason = text(&cluster.kubectl(&get).stdout);
        (reason == "Succeeded").then_some(()).ok_or(reason)
    });
    cluster.stop_api_server();
    process.wait_for("cannot watch");
    cluster.start_api_server();
    apply(
        &cluster,
        &repository(&registry).replace("name: shop", "name: second"),
    );
    process.wait_for("\"object\":\"default/second\"");
    assert_eq!(process.signal("TERM").code, Some(0));
}

#[test]
fn a_replica_that_waits_takes_over_when_the_leader_ends_and_writes_nothing_again() {
    let cluster = Cluster::start();
    install(&cluster);
    let registry = Registry::start();
    let manifest = config_map("default", "settings", "1");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let packing = Packing::start(&registry, "1.0.0").await;
        let packing = packing.blob("manifests", "application/yaml", manifest.as_bytes());
        packing.await.put().await;
    });
    registry.take_requests();
    let mut cli = cli();
    let kubeconfig = cluster.kubeconfig_path().display().to_string();
    cli.set("KUBECONFIG", &kubeconfig);
    let start = |metrics: u16| {
        cli.start(&format!(
            "--leader-elect --health-probe-bind-address=0 \
             --metrics-bind-address=127.0.0.1:{metrics}"
        ))
    };
    let (metrics, other_metrics) = (free_port(), free_port());
    let mut first = start(metrics);
    first.wait_for("leading");
    let mut second = start(other_metrics);
    apply(&cluster, &chain(&registry, "default", "1.0.0"));
    first.wait_for("Applied acme.org/shop:1.0.0, resource manifests");
    delivered(metrics);
    // Of the component version: its manifest, its descriptor and the content of its resource. The
    // first request to a registry asks which scheme and which credentials it takes.
    let mut requests = registry.take_requests();
    requests.retain(|it| it != "GET /v2/");
    assert!(requests.len() <= 4, "{requests:?}");
    let ended = first.signal("TERM");
    assert_eq!(ended.code, Some(0), "{ended}");
    let versions = versions(&cluster);

    // It has said nothing before that.
    second.wait_for("leading");
    delivered(other_metrics);
    assert_eq!(versions, self::versions(&cluster));
    apply(
        &cluster,
        &repository(&registry).replace("name: shop", "name: second"),
    );
    second.wait_for("\"object\":\"default/second\"");
    assert_eq!(second.signal("TERM").code, Some(0));
}

/// Waits until each object of the chain was looked at and found as it should be.
fn delivered(metrics: u16) {
    eventually("a pass over each object", || {
        let numbers = get(metrics, "/metrics")?;
        let is_ready = |kind: &&str| {
            let series = format!("passes_total{{kind=\"{kind}\",result=\"ready\"}}");
            numbers.contains(&series)
        };
        let kinds = ["Repository", "Component", "Resource", "Deployer"];
        kinds.iter().all(is_ready).then_some(()).ok_or(numbers)
    });
}

/// The versions of all objects of the chain and of what it has delivered, and of all events.
fn versions(cluster: &Cluster) -> String {
    let kinds = "repositories,components,resources,deployers,configmaps,events";
    let fields = "jsonpath={range .items[*]}{.kind} {.metadata.name} \
                  {.metadata.resourceVersion}{\"\\n\"}{end}";
    let found = cluster.kubectl(&["get", kinds, "-n", "default", "-o", fields]);
    assert!(found.status.success(), "{}", text(&found.stderr));
    let found = text(&found.stdout);
    assert!(found.contains("ConfigMap settings"), "{found}");
    found
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
