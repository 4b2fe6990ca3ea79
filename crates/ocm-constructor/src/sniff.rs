//! Guessing a media type from the first bytes of a file.

/// The number of bytes that are looked at.
pub(crate) const HEAD: usize = 3072;

/// What starts with which bytes, at which offset.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (257, b"ustar", "application/x-tar"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/x-mach-binary"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"\0asm", "application/wasm"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (
        0,
        b"!<arch>\ndebian-binary",
        "application/vnd.debian.binary-package",
    ),
    (0, b"\xed\xab\xee\xdb", "application/x-rpm"),
];

/// Returns the media type of content of which the first [`HEAD`] bytes are given; `whole` if that
/// is all of it.
pub(crate) fn media_type(head: &[u8], whole: bool) -> &'static str {
    let starts = |(offset, magic, _): &&(usize, &[u8], _)| {
        head.get(*offset..)
            .is_some_and(|tail| tail.starts_with(magic))
    };
    if let Some((_, _, media_type)) = MAGIC.iter().find(starts) {
        media_type
    } else if !is_text(head, whole) {
        "application/octet-stream"
    } else if is_json(head, whole) {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    }
}

/// UTF-8 without control characters; a character cut off by the end of the head is none.
fn is_text(head: &[u8], whole: bool) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && !whole => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let binary = |byte: u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    !text.bytes().any(binary)
}

fn is_json(head: &[u8], whole: bool) -> bool {
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        return false;
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(head) {
        Ok(_) => true,
        Err(error) => error.is_eof() && !whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, expected) in [
            (&b""[..], "text/plain; charset=utf-8"),
            (b"hello\n", "text/plain; charset=utf-8"),
            ("gr\u{fc}n".as_bytes(), "text/plain; charset=utf-8"),
            (b"a: 1\n", "text/plain; charset=utf-8"),
            (b" {\"a\": [1]}\n", "application/json"),
            (b"{{ .Values.x }}", "text/plain; charset=utf-8"),
            (b"\x1f\x8b\x08", "application/gzip"),
            (b"PK\x03\x04", "application/zip"),
            (b"\x7fELF\x02", "application/x-elf"),
            (b"a\0b", "application/octet-stream"),
            (b"\xff\xfe", "application/octet-stream"),
            (&tar, "application/x-tar"),
        ] {
            assert_eq!(media_type(head, true), expected, "{head:?}");
        }
    }

    #[test]
    fn a_head_may_end_amid_a_character_or_a_value() {
        assert_eq!(media_type(b"gr\xc3", false), "text/plain; charset=utf-8");
        assert_eq!(media_type(b"gr\xc3", true), "application/octet-stream");
        assert_eq!(media_type(b"{\"a\": [1", false), "application/json");
        assert_eq!(media_type(b"{\"a\": [1", true), "text/plain; charset=utf-8");
    }
}
