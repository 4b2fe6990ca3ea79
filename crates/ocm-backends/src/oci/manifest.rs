//! The manifests of a component version: built purely, then written.

use futures::future::try_join;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use ocm_model::Descriptor;
use ocm_oci::{
    Descriptor as Entry, Error, ImageIndex, ImageManifest, RawManifest, RepositoryName, StoreRef,
    Tag,
};
use ocm_repository::Expected;
use serde_json::json;
use std::sync::Arc;

use super::annotation::{ARTIFACT, COMPONENT_VERSION, CREATOR, DESCRIPTOR, Local};

/// The artifact type of the manifest with the component descriptor.
const ARTIFACT_TYPE: &str = "application/vnd.ocm.software.component-descriptor.v2";
/// The media type of a component descriptor as it is written.
const DESCRIPTOR_JSON: &str = "application/vnd.ocm.software.component-descriptor.v2+json";
/// The media type of the configuration that names the descriptor layer.
const CONFIG: &str = "application/vnd.ocm.software.component.config.v1+json";

/// How a component version is stored.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The digest of the topmost manifest.
    pub(super) stored_digest: Digest,
    /// The manifest with the descriptor.
    pub(super) manifest: ImageManifest,
    /// The entries of the index around it, without the manifest itself.
    pub(super) artifacts: Vec<Entry>,
}

impl Layout {
    /// Returns the layer or artifact with a digest. The same blob may be there twice, once for
    /// each resource.
    pub(super) fn local_blob(&self, digest: &Digest) -> Option<&Entry> {
        let mut entries = self.artifacts.iter().chain(&self.manifest.layers);
        entries.find(|entry| entry.digest == *digest)
    }
}

/// Everything that is to be written for a component version.
#[derive(Debug)]
pub(super) struct Written {
    descriptor: Vec<u8>,
    config: Vec<u8>,
    manifest: RawManifest,
    index: Option<RawManifest>,
    layout: Layout,
}

/// Returns the configuration that names a layer as the component descriptor, byte for byte as all
/// tools write it.
pub(super) fn config_of(layer: &Entry) -> Vec<u8> {
    let Entry {
        media_type,
        digest,
        size,
        ..
    } = layer;
    let media_type = json!(media_type);
    format!(
        r#"{{"componentDescriptorLayer":{{"mediaType":{media_type},"digest":"{digest}","size":{size}}}}}"#
    )
    .into_bytes()
}

/// Builds the documents of a component version from its descriptor and what its local blobs are.
pub(super) fn build(descriptor: &Descriptor, locals: Vec<(Local, Entry)>) -> Written {
    let id = descriptor.id();
    let bytes = descriptor.write_json();
    let descriptor_layer = Entry::of(DESCRIPTOR_JSON, &bytes);
    let config = config_of(&descriptor_layer);

    let mut layers = vec![descriptor_layer.with_annotation(DESCRIPTOR, "true")];
    let mut artifacts = Vec::new();
    for (local, mut entry) in locals {
        if !entry.is_manifest() && !local.blob.media_type.is_empty() {
            entry.media_type.clone_from(&local.blob.media_type);
        }
        entry.platform = local.platform();
        let entry = entry.with_annotation(ARTIFACT, local.artifact());
        if entry.is_manifest() {
            artifacts.push(entry);
        } else {
            layers.push(entry);
        }
    }

    let annotations = [
        (COMPONENT_VERSION, id.to_string()),
        (CREATOR, format!("ocm-rs {}", env!("CARGO_PKG_VERSION"))),
        (
            "org.opencontainers.image.title",
            format!("OCM component version {id}"),
        ),
        ("org.opencontainers.image.version", id.version.to_string()),
        (
            "org.opencontainers.image.documentation",
            "https://ocm.software".to_owned(),
        ),
    ];
    let mut image = ImageManifest::new(Entry::of(CONFIG, &config), layers);
    image.artifact_type = Some(ARTIFACT_TYPE.to_owned());
    image.annotations = annotations
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let manifest = RawManifest::image(&image);

    let index = (!artifacts.is_empty()).then(|| {
        let mut first = manifest.descriptor().with_annotation(DESCRIPTOR, "true");
        first.annotations.extend(image.annotations.clone());
        first.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        let mut index = ImageIndex::new([vec![first], artifacts.clone()].concat());
        index.annotations.clone_from(&image.annotations);
        RawManifest::index(&index)
    });
    let stored_digest = index.as_ref().unwrap_or(&manifest).digest();
    let layout = Layout {
        stored_digest,
        manifest: image,
        artifacts,
    };
    Written {
        descriptor: bytes,
        config,
        manifest,
        index,
        layout,
    }
}

/// Writes the documents, what is pointed to before what points, and the tag last.
pub(super) async fn write(
    store: &StoreRef,
    repository: &RepositoryName,
    tag: &Tag,
    written: Written,
    expected: Expected,
) -> Result<Layout, Error> {
    let Written {
        descriptor,
        config,
        manifest,
        index,
        layout,
    } = written;
    let descriptor: BlobRef = Arc::new(MemoryBlob::new(descriptor));
    let config: BlobRef = Arc::new(MemoryBlob::new(config));
    try_join(
        store.push_blob(repository, &descriptor),
        store.push_blob(repository, &config),
    )
    .await?;
    let root = match index {
        None => manifest,
        Some(index) => {
            store.push_manifest(repository, &manifest, None).await?;
            index
        }
    };
    match expected {
        Expected::Anything => store.push_manifest(repository, &root, Some(tag)).await?,
        Expected::Absent => store.replace_manifest(repository, &root, tag, None).await?,
        Expected::Stored(digest) => {
            let expected = Some(&digest);
            store
                .replace_manifest(repository, &root, tag, expected)
                .await?;
        }
    }
    Ok(layout)
}
