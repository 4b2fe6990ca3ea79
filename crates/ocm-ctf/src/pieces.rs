//! Content that comes piece by piece, hashed and written to a file.

use bytes::Bytes;
use futures::StreamExt as _;
use ocm_blob::{Blob as _, CHUNK, Error, OpenFile, hash};
use ocm_digest::{Digest, Digester, HashAlgorithm};
use tokio::task::JoinHandle;

use crate::sink::{WriteBack, join};

/// Pieces below this size are written without the way to another thread, which costs more.
const INLINE: usize = CHUNK / 4;

/// A file that grows by the pieces of an upload.
#[derive(Debug)]
pub(crate) struct Pieces {
    file: OpenFile,
    /// None where a part came before; then the file is read again at the end.
    digester: Option<Digester>,
    write_back: WriteBack,
    /// The piece that is being written while it is hashed and the next one comes.
    writing: Option<JoinHandle<Result<(), Error>>>,
    size: u64,
}

impl Pieces {
    /// Starts with an empty file.
    pub(crate) fn new(file: OpenFile) -> Self {
        Self {
            digester: Some(Digester::default()),
            ..Self::after(file, 0)
        }
    }

    /// Goes on with a file of which so much has come.
    pub(crate) fn after(file: OpenFile, size: u64) -> Self {
        Self {
            file,
            digester: None,
            write_back: WriteBack::default(),
            writing: None,
            size,
        }
    }

    /// Returns the number of bytes that have come.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a piece. That it could not be written may be said only when the next one comes, or at
    /// the end.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        let offset = self.size;
        self.size += piece.len() as u64;
        self.written().await?;
        if piece.len() < INLINE {
            self.hash(&piece).await;
            return self.file.write_at(&piece, offset);
        }
        let (file, copy) = (self.file.clone(), piece.clone());
        let writing = tokio::task::spawn_blocking(move || file.write_at(&copy, offset));
        self.writing = Some(writing);
        self.hash(&piece).await;
        self.write_back.wrote(&self.file).await
    }

    /// Waits until everything is written; after a power failure it may be gone.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        self.written().await?;
        self.write_back.finish().await
    }

    /// Waits until everything is written and returns the digest of the whole. One of another
    /// algorithm than the usual costs another pass over the file, and so does one of a file that
    /// was begun before.
    pub(crate) async fn finish(&mut self, algorithm: HashAlgorithm) -> Result<Digest, Error> {
        self.settle().await?;
        if let Some(digester) = &self.digester
            && digester.algorithm() == algorithm
        {
            return Ok(digester.clone().finish());
        }
        let mut digester = Digester::new(algorithm);
        let mut stream = self.file.blob(0, self.size).open().await?;
        while let Some(chunk) = stream.next().await {
            digester.update(&chunk?);
        }
        Ok(digester.finish())
    }

    async fn hash(&mut self, piece: &Bytes) {
        // Where nobody waits for the end of this, none is left, and the file is read again.
        if let Some(mut digester) = self.digester.take() {
            hash(&mut digester, piece).await;
            self.digester = Some(digester);
        }
    }

    async fn written(&mut self) -> Result<(), Error> {
        match self.writing.take() {
            Some(writing) => join(writing.await),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn pieces() -> Vec<Bytes> {
        let sizes = [CHUNK, 1, INLINE - 1, INLINE, 0, CHUNK];
        let fill = |(index, size): (usize, usize)| Bytes::from(vec![index.to_le_bytes()[0]; size]);
        sizes.into_iter().enumerate().map(fill).collect()
    }

    #[tokio::test]
    async fn pieces_of_any_size_make_the_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("upload");
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let mut upload = Pieces::new(OpenFile::new(file, &path));
        for piece in pieces() {
            upload.write(piece).await.unwrap();
        }
        let whole = pieces().concat();
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let digest = upload.finish(algorithm).await.unwrap();
            assert_eq!(digest, algorithm.digest(&whole));
        }
        assert_eq!(upload.size(), whole.len() as u64);
        assert_eq!(std::fs::read(path).unwrap(), whole);
    }

    #[tokio::test]
    async fn a_file_goes_on_from_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("upload");
        std::fs::write(&path, "begun, ").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut upload = Pieces::after(OpenFile::new(file, &path), 7);
        upload.write(Bytes::from("and ended")).await.unwrap();
        let digest = upload.finish(HashAlgorithm::Sha256).await.unwrap();
        assert_eq!(digest, Digest::sha256("begun, and ended"));
    }

    #[tokio::test]
    async fn a_piece_that_could_not_be_written_is_told_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("upload");
        std::fs::write(&path, "").unwrap();
        // Nothing can be written through a file that is open for reading.
        let mut upload = Pieces::new(OpenFile::open(&path).unwrap());
        upload.write(Bytes::from(vec![0; CHUNK])).await.unwrap();
        assert!(upload.finish(HashAlgorithm::Sha256).await.is_err());
    }
}
