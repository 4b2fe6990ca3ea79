//! A partial archive that is a tar in parts, written from its first byte to its last.
//!
//! ```text
//! .product.tar.003      a part that is not finished
//! product.tar.001       one that is
//! .product.tar.partial  which parts are finished, with their digests
//! product.tar.parts     the list, written last
//! ```
//!
//! Large blobs stand first, in the order in which they come, then what is loose, then the index.
//! So a part can be finished while the ones behind it are still to come: once all entries that
//! begin in it are whole and verified, it is made durable, noted in the journal, gets its name,
//! and is not written any more. Parts may be carried away from then on, as long as nobody asks for
//! what is in them. Their digests are computed as the bytes pass.
//!
//! A writer that is killed leaves its files, and the next one reads from them what it would write:
//! headers are compared, and what stands in parts that are not finished is hashed before it
//! counts. A finished part is opened again only where other content comes than the time before.

mod files;
mod journal;
mod obstacle;
mod pen;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use ocm_blob::{
    BlobRef, ByteStream, Error, OpenFile, Promise, TAR_END, hash, lazily, tar_header, tar_padding,
    verify,
};
use ocm_digest::{Digest, Digester};
use ocm_oci::{Outcome, Pace, Pushed};
use tokio::sync::{OwnedMutexGuard, mpsc};

use self::files::PartFiles;
use self::journal::Journal;
pub use self::obstacle::Obstacle;
use self::pen::Pen;
use super::loose::Loose;
use super::packing::{Ending, EntryName, Hold, MODE, Packing, index_entry};
use super::partial::Partial;
use super::unhashed::append_unhashed;
use crate::content::Content;
use crate::index::INDEX_FILE;
use crate::packed::Extent;
use crate::parts::Joined;
use crate::sink::{AHEAD, Panicked, blocking};

/// A tar that is being written in parts.
#[derive(Clone, Debug)]
pub(super) struct PartPacking {
    state: Arc<Mutex<State>>,
    loose: Arc<Loose>,
    /// Whoever appends has this, until nothing is written any more.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct State {
    files: PartFiles,
    journal: Journal,
    /// Behind the last entry that is whole.
    pen: Pen,
    blobs: BTreeMap<Digest, Extent>,
}

/// What holds for as long as nobody else writes.
struct Snapshot {
    files: PartFiles,
    finished: Vec<Digest>,
    pen: Pen,
}

/// What must stay until nothing is written any more: the turn, and what the caller holds.
type Keep = Arc<(OwnedMutexGuard<()>, Hold)>;

/// An entry of which part may be there already.
struct Begun {
    /// Behind what is there.
    pen: Pen,
    /// The first byte of the content.
    at: u64,
    /// How much of the content is there.
    len: u64,
    /// Of that much of the content, unless it is known to be right.
    digester: Option<Digester>,
}

/// Goes on where a writer was killed that had written everything but the names.
pub(super) fn complete(partial: &Partial) -> Result<(), Error> {
    let journal = Journal::read(partial.file())?;
    let Some(done) = journal.done() else {
        return Ok(());
    };
    let files = PartFiles::new(partial.target(), journal.limit());
    files.name_all(journal.finished().len(), done)?;
    // With it goes the journal.
    partial.begin();
    Ok(())
}

impl PartPacking {
    /// Starts with what a killed writer has left of parts of the same size.
    pub(super) fn new(partial: &Partial, limit: u64, loose: Loose) -> Result<Self, Error> {
        // Until the archive is complete, everything is left to the next writer.
        partial.leave();
        let files = PartFiles::new(partial.target(), limit);
        let mut journal = Journal::read(partial.file())?;
        if journal.limit() != limit {
            files.discard(journal.finished().len())?;
            journal.begin(limit)?;
        }
        files.take_up(journal.finished().len(), journal.most())?;
        let state = State {
            files,
            journal,
            pen: Pen::default(),
            blobs: BTreeMap::new(),
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
            loose: Arc::new(loose),
            turn: Arc::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that changes the state can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Snapshot {
        let state = self.state();
        Snapshot {
            files: state.files.clone(),
            finished: state.journal.finished().to_vec(),
            pen: state.pen.clone(),
        }
    }

    /// Looks for an entry where the next one stands, and reads what is there of it. If there is
    /// something else, that is no part of this archive. Returns `None` if the entry is whole.
    fn take_up(&self, name: &EntryName, size: u64) -> Result<Option<Begun>, Error> {
        let header = tar_header(&name.path(), size, MODE)?;
        let Snapshot {
            files,
            finished,
            mut pen,
        } = self.snapshot();
        let start = pen.end();
        let content = start + header.len() as u64;
        let end = content + size + tar_padding(size) as u64;
        let there = files.joined(finished.len())?;
        let is_there = content <= there.size() && there.read_at(start, header.len())? == header;
        let (true, Some(digest)) = (is_there, name.digest()) else {
            return self.begin(&header).map(Some);
        };
        let len = size.min(there.size() - content);
        // What begins in a finished part was whole when that was finished.
        let is_proven = start < files.start_of(finished.len()) && end <= there.size();
        let mut digester = (!is_proven).then(|| Digester::new(digest.algorithm()));
        let there = (&there, &files);
        pen.pass(there, &finished, header.len() as u64, None)?;
        pen.pass(there, &finished, len, digester.as_mut())?;
        if end > there.0.size() {
            return Ok(Some(Begun {
                pen,
                at: content,
                len,
                digester,
            }));
        }
        if digester.is_some_and(|digester| digester.finish() != digest) {
            return self.begin(&header).map(Some);
        }
        pen.pass(there, &finished, end - content - size, None)?;
        self.register(name, (content, size), pen)?;
        Ok(None)
    }

    /// Begins an entry where the next one stands. Whatever stands there is gone.
    fn begin(&self, header: &[u8]) -> Result<Begun, Error> {
        self.state().clear()?;
        let Snapshot { files, mut pen, .. } = self.snapshot();
        pen.write(&files, header)?;
        Ok(Begun {
            at: pen.end(),
            pen,
            len: 0,
            digester: None,
        })
    }

    /// Adds an entry; what is there of it is `begun`. Returns `false` if the whole is not the blob
    /// then.
    async fn write(
        &self,
        (name, size): (&EntryName, u64),
        begun: Begun,
        blob: &BlobRef,
        keep: Keep,
    ) -> Result<bool, Error> {
        let Begun {
            mut pen,
            at,
            len,
            mut digester,
        } = begun;
        let left = size - len;
        let files = self.state().files.clone();
        let (sender, mut receiver) = mpsc::channel::<Bytes>(AHEAD);
        let writer = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = receiver.blocking_recv() {
                pen.write(&files, &chunk)?;
            }
            Ok::<_, Error>((pen, keep))
        });
        let mut written = 0;
        let mut failure = None;
        let mut content = rest(blob, len, left).await?;
        while let Some(chunk) = content.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            written += chunk.len() as u64;
            if let Some(digester) = &mut digester {
                hash(digester, &chunk).await;
            }
            // The writer has gone only because it failed, and then says why below.
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
        drop(sender);
        let (mut pen, keep) = writer.await.map_err(Panicked::from)??;
        if let Some(error) = failure {
            return Err(error);
        }
        if written != left {
            return Err(Error::SizeMismatch {
                expected: size,
                actual: len + written,
            });
        }
        let expected = name.digest();
        if digester.is_some_and(|digester| Some(digester.finish()) != expected) {
            return Ok(false);
        }
        let (this, name) = (self.clone(), name.clone());
        let end = move || {
            pen.write(&this.snapshot().files, &TAR_END[..tar_padding(size)])?;
            this.register(&name, (at, size), pen)?;
            drop(keep);
            Ok::<_, Error>(true)
        };
        blocking(end).await
    }

    /// Adds an entry that is whole, and finishes the parts behind which the next one stands.
    fn register(&self, name: &EntryName, content: Extent, pen: Pen) -> Result<(), Error> {
        let Snapshot {
            files, finished, ..
        } = self.snapshot();
        let before = finished.len();
        if pen.full().len() > before {
            // The last entry may go on in the part behind, and must be whole there.
            files.sync(before, pen.end())?;
        }
        let mut state = self.state();
        for (index, digest) in pen.full().iter().enumerate().skip(before) {
            state.journal.finish(*digest)?;
            state.files.name(index)?;
        }
        state.pen = pen;
        if let EntryName::Blob(digest) = name {
            state.blobs.insert(*digest, content);
        }
        Ok(())
    }
}

/// Returns the content of a blob from a place on, which must have `left` bytes.
async fn rest(blob: &BlobRef, from: u64, left: u64) -> Result<ByteStream, Error> {
    if from == 0 {
        return Ok(lazily(Arc::clone(blob)));
    }
    if left == 0 {
        return Ok(futures::stream::empty().boxed());
    }
    let promise = Promise {
        size: Some(left),
        digest: None,
    };
    Ok(verify(blob.open_at(from).await?, promise))
}

impl State {
    /// Makes sure that nothing stands where the next entry does, nor behind that.
    fn clear(&mut self) -> Result<(), Error> {
        let end = self.pen.end();
        let (open, finished) = (self.files.index_of(end), self.journal.finished().len());
        if open < finished {
            let name = self.files.path(open, finished);
            let name = name.display();
            tracing::warn!("other content comes than before: {name} is written again");
            self.journal.reopen(open)?;
            self.files.reopen(open, finished)?;
        }
        self.files.cut(end)
    }

    /// Returns what is written, to be read.
    fn written(&self) -> Result<Joined, Error> {
        match self.journal.done() {
            Some(list) => Ok(self.files.named(list)),
            None => self.files.joined(self.journal.finished().len()),
        }
    }
}

#[async_trait]
impl Packing for PartPacking {
    fn loose(&self) -> &Loose {
        &self.loose
    }

    fn arrange(&self, _digest: &Digest, _size: u64) -> Result<Pace, Error> {
        Ok(Pace::OneByOne)
    }

    async fn append(
        &self,
        name: EntryName,
        size: u64,
        blob: &BlobRef,
        hold: &Hold,
    ) -> Result<Outcome, Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let keep: Keep = Arc::new((turn, Arc::clone(hold)));
        if let Some(digest) = name.digest()
            && let Some(known) = self.state().blobs.get(&digest)
        {
            // What is there cannot be replaced.
            let (expected, actual) = (size, known.1);
            return if actual == expected {
                Ok(Outcome::Existed)
            } else {
                Err(Error::SizeMismatch { expected, actual })
            };
        }
        let (this, looked_for, kept) = (self.clone(), name.clone(), Arc::clone(&keep));
        let look = move || {
            let begun = this.take_up(&looked_for, size);
            drop(kept);
            begun
        };
        let Some(begun) = blocking(look).await? else {
            return Ok(Outcome::Existed);
        };
        let (entry, len) = ((&name, size), begun.len);
        if self.write(entry, begun, blob, Arc::clone(&keep)).await? {
            let is_whole = len == size && size > 0;
            return Ok(if is_whole {
                Outcome::Existed
            } else {
                Outcome::Copied
            });
        }
        let (this, header, kept) = (
            self.clone(),
            tar_header(&name.path(), size, MODE)?,
            Arc::clone(&keep),
        );
        let begin = move || {
            let begun = this.begin(&header);
            drop(kept);
            begun
        };
        let begun = blocking(begin).await?;
        self.write(entry, begun, blob, keep).await?;
        Ok(Outcome::Copied)
    }

    async fn append_unhashed(
        &self,
        blob: &BlobRef,
        size: u64,
        hold: &Hold,
    ) -> Result<Pushed, Error> {
        append_unhashed(self, blob, size, hold).await
    }

    fn take_over(&self, _digest: &Digest, _part: (&OpenFile, Extent)) -> Result<(), Error> {
        // Nothing stands elsewhere that becomes an archive in parts.
        Ok(())
    }

    fn remove(&self, digest: &Digest) -> bool {
        self.loose.remove(digest)
    }

    fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.state().pen.end() == 0 && self.loose.len()? == 0)
    }

    fn finish(&self, index: &[u8], partial: &Partial, ending: Ending) -> Result<(), Error> {
        if ending == Ending::Unfinished {
            // It stays as it is, also on a full disk.
            return Ok(());
        }
        for digest in self.state().blobs.keys() {
            self.loose.remove(digest);
        }
        self.state().clear()?;
        let Snapshot {
            files,
            finished,
            mut pen,
        } = self.snapshot();
        self.loose.write(|bytes| pen.write(&files, bytes))?;
        let header = tar_header(INDEX_FILE, index.len() as u64, MODE)?;
        pen.write(&files, &index_entry(index, header))?;
        pen.write(&files, &TAR_END)?;
        files.sync(finished.len(), pen.end())?;
        let list = files.list(&pen);
        let mut state = self.state();
        state.journal.end(&list)?;
        files.name_all(finished.len(), &list)?;
        // What is left beside the archive is of no more use.
        partial.begin();
        Ok(())
    }

    fn into_content(self: Arc<Self>) -> Arc<dyn Content> {
        self
    }
}

impl Content for PartPacking {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.state().blobs.get(digest) {
            Some((_, size)) => Ok(Some(*size)),
            None => self.loose.size(digest),
        }
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, Error> {
        let state = self.state();
        match state.blobs.get(digest) {
            Some(&(at, size)) => state.written()?.blob(at, size).map(Some),
            None => self.loose.open(digest),
        }
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        let state = self.state();
        let Some(&(at, size)) = state.blobs.get(digest) else {
            return self.loose.read(digest, limit);
        };
        match usize::try_from(size) {
            Ok(len) if size <= limit => state.written()?.read_at(at, len).map(Some),
            _ => Err(Error::TooLarge { limit }),
        }
    }
}
