//! Output without what differs from run to run.

/// Replaces digests, signatures and durations by their names. Whatever else differs is replaced by
/// those who know it.
pub(crate) fn filtered(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        result.push_str(name_of(word).unwrap_or(word));
        let separator = after.chars().next().map_or(0, char::len_utf8);
        result.push_str(&after[..separator]);
        rest = &after[separator..];
    }
    result.lines().map(without_seconds).collect()
}

/// Returns what a run of hexadecimal digits is, by its length.
fn name_of(word: &str) -> Option<&'static str> {
    if !word
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return None;
    }
    match word.len() {
        12 => Some("<short-hash>"),
        64 | 128 => Some("<digest>"),
        length if length > 128 => Some("<signature>"),
        _ => None,
    }
}

/// Replaces the number in `in 1.2 s` at the end of a line.
fn without_seconds(line: &str) -> String {
    let seconds = line.strip_suffix(" s").and_then(|head| {
        let (head, number) = head.rsplit_once(" in ")?;
        number.parse::<f64>().is_ok().then_some(head)
    });
    match seconds {
        Some(head) => format!("{head} in <n> s\n"),
        None => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(filtered(text), format!("{expected}\n"));
    }

    #[test]
    fn what_differs_is_named() {
        check(
            &format!("sha256:{}, 12", "ab".repeat(32)),
            "sha256:<digest>, 12",
        );
        check("moved in 1.2 s", "moved in <n> s");
        check("made in a hurry, it is", "made in a hurry, it is");
        check("0123456789ab\u{e9}", "<short-hash>\u{e9}");
    }
}
