//! The `ocm` command line, as a library so that other programs can run it and read its commands.
//!
//! - `cli`: the grammar; `commands`: a file for each command, which parses, calls one operation of
//!   the façade and prints its result.
//! - [`exit`]: the exit codes; `error`: the one rendering of errors.
//! - `output`, `ui`, `progress`: what the user sees; `stats`: what a command has cost; `targets`:
//!   what stays of one that is interrupted.
//!
//! Nothing here reads files of the model's formats or speaks HTTP.

mod cli;
mod commands;
mod error;
pub mod exit;
mod output;
mod passphrase;
mod progress;
mod stats;
mod targets;
mod ui;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgMatches, CommandFactory as _, Parser};

pub use cli::{Cli, RegistryCli};

/// Returns the grammar of the command line, for documentation and completion.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a command line and returns its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let stats = stats::Stats::start();
    let (cli, matches) = match parse::<Cli>(arguments) {
        Ok(parsed) => parsed,
        Err(mut error) => {
            cli::suggest_visible_names(&mut error);
            return refuse(&error);
        }
    };
    let format = cli.log_format();
    finish(stats, &path(&matches), format, block_on(commands::run(cli)))
}

/// Runs the command line of the registry and returns its exit code.
pub fn registry_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let stats = stats::Stats::start();
    let cli = match parse::<RegistryCli>(arguments) {
        Ok((cli, _)) => cli,
        Err(error) => return refuse(&error),
    };
    let format = cli.global.logformat;
    finish(
        stats,
        "serve",
        format,
        block_on(commands::run_registry(cli)),
    )
}

/// Says what a command has cost, if that is asked for, and returns its exit code.
fn finish(
    stats: Option<stats::Stats>,
    command: &str,
    format: error::LogFormat,
    outcome: anyhow::Result<u8>,
) -> ExitCode {
    let code = outcome.unwrap_or_else(|error| error::report(&error, format));
    if let Some(stats) = stats {
        stats.finish(command, code);
    }
    ExitCode::from(code)
}

fn parse<C: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(C, ArgMatches), clap::Error> {
    let matches = C::command().try_get_matches_from(arguments)?;
    Ok((C::from_arg_matches(&matches)?, matches))
}

/// Prints why there is nothing to run.
fn refuse(error: &clap::Error) -> ExitCode {
    // Help goes to stdout and is a success, anything else is a usage error on stderr.
    let code = if error.use_stderr() {
        exit::USAGE
    } else {
        exit::DONE
    };
    ExitCode::from(match error.print() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => exit::FAILED,
        _ => code,
    })
}

fn block_on(work: impl Future<Output = u8>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let code = runtime.block_on(work);
    // Blocking readers of an interrupted command would otherwise hold the process back.
    runtime.shutdown_background();
    Ok(code)
}

/// Returns the names of the command that is run, such as `transfer component-version`.
fn path(matches: &ArgMatches) -> String {
    let mut names = Vec::new();
    let mut next = matches.subcommand();
    while let Some((name, matches)) = next {
        names.push(name);
        next = matches.subcommand();
    }
    names.join(" ")
}
