//! Who learns how a transfer goes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ocm_model::ComponentVersionId;
use ocm_oci::{CopyProgress, CopyReport, Moved, Pushed};

use crate::error::ElementId;
use crate::plan::Action;

/// Learns which component versions are worked on. Every method has a default that does nothing.
///
/// How blobs move is told to the [`CopyProgress`] of the [`CopyOptions`](ocm_oci::CopyOptions).
pub trait TransferProgress: fmt::Debug + Send + Sync {
    /// Work on a component version begins. Those that are skipped do not begin.
    fn started(&self, id: &ComponentVersionId) {
        let _ = id;
    }

    /// The content of a resource or source is at the target.
    fn content_finished(&self, id: &ComponentVersionId, element: &ElementId, moved: &Moved) {
        let _ = (id, element, moved);
    }

    /// A component version is at the target, by what was done.
    fn finished(&self, id: &ComponentVersionId, action: Action) {
        let _ = (id, action);
    }
}

/// Tells nobody.
#[derive(Debug)]
pub(crate) struct Silent;

impl TransferProgress for Silent {}

/// Counts what moves, and tells it on.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Mutex<CopyReport>,
    inner: Arc<dyn CopyProgress>,
}

impl Tally {
    pub(crate) fn new(inner: &Arc<dyn CopyProgress>) -> Self {
        Self {
            counts: Mutex::default(),
            inner: Arc::clone(inner),
        }
    }

    pub(crate) fn counts(&self) -> CopyReport {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CopyProgress for Tally {
    fn started(&self, size: Option<u64>) {
        self.inner.started(size);
    }

    fn advanced(&self, bytes: u64) {
        self.inner.advanced(bytes);
    }

    fn finished(&self, pushed: &Pushed) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.count(pushed);
        drop(counts);
        self.inner.finished(pushed);
    }
}
