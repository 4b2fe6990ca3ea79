//! The chart, as helm renders and installs it, and the manifest for those without helm.

use std::path::Path;

use ocm_testkit::{Cluster, helm};
use serde_json::{Value, json};

use crate::world::text;

/// The usual name of a release, and its namespace.
const RELEASE: &str = "ocm-k8s-toolkit";
const NAMESPACE: &str = "ocm-k8s-toolkit-system";

/// All values of the chart of the Go controllers, as they are there when nobody says otherwise.
const GO_VALUES: &str = r#"
manager:
  replicas: 1
  image: {repository: example.org/controllers, tag: "1", pullPolicy: IfNotPresent}
  concurrency: {resource: 4}
  resolver: {workerCount: 10, workerQueueLength: 1000, subscriberBufferSize: 100, cacheTTL: 30}
  cache: {deployerDownloadSize: 1000, deployerDownloadMaxResourceSize: "2Mi"}
  logging: {level: info, development: false, encoder: json}
  leaderElection: {enabled: true}
  healthProbe: {bindAddress: ":8081"}
  livenessProbe: {path: /healthz, port: 8081, initialDelaySeconds: 15, periodSeconds: 20}
  readinessProbe: {path: /readyz, port: 8081, initialDelaySeconds: 5, periodSeconds: 10}
  metricsServer: {bindAddress: "0", secure: false, enableHttp2: false}
  extraArgs: []
  env: []
  imagePullSecrets: []
  podSecurityContext: {runAsNonRoot: true}
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
  resources: {limits: {cpu: 500m, memory: 512Mi}, requests: {cpu: 100m, memory: 256Mi}}
  affinity: {}
  nodeSelector: {}
  tolerations: []
rbacHelpers: {enable: false, aggregateToDefaultRoles: true}
crd: {enable: true, keep: true}
webhook: {enable: false, certSecret: webhook}
certManager: {enable: false}
prometheus: {enable: false}
nameOverride: ""
fullnameOverride: ""
"#;

fn chart() -> String {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/charts/ocm-controllers");
    chart.display().to_string()
}

/// What helm makes of the chart with some values, or what it says against it.
fn render_as(release: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let chart = chart();
    let mut arguments = vec!["template", release, &chart, "--namespace", NAMESPACE];
    for value in values {
        arguments.extend(["--set-json", value]);
    }
    let rendered = helm(&arguments);
    if !rendered.status.success() {
        return Err(text(&rendered.stderr));
    }
    Ok(serde_saphyr::from_multiple(&text(&rendered.stdout)).unwrap())
}

#[track_caller]
fn render(values: &[&str]) -> Vec<Value> {
    render_as(RELEASE, values).unwrap()
}

#[track_caller]
fn refused(values: &[&str], because: &str) {
    let refusal = render_as(RELEASE, values).unwrap_err();
    assert!(refusal.contains(because), "{refusal}");
}

/// The object of a kind, if there is one of its name, which is that of the account with something
/// more.
fn find<'a>(objects: &'a [Value], kind: &str, more: &str) -> Option<&'a Value> {
    let name = format!("{RELEASE}{more}");
    objects
        .iter()
        .find(|it| it["kind"] == kind && it["metadata"]["name"] == *name)
}

fn deployment(objects: &[Value]) -> &Value {
    find(objects, "Deployment", "-controller-manager").unwrap()
}

fn container(objects: &[Value]) -> &Value {
    &deployment(objects)["spec"]["template"]["spec"]["containers"][0]
}

fn arguments(objects: &[Value]) -> Vec<&str> {
    let arguments = container(objects)["args"].as_array().unwrap();
    arguments.iter().map(|it| it.as_str().unwrap()).collect()
}

#[test]
fn helm_has_nothing_against_the_chart() {
    let linted = helm(&["lint", "--strict", &chart()]);
    assert!(linted.status.success(), "{}", text(&linted.stdout));
}

#[test]
fn everything_that_is_made_by_default_is_safe_and_nothing_else_is_made() {
    let objects = render(&[]);
    let mut kinds: Vec<_> = objects
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .collect();
    kinds.retain(|kind| *kind != "CustomResourceDefinition");
    kinds.sort_unstable();
    let expected = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Deployment",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(objects.len(), expected.len() + 5);
    let pod = &deployment(&objects)["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = container(&objects);
    let image = concat!(
        "registry.example.com/ocm-rs/ocm-controllers:",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(container["image"], image);
    // The image knows what to run.
    assert_eq!(container.get("command"), None);
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/data");
    let crds = objects
        .iter()
        .filter(|it| it["kind"] == "CustomResourceDefinition");
    for crd in crds {
        let annotations = &crd["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/resource-policy"], "keep");
    }
}

#[test]
fn names_are_those_that_users_have_bound_roles_to() {
    let account = |release: &str, values: &[&str]| {
        let objects = render_as(release, values).unwrap();
        let account = objects
            .iter()
            .find(|it| it["kind"] == "ServiceAccount")
            .unwrap();
        let name = account["metadata"]["name"].as_str().unwrap().to_owned();
        let bound = objects.iter().filter(|it| it.get("subjects").is_some());
        for binding in bound {
            assert_eq!(binding["subjects"][0]["name"], *name);
            assert_eq!(binding["subjects"][0]["namespace"], NAMESPACE);
        }
        name
    };
    assert_eq!(account(RELEASE, &[]), "ocm-k8s-toolkit-controller-manager");
    assert_eq!(
        account("my-ocm-k8s-toolkit", &[]),
        "my-ocm-k8s-toolkit-controller-manager"
    );
    assert_eq!(
        account("other", &[]),
        "other-ocm-k8s-toolkit-controller-manager"
    );
    assert_eq!(
        account("other", &["fullnameOverride=\"it\""]),
        "it-controller-manager"
    );
    assert_eq!(
        account("other", &["nameOverride=\"ocm\""]),
        "other-ocm-controller-manager"
    );
    let served = "manager.metricsServer.bindAddress=\":8080\"";
    let objects = render_as(&"a".repeat(53), &[served]).unwrap();
    for kind in ["Deployment", "Service", "ServiceAccount"] {
        let object = objects.iter().find(|it| it["kind"] == kind).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 63, "{kind} {name}");
    }
}

#[test]
fn values_of_the_go_controllers_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("values.yaml");
    std::fs::write(&file, GO_VALUES).unwrap();
    let file = file.display().to_string();
    let rendered = helm(&["template", RELEASE, &chart(), "--values", &file]);
    assert!(rendered.status.success(), "{}", text(&rendered.stderr));
}

#[test]
fn values_do_what_their_names_say() {
    for (value, argument) in [
        (
            "manager.concurrency.resource=7",
            "--resource-controller-concurrency=7",
        ),
        (
            "manager.concurrency.replication=7",
            "--replication-controller-concurrency=7",
        ),
        (
            "manager.resolver.workerCount=7",
            "--resolver-worker-count=7",
        ),
        (
            "manager.resolver.workerQueueLength=700",
            "--resolver-worker-queue-length=700",
        ),
        (
            "manager.resolver.subscriberBufferSize=7",
            "--resolver-subscriber-buffer-size=7",
        ),
        ("manager.resolver.cacheTTL=7", "--resolver-cache-ttl=7"),
        (
            "manager.cache.deployerDownloadSize=7",
            "--deployer-download-cache-size=7",
        ),
        (
            "manager.cache.deployerDownloadMaxResourceSize=\"7Mi\"",
            "--deployer-download-max-resource-size=7Mi",
        ),
        ("manager.logging.level=\"debug\"", "--zap-log-level=debug"),
        ("manager.logging.development=true", "--zap-devel=true"),
        (
            "manager.logging.encoder=\"console\"",
            "--zap-encoder=console",
        ),
        (
            "manager.leaderElection.enabled=false",
            "--leader-elect=false",
        ),
        (
            "manager.healthProbe.bindAddress=\":7\"",
            "--health-probe-bind-address=:7",
        ),
        (
            "manager.metricsServer.bindAddress=\":7\"",
            "--metrics-bind-address=:7",
        ),
        (
            "manager.metricsServer.enableHttp2=true",
            "--enable-http2=true",
        ),
        (
            "manager.allowCrossNamespaceConfig=true",
            "--allow-cross-namespace-config",
        ),
        ("manager.extraArgs=[\"--archives=/a\"]", "--archives=/a"),
    ] {
        let objects = render(&[value]);
        let arguments = arguments(&objects);
        assert!(arguments.contains(&argument), "{value}: {arguments:?}");
    }
    let place = "/spec/template/spec";
    for (value, pointer, expected) in [
        ("manager.replicas=3", "/spec/replicas", json!(3)),
        (
            "manager.image={\"repository\": \"a/b\", \"tag\": \"c\", \"pullPolicy\": \"Always\"}",
            "/containers/0/image",
            json!("a/b:c"),
        ),
        (
            "manager.image.pullPolicy=\"Always\"",
            "/containers/0/imagePullPolicy",
            json!("Always"),
        ),
        (
            "manager.livenessProbe={\"path\": \"/l\", \"port\": 7}",
            "/containers/0/livenessProbe/httpGet",
            json!({"path": "/l", "port": 7}),
        ),
        (
            "manager.readinessProbe.periodSeconds=7",
            "/containers/0/readinessProbe/periodSeconds",
            json!(7),
        ),
        (
            "manager.env=[{\"name\": \"A\", \"value\": \"b\"}]",
            "/containers/0/env/0/value",
            json!("b"),
        ),
        (
            "manager.imagePullSecrets=[{\"name\": \"a\"}]",
            "/imagePullSecrets/0/name",
            json!("a"),
        ),
        (
            "manager.podSecurityContext.fsGroup=7",
            "/securityContext/fsGroup",
            json!(7),
        ),
        (
            "manager.securityContext.runAsGroup=7",
            "/containers/0/securityContext/runAsGroup",
            json!(7),
        ),
        (
            "manager.resources.limits.cpu=\"7\"",
            "/containers/0/resources/limits/cpu",
            json!("7"),
        ),
        (
            "manager.nodeSelector={\"a\": \"b\"}",
            "/nodeSelector/a",
            json!("b"),
        ),
        (
            "manager.affinity={\"nodeAffinity\": {}}",
            "/affinity",
            json!({"nodeAffinity": {}}),
        ),
        (
            "manager.tolerations=[{\"key\": \"a\"}]",
            "/tolerations/0/key",
            json!("a"),
        ),
    ] {
        let objects = render(&[value]);
        let deployment = deployment(&objects);
        let pointer = match pointer.strip_prefix("/spec/") {
            Some(_) => pointer.to_owned(),
            None => format!("{place}{pointer}"),
        };
        assert_eq!(deployment.pointer(&pointer), Some(&expected), "{value}");
    }
    let definitions = |objects: &[Value]| {
        let crds = objects
            .iter()
            .filter(|it| it["kind"] == "CustomResourceDefinition");
        crds.map(|it| it["metadata"]["annotations"]["helm.sh/resource-policy"].clone())
            .collect::<Vec<_>>()
    };
    assert!(definitions(&render(&["crd.enable=false"])).is_empty());
    assert_eq!(
        definitions(&render(&["crd.keep=false"])),
        vec![Value::Null; 5]
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    refused(
        &["manager.replicas=2", "manager.leaderElection.enabled=false"],
        "manager.replicas above 1 needs manager.leaderElection.enabled",
    );
    refused(&["webhook.enable=true"], "webhook.enable is not offered");
    refused(
        &["prometheus.enable=true"],
        "prometheus.enable needs manager.metricsServer.bindAddress",
    );
    for value in [
        "manager.replicas=\"two\"",
        "manager.replicas=-1",
        "manager.leaderElection.enabled=\"yes\"",
        "manager.logging.encoder=\"xml\"",
        "manager.livenessProbe.port=70000",
        "manager.extraArgs=\"--leader-elect\"",
        "manager.tolerations={}",
        "manager.image.pullPolicy=\"Sometimes\"",
        "manager.imagePullSecret=[]",
        "crd.enable=1",
        "rbacHelpers.aggregateDeployerEditor=\"yes\"",
        "certmanager={\"enable\": true}",
    ] {
        refused(
            &[value],
            "values don't meet the specifications of the schema",
        );
    }
}

#[test]
fn metrics_have_a_service_and_with_tls_a_certificate() {
    let at = "manager.metricsServer.bindAddress=\":8443\"";
    let prometheus = "prometheus.enable=true";
    let ports = |objects: &[Value]| {
        let service = find(objects, "Service", "-controller-manager-metrics").unwrap();
        let monitor = find(objects, "ServiceMonitor", "-controller-manager").unwrap();
        let named = &container(objects)["ports"][1];
        assert_eq!(named["containerPort"], 8443);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], named["name"]);
        assert_eq!(
            service["spec"]["ports"][0]["name"],
            monitor["spec"]["endpoints"][0]["port"]
        );
        assert_eq!(
            monitor["spec"]["selector"]["matchLabels"]["control-plane"],
            service["metadata"]["labels"]["control-plane"]
        );
        monitor["spec"]["endpoints"][0].clone()
    };
    let plain = render(&[at, prometheus, "certManager.enable=true"]);
    let endpoint = ports(&plain);
    assert_eq!(
        (&endpoint["port"], endpoint.get("scheme")),
        (&json!("http"), None)
    );
    assert!(arguments(&plain).contains(&"--metrics-secure=false"));
    assert_eq!(find(&plain, "Certificate", "-metrics-cert"), None);

    let secure = "manager.metricsServer.secure=true";
    let own = render(&[at, prometheus, secure]);
    let endpoint = ports(&own);
    assert_eq!(
        (&endpoint["port"], &endpoint["scheme"]),
        (&json!("https"), &json!("https"))
    );
    assert_eq!(endpoint["tlsConfig"], json!({"insecureSkipVerify": true}));
    assert!(arguments(&own).contains(&"--metrics-secure=true"));
    assert!(
        !arguments(&own)
            .iter()
            .any(|it| it.starts_with("--metrics-cert-path"))
    );

    let managed = render(&[at, prometheus, secure, "certManager.enable=true"]);
    let endpoint = ports(&managed);
    let certificate = &find(&managed, "Certificate", "-metrics-cert").unwrap()["spec"];
    assert_eq!(certificate["secretName"], "ocm-k8s-toolkit-metrics-cert");
    let host = "ocm-k8s-toolkit-controller-manager-metrics.ocm-k8s-toolkit-system.svc";
    assert_eq!(certificate["dnsNames"], json!([host]));
    assert_eq!(endpoint["tlsConfig"]["serverName"], host);
    assert_eq!(
        endpoint["tlsConfig"]["ca"]["secret"]["name"],
        certificate["secretName"]
    );
    let issuer = certificate["issuerRef"]["name"].as_str().unwrap();
    let is_there = managed
        .iter()
        .any(|it| it["kind"] == "Issuer" && it["metadata"]["name"] == issuer);
    assert!(is_there, "{issuer}");
    let mount = &container(&managed)["volumeMounts"][1];
    assert_eq!(mount["readOnly"], true);
    let path = format!(
        "--metrics-cert-path={}",
        mount["mountPath"].as_str().unwrap()
    );
    assert!(arguments(&managed).contains(&&*path));
    let volumes = &deployment(&managed)["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[1]["name"], mount["name"]);
    assert_eq!(
        volumes[1]["secret"]["secretName"],
        certificate["secretName"]
    );
}

#[test]
fn who_may_edit_does_not_thereby_get_the_rights_of_the_controllers() {
    let edits = |values: &[&str]| {
        let objects = render(&[&["rbacHelpers.enable=true"], values].concat());
        let roles = objects.iter().filter(|it| {
            let labels = &it["metadata"]["labels"];
            ["admin", "edit"].iter().any(|role| {
                labels[format!("rbac.authorization.k8s.io/aggregate-to-{role}")] == "true"
            })
        });
        let mut kinds: Vec<_> = roles
            .map(|it| it["rules"][0]["resources"][0].as_str().unwrap().to_owned())
            .collect();
        kinds.sort_unstable();
        kinds
    };
    let namespaced = ["components", "replications", "repositories", "resources"];
    assert_eq!(edits(&[]), namespaced);
    assert!(edits(&["rbacHelpers.aggregateToDefaultRoles=false"]).is_empty());
    let all = edits(&["rbacHelpers.aggregateDeployerEditor=true"]);
    assert_eq!(all.len(), 5);
    assert!(all.contains(&"deployers".to_owned()));

    let objects = render(&["rbacHelpers.enable=true"]);
    let viewer = find(&objects, "ClusterRole", "-deployer-viewer-role").unwrap();
    let labels = &viewer["metadata"]["labels"];
    assert_eq!(
        labels["rbac.authorization.k8s.io/aggregate-to-view"],
        "true"
    );
    assert_eq!(viewer["rules"][0]["verbs"], json!(["get", "list", "watch"]));
    assert!(find(&objects, "ClusterRole", "-deployer-editor-role").is_some());
}

/// A cluster of its own, since the definitions are not those of the other tests.
#[test]
fn the_chart_and_the_manifest_are_installed_on_a_cluster() {
    let cluster = Cluster::start();
    let kubectl = |arguments: &[&str]| {
        let output = cluster.kubectl(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let chart = chart();
    let release = |verb: &str, more: &[&str]| {
        let arguments = [&[verb, RELEASE, &chart, "--namespace", NAMESPACE], more].concat();
        let done = cluster.helm(&arguments);
        assert!(done.status.success(), "{}", text(&done.stderr));
    };
    release(
        "install",
        &["--create-namespace", "--set=rbacHelpers.enable=true"],
    );
    let established = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd",
        "--all",
    ];
    assert_eq!(kubectl(&established).lines().count(), 5);
    let get = ["get", "deployment", "-n", NAMESPACE, "-o", "json"];
    let deployed: Value = serde_json::from_str(&kubectl(&get)).unwrap();
    let [deployed] = &deployed["items"].as_array().unwrap()[..] else {
        panic!("{deployed}");
    };
    assert_eq!(
        deployed["metadata"]["name"],
        "ocm-k8s-toolkit-controller-manager"
    );
    let labels = &deployed["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/instance"], RELEASE);
    let account = deployed["spec"]["template"]["spec"]["serviceAccountName"].as_str();
    let account = format!(
        "--as=system:serviceaccount:{NAMESPACE}:{}",
        account.unwrap()
    );
    let may = |verb: &str, what: &str, more: &[&str]| {
        let arguments = [&["auth", "can-i", verb, what, &account], more].concat();
        text(&cluster.kubectl(&arguments).stdout).trim() == "yes"
    };
    assert!(may("patch", "components.delivery.ocm.software", &["-A"]));
    assert!(may(
        "create",
        "leases.coordination.k8s.io",
        &["-n", NAMESPACE]
    ));
    assert!(!may(
        "create",
        "leases.coordination.k8s.io",
        &["-n", "default"]
    ));
    assert!(!may("create", "secrets", &["-n", NAMESPACE]));

    release(
        "upgrade",
        &["--set=manager.replicas=2,manager.concurrency.resource=9"],
    );
    let replicas = [
        "-o",
        "jsonpath={.items[0].spec.replicas} {.items[0].spec.template.spec.containers[0].args}",
    ];
    let upgraded = kubectl(&[&["get", "deployment", "-n", NAMESPACE], &replicas[..]].concat());
    assert!(upgraded.starts_with("2 "), "{upgraded}");
    assert!(
        upgraded.contains("--resource-controller-concurrency=9"),
        "{upgraded}"
    );

    let removed = cluster.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert_eq!(kubectl(&["get", "deployment", "-A"]), "");
    // With them all objects would go.
    assert_eq!(kubectl(&["get", "crd", "-o", "name"]).lines().count(), 5);

    let objects = ocm_controllers::install::install("example.org/ocm-controllers:1.0.0");
    let manifest: Vec<_> = objects.iter().map(Value::to_string).collect();
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
        "-f",
        "-",
    ];
    let applied = cluster.kubectl_with(&arguments, &manifest.join("\n---\n"));
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    assert_eq!(text(&applied.stdout).lines().count(), objects.len());
}
