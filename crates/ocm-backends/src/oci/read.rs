//! Reading component versions, also those that older tools have written.

use std::io::Read as _;
use std::sync::Arc;

use ocm_model::Descriptor;
use ocm_model::descriptor::MAX_SIZE;
use ocm_oci::{
    Descriptor as Entry, Document, EMPTY_CONFIG, Link, Outline, RawManifest, Reference,
    RepositoryName, StoreRef, Tag, media_type,
};
use serde::Deserialize;

use super::annotation::DESCRIPTOR;
use super::manifest::{Layout, config_of};

/// The largest configuration that is read, in bytes. Ours has two hundred.
const MAX_CONFIG: u64 = 1024 * 1024;

/// The name of the descriptor in a tar.
const FILE_NAME: &str = "component-descriptor.yaml";

/// Why a component version cannot be read.
#[derive(Debug)]
pub(super) enum Error {
    /// The store failed, or has no such manifest.
    Store(ocm_oci::Error),
    /// The documents are not those of a component version.
    Malformed(String),
}

impl Error {
    /// Returns whether the store has been asked, and what it has is not a component version.
    pub(super) const fn is_about_content(&self) -> bool {
        use ocm_oci::Error as E;
        matches!(
            self,
            Self::Malformed(_)
                | Self::Store(
                    E::NotFound { .. }
                        | E::Malformed { .. }
                        | E::TooLarge { .. }
                        | E::DigestMismatch { .. }
                        | E::Dangling { .. }
                )
        )
    }

    /// Returns the error that says why.
    pub(super) fn into_source(self) -> ocm_oci::Error {
        match self {
            Self::Store(error) => error,
            Self::Malformed(reason) => ocm_oci::Error::malformed("component version", reason),
        }
    }
}

impl From<ocm_oci::Error> for Error {
    fn from(error: ocm_oci::Error) -> Self {
        Self::Store(error)
    }
}

/// How a component descriptor is encoded in its layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encoding {
    Json,
    Yaml,
    YamlTar,
}

impl Encoding {
    /// Reads the media types of both tools and of their predecessor.
    fn of(media_type: &str) -> Option<Self> {
        let start = [
            "application/vnd.ocm.software.component-descriptor.v2",
            "application/vnd.gardener.cloud.cnudie.component-descriptor.v2",
            "application/vnd.oci.gardener.cloud.cnudie.component-descriptor.config.v2",
        ];
        let suffix = start
            .iter()
            .find_map(|start| media_type.strip_prefix(start))?;
        match suffix {
            "+json" => Some(Self::Json),
            "+yaml" => Some(Self::Yaml),
            "+yaml+tar" => Some(Self::YamlTar),
            _ => None,
        }
    }
}

/// The manifests of a component version.
pub(super) struct Manifests {
    pub(super) layout: Layout,
    /// The one with the descriptor.
    manifest: RawManifest,
    /// The layer with the descriptor, if the configuration is known to name it.
    named: Option<Entry>,
}

/// Reads the manifests of a component version.
pub(super) async fn manifests(
    store: &StoreRef,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Manifests, Error> {
    let top = store
        .manifest(repository, &Reference::Tag(tag.clone()))
        .await?;
    let stored_digest = top.digest();
    let (manifest, artifacts) = if media_type::is_index(top.media_type()) {
        let Document::Index(index) = top.parse()? else {
            return Err(Error::Malformed("its index is an image".to_owned()));
        };
        let mut entries = index.manifests;
        if entries.is_empty() {
            return Err(Error::Malformed("its index is empty".to_owned()));
        }
        let marked = entries.iter().position(is_marked).unwrap_or(0);
        let reference = Reference::Digest(entries.remove(marked).digest);
        (store.manifest(repository, &reference).await?, entries)
    } else {
        (top, Vec::new())
    };
    let outline = manifest.outline()?;
    if outline.is_index {
        let reason = "its index starts with another index";
        return Err(Error::Malformed(reason.to_owned()));
    }
    let named = named_descriptor(&outline);
    // The first is the configuration.
    let layers = outline.children.into_iter().skip(1);
    let layout = Layout::new(
        stored_digest,
        artifacts.iter().map(Link::from).chain(layers),
    );
    Ok(Manifests {
        layout,
        manifest,
        named,
    })
}

/// Returns the layer with the component descriptor if the digest of the configuration says that it
/// names it, so that it need not be read.
fn named_descriptor(outline: &Outline<'_>) -> Option<Entry> {
    let (config, layers) = outline.children.split_first()?;
    let algorithm = config.digest.algorithm();
    let layers = layers.iter();
    let mut descriptors = layers.filter(|layer| Encoding::of(&layer.media_type).is_some());
    let named = descriptors.find(|layer| config.digest == algorithm.digest(config_of(layer)));
    named.map(Link::descriptor)
}

/// Reads the component descriptor of a component version, and its text if that is YAML.
pub(super) async fn descriptor(
    store: &StoreRef,
    repository: &RepositoryName,
    manifests: &Manifests,
) -> Result<(Descriptor, Option<Arc<str>>), Error> {
    let layer = match &manifests.named {
        Some(layer) => layer,
        None => &descriptor_layer(store, repository, &manifests.manifest).await?,
    };
    let encoding = Encoding::of(&layer.media_type).ok_or_else(|| {
        Error::Malformed(format!(
            "its first layer `{}` is no component descriptor",
            layer.media_type
        ))
    })?;
    let blob = store.blob(repository, layer);
    let what = || format!("component descriptor {}", layer.digest);
    let bytes = ocm_blob::read_to_end(blob.as_ref(), MAX_SIZE as u64)
        .await
        .map_err(|source| ocm_oci::Error::blob("read", what(), source))?;
    decode(&bytes, encoding)
}

/// Finds the layer with the component descriptor: the one that the configuration names, else the
/// one that is marked, else the first.
///
/// The Go tools follow the configuration, and whoever reads a component version must see the same
/// as all others. It need not be fetched where its digest says that it is empty.
async fn descriptor_layer(
    store: &StoreRef,
    repository: &RepositoryName,
    manifest: &RawManifest,
) -> Result<Entry, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        component_descriptor_layer: Option<Entry>,
    }
    let Document::Image(manifest) = manifest.parse()? else {
        return Err(Error::Malformed(
            "the manifest with its descriptor is an index".to_owned(),
        ));
    };
    let marked = manifest.layers.iter().find(|layer| is_marked(layer));
    let expected = marked.or(manifest.layers.first());
    let config = &manifest.config;
    if let Some(layer) = expected
        && Encoding::of(&layer.media_type).is_some()
        && config.digest == config.digest.algorithm().digest(EMPTY_CONFIG)
    {
        return Ok(layer.clone());
    }
    let blob = store.blob(repository, config);
    let bytes = ocm_blob::read_to_end(blob.as_ref(), MAX_CONFIG)
        .await
        .map_err(|source| ocm_oci::Error::blob("read", "configuration", source))?;
    let config: Option<Config> = serde_json::from_slice(&bytes).ok();
    config
        .and_then(|config| config.component_descriptor_layer)
        .or_else(|| expected.cloned())
        .ok_or_else(|| Error::Malformed("it has no layer with a component descriptor".to_owned()))
}

fn is_marked(entry: &Entry) -> bool {
    entry
        .annotations
        .get(DESCRIPTOR)
        .is_some_and(|value| value == "true")
}

fn decode(bytes: &[u8], encoding: Encoding) -> Result<(Descriptor, Option<Arc<str>>), Error> {
    let malformed = |error: &dyn std::error::Error| {
        let mut reason = format!("its component descriptor cannot be read: {error}");
        let mut next = error.source();
        while let Some(cause) = next {
            reason.extend([": ", &cause.to_string()]);
            next = cause.source();
        }
        Error::Malformed(reason)
    };
    let yaml = |text: &[u8]| {
        let text = std::str::from_utf8(text).map_err(|error| malformed(&error))?;
        let descriptor = Descriptor::read_yaml(text).map_err(|error| malformed(&error))?;
        Ok((descriptor, Some(text.into())))
    };
    match encoding {
        Encoding::Json => {
            let descriptor = Descriptor::read_json(bytes).map_err(|error| malformed(&error))?;
            Ok((descriptor, None))
        }
        Encoding::Yaml => yaml(bytes),
        Encoding::YamlTar => yaml(&from_tar(bytes).map_err(|error| malformed(&error))?),
    }
}

/// Returns the descriptor in a tar: the first file of its name. Nothing is unpacked.
fn from_tar(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path_bytes();
        let path = path
            .strip_prefix(b"./")
            .or_else(|| path.strip_prefix(b"/"))
            .unwrap_or(&path);
        // A sparse file could be of any size, whatever its layer is.
        if path == FILE_NAME.as_bytes() && entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.take(MAX_SIZE as u64).read_to_end(&mut content)?;
            return Ok(content);
        }
    }
    Err(std::io::Error::other(format!(
        "the tar holds no {FILE_NAME}"
    )))
}

/// Reads a component descriptor as a layer of some media type holds it; `None` if it cannot be
/// read. For tools that have the bytes alone.
pub fn decode_descriptor(media_type: &str, bytes: &[u8]) -> Option<Descriptor> {
    let (descriptor, _) = decode(bytes, Encoding::of(media_type)?).ok()?;
    Some(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "meta: {schemaVersion: v2}\ncomponent: {name: acme.org/a, version: 1.0.0, \
                        provider: acme.org, resources: [], sources: [], componentReferences: [], \
                        repositoryContexts: []}\n";

    fn tar_with(path: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn every_encoding_of_a_descriptor_is_read() {
        let tar = tar_with(FILE_NAME, YAML.as_bytes());
        for (media_type, bytes) in [
            (
                "application/vnd.ocm.software.component-descriptor.v2+yaml",
                YAML.as_bytes(),
            ),
            (
                "application/vnd.ocm.software.component-descriptor.v2+yaml+tar",
                &tar,
            ),
            (
                "application/vnd.gardener.cloud.cnudie.component-descriptor.v2+yaml+tar",
                &tar,
            ),
            (
                "application/vnd.oci.gardener.cloud.cnudie.component-descriptor.config.v2+yaml+tar",
                &tar,
            ),
        ] {
            let (descriptor, text) = decode(bytes, Encoding::of(media_type).unwrap()).unwrap();
            assert_eq!(descriptor.id().to_string(), "acme.org/a:1.0.0");
            assert_eq!(text.as_deref(), Some(YAML));
        }
    }

    #[test]
    fn a_descriptor_is_a_plain_file() {
        for kind in [tar::EntryType::GNUSparse, tar::EntryType::Symlink] {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(YAML.len() as u64);
            builder
                .append_data(&mut header, FILE_NAME, YAML.as_bytes())
                .unwrap();
            let tar = builder.into_inner().unwrap();
            assert!(from_tar(&tar).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn malformed_descriptors_say_why() {
        let reason = |bytes: &[u8], encoding| match decode(bytes, encoding) {
            Err(Error::Malformed(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let other = tar_with("other.yaml", b"");
        assert!(reason(&other, Encoding::YamlTar).contains("holds no component-descriptor.yaml"));
        assert!(reason(&other[..100], Encoding::YamlTar).contains("cannot be read"));
        assert!(reason(b"{", Encoding::Json).contains("cannot be read"));
        assert!(reason(b"\xff", Encoding::Yaml).contains("cannot be read"));
        let deep = "[".repeat(100_000);
        assert!(reason(deep.as_bytes(), Encoding::Json).contains("cannot be read"));
    }
}
