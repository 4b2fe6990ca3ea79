//! The order of the versions of an object.

/// Tells whether a version is later than another one. The API server's are numbers.
pub(crate) fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => version != than,
    }
}
