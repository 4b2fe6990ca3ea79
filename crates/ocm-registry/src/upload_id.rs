//! How uploads are named.

use std::fmt;
use std::str::FromStr;

use crate::route::Error;

/// The name of an upload: a random UUID, which only the client that started it knows.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct UploadId(u128);

impl UploadId {
    /// Makes an identifier of random bits (RFC 9562, version 4).
    pub const fn from_random(bits: u128) -> Self {
        const VERSION: u128 = 0xf000 << 64;
        const VARIANT: u128 = 0xc000 << 48;
        Self(bits & !VERSION & !VARIANT | 0x4000 << 64 | 0x8000 << 48)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let [first, second, third, fourth] = [0..8, 8..12, 12..16, 16..20].map(|part| &hex[part]);
        write!(f, "{first}-{second}-{third}-{fourth}-{}", &hex[20..])
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for UploadId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let dashed = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match (at, byte) {
                (8 | 13 | 18 | 23, byte) => byte == b'-',
                (_, byte) => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            });
        if !dashed {
            return Err(Error::NoSuchUpload);
        }
        u128::from_str_radix(&text.replace('-', ""), 16)
            .map(Self)
            .map_err(|_| Error::NoSuchUpload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_upload_id_is_a_uuid_of_version_four() {
        assert_eq!(
            UploadId::from_random(u128::MAX).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(
            UploadId::from_random(0).to_string(),
            "00000000-0000-4000-8000-000000000000"
        );
    }
}
