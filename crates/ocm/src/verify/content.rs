//! The content of resources, compared with the digests that the descriptors state.

use std::error::Error as StdError;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::BlobRef;
use ocm_digest::{Digest, Digester, HashAlgorithm};
use ocm_model::access::AccessKind;
use ocm_model::element::{Element as _, Resource};
use ocm_model::{Access, ComponentVersionId, DigestSpec};
use ocm_oci::{CopyOptions, Moved, Outcome, check_blob, check_graph, graph_size};
use ocm_repository::{AccessMethods, Content, RepositoryRef, selection_of};

use super::{ContentCheck, ContentOutcome, VerifyError, VerifyProgress};
use crate::error::Error;
use crate::kind::reason_of;
use crate::session::Ocm;
use crate::stated::as_stated;
use crate::tree::Node;

type Source = Box<dyn StdError + Send + Sync>;

impl Ocm {
    /// Checks the content of every resource that can be reached.
    pub(crate) async fn check_content(
        &self,
        nodes: &[Node],
        options: &CopyOptions,
        progress: Option<&dyn VerifyProgress>,
    ) -> Result<Vec<ContentCheck>, Error> {
        let Some(root) = nodes.first() else {
            return Ok(Vec::new());
        };
        let methods = &self.access_methods(&root.repository).await?;
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
        let sizes = match progress {
            None => vec![None; resources.len()],
            Some(progress) => {
                let sizes = resources
                    .iter()
                    .map(|(id, repository, resource)| async move {
                        let (access, _, _) = stated(resource).ok()?;
                        size_of(methods, id, repository, access, options.parallel()).await
                    });
                let sizes = stream::iter(sizes).buffered(options.parallel());
                let sizes: Vec<Option<u64>> = sizes.collect().await;
                progress.planned(&sizes);
                sizes
            }
        };
        let resources = resources.into_iter().zip(sizes);
        let checks =
            stream::iter(resources).map(|((id, repository, resource), planned)| async move {
                let (options, meter) = options.metered();
                let outcome =
                    Self::check_resource(methods, &id, &repository, &resource, &options).await?;
                if let Some(progress) = progress {
                    let is_read = matches!(outcome, ContentOutcome::Verified { .. });
                    progress.checked(&Moved {
                        planned,
                        read: meter.bytes(),
                        outcome: if is_read {
                            Outcome::Copied
                        } else {
                            Outcome::Existed
                        },
                    });
                }
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
        let failed = |source: Source| VerifyError::Content {
            id: id.clone(),
            resource: resource.identity(),
            source,
        };
        let (access, spec, expected) = match stated(resource) {
            Ok(stated) => stated,
            Err(outcome) => return Ok(outcome),
        };
        let content = match methods.content_of(repository, id, access).await {
            Ok(content) => content,
            Err(error) if access.is_local() => return Err(failed(error.into())),
            Err(error) => return Ok(unchecked(reason_of(&error))),
        };
        let content = as_stated(content, Some(spec))
            .await
            .map_err(|source| failed(source.into()))?;
        let options = options.clone().with_selection(selection_of(access));
        match read(&content, expected, &options).await.map_err(failed)? {
            Read::Right { size } => Ok(ContentOutcome::Verified { size }),
            Read::Other { digest } => Err(VerifyError::ContentDigest {
                id: id.clone(),
                resource: resource.identity(),
                expected: spec.value.clone(),
                actual: digest,
            }),
        }
    }
}

/// Returns the size of the content of a resource that is going to be read, if it can be known
/// before.
pub(crate) async fn size_of(
    methods: &AccessMethods,
    id: &ComponentVersionId,
    repository: &RepositoryRef,
    access: &Access,
    parallel: usize,
) -> Option<u64> {
    let content = if access.is_local() {
        repository.local_content(id, access).await.ok()?
    } else if matches!(access.kind(), Ok(AccessKind::OciImage(_))) {
        methods.content(access).await.ok()?
    } else {
        return None;
    };
    match content {
        Content::Blob(blob) => blob.size(),
        Content::Artifact(artifact) => {
            let (store, repository) = (&artifact.store, &artifact.repository);
            let options = CopyOptions::new(parallel).with_selection(selection_of(access));
            let size = graph_size(store, repository, &artifact.root, &options).await;
            size.ok()
        }
    }
}

fn unchecked(reason: impl Into<String>) -> ContentOutcome {
    let reason = reason.into();
    ContentOutcome::Unchecked { reason }
}

/// Returns where the content of a resource is and which digest it should have, or what is to be
/// reported of a resource that nothing can be compared for.
fn stated(resource: &Resource) -> Result<(&Access, &DigestSpec, Digest), ContentOutcome> {
    let Some(access) = &resource.access else {
        return Err(unchecked("it has no access"));
    };
    let spec = match &resource.digest {
        _ if access.is_none() => return Err(ContentOutcome::Excluded),
        Some(spec) if spec.is_excluded() => return Err(ContentOutcome::Excluded),
        Some(spec) if spec.is_complete() => spec,
        _ => return Err(unchecked("it has no digest")),
    };
    match spec.digest() {
        Ok(expected) => Ok((access, spec, expected)),
        Err(error) => Err(unchecked(error.to_string())),
    }
}

/// What content was found to be.
pub(crate) enum Read {
    /// It is what the digest says.
    Right { size: u64 },
    /// It is whole, but is something else.
    Other { digest: Digest },
}

/// Reads content to its end.
pub(crate) async fn read(
    content: &Content,
    expected: Digest,
    options: &CopyOptions,
) -> Result<Read, Source> {
    match content {
        Content::Artifact(artifact) => {
            let digest = artifact.root.digest;
            if digest != expected {
                return Ok(Read::Other { digest });
            }
            let (store, repository) = (&artifact.store, &artifact.repository);
            let report = check_graph(store, repository, &artifact.root, options).await?;
            Ok(Read::Right { size: report.size })
        }
        Content::Blob(blob) if blob.digest() == Some(expected) => {
            let size = check_blob(blob, options).await?;
            Ok(Read::Right { size })
        }
        Content::Blob(blob) => {
            let (digest, size) = hash(&options.watch(blob), expected.algorithm()).await?;
            Ok(if digest == expected {
                Read::Right { size }
            } else {
                Read::Other { digest }
            })
        }
    }
}

/// Reads a blob to its end; returns its digest, and how many bytes it has.
///
/// # Errors
///
/// It cannot be read.
pub async fn hash(
    blob: &BlobRef,
    algorithm: HashAlgorithm,
) -> Result<(Digest, u64), ocm_blob::Error> {
    let mut digester = Digester::new(algorithm);
    let (mut stream, mut size) = (blob.open().await?, 0);
    while let Some(chunk) = stream.try_next().await? {
        digester.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok((digester.finish(), size))
}
