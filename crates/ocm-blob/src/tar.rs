//! Tar archives: looking through them with suspicion, writing them deterministically.
//!
//! Nothing is unpacked here. [`TarScan`] says which entries there are and where their content
//! stands, and refuses whatever a well-meant archive does not contain; [`tar_entries`] does so for a
//! large file at once. [`tar_header`] and
//! [`TarBlob`] write the same bytes for the same entries.

mod entries;
mod extension;
mod header;
mod path;
mod scan;
mod seen;
mod write;

pub use entries::tar_entries;
pub use scan::{TarEntry, TarKind, TarScan};
pub use write::{TAR_END, TarBlob, tar_directory, tar_header, tar_padding};

use crate::error::Error;

/// The size of a header, and what the size of content is rounded up to.
const BLOCK: usize = 512;

/// The longest path, in bytes.
const PATH_LIMIT: usize = 4096;

/// The largest extended header, in bytes.
const EXTENSION_LIMIT: u64 = 64 * 1024;

/// The number of entries beyond which an archive is refused.
const ENTRY_LIMIT: usize = 1 << 20;

const FORMAT: &str = "tar";

/// Returns the error of an archive that is refused.
fn malformed(reason: impl Into<String>) -> Error {
    Error::malformed(FORMAT, reason)
}
