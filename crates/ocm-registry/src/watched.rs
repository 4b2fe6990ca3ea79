//! Files that are read again when they change.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::failure::Chain;

/// How old what is known of the files may be.
const PERIOD: Duration = Duration::from_secs(1);

/// The size beyond which a file is refused, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// A value that is made of the content of files, and made anew when they have other content.
///
/// Files that cannot be used any more leave the value as it is; the log says what is wrong.
pub(crate) struct Watched<T> {
    paths: Vec<PathBuf>,
    make: Make<T>,
    state: Mutex<State<T>>,
}

type Invalid = Box<dyn StdError + Send + Sync>;
type Make<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, Invalid> + Send + Sync>;

struct State<T> {
    looked: Instant,
    contents: Vec<Vec<u8>>,
    value: Arc<T>,
}

impl<T> Watched<T> {
    /// Reads the files for the first time.
    pub(crate) async fn open(
        paths: Vec<PathBuf>,
        make: impl Fn(&[Vec<u8>]) -> Result<T, Invalid> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let contents = read_all(&paths).await?;
        let value = make(&contents).map_err(|source| FileError::new("use", &paths, source))?;
        let state = State {
            looked: Instant::now(),
            contents,
            value: Arc::new(value),
        };
        Ok(Self {
            paths,
            make: Box::new(make),
            state: Mutex::new(state),
        })
    }

    /// Returns the value, no older than a second.
    pub(crate) async fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().await;
        if state.looked.elapsed() >= PERIOD {
            self.look(&mut state).await;
            state.looked = Instant::now();
        }
        Arc::clone(&state.value)
    }

    async fn look(&self, state: &mut State<T>) {
        let contents = match read_all(&self.paths).await {
            Ok(contents) => contents,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "what was read before stays in use");
                return;
            }
        };
        if contents == state.contents {
            return;
        }
        match (self.make)(&contents) {
            Ok(value) => {
                state.value = Arc::new(value);
                tracing::info!(files = ?self.paths, "read again");
            }
            Err(source) => {
                let error = FileError::new("use", &self.paths, source);
                tracing::warn!(error = %Chain(&error), "what was read before stays in use");
            }
        }
        // Files that are wrong are told of once, not each second.
        state.contents = contents;
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content may be secret.
        f.debug_struct("Watched")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

/// Reads files, of which none may be large.
pub(crate) async fn read_all(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, FileError> {
    let mut contents = Vec::with_capacity(paths.len());
    for path in paths {
        let failed =
            |source: io::Error| FileError::new("read", std::slice::from_ref(path), source.into());
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let mut content = Vec::new();
        let mut limited = file.take(LIMIT + 1);
        limited.read_to_end(&mut content).await.map_err(failed)?;
        if content.len() as u64 > LIMIT {
            let message = format!("it is larger than {LIMIT} bytes");
            return Err(failed(io::Error::other(message)));
        }
        contents.push(content);
    }
    Ok(contents)
}

/// Why a file of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {files}")]
pub struct FileError {
    action: &'static str,
    files: String,
    source: Invalid,
}

impl FileError {
    pub(crate) fn new(action: &'static str, paths: &[PathBuf], source: Invalid) -> Self {
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let files = match names.len() {
            0 => "what was handed in".to_owned(),
            _ => names.join(" and "),
        };
        Self {
            action,
            files,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    async fn number(path: &std::path::Path) -> Result<Watched<u32>, FileError> {
        Watched::open(vec![path.to_owned()], |contents| {
            Ok(std::str::from_utf8(&contents[0])?.trim().parse()?)
        })
        .await
    }

    #[tokio::test]
    async fn a_change_is_seen_and_a_wrong_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let watched = number(&path).await.unwrap();
        tokio::time::pause();
        for (text, expected) in [("2", 2), ("two", 2), ("3", 3)] {
            std::fs::write(&path, text).unwrap();
            advance(PERIOD).await;
            assert_eq!(*watched.current().await, expected);
        }
        std::fs::remove_file(&path).unwrap();
        advance(PERIOD).await;
        assert_eq!(*watched.current().await, 3);
    }

    #[tokio::test]
    async fn what_is_wrong_at_the_start_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        let missing = number(&path).await.unwrap_err();
        assert_eq!(
            missing.to_string(),
            format!("cannot read {}", path.display())
        );
        std::fs::write(&path, "x").unwrap();
        let wrong = number(&path).await.unwrap_err();
        assert_eq!(wrong.to_string(), format!("cannot use {}", path.display()));
        std::fs::write(&path, vec![b'1'; 2 << 20]).unwrap();
        assert!(number(&path).await.is_err());
    }
}
