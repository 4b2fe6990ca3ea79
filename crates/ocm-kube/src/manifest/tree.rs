//! Manifests as a tar of a directory tree.

use std::io::Read as _;
use std::ops::Range;

use ocm_blob::{TarKind, TarScan};

use super::{Error, Objects, stream};

/// Where the header of a tar says that it is one.
const MAGIC: Range<usize> = 257..262;

pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(MAGIC) == Some(b"ustar")
}

/// Parses all files that are named like manifests. Other files, such as a README, say nothing.
pub(super) fn parse(bytes: &[u8], objects: &mut Objects) -> Result<(), Error> {
    let mut files = Vec::new();
    let mut scan = TarScan::stream(bytes);
    while let Some(entry) = scan.next_entry()? {
        if entry.kind != TarKind::File {
            continue;
        }
        let (directory, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        match name {
            "Chart.yaml" if !directory.contains('/') => {
                return Err(Error::Chart { file: entry.path });
            }
            "kustomization.yaml" | "kustomization.yml" | "Kustomization" => {
                return Err(Error::Kustomization { file: entry.path });
            }
            _ if is_manifest(name) => {
                let mut content = Vec::new();
                scan.content()
                    .read_to_end(&mut content)
                    .map_err(|error| cut_off(&error))?;
                files.push((entry.path, content));
            }
            _ => {}
        }
    }
    files.sort_unstable();
    for (path, content) in files {
        stream::parse(&content, Some(&path), objects)?;
    }
    Ok(())
}

fn is_manifest(name: &str) -> bool {
    let hidden = name.starts_with('.');
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    !hidden && ["yaml", "yml", "json"].contains(&extension)
}

fn cut_off(error: &std::io::Error) -> Error {
    ocm_blob::Error::malformed("tar", error.to_string()).into()
}
