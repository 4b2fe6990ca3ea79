//! Carrying out a plan: what is ready is done, within limits.

mod checked;
mod content;
mod expectation;
mod packed;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ocm_model::ComponentVersionId;
use ocm_oci::{CopyOptions, CopyProgress, Turn, Turns};
use tokio::task::JoinSet;

use self::version::{Done, Worker};
use crate::error::Error;
use crate::parallel::finished;
use crate::plan::{Action, VersionPlan};
use crate::progress::{Silent, Tally, TransferProgress};
use crate::report::{TransferReport, VersionReport};
use crate::transfer::Transfer;

/// How a plan is carried out.
#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    /// How blobs are moved; its limit holds over all component versions together.
    pub copy: CopyOptions,
    /// How many component versions are worked on at a time.
    pub parallel: usize,
    /// Who learns which component versions are worked on.
    pub progress: Arc<dyn TransferProgress>,
}

impl Default for ExecuteOptions {
    /// Four component versions at a time, four blobs at a time, telling nobody.
    fn default() -> Self {
        Self {
            copy: CopyOptions::default(),
            parallel: 4,
            progress: Arc::new(Silent),
        }
    }
}

/// Carries out a plan and commits the target. After a failure, what has been done is kept for the
/// next run.
pub(crate) async fn execute(
    transfer: &Transfer,
    options: &ExecuteOptions,
) -> Result<TransferReport, Error> {
    let outcome = run(transfer, options).await;
    let committed = match outcome {
        Ok(_) => transfer.target.commit().await,
        Err(_) => transfer.target.suspend().await,
    };
    let committed =
        committed.map_err(|source| Error::repository("commit", transfer.target.location(), source));
    match (outcome, committed) {
        (Ok(report), Ok(())) => Ok(report),
        (Ok(_), Err(error)) => Err(error),
        (Err(error), committed) => {
            if let Err(second) = committed {
                tracing::warn!(error = %second, "what was transferred before the failure may be lost");
            }
            Err(error)
        }
    }
}

async fn run(transfer: &Transfer, options: &ExecuteOptions) -> Result<TransferReport, Error> {
    let tally = Arc::new(Tally::new(options.copy.progress()));
    let counted: Arc<dyn CopyProgress> = Arc::<Tally>::clone(&tally);
    let worker = Worker {
        transfer: transfer.clone(),
        copy: options.copy.clone().with_progress(counted),
        progress: Arc::clone(&options.progress),
    };
    let versions = &transfer.plan.component_versions;
    let mut schedule = Schedule::new(versions);
    // Where content stands in an archive does not depend on what is done first.
    let turns = Turns::new();
    let turns: Vec<Turn> = versions.iter().map(|_| turns.next()).collect();
    let mut done: Vec<Option<Done>> = versions.iter().map(|_| None).collect();
    // Dropping the set ends what runs, after a failure as after an interruption.
    let mut running = JoinSet::new();
    loop {
        while running.len() < options.parallel.max(1)
            && let Some(index) = schedule.next()
        {
            let turn = turns[index].clone();
            if versions[index].action == Action::Skip {
                done[index] = Some(worker.skip(index, &turn));
                schedule.finish(index);
                continue;
            }
            let worker = worker.clone();
            running.spawn(async move { (index, worker.transfer_version(index, turn).await) });
        }
        let Some(joined) = running.join_next().await else {
            break;
        };
        let (index, result) = finished(joined);
        done[index] = Some(result?);
        schedule.finish(index);
    }

    let mut report = TransferReport {
        blobs: tally.counts().into(),
        ..TransferReport::default()
    };
    for (version, done) in versions.iter().zip(done) {
        let Some(Done { action, notes }) = done else {
            return Err(Error::plan(format!("{} waits for itself", version.id)));
        };
        let id = version.id.clone();
        report.count(VersionReport { id, action });
        report.notes.extend(notes);
    }
    Ok(report)
}

/// Which component versions can be worked on: those whose children are done.
struct Schedule {
    ready: BTreeSet<usize>,
    /// How many children each waits for.
    waits: Vec<usize>,
    parents: Vec<Vec<usize>>,
}

impl Schedule {
    fn new(versions: &[VersionPlan]) -> Self {
        let index: BTreeMap<&ComponentVersionId, usize> = versions
            .iter()
            .enumerate()
            .map(|(index, version)| (&version.id, index))
            .collect();
        let mut parents = vec![Vec::new(); versions.len()];
        let mut waits = vec![0; versions.len()];
        for (parent, version) in versions.iter().enumerate() {
            let children: BTreeSet<usize> = version
                .references
                .iter()
                .filter_map(|child| index.get(child).copied())
                .collect();
            waits[parent] = children.len();
            for child in children {
                parents[child].push(parent);
            }
        }
        let ready = (0..versions.len())
            .filter(|&index| waits[index] == 0)
            .collect();
        Self {
            ready,
            waits,
            parents,
        }
    }

    fn next(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    fn finish(&mut self, index: usize) {
        for &parent in &self.parents[index] {
            self.waits[parent] -= 1;
            if self.waits[parent] == 0 {
                self.ready.insert(parent);
            }
        }
    }
}
