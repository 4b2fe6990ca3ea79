//! Writing DER.

/// A value with its tag and length.
pub(super) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut value = vec![tag];
    match content.len() {
        short @ 0..128 => value.push(u8::try_from(short).unwrap()),
        long => {
            let bytes = long.to_be_bytes();
            let bytes: Vec<u8> = bytes.into_iter().skip_while(|&byte| byte == 0).collect();
            value.push(0x80 | u8::try_from(bytes.len()).unwrap());
            value.extend(bytes);
        }
    }
    value.extend(content);
    value
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

pub(super) fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x31, parts)
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, &[bytes])
}

/// An object identifier, given by the bytes of its content.
pub(super) fn oid(bytes: &[u8]) -> Vec<u8> {
    tlv(0x06, &[bytes])
}

/// Reads a value: its tag, its content, and what comes after it.
pub(super) fn read(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, start) = match bytes[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            let digits = &bytes[2..2 + count];
            let length = digits
                .iter()
                .fold(0, |sum, &digit| sum << 8 | usize::from(digit));
            (length, 2 + count)
        }
    };
    (
        bytes[0],
        &bytes[start..start + length],
        &bytes[start + length..],
    )
}

/// Returns the values in a constructed value, each whole.
pub(super) fn children(mut content: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while !content.is_empty() {
        let (_, _, rest) = read(content);
        all.push(&content[..content.len() - rest.len()]);
        content = rest;
    }
    all
}
