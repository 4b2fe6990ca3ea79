//! The digests of resources before they are signed: compared with their content, or computed.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::HashAlgorithm;
use ocm_model::element::{Element as _, Resource};
use ocm_model::{Access, ComponentVersionId, DigestSpec};
use ocm_oci::{CopyOptions, Moved, Outcome};
use ocm_repository::{AccessMethods, Content, RepositoryRef, selection_of};

use super::SignRequest;
use crate::error::Error;
use crate::session::Ocm;
use crate::stated::{as_stated, to_state};
use crate::tree::Node;
use crate::verify::VerifyError;
use crate::verify::content::{Read, read, size_of};

/// A resource whose content is looked at.
struct Task {
    /// Its component version and its place in it.
    at: (usize, usize),
    id: ComponentVersionId,
    repository: RepositoryRef,
    resource: Resource,
    access: Access,
    /// The digest that it states.
    stated: Option<DigestSpec>,
}

/// What was found out about the content of resources.
#[derive(Default)]
pub(super) struct Looked {
    /// Digests that were computed because they were missing: where, and what.
    pub(super) computed: Vec<((usize, usize), DigestSpec)>,
    /// How many stated digests were compared, and how many bytes that took.
    pub(super) checked: (usize, u64),
}

impl Ocm {
    /// Compares the digests of all resources with their content, as far as that is asked for, and
    /// computes those that are missing.
    pub(super) async fn look_at_content(
        &self,
        nodes: &[Node],
        request: &SignRequest,
    ) -> Result<Looked, Error> {
        let tasks = tasks(nodes, request);
        if tasks.is_empty() {
            return Ok(Looked::default());
        }
        let methods = &self.access_methods(&nodes[0].repository).await?;
        let (options, progress) = (&request.copy, request.progress.as_deref());
        let mut sizes = vec![None; tasks.len()];
        if let Some(progress) = progress {
            let asked = tasks.iter().map(|task| {
                let Task {
                    id,
                    repository,
                    access,
                    ..
                } = task;
                size_of(methods, id, repository, access, options.parallel())
            });
            sizes = stream::iter(asked)
                .buffered(options.parallel())
                .collect()
                .await;
            progress.planned(&sizes);
        }
        let work = tasks
            .into_iter()
            .zip(sizes)
            .map(|(task, planned)| async move {
                let (options, meter) = options.metered();
                let options = options.with_selection(selection_of(&task.access));
                let (at, is_stated) = (task.at, task.stated.is_some());
                let digest = look(methods, task, request.options.hash, &options).await?;
                if let Some(progress) = progress {
                    progress.checked(&Moved {
                        planned,
                        read: meter.bytes(),
                        outcome: Outcome::Copied,
                    });
                }
                Ok::<_, Error>((at, is_stated, digest, meter.bytes()))
            });
        let parallel = request.copy.parallel();
        let done: Vec<_> = stream::iter(work).buffered(parallel).try_collect().await?;
        let mut looked = Looked::default();
        for (at, is_stated, digest, read) in done {
            if is_stated {
                looked.checked.0 += 1;
                looked.checked.1 += read;
            } else {
                looked.computed.push((at, digest));
            }
        }
        Ok(looked)
    }
}

/// Returns the resources that have content, of which it is to be read.
fn tasks(nodes: &[Node], request: &SignRequest) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (position, node) in nodes.iter().enumerate() {
        for (index, resource) in node.descriptor.resources().into_iter().enumerate() {
            let Some(access) = resource.access.clone().filter(|access| !access.is_none()) else {
                continue;
            };
            let stated = resource.digest.clone().filter(DigestSpec::is_complete);
            let is_read = match &stated {
                Some(stated) => request.verify && !stated.is_excluded(),
                None => request.update,
            };
            if is_read {
                tasks.push(Task {
                    at: (position, index),
                    id: node.descriptor.id().clone(),
                    repository: node.repository.clone(),
                    resource,
                    access,
                    stated,
                });
            }
        }
    }
    tasks
}

/// Reads the content of a resource, and returns its digest: the one that is stated, which was
/// compared, or a new one.
async fn look(
    methods: &AccessMethods,
    task: Task,
    algorithm: HashAlgorithm,
    options: &CopyOptions,
) -> Result<DigestSpec, Error> {
    let Task {
        id,
        repository,
        resource,
        access,
        stated,
        ..
    } = task;
    let resource = resource.identity();
    let (of, name) = (id.clone(), resource.clone());
    let failed = move |source| {
        Error::from(VerifyError::Content {
            id: of.clone(),
            resource: name.clone(),
            source,
        })
    };
    let content = methods.content_of(&repository, &id, &access).await;
    let content = content.map_err(|source| Error::NotReached {
        id: id.clone(),
        resource: resource.clone(),
        source,
    })?;
    let Some(stated) = stated else {
        let (digest, content) = to_state(content, algorithm, options)
            .await
            .map_err(&failed)?;
        if let Content::Artifact(artifact) = &content {
            // The signature vouches for what the manifest names, too.
            let read = read(&content, artifact.root.digest, options).await;
            read.map_err(failed)?;
        }
        return Ok(digest);
    };
    let expected = stated.digest().map_err(|source| failed(source.into()))?;
    let content = as_stated(content, Some(&stated)).await;
    let content = content.map_err(|source| failed(source.into()))?;
    match read(&content, expected, options).await.map_err(failed)? {
        Read::Right { .. } => Ok(stated),
        Read::Other { digest } => Err(VerifyError::ContentDigest {
            id,
            resource,
            expected: stated.value,
            actual: digest,
        }
        .into()),
    }
}
