//! How texts are written: what is in them, and what they would be taken for.

use super::is_break;

/// A way to write a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// What matters about a text.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a way in which a text may be written"
)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) multiline: bool,
    plain_allowed: bool,
    single_allowed: bool,
    literal_allowed: bool,
}

impl Facts {
    pub(super) fn of(text: &str) -> Self {
        let Some(first) = text.chars().next() else {
            return Self {
                multiline: false,
                plain_allowed: true,
                single_allowed: true,
                literal_allowed: false,
            };
        };
        let is_edge = |character: char| character == ' ' || is_break(character);
        let mut facts = Self {
            multiline: false,
            plain_allowed: !text.starts_with("---")
                && !text.starts_with("...")
                && !text.starts_with(is_edge)
                && !text.ends_with(is_edge)
                && !"#,[]{}&*!|>'\"%@`".contains(first),
            single_allowed: true,
            literal_allowed: !text.ends_with(' '),
        };
        let mut previous = None;
        for (index, character) in text.char_indices() {
            let rest = &text[index + character.len_utf8()..];
            let is_indicator = match character {
                '?' | '-' if index == 0 => is_end_or_blank(rest),
                ':' => is_end_or_blank(rest),
                '#' if index > 0 => {
                    previous.is_some_and(|before| is_blank(before) || is_break_or_end(before))
                }
                _ => false,
            };
            facts.plain_allowed &= !is_indicator;
            if !is_printable(character) {
                facts.forbid_all();
            }
            if is_break(character) {
                facts.multiline = true;
                facts.plain_allowed = false;
                if previous == Some(' ') {
                    facts.forbid_all();
                }
            }
            if character == ' ' && previous.is_some_and(is_break) {
                facts.plain_allowed = false;
                facts.single_allowed = false;
            }
            previous = Some(character);
        }
        facts
    }

    const fn forbid_all(&mut self) {
        self.plain_allowed = false;
        self.single_allowed = false;
        self.literal_allowed = false;
    }

    /// Chooses the way to write a text. `stays_text` if it would not be taken for something else.
    pub(super) fn style(self, text: &str, stays_text: bool, is_key: bool) -> Style {
        let mut style = if text.contains('\n') {
            Style::Literal
        } else if stays_text {
            Style::Plain
        } else {
            Style::Double
        };
        if is_key && self.multiline {
            style = Style::Double;
        }
        if style == Style::Plain && (!self.plain_allowed || text.is_empty() && is_key) {
            style = Style::Single;
        }
        if style == Style::Single && !self.single_allowed
            || style == Style::Literal && (!self.literal_allowed || is_key)
        {
            style = Style::Double;
        }
        style
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

fn is_break_or_end(character: char) -> bool {
    is_break(character) || character == '\0'
}

fn is_end_or_blank(rest: &str) -> bool {
    rest.chars().next().is_none_or(is_blank)
}

/// Whether a character is written as it is. Those beyond the first 65536 are not.
fn is_printable(character: char) -> bool {
    matches!(character, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && character != '\u{feff}'
}

/// Returns how a character is written in double quotes, if not as it is.
pub(super) fn escape(character: char) -> Option<String> {
    if is_printable(character) && !is_break(character) && !matches!(character, '"' | '\\') {
        return None;
    }
    let code = u32::from(character);
    Some(match character {
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        _ if code <= 0xff => format!("\\x{code:02X}"),
        _ if code <= 0xffff => format!("\\u{code:04X}"),
        _ => format!("\\U{code:08X}"),
    })
}

/// The words of YAML 1.1.
const WORDS: [&str; 39] = [
    "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO",
    "true", "True", "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF",
    ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
    "-.INF",
];

/// Whether a plain text would be taken for something else: a word, a number, a time.
pub(super) fn resolves(text: &str) -> bool {
    if WORDS.contains(&text) {
        return true;
    }
    match text.bytes().next() {
        Some(b'.') => is_float(text),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            let plain = text.replace('_', "");
            is_time(text) || is_integer(&plain) || is_float(&plain) || is_base_60(text)
        }
        _ => false,
    }
}

fn is_integer(text: &str) -> bool {
    let (sign, digits) = match text.as_bytes() {
        [b'+' | b'-', ..] => text.split_at(1),
        _ => ("", text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    let all_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    all_digits
        && match sign {
            "" => u64::from_str_radix(digits, radix).is_ok(),
            _ => i64::from_str_radix(&format!("{sign}{digits}"), radix).is_ok(),
        }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and not beyond the range.
fn is_float(text: &str) -> bool {
    let digits_of = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits_of(unsigned);
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits_of(fraction);
        if whole == 0 && count == 0 {
            return false;
        }
        rest = &fraction[count..];
    } else if whole == 0 {
        return false;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || digits_of(exponent) != exponent.len() {
            return false;
        }
    } else if !rest.is_empty() {
        return false;
    }
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`, a number of YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (unsigned, ""),
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let mut others = parts.peekable();
    first.starts_with(|first: char| first.is_ascii_digit())
        && first.bytes().all(is_digit)
        && fraction.bytes().all(is_digit)
        && others.peek().is_some()
        && others.all(|part| match part.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
            _ => false,
        })
}

/// `2006-1-2`, alone or with a time of day, and with a zone behind a `T`.
fn is_time(text: &str) -> bool {
    let number = |text: &str, range: std::ops::RangeInclusive<u32>| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        is_number && text.parse().is_ok_and(|number| range.contains(&number))
    };
    let Some((date, time)) = text.split_at_checked(4) else {
        return false;
    };
    let Some(rest) = time.strip_prefix('-') else {
        return false;
    };
    let end = rest.find(['T', 't', ' ']);
    let (month_and_day, time) = rest.split_at(end.unwrap_or(rest.len()));
    let Some((month, day)) = month_and_day.split_once('-') else {
        return false;
    };
    let is_date = date.bytes().all(|byte| byte.is_ascii_digit())
        && number(month, 1..=12)
        && number(day, 1..=days(date, month));
    let Some(separator) = time.chars().next() else {
        return is_date;
    };
    let zoned = &time[1..];
    let time = if separator == ' ' {
        Some(zoned)
    } else {
        without_zone(zoned)
    };
    let Some(time) = time.filter(|_| is_date) else {
        return false;
    };
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, Some(fraction)),
        None => (time, None),
    };
    let parts: Vec<&str> = time.split(':').collect();
    let is_fraction = fraction.is_none_or(|fraction| {
        !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
    });
    matches!(parts[..], [hour, minute, second]
        if number(hour, 0..=23) && number(minute, 0..=59) && number(second, 0..=59))
        && is_fraction
}

fn without_zone(time: &str) -> Option<&str> {
    if let Some(time) = time.strip_suffix('Z') {
        return Some(time);
    }
    let (time, zone) = time.split_at_checked(time.len().checked_sub(6)?)?;
    let two = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_zone = zone.starts_with(['+', '-'])
        && zone.get(1..3).is_some_and(two)
        && zone.get(3..4) == Some(":")
        && zone.get(4..6).is_some_and(two);
    is_zone.then_some(time)
}

fn days(year: &str, month: &str) -> u32 {
    let year: u32 = year.parse().unwrap_or_default();
    match month.parse() {
        Ok(4 | 6 | 9 | 11) => 30,
        Ok(2)
            if year.is_multiple_of(4)
                && (!year.is_multiple_of(100) || year.is_multiple_of(400)) =>
        {
            29
        }
        Ok(2) => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_would_be_something_else_are_told() {
        for text in [
            "",
            "~",
            "yes",
            "N",
            ".inf",
            "-.INF",
            "0",
            "-1",
            "0x1f",
            "010",
            "0b1",
            "1_000",
            "1.10",
            ".5",
            "1e3",
            "+1",
            "2026-01-31",
            "2026-1-2 3:4:5",
            "2026-01-31T12:00:00Z",
            "2026-01-31t1:2:3.5+01:00",
            "1:30",
            "18446744073709551615",
        ] {
            assert!(resolves(text), "{text}");
        }
        for text in [
            "x",
            "yess",
            "1.2.3",
            "08x",
            "0x",
            "1e",
            "-",
            ".",
            "..",
            "1e999",
            "2026-02-30",
            "2026-13-01",
            "2026-01-31T12:00:00",
            "1:60x",
            "v1",
            "nUll",
            "1:2:",
            "+",
            "-x",
        ] {
            assert!(!resolves(text), "{text}");
        }
    }
}
