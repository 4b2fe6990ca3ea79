//! A component version with a large descriptor, and a descriptor with many signatures.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::run::cargo_command;

/// The component with the large descriptor, and its version.
pub(crate) const COMPONENT: &str = "bench.example.org/large";
pub(crate) const VERSION: &str = "1.0.0";

/// How much there is of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) resources: usize,
    pub(crate) references: usize,
    pub(crate) signatures: usize,
}

impl Shape {
    pub(crate) const fn new(is_quick: bool) -> Self {
        let part = if is_quick { 16 } else { 1 };
        Self {
            resources: 10_000 / part,
            references: 1_000 / part,
            signatures: 1_000 / part,
        }
    }
}

/// Writes the constructor of the component with the large descriptor, and returns its path.
pub(crate) fn constructor(directory: &Path, shape: &Shape) -> Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let path = directory.join(format!(
        "large-{}-{}.yaml",
        shape.resources, shape.references
    ));
    let mut text = format!(
        "name: {COMPONENT}\nversion: {VERSION}\nprovider:\n  name: bench.example.org\nresources:\n"
    );
    for number in 0..shape.resources {
        let _ = writeln!(
            text,
            "- name: r{number:05}\n  version: {VERSION}\n  type: plainText\n  extraIdentity:\n    \
             architecture: amd64\n  labels:\n  - name: bench.example.org/number\n    value: \
             {{number: {number}}}\n    signing: true\n  input:\n    type: utf8\n    text: \
             resource {number}"
        );
    }
    text.push_str("componentReferences:\n");
    for number in 0..shape.references {
        let _ = writeln!(
            text,
            "- name: c{number:05}\n  componentName: bench.example.org/part{number}\n  version: \
             {VERSION}\n  digest:\n    hashAlgorithm: SHA-256\n    normalisationAlgorithm: \
             jsonNormalisation/v4alpha1\n    value: \"{number:064x}\""
        );
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The seconds that signatures take: verified, and the bare operations on the key.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Signatures {
    pub(crate) verify: f64,
    pub(crate) bare: f64,
}

/// Measures how long RSA-4096 signatures of one descriptor take.
pub(crate) fn signatures(shape: &Shape) -> Result<Signatures> {
    let mut command: Command = cargo_command(&[
        "run",
        "--quiet",
        "--release",
        "--package=ocm-signing",
        "--example=many_signatures",
        "--",
    ]);
    let output = command
        .arg(shape.signatures.to_string())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("the example prints something else")
}
