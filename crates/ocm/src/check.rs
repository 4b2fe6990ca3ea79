//! Checking whether component versions are complete at a place: everything that they consist of is
//! there, and is what their digests say.
//!
//! Other than [`Ocm::verify`], it needs no key, and does not end at the first fault: the report
//! names each part with what it was found to be.

mod look;
mod parts;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use ocm_digest::Digest;
use ocm_model::element::Element as _;
use ocm_model::{Access, ComponentVersionId, DigestSpec, Identity, RepositorySpec};
use ocm_oci::{CopyOptions, Depth, Selection};
use ocm_repository::{Artifact, RepositoryRef};
use ocm_signing::nested;
use ocm_signing::references::Referenced;

use self::look::{Look, moved, outcome_of};
use crate::address::Located;
use crate::error::Error;
use crate::session::{Ocm, Use};
use crate::tree::{self, Node};
use crate::verify::VerifyProgress;
use crate::verify::references::{check_reference, compare};

pub use self::parts::{BrokenParts, CheckedPart, PartsReport};
pub use self::report::{CheckReport, Incomplete, Part, PartKind, PartOutcome};

/// What is looked at, and how.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Where component versions that are referred to are looked for, after the repository of the
    /// one that is checked and those that are configured.
    pub lookup: Vec<RepositorySpec>,
    /// Whether content is read, or asked for only.
    pub depth: Depth,
    /// Leave alone what is not stored with the component versions. Sources elsewhere are left alone
    /// in any case.
    pub only_local: bool,
    /// How many parts are looked at at a time, and who is told how content is read.
    pub copy: CopyOptions,
    /// Who learns how far the content is.
    pub progress: Option<Arc<dyn VerifyProgress>>,
}

/// A resource or a source.
struct Item {
    component: ComponentVersionId,
    repository: RepositoryRef,
    /// What the component version is stored as, if that is an artifact.
    stored: Option<Arc<Artifact>>,
    kind: PartKind,
    identity: Identity,
    access: Option<Access>,
    digest: Option<DigestSpec>,
}

/// What component versions are stored as; `None` where that is no artifact.
type Stored = Result<Option<Arc<Artifact>>, ocm_repository::Error>;

impl Ocm {
    /// Looks for everything that a component version consists of: what it refers to all the way
    /// down, the content of resources and sources, and what refers to artifacts. Signatures are
    /// compared with the descriptor; who has made them is not looked at.
    ///
    /// # Errors
    ///
    /// The component version itself cannot be read. What is wrong below it stands in the report.
    pub async fn check(
        &self,
        located: &Located,
        options: &CheckOptions,
    ) -> Result<CheckReport, Error> {
        let repository = self.open(&located.repository, Use::Read).await?;
        let component = self.one_version(&repository, located).await?;
        let stored = repository.component_version(&component).await?;
        located.check_digest(&component, &stored)?;
        let root = Node {
            descriptor: stored.descriptor,
            repository: RepositoryRef::clone(&repository),
        };
        let mut parts = Vec::new();
        let unreadable = |error| match error {
            Error::Reference {
                id,
                reference,
                source,
            } => {
                let outcome = outcome_of(source.as_ref());
                parts.push(Part::new(id, PartKind::Reference, reference, outcome));
                Ok(())
            }
            error => Err(error),
        };
        let nodes = self
            .gather_readable(root, &options.lookup, None, unreadable)
            .await?;
        let (mut nodes, contradictions) = tree::fill_kept_digests(&nodes);
        parts.extend(kept_digests(&nodes[0], &contradictions));
        let completed = tree::complete_kept_digests(&mut nodes);
        let referenced = tree::below(&nodes);
        parts.extend(compare_signatures(&nodes[0], &referenced, &completed));
        let is_signed = !nodes[0].descriptor.signatures().is_empty();
        let needs_digests = is_signed && completed.is_ok();
        parts.extend(compare_references(&nodes, &referenced, needs_digests));

        let look = Look {
            methods: self.access_methods(&repository).await?,
            depth: options.depth,
            only_local: options.only_local,
            copy: options.copy.clone(),
        };
        let stored = stream::iter(&nodes)
            .map(stored_as)
            .buffered(options.copy.parallel());
        let stored: Vec<Stored> = stored.collect().await;
        let items = items(&nodes, &stored);
        let (content, artifacts) = look_at_items(&look, items, options).await;
        parts.extend(content);
        let mut wholes = Vec::new();
        for (node, stored) in nodes.iter().zip(&stored) {
            match stored {
                Ok(None) => {}
                Ok(Some(artifact)) => {
                    parts.extend(look_at_stored(&look, node, artifact).await);
                    let artifact = Artifact::clone(artifact);
                    wholes.push((node.descriptor.id().clone(), artifact));
                }
                Err(error) => parts.push(stored_part(node, outcome_of(error))),
            }
        }
        parts.extend(look.at_referrers(artifacts, wholes).await);
        Ok(CheckReport {
            component,
            repository: repository.location(),
            parts,
        })
    }
}

/// Says which of the digests that the root keeps are not those that stand below. It is only reported
/// where something is wrong: whether they are what somebody has signed, the signatures say.
fn kept_digests(root: &Node, contradictions: &[nested::Error]) -> Option<Part> {
    if contradictions.is_empty() {
        return None;
    }
    let reasons: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
    let reason = reasons.join("; ");
    let outcome = PartOutcome::Wrong { reason };
    let id = root.descriptor.id().clone();
    Some(Part::new(id, PartKind::Signature, "nestedDigests", outcome))
}

/// Compares the digests that signatures sign with that of the descriptor, if what it lacks of
/// digests could be completed.
fn compare_signatures(
    root: &Node,
    referenced: &Referenced,
    completed: &Result<(), Error>,
) -> Vec<Part> {
    let signatures = root.descriptor.signatures().into_iter();
    let parts = signatures.map(|signature| {
        let compared = || compare(&root.descriptor, &signature.digest, referenced);
        let outcome = match completed.as_ref().map(|()| compared()) {
            Ok(Ok(())) => PartOutcome::Present { size: None },
            Ok(Err(actual)) => PartOutcome::Wrong {
                reason: format!(
                    "it signs digest {}, the descriptor has {actual}",
                    signature.digest.value
                ),
            },
            Err(error) => outcome_of(error),
        };
        let id = root.descriptor.id().clone();
        Part::new(id, PartKind::Signature, signature.name, outcome)
    });
    parts.collect()
}

/// Compares the digests of references with the descriptors that are there. Each must have one where
/// `needs_digests`: somebody has signed the root.
fn compare_references(nodes: &[Node], referenced: &Referenced, needs_digests: bool) -> Vec<Part> {
    let by_id: BTreeMap<_, _> = nodes
        .iter()
        .map(|node| (node.descriptor.id(), &node.descriptor))
        .collect();
    let mut parts = Vec::new();
    for parent in nodes {
        let id = parent.descriptor.id();
        for reference in parent.descriptor.references() {
            let name = reference.component();
            let Some(child) = by_id.get(&name) else {
                continue;
            };
            let has_digest = reference
                .digest
                .as_ref()
                .is_some_and(DigestSpec::is_complete);
            let outcome = if !has_digest && !needs_digests {
                PartOutcome::Present { size: None }
            } else {
                match check_reference(id, &reference, child, referenced) {
                    Ok(_) => PartOutcome::Present { size: None },
                    Err(error) => outcome_of(&error),
                }
            };
            parts.push(Part::new(id.clone(), PartKind::Reference, name, outcome));
        }
    }
    parts
}

/// Asks what a component version is stored as.
async fn stored_as(node: &Node) -> Stored {
    let artifact = node
        .repository
        .stored_artifact(node.descriptor.id())
        .await?;
    Ok(artifact.map(Arc::new))
}

/// Returns the resources and sources of component versions.
fn items(nodes: &[Node], stored: &[Stored]) -> Vec<Item> {
    let mut items = Vec::new();
    for (node, stored) in nodes.iter().zip(stored) {
        let stored = stored.as_ref().ok().and_then(Option::as_ref);
        let item = |kind, identity, access, digest| Item {
            component: node.descriptor.id().clone(),
            repository: RepositoryRef::clone(&node.repository),
            stored: stored.cloned(),
            kind,
            identity,
            access,
            digest,
        };
        for resource in node.descriptor.resources() {
            let identity = resource.identity();
            items.push(item(
                PartKind::Resource,
                identity,
                resource.access,
                resource.digest,
            ));
        }
        for source in node.descriptor.sources() {
            let identity = source.identity();
            items.push(item(PartKind::Source, identity, source.access, None));
        }
    }
    items
}

/// Looks at content, and returns the artifacts among it, too.
async fn look_at_items(
    look: &Look,
    items: Vec<Item>,
    options: &CheckOptions,
) -> (Vec<Part>, Vec<(ComponentVersionId, Artifact)>) {
    let progress = options.progress.as_deref();
    if let Some(progress) = progress {
        progress.planned(&vec![None; items.len()]);
    }
    let looked = stream::iter(items).map(|item| async move {
        let (outcome, artifact) = look.at(&item).await;
        if let Some(progress) = progress {
            progress.checked(&moved(&outcome));
        }
        let artifact = artifact.map(|artifact| (item.component.clone(), artifact));
        let part = Part::new(item.component, item.kind, item.identity, outcome);
        (part, artifact)
    });
    let looked: Vec<_> = looked.buffered(options.copy.parallel()).collect().await;
    let (parts, artifacts): (Vec<_>, Vec<_>) = looked.into_iter().unzip();
    (parts, artifacts.into_iter().flatten().collect())
}

/// Looks at the artifact that a component version is stored as, without its local blobs. It is only
/// reported where something is wrong: that it can be read is known.
async fn look_at_stored(look: &Look, node: &Node, artifact: &Artifact) -> Option<Part> {
    let resources = node.descriptor.resources();
    let sources = node.descriptor.sources();
    let accesses = (resources.iter().filter_map(|it| it.access.as_ref()))
        .chain(sources.iter().filter_map(|it| it.access.as_ref()));
    let local: BTreeSet<Digest> = accesses
        .filter_map(|access| access.as_local_blob()?.digest())
        .collect();
    match look.at_artifact(artifact, &local, Selection::all()).await {
        PartOutcome::Present { .. } | PartOutcome::Verified { .. } => None,
        outcome => Some(stored_part(node, outcome)),
    }
}

fn stored_part(node: &Node, outcome: PartOutcome) -> Part {
    let id = node.descriptor.id();
    Part::new(id.clone(), PartKind::Stored, id, outcome)
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind, self.identity, self.component)
    }
}
