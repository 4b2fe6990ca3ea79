//! Surveying artifacts: what of them is there, and what is not.
//!
//! Other than [`check_graph`](crate::check_graph), which ends at the first fault, a survey goes on
//! and lists all of them. It asks for the sizes of blobs unless it is told to read them.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};
use ocm_digest::Digest;

use crate::check::check_blob;
use crate::copy::CopyOptions;
use crate::document::Descriptor;
use crate::error::Error;
use crate::graph::{Children, Kind, MAX_MANIFESTS, fetch, too_many};
use crate::name::RepositoryName;
use crate::store::StoreRef;

/// How thoroughly blobs are looked at. Manifests are read in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// They are there, with their sizes.
    Presence,
    /// They are read, and have their digests.
    Content,
}

/// What there is of an artifact.
#[derive(Debug, Default)]
pub struct Survey {
    /// Manifests that are there and right.
    pub manifests: u64,
    /// Blobs that are there and right.
    pub blobs: u64,
    /// The bytes of both.
    pub size: u64,
    /// Each manifest, with its size in bytes.
    pub found_manifests: BTreeMap<Digest, u64>,
    /// Each blob, with its size in bytes.
    pub found_blobs: BTreeMap<Digest, u64>,
    /// What is missing, or is not what it should be.
    pub faults: Vec<Error>,
}

/// Looks for everything that belongs to an artifact, each manifest and blob once. What is in
/// `except` is left to the caller, and so is what it points to.
///
/// # Errors
///
/// The store cannot be asked, or the artifact has more manifests than any real one.
pub async fn survey(
    store: &StoreRef,
    repository: &RepositoryName,
    root: &Descriptor,
    except: &BTreeSet<Digest>,
    depth: Depth,
    options: &CopyOptions,
) -> Result<Survey, Error> {
    let mut survey = Survey::default();
    let (mut seen, mut blobs) = (BTreeSet::new(), Vec::new());
    let (mut open, mut visited) = (vec![root.clone()], 0);
    while let Some(node) = open.pop() {
        if except.contains(&node.digest) || !seen.insert((Kind::Manifest, node.digest)) {
            continue;
        }
        visited += 1;
        if visited > MAX_MANIFESTS {
            return Err(too_many(root));
        }
        let read = fetch((store, repository), &node).await;
        let Some(manifest) = survey.note(read)? else {
            continue;
        };
        survey.manifests += 1;
        let size = manifest.bytes().len() as u64;
        survey.size = survey.size.saturating_add(size);
        survey.found_manifests.insert(node.digest, size);
        let Some(children) = survey.note(Children::of(&manifest, options.selection()))? else {
            continue;
        };
        open.extend(children.manifests);
        let fresh = children.blobs.into_iter();
        blobs.extend(fresh.filter(|blob| {
            !except.contains(&blob.digest) && seen.insert((Kind::Blob, blob.digest))
        }));
    }
    let mut looked = stream::iter(blobs)
        .map(|blob| async move {
            let size = look_at(store, repository, &blob, depth, options).await;
            (blob.digest, size)
        })
        .buffered(options.parallel());
    while let Some((digest, size)) = looked.next().await {
        if let Some(size) = survey.note(size)? {
            survey.blobs += 1;
            survey.size = survey.size.saturating_add(size);
            survey.found_blobs.insert(digest, size);
        }
    }
    Ok(survey)
}

/// Looks at one blob, and returns its size.
///
/// # Errors
///
/// It is missing, is not what it should be, or the store cannot be asked.
pub async fn look_at(
    store: &StoreRef,
    repository: &RepositoryName,
    blob: &Descriptor,
    depth: Depth,
    options: &CopyOptions,
) -> Result<u64, Error> {
    let what = || format!("blob {} of {repository}", blob.digest);
    let Some(actual) = store.stat_blob(repository, &blob.digest).await? else {
        // Layers that may not be passed on stand elsewhere.
        return if blob.urls.is_empty() {
            Err(Error::not_found(what()))
        } else {
            Ok(0)
        };
    };
    if actual != blob.size {
        let source = ocm_blob::Error::SizeMismatch {
            expected: blob.size,
            actual,
        };
        return Err(Error::blob("use", what(), source));
    }
    if depth == Depth::Presence {
        return Ok(actual);
    }
    let read = check_blob(&store.blob(repository, blob), options).await;
    read.map_err(|source| Error::blob("check", what(), source))
}

impl Survey {
    /// Takes down what is wrong with the artifact; other errors are passed on.
    fn note<T>(&mut self, found: Result<T, Error>) -> Result<Option<T>, Error> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_fault(&error) => {
                self.faults.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_fault(error: &Error) -> bool {
    error.is_not_found()
        || error.is_mismatch()
        || matches!(
            error.cause(),
            Error::Malformed { .. }
                | Error::TooLarge { .. }
                | Error::Dangling { .. }
                | Error::NoPlatform { .. }
        )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ocm_blob::{BlobRef, MemoryBlob};

    use super::*;
    use crate::MemoryStore;
    use crate::document::{ImageManifest, RawManifest, media_type};
    use crate::store::{Delete as _, Push as _};

    /// Stores an artifact with two layers.
    async fn artifact(store: &MemoryStore, name: &RepositoryName) -> (RawManifest, [Digest; 2]) {
        let mut layers = Vec::new();
        for text in ["config", "one", "two"] {
            let blob: BlobRef = Arc::new(MemoryBlob::new(text));
            store.push_blob(name, &blob).await.unwrap();
            layers.push(Descriptor::of(media_type::EMPTY, text.as_bytes()));
        }
        let config = layers.remove(0);
        let digests = [layers[0].digest, layers[1].digest];
        let manifest = RawManifest::image(&ImageManifest::new(config, layers));
        store.push_manifest(name, &manifest, None).await.unwrap();
        (manifest, digests)
    }

    #[tokio::test]
    async fn all_faults_are_found_but_those_of_what_is_left_out() {
        let memory = MemoryStore::new();
        let name: RepositoryName = "a".parse().unwrap();
        let (manifest, layers) = artifact(&memory, &name).await;
        let store: StoreRef = Arc::new(memory.clone());
        let options = CopyOptions::default();
        let root = manifest.descriptor();
        let look = async |except: &[Digest], depth| {
            let except = except.iter().copied().collect();
            survey(&store, &name, &root, &except, depth, &options)
                .await
                .unwrap()
        };
        for depth in [Depth::Presence, Depth::Content] {
            let found = look(&[], depth).await;
            assert_eq!((found.manifests, found.blobs), (1, 3));
            assert_eq!(found.size, manifest.bytes().len() as u64 + 12);
            assert!(found.faults.is_empty());
        }
        for layer in layers {
            memory.delete_blob(&name, &layer).await.unwrap();
        }
        let found = look(&[], Depth::Presence).await;
        let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
        let expected = layers.map(|layer| format!("blob {layer} of a not found"));
        assert_eq!(faults, expected);
        let found = look(&layers[..1], Depth::Content).await;
        assert_eq!(found.faults.len(), 1);
        let found = look(&[root.digest], Depth::Content).await;
        assert_eq!((found.manifests, found.size), (0, 0));
    }

    #[tokio::test]
    async fn a_size_that_is_not_that_of_the_blob_is_a_fault() {
        let memory = MemoryStore::new();
        let name: RepositoryName = "a".parse().unwrap();
        let (_, layers) = artifact(&memory, &name).await;
        let store: StoreRef = Arc::new(memory);
        let entry = Descriptor::new(media_type::EMPTY, layers[0], 4);
        let options = CopyOptions::default();
        let looked = look_at(&store, &name, &entry, Depth::Presence, &options);
        assert!(is_fault(&looked.await.unwrap_err()));
    }
}
