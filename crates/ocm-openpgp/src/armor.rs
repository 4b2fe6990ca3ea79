//! The ASCII armour of OpenPGP (RFC 9580, section 6.2).
//!
//! ```text
//! -----BEGIN PGP SIGNATURE-----
//! Comment: headers are read over
//!
//! iHUEABYKAB0WIQ…
//! =9Zro
//! -----END PGP SIGNATURE-----
//! ```
//!
//! The line with the checksum (CRC-24) may be absent; what is there must be right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// The most blocks that are read from one text.
const MAX_BLOCKS: usize = 256;

const BEGIN: &str = "-----BEGIN PGP ";
const END: &str = "-----END PGP ";
const DASHES: &str = "-----";

/// One block; its bytes are wiped when it is dropped, since they may be a private key.
pub(crate) struct Block {
    /// What stands between `BEGIN PGP` and the dashes.
    pub(crate) label: String,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// What may stand before, between and after blocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Around {
    /// Anything: people write into key files whose key it is.
    AnyText,
    /// Nothing but space.
    Nothing,
}

/// Tells whether a text contains the beginning of a block.
pub(crate) fn is_armored(bytes: &[u8]) -> bool {
    bytes
        .windows(BEGIN.len())
        .any(|window| window == BEGIN.as_bytes())
}

/// Reads all blocks of a text. The caller has limited its length.
pub(crate) fn read(text: &str, around: Around) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, BEGIN) else {
            if around == Around::Nothing && !line.is_empty() {
                return Err(Error::Around);
            }
            continue;
        };
        if blocks.len() == MAX_BLOCKS {
            return Err(Error::TooMany);
        }
        blocks.push(block(label, &mut lines)?);
    }
    Ok(blocks)
}

fn boundary<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.strip_prefix(prefix)?.strip_suffix(DASHES)
}

fn block<'a>(label: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<Block, Error> {
    let damaged = || Error::NotBase64 {
        label: label.to_owned(),
    };
    let unterminated = || Error::Unterminated {
        label: label.to_owned(),
    };
    // A base64 line contains no colon, so that the empty line below the headers may be missing.
    let mut lines = lines.skip_while(|line| line.contains(':')).peekable();
    if lines.peek().is_some_and(|line| line.is_empty()) {
        lines.next();
    }
    let mut encoded = Zeroizing::new(String::new());
    let mut checksum = None;
    loop {
        let line = lines.next().ok_or_else(unterminated)?;
        if line.starts_with(DASHES) {
            if boundary(line, END) == Some(label) {
                break;
            }
            return Err(unterminated());
        }
        if checksum.is_some() {
            return Err(damaged());
        }
        match line.strip_prefix('=') {
            Some(value) if value.len() == 4 => {
                checksum = Some(STANDARD.decode(value).map_err(|_| damaged())?);
            }
            _ => encoded.push_str(line),
        }
    }
    let bytes = Zeroizing::new(STANDARD.decode(encoded.as_bytes()).map_err(|_| damaged())?);
    if checksum.is_some_and(|stated| stated != crc24(&bytes)) {
        return Err(Error::Checksum {
            label: label.to_owned(),
        });
    }
    Ok(Block {
        label: label.to_owned(),
        bytes,
    })
}

fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut crc: u32 = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    let [_, crc @ ..] = crc.to_be_bytes();
    crc
}

/// Why a text is not armour.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The text ends, or a block of another kind does, before the block.
    #[error("armour `{label}` does not end")]
    Unterminated { label: String },
    /// What should be base64 is not.
    #[error("armour `{label}` is not base64")]
    NotBase64 { label: String },
    /// The bytes have changed since they were armoured.
    #[error("armour `{label}` does not have the bytes of its checksum")]
    Checksum { label: String },
    /// There is something beside the armour.
    #[error("there is text beside the armour")]
    Around,
    /// More than anybody needs.
    #[error("there are more than {MAX_BLOCKS} blocks of armour")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-----BEGIN PGP SIGNATURE-----\nComment: a\n\naGVsbG8=\n=R/WK\n-----END PGP SIGNATURE-----\n";

    #[track_caller]
    fn fails(text: &str, expected: &Error) {
        assert_eq!(
            read(text, Around::Nothing).map(|it| it.len()).as_ref(),
            Err(expected)
        );
    }

    fn label() -> String {
        "SIGNATURE".to_owned()
    }

    #[test]
    fn a_block_has_a_label_and_bytes() {
        for text in [
            TEXT.to_owned(),
            TEXT.replace('\n', "\r\n"),
            TEXT.replace("Comment: a\n", ""),
            TEXT.replace("Comment: a\n\n", ""),
            TEXT.replace("=R/WK\n", ""),
        ] {
            let blocks = read(&text, Around::Nothing).unwrap();
            assert_eq!(blocks.len(), 1);
            assert_eq!(blocks[0].label, "SIGNATURE");
            assert_eq!(blocks[0].bytes.as_slice(), b"hello");
        }
    }

    #[test]
    fn every_block_is_read_and_text_around_where_it_may_be() {
        let text = format!("key of Ann\n{TEXT}\nkey of Ben\n{TEXT}");
        assert_eq!(read(&text, Around::AnyText).unwrap().len(), 2);
        fails(&text, &Error::Around);
    }

    #[test]
    fn damage_is_found() {
        let label = label();
        fails(
            &TEXT.replace("aGVs", "bGVs"),
            &Error::Checksum {
                label: label.clone(),
            },
        );
        for cut in [TEXT.len() - 6, 57, 45, 35] {
            fails(
                &TEXT[..cut],
                &Error::Unterminated {
                    label: label.clone(),
                },
            );
        }
        fails(
            &TEXT.replace("END PGP SIGNATURE", "END PGP MESSAGE"),
            &Error::Unterminated {
                label: label.clone(),
            },
        );
        fails(&TEXT.replace("aGVs", "a?Vs"), &Error::NotBase64 { label });
        fails(&TEXT.repeat(MAX_BLOCKS + 1), &Error::TooMany);
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc24(b""), [0xb7, 0x04, 0xce]);
        assert_eq!(crc24(b"hello"), [0x47, 0xf5, 0x8a]);
    }
}
