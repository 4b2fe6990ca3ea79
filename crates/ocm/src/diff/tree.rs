//! The files of archives, compared without unpacking them: each archive is read once.

use std::collections::BTreeMap;
use std::io::Read;

use ocm_blob::{BlobRef, Error, StreamReader, TarKind, TarScan, gunzip};
use ocm_digest::{Digest, Digester, HashAlgorithm};
use ocm_transfer::diff::ChangeKind;
use serde::Serialize;

use super::ContentDiff;
use crate::unpack::Packing;

/// How much may be kept of what is in an archive, in bytes.
const MAX_KEPT: usize = 64 * 1024 * 1024;

/// What an entry takes beside its path, about.
const ENTRY: usize = 160;

/// A path in an archive that differs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathChange {
    /// The path.
    pub path: String,
    /// What became of it.
    pub change: ChangeKind,
    /// What the old archive has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathState>,
    /// What the new archive has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<PathState>,
}

/// What an archive has at a path.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum PathState {
    /// A file.
    File {
        /// Its bytes.
        size: u64,
        /// Its permissions.
        mode: u32,
        /// The digest of its content.
        digest: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
}

/// Compares two archives; `None` if more is in them than can be kept.
///
/// # Errors
///
/// One of them cannot be read, or is malformed.
pub(super) async fn compare(
    (from, old_packing): (&BlobRef, Packing),
    (to, new_packing): (&BlobRef, Packing),
) -> Result<Option<ContentDiff>, Error> {
    let from = opened(from, old_packing).await?;
    let to = opened(to, new_packing).await?;
    let joined = tokio::task::spawn_blocking(move || compare_entries(from, to)).await;
    joined.unwrap_or_else(|panic| Err(Error::source("content", panic)))
}

async fn opened(blob: &BlobRef, packing: Packing) -> Result<StreamReader, Error> {
    let stream = blob.open().await?;
    Ok(StreamReader::new(if packing.gzip {
        gunzip(stream, u64::MAX)
    } else {
        stream
    }))
}

fn compare_entries(from: StreamReader, to: StreamReader) -> Result<Option<ContentDiff>, Error> {
    let (Some(mut old), Some(new)) = (entries(from)?, entries(to)?) else {
        return Ok(None);
    };
    let (mut paths, mut unchanged) = (Vec::new(), 0);
    for (path, to) in new {
        let from = old.remove(&path);
        if from.as_ref() == Some(&to) {
            unchanged += 1;
            continue;
        }
        let change = if from.is_some() {
            ChangeKind::Changed
        } else {
            ChangeKind::Added
        };
        let to = Some(to);
        paths.push(PathChange {
            path,
            change,
            from,
            to,
        });
    }
    paths.extend(old.into_iter().map(|(path, from)| PathChange {
        path,
        change: ChangeKind::Removed,
        from: Some(from),
        to: None,
    }));
    paths.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(Some(ContentDiff::Tree { paths, unchanged }))
}

/// Reads what is in an archive; `None` if it is more than can be kept.
fn entries(mut reader: StreamReader) -> Result<Option<BTreeMap<String, PathState>>, Error> {
    let mut entries = BTreeMap::new();
    let mut kept = 0;
    let mut scan = TarScan::stream(&mut reader).with_links();
    while let Some(entry) = scan.next_entry()? {
        let path = entry.path.trim_start_matches("./").trim_end_matches('/');
        let target = entry.link.unwrap_or_default();
        kept += path.len() + target.len() + ENTRY;
        if kept > MAX_KEPT {
            return Ok(None);
        }
        let state = match entry.kind {
            TarKind::Directory => PathState::Directory,
            TarKind::Link => PathState::Link { target },
            TarKind::File => {
                let (digest, size) = hashed(&mut scan.content())?;
                PathState::File {
                    size,
                    mode: entry.mode & 0o7777,
                    digest,
                }
            }
        };
        if !path.is_empty() && path != "." {
            entries.insert(path.to_owned(), state);
        }
    }
    drop(scan);
    // What follows the end of the archive belongs to the content that is checked.
    while reader.next_chunk()?.is_some() {}
    Ok(Some(entries))
}

fn hashed(content: &mut impl Read) -> Result<(Digest, u64), Error> {
    let mut digester = Digester::new(HashAlgorithm::Sha256);
    let (mut buffer, mut size) = (vec![0; ocm_blob::CHUNK], 0);
    loop {
        let count = content.read(&mut buffer);
        match count.map_err(|error| Error::source("a file in a tar", error))? {
            0 => return Ok((digester.finish(), size)),
            count => {
                digester.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}
