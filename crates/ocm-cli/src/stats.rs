//! What a command has cost, for scripts and benchmarks.
//!
//! If the environment variable `OCM_STATS` names a file, each run adds a line of JSON to it:
//!
//! ```json
//! {"command":"transfer component-version","exitCode":0,"seconds":0.412,"peakMemory":31457280}
//! ```
//!
//! `peakMemory` is the most memory that the process had at any moment, in bytes; it is left out
//! where the system does not tell.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

const VARIABLE: &str = "OCM_STATS";

/// A run whose cost will be written down.
pub(crate) struct Stats {
    file: PathBuf,
    start: Instant,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    command: &'a str,
    exit_code: u8,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory: Option<u64>,
}

impl Stats {
    /// Starts the clock, if somebody wants to know.
    pub(crate) fn start() -> Option<Self> {
        let file = std::env::var_os(VARIABLE).filter(|file| !file.is_empty())?;
        Some(Self {
            file: file.into(),
            start: Instant::now(),
        })
    }

    /// Adds the line. A command does not fail because of it.
    pub(crate) fn finish(self, command: &str, exit_code: u8) {
        if let Err(error) = self.write(command, exit_code) {
            // Nobody is left to be told that stderr is gone.
            let _ = writeln!(io::stderr(), "warning: cannot write {VARIABLE}: {error}");
        }
    }

    fn write(self, command: &str, exit_code: u8) -> io::Result<()> {
        let line = Line {
            command,
            exit_code,
            seconds: self.start.elapsed().as_secs_f64(),
            peak_memory: peak_memory(),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        // One write, so that the lines of several processes do not mix.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file)?
            .write_all(&text)
    }
}

/// Returns the high-water mark of the resident set, as Linux counts it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    parse_peak(&status)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_status_of_the_process() {
        assert_eq!(
            parse_peak("Name:\tocm\nVmHWM:\t   12 kB\n"),
            Some(12 * 1024)
        );
        assert_eq!(parse_peak("Name:\tocm\n"), None);
        assert_eq!(parse_peak("VmHWM:\tmuch\n"), None);
    }
}
