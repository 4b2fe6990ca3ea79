//! Reading files that are small, or else not what they claim to be.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt as _;

/// The largest file that is read for a configuration, a key or a credential store, in bytes.
pub const MAX_FILE_SIZE: u64 = 1 << 20;

/// Reads a file up to [`MAX_FILE_SIZE`].
pub(crate) async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(fail)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(MAX_FILE_SIZE + 1);
    limited.read_to_end(&mut bytes).await.map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE_SIZE,
        });
    }
    Ok(bytes)
}

/// Reads a file as text; none if there is no such file.
pub(crate) async fn read_text_if_there(path: &Path) -> Result<Option<String>, Error> {
    let bytes = match read(path).await {
        Ok(bytes) => bytes,
        Err(Error::Read { source, .. }) if is_absent(&source) => return Ok(None),
        Err(error) => return Err(error),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::NotText {
            path: path.to_owned(),
        }),
    }
}

/// Tells whether a path leads nowhere; a file in place of a directory is no different.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// The system refuses.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file is larger than what it claims to be.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// The file is no UTF-8.
    #[error("{} is not a text in UTF-8", path.display())]
    NotText { path: PathBuf },
}

impl Error {
    /// Tells whether the file does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if is_absent(source))
    }
}
