//! `ocm get component-version | resources | sources | references`.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use ocm::model::element::{Element, Reference, Resource, Source};
use ocm::model::{ComponentVersionId, Constraint, Descriptor, Identity};
use ocm::repository::{RepositoryRef, StoredVersion};
use ocm::{Located, Rules, Use};
use serde::Serialize;

use super::{Session, tree};
use crate::error::usage;
use crate::output::{Columns, Documents, Format, data};

/// How many tasks read descriptors at a time.
const PARALLEL: usize = 4;

/// How many descriptors one of them reads, at the same time.
const TOGETHER: usize = 4;

/// Show the versions of a component, or one of them
///
/// Prints one line for each version, newest first. As JSON or YAML, the component descriptors
/// are printed as they are stored.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// The component, with or without version, such as `./shop.ctf//acme.org/shop`; or a
    /// repository, for all its components
    reference: String,

    /// Only versions that this constraint admits
    #[arg(long, short = 'c', value_name = "CONSTRAINT")]
    semver_constraint: Option<Constraint>,

    /// Only the newest version
    #[arg(long)]
    latest: bool,

    /// Follow references
    #[arg(long, short)]
    recursive: bool,

    /// Fail if a component descriptor breaks a rule of its schema; without it, what can be used is
    /// shown
    #[arg(long)]
    strict: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// A component version, with where it was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) descriptor: Descriptor,
    pub(crate) repository: RepositoryRef,
}

pub(crate) async fn versions(args: VersionArgs, session: &Session) -> anyhow::Result<()> {
    let constraint = args.semver_constraint.as_ref();
    let (repository, ids) =
        find_roots(&args.reference, Use::Read, constraint, args.latest, session).await?;
    if ids.is_empty() {
        session
            .ui
            .note(&format!("no versions of {}", args.reference));
    }
    let rules = args.strict.then(|| super::rules(true));
    let roots = read_each(&repository, ids, rules.clone());
    if args.output == Format::Tree {
        let roots = roots.try_collect().await?;
        let forest = tree::grow(&session.ocm, roots, args.recursive, rules).await?;
        return session.ui.print(&tree::render(&forest));
    }
    let mut listing = Listing::new(args.output);
    if args.recursive {
        let roots = roots.try_collect().await?;
        let forest = tree::grow(&session.ocm, roots, true, rules).await?;
        for version in tree::flatten(forest) {
            listing.push(&version)?;
        }
    } else {
        // There may be thousands, so none is kept longer than it takes to say what is in it.
        let mut roots = std::pin::pin!(roots);
        while let Some(version) = roots.try_next().await? {
            listing.push(&version)?;
        }
    }
    session.ui.print(&listing.finish()?)
}

/// Component versions on their way to the user, in one of the formats that have no branches.
enum Listing {
    Rows { columns: Columns, wide: bool },
    Data(Documents),
}

impl Listing {
    fn new(format: Format) -> Self {
        let narrow = ["COMPONENT", "VERSION", "PROVIDER"];
        let wide = [
            "RESOURCES",
            "SOURCES",
            "REFERENCES",
            "SIGNATURES",
            "REPOSITORY",
        ];
        match Documents::new(format) {
            Some(documents) => Self::Data(documents),
            None if format == Format::Wide => Self::Rows {
                columns: Columns::new(&[&narrow[..], &wide[..]].concat()),
                wide: true,
            },
            None => Self::Rows {
                columns: Columns::new(&narrow),
                wide: false,
            },
        }
    }

    fn push(&mut self, version: &Read) -> anyhow::Result<()> {
        match self {
            Self::Data(documents) => documents.push(&version.descriptor.to_document())?,
            Self::Rows { columns, wide } => {
                let descriptor = &version.descriptor;
                let id = descriptor.id();
                let mut row = vec![
                    id.name.to_string(),
                    id.version.to_string(),
                    descriptor.provider().name,
                ];
                if *wide {
                    row.extend(version.details());
                }
                columns.push(row);
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<String> {
        match self {
            Self::Data(documents) => documents.finish(),
            Self::Rows { columns, .. } => Ok(columns.render()),
        }
    }
}

impl Read {
    /// Takes a component version as it was read, if it passes.
    pub(crate) fn new(
        repository: RepositoryRef,
        stored: StoredVersion,
        rules: Option<&Rules>,
    ) -> Result<Self, ocm::Error> {
        rules.map_or(Ok(()), |rules| rules.check(&stored))?;
        Ok(Self {
            descriptor: stored.descriptor,
            repository,
        })
    }

    /// Returns the cells that only a wide table has.
    fn details(&self) -> [String; 5] {
        let descriptor = &self.descriptor;
        let signatures = descriptor.signatures().into_iter();
        let signatures: Vec<String> = signatures.map(|signature| signature.name).collect();
        let signatures = if signatures.is_empty() {
            "-".to_owned()
        } else {
            signatures.join(",")
        };
        [
            descriptor.resources().len().to_string(),
            descriptor.sources().len().to_string(),
            descriptor.references().len().to_string(),
            signatures,
            self.repository.location(),
        ]
    }
}

/// Returns what the reference means: versions of a component, or of all in a repository.
pub(crate) async fn find_roots(
    reference: &str,
    usage: Use,
    constraint: Option<&Constraint>,
    latest: bool,
    session: &Session,
) -> anyhow::Result<(RepositoryRef, Vec<ComponentVersionId>)> {
    let ocm = &session.ocm;
    Ok(match session.reference(reference).await {
        Ok(located) => {
            let repository = ocm.open(&located.repository, usage).await?;
            let ids = ocm
                .versions(&repository, &located, constraint, latest)
                .await?;
            if located.digest.is_some() {
                ocm.check_stored_digest(&repository, &located).await?;
            }
            (repository, ids)
        }
        Err(error) => {
            let Ok(spec) = session.repository(reference) else {
                return Err(error.into());
            };
            let repository = match ocm.open(&spec, usage).await {
                // It is no repository either.
                Err(ocm::Error::Address(_)) => return Err(error.into()),
                opened => opened?,
            };
            let mut ids = Vec::new();
            for component in repository.components().await? {
                ids.extend(
                    ocm.versions_of(&repository, &component, constraint, latest)
                        .await?,
                );
            }
            (repository, ids)
        }
    })
}

/// Reads descriptors in parallel, in the order of their identifiers. A task reads a few of them, so
/// that decoding uses all processors, and handing over costs little for each.
fn read_each(
    repository: &RepositoryRef,
    ids: Vec<ComponentVersionId>,
    rules: Option<Arc<Rules>>,
) -> impl Stream<Item = anyhow::Result<Read>> {
    let repository = RepositoryRef::clone(repository);
    let tasks = stream::iter(ids).chunks(TOGETHER).map(move |ids| {
        let repository = RepositoryRef::clone(&repository);
        let rules = rules.clone();
        tokio::spawn(async move {
            let read = |id| {
                let repository = RepositoryRef::clone(&repository);
                let rules = rules.as_deref();
                async move {
                    let stored = repository.component_version(&id).await?;
                    anyhow::Ok(Read::new(repository, stored, rules)?)
                }
            };
            let reads = stream::iter(ids).map(read).buffered(TOGETHER);
            reads.collect::<Vec<_>>().await
        })
    });
    tasks.buffered(PARALLEL).flat_map(|joined| {
        stream::iter(joined.unwrap_or_else(|panicked| vec![Err(panicked.into())]))
    })
}

/// Show what a component version consists of
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ElementArgs {
    /// The component version, such as `./shop.ctf//acme.org/shop:1.0.0`
    reference: String,

    /// Only elements of this name, or with this `key=value` in their identity
    selectors: Vec<String>,

    /// Also those of the component versions below
    #[arg(long, short)]
    recursive: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

pub(crate) async fn resources(args: ElementArgs, session: &Session) -> anyhow::Result<()> {
    let heading = ["NAME", "VERSION", "IDENTITY", "TYPE", "RELATION"];
    let wide = ["ACCESS", "DIGEST"];
    elements(
        args,
        session,
        (&heading, &wide),
        Descriptor::resources,
        |resource: &Resource| {
            let relation = resource.relation.map(|relation| relation.to_string());
            let access = resource
                .access
                .as_ref()
                .map(|access| access.type_text().to_owned());
            let digest = resource.digest.as_ref().map(|digest| digest.value.clone());
            (
                vec![
                    resource.name.clone(),
                    resource.version.to_string(),
                    extra(&resource.extra_identity),
                    resource.r#type.clone(),
                    relation.unwrap_or_default(),
                ],
                vec![access.unwrap_or_default(), digest.unwrap_or_default()],
            )
        },
    )
    .await
}

pub(crate) async fn sources(args: ElementArgs, session: &Session) -> anyhow::Result<()> {
    let heading = ["NAME", "VERSION", "IDENTITY", "TYPE"];
    elements(
        args,
        session,
        (&heading, &["ACCESS"]),
        Descriptor::sources,
        |source: &Source| {
            let access = source
                .access
                .as_ref()
                .map(|access| access.type_text().to_owned());
            (
                vec![
                    source.name.clone(),
                    source.version.to_string(),
                    extra(&source.extra_identity),
                    source.r#type.clone(),
                ],
                vec![access.unwrap_or_default()],
            )
        },
    )
    .await
}

pub(crate) async fn references(args: ElementArgs, session: &Session) -> anyhow::Result<()> {
    let heading = ["NAME", "COMPONENT", "VERSION", "IDENTITY"];
    let cells = |reference: &Reference| {
        let digest = reference.digest.as_ref().map(|digest| digest.value.clone());
        (
            vec![
                reference.name.clone(),
                reference.component_name.to_string(),
                reference.version.to_string(),
                extra(&reference.extra_identity),
            ],
            vec![digest.unwrap_or_default()],
        )
    };
    elements(
        args,
        session,
        (&heading, &["DIGEST"]),
        Descriptor::references,
        cells,
    )
    .await
}

/// Prints the elements of one kind: `of` takes them from a descriptor, `cells` are the columns of
/// one, those of the wide table apart.
async fn elements<E: Element + Serialize>(
    args: ElementArgs,
    session: &Session,
    (heading, wide): (&[&'static str], &[&'static str]),
    of: impl Fn(&Descriptor) -> Vec<E>,
    cells: impl Fn(&E) -> (Vec<String>, Vec<String>),
) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let located = session.reference(&args.reference).await?;
    let repository = ocm.open(&located.repository, Use::Read).await?;
    let id = ocm.one_version(&repository, &located).await?;
    if located.digest.is_some() {
        let version = Some(id.version.clone());
        let located = Located { version, ..located };
        ocm.check_stored_digest(&repository, &located).await?;
    }
    let root = read_each(&repository, vec![id], None).try_collect().await?;
    let versions = tree::flatten(tree::grow(ocm, root, args.recursive, None).await?);
    let selector = selector(&args.selectors)?;

    let found: Vec<(&Read, E)> = versions
        .iter()
        .flat_map(|version| {
            of(&version.descriptor)
                .into_iter()
                .map(move |element| (version, element))
        })
        .filter(|(_, element)| element.identity().matches(&selector))
        .collect();
    if found.is_empty() {
        session.ui.note("no elements found");
    }
    let elements: Vec<&E> = found.iter().map(|(_, element)| element).collect();
    if let Some(text) = data(args.output, &elements)? {
        return session.ui.print(&text);
    }
    let mut titles: Vec<&'static str> = Vec::new();
    if args.recursive {
        titles.push("COMPONENT VERSION");
    }
    titles.extend(heading);
    if args.output == Format::Wide {
        titles.extend(wide);
    }
    let mut columns = Columns::new(&titles);
    for (version, element) in &found {
        let (narrow, more) = cells(element);
        let mut row = Vec::new();
        if args.recursive {
            row.push(version.descriptor.id().to_string());
        }
        row.extend(narrow);
        if args.output == Format::Wide {
            row.extend(more);
        }
        columns.push(row);
    }
    session.ui.print(&columns.render())
}

/// Reads selectors: a name, or `key=value`.
fn selector(texts: &[String]) -> anyhow::Result<Identity> {
    let mut selector = Identity::new();
    for text in texts {
        let (key, value) = text.split_once('=').unwrap_or((Identity::NAME, text));
        if selector.insert(key, value).is_some() {
            return Err(usage(format!("`{key}` is selected twice")));
        }
    }
    Ok(selector)
}

fn extra(identity: &Identity) -> String {
    if identity.is_empty() {
        "-".to_owned()
    } else {
        identity.to_string()
    }
}
