//! Packages of npm registries: access and input `npm`.
//!
//! A registry says of each version of a package where its tarball is, and which checksums it has:
//!
//! ```text
//! GET <registry>/<package>/<version>   {"dist": {"tarball": …, "integrity": …, "shasum": …}}
//! GET <registry>/<package>             {"versions": {"1.0.0": {"dist": …}}, "dist-tags": {…}}
//! ```
//!
//! Not every registry has the first, so the second is asked where it is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_config::ConsumerIdentity;
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_model::Access;
use ocm_model::access::{AccessKind, Npm};
use ocm_oci::Error;
use ocm_repository::{AccessMethod, Content};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::access::unsupported;
use crate::checksum::{Algorithm, Checksum};
use crate::http::{HttpBlob, HttpRequest, HttpSource, parse_url, without_query};

/// The type of the consumer of credentials, as the first generation of the tools calls it.
const CONSUMER: &str = "NpmRegistry";

/// The media type of a package.
const PACKAGE: &str = "application/x-tgz";

/// What npm itself asks for: the document about all versions without what only readers need.
const ABBREVIATED: &str = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";

/// The version that a package has without asking for one.
const LATEST: &str = "latest";

/// The largest document about a package, in bytes.
const MAX_DOCUMENT: u64 = 32 * 1024 * 1024;

/// What stands for itself in a part of a path. The slash of `@scope/name` does not.
const PART: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b'+');

/// Reaches packages of npm registries: access type `npm`.
///
/// The content is the tarball as the registry has it. It is checked against all checksums that the
/// registry states.
#[derive(Clone, Debug)]
pub struct NpmAccess {
    http: HttpSource,
}

impl NpmAccess {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }
}

#[async_trait]
impl AccessMethod for NpmAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::Npm(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, ocm_repository::Error> {
        let Ok(AccessKind::Npm(npm)) = access.kind() else {
            return Err(unsupported(access));
        };
        let blob = package(&self.http, &npm).await;
        let blob = blob
            .map_err(|source| ocm_repository::Error::backend("read", shown_name(&npm), source))?;
        Ok(Content::Blob(Arc::new(blob)))
    }
}

/// The input `npm`, with `registry`, `package` and `version`; without a version, the latest.
#[derive(Clone, Debug)]
pub struct NpmInput {
    http: HttpSource,
}

impl NpmInput {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }
}

#[async_trait]
impl InputMethod for NpmInput {
    fn types(&self) -> &[&'static str] {
        &["npm", "NPM", "Npm"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        _: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["registry", "package", "version"])?;
        let version = input.text("version")?.filter(|text| !text.is_empty());
        let npm = Npm {
            registry: input.required_text("registry")?,
            package: input.required_text("package")?,
            version: version.unwrap_or_else(|| LATEST.to_owned()),
        };
        let blob = package(&self.http, &npm).await;
        let blob = blob.map_err(|source| {
            InputError::backend(input.place.clone(), "read", shown_name(&npm), source)
        })?;
        Ok(Content::Blob(Arc::new(blob)).into())
    }
}

/// How messages name a package.
fn shown_name(npm: &Npm) -> String {
    let registry = without_query(&npm.registry);
    format!("package {}@{} of {registry}", npm.package, npm.version)
}

/// Opens a package. The content is not read.
async fn package(http: &HttpSource, npm: &Npm) -> Result<HttpBlob, Error> {
    let registry = Registry::new(http, npm)?;
    let release = registry.release(npm).await?;
    let malformed =
        |reason: String| Error::malformed(format!("what {} says", registry.url), reason);
    let checksums = release.dist.checksums().map_err(malformed)?;
    let tarball = registry
        .url
        .join(&release.dist.tarball)
        .map_err(|error| malformed(format!("its tarball has no address: {error}")))?;
    let request = registry.request(parse_url(tarball.as_str())?);
    let blob = http.blob(request, Some(PACKAGE.to_owned())).await?;
    Ok(blob.with_checksums(checksums))
}

/// A package in its registry.
struct Registry<'a> {
    http: &'a HttpSource,
    /// The document about the package.
    url: Url,
    /// Who needs credentials for it.
    consumer: ConsumerIdentity,
}

impl<'a> Registry<'a> {
    fn new(http: &'a HttpSource, npm: &Npm) -> Result<Self, Error> {
        let base = parse_url(npm.registry.trim_end_matches('/'))?;
        if npm.package.is_empty() || matches!(npm.package.as_str(), "." | "..") {
            return Err(Error::malformed(
                format!("name of a package, `{}`", npm.package),
                "npm has no such names",
            ));
        }
        let name = utf8_percent_encode(&npm.package, &PART);
        let mut url = base.clone();
        url.set_path(&format!("{}/{name}", base.path().trim_end_matches('/')));
        let path = format!("{}/{}", base.path().trim_end_matches('/'), npm.package);
        let consumer = ConsumerIdentity::from_url(CONSUMER, base.as_str())
            .map_err(|error| Error::malformed("address of a registry", error.to_string()))?
            .with(ConsumerIdentity::PATH, path);
        Ok(Self {
            http,
            url,
            consumer,
        })
    }

    /// Makes a request. A tarball on another host gets the credentials of that host, if there are
    /// any.
    fn request(&self, url: Url) -> HttpRequest {
        if url.origin() == self.url.origin() {
            HttpRequest {
                consumer: Some(self.consumer.clone()),
                ..HttpRequest::get(url)
            }
        } else {
            HttpRequest::get(url).by(CONSUMER)
        }
    }

    /// Finds out what the registry says of a version.
    async fn release(&self, npm: &Npm) -> Result<Release, Error> {
        let mut url = self.url.clone();
        let version = utf8_percent_encode(&npm.version, &PART);
        url.set_path(&format!("{}/{version}", self.url.path()));
        match self.http.read(&self.request(url), MAX_DOCUMENT).await {
            Ok(bytes) => {
                if let Some(release) = Release::read(&bytes, &npm.version) {
                    return Ok(release);
                }
            }
            Err(error) if error.is_not_found() || is_not_there(&error) => {}
            Err(error) => return Err(error),
        }
        let mut request = self.request(self.url.clone());
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static(ABBREVIATED));
        let bytes = self.http.read(&request, MAX_DOCUMENT).await?;
        Release::read(&bytes, &npm.version).ok_or_else(|| Error::not_found(shown_name(npm)))
    }
}

/// Whether a registry does not answer questions for a single version.
fn is_not_there(error: &Error) -> bool {
    matches!(
        error,
        Error::Remote {
            status: Some(400 | 405 | 501),
            ..
        }
    )
}

/// What a registry says of a version of a package.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Release {
    dist: Dist,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Dist {
    tarball: String,
    #[serde(default)]
    integrity: Option<String>,
    #[serde(default)]
    shasum: Option<String>,
}

/// What a registry says of all versions of a package.
#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    versions: BTreeMap<String, Release>,
    #[serde(default, rename = "dist-tags")]
    tags: BTreeMap<String, String>,
}

impl Release {
    /// Reads a document about one version, or finds a version, by its number or a tag, in one
    /// about all of them. None if it is neither, or has no such version.
    pub fn read(document: &[u8], version: &str) -> Option<Self> {
        if let Ok(release) = serde_json::from_slice(document) {
            return Some(release);
        }
        let mut package: Package = serde_json::from_slice(document).ok()?;
        let number = package.tags.remove(version);
        package
            .versions
            .remove(number.as_deref().unwrap_or(version))
    }

    /// Tells whether the checksums that are stated can be read.
    pub fn has_readable_checksums(&self) -> bool {
        self.dist.checksums().is_ok()
    }
}

impl Dist {
    /// Reads the checksums: the strongest of `integrity`, which is a list of `algorithm-base64`
    /// (W3C, "Subresource Integrity"), and `shasum`.
    fn checksums(&self) -> Result<Vec<Checksum>, String> {
        let mut checksums = Vec::new();
        let stated = self.integrity.as_deref().unwrap_or_default();
        let listed = stated.split_ascii_whitespace().filter_map(|item| {
            let (name, rest) = item.split_once('-')?;
            let algorithm = Algorithm::ALL
                .into_iter()
                .find(|algorithm| algorithm.as_str() == name)?;
            Some((algorithm, rest.split('?').next().unwrap_or(rest)))
        });
        if let Some((algorithm, value)) = listed.max_by_key(|(algorithm, _)| *algorithm) {
            let bytes = STANDARD.decode(value).ok();
            let checksum = bytes.and_then(|bytes| Checksum::new(algorithm, bytes));
            checksums.push(checksum.ok_or_else(|| format!("`{stated}` is no checksum"))?);
        }
        if let Some(text) = self.shasum.as_deref().filter(|text| !text.is_empty()) {
            let checksum = Checksum::from_hex(Algorithm::Sha1, text);
            checksums.push(checksum.ok_or_else(|| format!("`{text}` is no checksum"))?);
        }
        Ok(checksums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = br#"{"name": "a", "version": "1.0.0", "dist": {"tarball": "t1"}}"#;
    const ALL: &[u8] = br#"{"versions": {"1.0.0": {"dist": {"tarball": "t1"}},
        "2.0.0": {"dist": {"tarball": "t2"}}}, "dist-tags": {"latest": "2.0.0"}}"#;

    fn tarball(document: &[u8], version: &str) -> Option<String> {
        Some(Release::read(document, version)?.dist.tarball)
    }

    #[test]
    fn a_version_is_found_in_either_document() {
        assert_eq!(tarball(ONE, "1.0.0").as_deref(), Some("t1"));
        assert_eq!(tarball(ALL, "1.0.0").as_deref(), Some("t1"));
        assert_eq!(tarball(ALL, "latest").as_deref(), Some("t2"));
        assert_eq!(tarball(ALL, "3.0.0"), None);
    }

    #[test]
    fn malformed_documents_have_no_version() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"versions": []}"#,
            r#"{"versions": {"1.0.0": {}}}"#,
            r#"{"dist": {"tarball": 1}}"#,
            r#"{"dist-tags": {"1.0.0": "1.0.0"}}"#,
        ] {
            assert!(Release::read(text.as_bytes(), "1.0.0").is_none(), "{text}");
        }
    }

    fn checksums(integrity: Option<&str>, shasum: Option<&str>) -> Result<String, String> {
        let dist = Dist {
            tarball: String::new(),
            integrity: integrity.map(str::to_owned),
            shasum: shasum.map(str::to_owned),
        };
        Ok(format!("{:?}", dist.checksums()?))
    }

    #[test]
    fn the_strongest_of_the_integrity_counts_and_the_shasum_too() {
        let sha1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let integrity = "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00= x-y \
                         sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=?a";
        assert_eq!(
            checksums(Some(integrity), Some(sha1)),
            Ok(format!("[sha256:{sha256}, sha1:{sha1}]"))
        );
        assert_eq!(checksums(None, Some(sha1)), Ok(format!("[sha1:{sha1}]")));
        assert_eq!(checksums(Some(""), None), Ok("[]".to_owned()));
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        assert!(checksums(Some("sha512-AAAA"), None).is_err());
        assert!(checksums(Some("sha1-?"), None).is_err());
        assert!(checksums(None, Some("abc")).is_err());
    }
}
