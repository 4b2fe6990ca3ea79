//! The content of resources and sources: made a local blob, or looked up where it stands.

use std::future::Future;

use futures::StreamExt as _;
use futures::stream::{self, TryStreamExt as _};
use ocm_blob::{BlobRef, Counted};
use ocm_digest::HashAlgorithm;
use ocm_model::{Access, ComponentVersionId, DigestSpec, Element, Resource, Source};
use ocm_oci::{CopyOptions, Moved, Turn, Turns, media_type};
use ocm_repository::{AddedContent, Content, record_ownership};

use super::{Build, BuildError, ReferenceDigests, printed};
use crate::constructor::{Component, Entry, InputSpec, OwnershipPolicy, Problem};
use crate::input::{InputContext, InputError, Produced};

/// The elements of a component version, with access and digest.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) resources: Vec<Resource>,
    pub(super) sources: Vec<Source>,
    pub(super) warnings: Vec<Problem>,
    /// The bytes of all local blobs.
    pub(super) size: u64,
}

/// Returns the sizes of the contents that are going to be added, as far as they are known.
pub(super) async fn sizes(component: &Component, build: Build<'_>) -> Vec<Option<u64>> {
    let adder = Adder {
        id: &component.id,
        build,
    };
    let mut sizes = Vec::new();
    for entry in &component.resources {
        if let Some(input) = &entry.input {
            sizes.push(adder.size(entry, input).await);
        }
    }
    for entry in &component.sources {
        if let Some(input) = &entry.input {
            sizes.push(adder.size(entry, input).await);
        }
    }
    sizes
}

/// Makes all inputs of a component version local blobs, and looks up what stands elsewhere.
///
/// It stands in an archive in the order of the file, behind what had its turn before.
pub(super) async fn add(
    component: &Component,
    build: Build<'_>,
    turn: Turn,
) -> Result<Contents, BuildError> {
    let adder = Adder {
        id: &component.id,
        build,
    };
    let parallel = build.options.copy.parallel();
    let turns = Turns::within(Some(&turn));
    let resources = component
        .resources
        .iter()
        .map(|entry| in_turn(turns.next(), |copy| adder.resource(entry, copy), build));
    let resources: Vec<_> = resources.collect();
    let sources = component
        .sources
        .iter()
        .map(|entry| in_turn(turns.next(), |copy| adder.source(entry, copy), build));
    let sources: Vec<_> = sources.collect();
    turns.close();
    let resources: Vec<(Resource, Made)> = stream::iter(resources)
        .buffered(parallel)
        .try_collect()
        .await?;
    let sources: Vec<(Source, Made)> = stream::iter(sources)
        .buffered(parallel)
        .try_collect()
        .await?;
    let mut contents = Contents {
        resources: Vec::new(),
        sources: Vec::new(),
        warnings: Vec::new(),
        size: 0,
    };
    for (resource, made) in resources {
        contents.resources.push(resource);
        contents.size += made.size;
        contents.warnings.extend(made.warnings);
    }
    for (source, made) in sources {
        contents.sources.push(source);
        contents.size += made.size;
        contents.warnings.extend(made.warnings);
    }
    Ok(contents)
}

/// Adds content when it is its turn, and passes the turn on.
async fn in_turn<T, F>(
    turn: Turn,
    add: impl FnOnce(CopyOptions) -> F,
    build: Build<'_>,
) -> Result<T, BuildError>
where
    F: Future<Output = Result<T, BuildError>>,
{
    let added = add(build.options.copy.clone().in_turn(turn.clone())).await?;
    turn.pass();
    Ok(added)
}

/// What came with an element, beside its access and digest.
#[derive(Default)]
struct Made {
    size: u64,
    warnings: Vec<Problem>,
}

impl Made {
    fn warn<E>(&mut self, entry: &Entry<E>, message: impl Into<String>) {
        self.warnings.push(Problem {
            place: entry.place.clone(),
            message: message.into(),
        });
    }

    fn warn_of_owners<E>(&mut self, entry: &Entry<E>, others: &[String]) {
        if !others.is_empty() {
            let others = others.join(", ");
            self.warn(entry, format!("the artifact also belongs to {others}"));
        }
    }
}

/// What is said where ownership cannot be recorded.
const NOT_OWNED: &str =
    "`ownershipPolicy: Always` has no effect, as the content is no OCI artifact";

struct Adder<'a> {
    id: &'a ComponentVersionId,
    build: Build<'a>,
}

impl Adder<'_> {
    async fn resource(
        &self,
        entry: &Entry<Resource>,
        copy: CopyOptions,
    ) -> Result<(Resource, Made), BuildError> {
        let mut made = Made::default();
        let mut resource = entry.element.clone();
        let access = match &entry.input {
            Some(input) => match self.process(entry, input, &copy, &mut made).await? {
                Ok((content, added)) => {
                    let digest = self.agreed(entry, &content, &added.digest).await?;
                    self.own_local(entry, &added, &mut made).await?;
                    resource.access = Some(added.access);
                    if !entry.skips_digest {
                        resource.digest = Some(digest);
                    }
                    return Ok((resource, made));
                }
                Err(access) => Some(access),
            },
            None => resource.access.take(),
        };
        if let Some(access) = access {
            let (access, digest) = self.look_up(entry, access, &mut made).await?;
            self.own_elsewhere(entry, &access, &mut made).await?;
            resource.access = Some(access);
            resource.digest = digest;
        }
        Ok((resource, made))
    }

    /// Records the ownership of an artifact that has become a local blob, if that is asked for.
    async fn own_local(
        &self,
        entry: &Entry<Resource>,
        added: &AddedContent,
        made: &mut Made,
    ) -> Result<(), BuildError> {
        if entry.ownership == OwnershipPolicy::Never {
            return Ok(());
        }
        let is_artifact = added
            .access
            .as_local_blob()
            .is_some_and(|local| media_type::is_manifest(&local.media_type));
        if !is_artifact {
            made.warn(entry, NOT_OWNED);
            return Ok(());
        }
        let identity = entry.element.identity();
        let target = self.build.target;
        let others = target
            .add_ownership(self.id, &added.access, &identity)
            .await
            .map_err(content_error(entry, "record the owner of"))?;
        made.warn_of_owners(entry, &others);
        Ok(())
    }

    /// Records the ownership of an artifact where it stands, if that is asked for.
    async fn own_elsewhere(
        &self,
        entry: &Entry<Resource>,
        access: &Access,
        made: &mut Made,
    ) -> Result<(), BuildError> {
        if entry.ownership == OwnershipPolicy::Never {
            return Ok(());
        }
        let methods = &self.build.options.access;
        let content = match methods.method(access, "recording ownership") {
            Ok(method) => Some(method.content(access).await),
            Err(_) => None,
        };
        let content = content.transpose().map_err(content_error(entry, "read"))?;
        let Some(Content::Artifact(artifact)) = content else {
            made.warn(entry, NOT_OWNED);
            return Ok(());
        };
        let identity = entry.element.identity();
        let others = record_ownership(&artifact, self.id, &identity)
            .await
            .map_err(content_error(entry, "record the owner of"))?;
        made.warn_of_owners(entry, &others);
        Ok(())
    }

    async fn source(
        &self,
        entry: &Entry<Source>,
        copy: CopyOptions,
    ) -> Result<(Source, Made), BuildError> {
        let mut made = Made::default();
        let mut source = entry.element.clone();
        if let Some(input) = &entry.input {
            source.access = Some(match self.process(entry, input, &copy, &mut made).await? {
                Ok((_, added)) => added.access,
                Err(access) => access,
            });
        }
        Ok((source, made))
    }

    fn context<E: Element>(&self, entry: &Entry<E>) -> InputContext {
        InputContext {
            component: self.id.clone(),
            kind: E::KIND,
            name: entry.element.name().to_owned(),
            version: entry.element.version().clone(),
            directory: self.build.options.directory.clone(),
        }
    }

    /// Returns the size of the content of an input, if it is known. What is wrong with it is said
    /// when it is processed.
    async fn size<E: Element>(&self, entry: &Entry<E>, input: &InputSpec) -> Option<u64> {
        let method = self.build.options.inputs.method(input).ok()?;
        method.size(input, &self.context(entry)).await
    }

    /// Processes an input; its content becomes a local blob, unless there is only an access.
    async fn process<E: Element>(
        &self,
        entry: &Entry<E>,
        input: &InputSpec,
        copy: &CopyOptions,
        made: &mut Made,
    ) -> Result<Result<(Content, AddedContent), Access>, BuildError> {
        let options = self.build.options;
        let context = self.context(entry);
        let method = options.inputs.method(input)?;
        let planned = method.size(input, &context).await;
        let result = method.process(input, &context).await?;
        for warning in result.warnings {
            made.warn(entry, warning);
        }
        let content = match result.produced {
            Produced::Access(access) => return Ok(Err(access)),
            Produced::Content(content) => content,
        };
        let reference_name = result.reference_name.as_deref();
        let target = self.build.target;
        let (copy, meter) = copy.metered();
        let added = target
            .add_content(self.id, &content, reference_name, &copy)
            .await
            .map_err(content_error(entry, "store"))?;
        let moved = Moved {
            planned,
            read: meter.bytes(),
            outcome: added.outcome,
        };
        options
            .progress
            .content_added(self.id, entry.element.name(), &moved);
        made.size += added.size;
        Ok(Ok((content, added)))
    }

    /// Pins an access, and computes the digest of what is behind it.
    async fn look_up(
        &self,
        entry: &Entry<Resource>,
        access: Access,
        made: &mut Made,
    ) -> Result<(Access, Option<DigestSpec>), BuildError> {
        let given = entry.element.digest.clone();
        let options = self.build.options;
        let excluded = given.as_ref().is_some_and(DigestSpec::is_excluded);
        let skipped = entry.skips_digest || options.reference_digests == ReferenceDigests::Skip;
        if access.is_none() || excluded || skipped {
            return Ok((access, given));
        }
        if let Err(error) = access.kind() {
            let error = InputError::unusable(entry.place.clone(), error.to_string());
            return Err(BuildError::Input(error));
        }
        let Ok(method) = options.access.method(&access, "computing digests") else {
            if given.is_none() {
                let message = format!(
                    "has no digest, as content with access type `{}` cannot be read",
                    access.type_text()
                );
                made.warn(entry, message);
            }
            return Ok((access, given));
        };
        let access = method
            .pin(&access)
            .await
            .map_err(content_error(entry, "find"))?;
        let content = method
            .content(&access)
            .await
            .map_err(content_error(entry, "read"))?;
        let actual = match &content {
            Content::Artifact(artifact) => DigestSpec::oci_artifact(&artifact.root.digest),
            Content::Blob(blob) => self.hash(entry, blob, wanted(given.as_ref())).await?,
        };
        let digest = self.agreed(entry, &content, &actual).await?;
        Ok((access, Some(digest)))
    }

    /// Returns the digest in the file if there is one; it must be that of the content.
    async fn agreed(
        &self,
        entry: &Entry<Resource>,
        content: &Content,
        actual: &DigestSpec,
    ) -> Result<DigestSpec, BuildError> {
        let Some(given) = &entry.element.digest else {
            return Ok(actual.clone());
        };
        if given.is_excluded() {
            return Ok(given.clone());
        }
        let mut actual = actual.clone();
        if let (Content::Blob(blob), Some(algorithm)) = (content, given.algorithm())
            && Some(algorithm) != actual.algorithm()
            && actual.normalisation_algorithm == DigestSpec::GENERIC_BLOB
        {
            actual = self.hash(entry, blob, algorithm).await?;
        }
        // The normalisation is not compared: an artifact that the Go implementation has digested
        // goes by the name for blobs.
        if actual.digest().is_ok_and(|digest| given.states(&digest)) {
            return Ok(given.clone());
        }
        Err(BuildError::DigestMismatch {
            place: entry.place.clone(),
            what: format!("the content of `{}`", entry.element.name),
            expected: printed(given),
            actual: printed(&actual),
        })
    }

    async fn hash(
        &self,
        entry: &Entry<Resource>,
        blob: &BlobRef,
        algorithm: HashAlgorithm,
    ) -> Result<DigestSpec, BuildError> {
        if let Some(digest) = blob
            .digest()
            .filter(|digest| digest.algorithm() == algorithm)
        {
            return Ok(DigestSpec::generic_blob(&digest));
        }
        let read = async {
            let mut counted = Counted::new(algorithm);
            let mut chunks = blob.open().await?;
            while let Some(chunk) = chunks.next().await {
                counted.hash(&chunk?).await;
            }
            Ok::<_, ocm_blob::Error>(counted.finish().0)
        };
        let digest = read.await.map_err(|source| {
            let what = format!("the content of `{}`", entry.element.name);
            content_error(entry, "read")(ocm_repository::Error::backend("read", what, source))
        })?;
        Ok(DigestSpec::generic_blob(&digest))
    }
}

/// The algorithm to hash by: that of the digest in the file, if it is one.
fn wanted(given: Option<&DigestSpec>) -> HashAlgorithm {
    given.and_then(DigestSpec::algorithm).unwrap_or_default()
}

fn content_error<E: Element>(
    entry: &Entry<E>,
    action: &'static str,
) -> impl FnOnce(ocm_repository::Error) -> BuildError + use<E> {
    let (place, element) = (entry.place.clone(), entry.element.name().to_owned());
    move |source| BuildError::Content {
        place,
        action,
        element,
        source,
    }
}
