//! What a location without a type means.

use super::Kind;
use super::oci::split_scheme;

/// Suffixes of archives, in lower case.
const ARCHIVES: [&str; 4] = [".tar.gz", ".tgz", ".tar", ".ctf"];

/// Decides between registry and archive, by the first rule that applies.
pub(super) fn guess(location: &str, exists: &dyn Fn(&str) -> bool) -> Kind {
    let archive = Kind::Ctf(None);
    if is_windows_path(location) || location.starts_with("file:") {
        return archive;
    }
    if split_scheme(location).0.is_some() {
        return Kind::Oci;
    }
    if location.starts_with('/') || location.starts_with("./") || leaves_directory(location) {
        return archive;
    }
    if exists(location) {
        return archive;
    }
    if location.contains(':') || location == "localhost" {
        return Kind::Oci;
    }
    let lower = location.trim_end_matches('/').to_ascii_lowercase();
    if ARCHIVES.iter().any(|suffix| lower.ends_with(suffix)) {
        return archive;
    }
    if location.contains('.') && location.chars().any(char::is_alphabetic) {
        return Kind::Oci;
    }
    archive
}

/// Whether a text starts with a drive, as in `C:\archive`.
pub(crate) fn is_windows_path(text: &str) -> bool {
    matches!(text.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

/// Whether a relative path, with `.` and `..` resolved, starts with `..`.
fn leaves_directory(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}
