//! A component version with a large descriptor, and a descriptor with many signatures.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

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
    let count = shape.signatures.to_string();
    example("ocm-signing", "many_signatures", &count)
}

/// What a descriptor takes to be read, normalised and hashed.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Normalised {
    pub(crate) seconds: f64,
    /// The size of the document, and the peak of memory, in bytes.
    pub(crate) size: u64,
    pub(crate) memory: u64,
}

/// Measures what the largest blob of an archive takes, which is its descriptor.
pub(crate) fn normalised(archive: &Path) -> Result<Normalised> {
    let mut largest = None;
    for entry in fs::read_dir(archive.join("blobs"))? {
        let entry = entry?;
        largest = largest.max(Some((entry.metadata()?.len(), entry.path())));
    }
    let (_, path) = largest.context("the archive is empty")?;
    let path = path.to_str().context("the path is no text")?;
    example("ocm-model", "large_descriptor", path)
}

/// Runs an example that measures something, and reads what it prints.
fn example<T: DeserializeOwned>(package: &str, name: &str, argument: &str) -> Result<T> {
    let mut command = cargo_command(&["run", "--quiet", "--release", "--package", package]);
    let output = command
        .args(["--example", name, "--", argument])
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("the example prints something else")
}
