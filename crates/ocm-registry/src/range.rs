//! Ranges of bytes: those a client asks for, and those it sends.

/// Which part of a blob to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// The bytes from `first` to `last`, both included.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Nothing: the range lies beyond the end.
    Unsatisfiable,
}

impl Selection {
    /// Reads the value of a `Range` header for content of `size` bytes (RFC 9110, section 14.2).
    ///
    /// What is no single range of bytes is ignored, as the RFC has it.
    pub fn parse(header: &str, size: u64) -> Self {
        let Some((first, last)) = header
            .trim()
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
        else {
            return Self::Whole;
        };
        match (number(first), number(last)) {
            (Number::Given(first), Number::Given(last)) if first > last => Self::Whole,
            (Number::Given(first), Number::Given(_) | Number::Empty) if first >= size => {
                Self::Unsatisfiable
            }
            (Number::Given(first), Number::Given(last)) => Self::Part {
                first,
                last: last.min(size - 1),
            },
            (Number::Given(first), Number::Empty) => Self::Part {
                first,
                last: size - 1,
            },
            (Number::Empty, Number::Given(0)) => Self::Unsatisfiable,
            (Number::Empty, Number::Given(_)) if size == 0 => Self::Unsatisfiable,
            (Number::Empty, Number::Given(suffix)) => Self::Part {
                first: size.saturating_sub(suffix),
                last: size - 1,
            },
            _ => Self::Whole,
        }
    }
}

enum Number {
    Empty,
    Given(u64),
    Malformed,
}

fn number(text: &str) -> Number {
    match text.trim() {
        "" => Number::Empty,
        // `parse` would take a sign.
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number beyond every size is still a number.
            Number::Given(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Number::Malformed,
    }
}

/// The bytes that a chunk of an upload holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkRange {
    /// The position of the first byte in the blob.
    pub start: u64,
    /// The number of bytes, at least one.
    pub len: u64,
}

impl ChunkRange {
    /// Reads the value of the `Content-Range` header of a chunk: `<first>-<last>` (OCI
    /// distribution specification, "Pushing a blob in chunks"). The form of RFC 9110,
    /// `bytes <first>-<last>/<size>`, is taken as well.
    ///
    /// Returns `None` if it is neither.
    pub fn parse(header: &str) -> Option<Self> {
        let text = header.trim();
        let text = match text.strip_prefix("bytes ") {
            Some(rest) => rest.split_once('/').map_or(rest, |(range, _)| range),
            None => text,
        };
        let (first, last) = text.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return None;
        }
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        let len = last.checked_sub(first)?.checked_add(1)?;
        Some(Self { start: first, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, size: u64, expected: Selection) {
        assert_eq!(Selection::parse(header, size), expected, "{header}");
    }

    const fn part(first: u64, last: u64) -> Selection {
        Selection::Part { first, last }
    }

    #[test]
    fn single_ranges_are_cut_to_the_size() {
        check("bytes=0-0", 10, part(0, 0));
        check("bytes=2-5", 10, part(2, 5));
        check("bytes=2-", 10, part(2, 9));
        check("bytes=-3", 10, part(7, 9));
        check("bytes=-30", 10, part(0, 9));
        check("bytes=9-99", 10, part(9, 9));
        check("bytes=0-18446744073709551615", 10, part(0, 9));
        check("bytes=0-99999999999999999999999", 10, part(0, 9));
    }

    #[test]
    fn ranges_beyond_the_end_are_unsatisfiable() {
        for header in [
            "bytes=10-",
            "bytes=10-11",
            "bytes=-0",
            "bytes=999999999999999999999-",
        ] {
            check(header, 10, Selection::Unsatisfiable);
        }
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            check(header, 0, Selection::Unsatisfiable);
        }
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=0-1,4-5",
            "bytes=+1-2",
            "lines=0-1",
            "bytes=--1",
        ] {
            check(header, 10, Selection::Whole);
        }
    }

    #[test]
    fn a_chunk_says_where_it_stands() {
        let range = |start, len| Some(ChunkRange { start, len });
        for (header, expected) in [
            ("0-0", range(0, 1)),
            ("5-9", range(5, 5)),
            ("bytes 5-9/*", range(5, 5)),
            ("bytes 5-9", range(5, 5)),
            ("", None),
            ("-", None),
            ("5", None),
            ("9-5", None),
            ("-5", None),
            ("0-+5", None),
            ("0-18446744073709551615", None),
            ("0-99999999999999999999", None),
        ] {
            assert_eq!(ChunkRange::parse(header), expected, "{header}");
        }
    }
}
