//! Transfers of much, of many, and over a bad line; and what it takes when nothing has changed.

use std::cell::RefCell;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::bare::{self, Bare, Way};
use super::inputs::Kind;
use super::jobs::{Bench, forget, repeat, row, text};
use super::layers_tar::{self, Shape};
use super::limits::Streamed;
use super::process::{Cost, Service, measure};
use super::registry::{Program, Registry};
use super::report::{Bar, Peer, Row};
use super::sink::Sink;
use super::tools::{fresh, remove};
use crate::run::cargo_command;

/// How often a job runs that leaves nothing behind; the best counts.
const RUNS: usize = 3;

/// How much longer than its limit a transfer of large layers may take: nine tenths of the speed.
const LIMIT: f64 = 1.0 / 0.9;

/// The part of the first run that one may take in which nothing is left to do.
const AGAIN: f64 = 0.05;

/// How much of a disk must be free, as a multiple of what is moved: the registry has it, and the
/// archive or the registry that it goes to.
const ROOM: u64 = 2;

impl Bench {
    /// Moves large layers between an archive and registries.
    pub(super) fn layers(&mut self) -> Result<Vec<Row>> {
        let shape = Shape::new(self.is_quick());
        let archive = text(&layers_tar::make(&self.work().join("input"), &shape)?)?;
        check_room(self.work(), ROOM * shape.total())?;
        let limits = Streamed::measure(shape.total())?;
        let what = shape.describe();
        let mut rows = Vec::new();
        rows.push(self.dropped(&shape, &archive)?);
        let layers = layers_tar::layers(Path::new(&archive), &shape)?;
        let kept = RefCell::new(None);
        let (bare, ours) = in_turns(
            || {
                // One goes before the next one comes: there is no room for two.
                drop(kept.take());
                let registry = self.serve("bare")?;
                forget();
                bare::send_layers(&registry.host, Path::new(&archive), &layers)
            },
            || {
                let registry = self.serve("near")?;
                let place = format!("http://{}/near", registry.host);
                kept.replace(Some(registry));
                forget();
                self.observed(&archive, &place)
            },
        )?;
        let near = kept.take().context("a job runs at least once")?;
        let near_place = format!("http://{}/near", near.host);
        let bar = Bar::Times {
            factor: LIMIT,
            of: "the slower of SHA-256 on two cores and bare PUTs to ocm serve",
            seconds: limits.slower_with(bare),
        };
        let job = format!("CTF tar → ocm serve, {what}");
        let again = self.again(&archive, &near_place)?;
        rows.extend(Self::first_and_again(&job, ours, again, bar));
        let target = self.output("far.tar")?;
        let (bare, ours) = in_turns(
            || {
                remove(Path::new(&target))?;
                let repository = format!("near/component-descriptors/{}", layers_tar::COMPONENT);
                let path = Path::new(&target);
                forget();
                bare::receive_layers(&near.host, &repository, &layers, path)
            },
            || {
                remove(Path::new(&target))?;
                forget();
                self.observed(&near_place, &target)
            },
        )?;
        let bar = Bar::Times {
            factor: LIMIT,
            of: "the slower of SHA-256 on two cores and bare GETs from ocm serve to disk",
            seconds: limits.slower_with(bare),
        };
        let job = format!("ocm serve → CTF tar, {what}");
        let again = self.again(&near_place, &target)?;
        rows.extend(Self::first_and_again(&job, ours, again, bar));
        remove(Path::new(&target))?;
        let far = self.serve("far")?;
        // Between the two stand proxies that count, which cost time; so there is no bar.
        let mut from = Proxy::start(self, &near.host, &[])?;
        let mut to = Proxy::start(self, &far.host, &[])?;
        let (source, place) = (
            format!("http://{}/near", from.host),
            format!("http://{}/far", to.host),
        );
        let cost = measure(self.transfer(&source, &place, None))?;
        let (read, written) = (from.passed()?, to.passed()?);
        let ours = Observed {
            cost,
            largest: None,
        };
        let job = format!(
            "ocm serve → ocm serve, {what}: read {:.3} times, written {:.3} times",
            ratio(read.received, shape.total()),
            ratio(written.sent, shape.total()),
        );
        let again = self.again(&source, &place)?;
        rows.extend(Self::first_and_again(&job, ours, again, Bar::None));
        Ok(rows)
    }

    /// Moves large layers to a registry that drops them, so that nothing but our work is measured.
    fn dropped(&self, shape: &Shape, archive: &str) -> Result<Row> {
        // The archive is in memory, so that reading it costs no more than it must.
        io::copy(&mut fs::File::open(archive)?, &mut io::sink())?;
        let (limit, ours) = in_turns(
            || Ok(Streamed::measure(shape.total())?.slower()),
            || {
                let sink = Sink::start()?;
                let place = format!("http://{}/sink", sink.host);
                let cost = measure(self.transfer(archive, &place, None))?;
                ensure!(sink.taken() >= shape.total(), "not all has been sent");
                Ok(Observed {
                    cost,
                    largest: None,
                })
            },
        )?;
        let mut bare = f64::INFINITY;
        for _ in 0..RUNS {
            bare = bare.min(bare::read_and_send(Path::new(archive), shape.layers)?);
        }
        let bare = bare_peer("bare reading and sending", bare);
        let job = format!(
            "CTF tar → a registry that drops what is large, {}",
            shape.describe()
        );
        let bar = Bar::Times {
            factor: LIMIT,
            of: "the slower of SHA-256 on two cores and PUT",
            seconds: limit,
        };
        Ok(row(job, ours.cost, bar, vec![bare]))
    }

    /// Moves many small component versions, beside the bare requests.
    pub(super) fn many(&mut self) -> Result<Vec<Row>> {
        let source = text(&self.archive_of(Kind::Wide)?)?;
        let shape = Kind::Wide.shape(self.is_quick());
        // What they have stays until the end: file systems are slow to create files for minutes
        // after many have been removed.
        let kept = RefCell::new(Vec::new());
        let serve = |name: &str| {
            let registry = self.serve(&format!("{name}{}", kept.borrow().len()))?;
            let host = registry.host.clone();
            kept.borrow_mut().push(registry);
            anyhow::Ok(host)
        };
        let mut proxy = Proxy::start(self, &serve("counted")?, &[])?;
        let place = format!("http://{}/many", proxy.host);
        measure(self.transfer(&source, &place, None))?;
        let requests = proxy.passed()?.requests;
        measure(self.transfer(&source, &place, None))?;
        let requests_again = proxy.passed()?.requests - requests;
        drop(proxy);
        let send = |way| {
            bare::send(
                &serve("bare")?,
                (shape.components, shape.resources, shape.size),
                way,
            )
        };
        let (mut usual, mut short) = (None, None);
        // Right after each, as the machine is quicker at one time than at another.
        let mut again: Option<Cost> = None;
        let (bare, ours) = in_turns(
            || {
                let now = send(Way::SinglePost)?;
                short = Some(short.map_or(now, |before: Bare| before.best(now)));
                let now = send(Way::PostThenPut)?;
                usual = Some(now);
                Ok(now.seconds)
            },
            || {
                let place = format!("http://{}/many", serve("many")?);
                let first = self.observed(&source, &place)?;
                let now = self.again(&source, &place)?;
                again = Some(again.map_or(now, |before| before.best(now)));
                Ok(first)
            },
        )?;
        let bar = Bar::Times {
            factor: 1.5,
            of: "the bare requests",
            seconds: bare,
        };
        let once = "a job runs at least once";
        let (usual, short) = (usual.context(once)?, short.context(once)?);
        let again = again.context(once)?;
        let each = |requests: u64| ratio(requests, shape.components);
        let job = format!(
            "CTF directory → ocm serve, {}: {:.1} requests for each component, {:.1} bare, {:.1} with blobs in one \
             request each",
            shape.describe(),
            each(requests),
            each(usual.requests),
            each(short.requests),
        );
        let mut rows = Self::first_and_again(&job, ours, again, bar);
        let peer = bare_peer("bare, blobs in one request each", short.seconds);
        rows[0].peers.push(peer);
        let asked = format!(", {:.1} requests for each component", each(requests_again));
        rows[1].job.push_str(&asked);
        Ok(rows.into())
    }

    /// Moves component versions over a long line, and over one that is cut as well.
    pub(super) fn far(&mut self) -> Result<Vec<Row>> {
        // Large blobs, to be cut in the middle, and enough small ones for some of them to be.
        let mut sources = Vec::new();
        for kind in [Kind::Mid, Kind::Small] {
            sources.push(text(&self.archive_of(kind)?)?);
        }
        let mut wall = None;
        let mut rows = Vec::new();
        for (cuts, what) in [
            ("0", "100 ms away"),
            ("10", "100 ms away, 1 % of requests cut"),
        ] {
            let registry = self.serve("line")?;
            let mut proxy =
                Proxy::start(self, &registry.host, &["--latency", "100", "--cuts", cuts])?;
            let place = format!("http://{}/line", proxy.host);
            let mut total = Cost::default();
            for source in &sources {
                let cost = measure(self.transfer(source, &place, None))?;
                total.wall += cost.wall;
                total.memory = total.memory.max(cost.memory);
            }
            let passed = proxy.passed()?;
            let bar = match wall {
                None => Bar::None,
                Some(seconds) => Bar::Times {
                    factor: 2.0,
                    of: "without cuts",
                    seconds,
                },
            };
            wall.get_or_insert(total.wall);
            let job = format!(
                "CTF directory → ocm serve {what}, mid and small: {} of {} requests cut",
                passed.cut, passed.requests
            );
            rows.push(row(job, total, bar, vec![]));
        }
        Ok(rows)
    }

    /// Measures a transfer, and how large its temporary files become.
    fn observed(&self, from: &str, to: &str) -> Result<Observed> {
        let scratch = self.work().join("scratch");
        fresh(&scratch)?;
        let (cost, largest) = watch_files(&scratch, || {
            measure(self.transfer(from, to, Some(&scratch)))
        })?;
        let largest = Some(largest);
        Ok(Observed { cost, largest })
    }

    /// Measures a transfer that has nothing to do, since it was done before.
    fn again(&self, from: &str, to: &str) -> Result<Cost> {
        repeat(|| Ok(self.transfer(from, to, None)))
    }

    /// Returns the row of a transfer that was measured, and one of the same again.
    fn first_and_again(job: &str, ours: Observed, again: Cost, bar: Bar) -> [Row; 2] {
        let files = ours.largest.map_or_else(String::new, |largest| {
            format!(", largest temporary file {} KiB", largest / 1024)
        });
        let first = row(format!("{job}{files}"), ours.cost, bar, vec![]);
        let of_first = Bar::Times {
            factor: AGAIN,
            of: "the first run",
            seconds: ours.cost.wall,
        };
        [
            first,
            row("… again, nothing changed", again, of_first, vec![]),
        ]
    }

    fn transfer(&self, from: &str, to: &str, scratch: Option<&Path>) -> Command {
        let mut command = self.tools().ours(["transfer", "ctf", from, to, "--quiet"]);
        if let Some(scratch) = scratch {
            command.env("TMPDIR", scratch);
        }
        command
    }

    fn serve(&self, name: &str) -> Result<Registry> {
        let content = self.work().join("run").join(name);
        Registry::start(&Program::Serve(self.tools().ocm.clone()), content)
    }
}

/// What a transfer has cost.
#[derive(Clone, Copy)]
struct Observed {
    cost: Cost,
    /// The size of the largest temporary file, in bytes, if that was looked at.
    largest: Option<u64>,
}

/// Measures something bare and ours in turns, and returns the best of both: a disk that is shared
/// is quicker at one time than at another, and what keeps the bytes takes its time, which nobody
/// who moves them can save.
fn in_turns(
    mut bare: impl FnMut() -> Result<f64>,
    mut ours: impl FnMut() -> Result<Observed>,
) -> Result<(f64, Observed)> {
    let mut best: Option<(f64, Observed)> = None;
    for _ in 0..RUNS {
        let seconds = bare()?;
        let now = ours()?;
        best = Some(best.map_or((seconds, now), |(least, before)| {
            let largest = before.largest.max(now.largest);
            let cost = before.cost.best(now.cost);
            (least.min(seconds), Observed { cost, largest })
        }));
    }
    best.context("a job runs at least once")
}

/// Shows beside a job what a client needs that does nothing else, in seconds. It is not the bar.
fn bare_peer(name: &'static str, seconds: f64) -> Peer {
    Peer {
        name,
        cost: Ok(Cost {
            wall: seconds,
            ..Cost::default()
        }),
        is_bar: false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is printed is rounded")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Checks that there is room for what a job writes.
pub(super) fn check_room(directory: &Path, bytes: u64) -> Result<()> {
    let output = Command::new("df").arg("-Pk").arg(directory).output()?;
    let output = String::from_utf8_lossy(&output.stdout);
    let free = output.lines().nth(1).and_then(|line| {
        let kibibytes: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
        Some(kibibytes * 1024)
    });
    match free {
        Some(free) if free < bytes => bail!(
            "{} GiB are needed in {}, {} GiB are free; --quick needs a sixteenth",
            bytes >> 30,
            directory.display(),
            free >> 30
        ),
        _ => Ok(()),
    }
}

/// Runs something, and returns with its result the size of the largest file that was in a directory
/// meanwhile.
fn watch_files<T>(directory: &Path, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut largest = 0;
            while !stopped.load(Ordering::Relaxed) {
                let files = fs::read_dir(directory).into_iter().flatten().flatten();
                let sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
                largest = largest.max(sizes.max().unwrap_or_default());
                thread::sleep(Duration::from_millis(5));
            }
            largest
        });
        let result = work();
        stopped.store(true, Ordering::Relaxed);
        let largest = watching
            .join()
            .map_err(|_| anyhow!("the watch fell over"))?;
        Ok((result?, largest))
    })
}

/// The fault proxy before a registry.
struct Proxy {
    service: Service,
    host: String,
    said: BufReader<std::process::ChildStdout>,
}

/// What has passed a proxy.
struct Passed {
    requests: u64,
    cut: u64,
    sent: u64,
    received: u64,
}

impl Proxy {
    fn start(bench: &Bench, registry: &str, flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(fault_proxy(bench)?);
        command.arg(registry).args(flags);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut service = Service::start(&mut command)?;
        let said = service.stdout().context("standard output is a pipe")?;
        let mut said = BufReader::new(said);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let host = line.trim().strip_prefix("listening on http://");
        let host = host.context("the proxy did not start")?.to_owned();
        Ok(Self {
            service,
            host,
            said,
        })
    }

    fn passed(&mut self) -> Result<Passed> {
        let mut stdin = self.service.stdin().context("standard input is a pipe")?;
        stdin.write_all(b"\n")?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let number = |name: &str| -> Result<u64> {
            let mut words = line.split_whitespace();
            words.find(|word| *word == name);
            let number = words.next().context("the proxy says what has passed")?;
            Ok(number.parse()?)
        };
        Ok(Passed {
            requests: number("requests")?,
            cut: number("cut")?,
            sent: number("sent")?,
            received: number("received")?,
        })
    }
}

/// Builds the proxy, and returns its path.
fn fault_proxy(bench: &Bench) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--quiet", "--package=ocm-testkit"];
    let status = cargo_command(&arguments)
        .arg("--bin=fault-proxy")
        .status()?;
    if !status.success() {
        bail!("cargo build ended with {status}");
    }
    let release = bench.work().with_file_name("release");
    Ok(release.join("fault-proxy"))
}
