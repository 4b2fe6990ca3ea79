//! Removing manifests, tags and blobs (OCI distribution specification, "Content Management").

use async_trait::async_trait;
use http::Method;
use ocm_digest::Digest;

use crate::client::RegistryClient;
use crate::client::exchange::Call;
use crate::client::scope::Scopes;
use crate::document::Descriptor;
use crate::error::Error;
use crate::name::{Reference, RepositoryName};
use crate::store::{Delete, Fetch as _};

/// The size beyond which the body of an answer is refused, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

#[async_trait]
impl Delete for RegistryClient {
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        let (subject, operation) = match reference {
            Reference::Digest(digest) => (
                self.unlisted_subject(repository, digest).await?,
                "deleting manifests",
            ),
            Reference::Tag(_) => (None, "deleting tags"),
        };
        let endpoint = &self.inner.endpoint;
        let path = endpoint.path_of(repository);
        let url = endpoint.manifest(repository, reference);
        let what = self.name_manifest(repository, reference);
        let call = Call::new(Method::DELETE, url, &path, Scopes::delete(&path), what);
        self.delete(call, operation).await?;
        if let (Reference::Digest(digest), Some(subject)) = (reference, subject) {
            self.change_referrers(repository, &subject, |list| remove(list, digest))
                .await?;
        }
        Ok(())
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let scopes = Scopes::delete(&self.inner.endpoint.path_of(repository));
        let call = self.blob_call(Method::DELETE, repository, digest, scopes);
        self.delete(call, "deleting blobs").await
    }
}

impl RegistryClient {
    /// Returns the subject of a manifest if it is for the client to keep the list of referrers.
    async fn unlisted_subject(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let reference = Reference::Digest(*digest);
        let Ok(manifest) = self.manifest(repository, &reference).await else {
            // What cannot be read can be removed all the same. What is not there is asked for all the
            // same, so that a registry that deletes nothing says so.
            return Ok(None);
        };
        let subject = manifest
            .parse()
            .ok()
            .and_then(|document| Some(document.subject()?.digest));
        match subject {
            Some(subject) => {
                let listed = self.listed_referrers(repository, &subject).await?;
                Ok(listed.is_none().then_some(subject))
            }
            None => Ok(None),
        }
    }

    async fn delete(&self, call: Call, operation: &'static str) -> Result<(), Error> {
        let reply = self.call(&call, MAX_ANSWER).await?;
        match reply.status.as_u16() {
            200..300 => Ok(()),
            // The answer to an earlier attempt was lost.
            404 if reply.is_repeated => Ok(()),
            405 | 501 => Err(Error::Unsupported {
                store: self.inner.endpoint.location(),
                operation,
            }),
            _ => Err(reply.into_error(call.what)),
        }
    }
}

fn remove(list: &mut Vec<Descriptor>, digest: &Digest) -> bool {
    let before = list.len();
    list.retain(|entry| entry.digest != *digest);
    list.len() != before
}
