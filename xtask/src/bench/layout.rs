//! The same bytes as an OCI image, for tools that know nothing of components.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ocm_digest::{Digest, Digester};
use serde_json::{Value, json};

/// The tag of the image in its layout.
pub(crate) const TAG: &str = "bench";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Said to be compressed, so that nobody tries to.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Makes an image layout whose layers are the given files, by links where that is possible.
pub(crate) fn make(directory: &Path, files: &[PathBuf]) -> Result<()> {
    if directory.join("index.json").is_file() {
        return Ok(());
    }
    let blobs = directory.join("blobs").join("sha256");
    fs::create_dir_all(&blobs)?;
    let mut layers = Vec::new();
    let mut names = Vec::new();
    for file in files {
        let (digest, size) = digest_of(file)?;
        let blob = blobs.join(digest.to_hex());
        if fs::hard_link(file, &blob).is_err() {
            fs::copy(file, &blob).with_context(|| format!("cannot copy {}", file.display()))?;
        }
        layers.push(descriptor(LAYER, &digest, size));
        names.push(digest);
    }
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": names},
    });
    let config = add(&blobs, CONFIG, &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers,
    });
    let mut manifest = add(&blobs, MANIFEST, &manifest)?;
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": TAG});
    fs::write(
        directory.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(directory.join("index.json"), index.to_string())?;
    Ok(())
}

fn add(blobs: &Path, media_type: &str, document: &Value) -> Result<Value> {
    let bytes = document.to_string();
    let digest = Digest::sha256(&bytes);
    fs::write(blobs.join(digest.to_hex()), &bytes)?;
    Ok(descriptor(media_type, &digest, bytes.len() as u64))
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

fn digest_of(path: &Path) -> Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut digester = Digester::default();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((digester.finish(), size));
        }
        digester.update(&buffer[..count]);
        size += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_has_every_blob_it_names() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("layer");
        fs::write(&file, "content").unwrap();
        let layout = directory.path().join("layout");
        make(&layout, &[file]).unwrap();
        let read =
            |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let hex = digest.strip_prefix("sha256:").unwrap();
            layout.join("blobs/sha256").join(hex)
        };
        let index = read(&layout.join("index.json"));
        let manifest = read(&blob(&index["manifests"][0]));
        assert!(blob(&manifest["config"]).is_file());
        let layer = fs::read(blob(&manifest["layers"][0])).unwrap();
        assert_eq!(layer, b"content");
    }
}
