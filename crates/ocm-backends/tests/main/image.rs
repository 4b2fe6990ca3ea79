//! The input `ociArtifact`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_backends::access::StoreProvider;
use ocm_backends::image::OciArtifactInput;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_constructor::input::{InputResult, Produced};
use ocm_oci::{
    CopyOptions, Descriptor, Document, ImageIndex, ImageManifest, ImageReference, MemoryStore,
    Platform, Push as _, RawManifest, Reference, RepositoryName, StoreRef, check_graph, media_type,
};
use ocm_repository::{Artifact, Content};

use crate::input::{chain, process};

/// A registry under every name.
#[derive(Debug)]
struct Everywhere(StoreRef);

#[async_trait]
impl StoreProvider for Everywhere {
    async fn store(&self, _: &ImageReference) -> Result<StoreRef, ocm_oci::Error> {
        Ok(Arc::clone(&self.0))
    }
}

/// Stores an image for one architecture, and returns what points to it.
async fn image(store: &MemoryStore, repository: &RepositoryName, architecture: &str) -> Descriptor {
    let config = format!(r#"{{"architecture":"{architecture}","os":"linux"}}"#);
    let blob: BlobRef = Arc::new(MemoryBlob::new(config.clone()));
    store.push_blob(repository, &blob).await.unwrap();
    let config = Descriptor::of(media_type::IMAGE_CONFIG, config.as_bytes());
    let manifest = RawManifest::image(&ImageManifest::new(config, Vec::new()));
    store
        .push_manifest(repository, &manifest, None)
        .await
        .unwrap();
    manifest.descriptor()
}

/// Returns a method for a registry with `acme/notes:1.0.0`: amd64, arm64 of which only its
/// configuration says so, and something that is no image; and `acme/notes:images` without that.
async fn registry() -> (OciArtifactInput, Descriptor) {
    let store = MemoryStore::new();
    let repository: RepositoryName = "acme/notes".parse().unwrap();
    let mut amd = image(&store, &repository, "amd64").await;
    amd.platform = Some(Platform {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        ..Platform::default()
    });
    let arm = image(&store, &repository, "arm64").await;
    let blob: BlobRef = Arc::new(MemoryBlob::new("{}"));
    store.push_blob(&repository, &blob).await.unwrap();
    let config = Descriptor::of("application/x", b"{}");
    let other = RawManifest::image(&ImageManifest::new(config, Vec::new()));
    store
        .push_manifest(&repository, &other, None)
        .await
        .unwrap();
    let images = vec![amd.clone(), arm.clone()];
    let index = RawManifest::index(&ImageIndex::new(vec![amd, arm, other.descriptor()]));
    let tag = "1.0.0".parse().unwrap();
    store
        .push_manifest(&repository, &index, Some(&tag))
        .await
        .unwrap();
    let images = RawManifest::index(&ImageIndex::new(images));
    let tag = "images".parse().unwrap();
    store
        .push_manifest(&repository, &images, Some(&tag))
        .await
        .unwrap();
    let provider = Arc::new(Everywhere(Arc::new(store)));
    (OciArtifactInput::new(provider), index.descriptor())
}

async fn take(method: &OciArtifactInput, input: &str) -> Result<InputResult, String> {
    let result = process(method, Path::new("."), input).await;
    result.map_err(|error| chain(&error))
}

/// Reads the index that an input has become, after everything that it points to has been checked.
async fn index(result: &InputResult) -> (Descriptor, ImageIndex) {
    let Produced::Content(Content::Artifact(artifact)) = &result.produced else {
        panic!("not an artifact")
    };
    let Artifact {
        store,
        repository,
        root,
    } = artifact.as_ref();
    let options = CopyOptions::default();
    check_graph(store, repository, root, &options)
        .await
        .unwrap();
    let reference = Reference::Digest(root.digest);
    let raw = store.manifest(repository, &reference).await.unwrap();
    match raw.parse().unwrap() {
        Document::Index(index) => (root.clone(), *index),
        Document::Image(_) => panic!("an image"),
    }
}

#[tokio::test]
async fn an_artifact_is_taken_as_it_is() {
    let (method, top) = registry().await;
    for path in [
        "reg.acme.org/acme/notes:1.0.0",
        "acme/notes",
        "reg.acme.org/acme/notes",
    ] {
        let result = take(&method, &format!("{{type: ociArtifact, path: '{path}'}}")).await;
        let result = result.unwrap();
        assert_eq!(index(&result).await.0, top, "{path}");
        assert_eq!(
            result.reference_name.as_deref(),
            Some("acme.org/x/data:1.0.0")
        );
    }
    let input = "{type: ociImage, path: 'acme/notes:1.0.0', repository: /images/notes}";
    let result = take(&method, input).await.unwrap();
    assert_eq!(result.reference_name.as_deref(), Some("images/notes:1.0.0"));
}

#[tokio::test]
async fn platforms_are_chosen_from_an_index() {
    let (method, top) = registry().await;
    let with = |platforms: &str| {
        format!("{{type: ociArtifact, path: 'acme/notes:1.0.0', platforms: [{platforms}]}}")
    };
    let (all, _) = index(&take(&method, &with("linux/")).await.unwrap()).await;
    assert_eq!(all, top);
    for (platform, architecture) in [("linux/amd64", 0), ("/arm64", 1)] {
        let (_, whole) = index(&take(&method, &with("linux/")).await.unwrap()).await;
        let (root, part) = index(&take(&method, &with(platform)).await.unwrap()).await;
        assert_ne!(root, top);
        let expected = [&whole.manifests[architecture], &whole.manifests[2]];
        assert_eq!(
            part.manifests.iter().collect::<Vec<_>>(),
            expected,
            "{platform}"
        );
    }
    let images = with("linux/arm64").replace("1.0.0", "images");
    let alone = take(&method, &images).await.unwrap();
    let Produced::Content(Content::Artifact(alone)) = alone.produced else {
        panic!("not an artifact")
    };
    assert_eq!(alone.root.media_type, media_type::IMAGE_MANIFEST);
    let none = with("windows/").replace("1.0.0", "images");
    insta::assert_snapshot!(take(&method, &none).await.unwrap_err(), @r"
    c.yaml:7:36: resources[0].input.path: cannot read docker.io/acme/notes:images
      caused by: an image for one of the platforms in sha256:cb395d2255932310ba187733eb97b10e207f869803008a3c5ffcd0d661a38b17 not found
    ");
    insta::assert_snapshot!(take(&method, &with("linux")).await.unwrap_err(), @"c.yaml:7:67: resources[0].input.platforms: `linux` is not a platform such as `linux/amd64`");
}

#[tokio::test]
async fn what_cannot_be_taken_is_named() {
    let (method, _) = registry().await;
    insta::assert_snapshot!(take(&method, "{type: ociArtifact, path: 'acme/notes:7'}").await.unwrap_err(), @r"
    c.yaml:7:36: resources[0].input.path: cannot read docker.io/acme/notes:7
      caused by: acme/notes:7 not found
    ");
    insta::assert_snapshot!(take(&method, "{type: ociArtifact, path: 'Not a name'}").await.unwrap_err(), @"c.yaml:7:36: resources[0].input.path: `Not a name` is not the name of an image: `library/Not a name` is no repository name: each part between slashes consists of lower-case letters and digits, separated by single dots, one or two underscores, or dashes");
    insta::assert_snapshot!(take(&method, "{type: ociArtifact}").await.unwrap_err(), @"c.yaml:7:10: resources[0].input: field `path` of `ociArtifact` is missing");
    let tagged = "{type: ociArtifact, path: 'acme/notes:1.0.0', repository: 'notes:1'}";
    insta::assert_snapshot!(take(&method, tagged).await.unwrap_err(), @"c.yaml:7:68: resources[0].input.repository: `acme.org/x/notes:1` is no repository name: each part between slashes consists of lower-case letters and digits, separated by single dots, one or two underscores, or dashes");
}
