//! Content digests: which algorithm, which value, computed as the bytes pass.
//!
//! A [`Digest`] names content as registries and archives do: `sha256:` and lower-case hexadecimal.
//! A [`Digester`] computes one from chunks. Descriptors spell the algorithm differently
//! (`SHA-256`); [`HashAlgorithm`] knows both spellings.
//!
//! ```
//! use ocm_digest::{Digest, HashAlgorithm};
//!
//! let digest = HashAlgorithm::Sha256.digest(b"hello");
//! assert_eq!(digest.to_string().parse::<Digest>()?, digest);
//! # Ok::<(), ocm_digest::ParseDigestError>(())
//! ```

mod digester;
#[cfg(target_arch = "x86_64")]
mod sha256;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use thiserror::Error;

pub use self::digester::Digester;

/// A hash algorithm that names content.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum HashAlgorithm {
    /// SHA-256, the default everywhere.
    #[default]
    Sha256,
    /// SHA-384, known to signatures only.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// Returns the name used in digests, such as `sha256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the name used in component descriptors, such as `SHA-256`.
    pub const fn ocm_name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// Reads either spelling, whatever its case: `sha256`, `SHA256`, `SHA-256`.
    pub fn from_name(name: &str) -> Option<Self> {
        let is = |plain: &str, dashed: &str| {
            name.eq_ignore_ascii_case(plain) || name.eq_ignore_ascii_case(dashed)
        };
        match () {
            () if is("sha256", "sha-256") => Some(Self::Sha256),
            () if is("sha384", "sha-384") => Some(Self::Sha384),
            () if is("sha512", "sha-512") => Some(Self::Sha512),
            () => None,
        }
    }

    /// Returns the length of a value in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Returns the digest of bytes that are in memory.
    pub fn digest(self, bytes: impl AsRef<[u8]>) -> Digest {
        let value = digest::digest(self.implementation(), bytes.as_ref());
        Digest::of_value(self, value.as_ref())
    }

    fn implementation(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The digest of some content, such as `sha256:2cf24dba…`.
///
/// The grammar is that of the OCI image specification, narrowed to the algorithms known here.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest {
    algorithm: HashAlgorithm,
    value: [u8; 64],
}

impl Digest {
    /// Makes a digest of a hash value.
    ///
    /// # Errors
    ///
    /// The value has another length than the algorithm gives.
    pub fn new(algorithm: HashAlgorithm, bytes: &[u8]) -> Result<Self, ParseDigestError> {
        if bytes.len() != algorithm.size() {
            return Err(ParseDigestError::Length {
                algorithm,
                expected: algorithm.size() * 2,
                actual: bytes.len() * 2,
            });
        }
        Ok(Self::of_value(algorithm, bytes))
    }

    /// Takes a value that has the length of its algorithm.
    fn of_value(algorithm: HashAlgorithm, bytes: &[u8]) -> Self {
        let mut value = [0; 64];
        value[..bytes.len()].copy_from_slice(bytes);
        Self { algorithm, value }
    }

    /// Makes a digest of a hash value in lower-case hexadecimal.
    ///
    /// # Errors
    ///
    /// The text is no lower-case hexadecimal, or has the wrong length.
    pub fn from_hex(algorithm: HashAlgorithm, text: &str) -> Result<Self, ParseDigestError> {
        if text.len() != algorithm.size() * 2 {
            return Err(ParseDigestError::Length {
                algorithm,
                expected: algorithm.size() * 2,
                actual: text.len(),
            });
        }
        let mut value = [0; 64];
        // Archives name their content by digests, thousands of them before the first byte is read.
        let mut seen = 0;
        for (byte, digits) in value.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = (digit(digits[0]), digit(digits[1]));
            seen |= high | low;
            *byte = high << 4 | low & 0xf;
        }
        if seen > 0xf {
            return Err(ParseDigestError::NotHex {
                text: text.to_owned(),
            });
        }
        Ok(Self { algorithm, value })
    }

    /// Returns the digest of bytes under SHA-256.
    pub fn sha256(bytes: impl AsRef<[u8]>) -> Self {
        HashAlgorithm::Sha256.digest(bytes)
    }

    /// Returns the algorithm.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Returns the hash value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.value[..self.algorithm.size()]
    }

    /// Returns the hash value in lower-case hexadecimal, without the algorithm.
    pub fn to_hex(&self) -> String {
        let mut buffer = [0; Self::MAX_TEXT];
        self.write_after("", &mut buffer).to_owned()
    }

    /// How many bytes the longest text has.
    const MAX_TEXT: usize = "sha512:".len() + 128;

    /// Writes the value as lower-case hexadecimal digits behind some text, and returns both: texts of
    /// digests are made by the thousand.
    fn write_after<'a>(&self, text: &str, buffer: &'a mut [u8; Self::MAX_TEXT]) -> &'a str {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let value = self.as_bytes();
        let (start, rest) = buffer.split_at_mut(text.len());
        start.copy_from_slice(text.as_bytes());
        for (pair, byte) in rest.chunks_exact_mut(2).zip(value) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        let written = &buffer[..text.len() + value.len() * 2];
        std::str::from_utf8(written).expect("texts and digits are ASCII")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = match self.algorithm {
            HashAlgorithm::Sha256 => "sha256:",
            HashAlgorithm::Sha384 => "sha384:",
            HashAlgorithm::Sha512 => "sha512:",
        };
        f.write_str(self.write_after(start, &mut [0; Self::MAX_TEXT]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, value) =
            text.split_once(':')
                .ok_or_else(|| ParseDigestError::NoAlgorithm {
                    text: text.to_owned(),
                })?;
        let algorithm = match algorithm {
            "sha256" => HashAlgorithm::Sha256,
            "sha384" => HashAlgorithm::Sha384,
            "sha512" => HashAlgorithm::Sha512,
            other => {
                return Err(ParseDigestError::UnknownAlgorithm {
                    algorithm: other.to_owned(),
                });
            }
        };
        Self::from_hex(algorithm, value)
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Reads a digest off a text that is not copied for it.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
        text.parse().map_err(E::custom)
    }
}

/// Returns the value of a lower-case hexadecimal digit; of anything else, more than any digit has.
const fn digit(character: u8) -> u8 {
    /// By character.
    const VALUES: [u8; 256] = {
        let mut values = [0xff; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789abcdef"[value as usize] as usize] = value;
            value += 1;
        }
        values
    };
    VALUES[character as usize]
}

/// Why a text is not a [`Digest`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseDigestError {
    /// There is no colon.
    #[error("digest `{text}` does not name its algorithm, as in `sha256:…`")]
    NoAlgorithm { text: String },
    /// The algorithm is not one of ours.
    #[error("digest algorithm `{algorithm}` is not known")]
    UnknownAlgorithm { algorithm: String },
    /// The value is too long or too short.
    #[error("a {algorithm} digest has {expected} hexadecimal digits, not {actual}")]
    Length {
        algorithm: HashAlgorithm,
        expected: usize,
        actual: usize,
    },
    /// The value is not lower-case hexadecimal.
    #[error("`{text}` is not lower-case hexadecimal")]
    NotHex { text: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_reads_as_it_prints() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>(), Ok(Digest::sha256(b"")));
    }

    #[test]
    fn malformed_digests_say_why() {
        let reason = |text: &str| text.parse::<Digest>().unwrap_err().to_string();
        assert_eq!(
            reason("abc"),
            "digest `abc` does not name its algorithm, as in `sha256:…`"
        );
        assert_eq!(reason("md5:abc"), "digest algorithm `md5` is not known");
        assert_eq!(
            reason("sha256:ab"),
            "a sha256 digest has 64 hexadecimal digits, not 2"
        );
        assert_eq!(
            reason(&EMPTY.replace("e3b0", "E3B0")),
            format!(
                "`{}` is not lower-case hexadecimal",
                EMPTY[7..].replacen("e3b0", "E3B0", 1)
            )
        );
    }

    #[test]
    fn every_digit_counts_and_nothing_else_is_one() {
        let text = "0123456789abcdef".repeat(4);
        let digest = Digest::from_hex(HashAlgorithm::Sha256, &text).unwrap();
        assert_eq!(digest.as_bytes()[..3], [0x01, 0x23, 0x45]);
        assert_eq!(digest.to_hex(), text);
        for (at, wrong) in [
            (0, "A"),
            (1, "g"),
            (31, "/"),
            (62, ":"),
            (63, "`"),
            (63, "\0"),
        ] {
            let mut text = text.clone();
            text.replace_range(at..=at, wrong);
            let refused = Digest::from_hex(HashAlgorithm::Sha256, &text);
            assert_eq!(refused, Err(ParseDigestError::NotHex { text }));
        }
        let wide = format!("{}é", &text[2..]);
        assert!(Digest::from_hex(HashAlgorithm::Sha256, &wide).is_err());
    }

    #[test]
    fn both_spellings_of_an_algorithm_are_read() {
        for name in ["sha256", "SHA256", "SHA-256", "sha-256"] {
            assert_eq!(HashAlgorithm::from_name(name), Some(HashAlgorithm::Sha256));
        }
        assert_eq!(HashAlgorithm::from_name("md5"), None);
    }
}
