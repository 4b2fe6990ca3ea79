//! Where a git repository is.

use std::fmt;
use std::path::{Path, PathBuf};

use gix::url::Scheme;
use ocm_oci::Error;

use crate::http::without_query;

/// Where a git repository is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Address {
    /// On a web server.
    Http(gix::Url),
    /// On an SSH server, as `ssh://…`.
    Ssh(gix::Url, String),
    /// At a daemon of git, in the clear and without credentials.
    Daemon(gix::Url),
    /// In a directory of this machine.
    Local(PathBuf),
}

impl Address {
    /// Reads what `git clone` takes: a URL, `host:path`, or a path.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let what = || format!("address `{}` of a git repository", without_query(text));
        let url = gix::url::parse(text.as_bytes())
            .map_err(|error| Error::malformed(what(), error.to_string()))?;
        if url.scheme != Scheme::File && url.host().is_none_or(str::is_empty) {
            return Err(Error::malformed(what(), "it has no host"));
        }
        match url.scheme {
            Scheme::Https | Scheme::Http => Ok(Self::Http(url)),
            Scheme::Ssh => {
                let user = url.user().map(|user| format!("{user}@"));
                let text = shown(&url, &user.unwrap_or_default());
                Ok(Self::Ssh(url, text))
            }
            Scheme::Git => Ok(Self::Daemon(url)),
            Scheme::File => {
                let path = gix::path::from_bstr(url.path.as_ref() as &gix::bstr::BStr);
                let path = path.map_err(|error| Error::malformed(what(), error.to_string()))?;
                Ok(Self::Local(path.into_owned()))
            }
            _ => {
                let reason = "its scheme is none of https, http, ssh, git and file";
                Err(Error::malformed(what(), reason))
            }
        }
    }

    /// Returns the address of an SSH server, if it is one.
    pub(super) fn ssh(&self) -> Option<&str> {
        match self {
            Self::Ssh(_, text) => Some(text),
            _ => None,
        }
    }

    /// Returns the directory, if it is one of this machine.
    pub(super) fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            _ => None,
        }
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match self {
            Self::Local(path) => return write!(f, "{}", path.display()),
            Self::Http(url) | Self::Ssh(url, _) | Self::Daemon(url) => url,
        };
        f.write_str(&shown(url, ""))
    }
}

/// Returns a URL with the given user, and without password and query.
fn shown(url: &gix::Url, user: &str) -> String {
    let host = url.host().unwrap_or_default();
    let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path.to_string();
    let path = without_query(&path);
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{}://{user}{host}{port}{slash}{path}", url.scheme.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_git_takes_is_an_address() {
        for (text, expected) in [
            ("https://acme.org/notes.git", "https://acme.org/notes.git"),
            (
                "http://ann:pw@acme.org:8080/notes",
                "http://acme.org:8080/notes",
            ),
            ("ssh://git@acme.org:2222/notes", "ssh://acme.org:2222/notes"),
            ("git@acme.org:ann/notes.git", "ssh://acme.org/ann/notes.git"),
            ("git://acme.org/notes", "git://acme.org/notes"),
            ("file:///srv/notes.git", "/srv/notes.git"),
            ("./notes", "./notes"),
        ] {
            assert_eq!(
                Address::parse(text).unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        let ssh = Address::parse("git@acme.org:ann/notes.git").unwrap();
        assert_eq!(ssh.ssh(), Some("ssh://git@acme.org/ann/notes.git"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "https://", "ftp://acme.org/x", "s3://acme/x"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
