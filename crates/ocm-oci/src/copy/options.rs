//! How copies are made: how much at a time, of what, in which order, and who is told.

use std::sync::Arc;

use ocm_blob::BlobRef;
use tokio::sync::Semaphore;

use super::progress::{CopyProgress, Meter, Metered, Silent};
use crate::selection::Selection;
use crate::store::Pace;
use crate::turn::Turn;

/// How blobs are moved: how many at a time, and who is told.
///
/// Clones share the limit, so that one limit holds for a whole program run.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    pub(crate) slots: Arc<Semaphore>,
    parallel: usize,
    progress: Arc<dyn CopyProgress>,
    selection: Selection,
    pub(super) turn: Option<Turn>,
}

impl CopyOptions {
    /// Moves up to `parallel` blobs at a time (at least one), telling nobody.
    pub fn new(parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            slots: Arc::new(Semaphore::new(parallel)),
            parallel,
            progress: Arc::new(Silent),
            selection: Selection::all(),
            turn: None,
        }
    }

    /// Leaves out of indexes what is not wanted, and takes indexes of which that is missing for
    /// whole.
    #[must_use]
    pub fn with_selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Returns what is wanted of indexes.
    pub const fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Tells somebody how blobs move.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn CopyProgress>) -> Self {
        self.progress = progress;
        self
    }

    /// Lets what is copied stand where its turn is, in stores where blobs stand in an order. The
    /// turn may pass as soon as there is space for it; whoever made it passes it at the end.
    #[must_use]
    pub fn in_turn(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Returns how many blobs may move at a time.
    pub const fn parallel(&self) -> usize {
        self.parallel
    }

    /// Returns who is told how blobs move, for callers that want to listen too.
    pub const fn progress(&self) -> &Arc<dyn CopyProgress> {
        &self.progress
    }

    /// Counts the bytes of one piece of work apart from those of others, with which it shares the
    /// limit and who is told.
    #[must_use]
    pub fn metered(&self) -> (Self, Meter) {
        let meter = Meter::over(&self.progress);
        (self.clone().with_progress(Arc::new(meter.clone())), meter)
    }

    /// Passes the turn on once there is space for everything, unless it is filled in order.
    pub(super) fn arranged(&self, pace: Pace) {
        if let (Some(turn), Pace::SideBySide) = (&self.turn, pace) {
            turn.pass();
        }
    }

    /// Returns a blob that tells how it is read, for callers that move it themselves.
    pub fn watch(&self, blob: &BlobRef) -> BlobRef {
        Arc::new(self.meter(blob))
    }

    pub(super) fn meter(&self, blob: &BlobRef) -> Metered {
        Metered::over(blob, &self.progress)
    }
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self::new(4)
    }
}
