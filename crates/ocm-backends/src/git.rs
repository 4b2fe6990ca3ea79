//! Access and input `git`: the files of a commit.
//!
//! They become a compressed tar: paths relative to the root of the work tree, sorted by name,
//! without times and owners, so that a commit always gives the same bytes. Symbolic links stay
//! links, submodules are empty directories, and filters such as LFS or line endings do not apply.
//!
//! Repositories are read by gitoxide; the `git` program is not needed. HTTP requests go through the
//! client of this crate, with its certificates, proxies and credentials. For `ssh` addresses the
//! `ssh` program is run.

mod access;
mod address;
mod fetch;
mod input;
mod transport;
mod tree;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use ocm_blob::BlobRef;
use ocm_oci::Error;
use tokio::runtime::Handle;

pub use self::access::GitAccess;
use self::address::Address;
use self::fetch::{Fetch, Wanted};
pub use self::input::GitInput;
use self::tree::GitTree;
use crate::http::HttpSource;

/// Finds the keys by which SSH servers are reached.
#[async_trait]
pub trait SshKeys: fmt::Debug + Send + Sync {
    /// Returns the key for an address such as `ssh://git@acme.org/notes.git`, if there is one.
    ///
    /// # Errors
    ///
    /// The key is configured, but cannot be had.
    async fn key(
        &self,
        address: &str,
    ) -> Result<Option<SshKey>, Box<dyn std::error::Error + Send + Sync>>;
}

/// A key for an SSH server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshKey {
    /// The user, where the address names none.
    pub username: Option<String>,
    /// The file with the private key.
    pub file: PathBuf,
}

/// Git repositories.
#[derive(Clone, Debug)]
pub struct GitSource {
    http: HttpSource,
    keys: Arc<dyn SshKeys>,
    ssh_command: Option<String>,
}

impl GitSource {
    /// Makes HTTP requests by the given client, and finds keys for SSH.
    pub fn new(http: HttpSource, keys: Arc<dyn SshKeys>) -> Self {
        Self {
            http,
            keys,
            ssh_command: None,
        }
    }

    /// Runs another command in place of `ssh`, as `GIT_SSH_COMMAND` does.
    #[must_use]
    pub fn with_ssh_command(mut self, command: Option<String>) -> Self {
        self.ssh_command = command;
        self
    }

    /// Fetches a commit, and returns its files as a compressed tar.
    async fn tree(&self, address: &Address, wanted: &Wanted) -> Result<BlobRef, Error> {
        let checkout = self.run(address, wanted, Fetch::checkout).await?;
        Ok(Arc::new(GitTree::new(checkout)))
    }

    /// Returns the commit that a branch or tag is at, in hexadecimal digits.
    async fn resolve(&self, address: &Address, wanted: &Wanted) -> Result<String, Error> {
        self.run(address, wanted, Fetch::resolve).await
    }

    /// Does work that blocks on a thread of its own. It stops soon after nobody waits for it.
    async fn run<T: Send + 'static>(
        &self,
        address: &Address,
        wanted: &Wanted,
        work: impl FnOnce(&Fetch) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stop = StopOnDrop::default();
        let key = match address.ssh() {
            None => None,
            Some(url) => {
                let found = self.keys.key(url).await;
                found.map_err(|source| Error::Remote {
                    what: address.to_string(),
                    reason: "its credentials cannot be obtained".to_owned(),
                    status: None,
                    transient: false,
                    source: Some(source),
                })?
            }
        };
        let fetch = Fetch {
            address: address.clone(),
            wanted: wanted.clone(),
            http: self.http.clone(),
            runtime: Handle::current(),
            key,
            ssh_command: self.ssh_command.clone(),
            stop: Arc::clone(&stop.0),
        };
        let done = tokio::task::spawn_blocking(move || work(&fetch)).await;
        done.map_err(|error| Error::malformed(address.to_string(), error.to_string()))?
    }
}

/// Asks for the end of work, when its caller has gone.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
