//! `cargo xtask test`: what must hold before a change is shared.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::metadata::Metadata;
use crate::{generate, layers, links, testbed};

/// Runs all checks, the quick ones first, and stops at the first that fails.
pub(crate) fn test() -> Result<()> {
    step("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    step("layers", layers::check)?;
    step("links", links::check)?;
    // Before the long ones: who lacks Go is told at once.
    step("test bed", || testbed::build().map(drop))?;
    step("lints", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    })?;
    step("lints of each feature", lint_features)?;
    step("generated documents", || generate::generate(true))?;
    step("documentation", || {
        let mut command = cargo_command(&["doc", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        succeed(command)
    })?;
    step("tests", || cargo(&["test", "--workspace", "--all-targets"]))?;
    step("doc tests", || cargo(&["test", "--workspace", "--doc"]))
}

/// Looks at the façade, and what it is made of, with each of its features alone, and with none.
fn lint_features() -> Result<()> {
    let metadata = Metadata::load()?;
    let facade = metadata.packages.iter().find(|it| it.name == "ocm");
    let facade = facade.context("there is no package `ocm`")?;
    let features = facade.features.keys().filter(|name| *name != "default");
    for feature in features.map(String::as_str).chain([""]) {
        let package = ["clippy", "--quiet", "--package", "ocm"];
        let features = ["--no-default-features", "--features", feature];
        let lints = ["--", "-D", "warnings"];
        cargo(&[&package[..], &features, &lints].concat())?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a developer reads along")]
fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    work().with_context(|| format!("{name} failed"))?;
    eprintln!("== {name}: done in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    succeed(cargo_command(arguments))
}

pub(crate) fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

pub(crate) fn succeed(mut command: Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Runs cargo and returns what it prints.
pub(crate) fn output_of_cargo(arguments: &[&str]) -> Result<Vec<u8>> {
    let command = arguments.join(" ");
    let output = cargo_command(arguments)
        .output()
        .with_context(|| format!("cannot run cargo {command}"))?;
    if !output.status.success() {
        bail!(
            "cargo {command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
