//! The jobs and their bars.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::inputs::{Input, Kind, VERSION};
use super::limits::{self, Limits};
use super::process::{Cost, measure};
use super::registry::{Program, Registry};
use super::report::{Bar, MEMORY_BAR, Peer, Row};
use super::tools::{Tools, fresh, remove};
use super::wide_tar::{self, Shape};
use super::{documents, layout, place};

/// How often a job runs, as long as all runs together take no longer than this many seconds.
const RUNS: u32 = 3;
const PATIENCE: f64 = 30.0;

/// A job; it gives one line of the table or more.
pub(crate) type Job = fn(&mut Bench) -> Result<Vec<Row>>;

/// All jobs. Their names are what `--only` takes.
pub(crate) const JOBS: [(&str, Job); 30] = [
    ("pack-big", |bench| bench.pack(Kind::Big)),
    ("pack-mid", |bench| bench.pack(Kind::Mid)),
    ("pack-small", |bench| bench.pack(Kind::Small)),
    ("pack-wide", |bench| bench.pack(Kind::Wide)),
    ("copy-small", |bench| bench.copy_small()),
    ("copy-wide", |bench| bench.copy_wide()),
    ("tar-mid", |bench| bench.archive("tar")),
    ("tgz-mid", |bench| bench.archive("tgz")),
    ("push-big", |bench| bench.push(Kind::Big)),
    ("push-mid", |bench| bench.push(Kind::Mid)),
    ("push-small", |bench| bench.push(Kind::Small)),
    ("move-layers", |bench| bench.layers()),
    ("move-many", |bench| bench.many()),
    ("move-far", |bench| bench.far()),
    ("move-upgrade", |bench| bench.upgrade()),
    ("pull-mid", |bench| bench.pull(Kind::Mid)),
    ("serve-big", |bench| bench.serve_big()),
    ("serve-small", |bench| bench.serve_small()),
    ("serve-start", |bench| bench.serve_start()),
    ("get", |bench| bench.get()),
    ("get-tar", |bench| bench.get_of_tar()),
    ("descriptor", |bench| bench.descriptor()),
    ("diff", |bench| bench.diff()),
    ("prune", |bench| bench.prune()),
    ("signatures", |bench| bench.signatures()),
    ("deploy-100", |bench| bench.deploy_hundred()),
    ("deploy-1000", |bench| bench.deploy_thousand()),
    ("deploy-idle", |bench| bench.deploy_idle()),
    ("deploy-upgrade", |bench| bench.deploy_upgrade()),
    ("deploy-hang", |bench| bench.deploy_hang()),
];

/// What jobs share: tools, inputs and archives that are made once.
#[derive(Debug)]
pub(crate) struct Bench {
    tools: Tools,
    work: PathBuf,
    is_quick: bool,
    limits: BTreeMap<Kind, Limits>,
    archives: BTreeMap<Kind, PathBuf>,
    registry_memory: Option<u64>,
}

impl Bench {
    pub(crate) const fn new(tools: Tools, work: PathBuf, is_quick: bool) -> Self {
        Self {
            tools,
            work,
            is_quick,
            limits: BTreeMap::new(),
            archives: BTreeMap::new(),
            registry_memory: None,
        }
    }

    pub(super) const fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Returns the directory for everything that jobs make.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    pub(super) const fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Returns the limits that have been measured.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (Kind, Limits)> {
        self.limits.iter().map(|(kind, limits)| (*kind, *limits))
    }

    /// Returns the peak of the memory of our registry in all jobs, in bytes.
    pub(crate) const fn registry_memory(&self) -> Option<u64> {
        self.registry_memory
    }

    fn pack(&mut self, kind: Kind) -> Result<Vec<Row>> {
        let input = self.input(kind)?;
        let constructor = text(&input.constructor())?;
        let target = self.output("pack")?;
        let ours = repeat(|| {
            remove(Path::new(&target))?;
            Ok(self
                .tools
                .ours(["add", "cv", "-r", &target, "-c", &constructor]))
        })?;
        let go = || {
            self.go(|tools| {
                remove(Path::new(&target))?;
                let repository = format!("ctf::{target}");
                Ok(tools.go(["add", "cv", "-r", &repository, "-c", &constructor]))
            })
        };
        // The Go tool needs minutes for two thousand components.
        let peers = if kind == Kind::Wide { None } else { go() };
        let limits = self.limit(kind)?;
        let bar = match kind {
            Kind::Big => Bar::Times {
                factor: 1.2,
                of: "max(SHA-256, copy)",
                seconds: limits.hash.max(limits.copy),
            },
            Kind::Mid => Bar::Times {
                factor: 1.2,
                of: "max(SHA-256 on all cores, copy)",
                seconds: limits.hash_on_all.max(limits.copy),
            },
            _ => Bar::None,
        };
        let job = format!("pack {} → CTF directory", kind.name());
        remove(Path::new(&target))?;
        Ok(vec![row(job, ours, bar, peers.into_iter().collect())])
    }

    fn copy_small(&mut self) -> Result<Vec<Row>> {
        let archive = text(&self.archive_of(Kind::Small)?)?;
        let source = format!("{archive}//{}:{VERSION}", Kind::Small.component());
        let target = self.output("copy")?;
        let ours = repeat(|| {
            remove(Path::new(&target))?;
            Ok(self.tools.ours(["transfer", "cv", &source, &target]))
        })?;
        let go = self.go(|tools| {
            remove(Path::new(&target))?;
            let (source, target) = (format!("ctf::{source}"), format!("ctf::{target}"));
            Ok(tools.go(["transfer", "cv", &source, &target]))
        });
        remove(Path::new(&target))?;
        let job = "CTF directory → CTF directory, small".to_owned();
        Ok(vec![row(
            job,
            ours,
            Bar::Seconds(0.5),
            go.into_iter().collect(),
        )])
    }

    fn copy_wide(&mut self) -> Result<Vec<Row>> {
        let source = text(&self.archive_of(Kind::Wide)?)?;
        let target = self.output("copy")?;
        let ours = repeat(|| {
            remove(Path::new(&target))?;
            Ok(self.tools.ours(["transfer", "ctf", &source, &target]))
        })?;
        let again = repeat(|| Ok(self.tools.ours(["transfer", "ctf", &source, &target])))?;
        remove(Path::new(&target))?;
        Ok(vec![
            row(
                "CTF directory → CTF directory, wide",
                ours,
                Bar::None,
                vec![],
            ),
            row("… wide again, nothing changed", again, Bar::None, vec![]),
        ])
    }

    fn archive(&mut self, suffix: &str) -> Result<Vec<Row>> {
        let kind = Kind::Mid;
        let source = text(&self.archive_of(kind)?)?;
        let source = format!("{source}//{}:{VERSION}", kind.component());
        let target = self.output(&format!("archive.{suffix}"))?;
        let ours = repeat(|| {
            remove(Path::new(&target))?;
            Ok(self.tools.ours(["transfer", "cv", &source, &target]))
        })?;
        remove(Path::new(&target))?;
        let bar = if suffix == "tar" {
            Bar::Times {
                factor: 1.3,
                of: "hash and copy",
                seconds: self.limit(kind)?.hash_and_copy,
            }
        } else {
            Bar::Times {
                factor: 1.2,
                of: "zlib on one core",
                seconds: limits::deflate(&self.input(kind)?.files)?,
            }
        };
        let job = format!("CTF directory → CTF {suffix}, mid");
        Ok(vec![row(job, ours, bar, vec![])])
    }

    /// Moves an archive to our registry and to the one of distribution.
    fn push(&mut self, kind: Kind) -> Result<Vec<Row>> {
        self.limit(kind)?;
        let mut rows = self.push_to(kind, &Program::Serve(self.tools.ocm.clone()))?;
        if let Some(path) = self.tools.distribution.clone() {
            rows.extend(self.push_to(kind, &Program::Distribution(path))?);
        }
        Ok(rows)
    }

    fn push_to(&mut self, kind: Kind, program: &Program) -> Result<Vec<Row>> {
        let archive = text(&self.archive_of(kind)?)?;
        let source = format!("{archive}//{}:{VERSION}", kind.component());
        let image = self.layout_of(kind)?;
        let content = place(&self.work, ["run", "registry"]);
        // Each run meets an empty registry; the one that runs last is kept for the next rows.
        let mut registry = None;
        let mut start = || -> Result<String> {
            drop(registry.take());
            let started = Registry::start(program, content.clone())?;
            let host = started.host.clone();
            registry = Some(started);
            Ok(host)
        };

        let mut peers = Vec::new();
        for copier in self.tools.copiers() {
            let cost = repeat(|| {
                let image_name = format!("{}/image:bench", start()?);
                self.tools.push(copier, &image, &image_name)
            });
            peers.push(peer(copier.name(), cost, true));
        }
        let target = |host: &str| format!("http://{host}/components");
        if self.tools.go.is_some() {
            let cost = start().and_then(|host| {
                let (source, target) = (format!("ctf::{source}"), target(&host));
                let command = self.tools.go(["transfer", "cv", &source, &target]);
                measure(command.context("there is no Go ocm")?)
            });
            peers.push(peer("Go ocm", cost, false));
        }
        let ours = repeat(|| {
            let target = target(&start()?);
            Ok(self.tools.ours(["transfer", "cv", &source, &target]))
        })?;
        let registry = registry.context("no registry was started")?;
        let target = target(&registry.host);
        let again = repeat(|| Ok(self.tools.ours(["transfer", "cv", &source, &target])))?;
        if matches!(program, Program::Serve(_)) {
            self.registry_memory = self.registry_memory.max(registry.memory());
        }
        let job = format!("CTF directory → {}, {}", program.name(), kind.name());
        let job_again = format!("… {} again, nothing changed", kind.name());
        Ok(vec![
            row(job, ours, Bar::BestPeer, peers),
            row(job_again, again, Bar::Seconds(0.3), vec![]),
        ])
    }

    fn pull(&mut self, kind: Kind) -> Result<Vec<Row>> {
        let archive = text(&self.archive_of(kind)?)?;
        let source = format!("{archive}//{}:{VERSION}", kind.component());
        let image = self.layout_of(kind)?;
        let content = place(&self.work, ["run", "registry"]);
        let registry = Registry::start(&Program::Serve(self.tools.ocm.clone()), content)?;
        let remote = format!("http://{}/components", registry.host);
        measure(self.tools.ours(["transfer", "cv", &source, &remote]))?;
        let image_name = format!("{}/image:bench", registry.host);
        let target = self.output("pull")?;

        let mut peers = Vec::new();
        for (number, copier) in self.tools.copiers().enumerate() {
            let cost = (|| {
                if number == 0 {
                    measure(self.tools.push(copier, &image, &image_name)?)?;
                }
                repeat(|| {
                    fresh(Path::new(&target))?;
                    self.tools.pull(copier, &image_name, Path::new(&target))
                })
            })();
            peers.push(peer(copier.name(), cost, true));
        }
        let source = format!("{remote}//{}:{VERSION}", kind.component());
        peers.extend(self.go(|tools| {
            remove(Path::new(&target))?;
            let target = format!("ctf::{target}");
            Ok(tools.go(["transfer", "cv", &source, &target]))
        }));
        let ours = repeat(|| {
            remove(Path::new(&target))?;
            Ok(self.tools.ours(["transfer", "cv", &source, &target]))
        })?;
        remove(Path::new(&target))?;
        self.registry_memory = self.registry_memory.max(registry.memory());
        let job = format!("ocm serve → CTF directory, {}", kind.name());
        Ok(vec![row(job, ours, Bar::BestPeer, peers)])
    }

    fn get(&mut self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (kind, bar) in [(Kind::One, 0.01), (Kind::Versions, 0.3)] {
            let archive = text(&self.archive_of(kind)?)?;
            let source = format!("{archive}//{}", kind.component());
            let ours = repeat(|| Ok(self.tools.ours(["get", "cv", &source, "-o", "table"])))?;
            // Ten thousand take the Go tool minutes and more memory than most machines have.
            let go = (kind == Kind::One).then(|| {
                self.go(|tools| {
                    let source = format!("ctf::{source}");
                    Ok(tools.go(["get", "cv", &source, "-o", "table"]))
                })
            });
            let go = go.flatten();
            let count = kind.shape(self.is_quick).components;
            let job = format!("`get cv` on a CTF of {count}");
            rows.push(row(job, ours, Bar::Seconds(bar), go.into_iter().collect()));
        }
        Ok(rows)
    }

    /// Reads one version of many in a large tar, which is neither unpacked nor read whole.
    fn get_of_tar(&mut self) -> Result<Vec<Row>> {
        let shape = Shape::new(self.is_quick);
        let archive = wide_tar::make(&self.work.join("input"), &shape)?;
        let version = wide_tar::version(shape.versions / 2);
        let source = format!("{}//{}:{version}", text(&archive)?, wide_tar::COMPONENT);
        let ours = repeat(|| Ok(self.tools.ours(["get", "cv", &source, "-o", "json"])))?;
        let job = format!("`get cv` of one version in a {}", shape.describe());
        Ok(vec![row(job, ours, Bar::Seconds(0.1), vec![])])
    }

    /// Reads, normalises and hashes one large descriptor.
    fn descriptor(&mut self) -> Result<Vec<Row>> {
        let shape = documents::Shape::new(self.is_quick);
        let constructor = text(&documents::constructor(&self.work.join("input"), &shape)?)?;
        let target = self.output("large")?;
        remove(Path::new(&target))?;
        measure(self.tools.ours([
            "add",
            "cv",
            "--skip-reference-digest-processing",
            "-r",
            &target,
            "-c",
            &constructor,
        ]))?;
        let source = format!("{target}//{}:{}", documents::COMPONENT, documents::VERSION);
        let normalised = documents::normalised(Path::new(&target))?;
        let command = repeat(|| {
            let command = ["hash", "cv", "--actual", &source, "-o", "value"];
            Ok(self.tools.ours(command))
        })?;
        remove(Path::new(&target))?;
        let size = normalised.size / (1024 * 1024);
        let what = format!(
            "{} resources and {} references, {size} MiB",
            shape.resources, shape.references
        );
        let library = Cost {
            wall: normalised.seconds,
            memory: Some(normalised.memory),
            ..Cost::default()
        };
        let job = format!("parse, normalise and hash {what} (library)");
        Ok(vec![
            row(job, library, Bar::Seconds(0.06), vec![]),
            row(format!("`hash cv`, {what}"), command, Bar::None, vec![]),
        ])
    }

    /// Verifies many signatures of one descriptor.
    fn signatures(&mut self) -> Result<Vec<Row>> {
        let shape = documents::Shape::new(self.is_quick);
        let measured = documents::signatures(&shape)?;
        let ours = Cost {
            wall: measured.verify,
            ..Cost::default()
        };
        let bar = Bar::Times {
            factor: 1.2,
            of: "the bare operations",
            seconds: measured.bare,
        };
        let job = format!("verify {} RSA-4096 signatures (library)", shape.signatures);
        Ok(vec![row(job, ours, bar, vec![])])
    }

    /// Runs the Go `ocm` once, if there is one.
    fn go(&self, command: impl FnOnce(&Tools) -> Result<Option<Command>>) -> Option<Peer> {
        self.tools.go.as_ref()?;
        let cost = command(&self.tools)
            .and_then(|command| command.context("there is no Go ocm"))
            .and_then(measure);
        Some(peer("Go ocm", cost, false))
    }

    fn input(&self, kind: Kind) -> Result<Input> {
        Input::make(&self.work.join("input"), kind, self.is_quick)
    }

    fn limit(&mut self, kind: Kind) -> Result<Limits> {
        if let Some(limits) = self.limits.get(&kind) {
            return Ok(*limits);
        }
        let files = self.input(kind)?.files;
        let scratch = self.work.join("run");
        std::fs::create_dir_all(&scratch)?;
        let limits = Limits::measure(&files, &scratch)?;
        self.limits.insert(kind, limits);
        Ok(limits)
    }

    /// Returns an archive of an input, packed by this build.
    pub(super) fn archive_of(&mut self, kind: Kind) -> Result<PathBuf> {
        if let Some(path) = self.archives.get(&kind) {
            return Ok(path.clone());
        }
        let path = place(&self.work, ["archive", kind.name()]);
        remove(&path)?;
        std::fs::create_dir_all(self.work.join("archive"))?;
        let constructor = text(&self.input(kind)?.constructor())?;
        let target = text(&path)?;
        measure(
            self.tools
                .ours(["add", "cv", "-r", &target, "-c", &constructor]),
        )?;
        self.archives.insert(kind, path.clone());
        Ok(path)
    }

    fn layout_of(&self, kind: Kind) -> Result<PathBuf> {
        let files = self.input(kind)?.files;
        let name = kind.shape(self.is_quick).total().to_string();
        let path = place(&self.work, ["layout", &format!("{}-{name}", kind.name())]);
        layout::make(&path, &files)?;
        Ok(path)
    }

    /// Returns the path of something that a job makes, in a directory that is there.
    pub(super) fn output(&self, name: &str) -> Result<String> {
        std::fs::create_dir_all(self.work.join("run"))?;
        text(&place(&self.work, ["run", name]))
    }
}

/// Runs a job a few times, or once if it takes long, and returns the best.
pub(super) fn repeat(mut command: impl FnMut() -> Result<Command>) -> Result<Cost> {
    let mut best: Option<Cost> = None;
    let mut spent = 0.0;
    for _ in 0..RUNS {
        let command = command()?;
        settle();
        let cost = measure(command)?;
        spent += cost.wall;
        best = Some(best.map_or(cost, |best| best.best(cost)));
        if spent + cost.wall > PATIENCE {
            break;
        }
    }
    best.context("a job runs at least once")
}

/// Lets the disk finish what was written before, which would count for what comes next.
fn settle() {
    // Where there is no such program, the figures are a little less sharp.
    let _ = Command::new("sync").status();
}

/// Has the system forget what it knows of files, where it lets itself be told so: on Linux, and by
/// the superuser.
pub(super) fn forget() {
    settle();
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
}

pub(super) fn row(job: impl Into<String>, ours: Cost, bar: Bar, peers: Vec<Peer>) -> Row {
    let row = Row {
        job: job.into(),
        ours,
        bar,
        memory_bar: MEMORY_BAR,
        peers,
    };
    tell(&row);
    row
}

#[expect(clippy::print_stderr, reason = "a developer reads along")]
fn tell(row: &Row) {
    let memory = super::report::memory(row.ours.memory);
    eprintln!("== {}: {:.3} s, {memory}", row.job, row.ours.wall);
}

/// Keeps why a tool failed, in one line: the others go on.
fn peer(name: &'static str, cost: Result<Cost>, is_bar: bool) -> Peer {
    let cost = cost.map_err(|error| {
        let text = format!("{error:#}");
        let line = text.lines().rfind(|line| !line.trim().is_empty());
        line.unwrap_or("failed").replace('|', "/")
    });
    Peer { name, cost, is_bar }
}

pub(super) fn text(path: &Path) -> Result<String> {
    let text = path.to_str().context("the path is no text")?;
    Ok(text.to_owned())
}
