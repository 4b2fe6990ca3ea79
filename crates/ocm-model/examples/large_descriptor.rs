//! Reads, normalises and hashes a descriptor, and prints how many seconds that takes, the size of
//! the document, and the peak of memory in bytes: what `cargo xtask bench` shows.
//!
//! `large_descriptor FILE` prints `{"seconds": …, "size": …, "memory": …}`.

use std::error::Error;
use std::time::{Duration, Instant};

use ocm_digest::HashAlgorithm;
use ocm_model::{Descriptor, NormalisationAlgorithm};

/// The quickest of so many rounds counts.
const ROUNDS: usize = 5;

#[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("of which file?")?;
    let bytes = std::fs::read(path)?;
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let descriptor = Descriptor::read_json(&bytes)?;
        let normalised = descriptor.normalise(NormalisationAlgorithm::default());
        let digest = normalised.digest(HashAlgorithm::default());
        best = best.min(start.elapsed());
        drop((descriptor, normalised, digest));
    }
    println!(
        "{{\"seconds\": {}, \"size\": {}, \"memory\": {}}}",
        best.as_secs_f64(),
        bytes.len(),
        peak().unwrap_or_default()
    );
    Ok(())
}

/// Returns the peak of memory in bytes, where the system says so.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
