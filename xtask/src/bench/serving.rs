//! What a registry can do, asked by a client that does nothing else: ours beside distribution and
//! zot.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use ocm_digest::{Digest, Digester, HashAlgorithm};

use super::bare::{Connection, put_blob};
use super::jobs::{Bench, row};
use super::place;
use super::process::Cost;
use super::random::Random;
use super::registry::{Program, Registry, start_ours};
use super::report::{Bar, Peer, Row};
use super::wide_tar::{self, Shape};

const MIB: u64 = 1024 * 1024;

/// How many clients send and fetch small blobs at a time.
const CLIENTS: usize = 64;

/// How large a small blob is, in bytes.
const SMALL: u64 = 1024;

/// How often each job runs; the best counts.
const RUNS: usize = 3;

/// What takes longer than this runs once, in seconds.
const LONG: f64 = 20.0;

/// What was asked, and what it took: for sending and for fetching.
type Costs = [Cost; 2];

impl Bench {
    /// Sends and fetches one large blob.
    pub(super) fn serve_big(&mut self) -> Result<Vec<Row>> {
        let size = if self.is_quick() { 64 } else { 1024 };
        let blob = Big::new(size)?;
        let what = format!("{size} MiB");
        self.compare(&what, |host| blob.send(host), |host| blob.fetch(host))
    }

    /// Sends and fetches many small blobs.
    pub(super) fn serve_small(&mut self) -> Result<Vec<Row>> {
        let count = if self.is_quick() { 640 } else { 10_000 };
        let blobs: Vec<_> = (0..count).map(small).collect::<Result<_>>()?;
        let what = format!("{count} × 1 KiB, {CLIENTS} clients");
        self.compare(
            &what,
            |host| {
                by_all(host, &blobs, |it, (digest, bytes)| {
                    it.upload("/v2/bench", digest, bytes)
                })
            },
            |host| {
                by_all(host, &blobs, |it, (digest, _)| {
                    let target = format!("/v2/bench/blobs/{digest}");
                    it.ask("GET", &target, "", b"", 200).map(drop)
                })
            },
        )
    }

    fn compare(
        &self,
        what: &str,
        send: impl Fn(&str) -> Result<()>,
        fetch: impl Fn(&str) -> Result<()>,
    ) -> Result<Vec<Row>> {
        let tools = self.tools();
        let [sent, fetched] = self.asked(
            &Program::Registry(tools.ocm_registry.clone()),
            &send,
            &fetch,
        )?;
        let (mut of_sending, mut of_fetching) = (Vec::new(), Vec::new());
        let whole = Program::Serve(tools.ocm.clone());
        let others = [
            Some((whole, false)),
            tools
                .distribution
                .clone()
                .map(|path| (Program::Distribution(path), true)),
            tools.zot.clone().map(|path| (Program::Zot(path), true)),
        ];
        for (program, is_bar) in others.into_iter().flatten() {
            let name = program.name();
            let [sent, fetched] = self.asked(&program, &send, &fetch)?;
            of_sending.push(peer(name, sent, is_bar));
            of_fetching.push(peer(name, fetched, is_bar));
        }
        Ok(vec![
            row(
                format!("registry: PUT {what}"),
                sent,
                Bar::BestRegistry,
                of_sending,
            ),
            row(
                format!("registry: GET {what}"),
                fetched,
                Bar::BestRegistry,
                of_fetching,
            ),
        ])
    }

    fn asked(
        &self,
        program: &Program,
        send: impl Fn(&str) -> Result<()>,
        fetch: impl Fn(&str) -> Result<()>,
    ) -> Result<Costs> {
        let mut best: Option<Costs> = None;
        for _ in 0..RUNS {
            let content = place(self.work(), ["run", "registry"]);
            let registry = Registry::start(program, content)?;
            let timed = |ask: &dyn Fn(&str) -> Result<()>| -> Result<Cost> {
                let start = Instant::now();
                ask(&registry.host)?;
                Ok(Cost {
                    wall: start.elapsed().as_secs_f64(),
                    memory: registry.memory(),
                    ..Cost::default()
                })
            };
            let costs = [timed(&send)?, timed(&fetch)?];
            best = Some(best.map_or(costs, |best| {
                [best[0].best(costs[0]), best[1].best(costs[1])]
            }));
            if costs.iter().any(|cost| cost.wall > LONG) {
                break;
            }
        }
        best.context("a job runs at least once")
    }

    /// Starts a registry over a large tar, and pulls from it.
    pub(super) fn serve_start(&mut self) -> Result<Vec<Row>> {
        let shape = Shape::new(self.is_quick());
        let archive = wide_tar::make(&self.work().join("input"), &shape)?;
        let tag = wide_tar::version(shape.versions / 2);
        let target = format!(
            "/v2/component-descriptors/{}/manifests/{tag}",
            wide_tar::COMPONENT
        );
        let mut best: Option<Cost> = None;
        for _ in 0..RUNS {
            let start = Instant::now();
            let (service, host) =
                start_ours(Command::new(&self.tools().ocm).arg("serve"), &archive)?;
            Connection::open(&host)?.ask("GET", &target, "", b"", 200)?;
            let cost = Cost {
                wall: start.elapsed().as_secs_f64(),
                memory: service.memory(),
                ..Cost::default()
            };
            best = Some(best.map_or(cost, |best| best.best(cost)));
        }
        let best = best.context("a job runs at least once")?;
        let job = format!("start `ocm serve` over a {}, first pull", shape.describe());
        Ok(vec![row(job, best, Bar::Seconds(0.05), vec![])])
    }
}

const fn peer(name: &'static str, cost: Cost, is_bar: bool) -> Peer {
    Peer {
        name,
        cost: Ok(cost),
        is_bar,
    }
}

/// A blob that is made of one block, again and again, so that making it costs nothing.
struct Big {
    block: Vec<u8>,
    blocks: u64,
    digest: Digest,
}

impl Big {
    fn new(blocks: u64) -> Result<Self> {
        let mut block = Vec::new();
        Random::new(41).write(MIB, &mut block)?;
        let mut digester = Digester::new(HashAlgorithm::Sha256);
        for _ in 0..blocks {
            digester.update(&block);
        }
        Ok(Self {
            block,
            blocks,
            digest: digester.finish(),
        })
    }

    fn size(&self) -> u64 {
        self.blocks * self.block.len() as u64
    }

    fn send(&self, host: &str) -> Result<()> {
        let blocks = (0..self.blocks).map(|_| &self.block[..]);
        put_blob(host, &self.digest, self.size(), blocks)
    }

    /// Reads the blob, and counts it: looking at it would cost more than sending it.
    fn fetch(&self, host: &str) -> Result<()> {
        let mut stream = TcpStream::connect(host)?;
        write!(
            stream,
            "GET /v2/bench/blobs/{} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n",
            self.digest
        )?;
        let mut buffer = vec![0; 256 * 1024];
        let mut count = 0;
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                read => count += read as u64,
            }
        }
        // The head comes as well.
        ensure!(count > self.size(), "{count} bytes came");
        Ok(())
    }
}

fn small(number: u64) -> Result<(Digest, Vec<u8>)> {
    let mut bytes = Vec::new();
    Random::new(42 << 40 | number).write(SMALL, &mut bytes)?;
    Ok((Digest::sha256(&bytes), bytes))
}

/// Has all clients do something with their share of the blobs, each over one connection.
fn by_all<T: Sync>(
    host: &str,
    blobs: &[T],
    ask: impl Fn(&mut Connection, &T) -> Result<()> + Sync,
) -> Result<()> {
    let ask = &ask;
    thread::scope(|scope| {
        let share = blobs.len().div_ceil(CLIENTS).max(1);
        let clients: Vec<_> = blobs
            .chunks(share)
            .map(|share| {
                scope.spawn(move || {
                    let mut connection = Connection::open(host)?;
                    share.iter().try_for_each(|blob| ask(&mut connection, blob))
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| anyhow!("a client fell over"))?)
    })
}
