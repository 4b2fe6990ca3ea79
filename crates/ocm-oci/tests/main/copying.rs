//! Copies of artifacts that are not quite right.

use std::sync::Arc;

use ocm_blob::{BlobRef, MemoryBlob};
use ocm_oci::{
    CopyOptions, Delete as _, Descriptor, ImageIndex, ImageManifest, MemoryStore, Push as _,
    RawManifest, RepositoryName, StoreRef, check_graph, copy_graph, media_type,
};

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

async fn push_blob(store: &MemoryStore, repository: &RepositoryName, bytes: &[u8]) -> Descriptor {
    let blob: BlobRef = Arc::new(MemoryBlob::new(bytes.to_vec()));
    store.push_blob(repository, &blob).await.unwrap();
    Descriptor::of(media_type::LAYER_TAR_GZIP, bytes)
}

async fn push_image(
    store: &MemoryStore,
    repository: &RepositoryName,
    layers: Vec<Descriptor>,
) -> Descriptor {
    let config = push_blob(store, repository, b"{}").await;
    let manifest = RawManifest::image(&ImageManifest::new(config, layers));
    store
        .push_manifest(repository, &manifest, None)
        .await
        .unwrap();
    manifest.descriptor()
}

fn shared(store: &MemoryStore) -> StoreRef {
    Arc::new(store.clone())
}

#[tokio::test]
async fn foreign_layers_stay_where_they_are() {
    let repository = name("a");
    let source = MemoryStore::new();
    let mut foreign = Descriptor::of(media_type::LAYER_TAR_GZIP, b"elsewhere");
    foreign.urls.push("https://example.org/layer".to_owned());
    let root = push_image(&source, &repository, vec![foreign]).await;
    let (source, target) = (shared(&source), shared(&MemoryStore::new()));
    let options = CopyOptions::default();
    let (from, to) = ((&source, &repository), (&target, &repository));
    let report = copy_graph(from, &root, to, None, &options).await.unwrap();
    assert_eq!(report.copied, 2);
    let checked = check_graph(&target, &repository, &root, &options).await;
    checked.unwrap();
}

#[tokio::test]
async fn a_missing_blob_leaves_no_root_at_the_target() {
    let (from, to) = (name("a"), name("b"));
    let source = MemoryStore::new();
    let layer = push_blob(&source, &from, b"layer").await;
    let image = push_image(&source, &from, vec![layer.clone()]).await;
    let index = RawManifest::index(&ImageIndex::new(vec![image]));
    source.push_manifest(&from, &index, None).await.unwrap();
    source.delete_blob(&from, &layer.digest).await.unwrap();

    let (source, target) = (shared(&source), shared(&MemoryStore::new()));
    let options = CopyOptions::default();
    let root = index.descriptor();
    let copy = copy_graph((&source, &from), &root, (&target, &to), None, &options);
    let error = copy.await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let found = target.manifest(&to, &root.digest.into()).await;
    assert!(found.unwrap_err().is_not_found());
}
