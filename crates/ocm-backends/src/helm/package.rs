//! Packaging a chart directory, such that the same files give the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ocm_blob::{OpenFile, TAR_END, gzip_writer, tar_header, tar_padding};

use super::chart::{Chart, ChartError, MAX_SIZE, check, parse};
use super::ignore::Ignore;

/// How deep the directories of a chart may nest.
const MAX_DEPTH: usize = 100;

/// How many files and directories a chart may have; links to directories can make it endless.
const MAX_FILES: usize = 10_000;

/// The permissions that all files have, as Helm gives them.
const MODE: u32 = 0o644;

/// Packages a chart directory into a temporary file. Symbolic links stand for what they point to,
/// which must be below `inside`.
pub(super) fn package(root: &Path, inside: &Path) -> Result<Chart, ChartError> {
    let metadata_path = root.join("Chart.yaml");
    let metadata = match fs::read_to_string(&metadata_path) {
        Ok(text) => parse(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ChartError::NoMetadata);
        }
        Err(source) => return Err(unreadable(&metadata_path, source)),
    };
    let (name, _) = check(&metadata)?;
    let rules = root.join(".helmignore");
    let rules = match fs::read_to_string(&rules) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(unreadable(&rules, source)),
    };
    let ignore = Ignore::parse(&rules).map_err(|line| ChartError::Entry {
        path: ".helmignore".to_owned(),
        reason: format!("`{line}` is not a well-formed pattern"),
    })?;
    let mut found = Walk {
        inside,
        ignore: &ignore,
        files: Vec::new(),
        seen: 0,
    };
    found.list(root, "", 0)?;

    let file = tempfile::tempfile().map_err(|source| unreadable(root, source))?;
    let mut archive = gzip_writer(io::BufWriter::new(file));
    let mut size = 0_u64;
    for (path, file) in found.files {
        size = size.saturating_add(write(&mut archive, &format!("{name}/{path}"), &file)?);
        if size > MAX_SIZE {
            let reason = format!("the chart is larger than {MAX_SIZE} bytes");
            return Err(ChartError::Entry { path, reason });
        }
    }
    let done = archive
        .write_all(&TAR_END)
        .and_then(|()| archive.finish()?.into_inner().map_err(Into::into));
    let file: File = done.map_err(|source| unreadable(root, source))?;
    Chart::of_file(&OpenFile::new(file, root))
}

struct Walk<'a> {
    inside: &'a Path,
    ignore: &'a Ignore,
    files: Vec<(String, PathBuf)>,
    /// The directories so far.
    seen: usize,
}

impl Walk<'_> {
    fn list(&mut self, directory: &Path, below: &str, depth: usize) -> Result<(), ChartError> {
        let entry_error = |path: &str, reason: &str| ChartError::Entry {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        self.seen += 1;
        if depth > MAX_DEPTH || self.seen + self.files.len() > MAX_FILES {
            return Err(entry_error(below, "there is too much in the chart"));
        }
        let mut names = Vec::new();
        let failed = |source| unreadable(directory, source);
        for entry in fs::read_dir(directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let name = name
                .into_string()
                .map_err(|name| entry_error(&name.to_string_lossy(), "its name is not UTF-8"))?;
            names.push(name);
        }
        names.sort_unstable();
        for name in names {
            let path = if below.is_empty() {
                name.clone()
            } else {
                format!("{below}/{name}")
            };
            let found = directory.join(&name);
            let target = found
                .canonicalize()
                .map_err(|source| unreadable(&found, source))?;
            let kind = fs::metadata(&target).map_err(|source| unreadable(&target, source))?;
            if self.ignore.matches(&path, kind.is_dir()) {
                continue;
            }
            if !target.starts_with(self.inside) {
                return Err(entry_error(
                    &path,
                    "it is a symbolic link to somewhere else",
                ));
            }
            if kind.is_dir() {
                self.list(&target, &path, depth + 1)?;
            } else if kind.is_file() {
                self.files.push((path, target));
            } else {
                return Err(entry_error(&path, "it is neither a file nor a directory"));
            }
        }
        Ok(())
    }
}

/// Writes one file; returns its size.
fn write(archive: &mut impl Write, path: &str, file: &Path) -> Result<u64, ChartError> {
    let failed = |source| unreadable(file, source);
    let mut content = File::open(file).map_err(failed)?;
    let size = content.metadata().map_err(failed)?.len();
    let header = tar_header(path, size, MODE).map_err(|source| ChartError::file(file, source))?;
    archive.write_all(&header).map_err(failed)?;
    let copied = io::copy(&mut io::Read::take(&mut content, size), archive).map_err(failed)?;
    if copied != size {
        return Err(failed(io::Error::other(
            "the file has changed while it was read",
        )));
    }
    archive
        .write_all(&TAR_END[..tar_padding(size)])
        .map_err(failed)?;
    Ok(size)
}

fn unreadable(path: &Path, source: io::Error) -> ChartError {
    ChartError::file(path, ocm_blob::Error::file("read", path, source))
}
