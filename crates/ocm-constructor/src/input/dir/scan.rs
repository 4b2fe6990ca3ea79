//! Finding the files of a directory, and which of them go into the tar.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::super::InputError;
use crate::glob::Pattern;
use crate::place::Place;

/// How deep directories may nest.
const MAX_DEPTH: usize = 1000;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Scan {
    /// The directory, without symbolic links.
    pub(super) root: PathBuf,
    /// What names start with, if the directory is to be an entry of its own.
    pub(super) prefix: Option<String>,
    /// Where symbolic links may point into; without it there must be none.
    pub(super) follow_into: Option<PathBuf>,
    /// Whether entries have the times of the files.
    pub(super) with_times: bool,
    /// What files must match, if any pattern is given.
    pub(super) include: Vec<Pattern>,
    /// What is left out.
    pub(super) exclude: Vec<Pattern>,
    /// Where the path stands in the constructor file.
    pub(super) place: Place,
}

/// A file or directory that goes into the tar.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The name in the tar, ending with `/` for a directory.
    pub(super) name: String,
    /// The permissions.
    pub(super) mode: u32,
    /// Seconds since 1970, 0 if entries have no times.
    pub(super) modified: u64,
    /// The file whose bytes follow; a directory has none.
    pub(super) content: Option<FileContent>,
}

/// A file as it was found.
#[derive(Clone, Debug)]
pub(super) struct FileContent {
    pub(super) path: PathBuf,
    pub(super) print: Fingerprint,
}

/// What must not change until a file has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fingerprint {
    pub(super) size: u64,
    modified: Option<std::time::SystemTime>,
    file: (u64, u64),
}

impl Fingerprint {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            file: file_id(metadata),
        }
    }
}

/// Lists what goes into the tar, in its order.
pub(super) fn scan(scan: &Scan) -> Result<Vec<Entry>, InputError> {
    let mut walk = Walk {
        scan,
        entries: Vec::new(),
        above: Vec::new(),
    };
    let name = scan.prefix.clone().unwrap_or_else(|| ".".to_owned());
    walk.visit(&scan.root, &name)?;
    Ok(walk.entries)
}

struct Walk<'a> {
    scan: &'a Scan,
    entries: Vec<Entry>,
    /// The directories that are being listed, by which endless links are noticed.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    fn visit(&mut self, path: &Path, name: &str) -> Result<(), InputError> {
        if self
            .scan
            .exclude
            .iter()
            .any(|pattern| pattern.matches(name))
        {
            return Ok(());
        }
        let metadata = fs::symlink_metadata(path).map_err(self.failed("inspect", path))?;
        if metadata.is_symlink() {
            let target = self.follow(path)?;
            let metadata = fs::metadata(&target).map_err(self.failed("inspect", &target))?;
            return self.add(&target, name, &metadata);
        }
        self.add(path, name, &metadata)
    }

    fn add(&mut self, path: &Path, name: &str, metadata: &Metadata) -> Result<(), InputError> {
        let include = &self.scan.include;
        let included = include.is_empty() || include.iter().any(|pattern| pattern.matches(name));
        let content = if metadata.is_file() {
            Some(FileContent {
                path: path.to_owned(),
                print: Fingerprint::of(metadata),
            })
        } else if metadata.is_dir() {
            None
        } else {
            return Err(self.unusable(path, "is neither a file nor a directory"));
        };
        let is_directory = content.is_none();
        if included {
            let slash = if is_directory { "/" } else { "" };
            self.entries.push(Entry {
                name: format!("{name}{slash}"),
                mode: permissions(metadata, is_directory),
                modified: if self.scan.with_times {
                    seconds(metadata)
                } else {
                    0
                },
                content,
            });
        }
        if is_directory {
            self.list(path, name)?;
        }
        Ok(())
    }

    fn list(&mut self, path: &Path, name: &str) -> Result<(), InputError> {
        if self.above.iter().any(|above| above == path) {
            return Err(self.unusable(path, "contains a symbolic link to itself"));
        }
        if self.above.len() >= MAX_DEPTH {
            return Err(self.unusable(path, "is nested too deep"));
        }
        let mut children = Vec::new();
        for child in fs::read_dir(path).map_err(self.failed("list", path))? {
            let child = child.map_err(self.failed("list", path))?;
            let Ok(child) = child.file_name().into_string() else {
                return Err(self.unusable(&child.path(), "has a name that is not UTF-8"));
            };
            children.push(child);
        }
        children.sort_unstable();
        self.above.push(path.to_owned());
        for child in children {
            let below = if name == "." {
                child.clone()
            } else {
                format!("{name}/{child}")
            };
            self.visit(&path.join(&child), &below)?;
        }
        self.above.pop();
        Ok(())
    }

    fn follow(&self, link: &Path) -> Result<PathBuf, InputError> {
        let Some(inside) = &self.scan.follow_into else {
            let reason = "is a symbolic link; set `followSymlinks` to pack what it points to";
            return Err(self.unusable(link, reason));
        };
        let target = fs::canonicalize(link).map_err(self.failed("follow", link))?;
        if target.starts_with(inside) {
            return Ok(target);
        }
        Err(InputError::Outside {
            place: self.scan.place.clone(),
            path: target,
            directory: inside.clone(),
        })
    }

    fn failed(
        &self,
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> InputError + use<> {
        let (place, path) = (self.scan.place.clone(), path.to_owned());
        move |source| InputError::File {
            place,
            action,
            path,
            source,
        }
    }

    fn unusable(&self, path: &Path, reason: &str) -> InputError {
        let reason = format!("{} {reason}", path.display());
        InputError::unusable(self.scan.place.clone(), reason)
    }
}

fn seconds(metadata: &Metadata) -> u64 {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

#[cfg(unix)]
fn permissions(metadata: &Metadata, _: bool) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn permissions(_: &Metadata, is_directory: bool) -> u32 {
    if is_directory { 0o755 } else { 0o644 }
}

#[cfg(unix)]
fn file_id(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
const fn file_id(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
