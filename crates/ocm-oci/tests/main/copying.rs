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

#[tokio::test]
async fn what_an_image_points_to_is_a_blob_whatever_it_says() {
    let repository = name("a");
    let source = MemoryStore::new();
    let mut layer = push_blob(&source, &repository, b"no manifest").await;
    layer.media_type = media_type::IMAGE_MANIFEST.to_owned();
    let root = push_image(&source, &repository, vec![layer]).await;
    let (source, target) = (shared(&source), shared(&MemoryStore::new()));
    let options = CopyOptions::default();
    let (from, to) = ((&source, &repository), (&target, &repository));
    let report = copy_graph(from, &root, to, None, &options).await.unwrap();
    assert_eq!(report.copied, 3);
    let checked = check_graph(&target, &repository, &root, &options).await;
    assert_eq!(checked.unwrap().blobs, 2);
}

#[tokio::test]
async fn a_descriptor_with_the_wrong_size_is_not_believed() {
    let repository = name("a");
    let store = MemoryStore::new();
    let mut root = push_image(&store, &repository, Vec::new()).await;
    root.size += 1;
    let (source, target) = (shared(&store), shared(&MemoryStore::new()));
    let options = CopyOptions::default();
    let checked = check_graph(&source, &repository, &root, &options).await;
    assert!(checked.unwrap_err().is_mismatch());
    let (from, to) = ((&source, &repository), (&target, &repository));
    let copied = copy_graph(from, &root, to, None, &options).await;
    assert!(copied.unwrap_err().is_mismatch());
}

#[tokio::test]
async fn deep_and_wide_artifacts_arrive_with_more_manifests_than_are_kept() {
    let repository = name("a");
    let store = MemoryStore::new();
    let leaf = push_image(&store, &repository, Vec::new()).await;
    let mut root = leaf.clone();
    for depth in 0..6 {
        let mut index = ImageIndex::new(vec![root, leaf.clone()]);
        let padding = "x".repeat(3 << 20);
        index
            .annotations
            .insert(format!("padding-{depth}"), padding);
        let index = RawManifest::index(&index);
        store
            .push_manifest(&repository, &index, None)
            .await
            .unwrap();
        root = index.descriptor();
    }
    let (source, target) = (shared(&store), shared(&MemoryStore::new()));
    let options = CopyOptions::default();
    let (from, to) = ((&source, &repository), (&target, &repository));
    let report = copy_graph(from, &root, to, None, &options).await.unwrap();
    assert_eq!(report.copied, 6 + 1 + 1);
    let checked = check_graph(&target, &repository, &root, &options).await;
    assert_eq!(checked.unwrap().manifests, 7);
}
