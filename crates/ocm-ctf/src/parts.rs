//! Archives in one file, cut into parts for media of a limited size.
//!
//! ```text
//! product.tar.parts     the list: sizes and digests of the parts, as JSON
//! product.tar.001       the first bytes of the archive
//! product.tar.002       the next ones
//! ```
//!
//! The parts, one after the other, are the archive, so that `cat` joins them. With all of them in
//! one directory, the list and each part are opened as the archive, which is read where they lie.

mod joined;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ocm_blob::{CHUNK, Error, OpenFile};
use ocm_digest::{Digest, Digester};
use serde::{Deserialize, Serialize};

pub(crate) use self::joined::Joined;
use crate::open::CtfFormat;
use crate::temporary::sync_directory;

/// What is added to the name of an archive to have that of the list of its parts.
const SUFFIX: &str = ".parts";

/// The parts of an archive.
///
/// ```json
/// {
///   "type": "parts.ocm.software/v1alpha1",
///   "size": 5000000,
///   "parts": [
///     {"name": "product.tar.001", "size": 4194304, "digest": "sha256:…"},
///     {"name": "product.tar.002", "size": 805696, "digest": "sha256:…"}
///   ]
/// }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartList {
    /// Always [`PartList::TYPE`].
    pub r#type: String,
    /// The size of the archive in bytes.
    pub size: u64,
    /// The parts, in the order of their bytes.
    pub parts: Vec<ArchivePart>,
}

/// A part of an archive.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchivePart {
    /// The name of its file, which is in the directory of the list.
    pub name: String,
    /// Its size in bytes, at least one.
    pub size: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

impl PartList {
    /// The type of the document.
    pub const TYPE: &str = "parts.ocm.software/v1alpha1";

    /// The most parts that an archive has: with three digits, their names are in order.
    pub const MOST: usize = 999;

    /// The largest list that is read, in bytes.
    pub const LIMIT: u64 = 1024 * 1024;

    pub(crate) fn new(parts: Vec<ArchivePart>) -> Self {
        Self {
            r#type: Self::TYPE.to_owned(),
            size: parts.iter().map(|part| part.size).sum(),
            parts,
        }
    }

    /// Returns where the list of an archive stands.
    pub fn beside(archive: &Path) -> PathBuf {
        with_suffix(archive, SUFFIX)
    }

    /// Returns the list that a path is about: that of the list itself, or of a part. A part of
    /// which the list is missing has one, too, where its name tells that it is part of an archive.
    pub fn of(path: &Path) -> Option<PathBuf> {
        let name = path.file_name()?.to_str()?;
        let (stem, end) = name.rsplit_once('.')?;
        if end == &SUFFIX[1..] {
            return path.is_file().then(|| path.to_owned());
        }
        if !is_number(end) || path.is_dir() {
            return None;
        }
        let list = path.with_file_name(format!("{stem}{SUFFIX}"));
        let is_archive = CtfFormat::of_name(Path::new(stem)) != CtfFormat::Directory;
        (is_archive || list.is_file()).then_some(list)
    }

    /// Reads a list.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if the bytes are none, name files elsewhere, or contradict themselves.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() as u64 > Self::LIMIT {
            return Err(Error::TooLarge { limit: Self::LIMIT });
        }
        let list: Self =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        list.check()?;
        Ok(list)
    }

    fn check(&self) -> Result<(), Error> {
        if self.r#type != Self::TYPE {
            let reason = format!("its type is `{}`, not `{}`", self.r#type, Self::TYPE);
            return Err(malformed(reason));
        }
        if self.parts.is_empty() || self.parts.len() > Self::MOST {
            let reason = format!("it has {} parts", self.parts.len());
            return Err(malformed(reason));
        }
        let mut sum: u64 = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let ArchivePart { name, size, .. } = part;
            let is_file = !name.contains(['/', '\\', ':', '\0']) && !name.starts_with('.');
            if !is_file || name.is_empty() {
                return Err(malformed(format!("`{name}` is no name of a part")));
            }
            if self.parts[..index].iter().any(|other| other.name == *name) {
                return Err(malformed(format!("it has `{name}` twice")));
            }
            if *size == 0 {
                return Err(malformed(format!("`{name}` is empty")));
            }
            sum = sum
                .checked_add(*size)
                .ok_or_else(|| malformed("its sizes are too large"))?;
        }
        if sum != self.size {
            let reason = format!("its parts have {sum} bytes, not {}", self.size);
            return Err(malformed(reason));
        }
        Ok(())
    }

    /// Reads the list in a file.
    ///
    /// # Errors
    ///
    /// As [`PartList::read`]; the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::file("read", path, source);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(Self::LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Self::read(&bytes).map_err(|source| Error::source(path.display().to_string(), source))
    }

    /// Opens the archive whose list is at a path. The parts must be there in their sizes; they are
    /// not read.
    pub(crate) fn open(path: &Path) -> Result<Joined, Error> {
        let list = Self::load(path)?;
        let mut pieces = Vec::new();
        for part in &list.parts {
            let path = path.with_file_name(&part.name);
            let size = OpenFile::open(&path)?.size()?;
            check_size(&path, size, part.size)?;
            pieces.push((path, size));
        }
        Ok(Joined::new(pieces))
    }

    /// Writes the list, which appears under its name once it is whole.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::file("write", path, source);
        let mut text =
            serde_json::to_string_pretty(self).expect("texts and numbers can be written");
        text.push('\n');
        let directory = directory_of(path);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(directory).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        sync_directory(directory).map_err(failed)
    }
}

impl ArchivePart {
    /// Reads the part in the directory of its list, and compares it with its size and digest.
    ///
    /// # Errors
    ///
    /// It is missing, is not what the list says, or cannot be read.
    pub fn check(&self, list: &Path) -> Result<(), Error> {
        let path = list.with_file_name(&self.name);
        let file = OpenFile::open(&path)?;
        check_size(&path, file.size()?, self.size)?;
        let mut reader = file.cursor()?;
        let mut digester = Digester::new(self.digest.algorithm());
        let mut buffer = vec![0; CHUNK];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => digester.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::file("read", path, source)),
            }
        }
        let (expected, actual) = (self.digest, digester.finish());
        if actual == expected {
            return Ok(());
        }
        let mismatch = Error::DigestMismatch { expected, actual };
        Err(Error::source(path.display().to_string(), mismatch))
    }
}

/// Returns where a part of an archive stands; `index` is zero for the first.
pub(crate) fn part_path(archive: &Path, index: usize) -> PathBuf {
    with_suffix(archive, &format!(".{:03}", index + 1))
}

/// Returns the directory of a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|path| *path != Path::new(""));
    directory.unwrap_or(Path::new("."))
}

/// Returns which part the end of a name is that of, such as `.001`: zero is the first.
pub(crate) fn number_of(end: &[u8]) -> Option<usize> {
    let [b'.', digits @ ..] = end else {
        return None;
    };
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|it| is_number(it))?;
    digits.parse::<usize>().ok()?.checked_sub(1)
}

/// Returns whether the end of a name is the number of a part.
fn is_number(end: &str) -> bool {
    end.len() == 3 && end.bytes().all(|byte| byte.is_ascii_digit())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::malformed("part list", reason)
}

fn check_size(path: &Path, actual: u64, expected: u64) -> Result<(), Error> {
    if actual == expected {
        return Ok(());
    }
    let mismatch = Error::SizeMismatch { expected, actual };
    Err(Error::source(path.display().to_string(), mismatch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, size: u64) -> ArchivePart {
        ArchivePart {
            name: name.to_owned(),
            size,
            digest: Digest::sha256(name),
        }
    }

    #[test]
    fn a_list_reads_as_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar.parts");
        let list = PartList::new(vec![part("a.tar.001", 7), part("a.tar.002", 3)]);
        list.write(&path).unwrap();
        assert_eq!(PartList::load(&path).unwrap(), list);
        assert_eq!(list.size, 10);
    }

    #[test]
    fn lists_that_are_none_are_refused() {
        let with = |change: &dyn Fn(&mut PartList)| {
            let mut list = PartList::new(vec![part("a.001", 7), part("a.002", 3)]);
            change(&mut list);
            serde_json::to_string(&list).unwrap()
        };
        for (text, reason) in [
            (String::new(), "EOF"),
            ("[]".to_owned(), "invalid"),
            (
                with(&|list| list.r#type = "x".to_owned()),
                "its type is `x`",
            ),
            (with(&|list| list.size = 11), "10 bytes, not 11"),
            (with(&|list| list.parts.clear()), "0 parts"),
            (with(&|list| list.parts[0].size = u64::MAX), "too large"),
            (with(&|list| list.parts[1].size = 0), "`a.002` is empty"),
            (
                with(&|list| list.parts[1].name = "a.001".to_owned()),
                "twice",
            ),
            (
                with(&|list| list.parts[1].name = "../a".to_owned()),
                "`../a`",
            ),
            (with(&|list| list.parts[1].name = ".a".to_owned()), "`.a`"),
            (with(&|list| list.parts[1].name = String::new()), "``"),
            (
                with(&|list| list.parts = vec![part("a", 1); 1000]),
                "1000 parts",
            ),
            (
                with(&|_| {}).replace("\"size\":3", "\"size\":-3"),
                "invalid",
            ),
            (
                with(&|_| {}).replace("\"size\":3", "\"size\":3,\"more\":1"),
                "unknown",
            ),
        ] {
            let error = PartList::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let large = vec![b' '; usize::try_from(PartList::LIMIT).unwrap() + 1];
        assert!(PartList::read(&large).is_err());
    }

    #[test]
    fn a_part_and_the_list_lead_to_the_list() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in [
            "a.tar.parts",
            "plain.parts",
            "a.tar.001",
            "plain.001",
            "other.001",
        ] {
            std::fs::write(at(name), "").unwrap();
        }
        std::fs::create_dir(at("directory.parts")).unwrap();
        for (name, list) in [
            ("a.tar.parts", Some("a.tar.parts")),
            ("a.tar.017", Some("a.tar.parts")),
            // The list of a tar's part is missed, where another file may have any name.
            ("b.tar.001", Some("b.tar.parts")),
            ("plain.001", Some("plain.parts")),
            ("other.001", None),
            ("directory.parts", None),
            ("a.tar", None),
            ("a.tar.01", None),
            ("a.tar.1000", None),
        ] {
            assert_eq!(PartList::of(&at(name)), list.map(at), "{name}");
        }
    }
}
