//! The size of the parts in which an archive is written.

use std::num::NonZeroU64;
use std::str::FromStr;

/// The smallest size of parts, in bytes: 999 of them are to hold something.
const LEAST: u64 = 64 * 1024;

/// The size of parts, in bytes. Reads `4GiB`, `4095MiB`, `700MB`, `1000000`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PartSize(pub(super) NonZeroU64);

impl FromStr for PartSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|char: char| !char.is_ascii_digit());
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(format!("`{unit}` is no unit such as MiB, GiB, MB or GB")),
        };
        let number: u64 = number
            .parse()
            .map_err(|_| "it is no size such as 4GiB".to_owned())?;
        let size = number.checked_mul(factor).and_then(NonZeroU64::new);
        size.filter(|size| size.get() >= LEAST)
            .map(Self)
            .ok_or_else(|| "it is not between 64 KiB and 16 EiB".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_unit() {
        for (text, bytes) in [
            ("4GiB", 4 << 30),
            ("4g", 4 << 30),
            ("4095 MiB", 4095 << 20),
            ("700MB", 700_000_000),
            ("65536", 65536),
            ("65536B", 65536),
            ("1TB", 1_000_000_000_000),
        ] {
            let size: PartSize = text.parse().unwrap();
            assert_eq!(size.0.get(), bytes, "{text}");
        }
        for text in [
            "",
            "GiB",
            "0",
            "65535",
            "-1GiB",
            "4XB",
            "1.5GiB",
            "99999999TiB",
            "4GiBs",
        ] {
            assert!(text.parse::<PartSize>().is_err(), "{text}");
        }
    }
}
