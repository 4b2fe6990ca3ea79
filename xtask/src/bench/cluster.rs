//! The controllers, on a real API server: delivering, waiting, upgrading, and a registry that hangs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::jobs::{Bench, row};
use super::process::Cost;
use super::report::{Bar, Peer, Row};
use super::tools::fresh;
use crate::dist::{Program, dist};
use crate::run::cargo_command;
use crate::testbed;

/// How much of the time of the bare applies delivering may take.
const DELIVERING: f64 = 1.3;

/// How many requests to its registry each component version may cost.
const REQUESTS: f64 = 4.0;

/// How long until everything was looked at that is there already, in seconds.
const START: f64 = 10.0;

/// How much of a core may be busy while nothing changes.
const IDLE: f64 = 0.01;

/// How long until a new version is in the cluster, in seconds.
const UPGRADE: f64 = 2.0;

/// How much longer the others may take beside a registry that hangs.
const HANGING: f64 = 1.2;

const MIB: u64 = 1024 * 1024;

/// How many objects there are.
#[derive(Clone, Copy, Debug, Serialize)]
struct Shape {
    components: usize,
    resources: usize,
    deployers: usize,
    maps: usize,
}

const SMALL: Shape = Shape {
    components: 100,
    resources: 100,
    deployers: 100,
    maps: 20,
};

const LARGE: Shape = Shape {
    components: 1000,
    resources: 5000,
    deployers: 200,
    maps: 20,
};

impl Shape {
    /// A tenth of the objects where it has to be quick.
    const fn scaled(self, is_quick: bool) -> Self {
        let part = if is_quick { 10 } else { 1 };
        Self {
            components: self.components / part,
            resources: self.resources / part,
            deployers: self.deployers / part,
            maps: self.maps,
        }
    }

    fn describe(self) -> String {
        let Self {
            components,
            resources,
            deployers,
            maps,
        } = self;
        format!("{components} × {resources} × {deployers} × {maps}")
    }

    fn objects(self) -> usize {
        1 + self.components + self.resources + self.deployers
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Figures {
    wall: f64,
    cpu: f64,
    memory: u64,
}

impl From<Figures> for Cost {
    fn from(figures: Figures) -> Self {
        Self {
            wall: figures.wall,
            cpu: Some(figures.cpu),
            memory: Some(figures.memory),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Delivery {
    ours: Delivered,
    again: Again,
    bare: Bare,
    writes: Writes,
    go: Option<Peers>,
}

#[derive(Debug, Deserialize)]
struct Delivered {
    cost: Figures,
    /// The seconds that API server and database were busy.
    servers: f64,
    requests: usize,
    status_changes: u64,
    status_writes: u64,
    writes: u64,
}

#[derive(Debug, Deserialize)]
struct Again {
    cost: Figures,
    writes: u64,
    applies: u64,
    requests: usize,
}

#[derive(Debug, Deserialize)]
struct Bare {
    seconds: f64,
    parallel: usize,
    servers: f64,
}

/// All writes that delivering takes, without anybody who decides on them.
#[derive(Debug, Deserialize)]
struct Writes {
    seconds: f64,
    servers: f64,
    applies: usize,
    objects: usize,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Peers {
    Delivered(Delivered),
    Failed { error: String },
}

#[derive(Debug, Deserialize)]
struct Idle {
    cost: Figures,
    requests: usize,
    heads: usize,
    lists: usize,
    most: usize,
    writes: u64,
}

#[derive(Debug, Deserialize)]
struct Upgrade {
    cost: Figures,
    requests: usize,
}

#[derive(Debug, Deserialize)]
struct Hang {
    with: Figures,
    without: Figures,
}

impl Bench {
    /// Delivers a hundred components, beside the Go controllers where they are.
    pub(super) fn deploy_hundred(&mut self) -> Result<Vec<Row>> {
        let go = std::env::var_os("OCM_CONTROLLER_GO").map(PathBuf::from);
        if let Some(path) = &go {
            ensure!(
                path.is_file(),
                "OCM_CONTROLLER_GO: there is no {}",
                path.display()
            );
        }
        self.deploy(SMALL, 64 * MIB, go.as_deref())
    }

    /// Delivers a thousand components with five times as many resources.
    pub(super) fn deploy_thousand(&mut self) -> Result<Vec<Row>> {
        self.deploy(LARGE, 150 * MIB, None)
    }

    fn deploy(&self, shape: Shape, memory: u64, go: Option<&Path>) -> Result<Vec<Row>> {
        let shape = shape.scaled(self.is_quick());
        let job = json!({"job": "deliver", "shape": shape, "go": go});
        let Delivery {
            ours,
            again,
            bare,
            writes,
            go,
        } = self.measured(&job)?;
        let per_version = |requests: usize| ratio(requests, shape.components);
        let requests = per_version(ours.requests);
        let applies = shape.deployers * shape.maps;
        let peers = go.map(|go| Peer {
            name: "Go controllers",
            cost: match go {
                Peers::Delivered(go) => Ok(go.cost.into()),
                Peers::Failed { error } => Err(error.replace(['|', '\n'], "/")),
            },
            is_bar: false,
        });
        let delivered = row(
            format!(
                "deliver {}; {requests:.1} registry requests each (≤ {REQUESTS}: {}), {} status \
                 writes for {} objects and {} changes, {} writes in all, servers busy for {:.1} s",
                shape.describe(),
                verdict(requests <= REQUESTS),
                ours.status_writes,
                shape.objects(),
                ours.status_changes,
                ours.writes,
                ours.servers,
            ),
            ours.cost.into(),
            Bar::Times {
                factor: DELIVERING,
                of: "the bare applies",
                seconds: bare.seconds,
            },
            peers.into_iter().collect(),
        );
        let looked = row(
            format!(
                "… start again, all is there: {} writes (0: {}), {} applies that change nothing, \
                 {:.1} registry requests each",
                again.writes,
                verdict(again.writes == 0),
                again.applies,
                per_version(again.requests),
            ),
            again.cost.into(),
            Bar::Seconds(START),
            vec![],
        );
        let limit = row(
            format!(
                "… the bare {applies} applies, {} at a time, servers busy for {:.1} s",
                bare.parallel, bare.servers
            ),
            Cost {
                wall: bare.seconds,
                ..Cost::default()
            },
            Bar::None,
            vec![],
        );
        let all = row(
            format!(
                "… all writes, bare: {} applies, {} finalizers and statuses each; servers busy for \
                 {:.1} s; delivering took {:.2} of that",
                writes.applies,
                writes.objects,
                writes.servers,
                ours.cost.wall / writes.seconds,
            ),
            Cost {
                wall: writes.seconds,
                ..Cost::default()
            },
            Bar::None,
            vec![],
        );
        let within = |row: Row| Row {
            memory_bar: memory,
            ..row
        };
        Ok(vec![within(delivered), within(looked), limit, all])
    }

    /// Looks at what does not change.
    pub(super) fn deploy_idle(&mut self) -> Result<Vec<Row>> {
        let shape = SMALL.scaled(self.is_quick());
        let (seconds, interval) = if self.is_quick() { (60, 10) } else { (600, 30) };
        let job = json!({
            "job": "idle", "shape": shape, "seconds": seconds, "interval": interval,
        });
        let idle: Idle = self.measured(&job)?;
        let busy = idle.cost.cpu / idle.cost.wall;
        let job = format!(
            "nothing changes for {seconds} s, intervals of {interval} s: {:.2} % of a core (≤ {} \
             %: {}), {} registry requests, of which {} HEAD and {} lists of tags, in a second {} \
             at most and {:.1} on average; {} writes",
            busy * 100.0,
            IDLE * 100.0,
            verdict(busy <= IDLE),
            idle.requests,
            idle.heads,
            idle.lists,
            idle.most,
            ratio(idle.requests, seconds),
            idle.writes,
        );
        Ok(vec![row(job, idle.cost.into(), Bar::None, vec![])])
    }

    /// Brings a new version of one component into the cluster.
    pub(super) fn deploy_upgrade(&mut self) -> Result<Vec<Row>> {
        let shape = SMALL.scaled(self.is_quick());
        let job = json!({"job": "upgrade", "shape": shape});
        let upgrade: Upgrade = self.measured(&job)?;
        let job = format!(
            "a new version of 1 of {} components, {} registry requests",
            shape.components, upgrade.requests
        );
        let cost = upgrade.cost.into();
        Ok(vec![row(job, cost, Bar::Seconds(UPGRADE), vec![])])
    }

    /// Delivers beside a registry that does not answer.
    pub(super) fn deploy_hang(&mut self) -> Result<Vec<Row>> {
        let shape = SMALL.scaled(self.is_quick());
        let hanging = shape.components / 2;
        let job = json!({"job": "hang", "shape": shape, "hanging": hanging});
        let hang: Hang = self.measured(&job)?;
        let bar = Bar::Times {
            factor: HANGING,
            of: "without it",
            seconds: hang.without.wall,
        };
        let job = format!(
            "deliver {}, beside {hanging} components of a registry that hangs",
            shape.describe()
        );
        Ok(vec![row(job, hang.with.into(), bar, vec![])])
    }

    /// Runs the program that starts API server, registry and controllers, and reads what it prints.
    fn measured<T: DeserializeOwned>(&self, job: &Value) -> Result<T> {
        let assets = testbed::build()?;
        let controllers = dist(Program::Controllers)?;
        let directory = self.work().join("run").join("cluster");
        fresh(&directory)?;
        let mut command = cargo_command(&["run", "--quiet", "--release"]);
        let output = command
            .args(["--package", "ocm-controllers", "--example", "deploy", "--"])
            .arg(controllers)
            .arg(job.to_string())
            .env(testbed::ASSETS, assets)
            .env("TMPDIR", &directory)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        ensure!(
            output.status.success(),
            "the example ended with {}; what was said is in {}",
            output.status,
            directory.display()
        );
        serde_json::from_slice(&output.stdout).context("the example prints something else")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "these numbers are far below 2^52"
)]
fn ratio(number: usize, of: usize) -> f64 {
    number as f64 / of.max(1) as f64
}

const fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_a_tenth_of_the_objects() {
        assert_eq!(SMALL.scaled(false).describe(), "100 × 100 × 100 × 20");
        assert_eq!(LARGE.scaled(true).describe(), "100 × 500 × 20 × 20");
        assert_eq!(LARGE.scaled(true).objects(), 621);
    }

    #[test]
    fn what_the_go_controllers_did_is_told_from_why_they_did_not() {
        let figures = json!({"wall": 1.0, "cpu": 1.0, "memory": 1});
        let delivered = json!({
            "cost": figures, "servers": 1.0, "requests": 1, "status_changes": 1,
            "status_writes": 1, "writes": 1,
        });
        let read = |value: Value| serde_json::from_value::<Peers>(value).unwrap();
        assert!(matches!(read(delivered), Peers::Delivered(_)));
        assert!(matches!(read(json!({"error": "e"})), Peers::Failed { .. }));
    }
}
