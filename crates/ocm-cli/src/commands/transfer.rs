//! `ocm transfer component-version | ctf`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use ocm::model::Constraint;
use ocm::oci::CopyOptions;
use ocm::repository::RepositoryRef;
use ocm::transfer::plan::Action;
use ocm::transfer::{
    ExecuteOptions, Inspector, Planner, Policy, Recursion, ResourceCopy, Root, Step,
    TransferOptions, TransferPlan, TransferReport, UploadAs,
};
use ocm::{Resolvers, Use};

use super::Session;
use crate::error::{hinted, usage};
use crate::output::{Columns, Format, bytes, count, data};
use crate::progress::Progress;

/// Copy component versions to another archive or registry
///
/// Local blobs are always copied. Only the access of resources changes; digests and signatures
/// stay as they are. What the target has is not moved again, so that an interrupted transfer is
/// continued by running it again: what it has done is kept.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Component versions to copy, and last the archive or registry that they go to
    #[arg(required = true, num_args = 1.., value_name = "REFERENCE… TARGET")]
    places: Vec<String>,

    /// Only versions that this constraint admits, where a reference names none
    #[arg(
        long,
        short = 'c',
        visible_alias = "constraints",
        value_name = "CONSTRAINT"
    )]
    semver_constraint: Option<Constraint>,

    /// Only the newest version, where a reference names none
    #[arg(long)]
    latest: bool,

    #[command(flatten)]
    shape: Shape,
}

/// Copy everything in an archive to another archive or registry
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ArchiveArgs {
    /// The archive or registry to copy
    source: String,

    /// The archive or registry that everything goes to
    target: String,

    #[command(flatten)]
    shape: Shape,
}

/// What is moved, and how
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Clone, Debug, clap::Args)]
struct Shape {
    /// Also copy what is referred to, all the way down
    #[arg(long, short)]
    recursive: bool,

    /// Copy all resources by value, also images in registries and files on web servers
    #[arg(long, short = 'V')]
    copy_resources: bool,

    /// Copy all sources by value
    #[arg(long)]
    copy_sources: bool,

    /// What resources become that are OCI artifacts
    #[arg(long, short, value_enum, value_name = "KIND")]
    upload_as: Option<Upload>,

    /// Replace component versions that have other content at the target
    #[arg(long, short = 'f')]
    overwrite: bool,

    /// Write component versions as if the target did not have them
    #[arg(long)]
    enforce: bool,

    /// Accepted for the sake of scripts: local blobs are always copied
    #[arg(long, short = 'L', hide = true)]
    copy_local_resources: bool,

    /// Access types that are not copied by value
    #[arg(long, short = 'N', value_delimiter = ',', value_name = "TYPE,…")]
    omit_access_types: Vec<String>,

    /// Copy nothing if a component descriptor breaks a rule of its schema, instead of warning
    #[arg(long)]
    strict: bool,

    /// Print the plan, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// How many blobs move at a time
    #[arg(long, default_value_t = 8, value_name = "N")]
    concurrency_limit: usize,

    /// How to print the plan or the report
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// What resources become that are OCI artifacts
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Upload {
    /// Local blobs of the component version
    #[value(name = "localBlob", alias = "local-blob")]
    LocalBlob,
    /// OCI artifacts beside the components
    #[value(name = "ociArtifact", alias = "oci-artifact")]
    OciArtifact,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let [sources @ .., target] = args.places.as_slice() else {
        return Err(usage("name what to copy and where to"));
    };
    if sources.is_empty() {
        return Err(usage(format!(
            "name what to copy before the target {target}"
        )));
    }
    let mut roots = Vec::new();
    let mut resolvers = None;
    for text in sources {
        let located = session.reference(text).await?;
        let repository = ocm.open(&located.repository, Use::Read).await?;
        if located.digest.is_some() {
            ocm.check_stored_digest(&repository, &located).await?;
        }
        let constraint = args.semver_constraint.as_ref();
        for id in ocm
            .versions(&repository, &located, constraint, args.latest)
            .await?
        {
            roots.push(Root {
                repository: RepositoryRef::clone(&repository),
                id,
            });
        }
        if resolvers.is_none() {
            resolvers = Some(ocm.resolvers(&repository).await?);
        }
    }
    if roots.is_empty() {
        return Err(usage("no version is admitted by the constraint"));
    }
    move_all(roots, resolvers, target, &args.shape, session).await
}

pub(crate) async fn run_archive(args: ArchiveArgs, session: &Session) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let source = ocm
        .open(&session.repository(&args.source)?, Use::Read)
        .await?;
    let roots = Root::all(&source).await?;
    if roots.is_empty() {
        session
            .ui
            .note(&format!("no components in {}", args.source));
    }
    let resolvers = ocm.resolvers(&source).await?;
    move_all(roots, Some(resolvers), &args.target, &args.shape, session).await
}

async fn move_all(
    roots: Vec<Root>,
    resolvers: Option<Resolvers>,
    target: &str,
    shape: &Shape,
    session: &Session,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let ocm = &session.ocm;
    let spec = session.repository(target)?;
    let repository = ocm.open(&spec, Use::Write).await?;
    let rules = super::rules(shape.strict);
    let home = roots.first().map_or(&repository, |root| &root.repository);
    let mut planner = Planner::new(RepositoryRef::clone(&repository))
        .with_options(options(shape, session).await?)
        .with_access(ocm.access_methods(home).await?)
        .with_inspector(Arc::clone(&rules) as Arc<dyn Inspector>);
    if let Some(resolvers) = resolvers {
        planner = planner.with_resolver(Arc::new(resolvers));
    }
    if shape.dry_run || session.ui.shows_progress() {
        planner = planner.measuring();
    }
    let transfer = planner.plan(roots).await.map_err(with_hint)?;
    session.ui.warn_broken(&rules);
    if shape.dry_run {
        return print_plan(transfer.plan(), shape.output, session);
    }
    session.targets.keep(&repository);
    let progress = Progress::start(&session.ui, "transferring");
    progress.plan(transfer.plan());
    let execute = ExecuteOptions {
        copy: CopyOptions::new(shape.concurrency_limit).with_progress(progress.of_copies()),
        progress: progress.of_transfer(),
        ..ExecuteOptions::default()
    };
    let outcome = transfer.execute(&execute).await;
    progress.finish();
    print_report(
        &outcome.map_err(with_hint)?,
        target,
        start.elapsed(),
        shape.output,
        session,
    )
}

/// Joins what the flags say with what is configured; flags win.
async fn options(shape: &Shape, session: &Session) -> anyhow::Result<TransferOptions> {
    use ocm::config::settings::{CopyMode, Recursion as Configured, UploadType};

    let configured = session.ocm.config().await?.transfer()?;
    let by_value = |wanted| {
        if wanted {
            ResourceCopy::All
        } else {
            ResourceCopy::LocalOnly
        }
    };
    let upload = match (shape.upload_as, configured.upload_type) {
        (Some(Upload::OciArtifact), _) | (None, Some(UploadType::OciArtifact)) => {
            UploadAs::OciArtifact
        }
        _ => UploadAs::LocalBlob,
    };
    Ok(TransferOptions {
        recursive: match configured.recursion {
            _ if shape.recursive => Recursion::Unlimited,
            Some(Configured::All) => Recursion::Unlimited,
            Some(Configured::Depth(depth)) => Recursion::Depth(depth),
            _ => Recursion::None,
        },
        copy_resources: by_value(
            shape.copy_resources || configured.copy_mode == Some(CopyMode::AllResources),
        ),
        copy_sources: by_value(shape.copy_sources),
        upload_as: upload,
        existing: match shape {
            Shape { enforce: true, .. } => Policy::Enforce,
            Shape {
                overwrite: true, ..
            } => Policy::Overwrite,
            _ => Policy::Default,
        },
        omit_access_types: shape.omit_access_types.clone(),
    })
}

fn with_hint(error: ocm::transfer::Error) -> anyhow::Error {
    if let ocm::transfer::Error::Conflict { .. } = error {
        return hinted(error, "replace what the target has with --overwrite");
    }
    error.into()
}

fn print_plan(plan: &TransferPlan, format: Format, session: &Session) -> anyhow::Result<()> {
    let text = match format {
        Format::Json => plan.write_json() + "\n",
        Format::Yaml => ocm::model::yaml::to_string(plan)?,
        Format::Ndjson => serde_json::to_string(plan)? + "\n",
        Format::Table | Format::Wide | Format::Tree => {
            let mut columns = Columns::new(&["COMPONENT VERSION", "ACTION", "RESOURCE", "STEP"]);
            for version in &plan.component_versions {
                let id = version.id.to_string();
                if version.resources.is_empty() {
                    columns.row([id.clone(), action(version.action), "-".into(), "-".into()]);
                }
                for resource in &version.resources {
                    columns.row([
                        id.clone(),
                        action(version.action),
                        resource.identity.to_string(),
                        step(&resource.step),
                    ]);
                }
            }
            columns.render()
        }
    };
    session.ui.print(&text)
}

fn step(step: &Step) -> String {
    match step {
        Step::Keep => "keep",
        Step::Present => "present",
        Step::CopyLocalBlob => "copy local blob",
        Step::CopyByValue { .. } => "copy by value",
        Step::UploadArtifact { .. } => "upload as OCI artifact",
    }
    .to_owned()
}

fn action(action: Action) -> String {
    match action {
        Action::Add => "add",
        Action::Update => "update",
        Action::Replace => "replace",
        Action::Skip => "skip",
    }
    .to_owned()
}

fn print_report(
    report: &TransferReport,
    target: &str,
    elapsed: Duration,
    format: Format,
    session: &Session,
) -> anyhow::Result<()> {
    let text = if let Some(text) = data(format, std::slice::from_ref(report))? {
        text
    } else {
        let mut columns = Columns::new(&["COMPONENT VERSION", "OUTCOME"]);
        for version in &report.component_versions {
            let outcome = match version.action {
                Action::Add => "added",
                Action::Update => "updated",
                Action::Replace => "replaced",
                Action::Skip => "skipped",
            };
            columns.row([version.id.to_string(), outcome.to_owned()]);
        }
        columns.render()
    };
    session.ui.print(&text)?;
    for note in &report.notes {
        session.ui.warn(&format!(
            "{} {} of {}: {}",
            note.element, note.identity, note.id, note.text
        ));
    }
    let blobs = &report.blobs;
    session.ui.note(&format!(
        "transferred to {target}: {} added, {} updated, {} replaced, {} skipped; {} copied, {} \
         mounted, {} there already; {} moved in {:.1} s",
        count(report.added, "component version"),
        report.updated,
        report.replaced,
        report.skipped,
        count(blobs.copied, "blob"),
        blobs.mounted,
        blobs.existed,
        bytes(blobs.moved),
        elapsed.as_secs_f64(),
    ));
    std::io::stderr().flush().ok();
    Ok(())
}
