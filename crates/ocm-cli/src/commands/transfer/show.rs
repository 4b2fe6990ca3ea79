//! How a plan and a report are printed.

use std::io::Write as _;
use std::time::Duration;

use ocm::transfer::plan::Action;
use ocm::transfer::{Step, TransferPlan, TransferReport};
use serde::Serialize;

use crate::commands::Session;
use crate::output::{Columns, Format, bytes, count, data};

pub(super) fn print_plan(
    plan: &TransferPlan,
    format: Format,
    session: &Session,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Json => plan.write_json() + "\n",
        Format::Yaml => ocm::model::yaml::to_string(plan)?,
        Format::Ndjson => serde_json::to_string(plan)? + "\n",
        Format::Table | Format::Wide | Format::Tree => {
            let mut columns = Columns::new(&["COMPONENT VERSION", "ACTION", "RESOURCE", "STEP"]);
            for version in &plan.component_versions {
                let id = version.id.to_string();
                if version.resources.is_empty() {
                    columns.row([id.clone(), action(version.action), "-".into(), "-".into()]);
                }
                for resource in &version.resources {
                    columns.row([
                        id.clone(),
                        action(version.action),
                        resource.identity.to_string(),
                        step(&resource.step),
                    ]);
                }
            }
            columns.render()
        }
    };
    session.ui.print(&text)
}

fn step(step: &Step) -> String {
    match step {
        Step::Keep => "keep",
        Step::Present => "present",
        Step::CopyLocalBlob => "copy local blob",
        Step::CopyByValue { .. } => "copy by value",
        Step::UploadArtifact { .. } => "upload as OCI artifact",
    }
    .to_owned()
}

fn action(action: Action) -> String {
    match action {
        Action::Add => "add",
        Action::Update => "update",
        Action::Replace => "replace",
        Action::Skip => "skip",
    }
    .to_owned()
}

/// How many bytes have to move for their rate to say anything.
const RATED: u64 = 1024 * 1024;

/// What a transfer has done, and how long it took.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timed<'a> {
    #[serde(flatten)]
    report: &'a TransferReport,
    /// From the start of planning to the end.
    seconds: f64,
    bytes_per_second: u64,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rate is an estimate"
)]
fn rate(bytes: u64, elapsed: Duration) -> u64 {
    (bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

pub(super) fn print_report(
    report: &TransferReport,
    target: &str,
    elapsed: Duration,
    format: Format,
    session: &Session,
) -> anyhow::Result<()> {
    let timed = Timed {
        report,
        seconds: elapsed.as_secs_f64(),
        bytes_per_second: rate(report.blobs.moved, elapsed),
    };
    let text = if let Some(text) = data(format, [timed])? {
        text
    } else {
        let mut columns = Columns::new(&["COMPONENT VERSION", "OUTCOME"]);
        for version in &report.component_versions {
            let outcome = match version.action {
                Action::Add => "added",
                Action::Update => "updated",
                Action::Replace => "replaced",
                Action::Skip => "skipped",
            };
            columns.row([version.id.to_string(), outcome.to_owned()]);
        }
        columns.render()
    };
    session.ui.print(&text)?;
    for note in &report.notes {
        session.ui.warn(&format!(
            "{} {} of {}: {}",
            note.element, note.identity, note.id, note.text
        ));
    }
    let blobs = &report.blobs;
    session.ui.note(&format!(
        "transferred to {target}: {} added, {} updated, {} replaced, {} skipped; {} copied, {} \
         mounted, {} there already; {} moved{} in {:.1} s",
        count(report.added, "component version"),
        report.updated,
        report.replaced,
        report.skipped,
        count(blobs.copied, "blob"),
        blobs.mounted,
        blobs.existed,
        bytes(blobs.moved),
        if blobs.moved < RATED {
            String::new()
        } else {
            format!(" at {}/s", bytes(rate(blobs.moved, elapsed)))
        },
        elapsed.as_secs_f64(),
    ));
    std::io::stderr().flush().ok();
    Ok(())
}
