//! Path patterns as `path.Match` of Go has them.
//!
//! `*` stands for any text without a slash, `?` for one character but a slash, `[a-z]` and
//! `[^a-z]` for one of a class, and a backslash makes the next character plain.

/// Tells whether a path matches a pattern as a whole. A malformed pattern matches nothing.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let Some(tokens) = tokens(pattern) else {
        return false;
    };
    let path: Vec<char> = path.chars().collect();
    let (mut token, mut at) = (0, 0);
    // Where to go on when the last star has to swallow one more character.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (tokens.get(token), path.get(at)) {
            (None, None) => return true,
            (Some(Token::Star), _) => {
                retry = Some((token, at));
                token += 1;
                continue;
            }
            (Some(wanted), Some(c)) if wanted.accepts(*c) => {
                token += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        match retry {
            Some((star, from)) if path.get(from).is_some_and(|c| *c != '/') => {
                retry = Some((star, from + 1));
                token = star + 1;
                at = from + 1;
            }
            _ => return false,
        }
    }
}

/// How much a pattern says: its segments, and in them its plain characters.
pub(super) fn weight(pattern: &str) -> (usize, usize) {
    let plain = tokens(pattern).map_or(0, |tokens| {
        let plain = |token: &&Token| matches!(token, Token::Plain(_));
        tokens.iter().filter(plain).count()
    });
    (pattern.split('/').count(), plain)
}

enum Token {
    Plain(char),
    Any,
    Star,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Plain(plain) => *plain == c,
            Self::Any => c != '/',
            Self::Star => false,
            Self::Class { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                inside != *negated
            }
        }
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut rest = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Plain(rest.next()?),
            '[' => class(&mut rest)?,
            c => Token::Plain(c),
        });
    }
    Some(tokens)
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
        let low = class_char(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => class_char(rest)?,
            None => low,
        };
        ranges.push((low, high));
    }
    Some(Token::Class { negated, ranges })
}

fn class_char(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '\\' => rest.next(),
        '-' | ']' => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, expected: bool) {
        assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
    }

    // The cases are those of the tests of Go's `path.Match`.
    #[test]
    fn patterns_match_as_in_go() {
        check("abc", "abc", true);
        check("*", "abc", true);
        check("*c", "abc", true);
        check("a*", "a", true);
        check("a*", "ab/c", false);
        check("a*/b", "abc/b", true);
        check("a*/b", "a/c/b", false);
        check("a*b*c*d*e*/f", "axbxcxdxe/f", true);
        check("a*b*c*d*e*/f", "axbxcxdxexxx/f", true);
        check("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false);
        check("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false);
        check("a*b?c*x", "abxbbxdbxebxczzx", true);
        check("a*b?c*x", "abxbbxdbxebxczzy", false);
        check("ab[c]", "abc", true);
        check("ab[b-d]", "abc", true);
        check("ab[e-g]", "abc", false);
        check("ab[^e-g]", "abc", true);
        check("a\\*b", "a*b", true);
        check("a\\*b", "ab", false);
        check("a?b", "a☺b", true);
        check("a[^a][^a][^a]b", "a☺b", false);
        check("a?b", "a/b", false);
        check("a*b", "a/b", false);
        check("[\\]a]", "]", true);
        check("*x", "xxx", true);
    }

    #[test]
    fn a_malformed_pattern_matches_nothing() {
        for pattern in ["[", "[]a]", "[-]", "[x-]", "[^", "[^bc", "a[", "\\"] {
            check(pattern, "a", false);
            check(pattern, "", false);
        }
    }

    #[test]
    fn many_stars_are_no_trouble() {
        let pattern = "*a".repeat(2000);
        check(&pattern, &"b".repeat(10_000), false);
    }

    #[test]
    fn plain_characters_weigh_more_than_wildcards() {
        assert!(weight("team/app") > weight("team/*"));
        assert!(weight("team/*") > weight("*/*"));
        assert!(weight("a/*") > weight("longer"));
    }
}
