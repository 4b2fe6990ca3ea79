//! What can be wrong between the two ends of a connection, and whether it may pass.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use crate::client::resolve::Unresolved;
use crate::error::Error;

/// Says that the other side was silent for too long.
pub fn silence(what: &str, patience: Duration) -> Error {
    Error::Remote {
        what: what.to_owned(),
        reason: format!("no progress for {} s", patience.as_secs()),
        status: None,
        transient: true,
        source: None,
    }
}

/// Says that a connection could not be made, or broke.
pub fn connection_error(what: &str, error: reqwest::Error) -> Error {
    let reason = if error.is_connect() {
        "cannot connect"
    } else if error.is_redirect() {
        "cannot follow the redirect"
    } else {
        "the connection failed"
    };
    transport_error(what.to_owned(), reason, error)
}

pub(crate) fn transport_error(what: String, reason: &str, error: reqwest::Error) -> Error {
    // The URL may carry a signature of the storage behind the registry.
    let error = error.without_url();
    let is_permanent = chain(&error).any(|cause| {
        // A certificate that is not trusted now is not trusted later.
        cause.is::<rustls::Error>()
            || (cause.downcast_ref::<Unresolved>()).is_some_and(|unknown| !unknown.may_pass())
    });
    Error::Remote {
        what,
        reason: reason.to_owned(),
        status: None,
        transient: !(error.is_builder() || error.is_redirect() || is_permanent),
        source: Some(if error.is_connect() {
            Box::new(NotConnected(error))
        } else {
            Box::new(error)
        }),
    }
}

/// Why there is no connection. The layers of the client between here and there would say the same
/// in four more lines.
#[derive(Debug)]
struct NotConnected(reqwest::Error);

impl NotConnected {
    fn cause(&self) -> &(dyn StdError + 'static) {
        let telling = chain(&self.0).find(|cause| cause.is::<Unresolved>());
        telling.or_else(|| chain(&self.0).last()).unwrap_or(&self.0)
    }
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause(), f)
    }
}

impl StdError for NotConnected {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause().source()
    }
}

/// Returns an error and all that it comes from. An I/O error skips the error that it wraps when
/// asked for its source; here it is not skipped.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause_of(*error))
}

fn cause_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
        Some(Some(inner)) => Some(inner),
        _ => error.source(),
    }
}
