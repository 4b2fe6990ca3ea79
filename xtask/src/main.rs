//! The project's own commands: `cargo xtask <command>`.
//!
//! `test` runs everything that must hold before a change is shared; the other commands are its
//! parts, or make things that are checked in.

mod bench;
mod dist;
mod elf;
mod generate;
mod image;
mod layers;
mod links;
mod metadata;
mod run;
mod testbed;

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Result, bail};

use dist::Program;

const USAGE: &str = "\
cargo xtask <command>

  test      formatting, lints, layers, all tests and documentation
  layers    which crate uses which, and which crates are banned
  testbed   build the servers that tests talk to, once; prints their folder
  links     whether the links between documents lead somewhere
  generate [--check]
            write docs/reference, or fail if it is not current
  dist [ocm-registry|ocm-controllers]
            build the program that is delivered: ocm, or another one; prints its path
  image [ocm-registry|ocm-controllers] --binary PATH --output IMAGE.tar[.gz]
            write an OCI image layout that holds such a binary
  bench     measure the programs that are delivered; `bench --help` says how
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => run::test(),
        ["layers"] => layers::check(),
        ["links"] => links::check(),
        ["generate"] => generate::generate(false),
        ["generate", "--check"] => generate::generate(true),
        ["testbed"] => print_path(&testbed::build()?),
        ["dist"] => print_path(&dist::dist(Program::Cli)?),
        ["dist", program] => print_path(&dist::dist(Program::named(program)?)?),
        ["image", "--binary", binary, "--output", output] => {
            image::image(Program::Cli, Path::new(binary), Path::new(output))
        }
        ["image", program, "--binary", binary, "--output", output] => {
            let program = Program::named(program)?;
            image::image(program, Path::new(binary), Path::new(output))
        }
        ["bench", arguments @ ..] => bench::run(arguments),
        _ => bail!("{USAGE}"),
    }
}

/// Scripts read it.
fn print_path(path: &Path) -> Result<()> {
    Ok(writeln!(io::stdout(), "{}", path.display())?)
}
