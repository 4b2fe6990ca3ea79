//! A large tar with one component version that has a few layers of hundreds of MiB: a product as it
//! crosses an air gap.
//!
//! The layers begin with noise and go on as holes, so that they cost no space. Their digests are
//! right.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ocm_digest::{Digest, Digester};

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
        for (number, layer) in self::layers(shape)?.into_iter().enumerate() {
            let Layer { digest, size, .. } = layer;
            tar.blob(&digest, &layer.noise, size)?;
            let name = format!("layer-{number}");
            layers.push(Content { name, digest, size });
        }
        tar.version(COMPONENT, "1.0.0", &layers)
    })
}

/// Returns the layers.
pub(crate) fn layers(shape: &Shape) -> Result<Vec<Layer>> {
    let layer = |number| {
        let mut noise = Vec::new();
        Random::new(99 << 32 | number).write(NOISE.min(shape.size), &mut noise)?;
        Ok(Layer {
            digest: digest(&noise, shape.size),
            noise,
            size: shape.size,
        })
    };
    (0..shape.layers).map(layer).collect()
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
