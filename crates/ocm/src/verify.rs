//! Verifying: the signatures of a component version, the digests of its references, and content.
//!
//! One signature on the root vouches for everything below it: it covers the digests of resources
//! and of references, a reference's digest covers the referenced descriptor, and so on down. So
//! with the signature right, every digest below is compared with what is really there.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_backends::open_layout;
use ocm_blob::BlobRef;
use ocm_digest::{Digest, Digester};
use ocm_model::element::{Element as _, Reference, Resource};
use ocm_model::normalisation::UnknownNormalisation;
use ocm_model::{
    ComponentVersionId, Descriptor, DigestSpec, Identity, NormalisationAlgorithm, Signature,
};
use ocm_oci::{CopyOptions, check_blob, check_graph};
use ocm_repository::{AccessMethods, Content, RepositoryRef};
use ocm_signing::Checked;
use ocm_signing::key::PublicKey;
use ocm_signing::references::{Referenced, are_stated_otherwise, restate};
use ocm_signing::rsa::RsaVerifier;
use ocm_signing::verify::{self, Names, check};
use serde::Serialize;

use crate::address::Located;
use crate::error::Error;
use crate::session::{Ocm, Use};

/// What is verified, and against which keys.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The names of the signatures that must hold; none means every one that is there.
    pub signatures: Vec<String>,
    /// Keys by the name of the signature; the name `None` is for all others. A signature without
    /// key here is checked with the key that the configuration has for it.
    pub keys: Vec<(Option<String>, PublicKey)>,
    /// Leave content alone: check signatures and references only.
    pub skip_content: bool,
    /// How many blobs are read at a time, and who is told.
    pub copy: CopyOptions,
}

impl VerifyOptions {
    /// Verifies every signature with one key.
    pub fn with_key(key: PublicKey) -> Self {
        Self {
            keys: vec![(None, key)],
            ..Self::default()
        }
    }
}

/// What was checked and found right.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// The component version.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// Its signatures.
    #[serde(serialize_with = "signatures")]
    pub signatures: Vec<Checked>,
    /// The component versions below it, each once.
    pub references: Vec<ReferenceCheck>,
    /// The content of all of them.
    pub content: Vec<ContentCheck>,
}

impl VerifyReport {
    /// Returns the bytes of content that were read.
    pub fn size(&self) -> u64 {
        self.content
            .iter()
            .map(|content| content.outcome.size())
            .sum()
    }

    /// Returns the content that could not be checked, and why.
    pub fn unchecked(&self) -> impl Iterator<Item = (&ContentCheck, &str)> {
        self.content
            .iter()
            .filter_map(|content| match &content.outcome {
                ContentOutcome::Unchecked { reason } => Some((content, reason.as_str())),
                _ => None,
            })
    }
}

/// A reference whose digest is that of the component version it names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceCheck {
    /// The referenced component version.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// The digest of its descriptor.
    pub digest: DigestSpec,
}

/// What became of the content of a resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentCheck {
    /// The component version that the resource belongs to.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// The identity of the resource.
    #[serde(serialize_with = "display")]
    pub resource: Identity,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: ContentOutcome,
}

/// What became of the content of a resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum ContentOutcome {
    /// It was read to its end, and is what the digest says.
    Verified {
        /// The bytes that were read.
        size: u64,
    },
    /// The signer left it out on purpose, or there is none.
    Excluded,
    /// It could not be checked: it cannot be reached from here, or has no digest.
    Unchecked {
        /// Why.
        reason: String,
    },
}

impl ContentOutcome {
    const fn size(&self) -> u64 {
        match self {
            Self::Verified { size } => *size,
            Self::Excluded | Self::Unchecked { .. } => 0,
        }
    }
}

fn display<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn signatures<S: serde::Serializer>(checked: &[Checked], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(checked.iter().map(|checked| {
        serde_json::json!({
            "name": checked.signature,
            "algorithm": checked.algorithm,
            "digest": checked.digest.to_string(),
            "normalisation": checked.normalisation.to_string(),
        })
    }))
}

/// Why a component version is not verified.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum VerifyError {
    /// Nobody has signed.
    #[error("component version {id} has no signatures")]
    NoSignatures { id: ComponentVersionId },

    /// There is no key to check a signature with.
    #[error("no public key for signature `{signature}`")]
    NoKey { signature: String },

    /// A referenced component version is missing or cannot be read.
    #[error("{id} refers to {reference}, which cannot be read")]
    Reference {
        id: ComponentVersionId,
        reference: ComponentVersionId,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// A referenced component version is not covered by the signature.
    #[error("{id} refers to {reference} without a digest, so that no signature covers it")]
    ReferenceWithoutDigest {
        id: ComponentVersionId,
        reference: ComponentVersionId,
    },

    /// A referenced component version is not the one that was signed.
    #[error("{id} refers to {reference} with digest {expected}, but it has {actual}")]
    ReferenceDigest {
        id: ComponentVersionId,
        reference: ComponentVersionId,
        expected: String,
        actual: String,
    },

    /// Content is missing, or is damaged.
    #[error("resource {resource} of {id} is not what was signed")]
    Content {
        id: ComponentVersionId,
        resource: Identity,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// Content is whole, but is other content.
    #[error("resource {resource} of {id} has digest {actual}, signed was {expected}")]
    ContentDigest {
        id: ComponentVersionId,
        resource: Identity,
        expected: String,
        actual: Digest,
    },
}

/// A component version that was read, and where.
#[derive(Debug)]
struct Node {
    descriptor: Descriptor,
    repository: RepositoryRef,
}

impl Ocm {
    /// Verifies a component version: its signatures, its references all the way down, and the
    /// content of every resource that can be reached.
    ///
    /// # Errors
    ///
    /// Something is not what was signed, or cannot be read. Nothing is verified then.
    pub async fn verify(
        &self,
        located: &Located,
        options: &VerifyOptions,
    ) -> Result<VerifyReport, Error> {
        let repository = self.open(&located.repository, Use::Read).await?;
        let id = self.one_version(&repository, located).await?;
        let stored = repository.component_version(&id).await?;
        located.check_digest(&id, &stored)?;
        let root = Node {
            descriptor: stored.descriptor,
            repository,
        };
        let nodes = self.gather(root).await?;
        let referenced: Referenced = nodes
            .iter()
            .skip(1)
            .map(|node| node.descriptor.clone())
            .collect();

        let signatures = self
            .check_signatures(&nodes[0].descriptor, &referenced, options)
            .await?;
        let references = check_references(&nodes, &referenced)?;
        let content = if options.skip_content {
            Vec::new()
        } else {
            self.check_content(&nodes, &options.copy).await?
        };
        Ok(VerifyReport {
            component: id,
            signatures,
            references,
            content,
        })
    }

    async fn check_signatures(
        &self,
        descriptor: &Descriptor,
        referenced: &Referenced,
        options: &VerifyOptions,
    ) -> Result<Vec<Checked>, Error> {
        let there: Vec<String> = descriptor
            .signatures()
            .into_iter()
            .map(|signature| signature.name)
            .collect();
        if there.is_empty() {
            return Err(VerifyError::NoSignatures {
                id: descriptor.id().clone(),
            }
            .into());
        }
        let wanted = if options.signatures.is_empty() {
            &there
        } else {
            &options.signatures
        };
        let mut report = Vec::new();
        for name in wanted {
            let Some(signature) = descriptor.signature(name) else {
                let names = Names(there.clone());
                let name = name.clone();
                return Err(verify::Error::NoSignature { name, names }.into());
            };
            let given = options
                .keys
                .iter()
                .find(|(of, _)| of.as_ref() == Some(name))
                .or_else(|| options.keys.iter().find(|(of, _)| of.is_none()));
            let key = match given {
                Some((_, key)) => key.clone(),
                None => self
                    .public_key(&signature.signature.algorithm, name)
                    .await?
                    .ok_or_else(|| VerifyError::NoKey {
                        signature: name.clone(),
                    })?,
            };
            report.push(check_signature(descriptor, &signature, referenced, key)?);
        }
        Ok(report)
    }

    /// Reads a component version and everything below it, each version once, the root first.
    async fn gather(&self, root: Node) -> Result<Vec<Node>, Error> {
        let resolvers = self.resolvers(&root.repository).await?;
        let mut seen = BTreeSet::from([root.descriptor.id().clone()]);
        let mut nodes = vec![root];
        let mut next = 0;
        while next < nodes.len() {
            let parent = nodes[next].descriptor.id().clone();
            for reference in nodes[next].descriptor.references() {
                let child = reference.component();
                if !seen.insert(child.clone()) {
                    continue;
                }
                let (repository, stored) =
                    resolvers
                        .component_version(&child)
                        .await
                        .map_err(|source| {
                            let (id, source) = (parent.clone(), source.into());
                            VerifyError::Reference {
                                id,
                                reference: child,
                                source,
                            }
                        })?;
                nodes.push(Node {
                    descriptor: stored.descriptor,
                    repository,
                });
            }
            next += 1;
        }
        Ok(nodes)
    }

    async fn check_content(
        &self,
        nodes: &[Node],
        options: &CopyOptions,
    ) -> Result<Vec<ContentCheck>, Error> {
        let methods = &self.access_methods().await?;
        let resources: Vec<_> = nodes
            .iter()
            .flat_map(|node| {
                let resources = node.descriptor.resources().into_iter();
                resources.map(|resource| {
                    (
                        node.descriptor.id().clone(),
                        node.repository.clone(),
                        resource,
                    )
                })
            })
            .collect();
        let checks = stream::iter(resources).map(|(id, repository, resource)| async move {
            let outcome =
                Self::check_resource(methods, &id, &repository, &resource, options).await?;
            Ok::<_, VerifyError>(ContentCheck {
                component: id,
                resource: resource.identity(),
                outcome,
            })
        });
        Ok(checks.buffered(options.parallel()).try_collect().await?)
    }

    async fn check_resource(
        methods: &AccessMethods,
        id: &ComponentVersionId,
        repository: &RepositoryRef,
        resource: &Resource,
        options: &CopyOptions,
    ) -> Result<ContentOutcome, VerifyError> {
        let failed = |source: Box<dyn StdError + Send + Sync>| VerifyError::Content {
            id: id.clone(),
            resource: resource.identity(),
            source,
        };
        let unchecked = |reason: String| Ok(ContentOutcome::Unchecked { reason });
        let Some(access) = &resource.access else {
            return unchecked("it has no access".to_owned());
        };
        let spec = match &resource.digest {
            _ if access.is_none() => return Ok(ContentOutcome::Excluded),
            Some(spec) if spec.is_excluded() => return Ok(ContentOutcome::Excluded),
            Some(spec) if spec.is_complete() => spec,
            _ => return unchecked("it has no digest".to_owned()),
        };
        let expected = match spec.digest() {
            Ok(digest) => digest,
            Err(error) => return unchecked(error.to_string()),
        };
        let content = if access.is_local_blob() {
            repository
                .local_content(id, access)
                .await
                .map_err(|source| failed(source.into()))?
        } else {
            match methods.content(access).await {
                Ok(content) => content,
                Err(error) => return unchecked(reason_of(&error)),
            }
        };
        // The first Go tool packs artifacts into blobs, but states the digest of the artifact.
        let content = match content {
            Content::Blob(blob) if states_artifact(spec) => {
                let artifact = open_layout(&blob)
                    .await
                    .map_err(|source| failed(source.into()))?;
                Content::Artifact(Box::new(artifact))
            }
            content => content,
        };
        let size = match content {
            Content::Artifact(artifact) => {
                let actual = artifact.root.digest;
                if actual != expected {
                    return Err(content_digest(id, resource, spec, actual));
                }
                check_graph(
                    &artifact.store,
                    &artifact.repository,
                    &artifact.root,
                    options,
                )
                .await
                .map(|report| report.size)
                .map_err(|source| failed(source.into()))?
            }
            Content::Blob(blob) if blob.digest() == Some(expected) => check_blob(&blob, options)
                .await
                .map_err(|source| failed(source.into()))?,
            Content::Blob(blob) => {
                let (actual, size) = hash(&blob, expected)
                    .await
                    .map_err(|source| failed(source.into()))?;
                if actual != expected {
                    return Err(content_digest(id, resource, spec, actual));
                }
                size
            }
        };
        Ok(ContentOutcome::Verified { size })
    }
}

/// Returns whether a digest is that of an OCI artifact, however it is packed.
fn states_artifact(spec: &DigestSpec) -> bool {
    [DigestSpec::OCI_ARTIFACT, DigestSpec::OCI_ARTIFACT_LEGACY]
        .contains(&spec.normalisation_algorithm.as_str())
}

fn content_digest(
    id: &ComponentVersionId,
    resource: &Resource,
    spec: &DigestSpec,
    actual: Digest,
) -> VerifyError {
    VerifyError::ContentDigest {
        id: id.clone(),
        resource: resource.identity(),
        expected: spec.value.clone(),
        actual,
    }
}

/// Checks one signature. The first Go tool signs a tree by stating the digests of references
/// under the algorithms of the signature; where they are stated otherwise by now, the signature is
/// checked against the descriptor as it was then.
fn check_signature(
    descriptor: &Descriptor,
    signature: &Signature,
    referenced: &Referenced,
    key: PublicKey,
) -> Result<Checked, Error> {
    let verifier = RsaVerifier::with_key(key);
    let outcome = check(descriptor, &signature.name, &verifier);
    let changed = matches!(outcome, Err(verify::Error::ContentChanged { .. }));
    if changed && are_stated_otherwise(descriptor, signature) {
        let normalisation = signature.digest.normalisation_algorithm.parse().ok();
        if let (Some(normalisation), Some(hash)) = (normalisation, signature.digest.algorithm())
            && let Ok(restated) = restate(descriptor, normalisation, hash, referenced)
        {
            return Ok(check(&restated, &signature.name, &verifier)?);
        }
    }
    Ok(outcome?)
}

/// Compares the digest in every reference with the descriptor that it names.
fn check_references(
    nodes: &[Node],
    referenced: &Referenced,
) -> Result<Vec<ReferenceCheck>, VerifyError> {
    let descriptors: BTreeMap<_, _> = nodes
        .iter()
        .map(|node| (node.descriptor.id(), &node.descriptor))
        .collect();
    let mut report = BTreeMap::new();
    for parent in nodes {
        for reference in parent.descriptor.references() {
            let id = reference.component();
            let Some(child) = descriptors.get(&id) else {
                continue;
            };
            let digest = check_reference(parent.descriptor.id(), &reference, child, referenced)?;
            report.entry(id).or_insert(digest);
        }
    }
    let checks = report.into_iter();
    Ok(checks
        .map(|(component, digest)| ReferenceCheck { component, digest })
        .collect())
}

/// Compares the digest in a reference with the descriptor that it names, by the algorithms that
/// the reference states.
fn check_reference(
    parent: &ComponentVersionId,
    reference: &Reference,
    child: &Descriptor,
    referenced: &Referenced,
) -> Result<DigestSpec, VerifyError> {
    let (id, name) = (parent.clone(), reference.component());
    let Some(spec) = reference.digest.clone().filter(DigestSpec::is_complete) else {
        return Err(VerifyError::ReferenceWithoutDigest {
            id,
            reference: name,
        });
    };
    let broken = |reason: String| VerifyError::ReferenceDigest {
        id: id.clone(),
        reference: name.clone(),
        expected: spec.value.clone(),
        actual: reason,
    };
    let algorithm: NormalisationAlgorithm = spec
        .normalisation_algorithm
        .parse()
        .map_err(|error: UnknownNormalisation| broken(error.to_string()))?;
    let expected = spec.digest().map_err(|error| broken(error.to_string()))?;
    let digests = |descriptor: &Descriptor| -> Vec<Digest> {
        let candidates = descriptor.normalise_candidates(algorithm);
        candidates
            .iter()
            .map(|candidate| candidate.digest(expected.algorithm()))
            .collect()
    };
    let stored = digests(child);
    let restated = || restate(child, algorithm, expected.algorithm(), referenced).ok();
    if stored.contains(&expected)
        || restated().is_some_and(|restated| digests(&restated).contains(&expected))
    {
        return Ok(spec);
    }
    Err(broken(
        stored.first().map_or_else(String::new, Digest::to_hex),
    ))
}

/// Hashes a blob by the algorithm of the digest it should have.
async fn hash(blob: &BlobRef, expected: Digest) -> Result<(Digest, u64), ocm_blob::Error> {
    let mut digester = Digester::new(expected.algorithm());
    let (mut stream, mut size) = (blob.open().await?, 0);
    while let Some(chunk) = stream.try_next().await? {
        digester.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok((digester.finish(), size))
}

/// Joins an error with its causes, for a report that has one line for it.
fn reason_of(error: &(dyn StdError + 'static)) -> String {
    crate::kind::chain(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
