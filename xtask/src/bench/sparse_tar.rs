//! CTF tars whose content is mostly holes, so that gigabytes cost no space and little time.

use std::fs::{self, File};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ocm_digest::Digest;

const BLOCK: usize = 512;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const DESCRIPTOR_TYPE: &str = "application/vnd.ocm.software.component-descriptor.v2+json";
const CONFIG_TYPE: &str = "application/vnd.ocm.software.component.config.v1+json";
const BLOB_TYPE: &str = "application/octet-stream";

/// Makes an archive unless it is there from an earlier run, and returns its path.
pub(super) fn make(
    path: PathBuf,
    write: impl FnOnce(&mut SparseTar) -> Result<()>,
) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let partial = path.with_extension("partial");
    SparseTar::write(&partial, write)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    // Named last, so that what is there is whole.
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// An archive that is being written.
pub(super) struct SparseTar {
    file: BufWriter<File>,
    /// The entries of its index.
    index: Vec<String>,
}

/// Content of a component version, which is in the archive.
pub(super) struct Content {
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

impl SparseTar {
    fn write(path: &Path, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let mut tar = Self {
            file: BufWriter::new(File::create(path)?),
            index: Vec::new(),
        };
        write(&mut tar)?;
        tar.end()
    }

    /// Writes a blob that begins with some bytes and goes on with zeros that take no space.
    pub(super) fn blob(&mut self, digest: &Digest, bytes: &[u8], size: u64) -> Result<()> {
        self.file.write_all(&header(&blob_path(digest), size))?;
        self.file.write_all(bytes)?;
        self.skip(size - bytes.len() as u64 + padding(size))
    }

    /// Writes a component version without its content.
    pub(super) fn version(
        &mut self,
        component: &str,
        version: &str,
        contents: &[Content],
    ) -> Result<()> {
        let resources: Vec<String> = contents
            .iter()
            .map(|Content { name, digest, .. }| {
                format!(
                    r#"{{"access":{{"localReference":"{digest}","mediaType":"{BLOB_TYPE}","type":"LocalBlob/v1"}},"digest":{{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"{}"}},"name":"{name}","relation":"local","type":"blob","version":"{version}"}}"#,
                    digest.to_hex()
                )
            })
            .collect();
        let descriptor = format!(
            r#"{{"component":{{"componentReferences":null,"name":"{component}","provider":"bench.example.org","repositoryContexts":null,"resources":[{}],"sources":null,"version":"{version}"}},"meta":{{"schemaVersion":"v2"}}}}"#,
            resources.join(",")
        );
        let entry = of_document(DESCRIPTOR_TYPE, &descriptor);
        let config = format!(r#"{{"componentDescriptorLayer":{entry}}}"#);
        let layers = contents
            .iter()
            .map(|Content { digest, size, .. }| pointer(BLOB_TYPE, digest, *size));
        let layers: Vec<String> = std::iter::once(entry).chain(layers).collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{},"layers":[{}],"annotations":{{"software.ocm.componentversion":"{component}:{version}"}}}}"#,
            of_document(CONFIG_TYPE, &config),
            layers.join(",")
        );
        self.index.push(format!(
            r#"{{"repository":"component-descriptors/{component}","tag":"{version}","digest":"{}","mediaType":"{MANIFEST_TYPE}"}}"#,
            Digest::sha256(&manifest)
        ));
        for document in [descriptor, config, manifest] {
            let path = blob_path(&Digest::sha256(&document));
            self.file(&path, document.as_bytes())?;
        }
        Ok(())
    }

    /// Writes the index, last, where it is found only by passing everything else.
    fn end(mut self) -> Result<()> {
        let index = format!(
            r#"{{"schemaVersion":1,"artifacts":[{}]}}"#,
            self.index.join(",")
        );
        self.file("artifact-index.json", index.as_bytes())?;
        self.file.write_all(&[0; 2 * BLOCK])?;
        self.file.flush()?;
        Ok(())
    }

    fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let size = content.len() as u64;
        self.file.write_all(&header(path, size))?;
        self.file.write_all(content)?;
        self.skip(padding(size))
    }

    fn skip(&mut self, count: u64) -> Result<()> {
        self.file.seek(SeekFrom::Current(i64::try_from(count)?))?;
        Ok(())
    }
}

fn of_document(media_type: &str, content: &str) -> String {
    pointer(media_type, &Digest::sha256(content), content.len() as u64)
}

fn pointer(media_type: &str, digest: &Digest, size: u64) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256.{}", digest.to_hex())
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
}
