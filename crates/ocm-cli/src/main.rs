//! The `ocm` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ocm_cli::main(std::env::args_os())
}
