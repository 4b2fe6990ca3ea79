//! Manifests, and what is known of a blob before it is read.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use http::header::{ACCEPT, CONTENT_RANGE};
use http::{HeaderValue, Method};
use ocm_blob::BlobRef;
use ocm_digest::Digest;

use crate::client::RegistryClient;
use crate::client::download::RemoteBlob;
use crate::client::exchange::Call;
use crate::client::reply::Reply;
use crate::client::scope::Scopes;
use crate::document::{Descriptor, RawManifest, media_type};
use crate::error::Error;
use crate::lookup::Presence;
use crate::name::{Reference, RepositoryName};
use crate::store::Fetch;

/// The kinds of manifest that are asked for.
static ACCEPTED: LazyLock<HeaderValue> = LazyLock::new(|| {
    let text = format!("{}, */*;q=0.1", media_type::MANIFESTS.join(", "));
    HeaderValue::try_from(text).expect("media types are visible ASCII")
});

#[async_trait]
impl Fetch for RegistryClient {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<RawManifest, Error> {
        let call = self.manifest_call(Method::GET, repository, reference);
        let reply = self.call(&call, RawManifest::LIMIT).await?;
        self.inner.lookups.learn_from(&reply);
        if !reply.status.is_success() {
            return Err(reply.into_error(call.what));
        }
        let expected = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => reply.digest(),
        };
        let manifest = RawManifest::new(reply.body.clone(), stated_media_type(&reply));
        match expected {
            Some(expected) => named(manifest, expected, call.what),
            None => Ok(manifest),
        }
    }

    async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Descriptor, Error> {
        match self.look_up(repository, reference).await {
            Presence::There(descriptor) => return Ok(*descriptor),
            Presence::Missing => {
                let what = self.name_manifest(repository, reference);
                return Err(Error::NotFound { what });
            }
            Presence::Unknown => {}
        }
        let call = self.manifest_call(Method::HEAD, repository, reference);
        let reply = self.call(&call, 0).await?;
        self.inner.lookups.learn_from(&reply);
        match reply.status.as_u16() {
            200..300 => {}
            401 | 403 | 404 => return Err(reply.into_error(call.what)),
            // Some proxies know no HEAD.
            _ => return Ok(self.manifest(repository, reference).await?.descriptor()),
        }
        match told(&reply, reference, call.what)? {
            Some(descriptor) => Ok(descriptor),
            None => Ok(self.manifest(repository, reference).await?.descriptor()),
        }
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        let scopes = Scopes::pull(&self.inner.endpoint.path_of(repository));
        match self.find_blob(repository, digest, scopes.clone()).await? {
            None => Ok(None),
            Some(Some(size)) => Ok(Some(size)),
            Some(None) => self.measure(repository, digest, scopes).await.map(Some),
        }
    }

    fn blob(&self, repository: &RepositoryName, descriptor: &Descriptor) -> BlobRef {
        Arc::new(RemoteBlob::new(self.clone(), repository, descriptor))
    }
}

impl RegistryClient {
    /// Asks for a manifest by HEAD, once, and says what that alone tells.
    pub(crate) async fn try_resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Presence {
        let call = self.manifest_call(Method::HEAD, repository, reference);
        let Ok(reply) = self.try_call(&call, 0).await else {
            return Presence::Unknown;
        };
        match reply.status.as_u16() {
            200..300 => match told(&reply, reference, call.what) {
                Ok(Some(descriptor)) => Presence::There(Box::new(descriptor)),
                _ => Presence::Unknown,
            },
            404 => Presence::Missing,
            _ => Presence::Unknown,
        }
    }

    /// Asks for a blob by HEAD. Returns `None` if there is none, `Some(None)` if its size is not
    /// told.
    pub(crate) async fn find_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        scopes: Scopes,
    ) -> Result<Option<Option<u64>>, Error> {
        let call = self.blob_call(Method::HEAD, repository, digest, scopes);
        let reply = self.call(&call, 0).await?;
        match reply.status.as_u16() {
            200..300 => Ok(Some(reply.length())),
            404 => Ok(None),
            _ => Err(reply.into_error(call.what)),
        }
    }

    /// Learns the size of a blob from the answer to a request for its first byte.
    pub(crate) async fn measure(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        scopes: Scopes,
    ) -> Result<u64, Error> {
        let call = self
            .blob_call(Method::GET, repository, digest, scopes)
            .with_header(http::header::RANGE, HeaderValue::from_static("bytes=0-0"));
        let mut backoff = self.inner.retry.start();
        let opened = loop {
            match self.try_open(&call).await {
                Ok(opened) => break opened,
                Err(failure) => self.pause(&mut backoff, failure).await?,
            }
        };
        let response = opened.map_err(|reply| reply.into_error(&call.what))?;
        let total = match response.headers().get(CONTENT_RANGE) {
            Some(range) => range
                .to_str()
                .ok()
                .and_then(|range| range.rsplit_once('/')?.1.parse().ok()),
            None => response.content_length(),
        };
        total.ok_or_else(|| Error::malformed(call.what, "the registry does not tell its size"))
    }

    /// How messages name a manifest.
    pub(crate) fn name_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> String {
        let host = self.inner.endpoint.host();
        match reference {
            Reference::Tag(tag) => format!("{host}/{repository}:{tag}"),
            Reference::Digest(digest) => format!("{host}/{repository}@{digest}"),
        }
    }

    /// How messages name a blob.
    pub(crate) fn name_blob(&self, repository: &RepositoryName, digest: &Digest) -> String {
        format!(
            "blob {digest} of {}/{repository}",
            self.inner.endpoint.host()
        )
    }

    pub(crate) fn blob_call(
        &self,
        method: Method,
        repository: &RepositoryName,
        digest: &Digest,
        scopes: Scopes,
    ) -> Call {
        let endpoint = &self.inner.endpoint;
        let url = endpoint.blob(repository, digest);
        let what = self.name_blob(repository, digest);
        Call::new(method, url, &endpoint.path_of(repository), scopes, what)
    }

    fn manifest_call(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Call {
        let endpoint = &self.inner.endpoint;
        let path = endpoint.path_of(repository);
        let url = endpoint.manifest(repository, reference);
        let what = self.name_manifest(repository, reference);
        Call::new(method, url, &path, Scopes::pull(&path), what)
            .with_header(ACCEPT, ACCEPTED.clone())
    }
}

/// Returns the media type that the registry states, or nothing where it states none in particular.
fn stated_media_type(reply: &Reply) -> String {
    let text = reply.media_type();
    match text.as_str() {
        "application/json" | "application/octet-stream" | "text/plain" => String::new(),
        _ => text,
    }
}

fn named(manifest: RawManifest, expected: Digest, what: String) -> Result<RawManifest, Error> {
    manifest.with_digest(expected).map_err(|error| match error {
        Error::DigestMismatch {
            expected, actual, ..
        } => Error::DigestMismatch {
            what,
            expected,
            actual,
        },
        other => other,
    })
}

/// Puts a descriptor together from the headers of an answer, if they say enough.
fn told(reply: &Reply, reference: &Reference, what: String) -> Result<Option<Descriptor>, Error> {
    let digest = match (reference, reply.digest()) {
        (Reference::Digest(expected), Some(actual))
            if expected.algorithm() == actual.algorithm() && *expected != actual =>
        {
            return Err(Error::DigestMismatch {
                what,
                expected: *expected,
                actual,
            });
        }
        (Reference::Digest(expected), _) => Some(*expected),
        (Reference::Tag(_), told) => told,
    };
    let media_type = stated_media_type(reply);
    let size = reply.length().filter(|size| *size > 0);
    match (digest, size) {
        (Some(digest), Some(size)) if !media_type.is_empty() => {
            Ok(Some(Descriptor::new(media_type, digest, size)))
        }
        _ => Ok(None),
    }
}
