//! Small damage, as it comes from bad disks, and as it comes from people with bad intentions.

use std::ops::Range;

use crate::random::Random;

/// The size that inputs may grow to, in bytes.
const MAX_SIZE: usize = 64 * 1024;

/// Texts that mean something to one of the parsers.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b": ",
    b",",
    b"- ",
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b" ",
    b"#",
    b"&a ",
    b"*a",
    b"<<: ",
    b"|\n",
    b">-\n",
    b"---\n",
    b"!!str ",
    b"? ",
    b"~",
    b"null",
    b"true",
    b"-0",
    b"1e400",
    b"0x",
    b"010",
    b"18446744073709551616",
    b"..",
    b"../",
    b"/",
    b"//",
    b"::",
    b"@",
    b"+",
    b"%2F",
    b"%",
    b"=",
    b"||",
    b"$",
    b"${",
    b"$$",
    b":-",
    b"sha256:",
    b"-----BEGIN ",
    b"\x30\x80",
    b"\x1f\x8b\x08",
    b"\xff",
    b"\xc3",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x98\x80",
];

/// Returns a damaged copy. `other` lends what is spliced in.
pub(crate) fn mutate(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(4) {
        damage(&mut out, other, random);
        out.truncate(MAX_SIZE);
    }
    out
}

fn damage(out: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(out.len() + 1);
    let part = part(out.len(), random);
    match random.below(10) {
        0 => flip(out, at, random),
        1 => drop(out.drain(part)),
        2 => out.truncate(at),
        3 => {
            let copy = out[part].to_vec();
            insert(out, at, &copy);
        }
        4 => {
            let lent = self::part(other.len(), random);
            out.splice(part, other[lent].iter().copied());
        }
        5 => overwrite_integer(out, at, random),
        6 => insert(out, at, random.pick(WORDS)),
        7 => drop(out.splice(part, random.pick(WORDS).iter().copied())),
        8 => replace_number(out, at, random),
        _ => nest(out, at, random),
    }
}

/// A part of something, more often short than long.
fn part(len: usize, random: &mut Random) -> Range<usize> {
    let start = random.below(len + 1);
    let longest = [4, 32, len][random.below(3)];
    let count = random.below(longest + 1).min(len - start);
    start..start + count
}

fn insert(out: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    out.splice(at..at, bytes.iter().copied());
}

fn flip(out: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = out.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// Writes an integer of some width over what is there, in either order of bytes.
fn overwrite_integer(out: &mut [u8], at: usize, random: &mut Random) {
    let value = [
        0,
        1,
        u64::MAX,
        i64::MAX as u64,
        1 << 31,
        1 << 32,
        random.next(),
    ];
    let value = value[random.below(value.len())];
    let bytes = [value.to_le_bytes(), value.to_be_bytes()][random.below(2)];
    let width = 1 << random.below(4);
    for (place, byte) in out.iter_mut().skip(at).zip(bytes.iter().take(width)) {
        *place = *byte;
    }
}

/// Replaces digits by others, such as those of a length or a size.
fn replace_number(out: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(start) = out[at..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let start = at + start;
    let count = out[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let numbers = [
        "0",
        "-1",
        "77777777777",
        "9223372036854775808",
        "1e999",
        "00",
        "4294967296",
    ];
    let number = random.pick(&numbers);
    out.splice(start..start + count, number.bytes());
}

/// Puts what comes next many levels down.
fn nest(out: &mut Vec<u8>, at: usize, random: &mut Random) {
    let opening: [&[u8]; 6] = [b"[", b"{\"a\":", b"- ", b"{a: ", b"${A:-", b"\x30\x80"];
    let depth = [3, 100, 130, 5000][random.below(4)];
    insert(out, at, &random.pick(&opening).repeat(depth));
}
