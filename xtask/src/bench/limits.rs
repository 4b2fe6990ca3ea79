//! What the machine can do with the same bytes: the physical limits.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use ocm_digest::Digester;

use super::sink::Sink;

/// What is read and written at a time, as everywhere in the product.
const CHUNK: usize = 256 * 1024;

/// How often each is measured; the quickest counts.
const RUNS: usize = 3;

/// The seconds that one thread needs for the bytes of some files, which the system has in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To hash them with SHA-256, without reading them.
    pub(crate) hash: f64,
    /// The same by all cores at once, each with its share of the bytes: they may slow each other
    /// down.
    pub(crate) hash_on_all: f64,
    /// To copy them on the same disk, and sync.
    pub(crate) copy: f64,
    /// To read, hash and write them chunk by chunk, and sync.
    pub(crate) hash_and_copy: f64,
    /// To send them over loopback by one PUT to a server that drops them.
    pub(crate) put: f64,
}

impl Limits {
    /// Measures; `scratch` is a directory on the disk that jobs write to.
    pub(crate) fn measure(files: &[PathBuf], scratch: &Path) -> Result<Self> {
        Ok(Self {
            hash: best(|| hash(files))?,
            hash_on_all: best(|| hash_on_all(files))?,
            copy: best(|| copy(files, scratch, |_| ()))?,
            hash_and_copy: best(|| {
                let mut digester = Digester::default();
                copy(files, scratch, |chunk| digester.update(chunk))
            })?,
            put: best(|| put(files))?,
        })
    }
}

/// The seconds that the machine needs for so many bytes that are nowhere on a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streamed {
    hash_on_all: f64,
    put: f64,
}

impl Streamed {
    /// Measures with a part of the bytes, as both take as long for each.
    pub(crate) fn measure(size: u64) -> Result<Self> {
        let part = size.min(1 << 30);
        let scale = |seconds: f64| {
            #[expect(clippy::cast_precision_loss, reason = "a time is an estimate")]
            let factor = size as f64 / part as f64;
            seconds * factor
        };
        Ok(Self {
            hash_on_all: scale(best(|| Ok(hash_bytes_on_all(part)))?),
            put: scale(best(|| put_bytes(part, |write| write_zeros(part, write)))?),
        })
    }

    /// Returns the slower of the two, where what is sent is dropped.
    pub(crate) fn slower(&self) -> f64 {
        self.slower_with(self.put)
    }

    /// Returns the slower of hashing, and of PUTs that took so many seconds.
    pub(crate) fn slower_with(&self, puts: f64) -> f64 {
        self.hash_on_all.max(puts)
    }
}

fn write_zeros(size: u64, write: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
    let chunk = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        let count = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        write(&chunk[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// Measures how long one thread needs to compress the bytes of some files, as a tgz is.
pub(crate) fn deflate(files: &[PathBuf]) -> Result<f64> {
    let mut spent = Duration::ZERO;
    let mut encoder = GzEncoder::new(io::sink(), Compression::default());
    for_each_chunk(files, |chunk| {
        let start = Instant::now();
        encoder.write_all(chunk)?;
        spent += start.elapsed();
        Ok(())
    })?;
    Ok(spent.as_secs_f64())
}

fn best(mut work: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        best = best.min(work()?);
    }
    Ok(best.as_secs_f64())
}

fn hash(files: &[PathBuf]) -> Result<Duration> {
    let mut spent = Duration::ZERO;
    let mut digester = Digester::default();
    for_each_chunk(files, |chunk| {
        let start = Instant::now();
        digester.update(chunk);
        spent += start.elapsed();
        Ok(())
    })?;
    Ok(spent)
}

/// Lets as many threads as there are cores hash, together as many bytes as the files have.
fn hash_on_all(files: &[PathBuf]) -> Result<Duration> {
    Ok(hash_bytes_on_all(total(files)?))
}

fn total(files: &[PathBuf]) -> Result<u64> {
    let mut size = 0;
    for file in files {
        size += file.metadata()?.len();
    }
    Ok(size)
}

fn hash_bytes_on_all(size: u64) -> Duration {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let chunks = size / (CHUNK as u64 * threads as u64) + 1;
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let chunk = vec![7; CHUNK];
                let mut digester = Digester::default();
                for _ in 0..chunks {
                    digester.update(&chunk);
                }
                std::hint::black_box(digester.finish());
            });
        }
    });
    start.elapsed()
}

fn copy(files: &[PathBuf], scratch: &Path, mut look: impl FnMut(&[u8])) -> Result<Duration> {
    let path = scratch.join("copy");
    let start = Instant::now();
    let mut target = File::create(&path)?;
    for_each_chunk(files, |chunk| {
        look(chunk);
        target.write_all(chunk)
    })?;
    target.sync_all()?;
    let spent = start.elapsed();
    std::fs::remove_file(path)?;
    Ok(spent)
}

/// Sends everything in one request to a server that drops it.
fn put(files: &[PathBuf]) -> Result<Duration> {
    put_bytes(total(files)?, |write| for_each_chunk(files, write))
}

fn put_bytes(
    size: u64,
    content: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<()>,
) -> Result<Duration> {
    let sink = Sink::start()?;
    let start = Instant::now();
    let mut connection = TcpStream::connect(&sink.host)?;
    write!(
        connection,
        "PUT /blob HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n",
        sink.host
    )?;
    content(&mut |chunk| connection.write_all(chunk))?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let spent = start.elapsed();
    ensure!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    Ok(spent)
}

fn for_each_chunk(files: &[PathBuf], mut work: impl FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    for path in files {
        let mut file =
            File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            work(&buffer[..count])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_sees_all_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let files = ["one", "two"].map(|name| directory.path().join(name));
        for file in &files {
            std::fs::write(file, vec![7; 3 * CHUNK / 2]).unwrap();
        }
        let mut seen = 0;
        copy(&files, directory.path(), |chunk| seen += chunk.len()).unwrap();
        assert_eq!(seen, 3 * CHUNK);
        put(&files).unwrap();
        assert!(deflate(&files).unwrap() > 0.0);
        assert!(hash_on_all(&files).unwrap() > Duration::ZERO);
    }
}
