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

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

pub use cli::Cli;

/// Returns the grammar of the command line, for documentation and completion.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a command line and returns its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let stats = stats::Stats::start();
    let parsed = Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, path(&matches))));
    let (cli, path) = match parsed {
        Ok(parsed) => parsed,
        Err(mut error) => {
            cli::suggest_visible_names(&mut error);
            // Help goes to stdout and is a success, anything else is a usage error on stderr.
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            };
            return ExitCode::from(match error.print() {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => exit::FAILED,
                _ => code,
            });
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(source) => {
            let error = anyhow::Error::new(source).context("cannot start");
            return ExitCode::from(error::report(&error, cli.log_format()));
        }
    };
    let code = runtime.block_on(commands::run(cli));
    // Blocking readers of an interrupted command would otherwise hold the process back.
    runtime.shutdown_background();
    if let Some(stats) = stats {
        stats.finish(&path, code);
    }
    ExitCode::from(code)
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
