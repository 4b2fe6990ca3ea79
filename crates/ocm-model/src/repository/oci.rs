//! Locations in OCI registries: `[scheme://]host[:port][/path]`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::ParseRepositoryError;
use crate::typed::TypedSpec;

/// A part of an OCI registry that has component versions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OciRepository {
    /// The registry.
    pub base_url: BaseUrl,
    /// The path below it, without outer slashes; empty for the whole registry.
    pub sub_path: String,
    /// How component names become repository names; `urlPath` if absent.
    pub component_name_mapping: Option<String>,
}

impl OciRepository {
    /// Returns the repository with the descriptors of a component, without registry.
    pub fn component_repository(&self, component: &crate::name::ComponentName) -> String {
        if self.sub_path.is_empty() {
            format!("component-descriptors/{component}")
        } else {
            format!("{}/component-descriptors/{component}", self.sub_path)
        }
    }

    pub(super) fn read(spec: &TypedSpec) -> Result<Self, ParseRepositoryError> {
        let mut repository: Self = spec.required_text("baseUrl")?.parse()?;
        let sub_path = spec.text("subPath")?.unwrap_or_default();
        let parts = [repository.sub_path.as_str(), sub_path.trim_matches('/')];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        repository.sub_path = parts.join("/");
        repository.component_name_mapping = spec.text("componentNameMapping")?;
        Ok(repository)
    }
}

impl FromStr for OciRepository {
    type Err = ParseBaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = split_scheme(text);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            base_url: BaseUrl::new(scheme, authority, text)?,
            sub_path: path.trim_matches('/').to_owned(),
            component_name_mapping: None,
        })
    }
}

impl fmt::Display for OciRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base_url)?;
        if !self.sub_path.is_empty() {
            write!(f, "/{}", self.sub_path)?;
        }
        Ok(())
    }
}

/// Cuts `scheme://` off.
pub(crate) fn split_scheme(text: &str) -> (Option<&str>, &str) {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, text),
    }
}

/// A registry: its host, and how to speak to it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BaseUrl {
    /// The scheme, if it was written.
    pub scheme: Option<Scheme>,
    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, if it was written.
    pub port: Option<u16>,
}

/// How to speak to a registry.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// With encryption.
    Https,
    /// As if no scheme were written.
    Oci,
}

impl Scheme {
    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Oci => "oci",
        }
    }
}

impl BaseUrl {
    /// Returns host and port.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Tells whether it was asked for to speak without encryption.
    pub fn is_plain_http(&self) -> bool {
        self.scheme == Some(Scheme::Http)
    }

    /// Tells whether the host is this machine: `localhost`, `127.…` or `[::1]`.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host.eq_ignore_ascii_case("localhost")
            || address
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    fn new(scheme: Option<&str>, authority: &str, text: &str) -> Result<Self, ParseBaseUrlError> {
        use ParseBaseUrlError as E;
        let named = || text.to_owned();
        let known = |scheme: &str| match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok(Scheme::Http),
            "https" => Ok(Scheme::Https),
            "oci" => Ok(Scheme::Oci),
            _ => Err(E::Scheme {
                scheme: scheme.to_owned(),
            }),
        };
        let scheme = scheme.map(known).transpose()?;
        if authority.contains('@') {
            return Err(E::UserInfo);
        }
        let host_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match authority[host_end..].split_once(':') {
            Some((name, port)) => (&authority[..host_end + name.len()], Some(port)),
            None => (authority, None),
        };
        if !is_host(host) {
            return Err(E::Host { text: named() });
        }
        let port = match port {
            None => None,
            Some(digits) if !digits.starts_with('+') => {
                Some(digits.parse().map_err(|_| E::Port { text: named() })?)
            }
            Some(_) => return Err(E::Port { text: named() }),
        };
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.starts_with(|first: char| first.is_ascii_alphanumeric())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.as_str())?;
        }
        f.write_str(&self.authority())
    }
}

/// Why a text is no location in a registry.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseBaseUrlError {
    /// Registries are not spoken to like this.
    #[error("scheme `{scheme}` is not that of a registry; use `https`, `http` or `oci`")]
    Scheme { scheme: String },
    /// Credentials do not belong here. The text is not repeated, for it may have a password.
    #[error("registry must not have a user name or password; configure credentials instead")]
    UserInfo,
    /// What should be a host is none.
    #[error("`{text}` does not start with the host of a registry")]
    Host { text: String },
    /// The port is no number up to 65535.
    #[error("`{text}` has a port that is no number from 0 to 65535")]
    Port { text: String },
}
