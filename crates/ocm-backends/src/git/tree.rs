//! The files of a commit as a compressed tar.

use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use gix::objs::tree::EntryKind;
use gix::{ObjectId, Repository};
use ocm_blob::{Blob, ByteStream, Bytes, CHUNK, Error, from_fn_blocking, gzip};
use ocm_digest::Digest;
use tar::{Builder, EntryType, Header};

use super::fetch::Checkout;

/// The media type of a compressed tar, as the first Go tool has it.
const MEDIA_TYPE: &str = "application/x-tgz";

/// The size beyond which a file is refused, in bytes: git has files whole or not at all.
const MAX_FILE: u64 = 512 * 1024 * 1024;

/// The number of files and directories beyond which a commit is refused. A few hundred bytes can
/// have any number.
const MAX_ENTRIES: usize = 1 << 20;

/// How deep directories may nest.
const MAX_DEPTH: usize = 128;

/// The files of a commit as a compressed tar, which is made as it is read.
#[derive(Clone, Debug)]
pub(super) struct GitTree {
    checkout: Arc<Checkout>,
}

impl GitTree {
    pub(super) fn new(checkout: Checkout) -> Self {
        Self {
            checkout: Arc::new(checkout),
        }
    }
}

#[async_trait]
impl Blob for GitTree {
    fn size(&self) -> Option<u64> {
        None
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn media_type(&self) -> Option<&str> {
        Some(MEDIA_TYPE)
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let checkout = Arc::clone(&self.checkout);
        Ok(gzip(from_fn_blocking(move |send| {
            let mut chunks = Chunks {
                send,
                chunk: Vec::with_capacity(CHUNK),
                heard: true,
            };
            let written = write(&checkout, &mut chunks);
            match written {
                Err(_) if !chunks.heard => Ok(()),
                Err(error) => {
                    let what = format!("commit {} of {}", checkout.commit, checkout.name);
                    Err(Error::source(what, error))
                }
                Ok(()) => Ok(()),
            }
        })))
    }
}

fn write(checkout: &Checkout, chunks: &mut Chunks<'_>) -> io::Result<()> {
    let repository = checkout.repository().map_err(io::Error::other)?;
    let commit = repository
        .find_commit(checkout.commit)
        .map_err(io::Error::other)?;
    let root = commit.tree_id().map_err(io::Error::other)?.detach();
    let mut writer = TreeWriter {
        repository: &repository,
        tar: Builder::new(&mut *chunks),
        entries: 0,
    };
    writer.tree(root, "", 0)?;
    writer.tar.finish()?;
    drop(writer);
    chunks.flush()
}

struct TreeWriter<'a, W: Write> {
    repository: &'a Repository,
    tar: Builder<W>,
    entries: usize,
}

impl<W: Write> TreeWriter<'_, W> {
    /// Writes what is in a directory, whose path ends with `/` unless it is the root.
    fn tree(&mut self, id: ObjectId, below: &str, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other(format!("`{below}` is nested too deep")));
        }
        let tree = self.repository.find_tree(id).map_err(io::Error::other)?;
        let mut children = Vec::new();
        for entry in tree.iter() {
            let entry = entry.map_err(io::Error::other)?;
            let name = file_name(entry.filename().as_ref())?;
            children.push((name, entry.mode().kind(), entry.object_id()));
        }
        children.sort_unstable();
        for (name, kind, id) in children {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                let reason = format!("there are more than {MAX_ENTRIES} files");
                return Err(io::Error::other(reason));
            }
            let path = format!("{below}{name}");
            match kind {
                EntryKind::Tree => {
                    let path = format!("{path}/");
                    self.directory(&path)?;
                    self.tree(id, &path, depth + 1)?;
                }
                // The files of a submodule are in another repository.
                EntryKind::Commit => self.directory(&format!("{path}/"))?,
                EntryKind::Blob => self.file(&path, id, 0o644)?,
                EntryKind::BlobExecutable => self.file(&path, id, 0o755)?,
                EntryKind::Link => self.link(&path, id)?,
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &str) -> io::Result<()> {
        let mut header = header(EntryType::Directory, 0o755);
        self.tar.append_data(&mut header, path, io::empty())
    }

    fn file(&mut self, path: &str, id: ObjectId, mode: u32) -> io::Result<()> {
        let content = self.content(path, id)?;
        let mut header = header(EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, &content[..])
    }

    fn link(&mut self, path: &str, id: ObjectId) -> io::Result<()> {
        let target = self.content(path, id)?;
        let target = String::from_utf8(target)
            .map_err(|_| io::Error::other(format!("`{path}` is a link that is not UTF-8")))?;
        let mut header = header(EntryType::Symlink, 0o777);
        self.tar.append_link(&mut header, path, target)
    }

    fn content(&self, path: &str, id: ObjectId) -> io::Result<Vec<u8>> {
        let header = self.repository.find_header(id).map_err(io::Error::other)?;
        if header.size() > MAX_FILE {
            let reason = format!("`{path}` is larger than {MAX_FILE} bytes");
            return Err(io::Error::other(reason));
        }
        let blob = self.repository.find_blob(id).map_err(io::Error::other)?;
        Ok(blob.detach().data)
    }
}

/// Returns the name of a file if it is one that can be unpacked without harm.
fn file_name(name: &[u8]) -> io::Result<String> {
    let text = std::str::from_utf8(name).ok().filter(|name| {
        let harmful = matches!(*name, "" | "." | "..") || name.eq_ignore_ascii_case(".git");
        !harmful && !name.contains(['/', '\\', '\0'])
    });
    text.map(str::to_owned).ok_or_else(|| {
        let name = String::from_utf8_lossy(name);
        io::Error::other(format!("`{name}` cannot be the name of a file"))
    })
}

/// Returns a header of nobody and of no time.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Gathers what is written into chunks.
struct Chunks<'a> {
    send: &'a mut dyn FnMut(Bytes) -> bool,
    chunk: Vec<u8>,
    /// Whether somebody still reads.
    heard: bool,
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.heard = chunk.is_empty() || (self.send)(chunk.into());
        if self.heard {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            &b""[..],
            b".",
            b"..",
            b".git",
            b".GIT",
            b"a/b",
            b"a\\b",
            b"\xff",
        ] {
            assert!(file_name(name).is_err(), "{name:?}");
        }
        for name in [".github", "a b", "gr\u{fc}n"] {
            assert_eq!(file_name(name.as_bytes()).unwrap(), name);
        }
    }
}
