//! `ocm hash component-version`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use ocm::digest::HashAlgorithm;
use ocm::model::{Constraint, NormalisationAlgorithm};
use ocm::oci::CopyOptions;
use ocm::{ComponentHash, Digests, HashRequest, Use};
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
    let usage = if args.update { Use::Change } else { Use::Read };
    let (repository, ids) = find_roots(&reference, usage, constraint, args.latest, session).await?;
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
    let mut hashes = Vec::new();
    let mut unchecked = Vec::new();
    for id in &ids {
        let report = session.ocm.hash(&repository, id, &request).await;
        let report = report.with_context(|| format!("cannot hash {id}"))?;
        hashes.extend(report.hashes);
        unchecked.extend(report.unchecked);
    }
    match to_file {
        Some(path) => write_files(&hashes, &session.ocm.path(path)).await?,
        None => session.ui.print(&rendered(&hashes, args.output)?)?,
    }
    session.ui.warn_unchecked(&unchecked);
    Ok(())
}

fn rendered(hashes: &[ComponentHash], format: HashFormat) -> anyhow::Result<String> {
    let entries = || hashes.iter().map(entry);
    let lines =
        |line: fn(&ComponentHash) -> String| hashes.iter().map(|hash| line(hash) + "\n").collect();
    let as_data = |format| Ok(data(format, entries())?.unwrap_or_default());
    match format {
        HashFormat::Table => Ok(table(hashes, false)),
        HashFormat::Wide => Ok(table(hashes, true)),
        HashFormat::Value => Ok(lines(|hash| hash.digest.to_hex())),
        HashFormat::Norm => Ok(lines(|hash| text_of(hash).to_owned())),
        HashFormat::Json => as_data(Format::Json),
        HashFormat::Yaml => as_data(Format::Yaml),
        HashFormat::Ndjson => as_data(Format::Ndjson),
    }
}

fn table(hashes: &[ComponentHash], wide: bool) -> String {
    let mut heading = vec!["COMPONENT", "VERSION", "HASH"];
    if wide {
        heading.push("NORMALISED FORM");
    }
    let mut columns = Columns::new(&heading);
    for hash in hashes {
        let mut row = vec![
            hash.component.name.to_string(),
            hash.component.version.to_string(),
            hash.digest.to_hex(),
        ];
        if wide {
            row.push(text_of(hash).to_owned());
        }
        columns.push(row);
    }
    columns.render()
}

fn entry(hash: &ComponentHash) -> Entry<'_> {
    Entry {
        component: hash.component.name.as_str(),
        version: hash.component.version.as_str(),
        normalisation_algorithm: hash.normalised.algorithm().as_str(),
        hash_algorithm: hash.digest.algorithm().ocm_name(),
        hash: hash.digest.to_hex(),
        normalized: text_of(hash),
    }
}

/// The normalised form is JSON, so it is text.
fn text_of(hash: &ComponentHash) -> &str {
    std::str::from_utf8(hash.normalised.as_bytes()).unwrap_or_default()
}

/// Writes the exact bytes that are hashed.
async fn write_files(hashes: &[ComponentHash], path: &Path) -> anyhow::Result<()> {
    if let [hash] = hashes {
        return write(path, hash).await;
    }
    for hash in hashes {
        let name = format!("{}.ncd", hash.component);
        write(&path.join(name), hash).await?;
    }
    Ok(())
}

async fn write(path: &Path, hash: &ComponentHash) -> anyhow::Result<()> {
    let content = hash.normalised.as_bytes().to_vec();
    Ok(ocm::write_file(path, content.into()).await?)
}
