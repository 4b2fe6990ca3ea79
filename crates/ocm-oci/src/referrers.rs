//! What refers to an artifact: signatures, bills of materials, records of ownership.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;

use crate::copy::{CopyOptions, copy_graph};
use crate::document::{Descriptor, Document, ImageIndex, RawManifest, media_type};
use crate::error::Error;
use crate::graph::{Children, MAX_MANIFESTS, fetch, too_many};
use crate::name::{Reference, RepositoryName, Tag};
use crate::store::StoreRef;

/// How many manifests may refer to an artifact, directly or not.
const MAX_REFERRERS: usize = 10_000;

/// What cosign keeps of a manifest under a tag with its digest, where signatures, attestations and
/// bills of materials do not name their subject: all of one kind in one manifest.
const ATTACHED: [&str; 3] = ["sig", "att", "sbom"];

/// Something that refers to a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Referrer {
    /// Its own manifest.
    pub manifest: Descriptor,
    /// The tag by which it is found, if it does not name its subject.
    pub tag: Option<Tag>,
}

/// Copies what refers to an artifact, to what is in it, and to what refers to that. The artifact
/// itself is at the target. Returns the manifests to which something refers.
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
    for (subject, referrers) in list_referrers(source, root, options).await? {
        subjects.push(subject);
        for Referrer { manifest, tag } in referrers {
            if let Some(tag) = &tag
                && has_more(target, tag, source, &manifest).await?
            {
                let (store, repository) = (target.0.location(), target.1);
                tracing::warn!(
                    "{store} keeps {tag} of {repository}, which has what the source does not"
                );
                continue;
            }
            copy_graph(source, &manifest, target, tag.as_ref(), options).await?;
        }
    }
    Ok(subjects)
}

/// Returns whether a target lacks something that refers to an artifact, and that
/// [`copy_referrers`] would bring.
///
/// # Errors
///
/// As [`list_referrers`]; the target cannot be asked.
pub async fn lacks_referrers(
    source: (&StoreRef, &RepositoryName),
    root: &Descriptor,
    target: (&StoreRef, &RepositoryName),
    options: &CopyOptions,
) -> Result<bool, Error> {
    let listed = list_referrers(source, root, options).await?;
    for Referrer { manifest, tag } in listed.into_iter().flat_map(|(_, referrers)| referrers) {
        let name = match &tag {
            Some(tag) => Reference::Tag(tag.clone()),
            None => Reference::Digest(manifest.digest),
        };
        let there = match target.0.resolve(target.1, &name).await {
            Ok(there) => there,
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) => return Err(error),
        };
        if let Some(tag) = &tag
            && there.digest != manifest.digest
            && !has_more(target, tag, source, &manifest).await?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether a target has something under a tag that would be lost if what a source has were
/// put there: each of them may have been added to.
async fn has_more(
    (target, to): (&StoreRef, &RepositoryName),
    tag: &Tag,
    source: (&StoreRef, &RepositoryName),
    manifest: &Descriptor,
) -> Result<bool, Error> {
    let there = match target.manifest(to, &Reference::Tag(tag.clone())).await {
        Ok(there) => there,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(error),
    };
    if there.digest() == manifest.digest {
        return Ok(false);
    }
    let here = fetch(source, manifest).await?;
    Ok(match (layers(&there), layers(&here)) {
        (Some(there), Some(here)) => !there.is_subset(&here),
        _ => true,
    })
}

fn layers(manifest: &RawManifest) -> Option<BTreeSet<Digest>> {
    match manifest.parse() {
        Ok(Document::Image(image)) => Some(image.layers.iter().map(|it| it.digest).collect()),
        _ => None,
    }
}

/// Lists what refers to an artifact, to what is in it, and to what refers to that: each manifest to
/// which something refers, with what is new there. Of indexes, only what is
/// [wanted](CopyOptions::with_selection) counts, as far as it is there.
///
/// # Errors
///
/// The source cannot be asked, or more refers to the artifact than to any real one.
pub async fn list_referrers(
    source: (&StoreRef, &RepositoryName),
    root: &Descriptor,
    options: &CopyOptions,
) -> Result<Vec<(Digest, Vec<Referrer>)>, Error> {
    let mut found = Vec::new();
    let mut open = manifests_of(source, root, options).await?;
    let mut seen: BTreeSet<Digest> = open.iter().copied().collect();
    let most = seen.len() + MAX_REFERRERS;
    // One list is less than three questions for each of several manifests. Who does not list tags
    // is asked.
    let tags: Option<BTreeSet<Tag>> = if open.len() > 1 {
        let listed = source.0.tags(source.1).await.ok();
        listed.map(|tags| tags.into_iter().collect())
    } else {
        None
    };
    let tags = tags.as_ref();
    while !open.is_empty() {
        let subjects = std::mem::take(&mut open);
        let mut listed = stream::iter(subjects)
            .map(|subject| async move {
                let referrers = referrers_of(source, &subject, tags).await?;
                Ok::<_, Error>((subject, referrers))
            })
            .buffered(options.parallel());
        while let Some((subject, mut referrers)) = listed.try_next().await? {
            if referrers.is_empty() {
                continue;
            }
            referrers.retain(|referrer| {
                let is_new = seen.insert(referrer.manifest.digest);
                if is_new {
                    open.push(referrer.manifest.digest);
                }
                // What names no subject may be the same for several.
                is_new || referrer.tag.is_some()
            });
            if seen.len() > most {
                return Err(Error::malformed(
                    format!("artifact {}", root.digest),
                    format!("more than {MAX_REFERRERS} manifests refer to it"),
                ));
            }
            found.push((subject, referrers));
        }
    }
    Ok(found)
}

/// Returns the manifests of an artifact, the root first.
async fn manifests_of(
    source: (&StoreRef, &RepositoryName),
    root: &Descriptor,
    options: &CopyOptions,
) -> Result<Vec<Digest>, Error> {
    let mut manifests = vec![root.digest];
    let mut seen = BTreeSet::from([root.digest]);
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        if !media_type::is_index(&node.media_type) {
            continue;
        }
        let index = match fetch(source, &node).await {
            Ok(index) => index,
            // It may have been left out when the artifact came here.
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        for child in Children::of(&index, options.selection())?.manifests {
            if seen.insert(child.digest) {
                manifests.push(child.digest);
                open.push(child);
            }
        }
        if manifests.len() > MAX_MANIFESTS {
            return Err(too_many(root));
        }
    }
    Ok(manifests)
}

/// Asks what refers to one manifest; `tags` are those of the repository, if they are known.
async fn referrers_of(
    (store, repository): (&StoreRef, &RepositoryName),
    subject: &Digest,
    tags: Option<&BTreeSet<Tag>>,
) -> Result<Vec<Referrer>, Error> {
    let attached = ATTACHED.map(|kind| async move {
        let tag = Tag::attached(subject, kind);
        if tags.is_some_and(|tags| !tags.contains(&tag)) {
            return Ok(None);
        }
        match store
            .resolve(repository, &Reference::Tag(tag.clone()))
            .await
        {
            Ok(manifest) => Ok(Some(Referrer {
                manifest: manifest.plain(),
                tag: Some(tag),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    });
    let attached = futures::future::try_join_all(attached);
    let listed = store.referrers(repository, subject);
    let (listed, attached) = futures::future::try_join(listed, attached).await?;
    let mut referrers: Vec<Referrer> = listed
        .into_iter()
        .map(|entry| Referrer {
            manifest: Descriptor {
                artifact_type: entry.artifact_type.clone(),
                ..entry.plain()
            },
            tag: None,
        })
        .collect();
    // Registries list them in an order of their own.
    referrers.sort_by_key(|referrer| referrer.manifest.digest);
    referrers.extend(attached.into_iter().flatten());
    Ok(referrers)
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
    use crate::MemoryStore;
    use crate::document::{EMPTY_CONFIG, ImageManifest};
    use crate::store::{Fetch as _, Push as _, Referrers as _};

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

    /// Attaches something to a manifest as cosign does: layers of one manifest with a tag.
    async fn attach(
        store: &MemoryStore,
        repository: &RepositoryName,
        subject: &RawManifest,
        signatures: &[&'static str],
    ) -> Digest {
        let mut layers = Vec::new();
        for signature in signatures {
            let blob: BlobRef = Arc::new(MemoryBlob::new(*signature));
            store.push_blob(repository, &blob).await.unwrap();
            layers.push(Descriptor::of(
                "application/x-signature",
                signature.as_bytes(),
            ));
        }
        let empty: BlobRef = Arc::new(MemoryBlob::new(EMPTY_CONFIG));
        store.push_blob(repository, &empty).await.unwrap();
        let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
        let manifest = RawManifest::image(&ImageManifest::new(config, layers));
        let tag = Tag::attached(&subject.digest(), "sig");
        let pushed = store.push_manifest(repository, &manifest, Some(&tag));
        pushed.await.unwrap();
        manifest.digest()
    }

    #[tokio::test]
    async fn what_refers_to_the_images_of_an_index_comes_also_by_the_tags_of_cosign() {
        let (source, target) = (MemoryStore::new(), MemoryStore::new());
        let name: RepositoryName = "a".parse().unwrap();
        let image = push(&source, &name, 0, None).await;
        let index = RawManifest::index(&ImageIndex::new(vec![image.descriptor()]));
        source.push_manifest(&name, &index, None).await.unwrap();
        let materials = push(&source, &name, 1, Some(&image)).await;
        let signatures = [
            (&index, attach(&source, &name, &index, &["one"]).await),
            (&image, attach(&source, &name, &image, &["two"]).await),
            (
                &materials,
                attach(&source, &name, &materials, &["three"]).await,
            ),
        ];
        let from: StoreRef = Arc::new(source);
        let to: StoreRef = Arc::new(target.clone());
        let options = CopyOptions::default();
        let root = index.descriptor();
        let copied = copy_graph((&from, &name), &root, (&to, &name), None, &options);
        copied.await.unwrap();
        let subjects = copy_referrers((&from, &name), &root, (&to, &name), &options).await;
        let expected = [index.digest(), image.digest(), materials.digest()];
        assert_eq!(subjects.unwrap(), expected);
        for (subject, signature) in signatures {
            let tag = Tag::attached(&subject.digest(), "sig");
            let found = target.resolve(&name, &tag.into()).await.unwrap();
            assert_eq!(found.digest, signature);
        }
        let found = target.referrers(&name, &image.digest()).await.unwrap();
        assert_eq!(found[0].digest, materials.digest());
    }

    #[tokio::test]
    async fn what_a_target_has_more_of_under_a_tag_stays() {
        let name: RepositoryName = "a".parse().unwrap();
        for (there, here, stays) in [
            (&["one"][..], &["one", "two"][..], false),
            (&["one", "two"], &["one"], true),
            (&["one"], &["two"], true),
        ] {
            let (source, target) = (MemoryStore::new(), MemoryStore::new());
            let image = push(&source, &name, 0, None).await;
            push(&target, &name, 0, None).await;
            let before = attach(&target, &name, &image, there).await;
            let incoming = attach(&source, &name, &image, here).await;
            let from: StoreRef = Arc::new(source);
            let to: StoreRef = Arc::new(target.clone());
            let (root, options) = (image.descriptor(), CopyOptions::default());
            let copied = copy_referrers((&from, &name), &root, (&to, &name), &options);
            copied.await.unwrap();
            let tag = Tag::attached(&image.digest(), "sig");
            let found = target.resolve(&name, &tag.into()).await.unwrap();
            let expected = if stays { before } else { incoming };
            assert_eq!(found.digest, expected, "{there:?} {here:?}");
        }
    }
}
