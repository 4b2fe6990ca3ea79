//! `cargo xtask generate`: documents that are made of the source.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::run::output_of_cargo;

/// Documents, and the example of `ocm-cli` that prints each.
const DOCUMENTS: &[(&str, &str)] = &[("docs/reference/cli.md", "reference")];

/// Writes the documents, or fails if one is not as it would be written.
pub(crate) fn generate(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (document, example) in DOCUMENTS {
        let text = output_of_cargo(&["run", "--quiet", "--package=ocm-cli", "--example", example])?;
        let path = root.join(document);
        let is_current = std::fs::read(&path).is_ok_and(|current| current == text);
        if check && !is_current {
            bail!("{document} is not current; run: cargo xtask generate");
        }
        if !is_current {
            std::fs::write(&path, text).with_context(|| format!("cannot write {document}"))?;
        }
    }
    Ok(())
}
