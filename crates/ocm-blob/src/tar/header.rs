//! One header block, read and written.

use super::BLOCK;

/// The largest size that a header can say in octal: 8 GiB less one.
pub(super) const OCTAL_LIMIT: u64 = 0o777_7777_7777;

/// What a header block says.
#[derive(Debug)]
pub(super) struct Header {
    /// Prefix and name, as they are.
    pub(super) path: Vec<u8>,
    /// Where a link leads, as it is.
    pub(super) link: Vec<u8>,
    pub(super) kind: u8,
    pub(super) size: u64,
    pub(super) mode: u32,
}

impl Header {
    /// Reads a block that is not all zeros.
    pub(super) fn read(block: &[u8; BLOCK]) -> Result<Self, String> {
        let header = tar::Header::from_byte_slice(block);
        let said = octal(&block[148..156]).or_else(|| header.cksum().ok().map(u64::from));
        let said = said.ok_or("a header has a checksum that is no number")?;
        if said != u64::from(checksum(block)) {
            return Err("a header has a wrong checksum".to_owned());
        }
        let size = octal(&block[124..136]).or_else(|| header.entry_size().ok());
        let size = size.ok_or("a header has a size that is no number")?;
        Ok(Self {
            path: header.path_bytes().into_owned(),
            link: header.link_name_bytes().unwrap_or_default().into_owned(),
            kind: block[156],
            size,
            mode: header.mode().unwrap_or(0),
        })
    }
}

/// Writes a USTAR block, or `None` if the path does not fit. Owner and time are zero.
pub(super) fn ustar(path: &str, kind: u8, size: u64, mode: u32) -> Option<[u8; BLOCK]> {
    let (prefix, name) = split(path)?;
    if size > OCTAL_LIMIT {
        return None;
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    put(345, prefix.as_bytes());
    let sum = checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Some(block)
}

/// Cuts a path into prefix and name at a slash, so that both fit.
fn split(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some(("", path));
    }
    let slashes = path.match_indices('/').map(|(at, _)| at);
    slashes
        .filter(|&at| at > 0 && at <= 155)
        .map(|at| (&path[..at], &path[at + 1..]))
        .find(|(_, name)| (1..=100).contains(&name.len()))
}

/// Reads a field that is as tools write it: octal digits up to a zero byte or its end. All others
/// are left to the library, which takes its time.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.split(|&byte| byte == 0).next()?;
    let is_octal = |byte: &u8| matches!(byte, b'0'..=b'7');
    let is_plain = !digits.is_empty() && digits.iter().all(is_octal);
    let add = |sum, digit: &u8| sum * 8 + u64::from(digit - b'0');
    is_plain.then(|| digits.iter().fold(0, add))
}

/// The sum of all bytes, those of the checksum counting as blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_plain_number_is_what_the_library_reads(
            field in prop::array::uniform12(prop::sample::select(b"01237 \x008".as_slice())),
        ) {
            let mut block = [0; BLOCK];
            block[124..136].copy_from_slice(&field);
            if let Some(number) = octal(&field) {
                let header = tar::Header::from_byte_slice(&block);
                prop_assert_eq!(header.entry_size().ok(), Some(number));
            }
        }
    }

    #[test]
    fn plain_numbers_are_octal_digits_up_to_a_zero() {
        assert_eq!(octal(b"00000000644\0"), Some(0o644));
        assert_eq!(octal(b"777777777777"), Some(0o7777_7777_7777));
        assert_eq!(octal(b"006423\0 "), Some(0o6423));
        for other in [
            b"   644 \0",
            b"\0\0\0\0\0\0\0\0",
            b"\x80\0\0\0\0\0\0\x01",
            b"00000648",
        ] {
            assert_eq!(octal(other), None);
        }
    }
}
