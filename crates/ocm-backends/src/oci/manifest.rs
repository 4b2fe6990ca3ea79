//! The manifests of a component version: built purely, then written.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use ocm_model::ComponentVersionId;
use ocm_oci::{
    Descriptor as Entry, Document, Error, ImageIndex, ImageManifest, RawManifest, RepositoryName,
    StoreRef, Tag,
};
use ocm_repository::Expected;
use serde_json::json;

use super::annotation::{ARTIFACT, COMPONENT_VERSION, CREATOR, DESCRIPTOR, Local};

/// The artifact type of the manifest with the component descriptor.
const ARTIFACT_TYPE: &str = "application/vnd.ocm.software.component-descriptor.v2";
/// The media type of a component descriptor as it is written.
const DESCRIPTOR_JSON: &str = "application/vnd.ocm.software.component-descriptor.v2+json";
/// The media type of the configuration that names the descriptor layer.
const CONFIG: &str = "application/vnd.ocm.software.component.config.v1+json";

/// Returns whether a manifest is, or has, a component descriptor: of any tool, the first one included.
pub fn is_component_version(manifest: &RawManifest) -> bool {
    let annotations = match manifest.parse() {
        Ok(Document::Image(image)) => image.annotations,
        Ok(Document::Index(index)) => index.annotations,
        Err(_) => return false,
    };
    annotations.contains_key(COMPONENT_VERSION)
}

/// How a component version is stored.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The digest of the topmost manifest.
    pub(super) stored_digest: Digest,
    /// The manifest with the descriptor.
    pub(super) manifest: ImageManifest,
    /// The entries of the index around it, without the manifest itself.
    artifacts: Vec<Entry>,
    /// Where the entry with a digest is among the artifacts and, after them, the layers. There can
    /// be as many as a manifest has room for, and each is looked for.
    positions: BTreeMap<Digest, usize>,
}

impl Layout {
    /// Takes the manifest with the descriptor, and the entries of the index around it without that
    /// manifest.
    pub(super) fn new(
        stored_digest: Digest,
        manifest: ImageManifest,
        artifacts: Vec<Entry>,
    ) -> Self {
        let mut positions = BTreeMap::new();
        for (position, entry) in artifacts.iter().chain(&manifest.layers).enumerate() {
            positions.entry(entry.digest).or_insert(position);
        }
        Self {
            stored_digest,
            manifest,
            artifacts,
            positions,
        }
    }

    /// Returns the layer or artifact with a digest. The same blob may be there twice, once for
    /// each resource; the first counts, and artifacts come before layers.
    pub(super) fn local_blob(&self, digest: &Digest) -> Option<&Entry> {
        let position = *self.positions.get(digest)?;
        let layer = || {
            let position = position.checked_sub(self.artifacts.len())?;
            self.manifest.layers.get(position)
        };
        self.artifacts.get(position).or_else(layer)
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

impl Written {
    /// Returns the digest of the topmost manifest.
    pub(super) const fn stored_digest(&self) -> Digest {
        self.layout.stored_digest
    }
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

/// Builds the documents of a component version from its descriptor as it is written, and its local
/// blobs, resources first.
pub(super) fn build(
    id: &ComponentVersionId,
    descriptor: Vec<u8>,
    locals: Vec<(Local, Entry)>,
) -> Written {
    let descriptor_layer = Entry::of(DESCRIPTOR_JSON, &descriptor);
    let config = config_of(&descriptor_layer);

    let mut layers = vec![descriptor_layer.with_annotation(DESCRIPTOR, "true")];
    let mut artifacts = Vec::new();
    for (local, mut entry) in locals {
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
    let layout = Layout::new(stored_digest, image, artifacts);
    Written {
        descriptor,
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
        store.push_new_blob(repository, &descriptor),
        store.push_new_blob(repository, &config),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_blob_is_the_first_entry_with_its_digest_and_artifacts_come_first() {
        let entry = |media_type: &str, content: &str| Entry::of(media_type, content.as_bytes());
        let layers = vec![
            entry("layer/first", "descriptor"),
            entry("layer/second", "both"),
            entry("layer/third", "twice"),
            entry("layer/fourth", "twice"),
        ];
        let manifest = ImageManifest::new(entry(CONFIG, "{}"), layers);
        let artifacts = vec![
            entry("artifact/first", "image"),
            entry("artifact/second", "both"),
        ];
        let layout = Layout::new(Digest::sha256("index"), manifest, artifacts);
        let found = |content: &str| {
            let entry = layout.local_blob(&Digest::sha256(content));
            entry.map(|entry| entry.media_type.as_str())
        };
        assert_eq!(found("image"), Some("artifact/first"));
        assert_eq!(found("both"), Some("artifact/second"));
        assert_eq!(found("descriptor"), Some("layer/first"));
        assert_eq!(found("twice"), Some("layer/third"));
        assert_eq!(found("{}"), None);
    }
}
