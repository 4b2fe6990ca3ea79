//! `ocm check`.

use std::cmp::Reverse;

use ocm::model::RepositorySpec;
use ocm::oci::{CopyOptions, Depth};
use ocm::{CheckOptions, CheckReport, Kind, Part, PartOutcome};

use super::Session;
use crate::output::{Columns, Format, bytes, count, data};
use crate::progress::Progress;

/// Check whether component versions are complete where they are
///
/// Looks for everything that they consist of: referenced component versions all the way down, every
/// blob, every artifact with all its parts, and what refers to artifacts. Sizes and stated digests
/// are compared, also those that signatures sign, for which no key is needed; `--content` reads
/// everything as well. Exits with 0 only if nothing is missing or wrong.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The component versions, such as `./shop.ctf//acme.org/shop:1.0.0`
    #[arg(required = true, value_name = "REFERENCE")]
    references: Vec<String>,

    /// Read all content, and compare it with its digests
    #[arg(long)]
    content: bool,

    /// Leave alone what is not stored with the component versions, such as images
    /// elsewhere; sources elsewhere are left alone in any case
    #[arg(long)]
    only_local: bool,

    /// Look for what is referred to in this repository as well
    #[arg(long, value_name = "REPOSITORY")]
    lookup: Vec<String>,

    /// How many parts are looked at at a time
    #[arg(long, default_value_t = 4, value_name = "N")]
    concurrency_limit: usize,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let lookup = args.lookup.iter().map(|text| session.repository(text));
    let lookup: Vec<_> = lookup.collect::<Result<_, _>>()?;
    let (mut reports, mut faults) = (Vec::new(), Vec::new());
    for reference in &args.references {
        match check(reference, &lookup, &args, session).await {
            Ok(report) => {
                faults.extend(report.verdict().err().map(anyhow::Error::from));
                reports.push(report);
            }
            Err(error) => faults.push(error),
        }
    }
    if !reports.is_empty() {
        match data(args.output, &reports)? {
            Some(text) => session.ui.print(&text)?,
            None => session.ui.print(&table(&reports))?,
        }
    }
    for report in reports.iter().filter(|report| report.verdict().is_ok()) {
        session.ui.note(&summary(report));
    }
    let severity = |fault: &anyhow::Error| Kind::of(fault.as_ref()).severity();
    let severest = (0..faults.len()).min_by_key(|&index| Reverse(severity(&faults[index])));
    let Some(severest) = severest.map(|index| faults.remove(index)) else {
        return Ok(());
    };
    for fault in faults {
        session.ui.warn(&format!("{fault:#}"));
    }
    Err(severest)
}

async fn check(
    reference: &str,
    lookup: &[RepositorySpec],
    args: &Args,
    session: &Session,
) -> anyhow::Result<CheckReport> {
    let located = session.reference(reference).await?;
    let progress = Progress::start(&session.ui, "checking");
    let options = CheckOptions {
        lookup: lookup.to_vec(),
        depth: if args.content {
            Depth::Content
        } else {
            Depth::Presence
        },
        only_local: args.only_local,
        copy: CopyOptions::new(args.concurrency_limit).with_progress(progress.of_copies()),
        progress: progress.of_verification(),
    };
    let report = session.ocm.check(&located, &options).await;
    progress.finish();
    Ok(report?)
}

fn table(reports: &[CheckReport]) -> String {
    let mut columns = Columns::new(&["CHECKED", "COMPONENT VERSION", "WHAT", "OUTCOME"]);
    for part in reports.iter().flat_map(|report| &report.parts) {
        columns.row([
            part.kind.to_string(),
            part.component.to_string(),
            part.name.clone(),
            outcome(part),
        ]);
    }
    columns.render()
}

fn outcome(part: &Part) -> String {
    match &part.outcome {
        PartOutcome::Present { size: None } => "present".to_owned(),
        PartOutcome::Present { size: Some(size) } => format!("present, {}", bytes(*size)),
        PartOutcome::Verified { size } => format!("verified, {}", bytes(*size)),
        PartOutcome::Empty => "no content".to_owned(),
        PartOutcome::Elsewhere => "elsewhere".to_owned(),
        PartOutcome::Missing { reason } => format!("MISSING: {reason}"),
        PartOutcome::Wrong { reason } => format!("WRONG: {reason}"),
        PartOutcome::Unreadable { reason, .. } => format!("NOT READABLE: {reason}"),
    }
}

fn summary(report: &CheckReport) -> String {
    format!(
        "{} is complete in {}: {}, {}",
        report.component,
        report.repository,
        count(report.parts.len(), "part"),
        bytes(report.size()),
    )
}
