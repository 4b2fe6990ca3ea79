//! The files of archives, compared without unpacking them: each archive is read once.

use std::collections::BTreeMap;
use std::io::{self, Read};

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

/// What is in an archive, by path.
type Entries = BTreeMap<String, PathState>;

/// What became of reading an archive.
enum Listing {
    Read(Entries),
    /// It holds what is not compared, or is malformed.
    Refused {
        reason: String,
    },
}

/// Compares two archives. Of those whose files are not compared, it says why and how large they
/// are. The second is opened when the first has been read, so that none waits open for the other.
///
/// # Errors
///
/// One of them cannot be read.
pub(super) async fn compare(
    (from, old_packing): (&BlobRef, Packing),
    (to, new_packing): (&BlobRef, Packing),
) -> Result<ContentDiff, Error> {
    let sizes = |which, reason| ContentDiff::Bytes {
        from_size: from.size(),
        to_size: to.size(),
        reason: Some(format!("{which}: {reason}")),
    };
    let old = match list(from, old_packing).await? {
        Listing::Read(entries) => entries,
        Listing::Refused { reason } => return Ok(sizes("the old archive", reason)),
    };
    let new = match list(to, new_packing).await? {
        Listing::Read(entries) => entries,
        Listing::Refused { reason } => return Ok(sizes("the new archive", reason)),
    };
    Ok(compare_entries(old, new))
}

fn compare_entries(mut old: Entries, new: Entries) -> ContentDiff {
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
    ContentDiff::Tree { paths, unchanged }
}

/// Opens an archive and reads what is in it.
async fn list(blob: &BlobRef, packing: Packing) -> Result<Listing, Error> {
    let stream = blob.open().await?;
    let reader = StreamReader::new(if packing.gzip {
        gunzip(stream, u64::MAX)
    } else {
        stream
    });
    let joined = tokio::task::spawn_blocking(move || read(reader)).await;
    match joined.unwrap_or_else(|panic| Err(Error::source("content", panic))) {
        Err(error @ Error::Malformed { .. }) => Ok(Listing::Refused {
            reason: error.to_string(),
        }),
        listing => listing,
    }
}

fn read(mut reader: StreamReader) -> Result<Listing, Error> {
    let mut entries = Entries::new();
    let mut kept = 0;
    let mut scan = TarScan::stream(&mut reader).with_links();
    while let Some(entry) = scan.next_entry()? {
        let path = entry.path.trim_start_matches("./").trim_end_matches('/');
        let target = entry.link.unwrap_or_default();
        kept += path.len() + target.len() + ENTRY;
        if kept > MAX_KEPT {
            return Ok(Listing::Refused {
                reason: "it holds more than is compared".to_owned(),
            });
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
    Ok(Listing::Read(entries))
}

fn hashed(content: &mut impl Read) -> Result<(Digest, u64), Error> {
    let mut digester = Digester::new(HashAlgorithm::Sha256);
    let (mut buffer, mut size) = (vec![0; ocm_blob::CHUNK], 0);
    loop {
        let count = content.read(&mut buffer);
        match count.map_err(unreadable)? {
            0 => return Ok((digester.finish(), size)),
            count => {
                digester.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

/// Returns the error of what the archive is read from, so that it can still be told by its kind.
fn unreadable(error: io::Error) -> Error {
    match StreamReader::cause(&error) {
        Some(cause) => cause.clone(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::malformed("tar", "it ends in a file, so it may be cut off")
        }
        None => Error::source("a file in a tar", error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use futures::stream::{self, StreamExt as _};
    use ocm_blob::{Blob, ByteStream, Bytes, TAR_END, tar_header};

    use super::*;

    const PLAIN: Packing = Packing {
        tar: true,
        gzip: false,
    };

    /// An archive that writes down when it is opened, and when it has been read to its end.
    #[derive(Debug)]
    struct Noted {
        name: &'static str,
        content: Vec<u8>,
        notes: Arc<Mutex<Vec<String>>>,
    }

    #[async_trait]
    impl Blob for Noted {
        fn size(&self) -> Option<u64> {
            Some(self.content.len() as u64)
        }

        fn digest(&self) -> Option<Digest> {
            None
        }

        async fn open(&self) -> Result<ByteStream, Error> {
            let (name, notes) = (self.name, Arc::clone(&self.notes));
            notes.lock().unwrap().push(format!("{name} opened"));
            let content = stream::iter([Ok(Bytes::from(self.content.clone()))]);
            let end = stream::poll_fn(move |_| {
                notes.lock().unwrap().push(format!("{name} read"));
                std::task::Poll::Ready(None)
            });
            Ok(content.chain(end).boxed())
        }
    }

    /// Compares two archives, and returns what was noted as well.
    async fn noted(old: Vec<u8>, new: Vec<u8>) -> (ContentDiff, Vec<String>) {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let blob = |name, content| -> BlobRef {
            let notes = Arc::clone(&notes);
            Arc::new(Noted {
                name,
                content,
                notes,
            })
        };
        let (old, new) = (blob("old", old), blob("new", new));
        let compared = compare((&old, PLAIN), (&new, PLAIN)).await.unwrap();
        let notes = notes.lock().unwrap().clone();
        (compared, notes)
    }

    fn archive(path: &str) -> Vec<u8> {
        let mut bytes = tar_header(path, 0, 0o644).unwrap();
        bytes.extend_from_slice(&TAR_END);
        bytes
    }

    #[tokio::test]
    async fn the_second_archive_is_opened_when_the_first_has_been_read() {
        let (compared, notes) = noted(archive("a"), archive("b")).await;
        let ContentDiff::Tree { paths, .. } = compared else {
            panic!("no tree");
        };
        assert_eq!(paths.len(), 2);
        assert_eq!(notes, ["old opened", "old read", "new opened", "new read"]);
    }

    /// A file that becomes a hard link by its type in the header.
    fn hard_link() -> Vec<u8> {
        let mut bytes = archive("a");
        bytes[156] = b'1';
        // The checksum of the header is the sum of its bytes.
        bytes[153] += 1;
        bytes
    }

    #[tokio::test]
    async fn of_archives_that_are_refused_sizes_and_reason_are_shown() {
        let cut_off = [&tar_header("a", 9, 0o644).unwrap()[..], b"text"].concat();
        for (old, new, why, opened) in [
            (
                hard_link(),
                archive("b"),
                "the old archive: malformed tar: entry `a` is a hard link",
                1,
            ),
            (
                archive("b"),
                hard_link(),
                "the new archive: malformed tar: entry `a` is a hard link",
                2,
            ),
            (
                cut_off,
                archive("b"),
                "the old archive: malformed tar: it ends in a file, so it may be cut off",
                1,
            ),
        ] {
            let sizes = (Some(old.len() as u64), Some(new.len() as u64));
            let (compared, notes) = noted(old, new).await;
            let ContentDiff::Bytes {
                from_size,
                to_size,
                reason,
            } = compared
            else {
                panic!("no sizes: {compared:?}");
            };
            assert_eq!((from_size, to_size), sizes);
            assert_eq!(reason.as_deref(), Some(why));
            let count = notes.iter().filter(|note| note.ends_with("opened")).count();
            assert_eq!(count, opened);
        }
    }
}
