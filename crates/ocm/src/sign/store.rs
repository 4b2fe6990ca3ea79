//! Putting signatures and digests where component versions are stored, beside other signers.

use std::sync::Arc;
use std::time::Duration;

use ocm_model::{Descriptor, NormalisationAlgorithm, Signature};
use ocm_repository::{Expected, RepositoryRef};
use ocm_signing::sign;

use crate::error::Error;
use crate::kind::causes;

/// How long a signer of a registry waits at least before it looks whether its signature is still
/// there. It waits longer than it took itself to write, since others may be as slow.
const SETTLING: Duration = Duration::from_millis(300);

/// How often a signature is put on what somebody else has just changed, before giving up.
const ATTEMPTS: usize = 10;

/// A component version that has been completed, or signed.
pub(super) struct Item<'a> {
    pub(super) repository: &'a RepositoryRef,
    /// With all digests that it shall have; its signatures do not matter.
    pub(super) completed: &'a Descriptor,
    pub(super) signature: Option<&'a Signature>,
    /// Whether the signature may replace one of its name.
    pub(super) replace: bool,
}

/// Stores component versions, in their order.
///
/// What others have changed since they were read stays: a signature is added to those that are
/// there now. After writing, what is stored is read again, since there are repositories that
/// cannot compare and write in one step; where somebody else was faster, it is done once more.
///
/// # Errors
///
/// What is stored is not what was signed any more, a name is taken, or a repository cannot be
/// written.
pub(super) async fn store(items: &[Item<'_>]) -> Result<(), Error> {
    let is_remote = |item: &Item<'_>| item.repository.location().contains("://");
    let mut first = true;
    let mut wait = None;
    for _ in 0..ATTEMPTS {
        let started = tokio::time::Instant::now();
        match write_missing(items, first).await {
            Ok(false) => {
                // To compare and to write are several requests to a registry, between which
                // somebody else may write. Who was overwritten like that notices only after the
                // other one has finished.
                let Some(wait) = wait.take() else {
                    return Ok(());
                };
                tokio::time::sleep(wait).await;
            }
            Ok(true) => {
                first = false;
                let least = items.iter().any(is_remote).then_some(SETTLING);
                wait = least.map(|least| least.max(started.elapsed() * 3));
            }
            Err(Error::Repository(error)) if is_change(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let changed = items.last().map(|item| ocm_repository::Error::Changed {
        id: item.completed.id().clone(),
        location: item.repository.location(),
    });
    changed.map_or(Ok(()), |changed| Err(changed.into()))
}

/// Writes what is not stored as it should be, and tells whether there was anything.
async fn write_missing(items: &[Item<'_>], first: bool) -> Result<bool, Error> {
    let mut written: Vec<&RepositoryRef> = Vec::new();
    for item in items {
        let (repository, id) = (item.repository, item.completed.id());
        let stored = repository.component_version(id).await?;
        let mut descriptor = stored.descriptor;
        copy_digests(item.completed, &mut descriptor);
        if !is_same(item.completed, &descriptor) {
            return Err(Error::ChangedMeanwhile {
                id: id.clone(),
                location: repository.location(),
            });
        }
        if let Some(signature) = item.signature {
            let there = descriptor.signature(&signature.name);
            let is_there = there.as_ref() == Some(signature);
            if there.is_some() && !is_there && !(item.replace && first) {
                let name = signature.name.clone();
                return Err(sign::Error::NameTaken { name }.into());
            }
            if is_there {
                continue;
            }
            descriptor.replace_signature(signature);
        } else if !first {
            continue;
        }
        let expected = Expected::Stored(stored.stored_digest);
        repository.put(&descriptor, expected).await?;
        if !written.iter().any(|it| Arc::ptr_eq(it, repository)) {
            written.push(repository);
        }
    }
    for repository in &written {
        repository.commit().await?;
    }
    Ok(!written.is_empty())
}

/// Tells whether somebody else was faster.
fn is_change(error: &ocm_repository::Error) -> bool {
    causes(error).any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(ocm_repository::Error::Changed { .. })
        ) || matches!(cause.downcast_ref(), Some(ocm_oci::Error::Changed { .. }))
    })
}

/// Fills digests that are missing with those of the completed descriptor, and takes over the
/// digests that it keeps for others. Elements are told by their place; [`is_same`] says whether
/// that was right.
fn copy_digests(completed: &Descriptor, stored: &mut Descriptor) {
    let resources = completed.resources().into_iter().zip(stored.resources());
    for (index, (completed, stored_resource)) in resources.enumerate() {
        let is_missing = !stored_resource.digest.is_some_and(|it| it.is_complete());
        if let (Some(digest), true) = (completed.digest, is_missing) {
            stored
                .set_resource_digest(index, &digest)
                .expect("the index is that of a resource");
        }
    }
    let references = completed.references().into_iter().zip(stored.references());
    for (index, (completed, stored_reference)) in references.enumerate() {
        let is_missing = !stored_reference.digest.is_some_and(|it| it.is_complete());
        if let (Some(digest), true) = (completed.digest, is_missing) {
            stored
                .set_reference_digest(index, &digest)
                .expect("the index is that of a reference");
        }
    }
    let kept = completed.nested_digests();
    if !kept.is_empty() {
        stored.set_nested_digests(&kept);
    }
}

/// Tells whether signatures cover the same of two descriptors.
fn is_same(one: &Descriptor, other: &Descriptor) -> bool {
    let normalised = |it: &Descriptor| it.normalise(NormalisationAlgorithm::JsonV3);
    normalised(one).as_bytes() == normalised(other).as_bytes()
}
