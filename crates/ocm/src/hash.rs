//! The normalised form of component versions and its digest: what a signature would cover.

use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::element::{Element as _, Resource};
use ocm_model::{
    ComponentVersionId, Descriptor, DigestSpec, NormalisationAlgorithm, NormalisedDescriptor,
};
use ocm_oci::CopyOptions;
use ocm_repository::{Expected, RepositoryRef};
use ocm_signing::references::{Referenced, are_stated_anew, restate};

use crate::error::Error;
use crate::session::Ocm;
use crate::stated::to_state;
use crate::tree::Node;
use crate::verify::ContentCheck;

/// How component versions are hashed.
#[derive(Clone, Debug)]
pub struct HashRequest {
    /// How a descriptor becomes bytes.
    pub normalisation: NormalisationAlgorithm,
    /// How the bytes are hashed, and content whose digest is missing.
    pub hash: HashAlgorithm,
    /// Which digests of content and of references count.
    pub digests: Digests,
    /// Whether the component versions below are hashed, too.
    pub recursive: bool,
    /// Whether digests that were missing are stored. Those that are stated stay as they are.
    pub update: bool,
    /// How much is read at a time.
    pub copy: CopyOptions,
}

/// Which digests of content and of references a descriptor is hashed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Digests {
    /// Those that it states.
    Stated,
    /// Those that it states, and those that it should: missing ones are computed, and references
    /// count by their digests under the algorithms of the request where a signer counts them so.
    Completed,
    /// The same, after all content that can be reached, and all references, were compared with
    /// what is stated.
    Verified,
}

/// What was hashed.
#[derive(Clone, Debug, Default)]
pub struct HashReport {
    /// The hashes, that of the root first.
    pub hashes: Vec<ComponentHash>,
    /// Content that was to be compared with its digest, and cannot be reached from here.
    pub unchecked: Vec<ContentCheck>,
}

/// The hash of one component version.
#[derive(Clone, Debug)]
pub struct ComponentHash {
    /// Which one.
    pub component: ComponentVersionId,
    /// The bytes that were hashed.
    pub normalised: NormalisedDescriptor,
    /// Their digest.
    pub digest: Digest,
}

impl Ocm {
    /// Hashes a component version, and those below it if that is asked for.
    ///
    /// # Errors
    ///
    /// A component version, or content whose digest is missing, cannot be read; or something is
    /// not what was promised.
    pub async fn hash(
        &self,
        repository: &RepositoryRef,
        id: &ComponentVersionId,
        request: &HashRequest,
    ) -> Result<HashReport, Error> {
        let stored = repository.component_version(id).await?;
        let root = Node {
            descriptor: stored.descriptor,
            repository: RepositoryRef::clone(repository),
        };
        let computes = request.digests != Digests::Stated;
        let mut nodes = if request.recursive || computes {
            self.gather(root, &[], None).await?
        } else {
            vec![root]
        };
        let mut report = HashReport::default();
        if request.digests == Digests::Verified {
            let checks = self.check_content(&nodes, &request.copy, None).await?;
            report.unchecked = not_compared(&nodes, checks);
        }
        if computes {
            for node in &mut nodes {
                self.complete_resources(node, request).await?;
            }
        }
        // Descriptors can be large: they are copied only where something may be filled in.
        let all = if computes {
            nodes.iter().map(|node| node.descriptor.clone()).collect()
        } else {
            Referenced::default()
        };
        let shown = if request.recursive { nodes.len() } else { 1 };
        for node in &nodes[..shown] {
            let descriptor = &node.descriptor;
            let normalised = if computes {
                let restated = restated(descriptor, request, &all)?;
                if request.update {
                    store_missing(node, &restated).await?;
                }
                counted(descriptor, &restated, request.normalisation)
                    .normalise(request.normalisation)
            } else {
                descriptor.normalise(request.normalisation)
            };
            report.hashes.push(ComponentHash {
                component: descriptor.id().clone(),
                digest: normalised.digest(request.hash),
                normalised,
            });
        }
        Ok(report)
    }

    /// Computes the digests of content that are missing.
    async fn complete_resources(
        &self,
        node: &mut Node,
        request: &HashRequest,
    ) -> Result<(), Error> {
        let id = node.descriptor.id().clone();
        for (index, resource) in node.descriptor.resources().into_iter().enumerate() {
            let stated = resource.digest.as_ref();
            if stated.is_some_and(DigestSpec::is_complete) {
                continue;
            }
            let digest = self
                .digest_of(&id, node, &resource, request)
                .await
                .map_err(|source| Error::ContentDigest {
                    id: id.clone(),
                    resource: resource.identity(),
                    source,
                })?;
            if let Some(digest) = digest {
                let set = node.descriptor.set_resource_digest(index, &digest);
                set.expect("the index is that of a resource");
            }
        }
        Ok(())
    }

    /// Returns the digest of the content of a resource, if it has some.
    async fn digest_of(
        &self,
        id: &ComponentVersionId,
        node: &Node,
        resource: &Resource,
        request: &HashRequest,
    ) -> Result<Option<DigestSpec>, Box<dyn std::error::Error + Send + Sync>> {
        let access = resource.access.as_ref().filter(|access| !access.is_none());
        let Some(access) = access else {
            return Ok(None);
        };
        let methods = self.access_methods(&node.repository).await?;
        let content = methods.content_of(&node.repository, id, access).await?;
        let (digest, _) = to_state(content, request.hash, &request.copy).await?;
        Ok(Some(digest))
    }
}

/// Returns those checks in which content was to be compared and could not be. A digest that is not
/// stated is computed, so that there is nothing to compare.
fn not_compared(nodes: &[Node], checks: Vec<ContentCheck>) -> Vec<ContentCheck> {
    let resources = nodes.iter().flat_map(|node| node.descriptor.resources());
    let compared = resources.zip(checks).filter(|(resource, check)| {
        let stated = resource.digest.as_ref();
        check.unchecked().is_some() && stated.is_some_and(DigestSpec::is_complete)
    });
    compared.map(|(_, check)| check).collect()
}

/// Returns a descriptor whose references state digests under the algorithms of the request. What
/// they state already is checked.
fn restated(
    descriptor: &Descriptor,
    request: &HashRequest,
    all: &Referenced,
) -> Result<Descriptor, Error> {
    let normalisation = request.normalisation;
    restate(descriptor, normalisation, request.hash, all).map_err(|source| Error::Restate {
        id: descriptor.id().clone(),
        normalisation,
        source,
    })
}

/// Returns a descriptor as a signer counts its references.
fn counted(
    descriptor: &Descriptor,
    restated: &Descriptor,
    normalisation: NormalisationAlgorithm,
) -> Descriptor {
    if are_stated_anew(normalisation) {
        return restated.clone();
    }
    with_missing(descriptor, restated)
}

/// Returns a descriptor with those digests of references that it does not state.
fn with_missing(descriptor: &Descriptor, restated: &Descriptor) -> Descriptor {
    let mut completed = descriptor.clone();
    let references = descriptor
        .references()
        .into_iter()
        .zip(restated.references());
    for (index, (stated, computed)) in references.enumerate() {
        if let (None, Some(digest)) = (&stated.digest, &computed.digest) {
            let set = completed.set_reference_digest(index, digest);
            set.expect("the index is that of a reference");
        }
    }
    completed
}

/// Stores the digests that were missing.
async fn store_missing(node: &Node, restated: &Descriptor) -> Result<(), Error> {
    let completed = with_missing(&node.descriptor, restated);
    let stored = node.repository.component_version(completed.id()).await?;
    if stored.descriptor != completed {
        let expected = Expected::Stored(stored.stored_digest);
        node.repository.put(&completed, expected).await?;
        node.repository.commit().await?;
    }
    Ok(())
}
