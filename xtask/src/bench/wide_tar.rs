//! A large tar with many component versions, each with one blob: a CTF as it crosses an air gap.
//!
//! The blobs are holes, so that ten gigabytes cost no space and no time. Their digests are those of
//! their names, not of their content; whoever reads them finds that out, and nobody here does.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ocm_digest::Digest;

use super::sparse_tar::{self, Content};

/// The component whose versions there are.
pub(crate) const COMPONENT: &str = "bench.example.org/archive";

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// How much there is of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) versions: u64,
    blob: u64,
}

impl Shape {
    pub(crate) const fn new(is_quick: bool) -> Self {
        let versions = if is_quick { 320 } else { 5000 };
        Self {
            versions,
            blob: 2 * MIB + 100 * 1024,
        }
    }

    /// Describes the archive for people.
    pub(crate) fn describe(&self) -> String {
        let size = self.versions * self.blob;
        let size = if size >= GIB {
            format!("{} GiB", size / GIB)
        } else {
            format!("{} MiB", size / MIB)
        };
        format!("tar of {size}, {} versions", self.versions)
    }
}

/// Returns a version by its number.
pub(crate) fn version(number: u64) -> String {
    format!("1.0.{number}")
}

/// Makes the archive unless it is there from an earlier run, and returns its path.
pub(crate) fn make(root: &Path, shape: &Shape) -> Result<PathBuf> {
    let name = format!("archive-{}-{}.tar", shape.versions, shape.blob);
    sparse_tar::make(root.join(name), |tar| {
        for number in 0..shape.versions {
            let version = version(number);
            let content = Content {
                name: "data".to_owned(),
                digest: Digest::sha256(&version),
                size: shape.blob,
            };
            tar.blob(&content.digest, &[], content.size)?;
            tar.version(COMPONENT, &version, &[content])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_described() {
        assert_eq!(Shape::new(false).describe(), "tar of 10 GiB, 5000 versions");
        assert_eq!(Shape::new(true).describe(), "tar of 671 MiB, 320 versions");
    }
}
