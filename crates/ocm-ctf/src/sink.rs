//! Writing a stream to a file while it is read and hashed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use ocm_blob::{BlobRef, ByteStream, CHUNK, Error, OpenFile, hash};
use ocm_digest::{Digest, Digester, HashAlgorithm};
use ocm_oci::Outcome;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::packed::Extent;

/// Chunks that reading and hashing may be ahead of writing.
pub(crate) const AHEAD: usize = 2;

/// What is left in the memory of the system before it is told to write, in bytes.
const WRITE_BACK: u64 = 32 * 1024 * 1024;

/// What has been written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// The digest, if it was asked for.
    pub(crate) digest: Option<Digest>,
    pub(crate) size: u64,
}

/// Writes a stream to a file from an offset on. The chunks are hashed here, if an algorithm is
/// given, while a thread of its own writes the ones before.
///
/// At most `limit` bytes are written. `keep` is dropped once nothing will be written any more,
/// also where this future is dropped earlier.
pub(crate) async fn write_stream<K: Send + 'static>(
    mut stream: ByteStream,
    file: OpenFile,
    offset: u64,
    limit: u64,
    algorithm: Option<HashAlgorithm>,
    keep: K,
) -> Result<Written, Error> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(AHEAD);
    let target = file.clone();
    let writer = tokio::task::spawn_blocking(move || {
        let mut position = offset;
        while let Some(chunk) = receiver.blocking_recv() {
            target.write_at(&chunk, position)?;
            position += chunk.len() as u64;
        }
        drop(keep);
        Ok(())
    });
    let mut digester = algorithm.map(Digester::new);
    let mut write_back = WriteBack::default();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        // The writer has gone only because it failed, and then says why below.
        if sender.send(chunk.clone()).await.is_err() {
            break;
        }
        if let Some(digester) = &mut digester {
            hash(digester, &chunk).await;
        }
        write_back.wrote(&file).await?;
    }
    drop(sender);
    join(writer.await)?;
    write_back.finish().await?;
    Ok(Written {
        digest: digester.map(Digester::finish),
        size,
    })
}

/// Writes what is missing of a blob of which a start is in a file: that is hashed, and the source is
/// read from there on. Returns `None` if the whole is not the blob then; what was there is wrong, or
/// what came.
pub(crate) async fn go_on<K: Send + 'static>(
    blob: &BlobRef,
    digest: Digest,
    (file, (at, size)): (&OpenFile, Extent),
    len: u64,
    keep: K,
) -> Result<Option<Outcome>, Error> {
    let there = file.clone();
    let hash = move || {
        let mut digester = Digester::new(digest.algorithm());
        each_chunk(&there, (at, len), |chunk| {
            digester.update(chunk);
            Ok(())
        })?;
        Ok::<_, Error>((digester, keep))
    };
    let (digester, keep) = blocking(hash).await?;
    if len == size {
        return Ok((digester.finish() == digest).then_some(Outcome::Existed));
    }
    let digester = Arc::new(Mutex::new(digester));
    let passing = Arc::clone(&digester);
    let rest = blob.open_at(len).await?.inspect_ok(move |chunk| {
        let mut digester = passing.lock().unwrap_or_else(PoisonError::into_inner);
        digester.update(chunk);
    });
    let left = size - len;
    let written = write_stream(rest.boxed(), file.clone(), at + len, left, None, keep).await?;
    if written.size != left {
        return Err(Error::SizeMismatch {
            expected: size,
            actual: len + written.size,
        });
    }
    let digester = digester.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((digester.clone().finish() == digest).then_some(Outcome::Copied))
}

/// Reads part of a file, chunk by chunk.
pub(crate) fn each_chunk(
    file: &OpenFile,
    (at, size): Extent,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut done = 0;
    while done < size {
        let left = usize::try_from(size - done).unwrap_or(CHUNK);
        let chunk = file.read_at(at + done, left.min(CHUNK))?;
        done += chunk.len() as u64;
        take(&chunk)?;
    }
    Ok(())
}

/// Has a file that grows written to disk piece by piece, beside everything else, whoever writes how
/// many parts of it.
///
/// Left alone, the system would write most of a large blob when it is committed, and then nobody
/// could do anything but wait.
#[derive(Debug, Default)]
pub(crate) struct WriteBack {
    running: Option<JoinHandle<Result<(), Error>>>,
}

impl WriteBack {
    /// Starts a piece if what has been written is worth it, unless one is on its way.
    pub(crate) async fn wrote(&mut self, file: &OpenFile) -> Result<(), Error> {
        let busy = self.running.as_ref().is_some_and(|it| !it.is_finished());
        if file.unsynced() < WRITE_BACK || busy {
            return Ok(());
        }
        self.finish().await?;
        let file = file.clone();
        self.running = Some(tokio::task::spawn_blocking(move || file.write_back()));
        Ok(())
    }

    /// Waits for the piece on its way. That it failed is said only once, so it must be heard.
    pub(crate) async fn finish(&mut self) -> Result<(), Error> {
        match self.running.take() {
            Some(running) => join(running.await),
            None => Ok(()),
        }
    }
}

/// Runs blocking work on a thread of its own.
pub(crate) async fn blocking<T, E, F>(work: F) -> Result<T, E>
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Panicked> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Panicked(error).into()),
    }
}

/// A thread that was to read or write has not come back.
#[derive(Debug)]
pub(crate) struct Panicked(tokio::task::JoinError);

impl From<tokio::task::JoinError> for Panicked {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(error)
    }
}

impl From<Panicked> for Error {
    fn from(panicked: Panicked) -> Self {
        Self::source("what a thread of this program wrote", panicked.0)
    }
}

/// Returns what a thread has to say.
pub(crate) fn join(
    outcome: Result<Result<(), Error>, tokio::task::JoinError>,
) -> Result<(), Error> {
    outcome.unwrap_or_else(|error| Err(Panicked(error).into()))
}
