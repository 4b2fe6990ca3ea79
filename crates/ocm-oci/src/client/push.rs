//! Writing: blobs, mounts, manifests, and the list of referrers where the registry keeps none.

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method};
use ocm_blob::BlobRef;
use ocm_digest::Digest;

use crate::client::RegistryClient;
use crate::client::exchange::Call;
use crate::client::reply::Reply;
use crate::client::scope::Scopes;
use crate::document::{Descriptor, Document, ImageIndex, RawManifest};
use crate::error::Error;
use crate::name::{Reference, RepositoryName, Tag};
use crate::store::{Fetch as _, Push, Pushed};

/// The size beyond which the body of an answer is refused, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

#[async_trait]
impl Push for RegistryClient {
    async fn push_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        self.upload(repository, blob).await
    }

    async fn push_new_blob(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Pushed, Error> {
        self.upload_new(repository, blob).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let endpoint = &self.inner.endpoint;
        let (path, from) = (endpoint.path_of(repository), endpoint.path_of(from));
        let mut url = endpoint.uploads(repository);
        url.query_pairs_mut()
            .append_pair("mount", &digest.to_string())
            .append_pair("from", &from);
        let scopes = Scopes::push(&path).and(Scopes::pull(&from));
        let what = self.name_blob(repository, digest);
        let call = Call::new(Method::POST, url, &path, scopes, what);
        let reply = match self.call(&call, MAX_ANSWER).await {
            Ok(reply) => reply,
            // A token for both repositories may be refused where one for each is not.
            Err(Error::Unauthenticated { .. } | Error::Denied { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        match reply.status.as_u16() {
            201 => Ok(true),
            202 => {
                self.cancel(call, &reply).await;
                Ok(false)
            }
            400 | 401 | 403 | 404 | 405 | 501 => Ok(false),
            _ => Err(reply.into_error(call.what)),
        }
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        let document = manifest.parse()?;
        let reply = self.put_manifest(repository, manifest, tag).await?;
        let Some(subject) = document.subject() else {
            return Ok(());
        };
        // With this header the registry says that it keeps the list itself.
        if reply.headers.contains_key("oci-subject") {
            return Ok(());
        }
        match manifest.as_referrer_of(&subject.digest) {
            Some(entry) => {
                self.change_referrers(repository, &subject.digest, |list| add(list, entry))
                    .await
            }
            None => Ok(()),
        }
    }
}

impl RegistryClient {
    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<Reply, Error> {
        let digest = manifest.digest();
        let reference = tag.map_or(Reference::Digest(digest), |tag| tag.clone().into());
        let what = self.name_manifest(repository, &reference);
        if manifest.bytes().len() as u64 > RawManifest::LIMIT {
            let limit = RawManifest::LIMIT;
            return Err(Error::TooLarge { what, limit });
        }
        let media_type = HeaderValue::try_from(manifest.media_type())
            .map_err(|_| Error::malformed(&what, "its media type fits no header"))?;
        let endpoint = &self.inner.endpoint;
        let path = endpoint.path_of(repository);
        let url = endpoint.manifest(repository, &reference);
        let mut call = Call::new(Method::PUT, url, &path, Scopes::push(&path), what)
            .with_header(CONTENT_TYPE, media_type);
        call.request.body = manifest.bytes().clone();
        let reply = self.call(&call, MAX_ANSWER).await?;
        if !reply.status.is_success() {
            return Err(refused(reply, manifest, call.what));
        }
        match reply.digest() {
            Some(actual) if actual.algorithm() == digest.algorithm() && actual != digest => {
                Err(Error::DigestMismatch {
                    what: call.what,
                    expected: digest,
                    actual,
                })
            }
            _ => Ok(reply),
        }
    }

    /// Changes the list of referrers that is kept under a tag (OCI distribution specification,
    /// "Referrers Tag Schema"). `change` returns whether it has changed anything.
    pub(crate) async fn change_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        change: impl FnOnce(&mut Vec<Descriptor>) -> bool + Send,
    ) -> Result<(), Error> {
        let _alone = self.inner.referrers.lock().await;
        let tag = Tag::for_referrers(subject);
        let mut index = self.referrers_index(repository, &tag).await?;
        if change(&mut index.manifests) {
            let manifest = RawManifest::index(&index);
            self.put_manifest(repository, &manifest, Some(&tag)).await?;
        }
        Ok(())
    }

    /// Returns the list of referrers that is kept under a tag; none is an empty one.
    pub(crate) async fn referrers_index(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<ImageIndex, Error> {
        let reference = Reference::Tag(tag.clone());
        let manifest = match self.manifest(repository, &reference).await {
            Ok(manifest) => manifest,
            Err(error) if error.is_not_found() => return Ok(ImageIndex::new(Vec::new())),
            Err(error) => return Err(error),
        };
        match manifest.parse()? {
            Document::Index(index) => Ok(*index),
            Document::Image(_) => Err(Error::malformed(
                self.name_manifest(repository, &reference),
                "it should be the index of referrers",
            )),
        }
    }

    /// Ends an upload that a registry has started in place of what was asked for. It would end it
    /// itself after some time, so that failing to do so is no error.
    pub(crate) async fn cancel(&self, mut call: Call, reply: &Reply) {
        let location = reply
            .header(LOCATION.as_str())
            .and_then(|location| self.inner.endpoint.follow(&reply.url, location).ok());
        if let Some(location) = location {
            call.request.method = Method::DELETE;
            call.request.url = location;
            call.request.body = Bytes::new();
            let _ = self.try_call(&call, MAX_ANSWER).await;
        }
    }
}

/// Says why a registry does not take a manifest. Content that it lacks is not found either, but is
/// not what was asked for.
fn refused(reply: Reply, manifest: &RawManifest, what: String) -> Error {
    if !reply.has_code("MANIFEST_BLOB_UNKNOWN") {
        return reply.into_error(what);
    }
    let document = manifest.parse().ok();
    let children = document.iter().flat_map(Document::children);
    match reply.named_digest(children.map(|child| child.digest)) {
        Some(digest) => Error::Dangling { what, digest },
        None => Error::Remote {
            what,
            reason: reply.reason(),
            status: Some(reply.status.as_u16()),
            transient: false,
            source: None,
        },
    }
}

fn add(list: &mut Vec<Descriptor>, entry: Descriptor) -> bool {
    let is_new = list.iter().all(|known| known.digest != entry.digest);
    if is_new {
        list.push(entry);
    }
    is_new
}
