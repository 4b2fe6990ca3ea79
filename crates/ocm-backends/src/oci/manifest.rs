//! The manifests of a component version: built purely, then written.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use ocm_model::ComponentVersionId;
use ocm_oci::{
    Descriptor as Entry, Document, Error, ImageIndex, ImageManifest, Link, RawManifest,
    RepositoryName, StoreRef, Tag,
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

/// How a component version is stored: what is remembered of it.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The digest of the topmost manifest.
    pub(super) stored_digest: Digest,
    /// The media types and sizes of its blobs. There can be as many as a manifest has room for, and
    /// each is looked for.
    blobs: BTreeMap<Digest, (String, u64)>,
}

impl Layout {
    /// Takes what points to blobs, artifacts before layers. The same blob may be there twice, once for
    /// each resource; the first counts.
    pub(super) fn new<'a>(stored_digest: Digest, links: impl Iterator<Item = Link<'a>>) -> Self {
        let mut blobs = BTreeMap::new();
        for link in links {
            let blob = || (link.media_type.into_owned(), link.size);
            blobs.entry(link.digest).or_insert_with(blob);
        }
        Self {
            stored_digest,
            blobs,
        }
    }

    /// Returns what points to the layer or artifact with a digest.
    pub(super) fn local_blob(&self, digest: &Digest) -> Option<Entry> {
        let (media_type, size) = self.blobs.get(digest)?;
        Some(Entry::new(media_type, *digest, *size))
    }
}

/// Everything that is to be written for a component version.
#[derive(Debug)]
pub(super) struct Written {
    descriptor: Vec<u8>,
    config: Vec<u8>,
    manifest: RawManifest,
    index: Option<RawManifest>,
    layers: Vec<Entry>,
    artifacts: Vec<Entry>,
}

impl Written {
    /// Returns the digest of the topmost manifest.
    pub(super) fn stored_digest(&self) -> Digest {
        self.index.as_ref().unwrap_or(&self.manifest).digest()
    }

    /// Returns what is to be remembered of it.
    fn layout(&self) -> Layout {
        let blobs = self.artifacts.iter().chain(&self.layers);
        Layout::new(self.stored_digest(), blobs.map(Link::from))
    }
}

/// Returns the configuration that names a layer as the component descriptor, byte for byte as all
/// tools write it.
pub(super) fn config_of(layer: &Link<'_>) -> Vec<u8> {
    let Link { digest, size, .. } = layer;
    let media_type = json!(layer.media_type);
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
    let config = config_of(&Link::from(&descriptor_layer));

    let mut layers = Vec::with_capacity(1 + locals.len());
    layers.push(descriptor_layer.with_annotation(DESCRIPTOR, "true"));
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
    Written {
        descriptor,
        config,
        manifest,
        index,
        layers: image.layers,
        artifacts,
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
    let layout = written.layout();
    let Written {
        descriptor,
        config,
        manifest,
        index,
        ..
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
        let layers = [
            entry("layer/first", "descriptor"),
            entry("layer/second", "both"),
            entry("layer/third", "twice"),
            entry("layer/fourth", "twice"),
        ];
        let artifacts = [
            entry("artifact/first", "image"),
            entry("artifact/second", "both"),
        ];
        let links = artifacts.iter().chain(&layers).map(Link::from);
        let layout = Layout::new(Digest::sha256("index"), links);
        let found = |content: &str| {
            let entry = layout.local_blob(&Digest::sha256(content))?;
            assert_eq!(
                (entry.digest, entry.size),
                (Digest::sha256(content), content.len() as u64)
            );
            Some(entry.media_type)
        };
        assert_eq!(found("image").as_deref(), Some("artifact/first"));
        assert_eq!(found("both").as_deref(), Some("artifact/second"));
        assert_eq!(found("descriptor").as_deref(), Some("layer/first"));
        assert_eq!(found("twice").as_deref(), Some("layer/third"));
        assert_eq!(found("{}"), None);
    }
}
