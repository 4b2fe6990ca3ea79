//! Finding the addresses of hosts, as the system does.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// Asks the system, and says which host it does not know.
#[derive(Debug)]
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Whoever connects knows the port.
            match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(found) => {
                    let found: Vec<SocketAddr> = found.collect();
                    Ok(Box::new(found.into_iter()) as Addrs)
                }
                Err(source) => Err(Unresolved {
                    host: name.as_str().to_owned(),
                    source,
                }
                .into()),
            }
        })
    }
}

/// The address of a host was not found.
#[derive(Debug, Error)]
#[error("cannot find the address of {host}")]
pub(crate) struct Unresolved {
    host: String,
    source: io::Error,
}

impl Unresolved {
    /// Returns whether another attempt may find it: nobody could be asked, rather than that the
    /// name is not known. The standard library tells the two apart by text alone.
    pub(crate) fn may_pass(&self) -> bool {
        let text = self.source.to_string();
        text.contains("emporary failure") || text.contains("try again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> Unresolved {
        Unresolved {
            host: "acme.invalid".to_owned(),
            source: io::Error::other(text.to_owned()),
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_not_asked_for_again() {
        let unknown = "failed to lookup address information: Name or service not known";
        assert!(!failed(unknown).may_pass());
        let unreachable =
            "failed to lookup address information: Temporary failure in name resolution";
        assert!(failed(unreachable).may_pass());
    }
}
