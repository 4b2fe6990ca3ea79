//! Fetching commits.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use gix::ObjectId;
use gix::bstr::BStr;
use gix::error::Class;
use gix::progress::Discard;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::blocking_io::http::connect_http;
use gix::remote::fetch::refmap::Source;
use gix::remote::fetch::{RefMap, Shallow, Tags};
use gix::remote::{Connection, Direction, ref_map};
use gix::{Repository, ThreadSafeRepository};
use ocm_oci::Error;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::SshKey;
use super::address::Address;
use super::transport::{Failure, GitHttp};
use crate::http::HttpSource;

/// Which commit is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    reference: Option<String>,
    commit: Option<ObjectId>,
}

impl Wanted {
    /// Reads a branch or tag, and a commit in hexadecimal digits. What is empty is absent.
    pub(super) fn new(reference: Option<&str>, commit: Option<&str>) -> Result<Self, Error> {
        let reference = reference.filter(|text| !text.is_empty());
        if let Some(text) = reference {
            let full = if text == "HEAD" || text.starts_with("refs/") {
                text.to_owned()
            } else {
                format!("refs/heads/{text}")
            };
            gix::validate::reference::name(BStr::new(&full)).map_err(|error| {
                Error::malformed(format!("git reference `{text}`"), error.to_string())
            })?;
        }
        let commit = commit.filter(|text| !text.is_empty());
        let commit = commit.map(|text| {
            ObjectId::from_hex(text.as_bytes()).map_err(|_| {
                let reason = "it does not have 40 hexadecimal digits";
                Error::malformed(format!("git commit `{text}`"), reason)
            })
        });
        Ok(Self {
            reference: reference.map(str::to_owned),
            commit: commit.transpose()?,
        })
    }

    /// Returns whether a commit is named, so that it never is another one.
    pub(super) const fn is_commit(&self) -> bool {
        self.commit.is_some()
    }

    /// Returns what to ask for: a tag is preferred to a branch of its name, as git does.
    fn sources(&self) -> Vec<String> {
        match self.reference.as_deref() {
            None => vec!["HEAD".to_owned()],
            Some(name) if name == "HEAD" || name.starts_with("refs/") => vec![name.to_owned()],
            Some(name) => vec![format!("refs/tags/{name}"), format!("refs/heads/{name}")],
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.commit, &self.reference) {
            (Some(commit), _) => write!(f, "commit {commit}"),
            (None, Some(reference)) => write!(f, "`{reference}`"),
            (None, None) => f.write_str("the current commit"),
        }
    }
}

/// A commit with all its files, in a repository of this machine.
#[derive(Debug)]
pub(super) struct Checkout {
    path: PathBuf,
    pub(super) commit: ObjectId,
    /// How messages name it.
    pub(super) name: String,
    /// Goes with the last user.
    _directory: Option<TempDir>,
}

impl Checkout {
    /// Opens the repository for the thread that calls.
    pub(super) fn repository(&self) -> gix::Result<Repository> {
        gix::open_opts(&self.path, isolated(Vec::new()))
    }
}

/// What it takes to fetch.
pub(super) struct Fetch {
    pub(super) address: Address,
    pub(super) wanted: Wanted,
    pub(super) http: HttpSource,
    pub(super) runtime: Handle,
    pub(super) key: Option<SshKey>,
    pub(super) ssh_command: Option<String>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Fetch {
    /// Fetches the files of the commit.
    pub(super) fn checkout(&self) -> Result<Checkout, Error> {
        if let Address::Local(path) = &self.address {
            return self.open(path);
        }
        let directory = self.directory()?;
        let repository = self.create(directory.path())?;
        let commit = if let Some(commit) = self.wanted.commit {
            self.fetch_commit(&repository, commit)?;
            commit
        } else {
            let sources = self.wanted.sources();
            self.ask(&repository, &sources, &NEWEST)?;
            let mut kept = (0..sources.len()).map(kept_as);
            let found = kept.find_map(|name| peeled(&repository, &name));
            found.ok_or_else(|| self.missing())?
        };
        self.check(&repository, commit)?;
        Ok(Checkout {
            path: directory.path().to_owned(),
            commit,
            name: self.address.to_string(),
            _directory: Some(directory),
        })
    }

    /// Asks which commit the branch or tag is at.
    pub(super) fn resolve(&self) -> Result<String, Error> {
        if let Address::Local(path) = &self.address {
            return Ok(self.open(path)?.commit.to_string());
        }
        let directory = self.directory()?;
        let repository = self.create(directory.path())?;
        let commit = self.ask(&repository, &self.wanted.sources(), &Request::List)?;
        let commit = commit.ok_or_else(|| self.missing())?;
        Ok(commit.to_string())
    }

    fn open(&self, path: &Path) -> Result<Checkout, Error> {
        if !path.exists() {
            return Err(Error::not_found(self.address.to_string()));
        }
        let repository = gix::open_opts(path, isolated(Vec::new()));
        let repository = repository.map_err(|error| self.failed("cannot be opened", error))?;
        let commit = self.wanted.commit.or_else(|| {
            let sources = self.wanted.sources();
            let mut names = sources.iter().map(String::as_str);
            names.find_map(|name| peeled(&repository, name))
        });
        let commit = commit.ok_or_else(|| self.missing())?;
        self.check(&repository, commit)?;
        Ok(Checkout {
            path: path.to_owned(),
            commit,
            name: self.address.to_string(),
            _directory: None,
        })
    }

    fn directory(&self) -> Result<TempDir, Error> {
        tempfile::tempdir().map_err(|source| {
            let place = std::env::temp_dir();
            let source = ocm_blob::Error::file("create a directory in", &place, source);
            Error::blob("read", self.address.to_string(), source)
        })
    }

    fn create(&self, directory: &Path) -> Result<Repository, Error> {
        let mut overrides = Vec::new();
        if let Some(command) = self.ssh_command() {
            overrides.push(format!("core.sshCommand={command}"));
        }
        let repository = ThreadSafeRepository::init_opts(
            directory,
            gix::create::Kind::Bare,
            gix::create::Options::default(),
            isolated(overrides),
        );
        repository
            .map(Into::into)
            .map_err(|error| self.failed("cannot be copied", error))
    }

    /// Returns the command for SSH, if it is not simply `ssh`.
    fn ssh_command(&self) -> Option<String> {
        let command = self.ssh_command.as_deref();
        match &self.key {
            None => command.map(str::to_owned),
            Some(key) => {
                let file = key.file.display().to_string().replace('\'', r"'\''");
                let command = command.unwrap_or("ssh");
                Some(format!("{command} -i '{file}' -o IdentitiesOnly=yes"))
            }
        }
    }

    /// Fetches a commit by its name. Servers that do not allow that are asked for everything.
    fn fetch_commit(&self, repository: &Repository, commit: ObjectId) -> Result<(), Error> {
        match self.ask(repository, &[commit.to_string()], &NEWEST) {
            Ok(_) => return Ok(()),
            Err(error @ (Error::Unauthenticated { .. } | Error::Denied { .. })) => {
                return Err(error);
            }
            Err(error) => tracing::debug!(%commit, %error, "a commit cannot be fetched alone"),
        }
        let all = match self.wanted.reference {
            Some(_) => self.wanted.sources(),
            None => vec!["refs/heads/*".to_owned(), "refs/tags/*".to_owned()],
        };
        let everything = Request::Receive(Shallow::NoChange);
        self.ask(repository, &all, &everything).map(drop)
    }

    /// Asks for what stands under some names. Returns the commit of the first that is there, if it
    /// is known by then.
    fn ask(
        &self,
        repository: &Repository,
        sources: &[String],
        request: &Request,
    ) -> Result<Option<ObjectId>, Error> {
        let failure = Failure::default();
        let asked = self.ask_over(repository, sources, request, &failure);
        asked.map_err(|error| {
            let known = failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            known.unwrap_or_else(|| self.failed("cannot be fetched", error))
        })?
    }

    fn ask_over(
        &self,
        repository: &Repository,
        sources: &[String],
        request: &Request,
        failure: &Failure,
    ) -> gix::Result<Result<Option<ObjectId>, Error>> {
        let mut url = match &self.address {
            Address::Http(url) | Address::Ssh(url, _) | Address::Daemon(url) => url.clone(),
            Address::Local(_) => return Ok(Err(self.missing())),
        };
        let user = self.key.as_ref().and_then(|key| key.username.clone());
        if url.user().is_none() && user.is_some() {
            url.set_user(user);
        }
        let specs = sources.iter().enumerate().map(|(index, source)| {
            let wildcard = if source.ends_with('*') { "/*" } else { "" };
            format!("+{source}:{}{wildcard}", kept_as(index))
        });
        let specs: Vec<String> = specs.collect();
        let remote = repository
            .remote_at(url.clone())?
            .with_refspecs(specs.iter().map(String::as_str), Direction::Fetch)?
            .with_fetch_tags(Tags::None);
        if matches!(self.address, Address::Http(_)) {
            let http = GitHttp::new(self.http.clone(), self.runtime.clone(), Arc::clone(failure));
            let transport = connect_http(http, url, Protocol::V2, false);
            let connection = remote.to_connection_with_transport(transport);
            self.exchange(connection, sources, request)
        } else {
            self.exchange(remote.connect(Direction::Fetch)?, sources, request)
        }
    }

    fn exchange<T: Transport>(
        &self,
        connection: Connection<'_, '_, '_, T>,
        sources: &[String],
        request: &Request,
    ) -> gix::Result<Result<Option<ObjectId>, Error>> {
        // Requests have their credentials already, and nobody is to be asked for any.
        let prepared = connection
            .with_credentials(|_| Ok(None))
            .prepare_fetch(Discard, ref_map::Options::default())?;
        let listed = prepared.ref_map();
        if listed.mappings.is_empty() {
            return Ok(Err(self.missing()));
        }
        let commit = sources.iter().find_map(|name| commit_of(listed, name));
        if let Request::Receive(depth) = request {
            prepared
                .with_shallow(depth.clone())
                .receive(Discard, &self.stop)?;
        }
        Ok(Ok(commit))
    }

    /// Makes sure that a commit is there.
    fn check(&self, repository: &Repository, commit: ObjectId) -> Result<(), Error> {
        match repository.try_find_object(commit) {
            Ok(Some(object)) if object.kind == gix::object::Kind::Commit => Ok(()),
            Ok(Some(object)) => {
                let reason = format!("{commit} is a {}, not a commit", object.kind);
                Err(Error::malformed(self.address.to_string(), reason))
            }
            Ok(None) => Err(Error::not_found(format!(
                "commit {commit} of {}",
                self.address
            ))),
            Err(error) => Err(self.failed("cannot be read", error)),
        }
    }

    fn missing(&self) -> Error {
        Error::not_found(format!("{} of {}", self.wanted, self.address))
    }

    fn failed(&self, reason: &str, error: gix::Error) -> Error {
        let what = self.address.to_string();
        match error.dominant_class() {
            Some(Class::Unauthenticated) => Error::Unauthenticated { what },
            Some(Class::PermissionDenied) => Error::Denied { what },
            Some(Class::NotFound) => Error::not_found(what),
            _ => Error::Remote {
                what,
                reason: reason.to_owned(),
                status: None,
                transient: false,
                source: Some(Box::new(error)),
            },
        }
    }
}

/// What is asked of a server.
enum Request {
    /// Which names it has.
    List,
    /// Commits with all their files, and with so much of their history.
    Receive(Shallow),
}

/// A commit alone.
const NEWEST: Request = Request::Receive(Shallow::DepthAtRemote(NonZeroU32::MIN));

/// Returns the name under which the answer for a source is kept.
fn kept_as(index: usize) -> String {
    format!("refs/ocm/{index}")
}

/// Returns the commit that a server lists under a name.
fn commit_of(listed: &RefMap, name: &str) -> Option<ObjectId> {
    let named = listed
        .mappings
        .iter()
        .find(|mapping| match &mapping.remote {
            Source::Ref(found) => found.unpack().0 == name,
            Source::ObjectId(id) => {
                ObjectId::from_hex(name.as_bytes()).is_ok_and(|named| named == *id)
            }
        });
    named?.remote.peeled_id().map(ToOwned::to_owned)
}

/// Returns the commit that a branch or a tag of a repository of this machine is at.
fn peeled(repository: &Repository, name: &str) -> Option<ObjectId> {
    let mut found = repository.try_find_reference(name).ok()??;
    Some(found.peel_to_commit().ok()?.id)
}

/// Neither the user's configuration nor the environment has a say.
fn isolated(overrides: Vec<String>) -> gix::open::Options {
    gix::open::Options::isolated().config_overrides(overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_that_of_a_tag_or_a_branch() {
        let sources = |text| Wanted::new(Some(text), None).unwrap().sources();
        assert_eq!(sources("v1"), ["refs/tags/v1", "refs/heads/v1"]);
        assert_eq!(sources("refs/heads/main"), ["refs/heads/main"]);
        assert_eq!(sources("HEAD"), ["HEAD"]);
        assert_eq!(Wanted::new(Some(""), Some("")).unwrap().sources(), ["HEAD"]);
    }

    #[test]
    fn what_names_no_commit_is_refused() {
        for (reference, commit) in [
            (Some("a b"), None),
            (Some("+x:y"), None),
            (Some("refs/heads/*"), None),
            (Some("../x"), None),
            (None, Some("1234")),
            (None, Some("HEAD")),
        ] {
            assert!(
                Wanted::new(reference, commit).is_err(),
                "{reference:?} {commit:?}"
            );
        }
    }
}
