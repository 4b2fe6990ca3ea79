//! Patterns of file names, as Go's `filepath.Match` reads them.
//!
//! `*` is any number of characters but `/`, `?` is one of them, `[a-z]` and `[^a-z]` are classes,
//! `\` takes the next character as it is. A pattern matches the whole name. There is no `**`.

/// A pattern that has been checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Reads a pattern; `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let mut parts = Vec::new();
        while let Some(next) = chars.next() {
            parts.push(match next {
                // Two stars match what one does.
                '*' if parts.last() == Some(&Part::Many) => continue,
                '*' => Part::Many,
                '?' => Part::One,
                '\\' => Part::Char(chars.next()?),
                '[' => class(&mut chars)?,
                other => Part::Char(other),
            });
        }
        Some(Self(parts))
    }

    /// Tells whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where to go on after a mismatch: the last star takes one character more.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let step = match self.0.get(part) {
                None if at == name.len() => return true,
                None => false,
                Some(Part::Many) => {
                    retry = Some((part + 1, at));
                    part += 1;
                    continue;
                }
                Some(one) => name.get(at).is_some_and(|&next| one.takes(next)),
            };
            if step {
                part += 1;
                at += 1;
                continue;
            }
            match retry {
                Some((after, taken)) if name.get(taken).is_some_and(|&next| next != '/') => {
                    retry = Some((after, taken + 1));
                    (part, at) = (after, taken + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Part {
    fn takes(&self, next: char) -> bool {
        match self {
            Self::Char(expected) => *expected == next,
            Self::One => next != '/',
            Self::Many => false,
            Self::Class { negated, ranges } => {
                let inside = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&next));
                inside != *negated
            }
        }
    }
}

fn class(chars: &mut std::str::Chars<'_>) -> Option<Part> {
    let mut rest = chars.clone();
    let negated = rest.next() == Some('^');
    if negated {
        chars.next();
    }
    let mut ranges = Vec::new();
    loop {
        let mut next = chars.next()?;
        if next == ']' && !ranges.is_empty() {
            return Some(Part::Class { negated, ranges });
        }
        let low = class_char(next, chars)?;
        let mut high = low;
        let mut rest = chars.clone();
        if rest.next() == Some('-') {
            *chars = rest;
            next = chars.next()?;
            high = class_char(next, chars)?;
        }
        ranges.push((low, high));
    }
}

fn class_char(next: char, chars: &mut std::str::Chars<'_>) -> Option<char> {
    match next {
        '-' | ']' => None,
        '\\' => chars.next(),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a\u{263a}b", true),
            ("a[^a]b", "a\u{263a}b", true),
            ("a???b", "a\u{263a}b", false),
            ("[a-\u{3b6}]*", "\u{3b1}", true),
            ("*[a-\u{3b6}]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("**", "a/b", false),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn malformed_patterns_are_told_apart() {
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "a[", "[^bc", "[a-",
        ] {
            assert_eq!(Pattern::parse(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = Pattern::parse(&"a*".repeat(100)).unwrap();
        assert!(!pattern.matches(&format!("{}b/", "a".repeat(10_000))));
    }
}
