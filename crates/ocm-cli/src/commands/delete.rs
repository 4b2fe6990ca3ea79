//! `ocm delete component-version`.

use std::collections::{BTreeMap, BTreeSet};

use ocm::model::{ComponentVersionId, RepositorySpec};
use ocm::{DeleteOptions, Error, RemovalReport, Use};

use super::Session;
use crate::error::hinted;
use crate::output::{Columns, Format, bytes, count, data};

/// Delete component versions, and what nothing else needs
///
/// All of them have to be there, or nothing is deleted. What is part of another component version of
/// the same place is not deleted without `--force`. Content that others share stays. From an archive
/// everything goes that nothing needs; a registry removes blobs by itself, when it collects garbage.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The component versions, such as `./shop.ctf//acme.org/shop:1.0.0`
    #[arg(required = true, value_name = "REFERENCE")]
    references: Vec<String>,

    /// Show what would go, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Delete also what other component versions refer to, without looking for such
    #[arg(long, short)]
    force: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let mut places: BTreeMap<String, (RepositorySpec, BTreeSet<ComponentVersionId>)> =
        BTreeMap::new();
    for text in &args.references {
        let located = session.reference(text).await?;
        if located.digest.is_some() {
            let repository = session.ocm.open(&located.repository, Use::Read).await?;
            let checked = session.ocm.check_stored_digest(&repository, &located);
            checked.await?;
        }
        let place = places.entry(located.repository.to_string());
        let (_, ids) = place.or_insert_with(|| (located.repository.clone(), BTreeSet::new()));
        ids.insert(located.id()?);
    }
    // What is wrong with one place is to be known before anything is deleted from another.
    let previews = [true].into_iter().filter(|_| places.len() > 1);
    let passes = previews.chain([args.dry_run]);
    let mut reports = Vec::new();
    for dry_run in passes {
        reports.clear();
        for (spec, ids) in places.values() {
            let force = args.force;
            let options = DeleteOptions { force, dry_run };
            let report = session.ocm.delete(spec, ids, options).await;
            reports.push(report.map_err(with_hint)?);
        }
    }
    print(&reports, args.output, session)?;
    for report in &reports {
        conclude(report, session);
    }
    Ok(())
}

/// Says what went, or would go, and what goes later.
pub(crate) fn conclude(report: &RemovalReport, session: &Session) {
    session.ui.note(&summary(report));
    if report.is_shared {
        session.ui.warn(&format!(
            "somebody else writes to {}: what is younger than a day stays, and older blobs go a day \
             later, with `ocm prune` or `ocm serve --gc-interval`",
            report.repository
        ));
    }
}

fn with_hint(error: Error) -> anyhow::Error {
    if matches!(error, Error::ReferredTo { .. }) {
        return hinted(error, "`--force` deletes it all the same");
    }
    error.into()
}

/// Prints what goes.
pub(crate) fn print(
    reports: &[RemovalReport],
    format: Format,
    session: &Session,
) -> anyhow::Result<()> {
    let text = if let Some(text) = data(format, reports)? {
        text
    } else {
        let mut columns = Columns::new(&["COMPONENT VERSION", "REPOSITORY", "OUTCOME"]);
        for report in reports {
            let removed = if report.dry_run {
                "would go"
            } else {
                "removed"
            };
            let retained = report.retained.iter().map(|id| (id, "stays"));
            let removed = report.removed.iter().map(|id| (id, removed));
            let rows: BTreeMap<_, _> = retained.chain(removed).collect();
            for (id, outcome) in rows {
                let repository = report.repository.clone();
                columns.row([id.to_string(), repository, outcome.to_owned()]);
            }
        }
        columns.render()
    };
    session.ui.print(&text)
}

/// Says in one line what went, or would go.
fn summary(report: &RemovalReport) -> String {
    let RemovalReport {
        repository,
        dry_run,
        removed,
        tags,
        manifests,
        blobs,
        ..
    } = report;
    if is_nothing(report) {
        return format!("there is nothing to remove from {repository}");
    }
    let verb = if *dry_run {
        "would go from"
    } else {
        "went from"
    };
    let mut what = count(removed.len(), "component version");
    if !tags.is_empty() {
        what = format!("{what}, {}", count(tags.len(), "other tag"));
    }
    let (manifests, size) = (count(*manifests, "manifest"), bytes(report.bytes));
    match blobs {
        Some(blobs) => {
            let blobs = count(*blobs, "blob");
            format!("{what} and {manifests} {verb} {repository}, with {blobs} of {size}")
        }
        None => format!("{what} and {manifests} {verb} {repository}, at most {size}"),
    }
}

/// Returns whether there is nothing that goes, or would go.
pub(crate) fn is_nothing(report: &RemovalReport) -> bool {
    report.removed.is_empty() && report.manifests == 0 && report.blobs.unwrap_or(0) == 0
}
