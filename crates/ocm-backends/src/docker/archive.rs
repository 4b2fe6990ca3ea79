//! What `docker save` writes.
//!
//! ```text
//! manifest.json      [{"Config": "<path>", "RepoTags": ["acme/notes:1.0"], "Layers": ["<path>", …]}]
//! <path>             the configuration
//! <path>             a layer, as tar; or a link to one that is there already
//! ```
//!
//! The paths have changed over time (`<id>/layer.tar`, `blobs/sha256/<hex>`), this file has not.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use ocm_blob::{Bytes, Counted, MemoryBlob, OpenFile, is_gzip};
use ocm_digest::Digest;
use ocm_oci::{Descriptor, Error, ImageManifest, Platform, RawManifest, media_type};
use serde::Deserialize;
use tar::EntryType;

use crate::assembled::Assembled;

/// The largest `manifest.json` or configuration, in bytes.
const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// The number of entries beyond which an archive is refused. An image has at most 127 layers.
const MAX_ENTRIES: usize = 10_000;

const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image of an archive, as OCI artifact.
///
/// Layers stay where they are. Their digests are those in the configuration, so that reading checks
/// them; those of compressed layers are computed.
#[derive(Clone, Debug)]
pub struct DockerImage {
    /// The name that the image has in the daemon, if it has one.
    pub(super) name: Option<String>,
    /// What it runs on.
    pub(super) platform: Platform,
    /// What points to its manifest.
    pub(super) root: Descriptor,
    /// The manifest with everything that it points to.
    pub(super) content: Assembled,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(flatten)]
    platform: Platform,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

impl DockerImage {
    /// Reads the image in an archive that is not compressed.
    ///
    /// # Errors
    ///
    /// The file is no such archive, or holds several images.
    pub fn read(file: &OpenFile) -> Result<Self, Error> {
        let archive = Archive::scan(file)?;
        let malformed = |error: serde_json::Error| archive.malformed(error.to_string());
        let saved: Vec<Saved> =
            serde_json::from_slice(&archive.document("manifest.json")?).map_err(malformed)?;
        let [saved] = &saved[..] else {
            let names = saved
                .iter()
                .flat_map(|saved| saved.repo_tags.iter().flatten());
            let names: Vec<&str> = names.map(String::as_str).collect();
            let reason = match saved.len() {
                0 => "it holds no image".to_owned(),
                count => format!("it holds {count} images, not one: {}", names.join(", ")),
            };
            return Err(archive.malformed(reason));
        };
        let config_bytes = archive.document(&saved.config)?;
        let config: Config = serde_json::from_slice(&config_bytes).map_err(malformed)?;
        let paths = saved.layers.as_deref().unwrap_or_default();
        if paths.len() != config.rootfs.diff_ids.len() {
            let reason = "its configuration has another number of layers";
            return Err(archive.malformed(reason));
        }

        let mut content = Assembled::new(archive.name());
        let mut layers = Vec::new();
        for (path, diff_id) in paths.iter().zip(&config.rootfs.diff_ids) {
            let (start, size) = archive.find(path)?;
            let layer = archive.layer(start, size, *diff_id)?;
            let blob = file.blob(start, size).with_digest(layer.digest);
            content.add_blob(layer.digest, Arc::new(blob));
            layers.push(layer);
        }
        let config_entry = Descriptor::of(media_type::IMAGE_CONFIG, &config_bytes);
        let blob = MemoryBlob::new(config_bytes);
        content.add_blob(config_entry.digest, Arc::new(blob));
        let manifest = RawManifest::image(&ImageManifest::new(config_entry, layers));
        let root = manifest.descriptor();
        content.add_manifest(manifest);
        let names = saved.repo_tags.as_deref().unwrap_or_default();
        Ok(Self {
            name: names.first().cloned(),
            platform: Platform {
                architecture: config.platform.architecture,
                os: config.platform.os,
                variant: config.platform.variant,
                ..Platform::default()
            },
            root,
            content,
        })
    }
}

/// Where the files of an archive stand.
struct Archive<'a> {
    file: &'a OpenFile,
    files: BTreeMap<String, (u64, u64)>,
    /// Links, with what they point to.
    links: BTreeMap<String, String>,
}

impl<'a> Archive<'a> {
    fn scan(file: &'a OpenFile) -> Result<Self, Error> {
        let mut archive = Self {
            file,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        let size = file
            .size()
            .map_err(|source| Error::blob("read", archive.name(), source))?;
        let failed = |error: std::io::Error| Error::malformed(archive.name(), error.to_string());
        // Reading by position leaves the shared cursor to the scan.
        let mut cursor: &File = file.file();
        std::io::Seek::rewind(&mut cursor).map_err(failed)?;
        let mut scanned = tar::Archive::new(cursor);
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        for (index, entry) in scanned.entries_with_seek().map_err(failed)?.enumerate() {
            let entry = entry.map_err(failed)?;
            if index >= MAX_ENTRIES {
                let reason = format!("it has more than {MAX_ENTRIES} entries");
                return Err(archive.malformed(reason));
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let path = text(&entry.path_bytes());
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let (start, len) = (entry.raw_file_position(), entry.size());
                    if start.checked_add(len).is_none_or(|end| end > size) {
                        return Err(archive.malformed("it ends early, so it may be cut off"));
                    }
                    files.insert(clean(&path), (start, len));
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = text(&target);
                    let target = match entry.header().entry_type() {
                        EntryType::Symlink => beside(&path, &target),
                        _ => clean(&target),
                    };
                    links.insert(clean(&path), target);
                }
                EntryType::GNUSparse => {
                    return Err(archive.malformed(format!("`{path}` is a sparse file")));
                }
                _ => {}
            }
        }
        archive.files = files;
        archive.links = links;
        Ok(archive)
    }

    fn name(&self) -> String {
        format!("image archive {}", self.file.path().display())
    }

    fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::malformed(self.name(), reason)
    }

    /// Finds a file; a link is followed once, as Docker makes them.
    fn find(&self, path: &str) -> Result<(u64, u64), Error> {
        let path = clean(path);
        let path = self.links.get(&path).unwrap_or(&path);
        let found = self.files.get(path).copied();
        found.ok_or_else(|| self.malformed(format!("there is no `{path}` in it")))
    }

    /// Reads a file whole.
    fn document(&self, path: &str) -> Result<Bytes, Error> {
        let (start, size) = self.find(path)?;
        if size > MAX_DOCUMENT {
            return Err(Error::TooLarge {
                what: format!("`{path}` of {}", self.name()),
                limit: MAX_DOCUMENT,
            });
        }
        self.read(start, size)
    }

    fn read(&self, start: u64, size: u64) -> Result<Bytes, Error> {
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        let read = self.file.read_at(start, len);
        read.map_err(|source| Error::blob("read", self.name(), source))
    }

    fn layer(&self, start: u64, size: u64, diff_id: Digest) -> Result<Descriptor, Error> {
        if !is_gzip(&self.read(start, size.min(3))?) {
            return Ok(Descriptor::new(LAYER_TAR, diff_id, size));
        }
        let mut counted = Counted::default();
        while counted.size() < size {
            let want = (size - counted.size()).min(ocm_blob::CHUNK as u64);
            counted.update(&self.read(start + counted.size(), want)?);
        }
        let digest = counted.finish().0;
        Ok(Descriptor::new(media_type::LAYER_TAR_GZIP, digest, size))
    }
}

/// Returns a path without `.`, `..` and double slashes. What would lead out starts at the root.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns what a link at a path points to.
fn beside(path: &str, target: &str) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    clean(&format!("{directory}/{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_to_where_they_stand() {
        assert_eq!(beside("a/layer.tar", "../b/layer.tar"), "b/layer.tar");
        assert_eq!(beside("a", "../../x"), "x");
        assert_eq!(clean("./a//b/../c"), "a/c");
    }
}
