//! Where a registry is: its URLs, and which of them it may be trusted with.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use ocm_digest::Digest;
use url::{Host, Url};

use crate::client::Scheme;
use crate::client::credentials::RegistryIdentity;
use crate::error::Error;
use crate::lookup;
use crate::name::{Reference, RepositoryName};

/// Docker Hub's API is not where its images say it is.
const DOCKER_HUB: (&[&str], &str) = (&["docker.io", "index.docker.io"], "registry-1.docker.io");

/// The base URL of a registry.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// The root of the host.
    base: Url,
    /// The host as messages name it, with its port.
    name: String,
    is_docker_hub: bool,
}

impl Endpoint {
    pub(crate) fn new(host: &str, scheme: Scheme) -> Result<Self, Error> {
        let malformed = |reason: &str| Error::malformed(format!("registry `{host}`"), reason);
        if host.contains(['/', '?', '#', '@', '\\']) {
            return Err(malformed("it is no host, with or without port"));
        }
        let is_docker_hub = DOCKER_HUB.0.contains(&host);
        let target = if is_docker_hub { DOCKER_HUB.1 } else { host };
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{target}/"))
                .map_err(|error| malformed(&error.to_string()))
        };
        let secure = parse("https")?;
        let base = match scheme {
            Scheme::Http => parse("http")?,
            Scheme::Auto if is_loopback(&secure) => parse("http")?,
            Scheme::Https | Scheme::Auto => secure,
        };
        Ok(Self {
            base,
            name: host.to_owned(),
            is_docker_hub,
        })
    }

    /// Returns how messages name the registry.
    pub(crate) fn location(&self) -> String {
        format!("{}://{}", self.base.scheme(), self.name)
    }

    pub(crate) fn host(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    /// Returns what credentials are asked for.
    pub(crate) fn identity(&self, repository: &str) -> RegistryIdentity {
        let (host, port) = match self.name.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (self.name.as_str(), None),
        };
        RegistryIdentity {
            scheme: self.base.scheme().to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            repository: repository.to_owned(),
        }
    }

    /// Returns the path of a repository as the registry knows it.
    pub(crate) fn path_of<'a>(&self, repository: &'a RepositoryName) -> Cow<'a, str> {
        if self.is_docker_hub && !repository.as_str().contains('/') {
            Cow::Owned(format!("library/{repository}"))
        } else {
            Cow::Borrowed(repository.as_str())
        }
    }

    pub(crate) fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Url {
        self.within(repository, format_args!("manifests/{reference}"))
    }

    pub(crate) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Url {
        self.within(repository, format_args!("blobs/{digest}"))
    }

    pub(crate) fn uploads(&self, repository: &RepositoryName) -> Url {
        // The slash at the end belongs there: "Pushing a blob monolithically".
        self.within(repository, format_args!("blobs/uploads/"))
    }

    pub(crate) fn tags(&self, repository: &RepositoryName) -> Url {
        self.within(repository, format_args!("tags/list"))
    }

    pub(crate) fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Url {
        self.within(repository, format_args!("referrers/{subject}"))
    }

    pub(crate) fn catalog(&self) -> Url {
        self.at("/v2/_catalog")
    }

    pub(crate) fn lookup(&self) -> Url {
        self.at(lookup::PATH)
    }

    fn within(&self, repository: &RepositoryName, path: fmt::Arguments<'_>) -> Url {
        self.at(&format!("/v2/{}/{path}", self.path_of(repository)))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// Returns whether a URL is the registry's own, so that credentials may be sent to it.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        let place = |url: &Url| url.port_or_known_default();
        (self.base.scheme(), self.base.host(), place(&self.base))
            == (url.scheme(), url.host(), place(url))
    }

    /// Reads a URL out of an answer (`Location`, `Link`), relative to the URL that was asked.
    ///
    /// Behind a proxy that ends TLS, registries take themselves to be at `http`. Such a URL is
    /// taken for the registry's own, so that nothing goes out in the clear.
    pub(crate) fn follow(&self, asked: &Url, text: &str) -> Result<Url, Error> {
        let malformed =
            |reason: &str| Error::malformed(format!("a URL in an answer of {}", self.name), reason);
        let mut url = asked
            .join(text)
            .map_err(|error| malformed(&error.to_string()))?;
        if self.is_secure() && url.scheme() == "http" {
            if url.host() != self.base.host() {
                return Err(malformed("it leads from https to http on another host"));
            }
            let mut upgraded = self.base.clone();
            upgraded.set_path(url.path());
            upgraded.set_query(url.query());
            url = upgraded;
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed("it is neither http nor https"));
        }
        Ok(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint::new(host, Scheme::Auto).unwrap()
    }

    #[test]
    fn loopback_hosts_are_asked_in_the_clear() {
        for (host, secure) in [
            ("localhost", false),
            ("localhost:5000", false),
            ("127.0.0.1:5000", false),
            ("127.9.9.9", false),
            ("[::1]:5000", false),
            ("localhost.example.org", true),
            ("128.0.0.1", true),
            ("ghcr.io", true),
            ("[2001:db8::1]:443", true),
        ] {
            assert_eq!(endpoint(host).is_secure(), secure, "{host}");
        }
        assert!(
            Endpoint::new("localhost:1", Scheme::Https)
                .unwrap()
                .is_secure()
        );
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            "a/b",
            "user@host",
            "host:port",
            "ho st",
            "http://x",
            "h?x",
        ] {
            assert!(Endpoint::new(host, Scheme::Auto).is_err(), "{host}");
        }
    }

    #[test]
    fn identities_name_host_and_port() {
        let parts = |host: &str| {
            let identity = endpoint(host).identity("a/b");
            (identity.host, identity.port)
        };
        assert_eq!(parts("ghcr.io"), ("ghcr.io".into(), None));
        assert_eq!(parts("r.example:5001"), ("r.example".into(), Some(5001)));
        assert_eq!(parts("[::1]:80"), ("::1".into(), Some(80)));
        assert_eq!(parts("[::1]"), ("::1".into(), None));
        assert_eq!(parts("docker.io"), ("docker.io".into(), None));
    }

    #[test]
    fn docker_hub_keeps_its_own_images_in_a_library() {
        let name = |text: &str| text.parse::<RepositoryName>().unwrap();
        assert_eq!(
            endpoint("docker.io").tags(&name("alpine")).as_str(),
            "https://registry-1.docker.io/v2/library/alpine/tags/list"
        );
        assert_eq!(
            endpoint("docker.io").tags(&name("acme/shop")).as_str(),
            "https://registry-1.docker.io/v2/acme/shop/tags/list"
        );
    }

    #[test]
    fn locations_may_be_relative_and_never_leave_https() {
        let ours = endpoint("r.example:8443");
        let asked = ours.uploads(&"a".parse().unwrap());
        let follow = |text: &str| ours.follow(&asked, text).map(String::from).ok();
        assert_eq!(
            follow("/v2/a/blobs/uploads/1?_state=x%2By").unwrap(),
            "https://r.example:8443/v2/a/blobs/uploads/1?_state=x%2By"
        );
        assert_eq!(
            follow("1?x").unwrap(),
            "https://r.example:8443/v2/a/blobs/uploads/1?x"
        );
        assert_eq!(
            follow("http://r.example/v2/a?x=1").unwrap(),
            "https://r.example:8443/v2/a?x=1"
        );
        assert_eq!(
            follow("https://s3.example/a").unwrap(),
            "https://s3.example/a"
        );
        assert_eq!(follow("http://s3.example/a"), None);
        assert_eq!(follow("file:///etc/passwd"), None);
        assert_eq!(follow("http://"), None);
    }

    #[test]
    fn only_its_own_urls_are_trusted() {
        let ours = endpoint("r.example");
        let owns = |text: &str| ours.owns(&Url::parse(text).unwrap());
        assert!(owns("https://r.example:443/v2/x"));
        assert!(!owns("https://r.example:8443/v2/x"));
        assert!(!owns("http://r.example/v2/x"));
        assert!(!owns("https://cdn.r.example/v2/x"));
    }
}
