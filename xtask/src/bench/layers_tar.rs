//! A large tar with one component version that has a few layers of hundreds of MiB: a product as it
//! crosses an air gap.
//!
//! The layers begin with noise and go on as holes, so that they cost no space. Their digests are
//! right.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use ocm_digest::{Digest, Digester, HashAlgorithm};

use super::bare::Layer;
use super::random::Random;
use super::sparse_tar::{self, Content};

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
    let name = format!("layers-{}-{}.tar", shape.layers, shape.size);
    sparse_tar::make(root.join(name), |tar| {
        let mut layers = Vec::new();
        for number in 0..shape.layers {
            let mut noise = Vec::new();
            Random::new(99 << 32 | number).write(NOISE.min(shape.size), &mut noise)?;
            let (digest, size) = (digest(&noise, shape.size), shape.size);
            tar.blob(&digest, &noise, size)?;
            let name = format!("layer-{number}");
            layers.push(Content { name, digest, size });
        }
        tar.version(COMPONENT, "1.0.0", &layers)
    })
}

/// Returns the layers of the archive, as they lie in it.
pub(crate) fn layers(archive: &Path, shape: &Shape) -> Result<Vec<Layer>> {
    let mut tar = tar::Archive::new(File::open(archive)?);
    let mut layers = Vec::new();
    for entry in tar.entries_with_seek()? {
        let entry = entry?;
        let (at, size) = (entry.raw_file_position(), entry.size());
        let name = entry.path()?.display().to_string();
        let hex = name
            .strip_prefix("blobs/sha256.")
            .filter(|_| size == shape.size);
        if let Some(hex) = hex {
            let digest = Digest::from_hex(HashAlgorithm::Sha256, hex)?;
            layers.push(Layer { digest, at, size });
        }
    }
    ensure!(
        layers.len() as u64 == shape.layers,
        "some layers are not there"
    );
    Ok(layers)
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

    #[test]
    fn layers_are_found_where_they_lie() {
        let directory = tempfile::tempdir().unwrap();
        let shape = Shape {
            layers: 3,
            size: 70_000,
        };
        let archive = make(directory.path(), &shape).unwrap();
        let bytes = std::fs::read(&archive).unwrap();
        let layers = layers(&archive, &shape).unwrap();
        for layer in &layers {
            let start = usize::try_from(layer.at).unwrap();
            assert_eq!(Digest::sha256(&bytes[start..start + 70_000]), layer.digest);
        }
        let more = Shape { layers: 4, ..shape };
        assert!(super::layers(&archive, &more).is_err());
    }
}
