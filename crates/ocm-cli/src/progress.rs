//! Progress on a terminal: how many bytes and blobs have moved. Elsewhere nothing is drawn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ocm::oci::{CopyProgress, Outcome, Pushed};

use crate::ui::Ui;

/// How often the line is drawn, at most.
const TICK: Duration = Duration::from_millis(100);

/// A line on the terminal that tells how far a command is.
#[derive(Debug)]
pub(crate) struct Progress(Arc<Line>);

#[derive(Debug)]
struct Line {
    bar: ProgressBar,
    copied: AtomicU64,
    skipped: AtomicU64,
}

impl Progress {
    pub(crate) fn start(ui: &Ui, what: &'static str) -> Self {
        let bar = if ui.draws_progress() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        let style =
            ProgressStyle::with_template("{spinner} {prefix} {bytes} ({bytes_per_sec}) {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(what);
        if ui.draws_progress() {
            bar.enable_steady_tick(TICK);
        }
        Self(Arc::new(Line {
            bar,
            copied: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }))
    }

    /// Returns what is told about blobs.
    pub(crate) fn for_copies(&self) -> Arc<dyn CopyProgress> {
        Arc::<Line>::clone(&self.0)
    }

    /// Removes the line.
    pub(crate) fn finish(&self) {
        self.0.bar.finish_and_clear();
    }
}

impl CopyProgress for Line {
    fn advanced(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn finished(&self, pushed: &Pushed) {
        let counter = match pushed.outcome {
            Outcome::Copied => &self.copied,
            Outcome::Mounted | Outcome::Existed => &self.skipped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (copied, skipped) = (
            self.copied.load(Ordering::Relaxed),
            self.skipped.load(Ordering::Relaxed),
        );
        self.bar
            .set_message(format!("{copied} copied, {skipped} skipped"));
    }
}
