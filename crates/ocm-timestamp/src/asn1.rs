//! The part of DER that timestamps need, with the bytes of each value at hand: signatures cover
//! them as they came, not as they would be written anew.

/// What a value is: class, form and number in one byte.
pub(crate) type Tag = u8;

pub(crate) const BOOLEAN: Tag = 0x01;
pub(crate) const INTEGER: Tag = 0x02;
pub(crate) const OCTET_STRING: Tag = 0x04;
pub(crate) const NULL: Tag = 0x05;
pub(crate) const OID: Tag = 0x06;
pub(crate) const GENERALIZED_TIME: Tag = 0x18;
pub(crate) const SEQUENCE: Tag = 0x30;
pub(crate) const SET: Tag = 0x31;

/// Returns the tag of a primitive value with a number of its own.
pub(crate) const fn primitive(number: u8) -> Tag {
    0x80 | number
}

/// Returns the tag of a constructed value with a number of its own.
pub(crate) const fn constructed(number: u8) -> Tag {
    0xa0 | number
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) tag: Tag,
    pub(crate) content: &'a [u8],
    /// The value with its tag and length.
    pub(crate) whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// Reads what is within.
    pub(crate) const fn reader(&self) -> Reader<'a> {
        Reader(self.content)
    }
}

/// The values that are left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// Tells whether all has been read.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the next value, whatever it is. Returns nothing if it is cut, or no DER.
    pub(crate) fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        // Numbers above 30 take more bytes, and are not used here.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                // DER is as short as can be.
                if bytes[0] == 0 || length < 0x80 {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Value {
            tag,
            content,
            whole,
        })
    }

    /// Reads the next value if it has a tag.
    pub(crate) fn take(&mut self, tag: Tag) -> Option<Value<'a>> {
        let mut ahead = *self;
        let value = ahead.next().filter(|value| value.tag == tag)?;
        *self = ahead;
        Some(value)
    }
}

/// Reads one value that is all there is.
pub(crate) fn only(der: &[u8], tag: Tag) -> Option<Value<'_>> {
    let mut reader = Reader(der);
    let value = reader.take(tag)?;
    reader.is_at_end().then_some(value)
}

/// Writes a value.
pub(crate) fn write(tag: Tag, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let bytes = &bytes[zeros..];
            der.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
            der.extend_from_slice(bytes);
        }
    }
    der.extend_from_slice(content);
    der
}

/// Writes a value that holds others.
pub(crate) fn write_all(tag: Tag, parts: &[Vec<u8>]) -> Vec<u8> {
    write(tag, &parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        for size in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; size];
            let der = write(OCTET_STRING, &content);
            let value = only(&der, OCTET_STRING).unwrap();
            assert_eq!(value.content, content);
            assert_eq!(value.whole, der);
            assert!(only(&der, SEQUENCE).is_none());
            assert!(only(&der[..der.len() - 1], OCTET_STRING).is_none());
        }
    }

    #[test]
    fn what_is_no_der_is_refused() {
        for der in [
            &[][..],
            &[4],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 0],
            &[4, 0x82, 0, 0x80],
            &[4, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x1f, 0x81, 0x00, 0],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(Reader(der).next().is_none(), "{der:x?}");
        }
    }
}
