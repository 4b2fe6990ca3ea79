//! Headers of tar entries, byte for byte as Go's `archive/tar` writes them.
//!
//! Equal bytes give equal digests, whichever tool has packed a directory. Headers are USTAR; what
//! does not fit into one (long names, characters beyond ASCII, files from 8 GiB) goes into a PAX
//! header before it.

/// The size of a block in bytes; headers are one, content is filled up to a multiple.
pub(crate) const BLOCK: u64 = 512;

/// The size of the end mark in bytes.
pub(crate) const END: u64 = 2 * BLOCK;

const NAME: usize = 100;
const PREFIX: usize = 155;

/// An entry of a tar.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Header<'a> {
    /// The path, ending with `/` for a directory.
    pub(crate) name: &'a str,
    /// The permissions.
    pub(crate) mode: u32,
    /// The size of the content in bytes.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) modified: u64,
}

impl Header<'_> {
    /// Writes the blocks before the content.
    pub(crate) fn write(&self) -> Vec<u8> {
        let kind = if self.name.ends_with('/') { b'5' } else { b'0' };
        let split = split(self.name);
        let fits = self.name.is_ascii() && (self.name.len() <= NAME || split.is_some());
        if fits && octal_fits(self.size) {
            let (prefix, name) = split.unwrap_or(("", self.name));
            return self.block(kind, name.as_bytes(), prefix.as_bytes(), self.size);
        }
        let mut records = String::new();
        if !self.name.is_ascii() || self.name.len() > NAME {
            records.push_str(&record("path", self.name));
        }
        if !octal_fits(self.size) {
            records.push_str(&record("size", &self.size.to_string()));
        }
        let ascii: String = self.name.chars().filter(char::is_ascii).collect();
        let mut name = ascii.as_bytes()[..ascii.len().min(NAME)].to_vec();
        if ascii.len() > NAME && name.last() == Some(&b'/') {
            while name.last() == Some(&b'/') {
                name.pop();
            }
        }
        let mut out = extended(&pax_name(&ascii), &records);
        let size = if octal_fits(self.size) { self.size } else { 0 };
        out.extend(self.block(kind, &name, b"", size));
        out
    }

    fn block(&self, kind: u8, name: &[u8], prefix: &[u8], size: u64) -> Vec<u8> {
        let numbers = Numbers {
            mode: self.mode.into(),
            size,
            modified: self.modified,
        };
        let mut block = block(kind, name, &numbers);
        octal(&mut block[329..337], 0);
        octal(&mut block[337..345], 0);
        block[345..345 + prefix.len()].copy_from_slice(prefix);
        finish(&mut block);
        block
    }
}

/// Returns the number of bytes that fill content up to whole blocks.
pub(crate) const fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK) - size
}

struct Numbers {
    mode: u64,
    size: u64,
    modified: u64,
}

fn block(kind: u8, name: &[u8], numbers: &Numbers) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    octal(&mut block[100..108], numbers.mode);
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    octal(&mut block[124..136], numbers.size);
    octal(&mut block[136..148], numbers.modified);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block
}

/// Writes the checksum: the sum of all bytes, its own field being blanks.
fn finish(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
}

/// Writes digits with leading zeros and a final NUL.
fn octal(field: &mut [u8], number: u64) {
    let width = field.len() - 1;
    let digits = format!("{number:0width$o}");
    field[..width].copy_from_slice(&digits.as_bytes()[digits.len() - width..]);
    field[width] = 0;
}

const fn octal_fits(size: u64) -> bool {
    size < 1 << 33
}

/// Splits a long name into prefix and name at a slash, if both fit.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME || !name.is_ascii() {
        return None;
    }
    let mut length = name.len();
    if length > PREFIX + 1 {
        length = PREFIX + 1;
    } else if name.ends_with('/') {
        length -= 1;
    }
    let at = name[..length].rfind('/')?;
    let rest = name.len() - at - 1;
    (at > 0 && rest > 0 && rest <= NAME && at <= PREFIX).then(|| (&name[..at], &name[at + 1..]))
}

/// A PAX record: its own length in digits, a blank, key, value.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + rest.len().to_string().len();
    let record = format!("{length}{rest}");
    if record.len() != length {
        length = record.len();
        return format!("{length}{rest}");
    }
    record
}

fn pax_name(ascii: &str) -> Vec<u8> {
    let (directory, file) = ascii.rsplit_once('/').unwrap_or(("", ascii));
    let joined = [directory.trim_end_matches('/'), "PaxHeaders.0", file];
    let joined: Vec<&str> = joined.into_iter().filter(|part| !part.is_empty()).collect();
    let mut name = joined.join("/").into_bytes();
    name.truncate(NAME);
    while name.last() == Some(&b'/') {
        name.pop();
    }
    name
}

fn extended(name: &[u8], records: &str) -> Vec<u8> {
    let numbers = Numbers {
        mode: 0,
        size: records.len() as u64,
        modified: 0,
    };
    let mut out = block(b'x', name, &numbers);
    finish(&mut out);
    out.extend_from_slice(records.as_bytes());
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn header(name: &str, size: u64) -> Header<'_> {
        Header {
            name,
            mode: 0o644,
            size,
            modified: 7,
        }
    }

    /// What the `tar` crate reads back: name, size, mode, time.
    fn read(header: &Header<'_>) -> (String, u64, u32, u64) {
        let mut bytes = header.write();
        bytes.resize(bytes.len() + 1024, 0);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let header = entry.header();
        let read = (
            name,
            entry.size(),
            header.mode().unwrap(),
            header.mtime().unwrap(),
        );
        if entry.size() < 10_000 {
            let _ = entry.read_to_end(&mut Vec::new());
        }
        read
    }

    #[test]
    fn names_and_sizes_of_every_length_are_read_back() {
        let long = "d/".repeat(60) + "file";
        let longer = format!("{}/{}", "p".repeat(150), "f".repeat(99));
        let too_long = "x".repeat(300);
        let directory = format!("{}/", "y".repeat(180));
        let unicode = "gr\u{fc}n/\u{1f600}.txt".to_owned();
        for name in ["a".to_owned(), long, longer, too_long, directory, unicode] {
            let expected = (name.clone(), 0, 0o644, 7);
            assert_eq!(read(&header(&name, 0)), expected);
        }
        let huge = 9 * 1024 * 1024 * 1024;
        assert_eq!(read(&header("a", huge)).1, huge);
        assert_eq!(
            read(&header("a", huge - 2 * 1024 * 1024 * 1024)).1,
            huge - 2 * 1024 * 1024 * 1024
        );
    }

    #[test]
    fn what_fits_is_one_block() {
        assert_eq!(header("a", 1).write().len(), 512);
        let split = format!("{}/{}", "p".repeat(150), "f".repeat(99));
        assert_eq!(header(&split, 1).write().len(), 512);
        assert_eq!(header("\u{fc}", 1).write().len(), 1536);
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        assert_eq!(record("path", "x"), "9 path=x\n");
        for length in 80..100 {
            let record = record("path", &"x".repeat(length));
            assert!(record.starts_with(&format!("{} ", record.len())));
        }
    }
}
