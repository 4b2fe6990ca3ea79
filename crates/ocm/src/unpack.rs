//! Writing content to the file system: a file, or the tree of a tar. The target appears only once
//! the content was read to its end, and so has been checked.

mod partial;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use ocm_blob::{ByteStream, Bytes, Error, StreamReader, TarEntry, TarKind, TarScan, once};
use tempfile::NamedTempFile;

use self::partial::PartialTree;

/// How content is packed, told by its media type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Packing {
    /// It is a tar.
    pub(crate) tar: bool,
    /// It is compressed with gzip.
    pub(crate) gzip: bool,
}

impl Packing {
    /// Reads a media type such as `application/x-tar+gzip`.
    pub(crate) fn of(media_type: &str) -> Self {
        let plain = media_type.split(';').next().unwrap_or_default().trim();
        if plain == "application/x-tgz" {
            return Self {
                tar: true,
                gzip: true,
            };
        }
        let (inner, gzip) = match plain.strip_suffix("+gzip") {
            Some(inner) => (inner, true),
            None => (
                plain,
                matches!(plain, "application/gzip" | "application/x-gzip"),
            ),
        };
        let tar = matches!(inner, "application/x-tar" | "application/tar")
            || inner.rsplit(['+', '.']).next() == Some("tar");
        Self { tar, gzip }
    }
}

/// Writes a file. It appears under its name once it is whole, and replaces what had that.
///
/// # Errors
///
/// It cannot be written, or what is there is no regular file.
pub async fn write_file(path: &Path, content: Bytes) -> Result<(), Error> {
    file(once(content), path, false).await
}

/// Writes content to a file.
pub(crate) async fn file(stream: ByteStream, path: &Path, executable: bool) -> Result<(), Error> {
    let reader = StreamReader::new(stream);
    let target = path.to_owned();
    let (file, partial) = blocking(move || create_file(&target)).await?.into_parts();
    let target = path.to_owned();
    // The partial file stays with this future: whoever stops waiting leaves nothing behind.
    let locked = blocking(move || write_stream(reader, file, &target)).await?;
    let target = path.to_owned();
    blocking(move || {
        let _locked = locked;
        let failed = |source| Error::file("write", &target, source);
        set_mode(&partial, if executable { 0o755 } else { 0o644 }).map_err(failed)?;
        let persisted = partial.persist(&target);
        persisted.map_err(|error| failed(error.error))
    })
    .await
}

/// Writes the content of a tar below a directory, which must not exist or be empty.
pub(crate) async fn tree(stream: ByteStream, directory: &Path) -> Result<(), Error> {
    let reader = StreamReader::new(stream);
    let target = directory.to_owned();
    let partial = blocking(move || create_tree(&target)).await?;
    let root = partial.path().to_owned();
    blocking(move || write_tree(reader, &root)).await?;
    let target = directory.to_owned();
    blocking(move || {
        let failed = |source| Error::file("write", &target, source);
        set_mode(partial.path(), 0o755).map_err(failed)?;
        partial.persist(&target).map_err(failed)
    })
    .await
}

async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|panic| Err(Error::source("content", panic)))
}

/// Creates the file that becomes the target. A device is never replaced by a file.
fn create_file(path: &Path) -> Result<NamedTempFile, Error> {
    let parent = parent_of(path)?;
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(Error::file("replace", path, source));
    }
    partial::create_file(&parent).map_err(|source| Error::file("write to", &parent, source))
}

fn write_stream(mut reader: StreamReader, mut file: File, path: &Path) -> Result<File, Error> {
    while let Some(chunk) = reader.next_chunk()? {
        let written = file.write_all(&chunk);
        written.map_err(|source| Error::file("write", path, source))?;
    }
    Ok(file)
}

/// Creates the directory that becomes the target.
fn create_tree(directory: &Path) -> Result<PartialTree, Error> {
    let parent = parent_of(directory)?;
    PartialTree::create(&parent).map_err(|source| Error::file("write to", &parent, source))
}

fn write_tree(mut reader: StreamReader, root: &Path) -> Result<(), Error> {
    let mut scan = TarScan::stream(&mut reader).with_links();
    let mut links = Links::default();
    while let Some(entry) = scan.next_entry()? {
        let target = below(root, &entry.path)?;
        let written = match entry.kind {
            TarKind::Directory => std::fs::create_dir_all(&target),
            TarKind::File => write_entry(&mut scan.content(), &target, entry.mode),
            TarKind::Link => {
                links.add(entry)?;
                continue;
            }
        };
        written.map_err(|error| not_unpacked(&entry.path, &target, error))?;
    }
    drop(scan);
    links.make(root)?;
    // What follows the end of the archive belongs to the content that is checked.
    while reader.next_chunk()?.is_some() {}
    Ok(())
}

/// The most that the paths of symbolic links in an archive and of what they lead to may take, in
/// bytes: they are kept until all else is written, so that nothing is written through one.
const MAX_LINKS: usize = 16 * 1024 * 1024;

/// Symbolic links that are still to be made.
#[derive(Debug, Default)]
struct Links {
    entries: Vec<(String, String)>,
    size: usize,
}

impl Links {
    fn add(&mut self, entry: TarEntry) -> Result<(), Error> {
        let target = entry.link.unwrap_or_default();
        self.size += entry.path.len() + target.len();
        if self.size > MAX_LINKS {
            return Err(Error::malformed("tar", "it has too many symbolic links"));
        }
        self.entries.push((entry.path, target));
        Ok(())
    }

    fn make(self, root: &Path) -> Result<(), Error> {
        // All directories first: with a link in the way they would be made elsewhere.
        for (path, _) in &self.entries {
            let link = below(root, path)?;
            let made = link.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.map_err(|error| not_unpacked(path, &link, error))?;
        }
        for (path, target) in &self.entries {
            let link = below(root, path)?;
            symlink(target, &link).map_err(|error| not_unpacked(path, &link, error))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn write_entry(content: &mut impl io::Read, target: &Path, mode: u32) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = File::create_new(target)?;
    let mut buffer = vec![0; ocm_blob::CHUNK];
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            count => file.write_all(&buffer[..count])?,
        }
    }
    // The owner can always read and write what was downloaded.
    set_mode(target, (mode & 0o777) | 0o600)
}

/// Says why an entry cannot be unpacked: the archive is to blame, what it is read from, or what is
/// written.
fn not_unpacked(path: &str, target: &Path, error: io::Error) -> Error {
    let refused = |reason: &str| Error::malformed("tar", format!("entry `{path}` {reason}"));
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            refused("is where another entry is")
        }
        io::ErrorKind::UnexpectedEof => refused("ends early, so that the archive may be cut off"),
        _ => match error.downcast() {
            Ok(unreadable) => unreadable,
            Err(source) => Error::file("write", target, source),
        },
    }
}

/// Joins the path of an entry, which the scan has already found to be relative, to a directory.
fn below(root: &Path, path: &str) -> Result<PathBuf, Error> {
    let path = Path::new(path);
    if path
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        Ok(root.join(path))
    } else {
        Err(Error::malformed(
            "tar",
            format!("entry `{}` leads out", path.display()),
        ))
    }
}

fn parent_of(path: &Path) -> Result<PathBuf, Error> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|source| Error::file("create", parent, source))?;
    Ok(parent.to_owned())
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use ocm_blob::{Blob as _, MemoryBlob, Promise, TarBlob, verify};
    use ocm_digest::Digest;

    use super::*;

    #[test]
    fn a_media_type_tells_the_packing() {
        for (media_type, tar, gzip) in [
            ("application/x-tar", true, false),
            ("application/x-tar+gzip", true, true),
            ("application/x-tgz", true, true),
            (
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                true,
                true,
            ),
            ("application/gzip", false, true),
            ("text/plain+gzip", false, true),
            ("text/plain; charset=utf-8", false, false),
        ] {
            assert_eq!(
                Packing::of(media_type),
                Packing { tar, gzip },
                "{media_type}"
            );
        }
    }

    #[tokio::test]
    async fn a_tree_appears_whole() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a/tree");
        let mut tar = TarBlob::new();
        tar.add_directory("sub", 0o755).unwrap();
        let blob = std::sync::Arc::new(MemoryBlob::new("hello"));
        tar.add_file("sub/b", 0o644, blob).unwrap();
        tree(tar.open().await.unwrap(), &target).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(target.join("sub/b")).unwrap(),
            "hello"
        );
    }

    /// Makes a tar of files with content `x` and of links.
    fn tar_of(files: &[&str], links: &[(&str, &str)]) -> Bytes {
        let mut builder = tar::Builder::new(Vec::new());
        for path in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(1);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, &b"x"[..]).unwrap();
        }
        for (path, target) in links {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        }
        builder.into_inner().unwrap().into()
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_within_a_tree_are_made() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("tree");
        let long = "d".repeat(120);
        let deep = format!("a/{long}");
        let content = tar_of(
            &["a/file", &deep],
            &[("b/link", "../a/file"), ("long", &deep)],
        );
        tree(once(content), &target).await.unwrap();
        for link in ["b/link", "long"] {
            assert_eq!(std::fs::read(target.join(link)).unwrap(), b"x", "{link}");
        }
    }

    #[tokio::test]
    async fn nothing_is_written_or_read_through_a_link_that_leads_out() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("outside")).unwrap();
        for (files, links) in [
            (&[][..], &[("link", "../outside")][..]),
            (&[], &[("link", "/etc/passwd")]),
            (&["link/file"], &[("link", "other")]),
            (&[], &[("a/up", ".."), ("out", "a/up/../outside")]),
            (&[], &[("link", "other"), ("link/below", "file")]),
        ] {
            let content = tar_of(files, links);
            let target = place.path().join("tree");
            assert!(tree(once(content), &target).await.is_err(), "{links:?}");
            assert!(!target.exists());
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn content_that_is_wrong_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let promise = Promise {
            size: None,
            digest: Some(Digest::sha256("other")),
        };
        let wrong = || verify(once(Bytes::from_static(b"content")), promise);
        assert!(
            file(wrong(), &place.path().join("file"), false)
                .await
                .is_err()
        );
        assert!(tree(wrong(), &place.path().join("tree")).await.is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_follows_the_archive_is_checked_too() {
        let place = tempfile::tempdir().unwrap();
        let tar = ocm_blob::read_to_end(&TarBlob::new(), 1 << 20)
            .await
            .unwrap();
        let longer: Bytes = [&tar[..], b"surprise"].concat().into();
        let promise = Promise {
            size: None,
            digest: Some(Digest::sha256(&tar)),
        };
        let stream = verify(once(longer), promise);
        assert!(tree(stream, &place.path().join("tree")).await.is_err());
    }
}
