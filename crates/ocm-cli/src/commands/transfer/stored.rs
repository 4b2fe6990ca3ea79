//! Transfers whose plan comes from a file.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Instant;

use ocm::transfer::plan::MAX_SIZE;
use ocm::transfer::{Error, Inspector, StoredPlan, Transfer};

use super::{Args, Origin, Planned, carry_out, lookup, policy, with_hint};
use crate::commands::{Session, rules};
use crate::error::{hinted, usage};

pub(super) async fn run(file: &str, args: &Args, session: &Session) -> anyhow::Result<()> {
    let start = Instant::now();
    let bytes = read(file, session)?;
    let unusable = |error: Error| anyhow::Error::new(error).context(format!("cannot use {file}"));
    let stored = StoredPlan::read(&bytes).map_err(unusable)?;
    let is_graph = matches!(stored, StoredPlan::Graph(_));
    for flag in ignored(args, is_graph) {
        session
            .ui
            .warn(&format!("{flag} has no effect with --transfer-spec"));
    }
    let plan = match stored {
        StoredPlan::Plan(plan) => *plan,
        StoredPlan::Graph(graphs) => {
            // All of it stands before the first target is written.
            let mut all = Vec::new();
            for graph in graphs {
                let sources = graph.versions.iter().filter_map(|it| it.source.clone());
                let lookup = lookup(&sources.collect::<Vec<_>>(), &args.shape, session)?;
                let transfer = session.ocm.plan_graph(graph, policy(&args.shape)).await;
                let transfer = transfer.map_err(|error| of_plan(error, Origin::Graph))?;
                inspect(&transfer, Origin::Graph, args).await?;
                all.push(Planned {
                    target: transfer.plan().target.clone(),
                    transfer,
                    lookup,
                    origin: Origin::Graph,
                    delta: None,
                });
            }
            return carry_out(&all, start, &args.shape, session).await;
        }
    };
    let target = plan.target.clone();
    let lookup = lookup(&session.ocm.places(&plan)?, &args.shape, session)?;
    let transfer = session.ocm.reopen(plan).await?;
    transfer
        .check_standing()
        .await
        .map_err(|error| of_plan(error.into(), Origin::Plan))?;
    inspect(&transfer, Origin::Plan, args).await?;
    let planned = Planned {
        transfer,
        target,
        lookup,
        origin: Origin::Plan,
        delta: None,
    };
    carry_out(&[planned], start, &args.shape, session).await
}

/// Refuses what breaks the schema of component descriptors, where that is asked for. Who has made
/// the plan has seen the warnings.
async fn inspect(transfer: &Transfer, origin: Origin, args: &Args) -> anyhow::Result<()> {
    if !args.shape.strict {
        return Ok(());
    }
    let rules: Arc<dyn Inspector> = rules(true);
    let inspected = transfer.inspect(&rules).await;
    inspected.map_err(|error| of_plan(error.into(), origin))
}

/// Adds what helps where a plan is too old.
fn of_plan(error: ocm::Error, origin: Origin) -> anyhow::Error {
    match error {
        ocm::Error::Transfer(error @ Error::ChangedSince { .. }) => {
            hinted(error, "plan again with --dry-run: nothing has been written")
        }
        ocm::Error::Transfer(error) => with_hint(error, origin),
        error => error.into(),
    }
}

/// Reads a file, or stdin for `-`, as far as a plan may go.
fn read(file: &str, session: &Session) -> anyhow::Result<Vec<u8>> {
    let limit = MAX_SIZE as u64 + 1;
    let mut bytes = Vec::new();
    let read = if file == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(session.ocm.path(file))
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| usage(format!("cannot read {file}: {error}")))?;
    Ok(bytes)
}

/// Returns the flags that say what the file says already. The Go tool stores no policy.
fn ignored(args: &Args, is_graph: bool) -> impl Iterator<Item = &'static str> {
    let shape = &args.shape;
    let flags = [
        ("--semver-constraint", args.semver_constraint.is_some()),
        ("--latest", args.latest),
        ("--recursive", shape.recursive),
        ("--stop-on-existing", shape.stop_on_existing),
        ("--type", shape.format.is_some()),
        ("--copy-resources", shape.copy_resources),
        ("--copy-sources", shape.copy_sources),
        ("--upload-as", shape.upload_as.is_some()),
        ("--overwrite", shape.overwrite && !is_graph),
        ("--enforce", shape.enforce && !is_graph),
        ("--skip-existing", shape.skip_existing && !is_graph),
        (
            "--lookup",
            !shape.lookup.is_empty() && !shape.verified.is_asked(),
        ),
        ("--since", !shape.since.is_empty()),
        ("--chunk-deltas", shape.chunk_deltas),
        ("--split-size", shape.split_size.is_some()),
        ("--omit-access-types", !shape.omit_access_types.is_empty()),
        ("--platform", !shape.platform.is_empty()),
    ];
    flags
        .into_iter()
        .filter_map(|(flag, is_given)| is_given.then_some(flag))
}
