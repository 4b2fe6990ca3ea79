//! Where files of artifacts are: on a web server, or in a directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocm_blob::{BlobRef, FileBlob};
use ocm_config::ConsumerIdentity;
use ocm_oci::Error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, HeaderValue};
use url::Url;

use super::coordinates::Coordinates;
use super::listing::listed_files;
use crate::checksum::{Algorithm, Checked, Checksum};
use crate::http::{HttpRequest, HttpSource, parse_url, size_in, spool};

/// The type of the consumer of credentials, as the first generation of the tools calls it.
const CONSUMER: &str = "MavenRepository";

/// The largest listing of a directory, in bytes.
const MAX_LISTING: u64 = 8 * 1024 * 1024;

/// The largest checksum, in bytes.
const MAX_CHECKSUM: u64 = 16 * 1024;

/// The largest number of files of one artifact.
const MAX_FILES: usize = 4096;

/// What stands for itself in a part of a path.
const PART: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+');

/// A Maven repository.
#[derive(Debug)]
pub(super) enum Repository {
    /// On a web server.
    Web(Web),
    /// In a directory of this machine.
    Local(Local),
}

impl Repository {
    /// Takes a repository on a web server, with the credentials for a group in it.
    pub(super) fn on_web(http: &HttpSource, address: &str, group: &str) -> Result<Self, Error> {
        let base = parse_url(address.trim_end_matches('/'))?;
        let path = format!("{}/{group}", base.path().trim_end_matches('/'));
        let consumer = ConsumerIdentity::from_url(CONSUMER, base.as_str())
            .map_err(|error| Error::malformed("address of a repository", error.to_string()))?
            .with(ConsumerIdentity::PATH, path);
        Ok(Self::Web(Web {
            http: http.clone(),
            base,
            consumer,
        }))
    }

    /// Takes a directory, by its path without links.
    pub(super) const fn in_directory(root: PathBuf) -> Self {
        Self::Local(Local { root })
    }

    /// Lists the directory of an artifact.
    pub(super) async fn list(&self, coordinates: &Coordinates) -> Result<Vec<String>, Error> {
        let names = match self {
            Self::Web(web) => web.list(coordinates).await?,
            Self::Local(local) => local.list(coordinates)?,
        };
        if names.len() > MAX_FILES {
            let what = format!("directory of {coordinates}");
            let reason = format!("it has more than {MAX_FILES} files");
            return Err(Error::malformed(what, reason));
        }
        Ok(names)
    }

    /// Opens the one file that is meant, which no listing is needed for.
    pub(super) async fn file(
        &self,
        coordinates: &Coordinates,
        name: &str,
        media_type: &str,
    ) -> Result<BlobRef, Error> {
        let mut checksums = Vec::new();
        for algorithm in Algorithm::ALL {
            match self.checksum(coordinates, name, algorithm).await {
                Ok(checksum) => {
                    checksums.push(checksum);
                    break;
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        match self {
            Self::Web(web) => {
                let request = web.request(coordinates, name);
                let blob = web.http.blob(request, Some(media_type.to_owned())).await?;
                Ok(Arc::new(blob.with_checksums(checksums)))
            }
            Self::Local(local) => local.open(coordinates, name, media_type, checksums),
        }
    }

    /// Opens a file of several, of which the size is known.
    pub(super) async fn member(
        &self,
        coordinates: &Coordinates,
        name: &str,
        listed: &[String],
    ) -> Result<BlobRef, Error> {
        let mut checksums = Vec::new();
        let best = Algorithm::ALL.into_iter().find(|algorithm| {
            let wanted = format!("{name}.{}", algorithm.as_str());
            listed.contains(&wanted)
        });
        if let Some(algorithm) = best {
            checksums.push(self.checksum(coordinates, name, algorithm).await?);
        }
        match self {
            Self::Web(web) => web.member(coordinates, name, checksums).await,
            Self::Local(local) => local.open(coordinates, name, "", checksums),
        }
    }

    /// Reads a checksum of a file. It is the first word of it that can be one.
    async fn checksum(
        &self,
        coordinates: &Coordinates,
        name: &str,
        algorithm: Algorithm,
    ) -> Result<Checksum, Error> {
        let name = format!("{name}.{}", algorithm.as_str());
        let text = match self {
            Self::Web(web) => {
                let request = web.request(coordinates, &name);
                web.http.read(&request, MAX_CHECKSUM).await?
            }
            Self::Local(local) => {
                let blob = local.open(coordinates, &name, "", Vec::new())?;
                let read = ocm_blob::read_to_end(blob.as_ref(), MAX_CHECKSUM).await;
                read.map_err(|source| Error::blob("read", name.as_str(), source))?
            }
        };
        let text = String::from_utf8_lossy(&text);
        text.split_ascii_whitespace()
            .find_map(|word| Checksum::from_hex(algorithm, word))
            .ok_or_else(|| Error::malformed(name, "it is no checksum"))
    }
}

/// A repository on a web server.
#[derive(Debug)]
pub(super) struct Web {
    http: HttpSource,
    /// Its address.
    base: Url,
    consumer: ConsumerIdentity,
}

impl Web {
    async fn list(&self, coordinates: &Coordinates) -> Result<Vec<String>, Error> {
        let mut request = self.request(coordinates, "");
        let page = HeaderValue::from_static("text/html, */*; q=0.1");
        request.headers.insert(ACCEPT, page);
        let page = self.http.read(&request, MAX_LISTING).await?;
        Ok(listed_files(&String::from_utf8_lossy(&page), &request.url))
    }

    async fn member(
        &self,
        coordinates: &Coordinates,
        name: &str,
        checksums: Vec<Checksum>,
    ) -> Result<BlobRef, Error> {
        let request = self.request(coordinates, name);
        let size = match self.http.head(&request).await {
            Ok(headers) => size_in(&headers),
            // Not every server knows how to answer that.
            Err(Error::Remote {
                transient: false, ..
            }) => None,
            Err(error) => return Err(error),
        };
        let blob = self
            .http
            .promised(request, String::new(), size)
            .with_checksums(checksums);
        if size.is_some() {
            return Ok(Arc::new(blob));
        }
        let stored = async {
            let file = spool(&blob, name, u64::MAX).await?;
            let size = file.size()?;
            Ok(file.blob(0, size))
        };
        let stored = stored.await;
        let stored = stored.map_err(|source| Error::blob("read", name, source))?;
        Ok(Arc::new(stored))
    }

    fn request(&self, coordinates: &Coordinates, name: &str) -> HttpRequest {
        let mut path = self.base.path().trim_end_matches('/').to_owned();
        for part in coordinates.directory().chain([name]) {
            path.push('/');
            path.extend(utf8_percent_encode(part, &PART));
        }
        let mut url = self.base.clone();
        url.set_path(&path);
        HttpRequest {
            consumer: Some(self.consumer.clone()),
            ..HttpRequest::get(url)
        }
    }
}

/// A repository in a directory.
#[derive(Debug)]
pub(super) struct Local {
    /// Its path without links.
    root: PathBuf,
}

impl Local {
    fn list(&self, coordinates: &Coordinates) -> Result<Vec<String>, Error> {
        let directory = self.directory(coordinates)?;
        let failed = |source| file_error(&directory, source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A link could lead anywhere.
            if entry.file_type().map_err(failed)?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn open(
        &self,
        coordinates: &Coordinates,
        name: &str,
        media_type: &str,
        checksums: Vec<Checksum>,
    ) -> Result<BlobRef, Error> {
        let path = self.directory(coordinates)?.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(Error::malformed(name, "it is no file")),
            Err(error) if is_missing(&error) => return Err(Error::not_found(name)),
            Err(error) => return Err(file_error(&path, error)),
        }
        let blob = FileBlob::open_path(&path);
        let blob = blob.map_err(|source| Error::blob("open", name, source))?;
        Ok(Arc::new(Checked {
            name: name.to_owned(),
            inner: Arc::new(blob.with_media_type(media_type)),
            checksums,
        }))
    }

    /// Returns the directory of an artifact, to which no link leads out of the repository.
    fn directory(&self, coordinates: &Coordinates) -> Result<PathBuf, Error> {
        let path = self.root.join(coordinates.directory().collect::<PathBuf>());
        let found = std::fs::canonicalize(&path).map_err(|error| {
            if is_missing(&error) {
                Error::not_found(coordinates.to_string())
            } else {
                file_error(&path, error)
            }
        })?;
        if found.starts_with(&self.root) {
            Ok(found)
        } else {
            let what = format!("directory of {coordinates}");
            Err(Error::malformed(what, "a link leads out of the repository"))
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn file_error(path: &Path, source: io::Error) -> Error {
    let name = path.display().to_string();
    Error::blob("read", name, ocm_blob::Error::file("read", path, source))
}
