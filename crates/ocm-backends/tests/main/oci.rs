//! Component versions in OCI stores.

use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_blob::{MemoryBlob, read_to_end};
use ocm_digest::Digest;
use ocm_model::{Access, Descriptor};
use ocm_oci::{
    CopyOptions, Descriptor as Entry, ImageManifest, MemoryStore, Push as _, RawManifest, StoreRef,
};
use ocm_repository::{Content, Expected, RepositoryRef, conformance};
use serde_json::{Value, json};

fn repository(store: impl Into<StoreRef>, prefix: Option<&str>) -> RepositoryRef {
    let prefix = prefix.map(|prefix| prefix.parse().expect("a repository name"));
    Arc::new(OciComponentRepository::new(store.into(), prefix))
}

#[tokio::test]
async fn memory_conforms() {
    conformance::all(|| async { repository(Arc::new(MemoryStore::new()) as StoreRef, None) }).await;
}

#[tokio::test]
async fn a_prefix_changes_nothing() {
    let prefix = Some("team/shop");
    conformance::all(|| async { repository(Arc::new(MemoryStore::new()) as StoreRef, prefix) })
        .await;
}

/// A component version whose one resource has an access.
fn component(access: &Value) -> Descriptor {
    let document = json!({
        "meta": {"schemaVersion": "v2"},
        "component": {
            "name": "acme.org/old", "version": "1.0.0", "provider": "acme.org",
            "repositoryContexts": [], "sources": [], "componentReferences": [],
            "resources": [{"name": "data", "version": "1.0.0", "type": "blob",
                "relation": "local", "access": access}],
        },
    });
    Descriptor::read_json(document.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn local_blobs_of_old_types_are_found_and_kept() {
    let repository = repository(Arc::new(MemoryStore::new()) as StoreRef, None);
    let digest = Digest::sha256("hello");
    for access in [
        json!({"type": "localOciBlob", "digest": digest}),
        json!({"type": "localFilesystemBlob", "fileName": digest.to_string().replace(':', "."),
            "mediaType": "text/plain"}),
    ] {
        let descriptor = component(&access);
        let id = descriptor.id();
        let content = Content::Blob(Arc::new(MemoryBlob::new("hello")));
        let options = CopyOptions::default();
        let added = repository.add_content(id, &content, None, &options).await;
        added.unwrap();
        repository
            .put(&descriptor, Expected::Anything)
            .await
            .unwrap();
        // Written again, as signing does, it still has its blob.
        let stored = repository.component_version(id).await.unwrap();
        let expected = Expected::Stored(stored.stored_digest);
        repository.put(&stored.descriptor, expected).await.unwrap();
        let access = stored.descriptor.resources().remove(0).access.unwrap();
        let content = repository.local_content(id, &access).await.unwrap();
        let Content::Blob(blob) = content else {
            panic!("not a blob")
        };
        assert_eq!(read_to_end(blob.as_ref(), 10).await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn a_relative_reference_names_an_artifact_of_the_same_store() {
    let store = MemoryStore::new();
    let config = MemoryBlob::new("{}");
    let manifest = ImageManifest::new(Entry::of("application/x", b"{}"), Vec::new());
    let manifest = RawManifest::image(&manifest);
    for name in ["images/notes", "team/below"] {
        let name = name.parse().unwrap();
        let config = Arc::new(config.clone()) as ocm_blob::BlobRef;
        store.push_blob(&name, &config).await.unwrap();
        let tag = "1.0".parse().unwrap();
        let pushed = store.push_manifest(&name, &manifest, Some(&tag)).await;
        pushed.unwrap();
    }
    let repository = repository(Arc::new(store) as StoreRef, Some("team"));
    let take = async |reference: &str| {
        let access = json!({"type": "relativeOciReference", "reference": reference});
        let access = Access::from_json(access).unwrap();
        let id = "acme.org/old:1.0.0".parse().unwrap();
        let content = repository.local_content(&id, &access).await;
        content.map_err(|error| crate::input::chain(&error))
    };
    let pinned = format!("images/notes@{}", manifest.digest());
    for reference in [
        "images/notes:1.0",
        "/images/notes:1.0",
        "below:1.0",
        &pinned,
    ] {
        let content = take(reference).await.unwrap();
        assert_eq!(content.digest(), Some(manifest.digest()), "{reference}");
    }
    insta::assert_snapshot!(take("images/notes").await.unwrap_err(), @r"
    cannot reach images/notes
      caused by: images/notes is malformed: it has neither tag nor digest
    ");
    let missing = take("none:1").await.unwrap_err();
    assert!(missing.starts_with("cannot reach none:1"), "{missing}");
    let malformed = take("Not A Name").await.unwrap_err();
    assert!(
        malformed.starts_with("cannot address Not A Name"),
        "{malformed}"
    );
}
