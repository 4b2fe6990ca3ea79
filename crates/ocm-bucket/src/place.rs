//! Where a bucket is: `s3://bucket/prefix?endpoint=https://s3.example.com`.

use std::fmt;
use std::str::FromStr;

use ocm_oci::Error;
use rusty_s3::{Bucket, UrlStyle};
use url::Url;

/// Where a bucket is unless something says otherwise.
const DEFAULT_REGION: &str = "us-east-1";

/// Whether the bucket stands in the host of an address, or in its path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Style {
    /// In the host at AWS, if its name can stand there; else in the path.
    #[default]
    Auto,
    /// In the host.
    Host,
    /// In the path.
    Path,
}

/// A bucket, and the part of it that is meant.
///
/// ```
/// use ocm_bucket::Place;
///
/// let place: Place = "s3://acme/registry?endpoint=http://127.0.0.1:7070".parse()?;
/// assert_eq!((place.bucket.as_str(), place.prefix.as_str()), ("acme", "registry"));
/// # Ok::<(), ocm_oci::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The name of the bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends. May be empty.
    pub prefix: String,
    /// The address of the server; AWS if there is none.
    pub endpoint: Option<Url>,
    /// The region; `us-east-1` if there is none.
    pub region: Option<String>,
    /// How the bucket is addressed.
    pub style: Style,
}

impl Place {
    /// What addresses of buckets begin with.
    pub const SCHEME: &'static str = "s3://";

    /// Returns the address of the server.
    ///
    /// # Errors
    ///
    /// The region is no name.
    pub fn endpoint(&self) -> Result<Url, Error> {
        let region = self.region();
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || region.len() > 63 || !region.bytes().all(is_part) {
            return Err(self.malformed(format!("`{region}` is no name of a region")));
        }
        match &self.endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Url::parse(&format!("https://s3.{region}.amazonaws.com"))
                .map_err(|error| self.malformed(error.to_string())),
        }
    }

    /// Returns the region.
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or(DEFAULT_REGION)
    }

    /// Sets the address of the server.
    ///
    /// # Errors
    ///
    /// The text is no address of a server.
    pub fn with_endpoint(mut self, text: &str) -> Result<Self, Error> {
        self.endpoint = Some(endpoint(text).map_err(|reason| self.malformed(reason))?);
        Ok(self)
    }

    pub(crate) fn to_bucket(&self) -> Result<Bucket, Error> {
        let style = match self.style {
            Style::Host => UrlStyle::VirtualHost,
            Style::Auto if self.endpoint.is_none() && fits_in_host(&self.bucket) => {
                UrlStyle::VirtualHost
            }
            Style::Auto | Style::Path => UrlStyle::Path,
        };
        let region = self.region().to_owned();
        Bucket::new(self.endpoint()?, style, self.bucket.clone(), region)
            .map_err(|error| self.malformed(format!("it has no address: {error}")))
    }

    fn malformed(&self, reason: String) -> Error {
        Error::malformed(format!("address {self}"), reason)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::SCHEME, self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // What follows may have been meant to be secret.
        let shown = text.split('?').next().unwrap_or_default();
        let malformed = |reason: String| Error::malformed(format!("address `{shown}`"), reason);
        let rest = text.strip_prefix(Self::SCHEME);
        let rest = rest.ok_or_else(|| malformed("it does not begin with `s3://`".to_owned()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !(3..=255).contains(&bucket.len())
            || !bucket.bytes().all(is_part)
            || bucket.starts_with('.')
        {
            return Err(malformed(format!("`{bucket}` is no name of a bucket")));
        }
        let prefix = prefix.trim_end_matches('/');
        // An address cannot hold what means a directory, or the one above it.
        let is_plain = |part: &str| !matches!(part, "" | "." | "..");
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        let is_usable = prefix.is_empty()
            || (prefix.len() <= 256
                && prefix.split('/').all(is_plain)
                && prefix.bytes().all(is_safe));
        if !is_usable {
            return Err(malformed(format!(
                "the prefix `{prefix}` must be names of letters, digits, `-`, `.`, `_`, `~`"
            )));
        }
        let mut place = Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            style: Style::default(),
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "endpoint" => place.endpoint = Some(endpoint(&value).map_err(malformed)?),
                "region" => place.region = Some(value.into_owned()),
                "style" => {
                    place.style = match &*value {
                        "host" => Style::Host,
                        "path" => Style::Path,
                        _ => return Err(malformed("`style` is `host` or `path`".to_owned())),
                    }
                }
                _ => {
                    let reason = format!("`{name}` is none of `endpoint`, `region`, `style`");
                    return Err(malformed(reason));
                }
            }
        }
        place.to_bucket()?;
        Ok(place)
    }
}

/// Reads the address of a server.
///
/// # Errors
///
/// Why it is none.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("its endpoint is no address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!(
            "its endpoint, of scheme `{}`, is no web server",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("an endpoint has neither credentials nor a query".to_owned());
    }
    Ok(url)
}

/// Whether a bucket can be part of the name of a host, also in certificates, which cover one label.
fn fits_in_host(bucket: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    bucket.len() <= 63
        && bucket.bytes().all(is_part)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, url: &str) {
        let place: Place = text.parse().unwrap();
        assert_eq!(place.to_bucket().unwrap().base_url().as_str(), url);
    }

    #[test]
    fn a_bucket_stands_where_it_can() {
        check("s3://acme", "https://acme.s3.us-east-1.amazonaws.com/");
        check(
            "s3://acme.org/x?region=eu-west-1",
            "https://s3.eu-west-1.amazonaws.com/acme.org/",
        );
        check(
            "s3://acme?endpoint=https://s3.acme.org",
            "https://s3.acme.org/acme/",
        );
        check(
            "s3://acme?endpoint=https%3A%2F%2Fs3.acme.org&style=host",
            "https://acme.s3.acme.org/",
        );
    }

    #[test]
    fn addresses_that_mean_nothing_are_refused() {
        for text in [
            "acme",
            "s3://",
            "s3://a/b",
            "s3://acme/../b",
            "s3://acme//b",
            "s3://acme/a b",
            "s3://acme?endpoint=ftp://x",
            "s3://acme?endpoint=https://u:p@x",
            "s3://acme?region=evil.org/",
            "s3://acme?style=other",
            "s3://acme?typo=1",
            "s3://acme?endpoint=http://127.0.0.1&style=host",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
