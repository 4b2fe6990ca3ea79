//! The `ocm` command line, as a library so that other programs can run it and read its commands.
//!
//! - `cli`: the grammar; `commands`: a file for each command, which parses, calls one operation of
//!   the façade and prints its result.
//! - [`exit`]: the exit codes; `error`: the one rendering of errors.
//! - `output`, `ui`, `progress`: what the user sees.
//!
//! Nothing here reads files of the model's formats or speaks HTTP.

mod cli;
mod commands;
mod error;
pub mod exit;
mod output;
mod progress;
mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

pub use cli::Cli;

/// Returns the grammar of the command line, for documentation and completion.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a command line and returns its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is a success, anything else is a usage error on stderr.
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            };
            let _ = error.print();
            return ExitCode::from(code);
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
    ExitCode::from(code)
}
