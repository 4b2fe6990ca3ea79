//! Choosing from an index by what images run on.

use std::sync::Arc;

use ocm_oci::{
    Descriptor, Document, Error, ImageIndex, Platform, RawManifest, Reference, media_type,
};
use ocm_repository::Artifact;

use crate::assembled::Assembled;

/// The largest configuration of an image that is read, in bytes.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;

/// A system and an architecture; one that is empty admits all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PlatformFilter {
    os: String,
    architecture: String,
}

impl PlatformFilter {
    /// Reads `os/architecture`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (os, architecture) = text.split_once('/')?;
        if architecture.contains('/') || (os.is_empty() && architecture.is_empty()) {
            return None;
        }
        Some(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
        })
    }

    fn admits(&self, platform: &Platform) -> bool {
        let fits = |wanted: &str, actual: &str| wanted.is_empty() || wanted == actual;
        fits(&self.os, &platform.os) && fits(&self.architecture, &platform.architecture)
    }
}

/// Leaves in an index what one of the filters admits, without filters everything; if that is one
/// image alone, it takes the place of the index. An artifact that is no index stays as it is, as
/// does what is no image within one.
pub(super) async fn select(
    artifact: Artifact,
    filters: &[PlatformFilter],
) -> Result<Artifact, Error> {
    if filters.is_empty() || !media_type::is_index(&artifact.root.media_type) {
        return Ok(artifact);
    }
    let reference = Reference::Digest(artifact.root.digest);
    let (store, repository) = (&artifact.store, &artifact.repository);
    let raw = store.manifest(repository, &reference).await?;
    let Document::Index(index) = raw.parse()? else {
        return Ok(artifact);
    };
    let mut chosen = Vec::new();
    for entry in &index.manifests {
        let platform = platform_of(&artifact, entry).await?;
        if platform.is_none_or(|platform| filters.iter().any(|filter| filter.admits(&platform))) {
            chosen.push(entry.clone());
        }
    }
    if chosen.len() == index.manifests.len() {
        return Ok(artifact);
    }
    if let [alone] = &chosen[..] {
        return Ok(Artifact {
            root: alone.plain(),
            ..artifact
        });
    }
    if chosen.is_empty() {
        let what = format!(
            "an image for one of the platforms in {}",
            artifact.root.digest
        );
        return Err(Error::not_found(what));
    }
    let index = RawManifest::index(&ImageIndex {
        manifests: chosen,
        ..*index
    });
    let root = index.descriptor();
    let name = format!("a part of {}", artifact.root.digest);
    let mut part = Assembled::over(name, Arc::clone(store), repository.clone());
    part.add_manifest(index);
    Ok(part.artifact(root))
}

/// Returns what an image runs on: as the index says, or else its configuration. `None` if it is no
/// image.
async fn platform_of(artifact: &Artifact, entry: &Descriptor) -> Result<Option<Platform>, Error> {
    if entry.platform.is_some() || !media_type::is_image(&entry.media_type) {
        return Ok(entry.platform.clone());
    }
    let (store, repository) = (&artifact.store, &artifact.repository);
    let raw = store
        .manifest(repository, &Reference::Digest(entry.digest))
        .await?;
    let config = match raw.parse()? {
        Document::Image(image) if image.config.media_type == media_type::IMAGE_CONFIG => {
            image.config
        }
        _ => return Ok(None),
    };
    let what = format!("configuration {}", config.digest);
    let bytes = ocm_blob::read_to_end(store.blob(repository, &config).as_ref(), MAX_CONFIG)
        .await
        .map_err(|source| Error::blob("read", what.clone(), source))?;
    let platform = serde_json::from_slice(&bytes);
    platform.map_err(|error| Error::malformed(what, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_a_system_and_an_architecture() {
        let platform = |os: &str, architecture: &str| Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..Platform::default()
        };
        let admits = |text: &str| {
            let filter = PlatformFilter::parse(text).unwrap();
            filter.admits(&platform("linux", "arm64"))
        };
        assert!(admits("linux/arm64") && admits("linux/") && admits("/arm64"));
        assert!(!admits("linux/amd64") && !admits("windows/arm64"));
        for text in ["linux", "", "/", "linux/arm/v7"] {
            assert_eq!(PlatformFilter::parse(text), None, "{text}");
        }
    }
}
