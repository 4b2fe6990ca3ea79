//! Which crate may use which, and which crates nobody may use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::metadata::{Metadata, built_packages};

/// The table of ARCHITECTURE.md: a crate and what it may use of ours.
const LAYERS: &[(&str, &[&str])] = &[
    ("ocm-digest", &[]),
    ("ocm-model", &["ocm-digest"]),
    ("ocm-blob", &["ocm-digest"]),
    ("ocm-config", &["ocm-digest", "ocm-model"]),
    ("ocm-signing", &["ocm-digest", "ocm-model"]),
    ("ocm-openpgp", &["ocm-digest", "ocm-model", "ocm-signing"]),
    ("ocm-timestamp", &["ocm-digest", "ocm-model", "ocm-signing"]),
    ("ocm-sigstore", &["ocm-digest", "ocm-model", "ocm-signing"]),
    ("ocm-oci", &["ocm-digest", "ocm-blob"]),
    ("ocm-ctf", &["ocm-digest", "ocm-blob", "ocm-oci"]),
    ("ocm-bucket", &["ocm-digest", "ocm-blob", "ocm-oci"]),
    ("ocm-registry", &["ocm-digest", "ocm-blob", "ocm-oci"]),
    (
        "ocm-repository",
        &["ocm-digest", "ocm-model", "ocm-blob", "ocm-oci"],
    ),
    (
        "ocm-constructor",
        &[
            "ocm-digest",
            "ocm-model",
            "ocm-blob",
            "ocm-oci",
            "ocm-repository",
        ],
    ),
    (
        "ocm-backends",
        &[
            "ocm-digest",
            "ocm-model",
            "ocm-blob",
            "ocm-config",
            "ocm-oci",
            "ocm-ctf",
            "ocm-repository",
            "ocm-constructor",
        ],
    ),
    (
        "ocm-transfer",
        &[
            "ocm-digest",
            "ocm-model",
            "ocm-blob",
            "ocm-signing",
            "ocm-oci",
            "ocm-ctf",
            "ocm-repository",
        ],
    ),
    (
        "ocm",
        &[
            "ocm-digest",
            "ocm-model",
            "ocm-blob",
            "ocm-config",
            "ocm-signing",
            "ocm-openpgp",
            "ocm-timestamp",
            "ocm-sigstore",
            "ocm-oci",
            "ocm-ctf",
            "ocm-bucket",
            "ocm-registry",
            "ocm-repository",
            "ocm-constructor",
            "ocm-backends",
            "ocm-transfer",
        ],
    ),
    ("ocm-cli", &["ocm"]),
    ("ocm-cel", &["ocm-digest", "ocm-model"]),
    ("ocm-kube", &["ocm-digest", "ocm-blob"]),
    ("ocm-controllers", &["ocm", "ocm-cel", "ocm-kube"]),
    (
        "ocm-testkit",
        &[
            "ocm-digest",
            "ocm-model",
            "ocm-blob",
            "ocm-signing",
            "ocm-oci",
            "ocm-ctf",
            "ocm-registry",
        ],
    ),
    (
        "ocm-fuzz",
        &[
            "ocm-digest",
            "ocm-model",
            "ocm-blob",
            "ocm-config",
            "ocm-signing",
            "ocm-openpgp",
            "ocm-timestamp",
            "ocm-sigstore",
            "ocm-oci",
            "ocm-ctf",
            "ocm-bucket",
            "ocm-registry",
            "ocm-repository",
            "ocm-constructor",
            "ocm-backends",
            "ocm-transfer",
            "ocm-cel",
            "ocm-kube",
        ],
    ),
    // Compiled before anything else on a new machine, so it stays small.
    ("xtask", &["ocm-digest"]),
];

/// Checks the graph of crates against [`LAYERS`] and the bans of `deny.toml`.
pub(crate) fn check() -> Result<()> {
    let metadata = Metadata::load()?;
    let mut faults = layer_faults(&metadata);
    faults.extend(ban_faults(&metadata, &built_packages()?, &Bans::load()?));
    if faults.is_empty() {
        Ok(())
    } else {
        bail!("{}", faults.join("\n"))
    }
}

fn layer_faults(metadata: &Metadata) -> Vec<String> {
    let packages = metadata.by_id();
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut faults = Vec::new();
    for node in &metadata.resolve.nodes {
        if !metadata.workspace_members.contains(&node.id) {
            continue;
        }
        let name = packages[node.id.as_str()].name.as_str();
        let Some(allowed) = layers.get(name) else {
            faults.push(format!("crate {name} has no line in the table of layers"));
            continue;
        };
        for dependency in node.deps.iter().filter(|dependency| dependency.is_normal()) {
            let used = packages[dependency.pkg.as_str()].name.as_str();
            if metadata.workspace_members.contains(&dependency.pkg) && !allowed.contains(&used) {
                faults.push(format!("crate {name} must not use {used}"));
            }
        }
    }
    faults
}

fn ban_faults(metadata: &Metadata, built: &BTreeSet<String>, bans: &Bans) -> Vec<String> {
    let packages = metadata.by_id();
    let mut faults = Vec::new();
    for node in &metadata.resolve.nodes {
        let user = packages[node.id.as_str()].name.as_str();
        for dependency in &node.deps {
            let used = packages[dependency.pkg.as_str()];
            let Some(ban) = bans.deny.iter().find(|ban| ban.crate_name == used.name) else {
                continue;
            };
            if built.contains(&used.name) && !ban.wrappers.iter().any(|wrapper| wrapper == user) {
                let Ban { reason, .. } = ban;
                faults.push(format!(
                    "{user} must not use {} {}: {reason}",
                    used.name, used.version
                ));
            }
        }
    }
    faults
}

/// The part of `deny.toml` that is checked here.
#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    crate_name: String,
    #[serde(default)]
    wrappers: Vec<String>,
    reason: String,
}

impl Bans {
    fn load() -> Result<Self> {
        #[derive(Deserialize)]
        struct Deny {
            bans: Bans,
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deny.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let deny: Deny = toml::from_str(&text).context("deny.toml is malformed")?;
        Ok(deny.bans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)], members: &[&str]) -> Metadata {
        let mut names: Vec<&str> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
        names.sort_unstable();
        names.dedup();
        let package = |name: &&str| serde_json::json!({"id": name, "name": name, "version": "1"});
        let node = |name: &&str| {
            let deps: Vec<_> = edges
                .iter()
                .filter(|(from, _)| from == name)
                .map(|(_, to)| serde_json::json!({"pkg": to, "dep_kinds": [{"kind": null}]}))
                .collect();
            serde_json::json!({"id": name, "deps": deps})
        };
        serde_json::from_value(serde_json::json!({
            "packages": names.iter().map(package).collect::<Vec<_>>(),
            "workspace_members": members,
            "target_directory": "target",
            "resolve": {"nodes": names.iter().map(node).collect::<Vec<_>>()},
        }))
        .unwrap()
    }

    #[test]
    fn the_workspace_keeps_its_layers() {
        check().unwrap();
    }

    #[test]
    fn one_file_alone_has_unsafe_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = vec![root.join("crates"), root.join("xtask/src")];
        let mut found = Vec::new();
        while let Some(path) = files.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).unwrap();
                files.extend(entries.map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|it| it == "rs") {
                // Written in two parts, so that this file is none of them.
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains(concat!("(uns", "afe_code")) {
                    found.push(path.strip_prefix(&root).unwrap().to_owned());
                }
            }
        }
        assert_eq!(found, [Path::new("crates/ocm-digest/src/sha_ni.rs")]);
    }

    #[test]
    fn the_architecture_has_the_same_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
        let text = std::fs::read_to_string(path).unwrap();
        let documented: Vec<&str> = text
            .lines()
            .skip_while(|line| *line != "## Crates")
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let table: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(documented, table);
    }

    #[test]
    fn a_crate_that_looks_down_is_a_fault() {
        let graph = graph(&[("ocm-model", "ocm-oci")], &["ocm-model", "ocm-oci"]);
        assert_eq!(
            layer_faults(&graph),
            ["crate ocm-model must not use ocm-oci"]
        );
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_a_fault() {
        let graph = graph(&[("ocm-new", "serde")], &["ocm-new"]);
        assert_eq!(
            layer_faults(&graph),
            ["crate ocm-new has no line in the table of layers"]
        );
    }

    #[test]
    fn a_banned_crate_is_a_fault_unless_its_user_is_named() {
        let bans: Bans = toml::from_str(
            r#"deny = [{ crate = "ring", reason = "r" }, { crate = "axum", wrappers = ["a"], reason = "one" }]"#,
        )
        .unwrap();
        let graph = graph(&[("x", "ring"), ("a", "axum"), ("b", "axum")], &[]);
        let built = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(
            ban_faults(&graph, &built(&["ring", "axum"]), &bans),
            ["b must not use axum 1: one", "x must not use ring 1: r"]
        );
        assert_eq!(
            ban_faults(&graph, &built(&["axum"]), &bans),
            ["b must not use axum 1: one"],
            "what no feature switches on is not banned"
        );
    }
}
