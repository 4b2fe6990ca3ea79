//! A large tar with many component versions, each with one blob: a CTF as it crosses an air gap.
//!
//! The blobs are holes, so that ten gigabytes cost no space and no time. Their digests are those of
//! their names, not of their content; whoever reads them finds that out, and nobody here does.

use std::fs::{self, File};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ocm_digest::Digest;

/// The component whose versions there are.
pub(crate) const COMPONENT: &str = "bench.example.org/archive";

const BLOCK: usize = 512;
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const DESCRIPTOR_TYPE: &str =
    "application/vnd.ocm.software.component-descriptor.v2+json";
pub(super) const CONFIG_TYPE: &str = "application/vnd.ocm.software.component.config.v1+json";
pub(super) const BLOB_TYPE: &str = "application/octet-stream";

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
    let path = root.join(format!("archive-{}-{}.tar", shape.versions, shape.blob));
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
    let mut entries = Vec::new();
    for number in 0..shape.versions {
        let manifest = write_version(&mut tar, &version(number), shape.blob)?;
        entries.push(format!(
            r#"{{"repository":"component-descriptors/{COMPONENT}","tag":"{}","digest":"{manifest}","mediaType":"{MANIFEST_TYPE}"}}"#,
            version(number)
        ));
    }
    // Last, where it is found only by passing everything else.
    let index = format!(
        r#"{{"schemaVersion":1,"artifacts":[{}]}}"#,
        entries.join(",")
    );
    tar.file("artifact-index.json", index.as_bytes())?;
    tar.end()
}

/// Writes a component version, and returns the digest of its manifest.
fn write_version(tar: &mut Tar, version: &str, size: u64) -> Result<Digest> {
    let blob = Digest::sha256(version);
    let descriptor = format!(
        r#"{{"component":{{"componentReferences":null,"name":"{COMPONENT}","provider":"bench.example.org","repositoryContexts":null,"resources":[{{"access":{{"localReference":"{blob}","mediaType":"{BLOB_TYPE}","type":"LocalBlob/v1"}},"digest":{{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"{}"}},"name":"data","relation":"local","type":"blob","version":"{version}"}}],"sources":null,"version":"{version}"}},"meta":{{"schemaVersion":"v2"}}}}"#,
        blob.to_hex()
    );
    let descriptor_entry = pointer(DESCRIPTOR_TYPE, &descriptor);
    let config = format!(r#"{{"componentDescriptorLayer":{descriptor_entry}}}"#);
    let config_entry = pointer(CONFIG_TYPE, &config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{config_entry},"layers":[{descriptor_entry},{{"mediaType":"{BLOB_TYPE}","digest":"{blob}","size":{size}}}],"annotations":{{"software.ocm.componentversion":"{COMPONENT}:{version}"}}}}"#
    );
    tar.hole(&blob_path(&blob), size)?;
    for content in [descriptor, config, manifest.clone()] {
        tar.file(&blob_path(&Digest::sha256(&content)), content.as_bytes())?;
    }
    Ok(Digest::sha256(&manifest))
}

pub(super) fn pointer(media_type: &str, content: &str) -> String {
    let digest = Digest::sha256(content);
    let size = content.len();
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256.{}", digest.to_hex())
}

/// A tar that is being written.
pub(super) struct Tar(pub(super) BufWriter<File>);

impl Tar {
    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let size = content.len() as u64;
        self.0.write_all(&header(path, size))?;
        self.0.write_all(content)?;
        self.skip(padding(size))
    }

    /// Writes a file of zeros that takes no space.
    fn hole(&mut self, path: &str, size: u64) -> Result<()> {
        self.0.write_all(&header(path, size))?;
        self.skip(size + padding(size))
    }

    /// Writes a file that begins with some content and goes on with zeros that take no space.
    pub(super) fn begun_hole(&mut self, path: &str, content: &[u8], size: u64) -> Result<()> {
        self.0.write_all(&header(path, size))?;
        self.0.write_all(content)?;
        self.skip(size - content.len() as u64 + padding(size))
    }

    fn skip(&mut self, count: u64) -> Result<()> {
        self.0.seek(SeekFrom::Current(i64::try_from(count)?))?;
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<()> {
        self.0.write_all(&[0; 2 * BLOCK])?;
        self.0.flush()?;
        Ok(())
    }
}

const fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// Returns the header of a file in USTAR format. Owner and time are zero.
fn header(path: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, path);
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_tar_understands() {
        let block = header("a", 513);
        assert_eq!(&block[124..135], b"00000001001");
        assert_eq!(&block[257..263], b"ustar\0");
        let sum: u32 = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|&b| u32::from(b))
            .sum();
        assert_eq!(&block[148..156], format!("{:06o}\0 ", sum + 256).as_bytes());
        assert_eq!((padding(0), padding(512), padding(513)), (0, 0, 511));
    }

    #[test]
    fn shapes_are_described() {
        assert_eq!(Shape::new(false).describe(), "tar of 10 GiB, 5000 versions");
        assert_eq!(Shape::new(true).describe(), "tar of 671 MiB, 320 versions");
    }
}
