//! Chart repositories: a web server with an index and packaged charts.

use std::collections::BTreeMap;

use ocm_config::ConsumerIdentity;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::{Version, yaml};
use ocm_oci::Error;
use serde::Deserialize;
use url::Url;

use super::chart::CONTENT;
use crate::http::{HttpBlob, HttpRequest, HttpSource, parse_url, without_query};

/// The type of the consumer of credentials.
const CONSUMER: &str = "HelmChartRepository";

/// The largest index, in bytes.
const MAX_INDEX: u64 = 64 * 1024 * 1024;

/// The index of a chart repository, `index.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RepositoryIndex {
    /// The versions of each chart.
    #[serde(default)]
    pub entries: BTreeMap<String, Vec<ChartEntry>>,
}

/// A chart in an index.
#[derive(Clone, Debug, Deserialize)]
pub struct ChartEntry {
    /// The version.
    pub version: String,
    /// Where the packaged chart is; relative to the repository, or absolute.
    #[serde(default)]
    pub urls: Vec<String>,
    /// The digest of the packaged chart: hexadecimal SHA-256, with or without `sha256:`.
    #[serde(default)]
    pub digest: Option<String>,
}

impl RepositoryIndex {
    /// Reads an index.
    ///
    /// # Errors
    ///
    /// The text is no index.
    pub fn parse(text: &str) -> Result<Self, yaml::Error> {
        yaml::from_str(text)
    }

    /// Finds a chart: the version asked for, or else the newest that is no pre-release.
    pub fn find(&self, name: &str, version: Option<&str>) -> Option<&ChartEntry> {
        let versions = self.entries.get(name)?;
        if let Some(version) = version {
            return versions
                .iter()
                .find(|entry| entry.version == version)
                .or_else(|| {
                    let wanted: Version = version.parse().ok()?;
                    versions.iter().find(|entry| {
                        entry
                            .version
                            .parse::<Version>()
                            .is_ok_and(|found| found == wanted)
                    })
                });
        }
        let released = |entry: &&ChartEntry| {
            let version = entry.version.parse::<Version>();
            version.is_ok_and(|version| !version.is_prerelease())
        };
        versions
            .iter()
            .filter(released)
            .max_by_key(|entry| entry.version.parse::<Version>().ok())
    }
}

impl ChartEntry {
    /// Returns the digest, if it is stated.
    pub fn digest(&self) -> Option<Digest> {
        let text = self.digest.as_deref()?.trim();
        text.parse()
            .ok()
            .or_else(|| Digest::from_hex(HashAlgorithm::Sha256, text).ok())
    }
}

/// A chart repository, or a packaged chart, at some address.
#[derive(Clone, Debug)]
pub(super) struct ChartRepository<'a> {
    pub(super) http: &'a HttpSource,
    pub(super) address: &'a str,
    /// Certificates of authorities to trust besides, in PEM.
    pub(super) authority: Option<Vec<u8>>,
}

impl ChartRepository<'_> {
    /// Opens a chart. The content is not read.
    pub(super) async fn chart(&self, name: &str, version: Option<&str>) -> Result<HttpBlob, Error> {
        let base = parse_url(&format!("{}/", self.address.trim_end_matches('/')))?;
        let shown = without_query(self.address);
        let malformed = |reason: String| Error::malformed(format!("index of {shown}"), reason);
        let index = base
            .join("index.yaml")
            .map_err(|error| malformed(error.to_string()))?;
        let index = self.http.read(&self.request(index), MAX_INDEX).await?;
        let text = str::from_utf8(&index).map_err(|error| malformed(error.to_string()))?;
        let index = RepositoryIndex::parse(text).map_err(|error| malformed(error.to_string()))?;
        let wanted = match version {
            Some(version) => format!("chart {name}:{version} in {shown}"),
            None => format!("chart {name} in {shown}"),
        };
        let entry = index
            .find(name, version)
            .ok_or_else(|| Error::not_found(wanted.clone()))?;
        let url = entry
            .urls
            .first()
            .ok_or_else(|| malformed(format!("{wanted} has no address")))?;
        let url = base
            .join(url)
            .map_err(|error| malformed(error.to_string()))?;
        self.download(parse_url(url.as_str())?, entry.digest())
            .await
    }

    /// Opens the packaged chart at the address.
    pub(super) async fn package(&self) -> Result<HttpBlob, Error> {
        self.download(parse_url(self.address)?, None).await
    }

    async fn download(&self, url: Url, digest: Option<Digest>) -> Result<HttpBlob, Error> {
        let blob = self.http.blob(self.request(url), Some(CONTENT.to_owned()));
        Ok(blob.await?.with_digest(digest))
    }

    /// Makes a request with the credentials of the repository. A chart on another host gets those
    /// of that host, if there are any.
    fn request(&self, url: Url) -> HttpRequest {
        let repository = Url::parse(self.address).ok();
        let repository = repository.filter(|address| address.origin() == url.origin());
        let asked = repository.unwrap_or_else(|| url.clone());
        HttpRequest {
            authority: self.authority.clone(),
            consumer: ConsumerIdentity::from_url(CONSUMER, asked.as_str()).ok(),
            ..HttpRequest::get(url)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "
apiVersion: v1
entries:
  notes:
  - {version: 1.9.0, urls: [notes-1.9.0.tgz], digest: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824}
  - {version: 2.0.0-rc.1, urls: [x]}
  - {version: v1.10.0, urls: [https://acme.org/notes.tgz], digest: 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'}
";

    #[test]
    fn a_chart_is_found_by_version_or_the_newest() {
        let index = RepositoryIndex::parse(INDEX).unwrap();
        let find = |version| {
            index
                .find("notes", version)
                .map(|entry| entry.version.as_str())
        };
        assert_eq!(find(None), Some("v1.10.0"));
        assert_eq!(find(Some("1.9.0")), Some("1.9.0"));
        assert_eq!(find(Some("2.0.0-rc.1")), Some("2.0.0-rc.1"));
        assert_eq!(find(Some("3.0.0")), None);
        assert!(index.find("other", None).is_none());
    }

    #[test]
    fn digests_have_either_form() {
        let index = RepositoryIndex::parse(INDEX).unwrap();
        let digest = |version| index.find("notes", Some(version)).unwrap().digest();
        assert_eq!(digest("1.9.0"), Some(Digest::sha256("hello")));
        assert_eq!(digest("v1.10.0"), Some(Digest::sha256("hello")));
        assert_eq!(digest("2.0.0-rc.1"), None);
    }

    #[test]
    fn malformed_indexes_are_errors() {
        for text in ["entries: []", "entries: {x: [{}]}", "[", "entries: {x: 1}"] {
            assert!(RepositoryIndex::parse(text).is_err(), "{text}");
        }
    }
}
