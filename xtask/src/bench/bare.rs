//! The HTTP requests that component versions need, sent by a client that does nothing else.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use ocm_digest::Digest;

use super::random::Random;
use super::sink::Sink;

/// How many connections there are, as our client has them.
const CONNECTIONS: usize = 16;

/// How much of a file is read at a time, in bytes.
const CHUNK: usize = 256 * 1024;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
}

impl Bare {
    /// Takes the quicker of two runs.
    pub(crate) fn best(self, other: Self) -> Self {
        if other.seconds < self.seconds {
            other
        } else {
            self
        }
    }
}

/// What is sent for one component version.
struct Version {
    repository: String,
    /// Content, which is looked for before it is sent.
    resources: Vec<(Digest, Vec<u8>)>,
    /// Configuration and descriptor, which are new with each component version.
    documents: Vec<(Digest, Vec<u8>)>,
    manifest: String,
}

/// In how many requests a blob is sent (OCI distribution specification, "Pushing blobs").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// Two, as every registry takes it.
    PostThenPut,
    /// One, which a registry need not take.
    SinglePost,
}

/// Sends so many component versions to a registry: the tag is looked for, then each blob, which is
/// sent then, and at last the manifest is written.
pub(crate) fn send(
    host: &str,
    (components, resources, size): (u64, u64, u64),
    way: Way,
) -> Result<Bare> {
    let versions: Vec<Version> = (0..components)
        .map(|number| version(number, resources, size))
        .collect();
    let start = Instant::now();
    let requests: Result<Vec<u64>> = thread::scope(|scope| {
        let share = versions.len().div_ceil(CONNECTIONS).max(1);
        let threads: Vec<_> = versions
            .chunks(share)
            .map(|share| scope.spawn(move || send_all(host, share, way)))
            .collect();
        let results = threads.into_iter().map(|thread| {
            let joined = thread.join();
            joined.map_err(|_| anyhow!("a connection fell over"))?
        });
        results.collect()
    });
    Ok(Bare {
        requests: requests?.into_iter().sum(),
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Sends the layers of an archive to a registry, each in a request of its own, and a manifest that
/// names them, with which a registry has to keep them. Returns how many seconds that took. They are
/// not hashed: the registry does that.
pub(crate) fn send_layers(host: &str, archive: &Path, layers: &[Layer]) -> Result<f64> {
    let start = Instant::now();
    let file = open(archive)?;
    each_layer(layers, |_, layer| layer.send(&file, host))?;
    let mut connection = Connection::open(host)?;
    let config = (Digest::sha256("{}"), 2);
    connection.upload("/v2/bench", &config.0, b"{}")?;
    let layers = layers.iter().map(|layer| (layer.digest, layer.size));
    let manifest = manifest(config, layers);
    let place = "/v2/bench/manifests/1.0.0";
    connection.ask("PUT", place, MANIFEST_TYPE, manifest.as_bytes(), 201)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Gets layers from a repository of a registry into one file, one behind the other, and returns how
/// many seconds that took until they are on disk. They are not hashed.
pub(crate) fn receive_layers(
    host: &str,
    repository: &str,
    layers: &[Layer],
    path: &Path,
) -> Result<f64> {
    let start = Instant::now();
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    each_layer(layers, |number, layer| {
        let place = format!("/v2/{repository}/blobs/{}", layer.digest);
        receive(host, &place, &file, number as u64 * layer.size, layer.size)
    })?;
    file.sync_all()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Does something with each layer, over several connections.
fn each_layer(layers: &[Layer], work: impl Fn(usize, &Layer) -> Result<()> + Sync) -> Result<()> {
    each(layers.len(), |number| work(number, &layers[number]))
}

/// Does so many things, several at a time.
fn each(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            work(number)?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| {
            let joined: Result<Result<()>, _> = thread.join();
            joined.map_err(|_| anyhow!("a connection fell over"))?
        })
    })
}

/// Gets content over a connection of its own, and writes it to a file.
fn receive(host: &str, place: &str, file: &File, at: u64, size: u64) -> Result<()> {
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET {place} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )?;
    let mut stream = BufReader::with_capacity(CHUNK, stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let count = stream.read_line(&mut head)?;
        ensure!(count > 0, "{place} was answered with {head}");
    }
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut done = 0;
    loop {
        let chunk = stream.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let count = chunk.len();
        file.write_all_at(chunk, at + done)?;
        done += count as u64;
        stream.consume(count);
    }
    ensure!(done == size, "{done} bytes of {size} have come");
    Ok(())
}

/// A layer that is in an archive.
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    /// Where it starts.
    pub(crate) at: u64,
    pub(crate) size: u64,
}

impl Layer {
    fn send(&self, file: &File, host: &str) -> Result<()> {
        let target = begin_upload(host, &self.digest)?;
        send_part(file, (self.at, self.size), host, &target)
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads a file in so many parts, sends each to a server that drops it, and returns how many seconds
/// that took: what a client needs, and nothing else.
pub(crate) fn read_and_send(path: &Path, parts: u64) -> Result<f64> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    let part = size.div_ceil(parts).max(1);
    let sink = Sink::start()?;
    let start = Instant::now();
    let count = usize::try_from(size.div_ceil(part))?;
    each(count, |number| {
        let first = number as u64 * part;
        let range = (first, part.min(size - first));
        send_part(&file, range, &sink.host, "/v2/bench/blobs/uploads/1")
    })?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(sink.taken() == size, "not all has been sent");
    Ok(seconds)
}

fn send_part(file: &File, (first, size): (u64, u64), host: &str, target: &str) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut stream = start_put(host, target, size)?;
    let mut done = 0;
    while done < size {
        let count = usize::try_from(size - done).map_or(CHUNK, |left| left.min(CHUNK));
        let chunk = &mut buffer[..count];
        file.read_exact_at(chunk, first + done)?;
        stream.write_all(chunk)?;
        done += count as u64;
    }
    end_put(stream)
}

/// Sends a blob in two requests, the second over a connection of its own, part by part.
pub(super) fn put_blob<'a>(
    host: &str,
    digest: &Digest,
    size: u64,
    parts: impl Iterator<Item = &'a [u8]>,
) -> Result<()> {
    let mut stream = start_put(host, &begin_upload(host, digest)?, size)?;
    for part in parts {
        stream.write_all(part)?;
    }
    end_put(stream)
}

/// Starts an upload, and returns where the content goes.
fn begin_upload(host: &str, digest: &Digest) -> Result<String> {
    let mut connection = Connection::open(host)?;
    let location = connection.ask("POST", "/v2/bench/blobs/uploads/", "", b"", 202)?;
    let location = location.context("an upload without location")?;
    let separator = if location.contains('?') { '&' } else { '?' };
    Ok(format!("{}{separator}digest={digest}", path_of(&location)))
}

fn start_put(host: &str, target: &str, size: u64) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "PUT {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-length: {size}\r\n\r\n"
    )?;
    Ok(stream)
}

fn end_put(mut stream: TcpStream) -> Result<()> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    Ok(())
}

/// Returns the path and query of a location, which may name the host.
fn path_of(location: &str) -> &str {
    let rest = location.split_once("://").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.find('/').map(|at| &rest[at..]))
        .unwrap_or(location)
}

fn version(number: u64, resources: u64, size: u64) -> Version {
    let content = |seed: u64, size: u64| {
        let mut bytes = Vec::new();
        // Writing into memory does not fail.
        let _ = Random::new(seed).write(size, &mut bytes);
        (Digest::sha256(&bytes), bytes)
    };
    let seed = 77 << 40 | number << 8;
    let resources: Vec<_> = (0..resources)
        .map(|resource| content(seed | resource, size))
        .collect();
    let documents = vec![content(seed | 0xfe, 300), content(seed | 0xff, 2500)];
    let entry = |(digest, bytes): &(Digest, Vec<u8>)| (*digest, bytes.len() as u64);
    let layers = documents[1..].iter().chain(&resources).map(entry);
    let manifest = manifest(entry(&documents[0]), layers);
    Version {
        repository: format!("bare/c{number:05}"),
        resources,
        documents,
        manifest,
    }
}

/// Returns a manifest of content, given by digests and sizes in bytes.
fn manifest(config: (Digest, u64), layers: impl Iterator<Item = (Digest, u64)>) -> String {
    let entry = |(digest, size): (Digest, u64)| {
        format!(r#"{{"mediaType":"application/octet-stream","digest":"{digest}","size":{size}}}"#)
    };
    let layers: Vec<String> = layers.map(entry).collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{},"layers":[{}]}}"#,
        entry(config),
        layers.join(",")
    )
}

fn send_all(host: &str, versions: &[Version], way: Way) -> Result<u64> {
    let mut connection = Connection::open(host)?;
    for version in versions {
        let place = format!("/v2/{}", version.repository);
        let manifest = format!("{place}/manifests/1.0.0");
        connection.ask("HEAD", &manifest, "", b"", 404)?;
        for (digest, bytes) in &version.resources {
            connection.ask("HEAD", &format!("{place}/blobs/{digest}"), "", b"", 404)?;
            connection.send(&place, digest, bytes, way)?;
        }
        for (digest, bytes) in &version.documents {
            connection.send(&place, digest, bytes, way)?;
        }
        let bytes = version.manifest.as_bytes();
        connection.ask("PUT", &manifest, MANIFEST_TYPE, bytes, 201)?;
    }
    Ok(connection.requests)
}

/// A connection that is kept.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    requests: u64,
}

impl Connection {
    pub(super) fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: host.to_owned(),
            requests: 0,
        })
    }

    fn send(&mut self, place: &str, digest: &Digest, bytes: &[u8], way: Way) -> Result<()> {
        if way == Way::PostThenPut {
            return self.upload(place, digest, bytes);
        }
        let target = format!("{place}/blobs/uploads/?digest={digest}");
        self.ask("POST", &target, "application/octet-stream", bytes, 201)?;
        Ok(())
    }

    /// Sends a blob in two requests.
    pub(super) fn upload(&mut self, place: &str, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let location = self.ask("POST", &format!("{place}/blobs/uploads/"), "", b"", 202)?;
        let location = location.context("an upload without location")?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{separator}digest={digest}");
        self.ask("PUT", &target, "application/octet-stream", bytes, 201)?;
        Ok(())
    }

    /// Sends a request, and returns the location that the answer has.
    pub(super) fn ask(
        &mut self,
        method: &str,
        target: &str,
        media_type: &str,
        body: &[u8],
        expected: u16,
    ) -> Result<Option<String>> {
        self.requests += 1;
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\ncontent-type: {media_type}\r\n\
             content-length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut location) = (0, None);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "location" => location = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        if method != "HEAD" {
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body)?;
        }
        if status != expected.to_string() {
            return Err(anyhow!("{method} {target} was answered with {status}"));
        }
        Ok(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_paths_or_urls() {
        for location in ["/v2/a?b=c", "http://host:1/v2/a?b=c"] {
            assert_eq!(path_of(location), "/v2/a?b=c");
        }
    }

    #[test]
    fn a_file_is_sent_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for size in [0, 7, CHUNK * 3 + 1] {
            std::fs::write(&path, vec![1; size]).unwrap();
            // It counts itself what came.
            read_and_send(&path, 3).unwrap();
        }
        assert!(read_and_send(&directory.path().join("none"), 3).is_err());
    }
}
