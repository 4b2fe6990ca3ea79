//! What has to be in a cluster so that the controllers run there: the definitions, an account with
//! the permissions that they need and no others, and the process.
//!
//! Names are those of the Go controllers, so that roles which users have bound to their account
//! count for ours.

use serde_json::{Value, json};

use crate::api::{GROUP, definitions};

/// The namespace of the controllers.
pub const NAMESPACE: &str = "ocm-k8s-toolkit-system";

/// The service account of the controllers, to which users bind roles for what is deployed.
pub const ACCOUNT: &str = "ocm-k8s-toolkit-controller-manager";

const MANAGER_ROLE: &str = "ocm-k8s-toolkit-manager-role";
const LEADER_ROLE: &str = "ocm-k8s-toolkit-leader-election-role";

/// The port of the probes.
const PROBES: u16 = 8081;

/// Returns all objects, in an order in which they can be applied.
pub fn install(image: &str) -> Vec<Value> {
    let mut objects = vec![json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": labels()},
    })];
    objects.extend(definitions().iter().map(|it| json!(it)));
    objects.push(json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": NAMESPACE, "labels": labels()},
    }));
    objects.extend(roles());
    objects.push(deployment(image));
    objects
}

/// Returns the roles, and their bindings to the account.
pub fn roles() -> Vec<Value> {
    let role = |kind: &str, name: &str, namespace: Option<&str>, rules: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": metadata(name, namespace),
            "rules": rules,
        })
    };
    let binding = |kind: &str, role: &str, namespace: Option<&str>| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": format!("{kind}Binding"),
            "metadata": metadata(&role.replace("-role", "-rolebinding"), namespace),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        })
    };
    vec![
        role("ClusterRole", MANAGER_ROLE, None, manager_rules()),
        binding("ClusterRole", MANAGER_ROLE, None),
        role("Role", LEADER_ROLE, Some(NAMESPACE), leader_rules()),
        binding("Role", LEADER_ROLE, Some(NAMESPACE)),
    ]
}

/// Returns what the controllers do in all namespaces (`manager`), and in their own (`leader`).
pub fn rules() -> Value {
    json!({"leader": leader_rules(), "manager": manager_rules()})
}

/// What the controllers do in all namespaces. For what deployers apply, users bind a role of their
/// own.
fn manager_rules() -> Value {
    let kinds: Vec<_> = definitions()
        .into_iter()
        .map(|it| it.spec.names.plural)
        .collect();
    let statuses: Vec<_> = kinds.iter().map(|it| format!("{it}/status")).collect();
    json!([
        // Finalizers are part of the metadata.
        rule(GROUP, &json!(kinds), &["get", "list", "patch", "watch"]),
        rule(GROUP, &json!(statuses), &["patch"]),
        // What is deployed names its deployer as an owner that is not to go before.
        rule(GROUP, &json!(["deployers/finalizers"]), &["update"]),
        rule(
            "",
            &json!(["configmaps", "secrets"]),
            &["get", "list", "watch"]
        ),
        rule("", &json!(["events"]), &["create", "patch"]),
    ])
}

/// What the election of a leader does in the namespace of the controllers.
fn leader_rules() -> Value {
    let leases = json!(["leases"]);
    json!([rule(
        "coordination.k8s.io",
        &leases,
        &["create", "get", "update"]
    )])
}

fn rule(group: &str, resources: &Value, verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn deployment(image: &str) -> Value {
    let probe = |path: &str, delay: u8, period: u8| {
        json!({
            "httpGet": {"path": path, "port": PROBES},
            "initialDelaySeconds": delay,
            "periodSeconds": period,
        })
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(ACCOUNT, Some(NAMESPACE)),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels()},
            "template": {
                "metadata": {"labels": labels()},
                "spec": {
                    "serviceAccountName": ACCOUNT,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "manager",
                        "image": image,
                        "args": ["--leader-elect", format!("--health-probe-bind-address=:{PROBES}")],
                        "livenessProbe": probe("/healthz", 15, 20),
                        "readinessProbe": probe("/readyz", 5, 10),
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": {"drop": ["ALL"]},
                            "readOnlyRootFilesystem": true,
                        },
                        "resources": {
                            "limits": {"cpu": "500m", "memory": "512Mi"},
                            "requests": {"cpu": "100m", "memory": "256Mi"},
                        },
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                    "volumes": [{"name": "data", "emptyDir": {}}],
                    "terminationGracePeriodSeconds": 30,
                },
            },
        },
    })
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name, "labels": labels()});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "ocm-k8s-toolkit", "control-plane": "controller-manager"})
}
