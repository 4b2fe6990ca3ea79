//! Replacing a file that holds secrets.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize as _;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value};
use tempfile::NamedTempFile;

use super::Error;

/// Writes JSON as Docker does, and puts the file in place once it is whole.
pub(super) async fn replace(path: &Path, fields: &Map<String, Value>) -> Result<(), Error> {
    let fail = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    let mut writer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
    fields
        .serialize(&mut writer)
        .map_err(|error| fail(error.into()))?;
    text.push(b'\n');
    let target = path.to_owned();
    tokio::task::spawn_blocking(move || write(&target, &text))
        .await
        .map_err(|error| fail(io::Error::other(error)))?
        .map_err(fail)
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    // A link to a file in a dotfiles repository is to stay a link.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(_) => path.to_owned(),
    };
    let dir = match target.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    create_private(&dir)?;
    // Temporary files are made for their owner alone.
    let mut file = NamedTempFile::new_in(&dir)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(unix)]
fn create_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

#[cfg(not(unix))]
fn create_private(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}
