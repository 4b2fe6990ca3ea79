//! `cargo xtask dist`: a release binary, one file that needs nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::elf;
use crate::run::cargo_command;

/// What has to be said of a static build that does not link.
const STATIC_HINT: &str = "cannot build the release binary; if it is the linker that fails, it misses the static C library \
                           (libc.a: package libc6-dev or glibc-static)";

/// How programs are built that are delivered: as small and fast as they get, however long that takes.
const PROFILE: &str = "dist";

/// A program that is delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Program {
    /// The command line.
    Cli,
    /// The registry alone.
    Registry,
    /// The controllers.
    Controllers,
}

impl Program {
    const ALL: [Self; 3] = [Self::Cli, Self::Registry, Self::Controllers];

    /// Returns the program of a name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|it| it.name() == name);
        named.with_context(|| format!("there is no program {name} to deliver"))
    }

    /// What the binary is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cli => "ocm",
            Self::Registry => "ocm-registry",
            Self::Controllers => "ocm-controllers",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Cli | Self::Registry => "ocm-cli",
            Self::Controllers => "ocm-controllers",
        }
    }
}

/// Builds a binary and returns its path, such as `<target directory>/dist/ocm`.
pub(crate) fn dist(program: Program) -> Result<PathBuf> {
    let host = host()?;
    let is_static = host.contains("-linux-");
    let mut command = cargo_command(&[
        "build",
        "--profile",
        PROFILE,
        "--package",
        program.package(),
        "--bin",
        program.name(),
        "--message-format=json-render-diagnostics",
        "--target",
        &host,
    ]);
    if is_static {
        command.env("RUSTFLAGS", static_flags());
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo build")?;
    if !output.status.success() {
        bail!(
            "{}",
            if is_static {
                STATIC_HINT
            } else {
                "cannot build the release binary"
            }
        );
    }
    let built =
        executable(&output.stdout).context("cargo build has not said where the binary is")?;
    if is_static {
        elf::check_static(&std::fs::read(&built)?)
            .with_context(|| format!("{} is no deliverable", built.display()))?;
    }
    place(&built)
}

/// Puts the binary beside the directories of the targets, so that its path is the same everywhere.
fn place(built: &Path) -> Result<PathBuf> {
    let directory = built
        .ancestors()
        .nth(3)
        .context("the binary stands in no target directory")?
        .join("dist");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let file_name = built.file_name().context("the binary has no name")?;
    let placed = directory.join(file_name);
    // Under another name first: the old one may be running.
    let fresh = placed.with_extension("new");
    std::fs::copy(built, &fresh)
        .and_then(|_| std::fs::rename(&fresh, &placed))
        .with_context(|| format!("cannot write {}", placed.display()))?;
    Ok(placed)
}

fn static_flags() -> OsString {
    let mut flags = std::env::var_os("RUSTFLAGS").unwrap_or_default();
    if !flags.is_empty() {
        flags.push(" ");
    }
    flags.push("-C target-feature=+crt-static");
    flags
}

/// Returns the triple of this machine.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

/// Returns the path of the program that cargo has built, from its messages.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter_map(|message| message.executable)
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_in_the_messages_of_cargo() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","executable":"/t/x86_64/release/ocm"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\n",
        );
        assert_eq!(
            executable(messages.as_bytes()),
            Some("/t/x86_64/release/ocm".into())
        );
        assert_eq!(executable(b"not json\n"), None);
    }
}
