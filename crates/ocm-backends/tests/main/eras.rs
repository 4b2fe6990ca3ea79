//! Component versions as they were written over time: by the predecessor of OCM, by both Go tools,
//! and with everything between.

use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use ocm_model::{Access, ComponentVersionId, Version};
use ocm_oci::{
    Descriptor as Entry, ImageIndex, ImageManifest, MemoryStore, Push as _, RawManifest,
    RepositoryName, media_type,
};
use ocm_repository::{ComponentRepository as _, Content, Error};
use serde_json::{Value, json};

const V2: &str = "application/vnd.ocm.software.component-descriptor.v2";
const CNUDIE: &str = "application/vnd.gardener.cloud.cnudie.component-descriptor.v2";
const CNUDIE_OCI: &str =
    "application/vnd.oci.gardener.cloud.cnudie.component-descriptor.config.v2+yaml+tar";

const CONFIG: &str = "application/vnd.ocm.software.component.config.v1+json";
const CNUDIE_CONFIG: &str = "application/vnd.gardener.cloud.cnudie.component.config.v1+json";
const CNUDIE_METADATA: &str =
    "application/vnd.oci.gardener.cloud.cnudie.component-descriptor-metadata.config.v2+json";

/// The content of the one local blob.
const BLOB: &str = "content";

fn id() -> ComponentVersionId {
    "acme.org/old:1.0.0".parse().unwrap()
}

fn yaml(version: &str, access: &Value) -> String {
    format!(
        "meta: {{schemaVersion: v2}}
component:
  name: acme.org/old
  version: {version}
  provider: acme.org
  repositoryContexts: []
  sources: []
  componentReferences: []
  resources:
  - {{name: data, version: 1.0.0, type: blob, relation: local, access: {access}}}
"
    )
}

/// Returns a descriptor as a layer of a media type has it.
fn encoded(media_type: &str, access: &Value) -> Vec<u8> {
    let text = yaml("1.0.0", access);
    if media_type.ends_with("+json") {
        let value = ocm_model::yaml::parse(&text).unwrap();
        return serde_json::to_vec(&value).unwrap();
    }
    if !media_type.ends_with("+tar") {
        return text.into_bytes();
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, "component-descriptor.yaml", text.as_bytes())
        .unwrap();
    tar.into_inner().unwrap()
}

/// A store with one component, and the repository over it.
struct Place {
    store: MemoryStore,
    repository: OciComponentRepository,
    name: RepositoryName,
}

impl Place {
    fn new() -> Self {
        let store = MemoryStore::new();
        Self {
            repository: OciComponentRepository::new(Arc::new(store.clone()), None),
            name: "component-descriptors/acme.org/old".parse().unwrap(),
            store,
        }
    }

    /// Pushes a blob, and returns what points to it.
    async fn blob(&self, media_type: &str, content: impl AsRef<[u8]>) -> Entry {
        let content = content.as_ref().to_vec();
        let entry = Entry::of(media_type, &content);
        let blob: BlobRef = Arc::new(MemoryBlob::new(content));
        self.store.push_blob(&self.name, &blob).await.unwrap();
        entry
    }

    async fn tag(&self, manifest: &RawManifest, tag: &str) {
        let tag = tag.parse().unwrap();
        let pushed = self.store.push_manifest(&self.name, manifest, Some(&tag));
        pushed.await.unwrap();
    }

    /// Pushes a manifest with a descriptor, one local blob, and a configuration.
    async fn put(&self, descriptor: Entry, config: Entry, manifest_type: &str) -> RawManifest {
        let blob = self.blob("text/plain", BLOB).await;
        let mut image = ImageManifest::new(config, vec![descriptor, blob]);
        image.media_type = Some(manifest_type.to_owned());
        let manifest = RawManifest::image(&image);
        self.tag(&manifest, "1.0.0").await;
        manifest
    }

    /// Pushes a component version of a version under a tag.
    async fn version(&self, version: &str, tag: &str) {
        let layer_type = format!("{V2}+yaml");
        let access = json!({"type": "none"});
        let layer = self.blob(&layer_type, yaml(version, &access)).await;
        let config = self.blob(media_type::EMPTY, "{}").await;
        let manifest = RawManifest::image(&ImageManifest::new(config, vec![layer]));
        self.tag(&manifest, tag).await;
    }

    async fn versions(&self) -> Vec<String> {
        let versions = self.repository.versions(&id().name).await.unwrap();
        versions.iter().map(Version::to_string).collect()
    }

    /// Reads the component version and its local blob.
    async fn check(&self, what: &str) {
        let stored = self.repository.component_version(&id()).await;
        let stored = stored.unwrap_or_else(|error| panic!("{what}: {error}"));
        let access = stored.descriptor.resources().remove(0).access.unwrap();
        let content = self.repository.local_content(&id(), &access).await;
        let Content::Blob(blob) = content.unwrap() else {
            panic!("{what}: no blob")
        };
        let content = ocm_blob::read_to_end(blob.as_ref(), 100).await.unwrap();
        assert_eq!(content, BLOB, "{what}");
    }
}

fn accesses() -> [Value; 3] {
    let digest = Digest::sha256(BLOB).to_string();
    [
        json!({"type": "localBlob", "localReference": digest, "mediaType": "text/plain"}),
        json!({"type": "LocalBlob/v1", "localReference": digest.replace(':', "."), "mediaType": ""}),
        json!({"type": "localOciBlob", "digest": digest}),
    ]
}

#[tokio::test]
async fn every_media_type_of_descriptor_configuration_and_manifest_is_read() {
    let layers = [
        format!("{V2}+json"),
        format!("{V2}+yaml"),
        format!("{V2}+yaml+tar"),
        format!("{CNUDIE}+json"),
        format!("{CNUDIE}+yaml"),
        format!("{CNUDIE}+yaml+tar"),
        CNUDIE_OCI.to_owned(),
    ];
    for layer_type in &layers {
        for config_type in [CONFIG, CNUDIE_CONFIG, CNUDIE_METADATA] {
            for manifest_type in [media_type::IMAGE_MANIFEST, media_type::DOCKER_MANIFEST] {
                for access in accesses() {
                    let place = Place::new();
                    let layer = place.blob(layer_type, encoded(layer_type, &access)).await;
                    let config = json!({"componentDescriptorLayer": layer.clone()});
                    let config = place.blob(config_type, config.to_string()).await;
                    place.put(layer, config, manifest_type).await;
                    place
                        .check(&format!(
                            "{layer_type} {config_type} {manifest_type} {access}"
                        ))
                        .await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_configuration_that_names_no_layer_leaves_it_to_the_first() {
    for config in [
        "{}",
        r#"{"componentDescriptorLayer":null}"#,
        "[1]",
        "no JSON",
    ] {
        let place = Place::new();
        let layer_type = format!("{V2}+yaml+tar");
        let layer = place
            .blob(&layer_type, encoded(&layer_type, &accesses()[0]))
            .await;
        let config = place.blob(CONFIG, config).await;
        place.put(layer, config, media_type::IMAGE_MANIFEST).await;
        place.check("without a layer").await;
    }
}

#[tokio::test]
async fn the_configuration_decides_which_layer_is_the_descriptor() {
    let place = Place::new();
    let layer_type = format!("{V2}+yaml");
    let other = place
        .blob(&layer_type, yaml("1.0.0", &json!({"type": "none"})))
        .await;
    let layer = place
        .blob(&layer_type, encoded(&layer_type, &accesses()[0]))
        .await;
    let blob = place.blob("text/plain", BLOB).await;
    let config = json!({"componentDescriptorLayer": layer.clone()});
    let config = place.blob(CONFIG, config.to_string()).await;
    let image = ImageManifest::new(config, vec![other, blob, layer]);
    place.tag(&RawManifest::image(&image), "1.0.0").await;
    // As for the Go tools, so that nobody sees another descriptor than the others do.
    place.check("the third layer").await;
}

#[tokio::test]
async fn a_manifest_without_anything_of_a_component_says_so() {
    let place = Place::new();
    let config = place.blob(media_type::IMAGE_CONFIG, "{}").await;
    let layer = place.blob(media_type::LAYER_TAR_GZIP, "x").await;
    place.put(layer, config, media_type::IMAGE_MANIFEST).await;
    let error = place.repository.component_version(&id()).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn in_an_index_the_marked_manifest_is_the_component_version_or_else_the_first() {
    for marked in [false, true] {
        let place = Place::new();
        let layer_type = format!("{V2}+json");
        let layer = place
            .blob(&layer_type, encoded(&layer_type, &accesses()[0]))
            .await;
        let config = place.blob(media_type::EMPTY, "{}").await;
        let component = place
            .put(layer, config.clone(), media_type::IMAGE_MANIFEST)
            .await;
        let image = RawManifest::image(&ImageManifest::new(config, Vec::new()));
        place.tag(&image, "image").await;
        let mut entries = vec![component.descriptor(), image.descriptor()];
        if marked {
            entries.reverse();
            let entry = entries.remove(1);
            entries.push(entry.with_annotation("software.ocm.descriptor", "true"));
        }
        let index = RawManifest::index(&ImageIndex::new(entries));
        place.tag(&index, "1.0.0").await;
        place.check("in an index").await;
    }
}

#[tokio::test]
async fn annotations_of_layers_inform_and_decide_nothing() {
    for artifact in [
        r#"[{"kind":"resource","identity":{"name":"other"}}]"#,
        r#"{"kind":"resource","identity":{"name":"other"}}"#,
        "no JSON",
    ] {
        let place = Place::new();
        let layer_type = format!("{V2}+json");
        let layer = place
            .blob(&layer_type, encoded(&layer_type, &accesses()[0]))
            .await;
        let config = place.blob(media_type::EMPTY, "{}").await;
        let blob = place.blob("text/plain", BLOB).await;
        let annotated = |entry: &Entry| {
            entry
                .clone()
                .with_annotation("software.ocm.artifact", artifact)
        };
        // The same blob twice, as the second Go tool writes it for two resources.
        let layers = vec![layer, annotated(&blob), annotated(&blob)];
        let image = ImageManifest::new(config, layers);
        place.tag(&RawManifest::image(&image), "1.0.0").await;
        place.check(artifact).await;
    }
}

#[tokio::test]
async fn versions_that_differ_in_build_metadata_are_all_listed() {
    let place = Place::new();
    for version in [
        "1.0.0",
        "1.0.0+a",
        "1.0.0+b.build-c",
        "v1.0.0",
        "2.0.0-rc.1",
    ] {
        place
            .version(version, &version.replacen('+', ".build-", 1))
            .await;
    }
    let mut versions = place.versions().await;
    assert_eq!(versions[0], "2.0.0-rc.1");
    versions.sort();
    let expected = [
        "1.0.0",
        "1.0.0+a",
        "1.0.0+b.build-c",
        "2.0.0-rc.1",
        "v1.0.0",
    ];
    assert_eq!(versions, expected);
}

#[tokio::test]
async fn an_alias_is_no_version() {
    let place = Place::new();
    place.version("1.0.0", "1.0.0").await;
    place.version("1.0.0", "latest").await;
    // A version that is not semantic is one all the same.
    place.version("edge", "edge").await;
    // What is no component version, and what lists referrers.
    let config = place.blob(media_type::EMPTY, "{}").await;
    let image = RawManifest::image(&ImageManifest::new(config, Vec::new()));
    place.tag(&image, "image").await;
    let referrers = Digest::sha256("x").to_string().replace(':', "-");
    place.tag(&image, &referrers).await;
    assert_eq!(place.versions().await, ["1.0.0", "edge"]);
}

#[tokio::test]
async fn an_access_to_a_blob_that_the_version_does_not_have_is_refused() {
    let place = Place::new();
    let layer_type = format!("{V2}+json");
    let layer = place
        .blob(&layer_type, encoded(&layer_type, &accesses()[0]))
        .await;
    let config = place.blob(media_type::EMPTY, "{}").await;
    place.put(layer, config, media_type::IMAGE_MANIFEST).await;
    let other = Digest::sha256("other").to_string();
    let access = Access::from_json(json!({"type": "localOciBlob", "digest": other})).unwrap();
    let error = place.repository.local_content(&id(), &access).await;
    assert!(matches!(error, Err(Error::NoLocalBlob { .. })));
}
