//! The PEM text format of RFC 7468, with the headers of RFC 1421.
//!
//! ```text
//! -----BEGIN SIGNATURE-----
//! Signature Algorithm: RSASSA-PSS
//!
//! c2lnbmF0dXJl
//! -----END SIGNATURE-----
//! ```
//!
//! Text outside of blocks is skipped, as other readers do: certificates are often preceded by a
//! printed form of themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// The most blocks that are read from one text.
const MAX_BLOCKS: usize = 64;

/// The columns of a line of base64.
const COLUMNS: usize = 64;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One block; its bytes are wiped when it is dropped, since they may be a private key.
#[derive(Clone, Eq, PartialEq)]
pub struct Block {
    /// What the block claims to be.
    pub label: String,
    /// What stands before the content.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Block {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(key, _)| key == name)?;
        Some(&header.1)
    }
}

/// Tells whether a text contains the beginning of a block.
pub fn is_pem(bytes: &[u8]) -> bool {
    bytes
        .windows(BEGIN.len())
        .any(|window| window == BEGIN.as_bytes())
}

/// Reads all blocks of a text. The caller has limited its length.
///
/// # Errors
///
/// A block is cut or not base64, or there are very many.
pub fn read(text: &str) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, BEGIN) else {
            continue;
        };
        if blocks.len() == MAX_BLOCKS {
            return Err(Error::TooMany);
        }
        blocks.push(block(label, &mut lines)?);
    }
    Ok(blocks)
}

/// Writes one block with a line break at its end.
pub fn write(label: &str, headers: &[(&str, &str)], bytes: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(bytes));
    // The text is not to grow: a copy that is left behind by growing would not be wiped.
    let headers_len: usize = headers.iter().map(|(k, v)| k.len() + v.len() + 3).sum();
    let lines = encoded.len().div_ceil(COLUMNS);
    let capacity = encoded.len() + lines + headers_len + 2 * label.len() + 64;
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    for part in [BEGIN, label, DASHES, "\n"] {
        text.push_str(part);
    }
    for (key, value) in headers {
        for part in [key, ": ", value, "\n"] {
            text.push_str(part);
        }
    }
    if !headers.is_empty() {
        text.push('\n');
    }
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    for part in [END, label, DASHES, "\n"] {
        text.push_str(part);
    }
    text
}

fn boundary<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.strip_prefix(prefix)?.strip_suffix(DASHES)
}

fn block<'a>(label: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<Block, Error> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut encoded = Zeroizing::new(String::new());
    for line in lines {
        if let Some(end) = boundary(line, END) {
            return match STANDARD.decode(encoded.as_bytes()) {
                _ if end != label => Err(Error::Unterminated {
                    label: label.to_owned(),
                }),
                Ok(bytes) => Ok(Block {
                    label: label.to_owned(),
                    headers,
                    bytes: Zeroizing::new(bytes),
                }),
                Err(_) => Err(Error::NotBase64 {
                    label: label.to_owned(),
                }),
            };
        }
        match line.split_once(':') {
            Some((key, value)) if encoded.is_empty() => {
                headers.push((key.trim().to_owned(), value.trim().to_owned()));
            }
            _ => encoded.push_str(line),
        }
    }
    Err(Error::Unterminated {
        label: label.to_owned(),
    })
}

/// Why a text is not PEM.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The text ends, or another block begins, before the block does.
    #[error("PEM block `{label}` does not end")]
    Unterminated {
        /// What the block claims to be.
        label: String,
    },
    /// The content of the block cannot be decoded.
    #[error("PEM block `{label}` is not base64")]
    NotBase64 {
        /// What the block claims to be.
        label: String,
    },
    /// There are more blocks than any key or chain has.
    #[error("more than {MAX_BLOCKS} PEM blocks")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_as_it_was_written() {
        for size in [0, 1, 47, 48, 49, 300] {
            let bytes = vec![7; size];
            let text = write("SIGNATURE", &[("Signature Algorithm", "X")], &bytes);
            let blocks = read(&text).unwrap();
            assert_eq!(blocks.len(), 1);
            assert_eq!(blocks[0].label, "SIGNATURE");
            assert_eq!(blocks[0].header("Signature Algorithm"), Some("X"));
            assert_eq!(*blocks[0].bytes, bytes);
        }
    }

    #[test]
    fn a_block_looks_as_the_standard_says() {
        assert_eq!(
            write("THING", &[], &[0; 49]).as_str(),
            "-----BEGIN THING-----\n\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
             AA==\n\
             -----END THING-----\n"
        );
    }

    #[test]
    fn text_around_blocks_and_windows_line_ends_do_not_matter() {
        let text = "Issuer: someone\r\n-----BEGIN A-----\r\nAAAA\r\n-----END A-----\r\nbye\r\n";
        let blocks = read(text).unwrap();
        assert_eq!(*blocks[0].bytes, [0, 0, 0]);
        assert!(blocks[0].headers.is_empty());
    }

    #[test]
    fn malformed_blocks_say_why() {
        let reason = |text: &str| read(text).err().unwrap().to_string();
        assert_eq!(
            reason("-----BEGIN A-----\nAAAA\n"),
            "PEM block `A` does not end"
        );
        assert_eq!(
            reason("-----BEGIN A-----\nAAAA\n-----END B-----\n"),
            "PEM block `A` does not end"
        );
        assert_eq!(
            reason("-----BEGIN A-----\nA*AA\n-----END A-----\n"),
            "PEM block `A` is not base64"
        );
        let block = "-----BEGIN A-----\n-----END A-----\n";
        assert_eq!(
            reason(&block.repeat(MAX_BLOCKS + 1)),
            "more than 64 PEM blocks"
        );
    }
}
