//! `cargo xtask image`: an OCI image layout around a release binary.
//!
//! One layer with the binary and the directories that it may be given volumes for. There is no shell
//! and no library in it, and no file of certificates: the binary carries the roots of the web, and
//! is told about others by its configuration. The same binary gives the same bytes, wherever and
//! whenever.
//!
//! The layout is written out here instead of by `ocm-ctf`, so that this program stays without the
//! crates of the product: it is compiled before anything else on a new machine.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use ocm_digest::HashAlgorithm;
use serde_json::{Value, json};

use crate::dist::Program;
use crate::elf;

/// A user that is nobody on any system.
const USER: &str = "65532:65532";

/// The image is as old as the epoch, so that it does not change with the day it is built on.
const CREATED: &str = "1970-01-01T00:00:00Z";

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Where the binary is in an image. That of the controllers is where their Go counterpart has its
/// own, since manifests name it.
const fn path(program: Program) -> &'static str {
    match program {
        Program::Cli => "ocm",
        Program::Registry => "ocm-registry",
        Program::Controllers => "manager",
    }
}

/// The directories of an image, for volumes: the controllers read archives below `/data`.
const fn directories(program: Program) -> &'static [(&'static str, u32)] {
    match program {
        Program::Cli | Program::Registry => &[("tmp/", 0o1777)],
        Program::Controllers => &[("data/", 0o755), ("tmp/", 0o1777)],
    }
}

/// Writes the image around a binary as an OCI layout: a tar, compressed if its name says so.
pub(crate) fn image(program: Program, binary: &Path, output: &Path) -> Result<()> {
    let content =
        std::fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    elf::check_static(&content)
        .with_context(|| format!("{} does not run in an empty image", binary.display()))?;
    let layout = Layout::new(program, &content)?;
    let compressed = output
        .extension()
        .is_some_and(|extension| extension == "gz" || extension == "tgz");
    std::fs::write(output, layout.tar(compressed)?)
        .with_context(|| format!("cannot write {}", output.display()))
}

/// The documents and the layer of an image.
struct Layout {
    blobs: Vec<Vec<u8>>,
    index: Vec<u8>,
}

impl Layout {
    fn new(program: Program, binary: &[u8]) -> Result<Self> {
        let architecture = elf::architecture(binary)?;
        let root = root_filesystem(program, binary)?;
        let entry = format!("/{}", path(program));
        let layer = gzip(&root)?;
        let config = serde_json::to_vec(&json!({
            "created": CREATED,
            "architecture": architecture,
            "os": "linux",
            "config": { "User": USER, "Entrypoint": [entry], "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [digest(&root)] },
            "history": [{ "created": CREATED, "created_by": "cargo xtask image" }],
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": [descriptor(LAYER, &layer)],
            "annotations": {
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
                "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
                "org.opencontainers.image.title": program.name(),
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
            },
        }))?;
        let mut entry = descriptor(MANIFEST, &manifest);
        entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
        entry["annotations"] =
            json!({ "org.opencontainers.image.ref.name": env!("CARGO_PKG_VERSION") });
        let index = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [entry],
        }))?;
        Ok(Self {
            blobs: vec![manifest, config, layer],
            index,
        })
    }

    /// Returns the layout as a tar, small things first.
    fn tar(&self, compressed: bool) -> Result<Vec<u8>> {
        let mut tar = Tar::default();
        tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.file("index.json", 0o644, &self.index)?;
        tar.directory("blobs/", 0o755)?;
        tar.directory("blobs/sha256/", 0o755)?;
        for blob in &self.blobs {
            let name = digest(blob).replace("sha256:", "blobs/sha256/");
            tar.file(&name, 0o644, blob)?;
        }
        let bytes = tar.finish()?;
        if compressed { gzip(&bytes) } else { Ok(bytes) }
    }
}

/// Returns the tar of the image's root.
fn root_filesystem(program: Program, binary: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Tar::default();
    tar.file(path(program), 0o755, binary)?;
    for (name, mode) in directories(program) {
        tar.directory(name, *mode)?;
    }
    tar.finish()
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
}

fn digest(content: &[u8]) -> String {
    HashAlgorithm::Sha256.digest(content).to_string()
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder: GzEncoder<Vec<u8>> =
        GzBuilder::new().write(Vec::new(), Compression::default());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

/// A tar whose entries carry nothing of this machine.
struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(name, tar::EntryType::Regular, mode, content)
    }

    fn directory(&mut self, name: &str, mode: u32) -> io::Result<()> {
        self.entry(name, tar::EntryType::Directory, mode, &[])
    }

    fn entry(
        &mut self,
        name: &str,
        kind: tar::EntryType,
        mode: u32,
        content: &[u8],
    ) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.0.append_data(&mut header, name, content)
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;
    use crate::elf::tests::program;

    fn entries(tar: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        let mut entries = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            let name = entry.path().unwrap().display().to_string();
            let mode = entry.header().mode().unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            entries.insert(name, (mode, content));
        }
        entries
    }

    fn unzip(bytes: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut content)
            .unwrap();
        content
    }

    /// Follows a layout from its index to what a container begins with.
    fn unpacked(program: Program, binary: &[u8]) -> (Value, BTreeMap<String, (u32, Vec<u8>)>) {
        let files = entries(&Layout::new(program, binary).unwrap().tar(false).unwrap());
        let follow = |descriptor: &Value| {
            let name = descriptor["digest"].as_str().unwrap();
            let content = &files[&name.replace("sha256:", "blobs/sha256/")].1;
            assert_eq!(digest(content), name);
            assert_eq!(descriptor["size"], content.len());
            content.clone()
        };
        let index: Value = serde_json::from_slice(&files["index.json"].1).unwrap();
        let entry = &index["manifests"][0];
        assert_eq!(entry["platform"]["architecture"], "arm64");
        let manifest: Value = serde_json::from_slice(&follow(entry)).unwrap();
        let title = &manifest["annotations"]["org.opencontainers.image.title"];
        assert_eq!(title, program.name());
        let config: Value = serde_json::from_slice(&follow(&manifest["config"])).unwrap();
        let root = unzip(&follow(&manifest["layers"][0]));
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&root)]));
        (config["config"].clone(), entries(&root))
    }

    #[test]
    fn every_document_names_what_is_in_the_layout() {
        for (delivered, path) in [(Program::Cli, "ocm"), (Program::Registry, "ocm-registry")] {
            let binary = program(183, 1);
            let (config, root) = unpacked(delivered, &binary);
            assert_eq!(config["Entrypoint"], json!([format!("/{path}")]));
            assert_eq!(root[path], (0o755, binary));
            assert_eq!(root["tmp/"].0, 0o1777);
            assert_eq!(root.len(), 2);
        }
    }

    #[test]
    fn controllers_are_where_manifests_look_for_them_and_nobody_is_root() {
        let binary = program(183, 1);
        let (config, root) = unpacked(Program::Controllers, &binary);
        assert_eq!(config["Entrypoint"], json!(["/manager"]));
        assert_eq!(config["User"], "65532:65532");
        assert_eq!(root["manager"], (0o755, binary));
        assert_eq!(root["data/"].0, 0o755);
        assert_eq!(root["tmp/"].0, 0o1777);
        assert_eq!(root.len(), 3);
    }

    #[test]
    fn the_same_binary_gives_the_same_image() {
        let layout = || Layout::new(Program::Cli, &program(62, 1)).unwrap();
        let bytes = || layout().tar(true).unwrap();
        assert_eq!(bytes(), bytes());
        assert_eq!(unzip(&bytes()), layout().tar(false).unwrap());
    }

    #[test]
    fn only_programs_that_are_delivered_have_an_image() {
        assert_eq!(Program::named("ocm").unwrap(), Program::Cli);
        let error = Program::named("xtask").unwrap_err().to_string();
        assert_eq!(error, "there is no program xtask to deliver");
    }
}
