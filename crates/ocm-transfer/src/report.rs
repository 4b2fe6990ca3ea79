//! What a transfer has done.

use ocm_model::{ComponentVersionId, Identity};
use ocm_oci::CopyReport;
use serde::Serialize;

use crate::plan::{Action, id_text};

/// What a transfer has done.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferReport {
    /// Component versions that are new at the target.
    pub added: u64,
    /// Component versions that have gained something.
    pub updated: u64,
    /// Component versions that have been replaced.
    pub replaced: u64,
    /// Component versions that were left alone.
    pub skipped: u64,
    /// The blobs of all content.
    pub blobs: Blobs,
    /// The component versions, in the order of the plan.
    pub component_versions: Vec<VersionReport>,
    /// What is not as one would expect.
    pub notes: Vec<Note>,
}

/// How many blobs there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blobs {
    /// Blobs whose bytes were moved.
    pub copied: u64,
    /// Blobs that the target took over from another of its repositories.
    pub mounted: u64,
    /// Blobs that were there.
    pub existed: u64,
    /// The bytes of all of them.
    pub size: u64,
    /// The bytes that were moved.
    pub moved: u64,
}

impl From<CopyReport> for Blobs {
    fn from(report: CopyReport) -> Self {
        Self {
            copied: report.copied,
            mounted: report.mounted,
            existed: report.existed,
            size: report.size,
            moved: report.moved,
        }
    }
}

/// What was done with one component version.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionReport {
    /// The component version.
    #[serde(rename = "componentVersion", with = "id_text")]
    pub id: ComponentVersionId,
    /// What was done. It differs from the plan where somebody else wrote to the target meanwhile.
    pub action: Action,
}

/// Something about a component version that is not as one would expect.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// The component version.
    #[serde(rename = "componentVersion", with = "id_text")]
    pub id: ComponentVersionId,
    /// The list in the component version: `resource` or `source`.
    pub element: &'static str,
    /// The element in that list.
    pub identity: Identity,
    /// What it is.
    pub text: String,
}

impl TransferReport {
    pub(crate) fn count(&mut self, version: VersionReport) {
        *match version.action {
            Action::Add => &mut self.added,
            Action::Update => &mut self.updated,
            Action::Replace => &mut self.replaced,
            Action::Skip => &mut self.skipped,
        } += 1;
        self.component_versions.push(version);
    }
}
