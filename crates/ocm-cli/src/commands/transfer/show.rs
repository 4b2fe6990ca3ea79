//! How a plan and a report are printed.

use std::io::Write as _;
use std::time::Duration;

use ocm::transfer::plan::Action;
use ocm::transfer::{Step, TransferPlan, TransferReport};
use serde::Serialize;

use crate::commands::Session;
use crate::output::{Columns, Format, bytes, count, data};

/// Prints plans: one as the document that is carried out later, several as a list.
pub(super) fn print_plans(
    plans: &[&TransferPlan],
    format: Format,
    session: &Session,
) -> anyhow::Result<()> {
    let text = match (format, plans) {
        (Format::Json, [plan]) => plan.write_json() + "\n",
        (Format::Yaml, [plan]) => ocm::model::yaml::to_string(plan)?,
        _ => match data(format, plans)? {
            Some(text) => text,
            None => table(plans),
        },
    };
    session.ui.print(&text)
}

fn table(plans: &[&TransferPlan]) -> String {
    let mut columns = Columns::new(&["COMPONENT VERSION", "ACTION", "RESOURCE", "STEP"]);
    for version in plans.iter().flat_map(|plan| &plan.component_versions) {
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
    /// From the start of planning to the end; of several transfers, from the end of the one
    /// before.
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

/// A transfer that has been carried out.
pub(super) struct Done<'a> {
    pub(super) report: TransferReport,
    /// The target, as the user calls it.
    pub(super) target: &'a str,
    pub(super) elapsed: Duration,
}

pub(super) fn print_reports(
    done: &[Done<'_>],
    format: Format,
    session: &Session,
) -> anyhow::Result<()> {
    let timed = done.iter().map(|it| Timed {
        report: &it.report,
        seconds: it.elapsed.as_secs_f64(),
        bytes_per_second: rate(it.report.blobs.moved, it.elapsed),
    });
    let text = if let Some(text) = data(format, timed)? {
        text
    } else {
        let mut columns = Columns::new(&["COMPONENT VERSION", "OUTCOME"]);
        let reports = done.iter().map(|it| &it.report);
        for version in reports.flat_map(|report| &report.component_versions) {
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
    for it in done {
        note(it, session);
    }
    std::io::stderr().flush().ok();
    Ok(())
}

/// Says on stderr what a transfer has done.
fn note(done: &Done<'_>, session: &Session) {
    let Done {
        report,
        target,
        elapsed,
    } = done;
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
            format!(" at {}/s", bytes(rate(blobs.moved, *elapsed)))
        },
        elapsed.as_secs_f64(),
    ));
}
