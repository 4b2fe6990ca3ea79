//! Looking through a tar archive.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::extension::{Extension, refuse_global};
use super::header::Header;
use super::path::{link_target, sanitise};
use super::seen::Seen;
use super::{BLOCK, ENTRY_LIMIT, EXTENSION_LIMIT, malformed};
use crate::error::Error;

/// Small, since of a large archive little more than its headers is read.
const BUFFER: usize = 8 * 1024;

/// What an entry is. Everything else is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TarKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; only where [`TarScan::with_links`] takes them.
    Link,
}

/// An entry of an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TarEntry {
    /// The path: relative, without `.` and `..`; empty for the archive's root directory.
    pub path: String,
    /// What it is.
    pub kind: TarKind,
    /// The permissions.
    pub mode: u32,
    /// Where the content starts, counted from the start of the archive.
    pub offset: u64,
    /// The size of the content in bytes.
    pub size: u64,
    /// Where a symbolic link leads, from the directory that it is in: below the root of the
    /// archive, as long as all directories are real ones when the links are made.
    pub link: Option<String>,
}

/// Goes through the entries of an archive from which nothing good is expected.
///
/// Refused are links (see [`Self::with_links`]), devices, sparse files, paths that are absolute or
/// lead out, two entries of one path, content that ends beyond the archive, a missing end mark, and
/// sizes and numbers beyond limits. Long names of GNU and PAX are understood.
#[derive(Debug)]
pub struct TarScan<R> {
    reader: BufReader<R>,
    advance: fn(&mut BufReader<R>, u64) -> io::Result<()>,
    /// The size of the whole, if known.
    len: Option<u64>,
    position: u64,
    /// Content of the current entry that has not been read, and what fills up its last block.
    content: u64,
    padding: u64,
    seen: Seen,
    takes_links: bool,
    ended: bool,
}

impl<R: Read + Seek> TarScan<R> {
    /// Scans a file: content is skipped by seeking, so that the size of the archive hardly matters.
    ///
    /// # Errors
    ///
    /// The file cannot be sought.
    pub fn new(mut reader: R) -> Result<Self, Error> {
        let len = reader.seek(SeekFrom::End(0)).map_err(unreadable)?;
        reader.rewind().map_err(unreadable)?;
        let mut scan = Self::with(reader, |reader, count| {
            reader.seek_relative(i64::try_from(count).map_err(io::Error::other)?)
        });
        scan.len = Some(len);
        Ok(scan)
    }

    /// Scans the same file from a block in the middle on, which need not be a header.
    pub(super) fn ahead(&self, mut reader: R, middle: u64) -> Result<Self, Error> {
        let position = middle - middle % BLOCK as u64;
        reader.seek(SeekFrom::Start(position)).map_err(unreadable)?;
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            position,
            seen: self.seen.beside(),
            ..*self
        })
    }

    /// Goes on to what looks like a header: it has the mark of USTAR and a right checksum. Returns
    /// where it stands, or `None` if there is none in so many bytes, they cannot be read, or it is to
    /// stop.
    pub(super) fn find_header(&mut self, within: u64, stop: impl Fn() -> bool) -> Option<u64> {
        let mut block = [0; BLOCK];
        let end = self.position.saturating_add(within);
        while self.position < end && !stop() {
            self.read_exact(&mut block, "early").ok()?;
            if block[257..262] == *b"ustar" && Header::read(&block).is_ok() {
                self.position -= BLOCK as u64;
                return self.reader.seek(SeekFrom::Start(self.position)).ok();
            }
        }
        None
    }
}

impl<R: Read> TarScan<R> {
    /// Scans what can be read only once, from its start to its end.
    pub fn stream(reader: R) -> Self {
        Self::with(reader, |reader, count| {
            let skipped = io::copy(&mut reader.take(count), &mut io::sink())?;
            if skipped == count {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        })
    }

    fn with(reader: R, advance: fn(&mut BufReader<R>, u64) -> io::Result<()>) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            advance,
            len: None,
            position: 0,
            content: 0,
            padding: 0,
            seen: Seen::default(),
            takes_links: false,
            ended: false,
        }
    }

    /// Takes symbolic links that stay below the root of the archive. Whoever makes them does it
    /// after everything else, so that no entry is written through one.
    #[must_use]
    pub const fn with_links(mut self) -> Self {
        self.takes_links = true;
        self
    }

    /// Returns the next entry, or `None` at the end of the archive.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] with what is refused. The scan cannot go on then.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut extension = Extension::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.read_header()? else {
                self.ended = true;
                return Ok(None);
            };
            match header.kind {
                b'x' => extension.read_pax(&self.read_extension(header.size)?)?,
                b'g' => refuse_global(&self.read_extension(header.size)?)?,
                b'L' => extension.path = Some(self.read_name(header.size)?),
                b'K' => extension.link = Some(self.read_name(header.size)?),
                _ => return self.entry(header, extension).map(Some),
            }
        }
    }

    /// Returns where the next header stands.
    pub(super) const fn next_header(&self) -> u64 {
        self.position + self.content + self.padding
    }

    /// Returns which paths there were so far.
    pub(super) const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Reads the content of the entry that was returned last.
    pub fn content(&mut self) -> impl Read + '_ {
        TarContent(self)
    }

    fn entry(&mut self, header: Header, extension: Extension) -> Result<TarEntry, Error> {
        let bytes = extension.path.unwrap_or(header.path);
        let ends_with_slash = bytes.ends_with(b"/");
        let path = sanitise(bytes).map_err(malformed)?;
        let refuse = |reason: &str| malformed(format!("entry `{path}` {reason}"));
        let kind = match header.kind {
            b'5' => TarKind::Directory,
            // Archives from before USTAR tell directories by a slash.
            0 if ends_with_slash => TarKind::Directory,
            0 | b'0' | b'7' => TarKind::File,
            b'1' => return Err(refuse("is a hard link")),
            b'2' if self.takes_links => TarKind::Link,
            b'2' => return Err(refuse("is a symbolic link")),
            b'3' | b'4' | b'6' => return Err(refuse("is a device")),
            b'S' => return Err(refuse("is a sparse file")),
            _ => return Err(refuse("is of an unknown kind")),
        };
        let size = extension.size.unwrap_or(header.size);
        if kind != TarKind::File && size != 0 {
            return Err(refuse("has content, and is no file"));
        }
        if kind != TarKind::Directory && path.is_empty() {
            return Err(refuse("is no directory, and has no name"));
        }
        let link = match kind {
            TarKind::Link => {
                let target = extension.link.unwrap_or(header.link);
                Some(link_target(&target, &path).map_err(malformed)?)
            }
            TarKind::File | TarKind::Directory => None,
        };
        let end = self.position.checked_add(size);
        if end.is_none_or(|end| end > self.len.unwrap_or(i64::MAX as u64)) {
            return Err(refuse("ends beyond the archive, which may be cut off"));
        }
        self.check_unique(&path, kind)?;
        self.set_content(size);
        Ok(TarEntry {
            path,
            kind,
            mode: header.mode,
            offset: self.position,
            size,
            link,
        })
    }

    fn check_unique(&mut self, path: &str, kind: TarKind) -> Result<(), Error> {
        if self.seen.len() >= ENTRY_LIMIT {
            let reason = format!("it has more than {ENTRY_LIMIT} entries");
            return Err(malformed(reason));
        }
        if self.seen.add(path, kind) {
            Ok(())
        } else {
            Err(malformed(format!("entry `{path}` is there twice")))
        }
    }

    fn read_header(&mut self) -> Result<Option<Header>, Error> {
        let mut block = [0; BLOCK];
        self.read_exact(&mut block, "without its end mark")?;
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        Header::read(&block).map(Some).map_err(malformed)
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let len = usize::try_from(size)
            .ok()
            .filter(|_| size <= EXTENSION_LIMIT);
        let len = len.ok_or_else(|| malformed("an extended header is too large"))?;
        let mut bytes = vec![0; len];
        self.read_exact(&mut bytes, "in an extended header")?;
        self.set_content(0);
        self.padding = padding(size);
        Ok(bytes)
    }

    /// Reads a long name as GNU writes it, ended by a zero byte.
    fn read_name(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut name = self.read_extension(size)?;
        name.truncate(name.iter().position(|&b| b == 0).unwrap_or(name.len()));
        Ok(name)
    }

    fn set_content(&mut self, size: u64) {
        self.content = size;
        self.padding = padding(size);
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        let count = self.content + self.padding;
        if count > 0 {
            (self.advance)(&mut self.reader, count).map_err(|error| ended(error, "early"))?;
            self.position += count;
            self.set_content(0);
        }
        Ok(())
    }

    fn read_exact(&mut self, bytes: &mut [u8], at: &'static str) -> Result<(), Error> {
        self.reader
            .read_exact(bytes)
            .map_err(|error| ended(error, at))?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

/// The content of the current entry.
struct TarContent<'a, R>(&'a mut TarScan<R>);

impl<R: Read> Read for TarContent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.0.content).unwrap_or(usize::MAX);
        let want = buffer.len().min(left);
        if want == 0 {
            return Ok(0);
        }
        let count = self.0.reader.read(&mut buffer[..want])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.content -= count as u64;
        self.0.position += count as u64;
        Ok(count)
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Returns the error of what the archive is read from, so that it can still be told by its kind.
pub(super) fn unreadable(source: io::Error) -> Error {
    match source.downcast() {
        Ok(error) => error,
        Err(source) => Error::source("the archive", source),
    }
}

fn ended(error: io::Error, at: &str) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed(format!("it ends {at}, so it may be cut off")),
        _ => unreadable(error),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::tar::header::ustar;
    use crate::tar::{TAR_END, tar_directory, tar_header};

    /// An archive of raw headers, each with content.
    pub(in crate::tar) fn archive(entries: &[(Vec<u8>, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, content) in entries {
            bytes.extend_from_slice(header);
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.extend_from_slice(&TAR_END);
        bytes
    }

    pub(in crate::tar) fn raw(path: &str, kind: u8, size: usize) -> Vec<u8> {
        ustar(path, kind, size as u64, 0o644).unwrap().to_vec()
    }

    pub(in crate::tar) fn file(path: &str, content: &[u8]) -> Vec<u8> {
        tar_header(path, content.len() as u64, 0o644).unwrap()
    }

    fn scan(bytes: &[u8]) -> Result<Vec<TarEntry>, Error> {
        let mut scan = TarScan::new(Cursor::new(bytes))?;
        let found = std::iter::from_fn(|| scan.next_entry().transpose()).collect();
        let mut stream = TarScan::stream(bytes);
        let again: Result<Vec<_>, _> =
            std::iter::from_fn(|| stream.next_entry().transpose()).collect();
        if let (Ok(found), Ok(again)) = (&found, &again) {
            assert_eq!(found, again);
        }
        found
    }

    #[track_caller]
    fn check_refused(entries: &[(Vec<u8>, &[u8])], reason: &str) {
        let error = scan(&archive(entries)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn entries_are_found_where_they_stand() {
        let long = format!("{}/file", "directory/".repeat(30));
        let bytes = archive(&[
            (tar_directory("./blobs", 0o755).unwrap(), b""),
            (file("blobs/a", b"hello"), b"hello"),
            (file(&long, b"far"), b"far"),
            (file("ünï", b""), b""),
            (tar_directory("blobs", 0o755).unwrap(), b""),
        ]);
        let found = scan(&bytes).unwrap();
        let paths: Vec<_> = found.iter().map(|entry| entry.path.as_str()).collect();
        let long = format!("{}file", "directory/".repeat(30));
        assert_eq!(paths, ["blobs", "blobs/a", &long, "ünï", "blobs"]);
        assert_eq!(found[0].kind, TarKind::Directory);
        for (entry, content) in [(&found[1], b"hello".as_slice()), (&found[2], b"far")] {
            let start = usize::try_from(entry.offset).unwrap();
            assert_eq!(&bytes[start..start + content.len()], content);
            assert_eq!(entry.size, content.len() as u64);
        }
    }

    #[test]
    fn content_can_be_read_on_the_way() {
        let bytes = archive(&[
            (file("a", b"hello"), b"hello"),
            (file("b", b"world"), b"world"),
        ]);
        let mut scan = TarScan::stream(bytes.as_slice());
        scan.next_entry().unwrap();
        let mut start = [0; 2];
        scan.content().read_exact(&mut start).unwrap();
        scan.next_entry().unwrap();
        let mut text = String::new();
        scan.content().read_to_string(&mut text).unwrap();
        assert_eq!((&start, text.as_str()), (b"he", "world"));
        assert_eq!(scan.next_entry().unwrap(), None);
    }

    #[test]
    fn long_names_of_gnu_are_understood() {
        let name = "x".repeat(300);
        let mut with_nul = name.clone().into_bytes();
        with_nul.push(0);
        let bytes = archive(&[
            (raw("././@LongLink", b'L', 301), &with_nul),
            (file("short", b"1"), b"1"),
        ]);
        assert_eq!(scan(&bytes).unwrap()[0].path, name);
    }

    #[test]
    fn the_size_of_an_extended_header_counts() {
        let bytes = archive(&[
            (raw("PaxHeaders/a", b'x', 9), b"9 size=3\n"),
            (raw("a", b'0', 0), b"abc"),
            (file("b", b""), b""),
        ]);
        let found = scan(&bytes).unwrap();
        assert_eq!((found[0].size, found[1].path.as_str()), (3, "b"));
    }

    #[test]
    fn everything_but_files_and_directories_is_refused() {
        for (kind, reason) in [
            (b'1', "entry `a` is a hard link"),
            (b'2', "entry `a` is a symbolic link"),
            (b'3', "device"),
            (b'4', "device"),
            (b'6', "device"),
            (b'S', "sparse"),
            (b'V', "unknown kind"),
        ] {
            check_refused(&[(raw("a", kind, 0), b"")], reason);
        }
        check_refused(
            &[(raw("a", b'5', 3), b"abc")],
            "has content, and is no file",
        );
        check_refused(&[(raw("./", b'0', 0), b"")], "has no name");
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for path in ["../a", "a/../../b", "/etc/passwd"] {
            check_refused(&[(raw(path, b'0', 0), b"")], "path");
        }
        check_refused(
            &[
                (raw("x", b'x', 13), b"13 path=../a\n"),
                (raw("a", b'0', 0), b""),
            ],
            "leaves the archive",
        );
    }

    #[test]
    fn two_entries_of_one_path_are_refused() {
        check_refused(
            &[(raw("a", b'0', 0), b""), (raw("./a", b'0', 0), b"")],
            "entry `a` is there twice",
        );
        check_refused(
            &[(raw("a", b'5', 0), b""), (raw("a", b'0', 0), b"")],
            "twice",
        );
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        check_refused(&[(raw("a", b'0', 10_000), b"abc")], "ends beyond");
        let huge = [
            (
                raw("x", b'x', 29),
                b"29 size=18446744073709551615\n".as_slice(),
            ),
            (raw("a", b'0', 0), b""),
        ];
        check_refused(&huge, "ends beyond");
        check_refused(
            &[(raw("x", b'x', 65 * 1024), vec![b' '; 65 * 1024].as_slice())],
            "too large",
        );
    }

    #[test]
    fn broken_extended_headers_are_refused() {
        for record in [
            "5 a=b\n",
            "99 a=b\n",
            "x",
            "9 size=x\n",
            "6 abc\n",
            "22 GNU.sparse.major=1\n",
            "0 a=b\n",
        ] {
            let entries = [
                (raw("x", b'x', record.len()), record.as_bytes()),
                (raw("a", b'0', 0), b"".as_slice()),
            ];
            assert!(scan(&archive(&entries)).is_err(), "{record}");
        }
        check_refused(&[(raw("g", b'g', 9), b"9 size=3\n")], "global header");
        let comment = [(raw("g", b'g', 13), b"13 comment=x\n".as_slice())];
        assert_eq!(scan(&archive(&comment)).unwrap(), []);
    }

    #[test]
    fn archives_that_are_cut_off_are_refused() {
        let bytes = archive(&[(file("a", b"hello"), b"hello"), (file("b", b""), b"")]);
        let end = bytes.len() - TAR_END.len();
        for len in [0, 1, 511, 512, 515, 1024, 1025, end] {
            let error = scan(&bytes[..len]).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{len}: {error}");
        }
        // One block of zeros is enough of an end.
        assert!(scan(&bytes[..end + BLOCK]).is_ok());
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut bytes = archive(&[(file("a", b""), b"")]);
        bytes[0] = b'b';
        assert!(scan(&bytes).unwrap_err().to_string().contains("checksum"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let _ = scan(&bytes);
        }

        #[test]
        fn any_change_of_an_archive_is_scanned_or_refused(
            at in 0..4096_usize,
            byte in any::<u8>(),
            fix in any::<bool>(),
        ) {
            let mut bytes = archive(&[
                (raw("x", b'x', 9), b"9 size=3\n"),
                (file("a", b"abc"), b"abc"),
                (file("b", b"hello"), b"hello"),
            ]);
            let at = at % bytes.len();
            bytes[at] = byte;
            let start = at / BLOCK * BLOCK;
            if fix && let Some(block) = bytes[start..].first_chunk_mut::<BLOCK>() {
                let sum: u32 = block[..148].iter().chain(&block[156..]).map(|&b| u32::from(b)).sum();
                block[148..156].copy_from_slice(format!("{:06o}\0 ", sum + 256).as_bytes());
            }
            let _ = scan(&bytes);
        }
    }
}
