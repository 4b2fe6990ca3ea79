//! Uploads that are under way, remembered for the next process.
//!
//! An upload that was cut goes on where it was, within one process. What a process that is killed
//! has sent is still at the registry, under a location that only it knew. So the locations of large
//! uploads are kept in files, one for each blob and repository, locked by who sends it:
//!
//! ```text
//! <directory>/<SHA-256 of registry, repository and digest>
//! {"registry":"https://ghcr.io","repository":"acme/app","digest":"sha256:…","location":"https://ghcr.io/v2/…"}
//! ```
//!
//! Such a file is a hint, and never needed: what the registry says counts, and it checks the digest
//! of the whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ocm_digest::Digest;
use serde::{Deserialize, Serialize};
use url::Url;

/// The size from which on an upload is remembered, in bytes.
pub(super) const LARGE: u64 = 4 * 1024 * 1024;

/// How long an upload is remembered that nobody comes back for. Registries forget them earlier.
const AGE: Duration = Duration::from_hours(24 * 7);

/// The size beyond which a file is none of ours, in bytes.
const LIMIT: u64 = 64 * 1024;

/// A directory in which uploads are remembered.
#[derive(Clone, Debug)]
pub(super) struct Remembered(Arc<Path>);

/// What is remembered of an upload, by who has it alone.
#[derive(Debug)]
pub(super) struct Entry {
    file: File,
    path: PathBuf,
    record: Record,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Record {
    registry: String,
    repository: String,
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

impl Remembered {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory.into())
    }

    /// Opens what is remembered of the upload of a blob. `None` if somebody else is sending it, or
    /// nothing can be kept.
    pub(super) fn open(&self, registry: &str, repository: &str, digest: Digest) -> Option<Entry> {
        let record = Record {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            digest,
            location: None,
        };
        match self.try_open(record) {
            Ok(entry) => entry,
            Err(error) => {
                let directory = self.0.display();
                tracing::debug!("uploads cannot be remembered in {directory}: {error}");
                None
            }
        }
    }

    fn try_open(&self, mut record: Record) -> io::Result<Option<Entry>> {
        std::fs::create_dir_all(&self.0)?;
        let Record {
            registry,
            repository,
            digest,
            ..
        } = &record;
        let name = Digest::sha256(format!("{registry}\n{repository}\n{digest}")).to_hex();
        let path = self.0.join(name);
        let file = options().open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        let mut text = Vec::new();
        (&file).take(LIMIT).read_to_end(&mut text)?;
        // What is half-written, or of another upload, is as good as nothing.
        if let Ok(found) = serde_json::from_slice::<Record>(&text) {
            let location = found.location.clone();
            let same = Record {
                location: None,
                ..found
            };
            record.location = location.filter(|_| same == record);
        }
        let mut entry = Entry { file, path, record };
        entry.write()?;
        self.remove_old(&entry.file)?;
        Ok(Some(entry))
    }

    /// Removes what nobody came back for. What was written right now tells the time.
    fn remove_old(&self, ours: &File) -> io::Result<()> {
        let now = ours.metadata()?.modified()?;
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age > AGE)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Returns where the registry takes the rest.
    pub(super) fn location(&self) -> Option<&str> {
        self.record.location.as_deref()
    }

    /// Keeps where the registry takes the content, or that it does so nowhere.
    pub(super) fn keep(&mut self, location: Option<&Url>) {
        let location = location.map(Url::as_str);
        if self.record.location.as_deref() != location {
            self.record.location = location.map(str::to_owned);
            let written = self.write();
            if let Err(error) = written {
                tracing::debug!("{} cannot be written: {error}", self.path.display());
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.record)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }

    /// Forgets an upload that is done, or given up.
    pub(super) fn forget(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Locations may hold secrets of the registry, so that nobody else reads them.
fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::sha256("content")
    }

    fn open(place: &Path, repository: &str) -> Option<Entry> {
        Remembered::new(place.join("uploads")).open("https://r", repository, digest())
    }

    #[test]
    fn an_upload_is_remembered_until_it_is_done() {
        let place = tempfile::tempdir().unwrap();
        let location: Url = "https://r/v2/a/blobs/uploads/1?_state=x".parse().unwrap();
        let mut entry = open(place.path(), "a").unwrap();
        assert_eq!(entry.location(), None);
        let longer = "https://r/a/longer/location/than/the/next/one?_state=1"
            .parse()
            .unwrap();
        entry.keep(Some(&longer));
        entry.keep(Some(&location));
        assert!(open(place.path(), "a").is_none(), "it is being sent");
        assert_eq!(open(place.path(), "b").unwrap().location(), None);
        drop(entry);
        let entry = open(place.path(), "a").unwrap();
        assert_eq!(entry.location(), Some(location.as_str()));
        entry.forget();
        assert_eq!(open(place.path(), "a").unwrap().location(), None);
    }

    #[test]
    fn what_is_no_record_of_the_upload_is_nothing() {
        let place = tempfile::tempdir().unwrap();
        let path = open(place.path(), "a").unwrap().path;
        let other = r#"{"registry":"https://other","repository":"a","digest":"sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73","location":"https://other/x"}"#;
        for text in [
            "",
            "{",
            "null",
            r#"{"location":3}"#,
            other,
            &"[".repeat(100_000),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                open(place.path(), "a").unwrap().location(),
                None,
                "{text:.40}"
            );
        }
    }

    #[test]
    fn what_nobody_came_back_for_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let old = open(place.path(), "old").unwrap();
        let recent = open(place.path(), "recent").unwrap();
        let now = old.file.metadata().unwrap().modified().unwrap();
        old.file.set_modified(now - AGE * 2).unwrap();
        recent.file.set_modified(now - AGE / 2).unwrap();
        open(place.path(), "new").unwrap();
        assert!(!old.path.exists());
        assert!(recent.path.exists());
    }

    #[test]
    fn where_nothing_can_be_kept_nothing_is() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("uploads"), "a file").unwrap();
        assert!(open(place.path(), "a").is_none());
    }
}
