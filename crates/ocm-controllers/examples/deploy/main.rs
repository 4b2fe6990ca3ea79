//! Measures controllers on a real API server with a real registry: what `cargo xtask bench` shows.
//!
//! `deploy JOB` prints what was measured as JSON. A job is JSON as well, and names the programs that
//! are measured; the API server is that of `KUBEBUILDER_ASSETS`. Everything that is started ends
//! with this, and everything that is written is below `TMPDIR`.

mod bare;
mod controller;
mod counts;
mod jobs;
mod objects;
mod ready;
mod world;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What is measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "job", rename_all = "lowercase")]
enum Job {
    /// Everything is new; then the controllers start again, and nothing is.
    Deliver { shape: Shape, go: Option<PathBuf> },
    /// Nothing changes for so many seconds, while objects are looked at every so many seconds.
    Idle {
        shape: Shape,
        seconds: u64,
        interval: u64,
    },
    /// There is a new version of one of the components.
    Upgrade { shape: Shape },
    /// One of two registries does not answer.
    Hang { shape: Shape, hanging: usize },
}

/// How many objects there are.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Shape {
    components: usize,
    /// They are shared out among the components.
    resources: usize,
    /// At most one for each component.
    deployers: usize,
    /// In the manifest of each component.
    maps: usize,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let program = PathBuf::from(arguments.next().context("which controllers?")?);
    let job = arguments.next().context("which job?")?;
    let job: Job = serde_json::from_str(&job).context("the job")?;
    let measured = match job {
        Job::Deliver { shape, go } => jobs::deliver(&program, go.as_deref(), shape).await?,
        Job::Idle {
            shape,
            seconds,
            interval,
        } => jobs::idle(&program, shape, seconds, interval).await?,
        Job::Upgrade { shape } => jobs::upgrade(&program, shape).await?,
        Job::Hang { shape, hanging } => jobs::hang(&program, shape, hanging).await?,
    };
    println!("{measured}");
    Ok(())
}
