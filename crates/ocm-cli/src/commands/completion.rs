//! `ocm completion`.

use std::io::Write as _;

use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "ocm", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
