//! Durations as Go writes them: `1h2m3.5s`, `300ms`, or whole nanoseconds.

use std::time::Duration;

use serde_json::Value;

/// Reads a duration from a text or from a number of nanoseconds; negative ones are refused.
pub(crate) fn from_value(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .map(Duration::from_nanos)
            .ok_or_else(|| format!("{number} is not a positive number of nanoseconds")),
        Value::String(text) => parse(text),
        _ => Err("expected a duration such as 30s".to_owned()),
    }
}

/// Reads a duration as Go writes it, such as `1h30m`, that is not negative.
///
/// # Errors
///
/// Says what is wrong with the text, which it names.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration such as 30s or 1m30s");
    if text.starts_with('-') {
        return Err(format!("the duration `{text}` is negative"));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = part(rest).ok_or_else(bad)?;
        nanos = nanos.checked_add(part).ok_or_else(bad)?;
        rest = after;
    }
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| format!("the duration `{text}` is too long"))
}

/// Reads one number with its unit, and returns it in nanoseconds with what follows.
fn part(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let mut nanos = number(whole)?.checked_mul(unit)?;
    // More digits than a nanosecond of an hour has say nothing.
    let fraction = &fraction[..fraction.len().min(15)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    nanos = nanos.checked_add(number(fraction)? * unit / scale)?;
    Some((nanos, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn number(digits: &str) -> Option<u128> {
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, nanos: Option<u64>) {
        assert_eq!(parse(text).ok(), nanos.map(Duration::from_nanos), "{text}");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        check("0", Some(0));
        check("300ms", Some(300_000_000));
        check("1m30s", Some(90_000_000_000));
        check("1.5h", Some(5_400_000_000_000));
        check(".5s", Some(500_000_000));
        check("2µs", Some(2_000));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "s", "-1s", "1x", "1s2", "99999999999999h", "1..s"] {
            check(text, None);
        }
        check(&"9".repeat(60), None);
    }

    #[test]
    fn a_number_counts_nanoseconds() {
        assert_eq!(from_value(&Value::from(5)), Ok(Duration::from_nanos(5)));
        assert!(from_value(&Value::from(-5)).is_err());
        assert!(from_value(&Value::Bool(true)).is_err());
    }
}
