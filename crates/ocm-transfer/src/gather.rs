//! Reading what a plan is made of: one component version at its source and at the target.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join;
use ocm_digest::Digest;
use ocm_model::access::AccessKind;
use ocm_model::element::Element as _;
use ocm_model::{Access, ComponentVersionId, Descriptor, DigestSpec, ElementKind, Identity};
use ocm_oci::{CopyOptions, Selection, graph_size};
use ocm_repository::{
    AccessMethods, Artifact, Content, RepositoryRef, StoredVersion, selection_of,
};

use crate::assess::{Assessment, assess, assess_copy};
use crate::contents::{Accesses, Incoming};
use crate::decide::Difference;
use crate::error::Error;
use crate::options::{Policy, TransferOptions};
use crate::plan::{Action, ElementPlan};
use crate::planner::{Inspector, Resolver};
use crate::reference::KnownDigest;
use crate::relocation::foreseen;
use crate::step::Step;

/// A component version that is wanted in the plan.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) id: ComponentVersionId,
    /// Where to look before the resolver is asked, in this order.
    pub(crate) repositories: Vec<RepositoryRef>,
    /// Who refers to it; `None` for a root.
    pub(crate) parent: Option<ComponentVersionId>,
}

/// What the plan needs to know of a component version.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) id: ComponentVersionId,
    pub(crate) source: RepositoryRef,
    pub(crate) source_digest: Digest,
    pub(crate) digest: KnownDigest,
    pub(crate) references: Vec<Promise>,
    pub(crate) target_digest: Option<Digest>,
    pub(crate) assessment: Result<Assessment, Difference>,
}

/// A reference, and what it says of the component version that it is to.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) identity: Identity,
    pub(crate) child: ComponentVersionId,
    pub(crate) digest: Option<DigestSpec>,
}

/// What the target has of a component version.
#[derive(Debug)]
enum Existing {
    Nothing,
    /// Something that is not looked at.
    Something,
    /// What comes, or a copy of it, which differs in accesses alone: these.
    Copy(Accesses),
    /// This, which has been read.
    Read(Box<StoredVersion>),
}

/// What it takes to read component versions.
#[derive(Clone, Debug)]
pub(crate) struct Gatherer {
    pub(crate) target: RepositoryRef,
    pub(crate) options: Arc<TransferOptions>,
    pub(crate) access: AccessMethods,
    pub(crate) resolver: Option<Arc<dyn Resolver>>,
    pub(crate) inspector: Option<Arc<dyn Inspector>>,
    /// Steps that have been chosen already, for resources in their order.
    pub(crate) given: Arc<BTreeMap<ComponentVersionId, Vec<Option<Step>>>>,
    /// Whether to find out the sizes of artifacts.
    pub(crate) measures: bool,
}

impl Gatherer {
    /// Reads a component version at its source, and at the target as far as that is needed.
    pub(crate) async fn gather(self, wanted: Wanted) -> Result<Gathered, Error> {
        let is_at_hand = match wanted.repositories.first() {
            Some(first) => first.has_at_hand(&wanted.id).await,
            None => false,
        };
        let (found, at_target) = if is_at_hand {
            // What is read before the answer is freed after it, by another thread, which takes longer
            // than reading meanwhile saves.
            let at_target = self.target_digest(&wanted.id).await?;
            (self.find(&wanted).await?, at_target)
        } else {
            try_join(self.find(&wanted), self.target_digest(&wanted.id)).await?
        };
        let (source, stored) = found;
        if let Some(inspector) = &self.inspector {
            let passed = inspector.inspect(&stored);
            passed.map_err(|source| Error::Refused {
                id: wanted.id.clone(),
                source,
            })?;
        }
        let StoredVersion {
            descriptor,
            stored_digest: source_digest,
            ..
        } = stored;
        let incoming = Incoming::new(&descriptor);
        let existing = self
            .existing(&source, &incoming, source_digest, at_target)
            .await?;
        let given = self.given.get(&wanted.id).map_or(&[][..], Vec::as_slice);
        let (options, access) = (&self.options, &self.access);
        let mut assessment = match &existing {
            Existing::Copy(copy) => Ok(assess_copy(copy, &incoming, options, access, given)),
            Existing::Something => assess(Some(&descriptor), &incoming, options, access, given),
            Existing::Nothing => assess(None, &incoming, options, access, given),
            Existing::Read(stored) => {
                let existing = Some(&stored.descriptor);
                assess(existing, &incoming, options, access, given)
            }
        };
        let target_digest = match existing {
            Existing::Nothing => None,
            Existing::Read(stored) => Some(stored.stored_digest),
            Existing::Copy(_) | Existing::Something => at_target,
        };
        if let Ok(assessment) = &mut assessment {
            self.look_for_attached(&source, &incoming, assessment)
                .await?;
            for (kind, elements) in [
                (ElementKind::Resource, &mut assessment.resources),
                (ElementKind::Source, &mut assessment.sources),
            ] {
                self.sizes(&source, &descriptor, kind, elements).await?;
            }
        }
        Ok(Gathered {
            source,
            source_digest,
            digest: KnownDigest::of(&descriptor),
            references: promises(&descriptor),
            target_digest,
            assessment,
            id: wanted.id,
        })
    }

    /// Looks for a component version where it may be.
    async fn find(&self, wanted: &Wanted) -> Result<(RepositoryRef, StoredVersion), Error> {
        let mut looked: Vec<String> = Vec::new();
        let mut last = None;
        for repository in &wanted.repositories {
            match read(repository, &wanted.id).await {
                Ok(stored) => return Ok((Arc::clone(repository), stored)),
                Err(error) if error.is_not_found() => last = Some(error),
                Err(error) => return Err(error),
            }
            looked.push(repository.location());
        }
        if let Some(resolver) = &self.resolver
            && let Some(repository) = resolver
                .repository(&wanted.id)
                .await
                .map_err(|source| Error::repository("find", &wanted.id, source))?
        {
            match read(&repository, &wanted.id).await {
                Ok(stored) => return Ok((repository, stored)),
                Err(error) if error.is_not_found() => last = Some(error),
                Err(error) => return Err(error),
            }
            looked.push(repository.location());
        }
        match (&wanted.parent, last) {
            (None, Some(error)) => Err(error),
            (parent, _) => Err(Error::MissingReference {
                parent: parent.clone().unwrap_or_else(|| wanted.id.clone()),
                child: wanted.id.clone(),
                looked: looked.join(", "),
            }),
        }
    }

    /// Returns the digest of what the target has of a component version.
    pub(crate) async fn target_digest(
        &self,
        id: &ComponentVersionId,
    ) -> Result<Option<Digest>, Error> {
        let digest = self.target.stored_digest(id).await;
        digest.map_err(|source| Error::repository("look for", at(id, &self.target), source))
    }

    /// Returns what the target has. The descriptor is only read where it can make a difference:
    /// not if it is stored as at the source or as a copy of that is, nor under a policy that does
    /// not look at it.
    async fn existing(
        &self,
        source: &RepositoryRef,
        incoming: &Incoming<'_>,
        source_digest: Digest,
        at_target: Option<Digest>,
    ) -> Result<Existing, Error> {
        let Some(digest) = at_target else {
            return Ok(Existing::Nothing);
        };
        if matches!(self.options.existing, Policy::Skip | Policy::Enforce) {
            return Ok(Existing::Something);
        }
        if digest == source_digest {
            return Ok(Existing::Copy(Accesses::of(incoming.descriptor)));
        }
        if let Some(copy) = foreseen(source, &self.target, incoming.descriptor).await
            && copy.stored_digest == digest
        {
            return Ok(Existing::Copy(copy.accesses));
        }
        match read(&self.target, incoming.id()).await {
            Ok(stored) => Ok(Existing::Read(Box::new(stored))),
            Err(error) if error.is_not_found() => Ok(Existing::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Fills in the sizes of content that moves. Those of local blobs are known without reading
    /// anything; the others are found out if that is wanted.
    async fn sizes(
        &self,
        source: &RepositoryRef,
        descriptor: &Descriptor,
        kind: ElementKind,
        elements: &mut [ElementPlan],
    ) -> Result<(), Error> {
        let id = descriptor.id();
        let moving = elements
            .iter_mut()
            .zip(descriptor.contents(kind))
            .filter(|(element, _)| element.step.moves())
            .filter_map(|(element, content)| Some((element, content.access()?)));
        for (element, access) in moving {
            let content = if access.is_local() {
                let content = source.local_content(id, &access).await;
                content.map_err(|error| Error::repository("read", at(id, source), error))?
            } else if self.measures && is_image(&access) {
                match self.access.content(&access).await {
                    Ok(content) => content,
                    // Carrying out the plan says what is wrong, if it still is.
                    Err(_) => continue,
                }
            } else {
                continue;
            };
            element.size = match content {
                Content::Blob(blob) => blob.size(),
                Content::Artifact(artifact) if self.measures => {
                    let selection = selection_of(&access).of(&self.options.platforms);
                    size_of(&artifact, selection).await
                }
                Content::Artifact(_) => None,
            };
        }
        Ok(())
    }
}

fn is_image(access: &Access) -> bool {
    matches!(access.kind(), Ok(AccessKind::OciImage(_)))
}

/// Returns the size of an artifact with everything it points to, if it can be found out.
async fn size_of(artifact: &Artifact, selection: Selection) -> Option<u64> {
    const PARALLEL: usize = 4;
    let Artifact {
        store,
        repository,
        root,
    } = artifact;
    let options = CopyOptions::new(PARALLEL).with_selection(selection);
    graph_size(store, repository, root, &options).await.ok()
}

/// Reads a component version.
pub(crate) async fn read(
    repository: &RepositoryRef,
    id: &ComponentVersionId,
) -> Result<StoredVersion, Error> {
    let stored = repository.component_version(id).await;
    stored.map_err(|source| Error::repository("read", at(id, repository), source))
}

/// Tells whether there is no such content.
pub(crate) fn is_missing(error: &ocm_repository::Error) -> bool {
    error.is_not_found() || matches!(error, ocm_repository::Error::NoLocalBlob { .. })
}

/// Names a component version together with its place.
pub(crate) fn at(id: &ComponentVersionId, repository: &RepositoryRef) -> String {
    format!("{id} in {}", repository.location())
}

fn promises(descriptor: &Descriptor) -> Vec<Promise> {
    let references = descriptor.references();
    let promises = references.into_iter().map(|reference| Promise {
        identity: reference.identity(),
        child: reference.component(),
        digest: reference.digest,
    });
    promises.collect()
}

impl Gathered {
    /// Returns the digest at the target that the plan has to name.
    pub(crate) fn planned_target_digest(&self) -> Option<Digest> {
        let action = self
            .assessment
            .as_ref()
            .ok()
            .map(|assessment| assessment.action);
        self.target_digest
            .filter(|_| matches!(action, Some(Action::Update | Action::Replace)))
    }
}
