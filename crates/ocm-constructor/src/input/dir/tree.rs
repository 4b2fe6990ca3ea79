//! A tar that is made of files as it is read.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ocm_blob::{Blob, ByteStream, CHUNK, Error, Promise, from_fn_blocking, verify};
use ocm_digest::Digest;

use super::scan::{Entry, FileContent, Fingerprint};
use crate::tar::{END, Header, padding};

/// A tar of files. Its size is known from theirs; a file that has changed since is an error.
#[derive(Clone, Debug)]
pub(super) struct TreeBlob {
    entries: Arc<[Entry]>,
    size: u64,
    media_type: String,
}

impl TreeBlob {
    pub(super) fn new(entries: Vec<Entry>, media_type: String) -> Self {
        let space = |entry: &Entry| {
            let size = content_size(entry);
            header(entry).len() as u64 + size + padding(size)
        };
        Self {
            size: entries.iter().map(space).sum::<u64>() + END,
            entries: entries.into(),
            media_type,
        }
    }
}

#[async_trait]
impl Blob for TreeBlob {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.media_type)
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let entries = Arc::clone(&self.entries);
        let tar = from_fn_blocking(move |send| {
            let mut out = Chunks {
                send,
                chunk: Vec::with_capacity(CHUNK),
            };
            match write(&entries, &mut out) {
                Err(Stop::Failed(error)) => Err(error),
                Ok(()) | Err(Stop::NobodyListens) => Ok(()),
            }
        });
        let promise = Promise {
            size: Some(self.size),
            digest: None,
        };
        Ok(verify(tar, promise))
    }
}

enum Stop {
    Failed(Error),
    NobodyListens,
}

fn write(entries: &[Entry], out: &mut Chunks<'_>) -> Result<(), Stop> {
    for entry in entries {
        out.push(&header(entry))?;
        if let Some(content) = &entry.content {
            copy(content, out)?;
            out.fill(padding(content.print.size))?;
        }
    }
    out.fill(END)?;
    out.flush()
}

fn copy(content: &FileContent, out: &mut Chunks<'_>) -> Result<(), Stop> {
    let failed = |source| Stop::Failed(Error::file("read", &content.path, source));
    let check = |file: &File| match file.metadata() {
        Ok(metadata) if Fingerprint::of(&metadata) == content.print => Ok(()),
        Ok(_) => Err(failed(io::Error::other(
            "the file has changed since it was found",
        ))),
        Err(source) => Err(failed(source)),
    };
    let mut file = File::open(&content.path).map_err(failed)?;
    check(&file)?;
    let mut left = content.print.size;
    while left > 0 {
        let space = out.space(left)?;
        file.read_exact(space).map_err(failed)?;
        left -= space.len() as u64;
    }
    check(&file)
}

fn header(entry: &Entry) -> Vec<u8> {
    let header = Header {
        name: &entry.name,
        mode: entry.mode,
        size: content_size(entry),
        modified: entry.modified,
    };
    header.write()
}

fn content_size(entry: &Entry) -> u64 {
    entry
        .content
        .as_ref()
        .map_or(0, |content| content.print.size)
}

/// Gathers small writes into whole chunks.
struct Chunks<'a> {
    send: &'a mut dyn FnMut(Bytes) -> bool,
    chunk: Vec<u8>,
}

impl Chunks<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let mut left = bytes;
        while !left.is_empty() {
            let space = self.space(left.len() as u64)?;
            let (now, later) = left.split_at(space.len());
            space.copy_from_slice(now);
            left = later;
        }
        Ok(())
    }

    fn fill(&mut self, zeros: u64) -> Result<(), Stop> {
        let mut left = zeros;
        while left > 0 {
            left -= self.space(left)?.len() as u64;
        }
        Ok(())
    }

    /// Returns zeroed room for up to `wanted` bytes, at least one.
    fn space(&mut self, wanted: u64) -> Result<&mut [u8], Stop> {
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        let start = self.chunk.len();
        let free = CHUNK - start;
        let end = start + usize::try_from(wanted).unwrap_or(free).min(free);
        self.chunk.resize(end, 0);
        Ok(&mut self.chunk[start..])
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        if chunk.is_empty() || (self.send)(chunk.into()) {
            Ok(())
        } else {
            Err(Stop::NobodyListens)
        }
    }
}
