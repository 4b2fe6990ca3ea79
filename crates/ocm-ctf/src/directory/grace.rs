//! How long those who write to a directory may take from a blob to its manifest.
//!
//! Who collects while others write goes by a grace time that its clients were promised. As others may
//! collect as well, it says so in `.grace`, in seconds. The file stands for those who write now: the
//! first of them removes what is left of earlier ones.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ocm_blob::Error;

use crate::temporary::TemporaryFile;

const FILE: &str = ".grace";

/// How much of the file is read, in bytes; no number is longer.
const LIMIT: u64 = 32;

/// Returns the longest grace time that somebody has announced.
pub(super) fn announced(root: &Path) -> Result<Duration, Error> {
    let path = path(root);
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Duration::ZERO),
        read => read.map_err(|source| Error::file("read", &path, source))?,
    };
    let seconds = text.trim().parse().ok();
    // Nobody knows then what is to be left alone.
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "it is no number of seconds");
    let seconds = seconds.ok_or_else(|| Error::file("read", path, malformed()))?;
    Ok(Duration::from_secs(seconds))
}

/// Announces a grace time unless a longer one is. To be called under the lock of the index.
pub(super) fn announce(root: &Path, grace: Duration) -> Result<(), Error> {
    if announced(root)? >= grace {
        return Ok(());
    }
    let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
    let file = TemporaryFile::create(root, 0o644)?;
    file.file().write_at(seconds.to_string().as_bytes(), 0)?;
    file.persist(&path(root))
}

/// Forgets what those have announced who do not write any more.
pub(super) fn forget(root: &Path) -> io::Result<()> {
    match std::fs::remove_file(path(root)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}
