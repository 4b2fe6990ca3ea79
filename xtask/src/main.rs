//! The project's own commands: `cargo xtask <command>`.
//!
//! `test` runs everything that must hold before a change is shared; the other commands are its
//! parts, or make things that are checked in.

mod layers;
mod metadata;
mod run;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask <command>

  test      formatting, lints, layers, all tests and documentation
  layers    which crate uses which, and which crates are banned
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => run::test(),
        ["layers"] => layers::check(),
        _ => bail!("{USAGE}"),
    }
}
