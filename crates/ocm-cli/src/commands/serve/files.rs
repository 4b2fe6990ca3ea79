//! How many files a server may have open, of which each connection is one.

/// Raises the limit as far as this process may, and returns it; `None` if there is none.
#[cfg(unix)]
pub(super) fn allow_many() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    };
    allowed.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Returns that there is no limit that would have to be raised.
#[cfg(not(unix))]
pub(super) const fn allow_many() -> Option<usize> {
    None
}
