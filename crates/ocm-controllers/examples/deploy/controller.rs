//! Controllers as a process.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Clock ticks in a second, as `/proc` counts them on every Linux of today.
const TICKS: f64 = 100.0;

/// How long it may take until a pass over everything is done.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long the servers may have something to do of their own, and how many seconds of a second
/// count as little.
const SETTLING: Duration = Duration::from_mins(1);
const LITTLE: f64 = 0.06;

/// Says its own child, and ends it when the pipe to this is closed, however its owner ends.
const GUARD: &str = r#""$@" </dev/null >&2 & child=$!
echo $child
cat >/dev/null
kill $child
wait $child"#;

/// Controllers that run. They end when this is dropped.
pub(crate) struct Controller {
    guard: Child,
    process: u32,
    metrics: u16,
    started: Instant,
}

/// The seconds that API server and database have been busy, those that are started by this.
pub(crate) fn servers_cpu() -> Result<f64> {
    let ours = std::env::temp_dir().display().to_string();
    let mut sum = 0.0;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // Processes come and go meanwhile, and most of the rest are none.
        let Ok(words) = fs::read_to_string(path.join("cmdline")) else {
            continue;
        };
        let program = words.split('\0').next().unwrap_or_default();
        let is_server = ["/kube-apiserver", "/etcd"]
            .iter()
            .any(|it| program.ends_with(it));
        if is_server && words.contains(&ours) {
            sum += cpu_of(&path)?;
        }
    }
    Ok(sum)
}

/// Waits until API server and database have little to do: they publish definitions, for example, long
/// after they have answered who has made them.
pub(crate) async fn settle() -> Result<()> {
    let start = Instant::now();
    let mut before = servers_cpu()?;
    while start.elapsed() < SETTLING {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = servers_cpu()?;
        if now - before < LITTLE {
            break;
        }
        before = now;
    }
    Ok(())
}

/// The seconds that a process has been busy, by its directory.
fn cpu_of(directory: &Path) -> Result<f64> {
    let stat = fs::read_to_string(directory.join("stat")).context("it has ended")?;
    // The name, second and in parentheses, may contain anything.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
    let fields: Vec<_> = fields.unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|it| it.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("no times")?;
    Ok((user + system) / TICKS)
}

/// What a process has cost so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Cost {
    /// Since it was started, in seconds.
    pub(crate) wall: f64,
    /// On all cores together, in seconds.
    pub(crate) cpu: f64,
    /// The peak of memory, in bytes.
    pub(crate) memory: u64,
}

impl Controller {
    /// Starts controllers; what they say goes into a file below `TMPDIR`.
    pub(crate) fn start(program: &Path, kubeconfig: &Path, more: &[&str]) -> Result<Self> {
        let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let metrics = metrics.local_addr()?.port();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let log = std::env::temp_dir().join(format!("{name}.log"));
        let started = Instant::now();
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(program)
            .args(["--leader-elect=false", "--health-probe-bind-address=0"])
            .arg(format!("--metrics-bind-address=127.0.0.1:{metrics}"))
            .args(more)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(log)?)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = guard.stdout.take().context("its output is a pipe")?;
        let mut process = String::new();
        BufReader::new(output).read_line(&mut process)?;
        Ok(Self {
            process: process.trim().parse().context("the id of a process")?,
            guard,
            metrics,
            started,
        })
    }

    pub(crate) fn cost(&self) -> Result<Cost> {
        let directory = Path::new("/proc").join(self.process.to_string());
        let status = fs::read_to_string(directory.join("status")).context("it has ended")?;
        let memory = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
        let memory = memory.and_then(|it| it.trim().strip_suffix("kB")?.trim().parse().ok());
        Ok(Cost {
            wall: self.started.elapsed().as_secs_f64(),
            cpu: cpu_of(&directory)?,
            memory: memory.map_or(0, |kibibytes: u64| kibibytes * 1024),
        })
    }

    /// Waits until so many objects of each kind have been found as they should be.
    pub(crate) async fn has_looked(&self, objects: &[(&str, usize)]) -> Result<Cost> {
        while self.started.elapsed() < PATIENCE {
            let numbers = self.numbers().await.unwrap_or_default();
            let passes = |kind: &str| {
                let series =
                    format!("ocm_controllers_passes_total{{kind=\"{kind}\",result=\"ready\"}} ");
                let line = numbers.lines().find_map(|it| it.strip_prefix(&series));
                line.and_then(|it| it.trim().parse::<usize>().ok())
            };
            let all = |(kind, number): &(&str, usize)| passes(kind).unwrap_or_default() >= *number;
            if objects.iter().all(all) {
                return self.cost();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("not everything was looked at in {PATIENCE:?}")
    }

    async fn numbers(&self) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.metrics)).await?;
        let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // The guard ends with what it guards.
        let _ = self.guard.wait();
    }
}
