//! Commits of repositories on GitHub: access `GitHub`.
//!
//! The content is the archive that the REST API of GitHub, or of an enterprise server, has of a
//! commit.

use std::sync::Arc;

use async_trait::async_trait;
use ocm_config::ConsumerIdentity;
use ocm_model::Access;
use ocm_model::access::{AccessKind, GitHub};
use ocm_oci::Error;
use ocm_repository::{AccessMethod, Content};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, HeaderValue};
use url::{Host, Url};

use crate::access::{unsupported, with_field};
use crate::http::{HttpRequest, HttpSource, parse_url, without_query};

/// The type of the consumer of credentials. The first generation of the tools calls it `Github`.
const CONSUMER: &str = "GitHubRepository";

/// The media type of an archive of a commit.
const ARCHIVE: &str = "application/x-tgz";

/// What is asked for to get nothing but the name of a commit.
const COMMIT: HeaderValue = HeaderValue::from_static("application/vnd.github.sha");

/// The largest answer that is the name of a commit, in bytes.
const MAX_COMMIT: u64 = 1024;

/// What stands for itself in the name of a branch; its slashes do, too.
const REFERENCE: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Reaches commits of repositories on GitHub: access type `GitHub`.
///
/// `commit` decides; `ref` serves where there is none, and is pinned to the commit that it names.
#[derive(Clone, Debug)]
pub struct GitHubAccess {
    http: HttpSource,
}

impl GitHubAccess {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }

    /// Returns the name of the commit that is meant.
    async fn commit(&self, github: &GitHub, repository: &Repository) -> Result<String, Error> {
        let commit = github.commit.as_deref().filter(|text| !text.is_empty());
        let reference = github.reference.as_deref().filter(|text| !text.is_empty());
        match (commit, reference) {
            (Some(commit), _) if is_commit(commit) => Ok(commit.to_owned()),
            (Some(commit), _) => Err(Error::malformed(
                format!("commit `{commit}`"),
                "it has not 40 hexadecimal digits",
            )),
            (None, Some(reference)) => self.resolve(repository, reference).await,
            (None, None) => Err(Error::malformed(
                repository.name(),
                "there is neither a commit nor a ref",
            )),
        }
    }

    async fn resolve(&self, repository: &Repository, reference: &str) -> Result<String, Error> {
        let wanted = || format!("ref `{reference}` of {}", repository.name());
        let encoded = utf8_percent_encode(reference, &REFERENCE);
        let mut request = repository.request(&format!("commits/{encoded}"));
        request.headers.insert(ACCEPT, COMMIT);
        let answer = self.http.read(&request, MAX_COMMIT).await;
        let answer = answer.map_err(|error| match error {
            // GitHub answers so to names of commits that it does not have.
            Error::Remote {
                status: Some(422), ..
            } => Error::not_found(wanted()),
            other => other,
        })?;
        let text = str::from_utf8(&answer).unwrap_or_default().trim();
        if is_commit(text) {
            Ok(text.to_owned())
        } else {
            let reason = "the answer is no name of a commit";
            Err(Error::malformed(wanted(), reason))
        }
    }
}

#[async_trait]
impl AccessMethod for GitHubAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::GitHub(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, ocm_repository::Error> {
        let (github, failed) = read(access)?;
        let open = async {
            let repository = Repository::new(&github)?;
            let commit = self.commit(&github, &repository).await?;
            let request = repository.request(&format!("tarball/{commit}"));
            self.http.blob(request, Some(ARCHIVE.to_owned())).await
        };
        Ok(Content::Blob(Arc::new(open.await.map_err(failed)?)))
    }

    async fn pin(&self, access: &Access) -> Result<Access, ocm_repository::Error> {
        let (github, failed) = read(access)?;
        if github
            .commit
            .as_deref()
            .is_some_and(|text| !text.is_empty())
        {
            return Ok(access.clone());
        }
        let find = async {
            let repository = Repository::new(&github)?;
            self.commit(&github, &repository).await
        };
        with_field(access, "commit", find.await.map_err(failed)?)
    }
}

/// Reads an access, and says how failures with it are told.
fn read(
    access: &Access,
) -> Result<(GitHub, impl Fn(Error) -> ocm_repository::Error + use<>), ocm_repository::Error> {
    let Ok(AccessKind::GitHub(github)) = access.kind() else {
        return Err(unsupported(access));
    };
    let what = format!("the archive of {}", without_query(&github.repo_url));
    let failed = move |source| ocm_repository::Error::backend("read", what.clone(), source);
    Ok((github, failed))
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A repository, as the API knows it.
#[derive(Debug)]
struct Repository {
    /// The root of what the API has of the repository, with a slash at its end.
    api: Url,
    consumer: ConsumerIdentity,
    host: String,
    path: String,
}

impl Repository {
    fn new(github: &GitHub) -> Result<Self, Error> {
        let text = github.repo_url.as_str();
        let malformed = |reason: &str| {
            Error::malformed(format!("repository `{}`", without_query(text)), reason)
        };
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = parse_url(&with_scheme)?;
        let path = url.path().trim_matches('/').trim_end_matches(".git");
        if path.split('/').count() != 2 || path.split('/').any(str::is_empty) {
            return Err(malformed("it is not `host/owner/repository`"));
        }
        let host = url.host_str().unwrap_or_default();
        let stated = github.api_hostname.as_deref();
        let stated = stated.filter(|host| !host.is_empty());
        let mut api = match stated {
            None if host == "github.com" => parse_url("https://api.github.com/")?,
            None => url.clone(),
            Some(name) if name.contains(['/', '@', '?', '#']) => {
                return Err(malformed("its `apiHostname` is no name of a host"));
            }
            Some(name) => parse_url(&format!("{}://{name}/", url.scheme()))?,
        };
        let api_host = api.host_str().unwrap_or_default().to_owned();
        let is_apart = api_host.starts_with("api.") || api_host.contains(".api.");
        let prefix = if is_apart { "" } else { "/api/v3" };
        api.set_path(&format!("{prefix}/repos/{path}/"));
        api.set_query(None);
        api.set_fragment(None);
        // Whoever has written the access must not choose who gets the credentials of a host.
        let asked = if is_within(&api, &url) { &url } else { &api };
        let consumer = ConsumerIdentity::from_url(CONSUMER, asked.as_str())
            .map_err(|error| malformed(&error.to_string()))?
            .with(ConsumerIdentity::PATH, path);
        Ok(Self {
            consumer,
            host: host.to_owned(),
            path: path.to_owned(),
            api,
        })
    }

    fn name(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    fn request(&self, path: &str) -> HttpRequest {
        let mut url = self.api.clone();
        url.set_path(&format!("{}{path}", self.api.path()));
        HttpRequest {
            consumer: Some(self.consumer.clone()),
            ..HttpRequest::get(url)
        }
    }
}

/// Whether an API is on the host of a repository, or on one below it.
fn is_within(api: &Url, repository: &Url) -> bool {
    match (api.host(), repository.host()) {
        (Some(Host::Domain(api)), Some(Host::Domain(host))) => {
            api == host || api.ends_with(&format!(".{host}"))
        }
        (api, host) => api == host && api.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(url: &str, api: Option<&str>) -> Result<Repository, Error> {
        Repository::new(&GitHub {
            repo_url: url.to_owned(),
            api_hostname: api.map(str::to_owned),
            commit: None,
            reference: None,
        })
    }

    #[test]
    fn the_api_is_where_github_and_its_enterprise_server_have_it() {
        for (url, host, api) in [
            (
                "https://github.com/a/b",
                None,
                "https://api.github.com/repos/a/b/",
            ),
            (
                "github.com/a/b.git",
                None,
                "https://api.github.com/repos/a/b/",
            ),
            (
                "https://git.acme.org/a/b/",
                None,
                "https://git.acme.org/api/v3/repos/a/b/",
            ),
            (
                "http://localhost:80/a/b",
                None,
                "http://localhost/api/v3/repos/a/b/",
            ),
            (
                "https://git.acme.org/a/b",
                Some("api.git.acme.org"),
                "https://api.git.acme.org/repos/a/b/",
            ),
            (
                "https://git.acme.org/a/b",
                Some("hub.acme.org:8443"),
                "https://hub.acme.org:8443/api/v3/repos/a/b/",
            ),
        ] {
            assert_eq!(repository(url, host).unwrap().api.as_str(), api, "{url}");
        }
    }

    #[test]
    fn credentials_of_a_host_go_nowhere_else() {
        let asked = |url: &str, api: Option<&str>| {
            let repository = repository(url, api).unwrap();
            let identity = &repository.consumer;
            (
                identity.get("hostname").unwrap().to_owned(),
                identity.get("path").unwrap().to_owned(),
            )
        };
        let path = || "a/b".to_owned();
        assert_eq!(
            asked("github.com/a/b", None),
            ("github.com".to_owned(), path())
        );
        assert_eq!(
            asked("https://git.acme.org/a/b", Some("api.git.acme.org")),
            ("git.acme.org".to_owned(), path())
        );
        assert_eq!(
            asked("https://github.com/a/b", Some("evil.org")),
            ("evil.org".to_owned(), path())
        );
        assert_eq!(
            asked("https://github.com/a/b", Some("api.evilgithub.com")),
            ("api.evilgithub.com".to_owned(), path())
        );
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        for url in [
            "github.com",
            "github.com/a",
            "github.com/a/b/c",
            "ftp://github.com/a/b",
            "",
        ] {
            assert!(repository(url, None).is_err(), "{url}");
        }
        assert!(repository("github.com/a/b", Some("evil.org/x")).is_err());
    }

    #[test]
    fn commits_have_40_hexadecimal_digits() {
        assert!(is_commit("5af0bb1c6bd0e1b2f9a1a3a7a6a0d2dd2c2ae6a1"));
        assert!(!is_commit("5af0bb1"));
        assert!(!is_commit("gaf0bb1c6bd0e1b2f9a1a3a7a6a0d2dd2c2ae6a1"));
    }
}
