//! What `cargo metadata` says of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::run::output_of_cargo;

/// The platform that releases are built for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The packages and their edges. Optional dependencies that no feature switches on can stand among
/// the edges; [`built_packages`] knows better.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) resolve: Resolve,
    pub(crate) target_directory: PathBuf,
}

/// A package of the graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// The graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

/// A package and what it depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<Dependency>,
}

/// An edge of the graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

/// Whether an edge is for building, for tests, or for use.
#[derive(Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Dependency {
    /// Returns whether the dependency is used by the code itself, not only by its tests.
    pub(crate) fn is_normal(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.is_none())
    }
}

impl Metadata {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let platform = format!("--filter-platform={PLATFORM}");
        let output = output_of_cargo(&["metadata", "--format-version=1", &platform])?;
        serde_json::from_slice(&output).context("cannot read the output of cargo metadata")
    }

    /// Returns each package by its id.
    pub(crate) fn by_id(&self) -> BTreeMap<&str, &Package> {
        self.packages
            .iter()
            .map(|package| (package.id.as_str(), package))
            .collect()
    }
}

/// Returns the names of all packages that are really compiled, tests included.
pub(crate) fn built_packages() -> Result<BTreeSet<String>> {
    let output = output_of_cargo(&[
        "tree",
        "--workspace",
        "--target",
        PLATFORM,
        "--prefix=none",
        "--format={p}",
    ])?;
    let text = String::from_utf8(output).context("cargo tree does not print text")?;
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}
