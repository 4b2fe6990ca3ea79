//! `ownershipPolicy: Always`: records of which component version an artifact is part.

use std::path::Path;
use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_backends::access::{StoreProvider, methods};
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_constructor::build::ConflictPolicy;
use ocm_constructor::{BuildOptions, BuildReport, Constructor, construct};
use ocm_ctf::{Access, CtfDirectory, ReferrersOf, write_layout};
use ocm_oci::{
    Descriptor, Document, ImageManifest, ImageReference, MemoryStore, Push as _, RawManifest,
    RepositoryName, StoreRef, Tag,
};
use ocm_repository::{OWNERSHIP, RepositoryRef, ownership};

const COMPONENT: &str = "component-descriptors/acme.org/app";

/// Pushes an image with a tag.
async fn image(store: &MemoryStore, repository: &RepositoryName) -> RawManifest {
    let tag: Tag = "1.0.0".parse().unwrap();
    for content in ["{}", "layer"] {
        let blob: BlobRef = Arc::new(MemoryBlob::new(content));
        store.push_blob(repository, &blob).await.unwrap();
    }
    let config = Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}");
    let layer = Descriptor::of("text/plain", b"layer");
    let manifest = RawManifest::image(&ImageManifest::new(config, vec![layer]));
    let pushed = store.push_manifest(repository, &manifest, Some(&tag)).await;
    pushed.unwrap();
    manifest
}

/// Packs a resource into a store, and into the directory that has its input.
async fn pack(
    store: StoreRef,
    directory: &Path,
    component: &str,
    resource: &str,
    images: Option<MemoryStore>,
) -> BuildReport {
    let text = format!(
        "name: {component}\nversion: 1.0.0\nprovider: acme.org\nresources:\n- name: image\n  \
         type: ociImage\n  options: {{ownershipPolicy: Always}}\n{resource}"
    );
    let constructor = Constructor::parse(&text, "c.yaml").unwrap();
    let target: RepositoryRef = Arc::new(OciComponentRepository::new(store, None));
    let mut options = BuildOptions::new(directory);
    options.conflict = ConflictPolicy::Replace;
    if let Some(images) = images {
        options.access = methods(Arc::new(Images(images)));
    }
    construct(&constructor, &target, &options).await.unwrap()
}

/// A registry in memory.
#[derive(Debug)]
struct Images(MemoryStore);

#[async_trait::async_trait]
impl StoreProvider for Images {
    async fn store(&self, _: &ImageReference) -> Result<StoreRef, ocm_oci::Error> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// Puts an OCI layout of an image into a directory.
async fn layout(directory: &Path) -> RawManifest {
    let (store, name) = (MemoryStore::new(), "app".parse().unwrap());
    let manifest = image(&store, &name).await;
    let reference = manifest.digest().into();
    let tar = write_layout(
        &store,
        &name,
        &reference,
        None,
        ReferrersOf::Nobody,
        &ocm_oci::Selection::all(),
    )
    .await;
    let bytes = ocm_blob::read_to_end(&tar.unwrap(), 1 << 20).await.unwrap();
    std::fs::write(directory.join("image.tar"), bytes).unwrap();
    manifest
}

const INPUT: &str = "  input:\n    type: file\n    path: image.tar\n    \
    mediaType: application/vnd.ocm.software.oci.layout.v1+tar\n";

/// Checks that an artifact has a record of its owner, and no other.
async fn check_owned(store: &StoreRef, repository: &str, artifact: &RawManifest, owner: &str) {
    let repository: RepositoryName = repository.parse().unwrap();
    let known = store
        .referrers(&repository, &artifact.digest())
        .await
        .unwrap();
    let owner = owner.parse().unwrap();
    let resource = "name=image,version=1.0.0".parse().unwrap();
    let expected = ownership(&artifact.descriptor(), &owner, &resource);
    let digests: Vec<_> = known.iter().map(|record| record.digest).collect();
    assert_eq!(digests, [expected.digest()]);
    let reference = expected.digest().into();
    let stored = store.manifest(&repository, &reference).await.unwrap();
    assert_eq!(stored.bytes(), expected.bytes());
    // The Go tools look for it in the list that stands under a tag.
    let tag = Tag::for_referrers(&artifact.digest()).into();
    if let Ok(list) = store.manifest(&repository, &tag).await {
        let Ok(Document::Index(list)) = list.parse() else {
            panic!("no list of referrers");
        };
        assert_eq!(list.manifests, known);
        assert_eq!(list.manifests[0].artifact_type.as_deref(), Some(OWNERSHIP));
    } else {
        assert!(!repository.as_str().starts_with("component-descriptors/"));
    }
    let empty = Descriptor::of("", b"{}").digest;
    let size = store.stat_blob(&repository, &empty).await.unwrap();
    assert_eq!(size, Some(2));
}

#[tokio::test]
async fn an_artifact_that_is_packed_gets_one_record_however_often() {
    let place = tempfile::tempdir().unwrap();
    let manifest = layout(place.path()).await;
    let archive = CtfDirectory::open(place.path().join("ctf"), Access::ReadWrite).unwrap();
    for store in [
        Arc::new(MemoryStore::new()) as StoreRef,
        Arc::new(archive) as StoreRef,
    ] {
        for _ in 0..2 {
            let packed = pack(
                Arc::clone(&store),
                place.path(),
                "acme.org/app",
                INPUT,
                None,
            );
            assert!(packed.await.warnings.is_empty());
            check_owned(&store, COMPONENT, &manifest, "acme.org/app:1.0.0").await;
        }
    }
}

#[tokio::test]
async fn the_record_of_an_artifact_elsewhere_is_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let (images, name) = (MemoryStore::new(), "acme/app".parse().unwrap());
    let manifest = image(&images, &name).await;
    let access = "  access: {type: ociArtifact, imageReference: 'ghcr.io/acme/app:1.0.0'}\n  version: 1.0.0\n";
    for (component, warnings) in [("acme.org/app", 0), ("acme.org/other", 1)] {
        let target: StoreRef = Arc::new(MemoryStore::new());
        let packed = pack(
            target,
            place.path(),
            component,
            access,
            Some(images.clone()),
        )
        .await;
        let warnings_of = &packed.warnings;
        assert_eq!(warnings_of.len(), warnings, "{warnings_of:?}");
        if let [other] = warnings_of.as_slice() {
            let text = other.to_string();
            assert!(text.contains("also belongs to acme.org/app"), "{text}");
        } else {
            let store: StoreRef = Arc::new(images.clone());
            check_owned(&store, "acme/app", &manifest, "acme.org/app:1.0.0").await;
        }
    }
}

#[tokio::test]
async fn content_that_is_no_artifact_has_no_owner() {
    let place = tempfile::tempdir().unwrap();
    let store: StoreRef = Arc::new(MemoryStore::new());
    let input = "  input: {type: utf8, text: hello}\n";
    let packed = pack(store, place.path(), "acme.org/app", input, None).await;
    let [warning] = packed.warnings.as_slice() else {
        panic!("{:?}", packed.warnings);
    };
    assert!(warning.to_string().contains("no OCI artifact"), "{warning}");
}
