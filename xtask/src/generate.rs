//! `cargo xtask generate`: documents that are made of the source.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::run::output_of_cargo;

/// Where the JSON schemas are.
const SCHEMAS: &str = "docs/reference/schemas";

/// Where the definitions of custom resources are.
const DEFINITIONS: &str = "deploy/crds";

/// The chart of the controllers, whose own files are part of it.
const CHART: &str = "deploy/charts/ocm-controllers";

/// Writes the documents, or fails if one is not as it would be written.
pub(crate) fn generate(check: bool) -> Result<()> {
    for (document, text) in documents()? {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(&document);
        let is_current = std::fs::read(&path).is_ok_and(|current| current == text);
        if check && !is_current {
            bail!("{document} is not current; run: cargo xtask generate");
        }
        if !is_current {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)
                    .with_context(|| format!("cannot make {}", directory.display()))?;
            }
            std::fs::write(&path, text).with_context(|| format!("cannot write {document}"))?;
        }
    }
    Ok(())
}

/// Returns each document and its text, which an example of some crate prints.
fn documents() -> Result<Vec<(String, Vec<u8>)>> {
    let example = |package: &str, example| {
        output_of_cargo(&["run", "--quiet", "--package", package, "--example", example])
    };
    let mut documents = vec![(
        "docs/reference/cli.md".to_owned(),
        example("ocm-cli", "reference")?,
    )];
    for (package, name) in [
        ("ocm-model", "schemas"),
        ("ocm-constructor", "constructor_schema"),
    ] {
        let schemas: BTreeMap<String, Value> = serde_json::from_slice(&example(package, name)?)?;
        for (name, schema) in schemas {
            let mut text = serde_json::to_vec_pretty(&schema)?;
            text.push(b'\n');
            documents.push((format!("{SCHEMAS}/{name}"), text));
        }
    }
    let files: BTreeMap<String, String> =
        serde_json::from_slice(&example("ocm-controllers", "definitions")?)?;
    for (name, text) in files {
        let text = text.into_bytes();
        documents.push((format!("{CHART}/files/crds/{name}"), text.clone()));
        documents.push((format!("{DEFINITIONS}/{name}"), text));
    }
    documents.push((
        "deploy/install.yaml".to_owned(),
        example("ocm-controllers", "install")?,
    ));
    documents.push((
        format!("{CHART}/files/rules.yaml"),
        example("ocm-controllers", "rules")?,
    ));
    Ok(documents)
}
