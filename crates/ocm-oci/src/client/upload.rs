//! Blobs on their way to a registry: found there, mounted, sent in one request or in steps (OCI
//! distribution specification, "Pushing blobs").

use std::sync::Arc;

use http::header::LOCATION;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use url::Url;

use crate::client::RegistryClient;
use crate::client::endpoint::Endpoint;
use crate::client::reply::Reply;
use crate::client::scope::Scopes;
use crate::error::Error;
use crate::name::RepositoryName;
use crate::store::{Outcome, Push as _, Pushed};

mod steps;

/// Up to this size a blob without digest is hashed before it is sent, in bytes.
const SMALL: u64 = 4 * 1024 * 1024;

/// The size beyond which the body of an answer is refused, in bytes.
pub(crate) const MAX_ANSWER: u64 = 64 * 1024;

impl RegistryClient {
    /// Sends a blob, unless it is there.
    pub(crate) async fn upload(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        let blob = with_digest(self, repository, blob).await?;
        if let Some(there) = self.find_or_mount(repository, &blob).await? {
            return Ok(there);
        }
        match self.send_at_once(repository, &blob).await? {
            Some(sent) => Ok(sent),
            None => self.upload_in_steps(repository, blob).await,
        }
    }

    /// Sends a blob that is hardly there already, so that it is looked for only if it has to be
    /// uploaded.
    pub(crate) async fn upload_new(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        if let Some(sent) = self.send_at_once(repository, blob).await? {
            return Ok(sent);
        }
        let blob = with_digest(self, repository, blob).await?;
        match self.find_or_mount(repository, &blob).await? {
            Some(there) => Ok(there),
            None => self.upload_in_steps(repository, blob).await,
        }
    }

    /// Looks for a blob whose digest is known, in the repository and in the one that it comes from.
    async fn find_or_mount(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Option<Pushed>, Error> {
        let Some(digest) = blob.digest() else {
            return Ok(None);
        };
        let scopes = Scopes::push(&self.inner.endpoint.path_of(repository));
        let Some(found) = self.find_blob(repository, &digest, scopes.clone()).await? else {
            return self.mount(repository, blob).await;
        };
        let size = match blob.size().or(found) {
            Some(size) => size,
            None => self.measure(repository, &digest, scopes).await?,
        };
        Ok(Some(Pushed::new(digest, size, Outcome::Existed)))
    }

    /// Has the registry take over a blob from another of its repositories, if it lies there.
    async fn mount(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Option<Pushed>, Error> {
        let (Some(digest), Some(size), Some(origin)) = (blob.digest(), blob.size(), blob.origin())
        else {
            return Ok(None);
        };
        let Ok(from) = origin.repository.parse::<RepositoryName>() else {
            return Ok(None);
        };
        let is_near = origin.store == self.inner.endpoint.location() && from != *repository;
        if !is_near || !self.mount_blob(repository, &from, &digest).await? {
            return Ok(None);
        }
        Ok(Some(Pushed::new(digest, size, Outcome::Mounted)))
    }
}

/// Hashes a small blob, so that it is looked for before it is sent.
async fn with_digest(
    client: &RegistryClient,
    repository: &RepositoryName,
    blob: &BlobRef,
) -> Result<BlobRef, Error> {
    let is_small = blob.size().is_some_and(|size| size <= SMALL);
    if blob.digest().is_some() || !is_small {
        return Ok(Arc::clone(blob));
    }
    let bytes = ocm_blob::read_to_end(blob.as_ref(), SMALL)
        .await
        .map_err(|source| {
            let what = format!("blob for {}/{repository}", client.inner.endpoint.host());
            Error::blob("read", what, source)
        })?;
    Ok(Arc::new(MemoryBlob::new(bytes)))
}

/// Reads the answer to the end of an upload.
pub(crate) fn pushed(
    reply: &Reply,
    what: &str,
    digest: Digest,
    size: u64,
) -> Result<Pushed, Error> {
    match reply.digest() {
        Some(actual) if actual.algorithm() == digest.algorithm() && actual != digest => {
            Err(Error::DigestMismatch {
                what: what.to_owned(),
                expected: digest,
                actual,
            })
        }
        _ => Ok(Pushed::new(digest, size, Outcome::Copied)),
    }
}

/// Returns where an upload goes on, if an answer says so.
pub(crate) fn location_of(endpoint: &Endpoint, reply: &Reply) -> Result<Option<Url>, Error> {
    let location = reply.header(LOCATION.as_str());
    location
        .map(|location| endpoint.follow(&reply.url, location))
        .transpose()
}

/// Adds the digest to a location, which may have a query of its own.
pub(crate) fn with_query(mut location: Url, digest: Digest) -> Url {
    let (algorithm, hex) = (digest.algorithm(), digest.to_hex());
    let query = match location.query() {
        Some(query) if !query.is_empty() => format!("{query}&digest={algorithm}%3A{hex}"),
        _ => format!("digest={algorithm}%3A{hex}"),
    };
    location.set_query(Some(&query));
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_joins_the_query_of_a_location() {
        let location = "http://r/v2/a/blobs/uploads/1?_state=a%2Bb"
            .parse()
            .unwrap();
        let url = with_query(location, Digest::sha256(b""));
        assert!(url.as_str().contains("?_state=a%2Bb&digest=sha256%3Ae3b0"));
    }
}
