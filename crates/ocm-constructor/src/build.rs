//! Building: from a constructor file to component versions in a repository.
//!
//! First everything is looked at that can fail without a change: cycles, component versions that
//! exist already, references. Then content is added, of all component versions at a time. The
//! descriptors come last, each after those that it refers to, so that a reader never sees one whose
//! content or references are missing.

mod content;
mod external;
mod graph;
mod references;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;
use ocm_model::{ComponentVersionId, Descriptor, DigestSpec};
use ocm_oci::{Moved, Turns};
use ocm_repository::{AccessMethods, CopyOptions, Expected, RepositoryRef};

use self::content::Contents;
use self::references::Referenced;
pub use self::references::Resolver;
use crate::constructor::{Component, Constructor, Problem};
use crate::input::{InputError, InputMethods};
use crate::place::Place;

/// How component versions are built.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The directory that paths of inputs start at, and that none leaves: by custom that of the
    /// constructor file.
    pub directory: PathBuf,
    /// What becomes of component versions that exist.
    pub conflict: ConflictPolicy,
    /// Whether digests are computed of what stands elsewhere.
    pub reference_digests: ReferenceDigests,
    /// Whether component versions from elsewhere are brought along.
    pub external: ExternalPolicy,
    /// The input methods.
    pub inputs: InputMethods,
    /// The ways to content that stands elsewhere.
    pub access: AccessMethods,
    /// Where references are looked up that are neither in the file nor in the target.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// How much is moved at a time.
    pub copy: CopyOptions,
    /// Who is told how it goes.
    pub progress: Arc<dyn BuildProgress>,
}

impl BuildOptions {
    /// Returns the defaults: nothing is overwritten, files and texts are the only inputs.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            conflict: ConflictPolicy::default(),
            reference_digests: ReferenceDigests::default(),
            external: ExternalPolicy::default(),
            inputs: InputMethods::files(),
            access: AccessMethods::new(),
            resolver: None,
            copy: CopyOptions::default(),
            progress: Arc::new(Silent),
        }
    }
}

/// What becomes of a component version that exists in the target.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ConflictPolicy {
    /// Nothing is built at all.
    #[default]
    AbortAndFail,
    /// The existing one stays.
    Skip,
    /// The existing one is replaced.
    Replace,
}

/// Whether digests are computed of what the file only refers to: other component versions, and
/// content behind an access.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReferenceDigests {
    /// They are, and digests in the file must agree.
    #[default]
    Compute,
    /// Nothing is looked up; digests in the file are taken as they are.
    Skip,
}

/// Whether component versions that are referred to, but are not in the target, are brought there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExternalPolicy {
    /// They stay where they are.
    #[default]
    Skip,
    /// They are copied with their local blobs and everything that they refer to.
    CopyOrFail,
}

/// Learns how a build goes. Every method has a default that does nothing.
///
/// How the bytes of a blob move is told to the [`ocm_oci::CopyProgress`] in
/// [`BuildOptions::copy`].
pub trait BuildProgress: fmt::Debug + Send + Sync {
    /// So many component versions are worked on, some of which may be skipped; this content is
    /// going to be added, of the sizes given as far as they are known.
    fn planned(&self, versions: usize, contents: &[Option<u64>]) {
        let _ = (versions, contents);
    }

    /// The content of an element is at the target.
    fn content_added(&self, id: &ComponentVersionId, element: &str, moved: &Moved) {
        let _ = (id, element, moved);
    }

    /// A component version is done with.
    fn version_finished(&self, id: &ComponentVersionId, outcome: BuildOutcome) {
        let _ = (id, outcome);
    }
}

#[derive(Debug)]
struct Silent;

impl BuildProgress for Silent {}

/// What has become of a component version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BuildOutcome {
    /// It is new.
    Added,
    /// It existed and stayed.
    Skipped,
    /// It existed and was replaced.
    Replaced,
}

/// What a build did.
#[derive(Clone, Debug)]
pub struct BuildReport {
    /// The component versions in the order of the file.
    pub versions: Vec<BuiltVersion>,
    /// The component versions from elsewhere that were brought along.
    pub copied: Vec<ComponentVersionId>,
    /// What its user should know, beside the warnings about the file itself.
    pub warnings: Vec<Problem>,
    /// The bytes of all content, whether they had to be moved or not.
    pub size: u64,
}

/// A component version that a build was about.
#[derive(Clone, Debug)]
pub struct BuiltVersion {
    /// What has become of it.
    pub outcome: BuildOutcome,
    /// Its name and version.
    pub id: ComponentVersionId,
    /// The name of who provides it.
    pub provider: String,
}

/// Builds what a constructor file asks for.
///
/// # Errors
///
/// Something cannot be built. What concerns the file as a whole is found before anything is
/// written; later errors leave content behind that no component version names, and that running
/// the build again uses.
///
/// # Cancellation
///
/// Dropping the future leaves whole component versions only.
pub async fn construct(
    constructor: &Constructor,
    target: &RepositoryRef,
    options: &BuildOptions,
) -> Result<BuildReport, BuildError> {
    let build = Build {
        components: &constructor.components,
        target,
        options,
    };
    let levels = graph::levels(&constructor.components)?;
    let existing = build.existing().await?;
    let referenced = build.referenced().await?;
    let mut contents = build.add_contents(&existing).await?;
    let mut warnings = Vec::new();
    let mut size = 0;
    for content in contents.iter_mut().flatten() {
        warnings.append(&mut content.warnings);
        size += content.size;
    }
    let copied = build.copy_externals(&referenced).await?;
    let versions = build
        .write(&levels, &existing, &referenced, contents)
        .await?;
    target
        .commit()
        .await
        .map_err(|source| BuildError::Repository {
            action: "write",
            what: target.location(),
            source,
        })?;
    Ok(BuildReport {
        versions,
        copied,
        warnings,
        size,
    })
}

/// One run: what is built, where to, and how.
#[derive(Clone, Copy)]
struct Build<'a> {
    components: &'a [Component],
    target: &'a RepositoryRef,
    options: &'a BuildOptions,
}

impl Build<'_> {
    /// Asks the target which component versions it has; fails if it must have none.
    async fn existing(&self) -> Result<Vec<Option<Digest>>, BuildError> {
        let asked = self.components.iter().map(|component| async move {
            let stored = self.target.stored_digest(&component.id).await;
            stored.map_err(|source| BuildError::Repository {
                action: "look for",
                what: component.id.to_string(),
                source,
            })
        });
        let existing: Vec<Option<Digest>> = stream::iter(asked)
            .buffered(self.options.copy.parallel())
            .try_collect()
            .await?;
        if self.options.conflict == ConflictPolicy::AbortAndFail {
            let found = self.components.iter().zip(&existing);
            let ids: Vec<ComponentVersionId> = found
                .filter(|(_, stored)| stored.is_some())
                .map(|(component, _)| component.id.clone())
                .collect();
            if !ids.is_empty() {
                let location = self.target.location();
                return Err(BuildError::Exists { ids, location });
            }
        }
        Ok(existing)
    }

    fn outcome(&self, existing: Option<Digest>) -> BuildOutcome {
        match (existing, self.options.conflict) {
            (None, _) => BuildOutcome::Added,
            (Some(_), ConflictPolicy::Skip) => BuildOutcome::Skipped,
            (Some(_), _) => BuildOutcome::Replaced,
        }
    }

    /// Adds the content of all component versions that are not skipped.
    async fn add_contents(
        &self,
        existing: &[Option<Digest>],
    ) -> Result<Vec<Option<Contents>>, BuildError> {
        let built: Vec<bool> = existing
            .iter()
            .map(|stored| self.outcome(*stored) != BuildOutcome::Skipped)
            .collect();
        let planned = self.components.iter().zip(&built);
        let planned = planned.filter(|(_, built)| **built);
        let sizes = planned.map(|(component, _)| content::sizes(component, *self));
        let sizes: Vec<Vec<Option<u64>>> = stream::iter(sizes)
            .buffered(self.options.copy.parallel())
            .collect()
            .await;
        self.options
            .progress
            .planned(self.components.len(), &sizes.concat());
        let turns = Turns::new();
        let added = self.components.iter().zip(built).map(|(component, built)| {
            let turn = turns.next();
            async move {
                if built {
                    content::add(component, *self, turn).await.map(Some)
                } else {
                    turn.pass();
                    Ok(None)
                }
            }
        });
        stream::iter(added)
            .buffered(self.options.copy.parallel())
            .try_collect()
            .await
    }

    /// Writes the descriptors, each after those that it refers to.
    async fn write(
        &self,
        levels: &[Vec<usize>],
        existing: &[Option<Digest>],
        referenced: &Referenced,
        mut contents: Vec<Option<Contents>>,
    ) -> Result<Vec<BuiltVersion>, BuildError> {
        let mut digests = referenced.digests();
        let mut done: BTreeMap<usize, BuiltVersion> = BTreeMap::new();
        for level in levels {
            let known = &digests;
            let written = level.iter().map(|&index| {
                // Of thousands, only those that are being written are in memory twice.
                let contents = contents[index].take();
                async move {
                    let written = self.write_one(index, existing[index], contents, known);
                    let (version, digest) = written.await?;
                    Ok::<_, BuildError>((index, version, digest))
                }
            });
            let written: Vec<(usize, BuiltVersion, DigestSpec)> = stream::iter(written)
                .buffered(self.options.copy.parallel())
                .try_collect()
                .await?;
            for (index, version, digest) in written {
                let BuiltVersion { id, outcome, .. } = &version;
                self.options.progress.version_finished(id, *outcome);
                digests.insert(id.clone(), digest);
                done.insert(index, version);
            }
        }
        Ok(done.into_values().collect())
    }

    async fn write_one(
        &self,
        index: usize,
        existing: Option<Digest>,
        contents: Option<Contents>,
        digests: &BTreeMap<ComponentVersionId, DigestSpec>,
    ) -> Result<(BuiltVersion, DigestSpec), BuildError> {
        let component = &self.components[index];
        let outcome = self.outcome(existing);
        let failed = |action| {
            move |source| BuildError::Repository {
                action,
                what: component.id.to_string(),
                source,
            }
        };
        let descriptor = if let Some(contents) = contents {
            let descriptor = self.describe(component, &contents, digests)?;
            let expected = existing.map_or(Expected::Absent, Expected::Stored);
            let put = self.target.put(&descriptor, expected).await;
            put.map_err(failed("write"))?;
            descriptor
        } else {
            let stored = self.target.component_version(&component.id).await;
            stored.map_err(failed("read"))?.descriptor
        };
        let version = BuiltVersion {
            outcome,
            id: component.id.clone(),
            provider: descriptor.provider().name,
        };
        Ok((version, references::digest_of(&descriptor)))
    }

    fn describe(
        &self,
        component: &Component,
        contents: &Contents,
        digests: &BTreeMap<ComponentVersionId, DigestSpec>,
    ) -> Result<Descriptor, BuildError> {
        let ComponentVersionId { name, version } = component.id.clone();
        let mut descriptor = Descriptor::new(name, version, &component.provider);
        descriptor.set_labels(&component.labels);
        if let Some(time) = &component.creation_time {
            descriptor.set_creation_time(time);
        }
        for source in &contents.sources {
            descriptor.push_source(source);
        }
        for resource in &contents.resources {
            descriptor.push_resource(resource);
        }
        for entry in &component.references {
            let mut reference = entry.element.clone();
            if self.options.reference_digests == ReferenceDigests::Compute {
                reference.digest = references::checked(entry, digests)?;
            }
            descriptor.push_reference(&reference);
        }
        Ok(descriptor)
    }
}

/// Why component versions could not be built.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum BuildError {
    /// Component versions refer to each other in a circle.
    #[error("{place}: component versions refer to each other in a circle: {path}")]
    Cycle { place: Place, path: String },

    /// The target has component versions that are not to be overwritten.
    #[error("already in {location}: {}", listed(.ids))]
    Exists {
        ids: Vec<ComponentVersionId>,
        location: String,
    },

    /// A referenced component version is nowhere to be found.
    #[error("{place}: component version {id} is neither in this file nor in {searched}")]
    NoReference {
        place: Place,
        id: ComponentVersionId,
        searched: String,
    },

    /// A digest in the file is not that of what it stands for.
    #[error("{place}: {what} has the digest {actual}, not {expected} as given")]
    DigestMismatch {
        place: Place,
        what: String,
        expected: String,
        actual: String,
    },

    /// An input could not be processed.
    #[error(transparent)]
    Input(#[from] InputError),

    /// The content of an element could not be read or stored.
    #[error("{place}: cannot {action} the content of `{element}`")]
    Content {
        place: Place,
        action: &'static str,
        element: String,
        #[source]
        source: ocm_repository::Error,
    },

    /// A repository has failed.
    #[error("cannot {action} {what}")]
    Repository {
        action: &'static str,
        what: String,
        #[source]
        source: ocm_repository::Error,
    },
}

fn listed(ids: &[ComponentVersionId]) -> String {
    let texts: Vec<String> = ids.iter().map(ComponentVersionId::to_string).collect();
    texts.join(", ")
}

/// Prints a digest with what it was computed by.
fn printed(digest: &DigestSpec) -> String {
    let DigestSpec {
        hash_algorithm,
        normalisation_algorithm,
        value,
    } = digest;
    format!("{hash_algorithm}:{value} ({normalisation_algorithm})")
}
