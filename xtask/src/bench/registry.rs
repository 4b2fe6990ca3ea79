//! The registries that jobs push to and pull from.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::process::Service;
use super::tools::fresh;

/// How often a registry that does not say when it is ready is tried, and at what interval.
const TRIES: u32 = 500;
const INTERVAL: Duration = Duration::from_millis(20);

/// Which registry it is.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// Ours: `ocm serve`.
    Serve(PathBuf),
    /// Ours: `ocm-registry`.
    Registry(PathBuf),
    /// The reference implementation, distribution.
    Distribution(PathBuf),
    /// Zot.
    Zot(PathBuf),
}

impl Program {
    /// Returns how tables name it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Serve(_) => "ocm serve",
            Self::Registry(_) => "ocm-registry",
            Self::Distribution(_) => "distribution",
            Self::Zot(_) => "zot",
        }
    }
}

/// A registry that runs, empty at first. It ends, and its content goes, when this is dropped.
#[derive(Debug)]
pub(crate) struct Registry {
    service: Option<Service>,
    /// The host and port to reach it at.
    pub(crate) host: String,
    directory: PathBuf,
}

impl Registry {
    /// Starts a registry whose content is in a directory that is emptied first.
    pub(crate) fn start(program: &Program, directory: PathBuf) -> Result<Self> {
        fresh(&directory)?;
        let (service, host) = match program {
            Program::Serve(path) => start_ours(Command::new(path).arg("serve"), &directory)?,
            Program::Registry(path) => start_ours(&mut Command::new(path), &directory)?,
            Program::Distribution(path) => start_distribution(path, &directory)?,
            Program::Zot(path) => start_zot(path, &directory)?,
        };
        Ok(Self {
            service: Some(service),
            host,
            directory,
        })
    }

    /// Returns the peak of its memory so far, in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.service.as_ref()?.memory()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.service.take());
        // What cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Starts ours over a directory or an archive.
pub(crate) fn start_ours(command: &mut Command, directory: &Path) -> Result<(Service, String)> {
    command.arg(directory);
    command.args(["--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    let mut service = Service::start(command)?;
    let errors = service.stderr().context("standard error is a pipe")?;
    let mut lines = BufReader::new(errors).lines();
    let mut printed = String::new();
    for line in lines.by_ref() {
        let line = line?;
        if let Some(host) = host_of(&line) {
            let host = host.to_owned();
            // Somebody must read on, or the registry stops when the pipe is full.
            thread::spawn(move || lines.for_each(drop));
            return Ok((service, host));
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    Err(anyhow!("the registry did not start:\n{printed}"))
}

/// Reads the host off `listening on http://127.0.0.1:5001`.
fn host_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| c.is_whitespace() || c == '/' || c == '"');
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn start_distribution(program: &Path, directory: &Path) -> Result<(Service, String)> {
    let address = free_address()?;
    let content = directory.join("content");
    let configuration = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: {address}\n",
        content.display()
    );
    start_configured(program, directory, "config.yml", &configuration, address)
}

fn start_zot(program: &Path, directory: &Path) -> Result<(Service, String)> {
    let address = free_address()?;
    let configuration = serde_json::json!({
        "storage": { "rootDirectory": directory.join("content") },
        "http": { "address": address.ip(), "port": address.port().to_string() },
        "log": { "level": "error", "output": "/dev/null" },
    });
    start_configured(
        program,
        directory,
        "config.json",
        &configuration.to_string(),
        address,
    )
}

/// Starts a registry with a file of its configuration, and waits until it listens.
fn start_configured(
    program: &Path,
    directory: &Path,
    name: &str,
    configuration: &str,
    address: SocketAddr,
) -> Result<(Service, String)> {
    let path = directory.join(name);
    fs::write(&path, configuration)?;
    let mut command = Command::new(program);
    command.arg("serve").arg(&path);
    command.env("OTEL_TRACES_EXPORTER", "none");
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let service = Service::start(&mut command)?;
    for _ in 0..TRIES {
        if TcpStream::connect(address).is_ok() {
            return Ok((service, address.to_string()));
        }
        thread::sleep(INTERVAL);
    }
    Err(anyhow!("{} does not answer", program.display()))
}

/// Returns an address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_from_what_the_registry_prints() {
        let hosts = [
            "listening on http://127.0.0.1:5001",
            "info: listening on http://127.0.0.1:5001/ (3 repositories)",
            r#"{"message":"listening on http://127.0.0.1:5001"}"#,
        ];
        for line in hosts {
            assert_eq!(host_of(line), Some("127.0.0.1:5001"), "{line}");
        }
        assert_eq!(host_of("starting"), None);
    }
}
