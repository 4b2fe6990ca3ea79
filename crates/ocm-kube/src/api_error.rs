//! What the API server answered instead of what was asked for.

use std::error::Error;
use std::fmt;

/// An error of the API server, or of the way to it.
#[derive(Debug)]
pub struct ApiError(Box<kube::Error>);

impl ApiError {
    /// Returns the status of the answer, if there was one.
    pub const fn code(&self) -> Option<u16> {
        match &*self.0 {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// Tells whether there is no such object, or no such kind.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Tells whether the object has been changed by somebody else, or is another one.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Tells whether permission is missing.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.code(), Some(401 | 403))
    }

    /// Tells whether the same request may succeed later, without anything else being changed.
    pub fn is_transient(&self) -> bool {
        match self.code() {
            Some(code) => code == 429 || code >= 500,
            None => !matches!(*self.0, kube::Error::SerdeError(_)),
        }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            kube::Error::Api(status) if status.message.is_empty() => {
                write!(
                    f,
                    "the API server answered {} {}",
                    status.code, status.reason
                )
            }
            kube::Error::Api(status) => f.write_str(&status.message),
            kube::Error::SerdeError(_) => f.write_str("the API server's answer is malformed"),
            kube::Error::BuildRequest(_) => f.write_str("the request cannot be made"),
            _ => f.write_str("cannot reach the API server"),
        }
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.0 {
            kube::Error::Api(_) => None,
            // Its text is that of its own source, with a word before.
            error => error.source(),
        }
    }
}
