//! The kinds of kro, Flux and Argo CD that the examples name, without anybody who works on them.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::world::{cluster, text};

/// Group, version, kind and plural.
const KINDS: &[[&str; 4]] = &[
    [
        "kro.run",
        "v1alpha1",
        "ResourceGraphDefinition",
        "resourcegraphdefinitions",
    ],
    [
        "source.toolkit.fluxcd.io",
        "v1",
        "OCIRepository",
        "ocirepositories",
    ],
    [
        "source.toolkit.fluxcd.io",
        "v1",
        "GitRepository",
        "gitrepositories",
    ],
    [
        "helm.toolkit.fluxcd.io",
        "v2",
        "HelmRelease",
        "helmreleases",
    ],
    [
        "kustomize.toolkit.fluxcd.io",
        "v1",
        "Kustomization",
        "kustomizations",
    ],
    ["argoproj.io", "v1alpha1", "Application", "applications"],
];

/// Gives the cluster their definitions, once for all tests.
pub(super) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let mut objects: Vec<_> = KINDS.iter().map(definition).collect();
        objects.push(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"},
        }));
        let manifests: Vec<_> = objects.iter().map(Value::to_string).collect();
        let manifests = manifests.join("\n---\n");
        let apply = ["apply", "--server-side", "-f", "-"];
        let wait = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ];
        let applied = cluster().kubectl_with(&apply, &manifests);
        assert!(applied.status.success(), "{}", text(&applied.stderr));
        let established = cluster().kubectl(&wait);
        assert!(
            established.status.success(),
            "{}",
            text(&established.stderr)
        );
    });
}

/// A definition that takes whatever it is given.
fn definition([group, version, kind, plural]: &[&str; 4]) -> Value {
    let is_namespaced = *kind != "ResourceGraphDefinition";
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "scope": if is_namespaced { "Namespaced" } else { "Cluster" },
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}
