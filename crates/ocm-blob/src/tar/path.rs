//! Paths of entries.

use super::PATH_LIMIT;

/// Returns a path as it is safe to use: relative, without `.` and `..`, parts separated by single
/// slashes. The archive's root is the empty path.
pub(super) fn sanitise(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > PATH_LIMIT {
        return Err(refused(&bytes, "has a path that is too long"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| refused(error.as_bytes(), "has a path that is no UTF-8"))?;
    let refuse = |reason| Err(refused(text.as_bytes(), reason));
    // Nearly all are ASCII, of which many bytes are looked at together as nothing ends the loop.
    let has_control = if text.is_ascii() {
        let controls = text.bytes().map(|byte| byte.is_ascii_control());
        controls.fold(false, |some, is_control| some | is_control)
    } else {
        text.contains(char::is_control)
    };
    if has_control {
        return refuse("has a path with control characters");
    }
    if text.starts_with('/') {
        return refuse("has an absolute path");
    }
    let mut parts = text.as_bytes().split(|&byte| byte == b'/');
    if parts.all(|part| !matches!(part, b"" | b"." | b"..")) {
        return Ok(text);
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

fn refused(path: &[u8], reason: &str) -> String {
    let shown = String::from_utf8_lossy(&path[..path.len().min(100)]);
    format!("entry `{}` {reason}", shown.escape_debug())
}

/// Returns where a symbolic link at a path leads, if that is below the root of the archive whatever
/// other such links there are. So it may go up at its start only, where it passes directories
/// alone, and not farther than to the root.
pub(super) fn link_target(bytes: &[u8], path: &str) -> Result<String, String> {
    let refuse = |reason: &str| Err(format!("entry `{path}` is a symbolic link that {reason}"));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return refuse("leads to what is no UTF-8");
    };
    if text.is_empty() || text.len() > PATH_LIMIT || text.contains(|c: char| c.is_control()) {
        return refuse("leads to what is no path");
    }
    if text.starts_with('/') {
        return refuse("leads to an absolute path");
    }
    let mut parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut up = 0;
    let below = parts.by_ref().find(|part| {
        let leads_up = *part == "..";
        up += usize::from(leads_up);
        !leads_up
    });
    let depth = path.matches('/').count();
    if up > depth {
        return refuse("leads out of the archive");
    }
    if below.is_some() && parts.any(|part| part == "..") {
        return refuse("goes up after it has gone down");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_in_the_archive() {
        for (path, target) in [
            ("a", "b"),
            ("a", "./b/c"),
            ("a/b", "../c"),
            ("a/b/c", "../../d"),
            ("a/b", ".."),
            ("a", "."),
        ] {
            assert_eq!(link_target(target.as_bytes(), path).as_deref(), Ok(target));
        }
    }

    #[test]
    fn a_link_that_may_lead_out_is_refused() {
        for (path, target) in [
            ("a", ".."),
            ("a", "../b"),
            ("a/b", "../../c"),
            ("a/b", "./.././../c"),
            ("a", "b/../c"),
            ("a/b", "../c/../../d"),
            ("a", "/etc/passwd"),
            ("a", ""),
            ("a", "b\nc"),
        ] {
            assert!(link_target(target.as_bytes(), path).is_err(), "{target:?}");
        }
        assert!(link_target(b"\xff", "a").is_err());
        assert!(link_target(&[b'a'; 5000], "a").is_err());
    }

    #[test]
    fn paths_lose_what_means_nothing() {
        for (text, path) in [
            ("a/b", "a/b"),
            ("./a", "a"),
            ("././a//b/./c/", "a/b/c"),
            ("./", ""),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(sanitise(text.into()).as_deref(), Ok(path));
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
            "\u{e4}\nb",
            "\u{e4}\u{85}b",
        ] {
            assert!(sanitise(text.into()).is_err(), "{text:?}");
        }
        assert!(sanitise(vec![0xff]).is_err());
        assert!(sanitise(vec![b'a'; 5000]).is_err());
    }
}
