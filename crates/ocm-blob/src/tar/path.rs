//! Paths of entries.

use super::PATH_LIMIT;

/// Returns a path as it is safe to use: relative, without `.` and `..`, parts separated by single
/// slashes. The archive's root is the empty path.
pub(super) fn sanitise(bytes: &[u8]) -> Result<String, String> {
    let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
    let refuse = |reason: &str| Err(format!("entry `{}` {reason}", shown().escape_debug()));
    if bytes.len() > PATH_LIMIT {
        return refuse("has a path that is too long");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return refuse("has a path that is no UTF-8");
    };
    if text.contains(|c: char| c.is_control()) {
        return refuse("has a path with control characters");
    }
    if text.starts_with('/') {
        return refuse("has an absolute path");
    }
    let mut path = String::with_capacity(text.len());
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse("has a path that leaves the archive"),
            part => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(part);
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_what_means_nothing() {
        for (text, path) in [
            ("a/b", "a/b"),
            ("./a", "a"),
            ("././a//b/./c/", "a/b/c"),
            ("./", ""),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(sanitise(text.as_bytes()).as_deref(), Ok(path));
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for text in [
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "/",
            "/etc/passwd",
            "a\0b",
            "a\nb",
        ] {
            assert!(sanitise(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(sanitise(b"\xff").is_err());
        assert!(sanitise(&[b'a'; 5000]).is_err());
    }
}
