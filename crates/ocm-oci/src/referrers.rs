//! What refers to an artifact: signatures, bills of materials, records of ownership.

use std::collections::BTreeSet;

use ocm_digest::Digest;

use crate::copy::{CopyOptions, copy_graph};
use crate::document::{Descriptor, ImageIndex, RawManifest};
use crate::error::Error;
use crate::name::{RepositoryName, Tag};
use crate::store::StoreRef;

/// How many manifests may refer to an artifact, directly or not.
const MAX_REFERRERS: usize = 10_000;

/// Copies what refers to an artifact, and what refers to that. The artifact itself is at the target. Returns the manifests to which
/// something refers.
///
/// # Errors
///
/// The source cannot be asked, an artifact is not whole, or a store fails.
pub async fn copy_referrers(
    source: (&StoreRef, &RepositoryName),
    root: &Descriptor,
    target: (&StoreRef, &RepositoryName),
    options: &CopyOptions,
) -> Result<Vec<Digest>, Error> {
    let mut subjects = Vec::new();
    for (subject, referrers) in list_referrers(source, root).await? {
        subjects.push(subject);
        for referrer in referrers {
            copy_graph(source, &referrer, target, None, options).await?;
        }
    }
    Ok(subjects)
}

/// Lists what refers to an artifact, and what refers to that: each manifest to which something
/// refers, with what is new there.
///
/// # Errors
///
/// The source cannot be asked, or more refers to the artifact than to any real one.
pub async fn list_referrers(
    source: (&StoreRef, &RepositoryName),
    root: &Descriptor,
) -> Result<Vec<(Digest, Vec<Descriptor>)>, Error> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([root.digest]);
    let mut open = vec![root.digest];
    while let Some(subject) = open.pop() {
        let referrers = source.0.referrers(source.1, &subject).await?;
        if referrers.is_empty() {
            continue;
        }
        let mut fresh = Vec::new();
        for referrer in referrers {
            if !seen.insert(referrer.digest) {
                continue;
            }
            if seen.len() > MAX_REFERRERS {
                return Err(Error::malformed(
                    format!("artifact {}", root.digest),
                    format!("more than {MAX_REFERRERS} manifests refer to it"),
                ));
            }
            fresh.push(referrer.plain());
        }
        // Registries list them in an order of their own.
        fresh.sort_by_key(|referrer| referrer.digest);
        open.extend(fresh.iter().map(|referrer| referrer.digest));
        found.push((subject, fresh));
    }
    Ok(found)
}

/// Keeps the list of what refers to a manifest under a tag (OCI distribution specification,
/// "Referrers Tag Schema"). Registries do so by themselves where it is needed; in archives it is
/// for readers that look nowhere else.
///
/// # Errors
///
/// The store cannot be asked or written.
pub async fn tag_referrers(
    (store, repository): (&StoreRef, &RepositoryName),
    subject: &Digest,
) -> Result<(), Error> {
    let mut referrers = store.referrers(repository, subject).await?;
    if referrers.is_empty() {
        return Ok(());
    }
    referrers.sort_by_key(|referrer| referrer.digest);
    let index = RawManifest::index(&ImageIndex::new(referrers));
    let tag = Tag::for_referrers(subject);
    store.push_manifest(repository, &index, Some(&tag)).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ocm_blob::{BlobRef, MemoryBlob};

    use super::*;
    use crate::document::{EMPTY_CONFIG, ImageManifest, media_type};
    use crate::store::{Fetch as _, Push as _, Referrers as _};
    use crate::{Document, MemoryStore};

    /// Pushes an artifact that may refer to another.
    async fn push(
        store: &MemoryStore,
        repository: &RepositoryName,
        number: usize,
        subject: Option<&RawManifest>,
    ) -> RawManifest {
        let empty: BlobRef = Arc::new(MemoryBlob::new(EMPTY_CONFIG));
        store.push_blob(repository, &empty).await.unwrap();
        let empty = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
        let mut image = ImageManifest::new(empty.clone(), vec![empty]);
        image.artifact_type = Some(format!("application/x-{number}"));
        image.subject = subject.map(RawManifest::descriptor);
        let manifest = RawManifest::image(&image);
        store
            .push_manifest(repository, &manifest, None)
            .await
            .unwrap();
        manifest
    }

    #[tokio::test]
    async fn what_refers_to_an_artifact_comes_with_what_refers_to_that() {
        let (source, target) = (MemoryStore::new(), MemoryStore::new());
        let name: RepositoryName = "a".parse().unwrap();
        let root = push(&source, &name, 0, None).await;
        let signature = push(&source, &name, 1, Some(&root)).await;
        let materials = push(&source, &name, 2, Some(&root)).await;
        let of_materials = push(&source, &name, 3, Some(&materials)).await;
        let options = CopyOptions::default();
        let from: StoreRef = Arc::new(source);
        let to: StoreRef = Arc::new(target.clone());
        let root = root.descriptor();
        let copied = copy_graph((&from, &name), &root, (&to, &name), None, &options);
        copied.await.unwrap();
        let subjects = copy_referrers((&from, &name), &root, (&to, &name), &options).await;
        assert_eq!(subjects.unwrap(), [root.digest, materials.digest()]);
        let found = target.referrers(&name, &root.digest).await.unwrap();
        let mut expected = [signature.digest(), materials.digest()];
        expected.sort_unstable();
        let mut digests: Vec<_> = found.iter().map(|referrer| referrer.digest).collect();
        digests.sort_unstable();
        assert_eq!(digests, expected);
        let found = target.referrers(&name, &materials.digest()).await.unwrap();
        assert_eq!(found[0].digest, of_materials.digest());

        tag_referrers((&to, &name), &root.digest).await.unwrap();
        let tag = Tag::for_referrers(&root.digest);
        let list = target.manifest(&name, &tag.into()).await.unwrap();
        let Document::Index(list) = list.parse().unwrap() else {
            panic!("no list");
        };
        let digests: Vec<_> = list.manifests.iter().map(|entry| entry.digest).collect();
        assert_eq!(digests, expected);
    }
}
