//! Running a program and measuring what it costs.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often the memory of a process is looked at. The kernel keeps the peak, so only what happens
/// in the last moments can be missed.
const POLL: Duration = Duration::from_millis(2);

/// Clock ticks in a second, as `/proc` counts them on every Linux of today.
const TICKS: f64 = 100.0;

/// What one run has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// From start to end, in seconds.
    pub(crate) wall: f64,
    /// On all cores together, in seconds, where the system says so.
    pub(crate) cpu: Option<f64>,
    /// The peak of memory, in bytes, where the system says so.
    pub(crate) memory: Option<u64>,
}

impl Cost {
    /// Takes the quicker of two runs, and the larger of their peaks: speed is disturbed by others,
    /// memory is not.
    pub(crate) fn best(self, other: Self) -> Self {
        let quick = if other.wall < self.wall { other } else { self };
        Self {
            memory: self.memory.max(other.memory),
            ..quick
        }
    }
}

/// Runs a program to its end. One that fails is an error, with what it printed.
pub(crate) fn measure(mut command: Command) -> Result<Cost> {
    let name = describe(&command);
    let (mut reader, writer) = std::io::pipe()?;
    let errors = writer.try_clone()?;
    command.stdin(std::process::Stdio::null());
    command.stdout(writer).stderr(errors);
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    // The program holds the only ends for writing, so that reading ends when it does.
    drop(command);
    let watch = Watch::new(child.id());
    let mut output = Vec::new();
    let (wall, memory) = thread::scope(|scope| {
        let polling = scope.spawn(|| watch.poll());
        let read = reader.read_to_end(&mut output);
        let wall = start.elapsed().as_secs_f64();
        watch.stop();
        let memory = polling.join().unwrap_or_default();
        read.map(|_| (wall, memory))
    })?;
    let cpu = cpu_seconds(child.id());
    let status = child.wait()?;
    if !status.success() {
        let output = String::from_utf8_lossy(&output);
        bail!("{name} ended with {status}:\n{output}");
    }
    Ok(Cost { wall, cpu, memory })
}

/// A program that runs beside the jobs, such as a registry. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
}

impl Service {
    /// Starts a program.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = describe(command);
        let child = command.spawn();
        Ok(Self {
            child: child.with_context(|| format!("cannot run {name}"))?,
        })
    }

    /// Returns what the program prints to its standard error, if that is a pipe.
    pub(crate) fn stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// Returns what the program prints to its standard output, if that is a pipe.
    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Returns its standard input, if that is a pipe.
    pub(crate) const fn stdin(&self) -> Option<&std::process::ChildStdin> {
        self.child.stdin.as_ref()
    }

    /// Returns the peak of its memory so far, in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        peak_memory(self.child.id())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that has ended by itself is as good as one that was killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at the memory of a process until it is told to stop.
struct Watch {
    process: u32,
    stopped: AtomicBool,
}

impl Watch {
    const fn new(process: u32) -> Self {
        Self {
            process,
            stopped: AtomicBool::new(false),
        }
    }

    fn poll(&self) -> Option<u64> {
        let mut peak = None;
        while !self.stopped.load(Ordering::Relaxed) {
            peak = peak.max(peak_memory(self.process));
            thread::sleep(POLL);
        }
        peak
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn peak_memory(process: u32) -> Option<u64> {
    peak_of(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Returns what a process has used. It has closed its output and is about to end, or has ended and
/// was not waited for: only then the number is final.
fn cpu_seconds(process: u32) -> Option<f64> {
    let path = format!("/proc/{process}/stat");
    for _ in 0..500 {
        let stat = fs::read_to_string(&path).ok()?;
        let (state, ticks) = state_and_ticks(&stat)?;
        if state == "Z" {
            return Some(ticks / TICKS);
        }
        thread::sleep(POLL);
    }
    None
}

/// Reads state and CPU time off `/proc/<pid>/stat`. The name, second and in parentheses, may
/// contain anything.
fn state_and_ticks(stat: &str) -> Option<(&str, f64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((fields.first()?, ticks(11)? + ticks(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_status() {
        let status = "Name:\tocm\nVmPeak:\t  900 kB\nVmHWM:\t    12 kB\nVmRSS:\t  8 kB\n";
        assert_eq!(peak_of(status), Some(12 * 1024));
        assert_eq!(peak_of("Name:\tocm\n"), None);
    }

    #[test]
    fn state_and_time_are_read_after_any_name() {
        let stat = "42 (a ) b) Z 1 42 42 0 -1 4 5 0 0 0 150 50 0 0 20 0 1 0 7 0 0";
        assert_eq!(state_and_ticks(stat), Some(("Z", 200.0)));
        assert_eq!(state_and_ticks("42 (a"), None);
    }

    #[test]
    fn the_quicker_run_counts_and_the_larger_peak() {
        let run = |wall, memory| Cost {
            wall,
            cpu: Some(wall),
            memory: Some(memory),
        };
        assert_eq!(run(2.0, 9).best(run(1.0, 5)), run(1.0, 9));
    }
}
