//! `ocm check`.

use std::cmp::Reverse;

use ocm::model::RepositorySpec;
use ocm::oci::{CopyOptions, Depth};
use ocm::{CheckOptions, CheckReport, CheckedPart, Kind, Part, PartOutcome, PartsReport};
use serde::Serialize;

use super::Session;
use crate::output::{Columns, Format, bytes, count, data};
use crate::progress::Progress;

/// Check whether component versions are complete where they are
///
/// Looks for everything that they consist of: referenced component versions all the way down, every
/// blob, every artifact with all its parts, and what refers to artifacts. Sizes and stated digests
/// are compared, also those that signatures sign, for which no key is needed; `--content` reads
/// everything as well. Exits with 0 only if nothing is missing or wrong.
///
/// The list of an archive in parts, `NAME.tar.parts`, stands for all of its parts, each of which is
/// read and compared with its digest; a part, such as `NAME.tar.002`, for itself alone.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The component versions, such as `./shop.ctf//acme.org/shop:1.0.0`, or parts of an archive
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
        match look(reference, &lookup, &args, session).await {
            Ok(report) => {
                faults.extend(report.fault());
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
    for report in reports.iter().filter(|report| report.fault().is_none()) {
        session.ui.note(&report.summary());
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

/// What was found out about one thing that was named.
#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Version(CheckReport),
    Parts(PartsReport),
}

impl Report {
    fn fault(&self) -> Option<anyhow::Error> {
        match self {
            Self::Version(report) => report.verdict().err().map(anyhow::Error::from),
            Self::Parts(report) => report.verdict().err().map(anyhow::Error::from),
        }
    }

    fn rows(&self) -> Vec<[String; 4]> {
        match self {
            Self::Version(report) => {
                let row = |part: &Part| {
                    let Part {
                        component, name, ..
                    } = part;
                    let (kind, outcome) = (part.kind.to_string(), outcome(&part.outcome));
                    [kind, component.to_string(), name.clone(), outcome]
                };
                report.parts.iter().map(row).collect()
            }
            Self::Parts(report) => {
                let row = |part: &CheckedPart| {
                    let outcome = outcome(&part.outcome);
                    [
                        "part".to_owned(),
                        "-".to_owned(),
                        part.name.clone(),
                        outcome,
                    ]
                };
                report.parts.iter().map(row).collect()
            }
        }
    }

    fn summary(&self) -> String {
        match self {
            Self::Version(report) => format!(
                "{} is complete in {}: {}, {}",
                report.component,
                report.repository,
                count(report.parts.len(), "part"),
                bytes(report.size()),
            ),
            Self::Parts(report) => format!(
                "{} is whole: {} of {}, {}",
                report.archive,
                report.parts.len(),
                count(report.of, "part"),
                bytes(report.size()),
            ),
        }
    }
}

async fn look(
    reference: &str,
    lookup: &[RepositorySpec],
    args: &Args,
    session: &Session,
) -> anyhow::Result<Report> {
    if let Some(report) = session.ocm.check_parts(reference).await? {
        return Ok(Report::Parts(report));
    }
    let report = check(reference, lookup, args, session).await?;
    Ok(Report::Version(report))
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

fn table(reports: &[Report]) -> String {
    let mut columns = Columns::new(&["CHECKED", "COMPONENT VERSION", "WHAT", "OUTCOME"]);
    for row in reports.iter().flat_map(Report::rows) {
        columns.row(row);
    }
    columns.render()
}

fn outcome(outcome: &PartOutcome) -> String {
    match outcome {
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
