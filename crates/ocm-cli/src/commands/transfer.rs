//! `ocm transfer component-version | ctf`.

mod bom;
mod delta;
mod format;
mod parts;
mod show;
mod stored;
mod verified;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use ocm::Resolvers;
use ocm::model::{Constraint, RepositorySpec};
use ocm::oci::CopyOptions;
use ocm::oci::PlatformFilter;
use ocm::repository::RepositoryRef;
use ocm::transfer::{
    ExecuteOptions, Inspector, Planner, Policy, Recursion, ResourceCopy, Root, Transfer,
    TransferOptions, TransferReport, UploadAs,
};

use self::delta::Delta;
use self::format::ArchiveFormat;
use self::parts::PartSize;
use self::verified::Verified;
use super::Session;
use crate::error::{hinted, usage};
use crate::output::Format;
use crate::progress::Progress;

/// Copy component versions to another archive or registry
///
/// Local blobs are always copied. Only the access of resources changes; digests and signatures
/// stay as they are. What the target has is not moved again, so that an interrupted transfer is
/// continued by running it again: what it has done is kept.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Component versions to copy, and last the archive or registry that they go to
    #[arg(required_unless_present = "transfer_spec", num_args = 1..,
        value_name = "REFERENCE… TARGET")]
    places: Vec<String>,

    /// Carry out the plan in this file, or on stdin if it is `-`: what `--dry-run -o json` has
    /// printed, here or by the Go tool. It says what is moved, and how
    #[arg(
        long,
        visible_alias = "plan",
        value_name = "FILE",
        conflicts_with = "places"
    )]
    transfer_spec: Option<String>,

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

    /// The repository that the references are in
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "transfer_spec")]
    repo: Option<String>,

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

    /// Where references are followed, end at what the target has, without comparing it
    #[arg(long, short = 'E')]
    stop_on_existing: bool,

    /// The format of an archive that is made, if it is not the one that its name tells
    #[arg(long = "type", short = 't', value_enum, value_name = "FORMAT")]
    format: Option<ArchiveFormat>,

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

    /// Leave alone what the target has under the same name and version, whatever it is
    #[arg(long, alias = "no-update", conflicts_with_all = ["overwrite", "enforce"])]
    skip_existing: bool,

    /// Accepted for the sake of scripts: local blobs are always copied
    #[arg(long, short = 'L', hide = true)]
    copy_local_resources: bool,

    /// Accepted for the sake of scripts: content goes elsewhere only with `--upload-as`
    #[arg(long, hide = true)]
    disable_uploads: bool,

    /// Access types that are not copied by value
    #[arg(long, short = 'N', value_delimiter = ',', value_name = "TYPE,…")]
    omit_access_types: Vec<String>,

    /// Copy only images of indexes that run on one of these platforms, such as `linux/arm64`
    #[arg(long, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<PlatformFilter>,

    #[command(flatten)]
    verified: Verified,

    /// Leave out of the archive that is written what this has: the file of `ocm state export`, a
    /// file with digests, or another archive or registry
    #[arg(long, value_name = "STATE|ARCHIVE")]
    since: Vec<String>,

    /// Leave out parts of large blobs, too, as far as they are not compressed: what has a chunk in
    /// common with what `--since` names. A state needs chunks for that (`ocm state export --chunks`)
    #[arg(long, requires = "since")]
    chunk_deltas: bool,

    /// Write the archive as `NAME.tar.001` and so on, none larger than this, such as `4GiB`, and a
    /// list of them, `NAME.tar.parts`
    #[arg(long, value_name = "SIZE")]
    split_size: Option<PartSize>,

    /// Look for what is referred to in this repository as well
    #[arg(long, value_name = "REPOSITORY")]
    lookup: Vec<String>,

    /// Copy nothing if a component descriptor breaks a rule of its schema, instead of warning
    #[arg(long)]
    strict: bool,

    /// Write the names and versions of all component versions of the transfer to this file, as JSON,
    /// once the target has them
    #[arg(long, short = 'B', value_name = "FILE")]
    bom_file: Option<PathBuf>,

    /// Print the plan, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// How many blobs move at a time
    #[arg(long, default_value_t = 16, value_name = "N")]
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
    if let Some(file) = &args.transfer_spec {
        return stored::run(file, &args, session).await;
    }
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
    let mut repositories: Vec<(RepositorySpec, RepositoryRef)> = Vec::new();
    let target_spec = args.shape.target(target, session)?;
    for text in sources {
        let located = session.reference_in(args.repo.as_deref(), text).await?;
        let repository = open_once(
            &mut repositories,
            &located.repository,
            &target_spec,
            session,
        );
        let repository = repository.await?;
        if located.digest.is_some() {
            ocm.check_stored_digest(&repository, &located).await?;
        }
        let constraint = args.semver_constraint.as_ref();
        let versions = ocm.versions(&repository, &located, constraint, args.latest);
        let versions = versions.await?;
        if let (Some(constraint), []) = (constraint, versions.as_slice()) {
            let none = ocm::Error::NoneAdmitted {
                component: located.component,
                location: located.repository.to_string(),
                constraint: constraint.to_string(),
            };
            return Err(none.into());
        }
        roots.extend(versions.into_iter().map(|id| Root {
            repository: RepositoryRef::clone(&repository),
            id,
        }));
    }
    let (_, first) = &repositories[0];
    let resolvers = ocm.resolvers(first).await?;
    let places: Vec<RepositorySpec> = repositories.into_iter().map(|(spec, _)| spec).collect();
    move_all(roots, resolvers, &places, target, &args.shape, session).await
}

/// Opens a repository, unless it is open already.
async fn open_once(
    repositories: &mut Vec<(RepositorySpec, RepositoryRef)>,
    wanted: &RepositorySpec,
    target: &RepositorySpec,
    session: &Session,
) -> anyhow::Result<RepositoryRef> {
    if let Some((_, repository)) = repositories.iter().find(|(spec, _)| spec == wanted) {
        return Ok(RepositoryRef::clone(repository));
    }
    let repository = session.ocm.open_source(wanted, target).await?;
    repositories.push((wanted.clone(), RepositoryRef::clone(&repository)));
    Ok(repository)
}

pub(crate) async fn run_archive(args: ArchiveArgs, session: &Session) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let place = session.repository(&args.source)?;
    let target = args.shape.target(&args.target, session)?;
    let source = ocm.open_source(&place, &target).await?;
    let roots = Root::all(&source).await?;
    if roots.is_empty() {
        session
            .ui
            .note(&format!("no components in {}", args.source));
    }
    let resolvers = ocm.resolvers(&source).await?;
    move_all(
        roots,
        resolvers,
        &[place],
        &args.target,
        &args.shape,
        session,
    )
    .await
}

/// Moves component versions that come from `places`; `resolvers` are those of the first.
async fn move_all(
    roots: Vec<Root>,
    resolvers: Resolvers,
    places: &[RepositorySpec],
    target: &str,
    shape: &Shape,
    session: &Session,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let ocm = &session.ocm;
    let spec = shape.target(target, session)?;
    let (repository, delta) = delta::open_target(&spec, shape, session).await?;
    let rules = super::rules(shape.strict);
    let lookup = lookup(places, shape, session)?;
    let resolvers = resolvers.and_in(&lookup);
    let mut planner = Planner::new(repository)
        .with_options(options(shape, session).await?)
        .with_access(ocm.access_methods_among(resolvers.clone()).await?)
        .with_resolver(Arc::new(resolvers))
        .with_inspector(Arc::clone(&rules) as Arc<dyn Inspector>);
    if shape.dry_run || session.ui.shows_progress() {
        planner = planner.measuring();
    }
    let transfer = planner.plan(roots).await;
    let transfer = transfer.map_err(|error| with_hint(error, Origin::Flags))?;
    session.ui.warn_broken(&rules);
    let planned = Planned {
        transfer,
        target: target.to_owned(),
        lookup,
        origin: Origin::Flags,
        delta,
    };
    carry_out(&[planned], start, shape, session).await
}

/// Returns where else what is referred to is looked for: in `places`, then in what `--lookup`
/// names.
fn lookup(
    places: &[RepositorySpec],
    shape: &Shape,
    session: &Session,
) -> anyhow::Result<Vec<RepositorySpec>> {
    let mut all = places.to_vec();
    for text in &shape.lookup {
        all.push(session.repository(text)?);
    }
    Ok(all)
}

/// A transfer to one repository.
struct Planned {
    transfer: Transfer,
    /// The target, as the user calls it.
    target: String,
    /// Where verifying looks for what is referred to.
    lookup: Vec<RepositorySpec>,
    origin: Origin,
    /// What is left out, where a delta archive is written.
    delta: Option<Delta>,
}

/// What a plan was made from, and so what helps if it does not work out.
#[derive(Clone, Copy)]
enum Origin {
    /// The flags of this command.
    Flags,
    /// A plan of ours, which says everything.
    Plan,
    /// A graph of the Go tool, which says everything but the policy.
    Graph,
}

/// Carries plans out, or only shows them. All are verified before the first begins.
async fn carry_out(
    all: &[Planned],
    start: Instant,
    shape: &Shape,
    session: &Session,
) -> anyhow::Result<()> {
    if shape.verified.is_asked() {
        for planned in all {
            shape.verified.check(planned, session).await?;
        }
    }
    if shape.dry_run {
        let plans = all.iter().map(|planned| planned.transfer.plan());
        show::print_plans(&plans.collect::<Vec<_>>(), shape.output, session)?;
        for planned in all {
            delta::preview(planned, shape, session).await?;
        }
        return Ok(());
    }
    let mut done = Vec::new();
    let mut failure = None;
    let mut start = start;
    for planned in all {
        match execute(planned, shape, session).await {
            Ok(report) => done.push(show::Done {
                report,
                target: &planned.target,
                elapsed: start.elapsed(),
            }),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        start = Instant::now();
    }
    if !done.is_empty() {
        show::print_reports(&done, shape.output, session)?;
        for planned in all.iter().take(done.len()) {
            delta::note(planned, session);
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if let Some(file) = &shape.bom_file {
        bom::write(file, done.iter().map(|it| &it.report))?;
    }
    Ok(())
}

/// Carries a plan out.
async fn execute(
    planned: &Planned,
    shape: &Shape,
    session: &Session,
) -> anyhow::Result<TransferReport> {
    let Planned {
        transfer, origin, ..
    } = planned;
    session.targets.keep(transfer.target());
    let progress = Progress::start(&session.ui, "transferring");
    progress.plan(transfer.plan());
    let execute = ExecuteOptions {
        copy: CopyOptions::new(shape.concurrency_limit).with_progress(progress.of_copies()),
        // Small component versions are one blob after another, so that it takes as many of them to
        // have as many blobs under way.
        parallel: shape.concurrency_limit,
        progress: progress.of_transfer(),
    };
    let outcome = transfer.execute(&execute).await;
    progress.finish();
    let report = outcome.map_err(|error| with_hint(error, *origin))?;
    if shape.verified.is_asked() {
        transfer.check_copy().await?;
    }
    Ok(report)
}

/// Returns what happens to what the target has.
const fn policy(shape: &Shape) -> Policy {
    match shape {
        Shape { enforce: true, .. } => Policy::Enforce,
        Shape {
            skip_existing: true,
            ..
        } => Policy::Skip,
        Shape {
            overwrite: true, ..
        } => Policy::Overwrite,
        _ => Policy::Default,
    }
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
        stop_on_existing: shape.stop_on_existing,
        copy_resources: by_value(
            shape.copy_resources || configured.copy_mode == Some(CopyMode::AllResources),
        ),
        copy_sources: by_value(shape.copy_sources),
        upload_as: upload,
        existing: policy(shape),
        omit_access_types: shape.omit_access_types.clone(),
        platforms: shape.platform.clone(),
    })
}

/// Adds what helps.
fn with_hint(error: ocm::transfer::Error, origin: Origin) -> anyhow::Error {
    match hint(&error, origin) {
        Some(hint) => hinted(error, hint),
        None => error.into(),
    }
}

/// Says what helps. A transfer may have begun, so that nothing is said of what is written.
fn hint(error: &ocm::transfer::Error, origin: Origin) -> Option<String> {
    use ocm::transfer::Error;

    Some(match (error, origin) {
        (Error::Conflict { .. }, Origin::Flags | Origin::Graph) => {
            "replace what the target has with --overwrite".to_owned()
        }
        (Error::Conflict { .. }, Origin::Plan) => {
            "plan again with --dry-run --overwrite to replace what the target has".to_owned()
        }
        (Error::BeyondReach { elements }, Origin::Flags | Origin::Plan) => {
            let types: BTreeSet<&str> = elements
                .iter()
                .map(|element| element.access_type.as_str())
                .collect();
            let types = types.into_iter().collect::<Vec<_>>().join(",");
            let flag = format!("--omit-access-types {types}");
            match origin {
                Origin::Plan => {
                    format!("plan again with --dry-run {flag} to leave it where it is")
                }
                _ => format!("leave it where it is with {flag}"),
            }
        }
        (Error::ChangedSince { .. }, Origin::Flags) => "run the command again".to_owned(),
        (Error::ChangedSince { .. }, Origin::Plan | Origin::Graph) => {
            "plan again with --dry-run".to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ocm::transfer::Error;

    use super::{Origin, hint};

    #[test]
    fn hints_fit_what_the_plan_was_made_from() {
        let changed = Error::ChangedSince {
            id: "acme.org/app:1.0.0".parse().unwrap(),
            location: "far".to_owned(),
        };
        let conflict = Error::Conflict {
            target: "far".to_owned(),
            conflicts: Vec::new(),
        };
        let beyond = Error::BeyondReach {
            elements: Vec::new(),
        };
        for (error, origin, start) in [
            (&changed, Origin::Flags, "run the command again"),
            (&changed, Origin::Plan, "plan again"),
            (&changed, Origin::Graph, "plan again"),
            (&conflict, Origin::Flags, "replace"),
            (&conflict, Origin::Plan, "plan again"),
            (&conflict, Origin::Graph, "replace"),
            (&beyond, Origin::Flags, "leave it"),
            (&beyond, Origin::Plan, "plan again"),
        ] {
            let hint = hint(error, origin).unwrap();
            assert!(hint.starts_with(start), "{hint}");
        }
        assert_eq!(hint(&beyond, Origin::Graph), None);
    }
}
