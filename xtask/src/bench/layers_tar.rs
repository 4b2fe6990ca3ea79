//! A large tar with one component version that has a few layers of hundreds of MiB: a product as it
//! crosses an air gap.
//!
//! The layers begin with noise and go on as holes, so that they cost no space. Their digests are
//! right.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ocm_digest::{Digest, Digester};

use super::random::Random;
use super::wide_tar::{
    BLOB_TYPE, CONFIG_TYPE, DESCRIPTOR_TYPE, MANIFEST_TYPE, Tar, blob_path, pointer,
};

/// The component version.
pub(crate) const COMPONENT: &str = "bench.example.org/layers";

const MIB: u64 = 1024 * 1024;

/// How much of a layer is noise, in bytes.
const NOISE: u64 = 64 * 1024;

/// How many layers there are, and how large each is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) layers: u64,
    pub(crate) size: u64,
}

impl Shape {
    pub(crate) const fn new(is_quick: bool) -> Self {
        let size = if is_quick { 250 * MIB / 16 } else { 250 * MIB };
        Self { layers: 40, size }
    }

    pub(crate) const fn total(&self) -> u64 {
        self.layers * self.size
    }

    /// Describes the archive for people.
    pub(crate) fn describe(&self) -> String {
        format!("{} × {} MiB", self.layers, self.size / MIB)
    }
}

/// Makes the archive unless it is there from an earlier run, and returns its path.
pub(crate) fn make(root: &Path, shape: &Shape) -> Result<PathBuf> {
    let path = root.join(format!("layers-{}-{}.tar", shape.layers, shape.size));
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(root)?;
    let partial = path.with_extension("partial");
    write(&partial, shape).with_context(|| format!("cannot write {}", partial.display()))?;
    // Named last, so that what is there is whole.
    fs::rename(&partial, &path)?;
    Ok(path)
}

fn write(path: &Path, shape: &Shape) -> Result<()> {
    let mut tar = Tar(BufWriter::new(File::create(path)?));
    let (mut resources, mut layers) = (Vec::new(), Vec::new());
    for number in 0..shape.layers {
        let mut noise = Vec::new();
        Random::new(99 << 32 | number).write(NOISE.min(shape.size), &mut noise)?;
        let digest = digest(&noise, shape.size);
        tar.begun_hole(&blob_path(&digest), &noise, shape.size)?;
        layers.push(format!(
            r#"{{"mediaType":"{BLOB_TYPE}","digest":"{digest}","size":{}}}"#,
            shape.size
        ));
        resources.push(format!(
            r#"{{"access":{{"localReference":"{digest}","mediaType":"{BLOB_TYPE}","type":"LocalBlob/v1"}},"digest":{{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"{}"}},"name":"layer-{number}","relation":"local","type":"blob","version":"1.0.0"}}"#,
            digest.to_hex()
        ));
    }
    let descriptor = format!(
        r#"{{"component":{{"componentReferences":null,"name":"{COMPONENT}","provider":"bench.example.org","repositoryContexts":null,"resources":[{}],"sources":null,"version":"1.0.0"}},"meta":{{"schemaVersion":"v2"}}}}"#,
        resources.join(",")
    );
    let entry = pointer(DESCRIPTOR_TYPE, &descriptor);
    let config = format!(r#"{{"componentDescriptorLayer":{entry}}}"#);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{},"layers":[{entry},{}],"annotations":{{"software.ocm.componentversion":"{COMPONENT}:1.0.0"}}}}"#,
        pointer(CONFIG_TYPE, &config),
        layers.join(",")
    );
    let index = format!(
        r#"{{"schemaVersion":1,"artifacts":[{{"repository":"component-descriptors/{COMPONENT}","tag":"1.0.0","digest":"{}","mediaType":"{MANIFEST_TYPE}"}}]}}"#,
        Digest::sha256(&manifest)
    );
    for content in [descriptor, config, manifest] {
        tar.file(&blob_path(&Digest::sha256(&content)), content.as_bytes())?;
    }
    tar.file("artifact-index.json", index.as_bytes())?;
    tar.end()
}

/// Returns the digest of noise that is followed by zeros.
fn digest(noise: &[u8], size: u64) -> Digest {
    let zeros = vec![0; 256 * 1024];
    let mut digester = Digester::default();
    digester.update(noise);
    let mut left = size - noise.len() as u64;
    while left > 0 {
        let count = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
        digester.update(&zeros[..count]);
        left -= count as u64;
    }
    digester.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_whole() {
        assert_eq!(digest(b"ab", 4), Digest::sha256(b"ab\0\0"));
        assert_eq!(Shape::new(true).describe(), "40 × 15 MiB");
        assert_eq!(Shape::new(false).total(), 10_000 * MIB);
    }
}
