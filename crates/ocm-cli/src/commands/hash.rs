//! `ocm hash component-version`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use ocm::digest::HashAlgorithm;
use ocm::model::{Constraint, NormalisationAlgorithm};
use ocm::oci::CopyOptions;
use ocm::{Digests, HashReport, HashRequest};
use serde::Serialize;

use super::get::find_roots;
use super::{Session, sign};
use crate::error::usage;
use crate::output::{Columns, Format, data};

/// How much content is read at a time.
const PARALLEL: usize = 4;

/// Show the digest of a component version, and the bytes that it is the digest of
///
/// The digest is what a signature covers. Digests of content and of references that the
/// descriptor does not state are computed on the way; nothing is stored unless asked for.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Args {
    /// The component, with or without version, such as `./shop.ctf//acme.org/shop`; or a
    /// repository, for all its components
    #[arg(
        required_unless_present = "repo",
        default_value = "",
        hide_default_value = true
    )]
    reference: String,

    /// The repository that the reference is in
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<String>,

    /// How the descriptor is hashed
    #[arg(long, short = 'H', default_value = "SHA-256", value_name = "ALGORITHM",
        value_parser = sign::hash)]
    hash: HashAlgorithm,

    /// How the descriptor becomes bytes
    #[arg(
        long,
        short = 'N',
        alias = "normalization",
        default_value = "jsonNormalisation/v4alpha1",
        value_name = "ALGORITHM"
    )]
    normalisation: NormalisationAlgorithm,

    /// Take the descriptor as it is stored, and compute no digest that it does not state
    #[arg(long, conflicts_with_all = ["verify", "update"])]
    actual: bool,

    /// Compare content and references with the digests that are stated for them
    #[arg(long, short = 'V')]
    verify: bool,

    /// Store the digests that were missing
    #[arg(long, short = 'U')]
    update: bool,

    /// Also the component versions below
    #[arg(long, short)]
    recursive: bool,

    /// Only versions that this constraint admits
    #[arg(long, short = 'c', alias = "constraints", value_name = "CONSTRAINT")]
    semver_constraint: Option<Constraint>,

    /// Only the newest version
    #[arg(long)]
    latest: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: HashFormat,

    /// Write the normalised form to this file, or, of several, to files in this directory
    #[arg(long, short = 'O', value_name = "PATH")]
    outfile: Option<PathBuf>,
}

/// How digests are printed
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum HashFormat {
    /// Aligned columns
    #[default]
    Table,
    /// Aligned columns, with the normalised form
    Wide,
    /// The digest alone, in hexadecimal
    Value,
    /// The normalised form alone
    Norm,
    /// One JSON document
    #[value(alias = "JSON")]
    Json,
    /// One YAML document
    Yaml,
    /// One JSON document on each line
    Ndjson,
}

/// A digest as data. The names are those of the first Go tool.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    component: &'a str,
    version: &'a str,
    normalisation_algorithm: &'a str,
    hash_algorithm: &'a str,
    hash: String,
    normalized: &'a str,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let to_file = args
        .outfile
        .as_deref()
        .filter(|path| *path != Path::new("-"));
    if to_file.is_some() && args.output != HashFormat::Norm {
        return Err(usage(
            "--outfile takes the normalised form: add `-o norm`".to_owned(),
        ));
    }
    let reference = match &args.repo {
        Some(repository) if args.reference.is_empty() => repository.clone(),
        Some(repository) => format!("{repository}//{}", args.reference),
        None => args.reference.clone(),
    };
    let constraint = args.semver_constraint.as_ref();
    let (repository, ids) = find_roots(&reference, constraint, args.latest, session).await?;
    let request = HashRequest {
        normalisation: args.normalisation,
        hash: args.hash,
        digests: match (args.actual, args.verify) {
            (true, _) => Digests::Stated,
            (false, false) => Digests::Completed,
            (false, true) => Digests::Verified,
        },
        recursive: args.recursive,
        update: args.update,
        copy: CopyOptions::new(PARALLEL),
    };
    if ids.is_empty() {
        session.ui.note(&format!("no versions of {reference}"));
    }
    let mut reports = Vec::new();
    for id in &ids {
        let found = session.ocm.hash(&repository, id, &request).await;
        let found = found.with_context(|| format!("cannot hash {id}"))?;
        reports.extend(found);
    }
    match to_file {
        Some(path) => write_files(&reports, &session.ocm.path(path)),
        None => session.ui.print(&rendered(&reports, args.output)?),
    }
}

fn rendered(reports: &[HashReport], format: HashFormat) -> anyhow::Result<String> {
    let entries = || reports.iter().map(entry);
    let lines = |line: fn(&HashReport) -> String| {
        reports.iter().map(|report| line(report) + "\n").collect()
    };
    let as_data = |format| Ok(data(format, entries())?.unwrap_or_default());
    match format {
        HashFormat::Table => Ok(table(reports, false)),
        HashFormat::Wide => Ok(table(reports, true)),
        HashFormat::Value => Ok(lines(|report| report.digest.to_hex())),
        HashFormat::Norm => Ok(lines(|report| text_of(report).to_owned())),
        HashFormat::Json => as_data(Format::Json),
        HashFormat::Yaml => as_data(Format::Yaml),
        HashFormat::Ndjson => as_data(Format::Ndjson),
    }
}

fn table(reports: &[HashReport], wide: bool) -> String {
    let mut heading = vec!["COMPONENT", "VERSION", "HASH"];
    if wide {
        heading.push("NORMALISED FORM");
    }
    let mut columns = Columns::new(&heading);
    for report in reports {
        let mut row = vec![
            report.component.name.to_string(),
            report.component.version.to_string(),
            report.digest.to_hex(),
        ];
        if wide {
            row.push(text_of(report).to_owned());
        }
        columns.push(row);
    }
    columns.render()
}

fn entry(report: &HashReport) -> Entry<'_> {
    Entry {
        component: report.component.name.as_str(),
        version: report.component.version.as_str(),
        normalisation_algorithm: report.normalised.algorithm().as_str(),
        hash_algorithm: report.digest.algorithm().ocm_name(),
        hash: report.digest.to_hex(),
        normalized: text_of(report),
    }
}

/// The normalised form is JSON, so it is text.
fn text_of(report: &HashReport) -> &str {
    std::str::from_utf8(report.normalised.as_bytes()).unwrap_or_default()
}

/// Writes the exact bytes that are hashed.
fn write_files(reports: &[HashReport], path: &Path) -> anyhow::Result<()> {
    if let [report] = reports {
        return write(path, report.normalised.as_bytes());
    }
    for report in reports {
        let name = format!("{}.ncd", report.component);
        write(&path.join(name), report.normalised.as_bytes())?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let mut file =
        std::fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(content)
        .with_context(|| format!("cannot write {}", path.display()))
}
