//! What the API server answered instead of what was asked for.

use std::error::Error;
use std::fmt;

/// An error of the API server, or of the way to it.
#[derive(Debug)]
pub struct ApiError(Box<kube::Error>);

/// What the database says of objects that are larger than it takes, which the API server hands on as
/// a fault of its own.
const TOO_LARGE: [&str; 2] = [
    "etcdserver: request is too large",
    "trying to send message larger than max",
];

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

    /// Tells whether what was sent is larger than the API server takes, or its database.
    pub fn is_too_large(&self) -> bool {
        let kube::Error::Api(status) = &*self.0 else {
            return false;
        };
        status.code == 413 || TOO_LARGE.iter().any(|it| status.message.contains(it))
    }

    /// Tells whether the same request may succeed later, without anything else being changed.
    pub fn is_transient(&self) -> bool {
        match self.code() {
            Some(code) => code == 429 || code >= 500 && !self.is_too_large(),
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
            kube::Error::Api(status) if self.is_too_large() => {
                write!(
                    f,
                    "it is larger than the API server takes: {}",
                    status.message
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

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn error(code: u16, message: &str) -> ApiError {
        let status = Status {
            code,
            ..Status::failure(message, "Reason")
        };
        kube::Error::Api(Box::new(status)).into()
    }

    #[test]
    fn what_is_too_large_stays_so_whatever_the_code_is() {
        let large = error(500, "etcdserver: request is too large");
        assert!(large.is_too_large() && !large.is_transient());
        assert_eq!(
            large.to_string(),
            "it is larger than the API server takes: etcdserver: request is too large"
        );
        assert!(error(413, "limit is 3145728").is_too_large());
        let other = error(500, "etcdserver: leader changed");
        assert!(other.is_transient() && !other.is_too_large());
        assert_eq!(other.to_string(), "etcdserver: leader changed");
    }
}
