//! How many bytes a store may have.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How often the directory is measured at most: clients that are refused try again.
const PERIOD: Duration = Duration::from_secs(10);

/// A limit on the bytes below a directory.
///
/// What comes in is counted as it comes; when it would be too much, the directory is measured
/// again, since content is stored once however often it is sent, and may have been deleted.
pub struct Quota {
    limit: u64,
    directory: PathBuf,
    used: AtomicU64,
    measured: Mutex<Instant>,
}

impl Quota {
    /// Measures a directory.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn new(directory: PathBuf, limit: u64) -> io::Result<Self> {
        Ok(Self {
            limit,
            used: AtomicU64::new(measure(directory.clone()).await?),
            directory,
            measured: Mutex::new(Instant::now()),
        })
    }

    /// Returns whether there is room for so many bytes more, and takes it if there is.
    pub(crate) async fn take(&self, bytes: u64) -> bool {
        if self.try_take(bytes) {
            return true;
        }
        let mut since = self.measured.lock().await;
        if since.elapsed() >= PERIOD {
            match measure(self.directory.clone()).await {
                Ok(used) => self.used.store(used, Ordering::Release),
                Err(error) => {
                    let directory = self.directory.display();
                    tracing::warn!(%directory, %error, "a directory cannot be measured");
                }
            }
            *since = Instant::now();
        }
        self.try_take(bytes)
    }

    fn try_take(&self, bytes: u64) -> bool {
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limit);
        let taken = self
            .used
            .try_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok()
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota")
            .field("limit", &self.limit)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

async fn measure(directory: PathBuf) -> io::Result<u64> {
    tokio::task::spawn_blocking(move || size(&directory)).await?
}

/// Returns the size of all files below a directory. What goes while it is looked at has none, nor
/// has what cannot be looked at, such as the `lost+found` of a volume.
fn size(root: &Path) -> io::Result<u64> {
    let mut sum = 0;
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if directory == root => return Err(error),
            Err(error) => {
                let directory = directory.display();
                tracing::debug!(%directory, %error, "a directory is not measured");
                continue;
            }
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => sum += metadata.len(),
                Err(error) => {
                    let file = entry.path();
                    tracing::debug!(file = %file.display(), %error, "a file is not measured");
                }
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_deleted_makes_room_again() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("blobs")).unwrap();
        let file = directory.path().join("blobs/a");
        std::fs::write(&file, [0; 60]).unwrap();
        let quota = Quota::new(directory.path().to_owned(), 100).await.unwrap();
        assert!(quota.take(40).await);
        assert!(!quota.take(1).await);
        std::fs::remove_file(file).unwrap();
        assert!(!quota.take(1).await, "measured a moment ago");
        tokio::time::pause();
        tokio::time::advance(PERIOD).await;
        assert!(!quota.take(101).await);
        assert!(quota.take(100).await);
        assert!(!quota.take(u64::MAX).await);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_directory_that_cannot_be_read_has_no_size() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join("a"), [0; 60]).unwrap();
        // Paths that are too long cannot be read by the superuser either.
        let long = vec!["x".repeat(250); 10].join("/");
        for side in ["near", "far"] {
            let deep = root.join(side).join(&long);
            std::fs::create_dir_all(&deep).unwrap();
            std::fs::write(deep.join("b"), [0; 7]).unwrap();
        }
        std::fs::rename(root.join("far"), root.join("near").join(&long).join("far")).unwrap();
        assert_eq!(size(root).unwrap(), 67);
        assert!(size(&root.join("missing")).is_err());
        assert!(size(&root.join("a")).is_err());
    }
}
