//! Progress: a bar on a terminal, elsewhere a line every ten seconds.

mod display;
mod work;

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ocm::VerifyProgress;
use ocm::constructor::build::{BuildOutcome, BuildProgress};
use ocm::model::ComponentVersionId;
use ocm::oci::{CopyProgress, Moved};
use ocm::transfer::plan::Action;
use ocm::transfer::{ElementId, TransferPlan, TransferProgress};
use tokio::task::AbortHandle;

pub(crate) use self::display::CLEAR;
use self::display::{Display, Medium};
use self::work::Work;
use crate::ui::Ui;

/// How wide a terminal is that does not say so.
const WIDTH: u16 = 80;

/// Shows how far a command is, until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    meter: Arc<Meter>,
    ticker: Option<AbortHandle>,
}

impl Progress {
    /// Starts to show, if there is anybody to show it to.
    pub(crate) fn start(ui: &Ui, what: &'static str) -> Self {
        let medium = ui.shows_progress().then(|| {
            if ui.draws_progress() {
                Medium::Terminal
            } else {
                Medium::Lines
            }
        });
        let meter = Arc::new(Meter {
            work: Mutex::default(),
            read: AtomicU64::new(0),
            display: Mutex::new(medium.map(|medium| Display::new(what, medium))),
        });
        let ticker = medium.map(|_| {
            let meter = Arc::clone(&meter);
            tokio::spawn(async move { meter.show().await }).abort_handle()
        });
        Self { meter, ticker }
    }

    /// Says what a transfer is going to do. Component versions are objects beside their content.
    pub(crate) fn plan(&self, plan: &TransferPlan) {
        let versions = &plan.component_versions;
        let elements = versions
            .iter()
            .flat_map(|version| version.resources.iter().chain(&version.sources));
        let moving = elements.filter(|element| element.step.moves());
        let mut work = lock(&self.meter.work);
        work.plan_objects(versions.len() as u64);
        work.plan(moving.map(|element| element.size));
    }

    /// Returns what is told how bytes move.
    pub(crate) fn of_copies(&self) -> Arc<dyn CopyProgress> {
        Arc::<Meter>::clone(&self.meter)
    }

    /// Returns what is told how a download goes, of which the only blob is all there is.
    pub(crate) fn of_download(&self) -> Arc<dyn CopyProgress> {
        Arc::new(Download(Arc::clone(&self.meter)))
    }

    /// Returns what is told how a transfer goes.
    pub(crate) fn of_transfer(&self) -> Arc<dyn TransferProgress> {
        Arc::<Meter>::clone(&self.meter)
    }

    /// Returns what is told how packing goes.
    pub(crate) fn of_build(&self) -> Arc<dyn BuildProgress> {
        Arc::<Meter>::clone(&self.meter)
    }

    /// Returns what is told how verifying goes, if that is shown.
    pub(crate) fn of_verification(&self) -> Option<Arc<dyn VerifyProgress>> {
        self.ticker.as_ref()?;
        let meter: Arc<dyn VerifyProgress> = Arc::<Meter>::clone(&self.meter);
        Some(meter)
    }

    /// Ends showing; what is drawn is removed.
    pub(crate) fn finish(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
        // A tick that runs at this moment holds the lock, and there is none after it.
        if let Some(mut display) = lock(&self.meter.display).take()
            && let Some(text) = display.end()
        {
            write(text);
        }
    }
}

/// Listens to everybody who works.
#[derive(Debug)]
struct Meter {
    work: Mutex<Work>,
    read: AtomicU64,
    display: Mutex<Option<Display>>,
}

impl Meter {
    async fn show(&self) {
        let start = Instant::now();
        let Some(period) = lock(&self.display).as_ref().map(Display::period) else {
            return;
        };
        loop {
            tokio::time::sleep(period).await;
            let work = {
                let mut work = lock(&self.work);
                work.read(self.read.load(Ordering::Relaxed));
                *work
            };
            let mut display = lock(&self.display);
            let Some(display) = display.as_mut() else {
                return;
            };
            if let Some(text) = display.tick(start.elapsed(), width(), &work) {
                write(&text);
            }
        }
    }
}

impl CopyProgress for Meter {
    fn advanced(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl TransferProgress for Meter {
    fn content_finished(&self, _: &ComponentVersionId, _: &ElementId, moved: &Moved) {
        lock(&self.work).finish(moved);
    }

    fn finished(&self, _: &ComponentVersionId, action: Action) {
        lock(&self.work).finish_object(action == Action::Skip);
    }
}

impl BuildProgress for Meter {
    fn planned(&self, versions: usize, contents: &[Option<u64>]) {
        let mut work = lock(&self.work);
        work.plan_objects(versions as u64);
        work.plan(contents.iter().copied());
    }

    fn content_added(&self, _: &ComponentVersionId, _: &str, moved: &Moved) {
        lock(&self.work).finish(moved);
    }

    fn version_finished(&self, _: &ComponentVersionId, outcome: BuildOutcome) {
        lock(&self.work).finish_object(outcome == BuildOutcome::Skipped);
    }
}

impl VerifyProgress for Meter {
    fn planned(&self, sizes: &[Option<u64>]) {
        lock(&self.work).plan(sizes.iter().copied());
    }

    fn checked(&self, read: &Moved) {
        lock(&self.work).finish(read);
    }
}

#[derive(Debug)]
struct Download(Arc<Meter>);

impl CopyProgress for Download {
    fn started(&self, size: Option<u64>) {
        lock(&self.0.work).plan([size]);
    }

    fn advanced(&self, bytes: u64) {
        self.0.advanced(bytes);
    }
}

fn width() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(WIDTH, |(width, _)| width.0).into()
}

fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    // Nobody is left to be told that stderr is gone.
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// Each change is whole, so that what is counted is right even where a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
