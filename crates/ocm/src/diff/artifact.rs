//! OCI artifacts, compared by the digests of what they consist of.

use std::collections::{BTreeMap, BTreeSet};

use ocm_digest::Digest;
use ocm_oci::{Descriptor, Document, Error, Reference};
use ocm_repository::Artifact;
use ocm_transfer::diff::ChangeKind;
use serde::Serialize;

use super::ContentDiff;

/// How many manifests an artifact may have that is compared.
const MAX_MANIFESTS: usize = 1000;

/// A part of an artifact that only one of two has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactChange {
    /// What it is.
    pub part: ArtifactPart,
    /// Which of the two has it.
    pub change: ChangeKind,
    /// What it runs on, where an index says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// What a part of an artifact is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ArtifactPart {
    /// An index or a manifest.
    Manifest,
    /// The configuration of an image.
    Config,
    /// A layer, or another blob.
    Layer,
}

/// A part, in the order in which it stands.
#[derive(Debug)]
struct Found {
    part: ArtifactPart,
    platform: Option<String>,
    entry: Descriptor,
}

type Key = (Option<String>, ArtifactPart, Digest);

/// Compares two artifacts.
///
/// # Errors
///
/// A manifest cannot be read.
pub(super) async fn compare(from: &Artifact, to: &Artifact) -> Result<ContentDiff, Error> {
    let (old, new) = (parts(from).await?, parts(to).await?);
    let mut counts: BTreeMap<Key, usize> = BTreeMap::new();
    for found in &new {
        *counts.entry(found.key()).or_default() += 1;
    }
    let (mut changes, mut unchanged) = (Vec::new(), 0);
    for found in old {
        match counts.get_mut(&found.key()).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                unchanged += 1;
            }
            None => changes.push(found.changed(ChangeKind::Removed)),
        }
    }
    for found in new.into_iter().rev() {
        if let Some(count) = counts.get_mut(&found.key()).filter(|count| **count > 0) {
            *count -= 1;
            changes.push(found.changed(ChangeKind::Added));
        }
    }
    // What belongs to one platform stands together.
    changes.sort_by(|left, right| (&left.platform, left.part).cmp(&(&right.platform, right.part)));
    let parts = changes;
    Ok(ContentDiff::Artifact { parts, unchanged })
}

/// Lists the manifests, configurations and layers of an artifact.
async fn parts(artifact: &Artifact) -> Result<Vec<Found>, Error> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut open = vec![(None, artifact.root.clone())];
    while let Some((platform, entry)) = open.pop() {
        if !seen.insert((platform.clone(), entry.digest)) {
            continue;
        }
        if seen.len() > MAX_MANIFESTS {
            let what = format!("artifact {}", artifact.root.digest);
            let reason = format!("it has more than {MAX_MANIFESTS} manifests");
            return Err(Error::malformed(what, reason));
        }
        let reference = Reference::Digest(entry.digest);
        let manifest = artifact.store.manifest(&artifact.repository, &reference);
        let document = manifest.await?.parse()?;
        let mut push = |part, entry| {
            found.push(Found {
                part,
                platform: platform.clone(),
                entry,
            });
        };
        push(ArtifactPart::Manifest, entry);
        match document {
            Document::Image(image) => {
                push(ArtifactPart::Config, image.config);
                for layer in image.layers {
                    push(ArtifactPart::Layer, layer);
                }
            }
            Document::Index(index) => {
                for entry in index.manifests.into_iter().rev() {
                    if entry.is_manifest() {
                        let own = entry.platform.as_ref().map(platform_text);
                        open.push((own.or_else(|| platform.clone()), entry));
                    } else {
                        push(ArtifactPart::Layer, entry);
                    }
                }
            }
        }
    }
    Ok(found)
}

fn platform_text(platform: &ocm_oci::Platform) -> String {
    let mut text = format!("{}/{}", platform.os, platform.architecture);
    if let Some(variant) = &platform.variant {
        text.extend(["/", variant]);
    }
    text
}

impl Found {
    fn key(&self) -> Key {
        (self.platform.clone(), self.part, self.entry.digest)
    }

    fn changed(self, change: ChangeKind) -> ArtifactChange {
        ArtifactChange {
            part: self.part,
            change,
            platform: self.platform,
            media_type: self.entry.media_type,
            digest: self.entry.digest,
            size: self.entry.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ocm_oci::{
        ImageIndex, ImageManifest, MemoryStore, Platform, Push as _, RawManifest, RepositoryName,
        media_type,
    };

    use super::*;

    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

    /// Stores an index with an image for each of some platforms, each with these layers.
    async fn artifact(images: &[(&str, &[&str])]) -> Artifact {
        let store = MemoryStore::new();
        let name: RepositoryName = "a".parse().unwrap();
        let push = async |text: &str, media_type: &str| {
            let blob: ocm_blob::BlobRef = Arc::new(ocm_blob::MemoryBlob::new(text.to_owned()));
            store.push_blob(&name, &blob).await.unwrap();
            Descriptor::of(media_type, text.as_bytes())
        };
        let mut entries = Vec::new();
        for (architecture, layers) in images {
            let config = push(architecture, media_type::EMPTY).await;
            let mut pushed = Vec::new();
            for layer in *layers {
                pushed.push(push(layer, LAYER).await);
            }
            let manifest = RawManifest::image(&ImageManifest::new(config, pushed));
            store.push_manifest(&name, &manifest, None).await.unwrap();
            let mut entry = manifest.descriptor();
            entry.platform = Some(Platform {
                architecture: (*architecture).to_owned(),
                os: "linux".to_owned(),
                ..Platform::default()
            });
            entries.push(entry);
        }
        let index = RawManifest::index(&ImageIndex::new(entries));
        store.push_manifest(&name, &index, None).await.unwrap();
        Artifact {
            store: Arc::new(store),
            repository: name,
            root: index.descriptor(),
        }
    }

    #[tokio::test]
    async fn layers_are_compared_by_platform_and_as_often_as_they_stand() {
        let old = artifact(&[("amd64", &["base", "app 1", "base"]), ("arm64", &["base"])]).await;
        let new = artifact(&[("amd64", &["base", "app 2"]), ("arm64", &["base"])]).await;
        let ContentDiff::Artifact { parts, unchanged } = compare(&old, &new).await.unwrap() else {
            panic!("no artifacts");
        };
        // The image for arm64, its configuration and layer; a layer and the other configuration.
        assert_eq!(unchanged, 5);
        let (amd64, any) = (Some("linux/amd64".to_owned()), None);
        let expected = [
            (&any, ArtifactPart::Manifest, ChangeKind::Removed),
            (&any, ArtifactPart::Manifest, ChangeKind::Added),
            (&amd64, ArtifactPart::Manifest, ChangeKind::Removed),
            (&amd64, ArtifactPart::Manifest, ChangeKind::Added),
            (&amd64, ArtifactPart::Layer, ChangeKind::Removed),
            (&amd64, ArtifactPart::Layer, ChangeKind::Removed),
            (&amd64, ArtifactPart::Layer, ChangeKind::Added),
        ];
        let found: Vec<_> = (parts.iter())
            .map(|it| (&it.platform, it.part, it.change))
            .collect();
        assert_eq!(found, expected);
        let sizes: Vec<u64> = parts[4..].iter().map(|it| it.size).collect();
        assert_eq!(sizes, [5, 4, 5]);
    }
}
