//! The `ocm-registry` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ocm_cli::registry_main(std::env::args_os())
}
