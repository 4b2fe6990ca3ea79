//! The list of what a transfer was about, as the first Go tool writes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use ocm::transfer::TransferReport;
use serde::Serialize;

/// All component versions of a transfer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    component_versions: BTreeSet<Entry<'a>>,
}

#[derive(Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Entry<'a> {
    component: &'a str,
    version: &'a str,
}

/// Writes the component versions of reports, each once, by name and then by the text of the version.
pub(super) fn write<'a>(
    file: &Path,
    reports: impl Iterator<Item = &'a TransferReport>,
) -> anyhow::Result<()> {
    let versions = reports.flat_map(|report| &report.component_versions);
    let bom = Bom {
        component_versions: versions
            .map(|version| Entry {
                component: version.id.name.as_str(),
                version: version.id.version.as_str(),
            })
            .collect(),
    };
    let failed = || format!("cannot write the component versions to {}", file.display());
    fs::write(file, serde_json::to_vec(&bom)?).with_context(failed)
}
