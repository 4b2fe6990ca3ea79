//! `ocm add component-version`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use ocm::Use;
use ocm::constructor::build::{BuildOutcome, ConflictPolicy, ExternalPolicy, ReferenceDigests};
use ocm::constructor::template::{Expanded, TemplateError, Undefined, Variables, expand};
use ocm::constructor::{BuildError, BuildOptions, BuildReport, Constructor, construct};
use ocm::ctf::CtfFormat;
use ocm::model::Version;
use ocm::model::yaml::Position;
use ocm::oci::CopyOptions;
use ocm::repository::RepositoryRef;

use super::Session;
use crate::error::{hinted, usage};
use crate::output::{Columns, Documents, Format, bytes, count};
use crate::progress::Progress;

/// The size beyond which a constructor or settings file is refused, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The constructor file that is read when none is named.
const DEFAULT_CONSTRUCTOR: &str = "component-constructor.yaml";

/// Pack the component versions that a constructor describes
///
/// The target is an archive or a registry. An archive that does not exist is created: a directory,
/// or a tar if its name ends in `.tar`, `.tar.gz` or `.tgz`; one that exists is added to. Paths in
/// a constructor are relative to its directory and cannot leave it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Constructor files, and values for variables as `NAME=value`
    #[arg(value_name = "FILE | NAME=VALUE")]
    positionals: Vec<String>,

    /// Where the component versions go
    #[arg(
        long,
        short,
        visible_alias = "file",
        short_alias = 'F',
        default_value = "transport-archive",
        value_name = "REPOSITORY"
    )]
    repository: String,

    /// A constructor file; by default `component-constructor.yaml`
    #[arg(long, short, value_name = "FILE")]
    constructor: Vec<PathBuf>,

    /// Read values for variables from this YAML file; later files win
    #[arg(long, short, value_name = "FILE")]
    settings: Vec<PathBuf>,

    /// What is replaced in constructors
    #[arg(long, value_enum, default_value_t, value_name = "TEMPLATER")]
    templater: Templater,

    /// Refuse variables that are not defined
    #[arg(long)]
    strict_variables: bool,

    /// The version of components that have none in their constructor
    #[arg(long = "version", value_name = "VERSION")]
    default_version: Option<Version>,

    /// What becomes of component versions that exist
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    component_version_conflict_policy: Conflict,

    /// Replace component versions that exist
    #[arg(long, short = 'R', visible_alias = "force", short_alias = 'f')]
    replace: bool,

    /// What becomes of component versions that are referred to and stand elsewhere
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    external_component_version_copy_policy: External,

    /// Do not look up what constructors only refer to, and write no digests for it
    #[arg(long)]
    skip_reference_digest_processing: bool,

    /// How many blobs are packed at a time
    #[arg(long, default_value_t = 4, value_name = "N")]
    concurrency_limit: usize,

    /// Accepted for the sake of scripts: a missing archive is created anyway
    #[arg(long, hide = true)]
    create: bool,

    /// Accepted for the sake of scripts: variables always come from the environment, too
    #[arg(long, hide = true)]
    addenv: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// What is replaced in constructors
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Templater {
    /// `$NAME`, `${NAME}` and `${NAME:-default}`; `$$` is a dollar
    #[default]
    Subst,
    /// Nothing
    None,
}

/// What becomes of component versions that exist
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Conflict {
    /// Nothing is packed at all
    #[default]
    AbortAndFail,
    /// They stay
    Skip,
    /// They are replaced
    Replace,
}

/// What becomes of component versions that stand elsewhere
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum External {
    /// They stay there
    #[default]
    Skip,
    /// They are copied
    CopyOrFail,
}

pub(crate) async fn run(mut args: Args, session: &Session) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let (variables, files) = inputs(&mut args, session)?;
    let spec = session.repository(&args.repository)?;
    // Everything is read before the target is opened, which creates it.
    let mut constructors = Vec::new();
    for file in files {
        let path = ocm.path(&file);
        let constructor = read(&path, &file, &variables, &args, session)?;
        constructors.push((
            path.parent().map(PathBuf::from).unwrap_or_default(),
            constructor,
        ));
    }
    let target = ocm.open(&spec, Use::Write).await?;
    let progress = Progress::start(&session.ui, "packing");
    let mut reports = Vec::new();
    for (directory, constructor) in constructors {
        let mut options = BuildOptions::new(directory);
        options.conflict = match args.component_version_conflict_policy {
            _ if args.replace => ConflictPolicy::Replace,
            Conflict::AbortAndFail => ConflictPolicy::AbortAndFail,
            Conflict::Skip => ConflictPolicy::Skip,
            Conflict::Replace => ConflictPolicy::Replace,
        };
        options.external = match args.external_component_version_copy_policy {
            External::Skip => ExternalPolicy::Skip,
            External::CopyOrFail => ExternalPolicy::CopyOrFail,
        };
        if args.skip_reference_digest_processing {
            options.reference_digests = ReferenceDigests::Skip;
        }
        options.inputs = ocm.input_methods(&target).await?;
        options.access = ocm.access_methods(&target).await?;
        options.resolver = Some(Arc::new(ocm.resolvers(&target).await?));
        options.copy = CopyOptions::new(args.concurrency_limit).with_progress(progress.of_copies());
        options.progress = progress.of_build();
        let built = construct(&constructor, &target, &options).await;
        reports.push(built.map_err(|error| with_hint(error, &args))?);
    }
    progress.finish();
    print(&reports, &target, &args, session).await
}

/// Sorts the positional arguments into values and files.
fn inputs(args: &mut Args, session: &Session) -> anyhow::Result<(Variables, Vec<PathBuf>)> {
    let environment = &session.ocm.environment().vars;
    let mut variables = Variables::new().with_environment(
        environment
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    for file in &args.settings {
        let text = read_text(&session.ocm.path(file), &file.display().to_string())?;
        variables = variables.with_settings(&text, &file.display().to_string())?;
    }
    let mut files = args.constructor.clone();
    for (index, text) in args.positionals.iter().enumerate() {
        let is_archive = || {
            let path = session.ocm.path(text);
            path.is_dir() || CtfFormat::of_name(&path) != CtfFormat::Directory
        };
        if text.contains('=') && !session.ocm.path(text).exists() {
            variables = variables.with_argument(text)?;
        } else if index == 0 && args.positionals.len() > 1 && is_archive() {
            // The first Go tool takes the archive as its first argument.
            args.repository.clone_from(text);
        } else {
            files.push(PathBuf::from(text));
        }
    }
    if files.is_empty() {
        files.push(PathBuf::from(DEFAULT_CONSTRUCTOR));
    }
    Ok((variables, files))
}

fn read_text(path: &std::path::Path, name: &str) -> anyhow::Result<String> {
    let size = std::fs::metadata(path).map(|metadata| metadata.len());
    if size.is_ok_and(|size| size > MAX_FILE) {
        return Err(usage(format!("{name} is larger than {}", bytes(MAX_FILE))));
    }
    std::fs::read_to_string(path).map_err(|error| usage(format!("cannot read {name}: {error}")))
}

fn read(
    path: &std::path::Path,
    file: &std::path::Path,
    variables: &Variables,
    args: &Args,
    session: &Session,
) -> anyhow::Result<Constructor> {
    let origin = file.display().to_string();
    let text = read_text(path, &origin)?;
    let expanded = match args.templater {
        Templater::None => Expanded::verbatim(text),
        Templater::Subst => {
            let undefined = if args.strict_variables {
                Undefined::Refuse
            } else {
                Undefined::Empty
            };
            expand(&text, variables, undefined).map_err(|error| at_place(error, &origin))?
        }
    };
    for (name, place) in &expanded.undefined {
        session.ui.warn(&format!(
            "{origin}:{}:{}: variable {name} is not defined and stands for nothing",
            place.line, place.column
        ));
    }
    let constructor = Constructor::read_with(&expanded, &origin, args.default_version.as_ref())?;
    for warning in &constructor.warnings {
        session.ui.warn(&warning.to_string());
    }
    Ok(constructor)
}

/// Puts the file, and the place in it, before what is wrong there.
fn at_place(error: TemplateError, origin: &str) -> anyhow::Error {
    match error.place() {
        Some(Position { line, column }) => usage(format!("{origin}:{line}:{column}: {error}")),
        None => anyhow::Error::new(error).context(format!("cannot read {origin}")),
    }
}

fn with_hint(error: BuildError, args: &Args) -> anyhow::Error {
    match error {
        BuildError::Exists { .. } => hinted(
            error,
            "keep what is there with --component-version-conflict-policy skip, or overwrite it \
             with --replace",
        ),
        BuildError::NoReference { .. } if args.repository.is_empty() => error.into(),
        BuildError::NoReference { .. } => hinted(
            error,
            "pack it first, or name the repository that has it as a resolver in the configuration",
        ),
        BuildError::Content {
            action: "find" | "read",
            ..
        } if !args.skip_reference_digest_processing => hinted(
            error,
            "--skip-reference-digest-processing packs without looking at what lies elsewhere; it \
             gets no digest then, and no signature covers it",
        ),
        error => error.into(),
    }
}

async fn print(
    reports: &[BuildReport],
    target: &RepositoryRef,
    args: &Args,
    session: &Session,
) -> anyhow::Result<()> {
    let versions = || reports.iter().flat_map(|report| &report.versions);
    for warning in reports.iter().flat_map(|report| &report.warnings) {
        session.ui.warn(&warning.to_string());
    }
    let text = if let Some(mut documents) = Documents::new(args.output) {
        for built in versions() {
            let stored = target.component_version(&built.id).await?;
            documents.push(&stored.descriptor.to_document())?;
        }
        documents.finish()?
    } else {
        let mut columns = Columns::new(&["COMPONENT", "VERSION", "PROVIDER", "OUTCOME"]);
        for built in versions() {
            let outcome = match built.outcome {
                BuildOutcome::Added => "added",
                BuildOutcome::Skipped => "skipped",
                BuildOutcome::Replaced => "replaced",
            };
            columns.row([
                built.id.name.to_string(),
                built.id.version.to_string(),
                built.provider.clone(),
                outcome.to_owned(),
            ]);
        }
        columns.render()
    };
    session.ui.print(&text)?;
    let size: u64 = reports.iter().map(|report| report.size).sum();
    let skipped = versions()
        .filter(|built| built.outcome == BuildOutcome::Skipped)
        .count();
    let rest = match skipped {
        0 => String::new(),
        _ => format!("; {skipped} skipped"),
    };
    session.ui.note(&format!(
        "packed {} with {} of content into {}{rest}",
        count(versions().count() - skipped, "component version"),
        bytes(size),
        args.repository
    ));
    Ok(())
}
