//! `cargo xtask bench`: what the product costs, beside what the machine and other tools can do.
//!
//! Each job is a run of a program as it is delivered, as users run it. A number means something only beside
//! another one of the same run: SHA-256 of the same bytes on one core, a copy of them on the same
//! disk, the same transfer by another tool. The bars are in `jobs`. A bar that is missed is said
//! in the table and is no failure, as other work on the machine decides it too; a job that fails
//! is one.

mod bare;
mod cluster;
mod documents;
mod inputs;
mod jobs;
mod large;
mod layers_tar;
mod layout;
mod limits;
mod machine;
mod process;
mod random;
mod registry;
mod report;
mod serving;
mod sink;
mod sparse_tar;
mod tools;
mod transfers;
mod upgrade;
mod wide_tar;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::inputs::Kind;
use self::jobs::{Bench, JOBS};
use self::report::{Row, time};
use self::tools::Tools;
use crate::dist::{Program, dist};

const USAGE: &str = "\
cargo xtask bench [--quick] [--only JOB] [--write] [--date DATE]

  --quick      a sixteenth of the bytes
  --only JOB   one job, or all whose name starts so
  --write      write what was measured into docs/benchmarks.md
  --date DATE  the date to write, if not today's

Beside ours run regctl, crane, skopeo, registry (distribution) and zot where they are in the PATH,
and the Go ocm where OCM_GO is its path. The jobs `deploy` need the servers of `testbed`, and run the
Go controllers beside ours where OCM_CONTROLLER_GO is their path.
";

const DOCUMENT: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";

/// Runs the jobs that the arguments ask for and prints their table.
#[expect(clippy::print_stdout, reason = "the table is what is asked for")]
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let executable = dist(Program::Cli)?;
    let registry = dist(Program::Registry)?;
    // Beside the profiles in the target directory, so on the disk that builds use.
    let target = executable
        .ancestors()
        .nth(2)
        .context("no target directory")?;
    let work = target.join("bench");
    let tools = Tools::find(executable.clone(), registry, work.join("home"))?;
    let mut bench = Bench::new(tools, work.clone(), options.quick);
    let mut rows = Vec::new();
    for (name, job) in JOBS {
        if options.wants(name) {
            rows.extend(job(&mut bench).with_context(|| format!("job {name}"))?);
        }
    }
    if rows.is_empty() {
        bail!("there is no job `{}`\n\n{}", options.only, list());
    }
    let report = measured(&bench, &rows, &options, &work);
    println!("{report}");
    if options.write {
        write(Path::new(DOCUMENT), &report)?;
    }
    Ok(())
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Options {
    quick: bool,
    write: bool,
    only: String,
    date: Option<String>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .with_context(|| format!("{argument}: of what?"))
            };
            match *argument {
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                "--only" => (*value()?).clone_into(&mut options.only),
                "--date" => options.date = Some((*value()?).to_owned()),
                _ => bail!("{USAGE}\n{}", list()),
            }
        }
        Ok(options)
    }

    fn wants(&self, job: &str) -> bool {
        job.starts_with(&self.only)
    }
}

fn list() -> String {
    let names: Vec<&str> = JOBS.iter().map(|(name, _)| *name).collect();
    format!("Jobs: {}", names.join(", "))
}

/// Writes everything that a run has found out.
fn measured(bench: &Bench, rows: &[Row], options: &Options, work: &Path) -> String {
    let date = options.date.clone().or_else(machine::date);
    let scale = if options.quick { ", `--quick`" } else { "" };
    let mut text = format!(
        "Measured {}{scale} on:\n\n{}\n",
        date.as_deref().unwrap_or("today"),
        machine::describe(work)
    );
    text.push_str("Inputs:\n\n| name | components × resources × size |\n| --- | --- |\n");
    for kind in [
        Kind::Big,
        Kind::Mid,
        Kind::Small,
        Kind::Wide,
        Kind::Versions,
    ] {
        let shape = kind.shape(options.quick).describe();
        let _ = writeln!(text, "| {} | {shape} |", kind.name());
    }
    text.push_str("\n### Limits of the machine\n\n");
    text.push_str("| bytes | SHA-256 | on all cores | copy | hash and copy | PUT |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: |\n");
    for (kind, limits) in bench.limits() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            kind.name(),
            time(limits.hash),
            time(limits.hash_on_all),
            time(limits.copy),
            time(limits.hash_and_copy),
            time(limits.put),
        );
    }
    text.push_str("\n### Jobs\n\n");
    text.push_str(&report::table(rows));
    if rows.iter().any(|row| !row.peers.is_empty()) {
        text.push_str("\n### Other tools\n\n");
        text.push_str(&report::peers(rows));
    }
    let memory = report::memory(bench.registry_memory());
    let _ = writeln!(
        text,
        "\nPeak memory of `ocm serve` in all of this: {memory}."
    );
    text
}

/// Puts what was measured in its place in the document; what is said about it stays.
fn write(path: &Path, report: &str) -> Result<()> {
    let document = fs::read_to_string(path);
    let document = document.with_context(|| format!("cannot read {}", path.display()))?;
    let document = replace(&document, report)
        .with_context(|| format!("{} has no place for what was measured", path.display()))?;
    fs::write(path, document).with_context(|| format!("cannot write {}", path.display()))
}

fn replace(document: &str, report: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{report}\n{END}{after}"))
}

/// Returns a directory of the run.
fn place(work: &Path, names: [&str; 2]) -> PathBuf {
    names
        .iter()
        .fold(work.to_owned(), |path, name| path.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = Options::parse(&["--quick", "--only", "pack", "--date", "2026-11-21"]);
        let options = options.unwrap();
        assert!(options.quick && !options.write);
        assert!(options.wants("pack-big") && !options.wants("push-big"));
        assert_eq!(options.date.as_deref(), Some("2026-11-21"));
        assert!(Options::parse(&["--only"]).is_err());
        assert!(Options::parse(&["--fast"]).is_err());
    }

    #[test]
    fn a_report_replaces_the_one_before_and_nothing_else() {
        let document = format!("# Title\n{BEGIN}old\n{END}\nwhy\n");
        let replaced = replace(&document, "new").unwrap();
        assert_eq!(replaced, format!("# Title\n{BEGIN}\nnew\n{END}\nwhy\n"));
        assert_eq!(replace(&replaced, "new").unwrap(), replaced);
        assert_eq!(replace("# Title\n", "new"), None);
    }
}
