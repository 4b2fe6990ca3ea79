//! Opening an archive, whatever it is.

use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use ocm_blob::{OpenFile, is_gzip};
use ocm_oci::{Error, StoreRef};

use crate::archive::CtfArchive;
use crate::directory::CtfDirectory;
use crate::facts::Elsewhere;
use crate::packed::Scratch;
use crate::parts::PartList;
use crate::reading::Archive as _;
use crate::writer::CtfArchiveWriter;

/// What an archive is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Reading what is there.
    ReadOnly,
    /// Reading and writing; what is not there is created.
    ReadWrite,
}

/// The forms of an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CtfFormat {
    /// A directory.
    Directory,
    /// A tar.
    Tar,
    /// A tar, compressed with gzip.
    TarGzip,
}

impl CtfFormat {
    /// Tells the form of a new archive by its name: `.tgz` and `.tar.gz` are compressed, `.tar` is
    /// a tar, and everything else a directory.
    #[expect(
        clippy::case_sensitive_file_extension_comparisons,
        reason = "the name is in lower case by then"
    )]
    pub fn of_name(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_lowercase();
        if name.ends_with(".tgz") || name.ends_with(".tar.gz") {
            Self::TarGzip
        } else if name.ends_with(".tar") {
            Self::Tar
        } else {
            Self::Directory
        }
    }
}

impl fmt::Display for CtfFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
            Self::Tar => "tar",
            Self::TarGzip => "tgz",
        })
    }
}

/// Opens an archive: what is there tells its form, and its name if there is nothing.
///
/// A file is written in the form that its name says, whatever it was before; one whose name says
/// nothing stays what it is. An archive in parts, named by one of them or their list, is read only,
/// whatever it is opened for. To write, the directories that lead to it are created.
///
/// # Errors
///
/// [`Error::NotFound`] if there is nothing to read, and what [`CtfDirectory::open`],
/// [`CtfArchive::open`] and [`CtfArchiveWriter::open`] say.
pub async fn open(
    path: impl AsRef<Path>,
    access: Access,
    scratch: &Scratch,
) -> Result<StoreRef, Error> {
    let path = path.as_ref();
    if access == Access::ReadWrite {
        return open_to_write(path, None, Elsewhere::default(), scratch).await;
    }
    if PartList::of(path).is_none() && format_of(path)? == CtfFormat::Directory {
        return Ok(Arc::new(CtfDirectory::open(path, access)?));
    }
    Ok(Arc::new(CtfArchive::open(path, scratch).await?))
}

/// Opens an archive to write it, or creates it, as [`open`] does, in the form that is `named` or
/// else told. Its manifests may name blobs of `elsewhere`, which it need not have.
///
/// # Errors
///
/// As [`open`]; a file is there where a directory is named, or the other way round.
pub async fn open_to_write(
    path: impl AsRef<Path>,
    named: Option<CtfFormat>,
    elsewhere: Elsewhere,
    scratch: &Scratch,
) -> Result<StoreRef, Error> {
    let path = path.as_ref();
    if PartList::of(path).is_some() {
        return Ok(Arc::new(CtfArchive::open(path, scratch).await?));
    }
    let format = match named {
        Some(named) => fitting(path, named)?,
        None => format_of(path)?,
    };
    Ok(match format {
        CtfFormat::Directory => {
            let directory = CtfDirectory::open(path, Access::ReadWrite)?;
            directory.facts().set_elsewhere(elsewhere);
            Arc::new(directory)
        }
        format => {
            create_parent(path)?;
            let writer = CtfArchiveWriter::open(path, format, scratch).await?;
            writer.facts().set_elsewhere(elsewhere);
            Arc::new(writer)
        }
    })
}

/// Opens an archive to write it as [`CtfArchiveWriter::open_in_parts`] does. Its manifests may name
/// blobs of `elsewhere`, which it need not have.
///
/// # Errors
///
/// As [`CtfArchiveWriter::open_in_parts`].
pub async fn open_in_parts(
    path: impl AsRef<Path>,
    size: NonZeroU64,
    elsewhere: Elsewhere,
    scratch: &Scratch,
) -> Result<StoreRef, Error> {
    let path = path.as_ref();
    create_parent(path)?;
    let writer = CtfArchiveWriter::open_in_parts(path, size, scratch).await?;
    writer.facts().set_elsewhere(elsewhere);
    Ok(Arc::new(writer))
}

/// Tells the form of an archive by what is there, or by its name if there is nothing.
pub(crate) fn format_of(path: &Path) -> Result<CtfFormat, Error> {
    if path.is_dir() {
        return Ok(CtfFormat::Directory);
    }
    match CtfFormat::of_name(path) {
        CtfFormat::Directory if path.exists() => format_of_file(path),
        by_name => Ok(by_name),
    }
}

/// Returns a form if what is there, if anything, can be written in it.
fn fitting(path: &Path, named: CtfFormat) -> Result<CtfFormat, Error> {
    let kind = match named {
        CtfFormat::Directory if path.is_file() => io::ErrorKind::NotADirectory,
        CtfFormat::Tar | CtfFormat::TarGzip if path.is_dir() => io::ErrorKind::IsADirectory,
        _ => return Ok(named),
    };
    let source = ocm_blob::Error::file("write", path, kind.into());
    Err(Error::blob("open", path.display().to_string(), source))
}

/// Creates the directories that lead to an archive, as those are created that lead to a directory.
fn create_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new(""));
    if parent.as_os_str().is_empty() || parent.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(parent).map_err(|source| {
        let source = ocm_blob::Error::file("create", parent, source);
        Error::blob("open", path.display().to_string(), source)
    })
}

/// Tells by its first bytes whether a file is compressed.
fn format_of_file(path: &Path) -> Result<CtfFormat, Error> {
    let read = || {
        let file = OpenFile::open(path)?;
        let size = usize::try_from(file.size()?).unwrap_or(usize::MAX);
        file.read_at(0, size.min(4))
    };
    let start = read().map_err(|source| Error::blob("open", path.display().to_string(), source))?;
    Ok(if is_gzip(&start) {
        CtfFormat::TarGzip
    } else {
        CtfFormat::Tar
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_form() {
        for (name, format) in [
            ("a.tgz", CtfFormat::TarGzip),
            ("dir.tar/a.TAR.GZ", CtfFormat::TarGzip),
            ("a.tar", CtfFormat::Tar),
            ("a", CtfFormat::Directory),
            ("a.tar/b.ctf", CtfFormat::Directory),
        ] {
            assert_eq!(CtfFormat::of_name(Path::new(name)), format, "{name}");
        }
    }
}
