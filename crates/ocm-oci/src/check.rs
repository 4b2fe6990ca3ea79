//! Checking artifacts: reading everything, and believing nothing.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::BlobRef;

use crate::copy::CopyOptions;
use crate::document::Descriptor;
use crate::error::Error;
use crate::graph::{Children, Kind, MAX_MANIFESTS, fetch, too_many};
use crate::name::RepositoryName;
use crate::store::StoreRef;
use crate::task::on_own_task;

/// What checking an artifact found to be right.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CheckReport {
    /// Manifests read and checked.
    pub manifests: u64,
    /// Blobs read and checked.
    pub blobs: u64,
    /// Bytes read.
    pub size: u64,
}

/// Reads an artifact with everything it points to and checks each digest and size.
///
/// # Errors
///
/// Something is missing, is not what it promised, or cannot be read. The error names it.
pub async fn check_graph(
    store: &StoreRef,
    repository: &RepositoryName,
    root: &Descriptor,
    options: &CopyOptions,
) -> Result<CheckReport, Error> {
    let mut report = CheckReport::default();
    let (mut seen, mut blobs) = (BTreeSet::new(), Vec::new());
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        if !seen.insert((Kind::Manifest, node.digest)) {
            continue;
        }
        let manifest = fetch((store, repository), &node).await?;
        report.manifests += 1;
        report.size += manifest.bytes().len() as u64;
        if report.manifests > MAX_MANIFESTS as u64 {
            return Err(too_many(root));
        }
        let children = Children::of(&manifest, options.selection())?;
        open.extend(children.manifests);
        let fresh = children.blobs.into_iter();
        blobs.extend(fresh.filter(|blob| seen.insert((Kind::Blob, blob.digest))));
    }
    let sizes: Vec<u64> = stream::iter(blobs)
        .map(|blob| async move {
            if !blob.urls.is_empty() && store.stat_blob(repository, &blob.digest).await?.is_none() {
                return Ok(0);
            }
            check_blob(&store.blob(repository, &blob), options)
                .await
                .map_err(|source| Error::blob("check", format!("blob {}", blob.digest), source))
        })
        .buffer_unordered(options.parallel())
        .try_collect()
        .await?;
    report.blobs = sizes.len() as u64;
    report.size += sizes.iter().sum::<u64>();
    Ok(report)
}

/// Adds up the bytes of an artifact with everything it points to, each manifest and blob once. Its
/// manifests are read, its blobs are not.
///
/// # Errors
///
/// A manifest is missing, is not what it promised, or cannot be read.
pub async fn graph_size(
    store: &StoreRef,
    repository: &RepositoryName,
    root: &Descriptor,
    options: &CopyOptions,
) -> Result<u64, Error> {
    let mut seen = BTreeSet::from([(Kind::Manifest, root.digest)]);
    let (mut size, mut visited) = (0_u64, 0);
    let mut wave = vec![root.clone()];
    while !wave.is_empty() {
        visited += wave.len();
        if visited > MAX_MANIFESTS {
            return Err(too_many(root));
        }
        let mut next = Vec::new();
        let mut read = stream::iter(wave)
            .map(|node| async move { fetch((store, repository), &node).await })
            .buffered(options.parallel());
        while let Some(manifest) = read.try_next().await? {
            size = size.saturating_add(manifest.bytes().len() as u64);
            let Children {
                manifests, blobs, ..
            } = Children::of(&manifest, options.selection())?;
            for blob in blobs {
                if seen.insert((Kind::Blob, blob.digest)) {
                    size = size.saturating_add(blob.size);
                }
            }
            let manifests = manifests.into_iter();
            next.extend(manifests.filter(|child| seen.insert((Kind::Manifest, child.digest))));
        }
        wave = next;
    }
    Ok(size)
}

/// Reads a blob to its end, which checks it, and returns its size.
///
/// # Errors
///
/// It cannot be read or is not what it promised.
pub async fn check_blob(blob: &BlobRef, options: &CopyOptions) -> Result<u64, ocm_blob::Error> {
    let _slot = options.slots.acquire().await;
    let blob = options.watch(blob);
    on_own_task(async move {
        let mut stream = blob.open().await?;
        let mut size = 0;
        while let Some(chunk) = stream.try_next().await? {
            size += chunk.len() as u64;
        }
        Ok(size)
    })
    .await
}
