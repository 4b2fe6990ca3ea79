//! Writing a stream to a file while it is read and hashed.

use bytes::Bytes;
use futures::StreamExt as _;
use ocm_blob::{ByteStream, Error, OpenFile};
use ocm_digest::{Digest, Digester, HashAlgorithm};
use tokio::sync::mpsc;

/// Chunks that reading and hashing may be ahead of writing.
const AHEAD: usize = 4;

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
    let writer = tokio::task::spawn_blocking(move || {
        let mut position = offset;
        while let Some(chunk) = receiver.blocking_recv() {
            file.write_at(&chunk, position)?;
            position += chunk.len() as u64;
        }
        drop(keep);
        Ok(())
    });
    let mut digester = algorithm.map(Digester::new);
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
            digester.update(&chunk);
        }
    }
    drop(sender);
    join(writer.await)?;
    Ok(Written {
        digest: digester.map(Digester::finish),
        size,
    })
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

fn join(outcome: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    outcome.unwrap_or_else(|error| Err(Panicked(error).into()))
}
