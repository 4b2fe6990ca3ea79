//! Links between the documents of this repository.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Directories without documents of ours.
const SKIPPED: &[&str] = &[".git", "target", "node_modules"];

/// Fails if a link leads to a file that is not there.
pub(crate) fn check() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut faults = Vec::new();
    for document in documents(&root)? {
        let text = std::fs::read_to_string(&document)
            .with_context(|| format!("cannot read {}", document.display()))?;
        let directory = document.parent().unwrap_or(&root);
        for target in targets(&text) {
            if !directory.join(target).exists() {
                let document = document.strip_prefix(&root).unwrap_or(&document);
                faults.push(format!("{}: {target} does not exist", document.display()));
            }
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        bail!("{}", faults.join("\n"))
    }
}

fn documents(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                found.extend(documents(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the files that a document links to, without their anchors.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .filter_map(|link| link.split('#').next())
        .filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_looked_for() {
        let text = "[a](b.md) [c](https://d.e/f) [g](#h) [i](../j.md#k \"l\") m[n](o)";
        let found: Vec<&str> = targets(text).collect();
        assert_eq!(found, ["b.md", "../j.md", "o"]);
    }

    #[test]
    fn no_link_is_broken() {
        check().unwrap();
    }
}
