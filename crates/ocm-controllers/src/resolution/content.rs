//! The content of resources: whether it is what their digests say, and its bytes.

use std::sync::Arc;
use std::time::Duration;

use ocm::blob::{self, BlobRef, ByteStream, Bytes, Promise, verify};
use ocm::digest::{Digest, HashAlgorithm};
use ocm::model::access::AccessKind;
use ocm::model::element::{Element as _, Resource};
use ocm::model::{Access, ComponentVersionId, DigestSpec};
use ocm::oci::{Document, Reference};
use ocm::repository::{Artifact, Content};

use super::content_error::ContentError;
use super::error::Error;
use super::flight::{Outcome, Ticket};
use super::key::{Key, KeyBuilder};
use super::place::Place;
use super::reachable::{self, Unreachable};
use super::{Inner, Resolutions, Resolved};

/// How long it may take until content has been read that is only hashed. It may be large.
const HASHING: Duration = Duration::from_mins(30);

/// The content of a resource that somebody wants.
#[derive(Clone, Debug)]
pub struct WantedContent {
    /// Where the component version was read, and by whom.
    pub place: Place,
    /// The component version that has the resource.
    pub found: Resolved,
    /// The resource.
    pub resource: Resource,
}

/// What a resource is at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Pinned {
    /// An access that names exactly the content that was looked at.
    pub access: Option<Access>,
    /// The digest of the content, where it is known.
    pub digest: Option<DigestSpec>,
    /// Why the content has not been compared with the digest that is stated for it, if it has not.
    pub unchecked: Option<Arc<str>>,
}

impl Resolutions {
    /// Finds out what a resource is, and checks that it is what its digest says.
    ///
    /// Content that its access names by its very digest needs no look: who reads it by that is
    /// handed nothing else.
    pub fn pin(&self, wanted: &WantedContent) -> Ticket<Pinned> {
        if let Some(pinned) = without_a_look(&wanted.resource) {
            return Ticket::there(Ok(pinned));
        }
        let key = wanted.key("pinned");
        let inner = &self.0;
        if let Some(known) = inner.pins.fresh(&key, inner.options.fresh_for) {
            return Ticket::there(Ok(known));
        }
        let (inner, wanted) = (Arc::clone(inner), wanted.clone());
        self.0.pinning.join(key, async move {
            let work = wanted.pin();
            let outcome = inner.for_content(&wanted, HASHING, work).await;
            inner.settle(key, outcome, |inner| &inner.pins, |_| PIN_SIZE)
        })
    }

    /// Reads the content of a resource whole, up to a number of bytes. An artifact stands for its
    /// only layer.
    ///
    /// What has the digest that is stated for it is kept, within the bound of bytes for content, for
    /// those who may read it: they find it also while its registry does not answer.
    pub fn content(&self, wanted: &WantedContent, limit: Option<u64>) -> Ticket<Bytes> {
        let mut key = wanted.key_builder("content");
        key.add(limit.unwrap_or_default().to_be_bytes());
        let key = key.finish();
        let inner = &self.0;
        let known = match wanted.stated() {
            Some(_) => inner.contents.known(&key),
            None => inner.contents.fresh(&key, inner.options.fresh_for),
        };
        inner.numbers.contents().asked(known.is_some());
        if let Some(known) = known {
            return Ticket::there(Ok(known));
        }
        let (inner, wanted) = (Arc::clone(inner), wanted.clone());
        self.0.reading.join(key, async move {
            let work = wanted.read(limit);
            let patience = inner.options.time_limit;
            let outcome = inner.for_content(&wanted, patience, work).await;
            inner.settle(key, outcome, |inner| &inner.contents, Bytes::len)
        })
    }
}

/// About what is kept of a resource that was looked at, in bytes.
const PIN_SIZE: usize = 2048;

impl Inner {
    async fn for_content<T>(
        &self,
        wanted: &WantedContent,
        limit: Duration,
        work: impl Future<Output = Result<T, ContentError>>,
    ) -> Outcome<T> {
        let what = format!("resource {}", wanted.resource.identity());
        let work = async {
            let outcome = work.await;
            outcome.map_err(|source| Error::Content {
                resource: wanted.resource.identity(),
                id: wanted.id().clone(),
                source: Box::new(source),
            })
        };
        self.in_turn_for(&wanted.place, what, limit, work).await
    }

    /// Keeps what came of work. Where it failed for now, what was known before counts on.
    fn settle<T: Clone>(
        &self,
        key: Key,
        outcome: Outcome<T>,
        cache: impl Fn(&Self) -> &super::Cache<T>,
        size: impl Fn(&T) -> usize,
    ) -> Outcome<T> {
        match outcome {
            Ok(value) => {
                cache(self).put(key, value.clone(), size(&value));
                Ok(value)
            }
            Err(error) if error.is_transient() => cache(self).known(&key).ok_or(error),
            Err(error) => {
                cache(self).forget(&key);
                Err(error)
            }
        }
    }
}

impl WantedContent {
    fn id(&self) -> &ComponentVersionId {
        self.found.descriptor.id()
    }

    /// The digest that is stated for the content, if it is to be compared.
    fn stated(&self) -> Option<&DigestSpec> {
        stated(&self.resource)
    }

    /// Names the content by everything that decides what it is, and who may read it.
    fn key_builder(&self, sort: &str) -> KeyBuilder {
        let mut key = KeyBuilder::new(sort);
        self.place.add_to(&mut key);
        key.add(self.found.repository.location());
        key.add(self.id().to_string());
        let access = self.resource.access.as_ref();
        key.add(access.map_or_else(String::new, |it| {
            serde_json::Value::Object(it.as_json().clone()).to_string()
        }));
        let digest = self.resource.digest.iter();
        key.count(digest.len());
        for digest in digest {
            key.add(&digest.hash_algorithm);
            key.add(&digest.normalisation_algorithm);
            key.add(&digest.value);
        }
        key
    }

    fn key(&self, sort: &str) -> Key {
        self.key_builder(sort).finish()
    }

    async fn pin(&self) -> Result<Pinned, ContentError> {
        let resource = &self.resource;
        let access = match reachable::check(resource.access.as_ref()) {
            Ok(access) => access,
            Err(reason) => {
                let is_missing = reason == Unreachable::NoContent;
                return Ok(Pinned {
                    access: resource.access.clone(),
                    digest: resource.digest.clone(),
                    unchecked: (!is_missing && stated(resource).is_some())
                        .then(|| reason.to_string().into()),
                });
            }
        };
        let is_image = matches!(access.kind(), Ok(AccessKind::OciImage(_)));
        let is_chart = matches!(access.kind(), Ok(AccessKind::Helm(_)));
        let expected = match stated(resource) {
            Some(spec) => Some((spec, spec.digest()?)),
            // Images and charts are named by what they are now, all else by what it is called.
            None if is_image || is_chart => None,
            None => {
                return Ok(Pinned {
                    access: Some(access.clone()),
                    digest: resource.digest.clone(),
                    unchecked: None,
                });
            }
        };
        let content = self.open(access).await?;
        let algorithm = expected.map_or(HashAlgorithm::Sha256, |(_, it)| it.algorithm());
        let actual = match &content {
            Content::Artifact(artifact) => artifact.root.digest,
            Content::Blob(blob) => match blob.digest() {
                // Nobody is handed other bytes by this digest.
                Some(known) if access.is_local() && known.algorithm() == algorithm => known,
                _ => ocm::hash_blob(blob, algorithm).await?.0,
            },
        };
        if let Some((_, expected)) = expected
            && expected != actual
        {
            return Err(ContentError::Digest { expected, actual });
        }
        let found = match &content {
            Content::Artifact(_) => DigestSpec::oci_artifact(&actual),
            Content::Blob(_) => DigestSpec::generic_blob(&actual),
        };
        let digest = match expected {
            Some((spec, _)) => spec.clone(),
            // What no signature is to cover stays like that.
            None if resource
                .digest
                .as_ref()
                .is_some_and(DigestSpec::is_excluded) =>
            {
                DigestSpec::excluded()
            }
            None => found,
        };
        let access = match &content {
            Content::Artifact(artifact) if is_image => named(access, artifact)?,
            _ => access.clone(),
        };
        Ok(Pinned {
            access: Some(access),
            digest: Some(digest),
            unchecked: None,
        })
    }

    /// Opens the content as that of which the digest is stated.
    async fn open(&self, access: &Access) -> Result<Content, ContentError> {
        let repository = &self.found.repository;
        let content = if access.is_local() {
            repository.local_content(self.id(), access).await?
        } else {
            let methods = self.found.session.access_methods(repository).await;
            let methods = methods.map_err(Box::new)?;
            methods.content(access).await?
        };
        Ok(ocm::as_stated(content, self.stated()).await?)
    }

    async fn read(&self, limit: Option<u64>) -> Result<Bytes, ContentError> {
        let access = reachable::check(self.resource.access.as_ref())?;
        let stated = self.stated().map(DigestSpec::digest).transpose()?;
        let (blob, promised) = match self.open(access).await? {
            Content::Blob(blob) => (blob, stated),
            Content::Artifact(artifact) => {
                let actual = artifact.root.digest;
                if let Some(expected) = stated.filter(|it| *it != actual) {
                    return Err(ContentError::Digest { expected, actual });
                }
                (only_layer(&artifact).await?, None)
            }
        };
        if let (Some(limit), Some(size)) = (limit, blob.size())
            && size > limit
        {
            return Err(ContentError::Size { size, limit });
        }
        let stream = checked(&blob, promised).await?;
        let bytes = blob::collect(stream, limit.unwrap_or(u64::MAX)).await;
        bytes.map_err(|error| match error {
            blob::Error::TooLarge { .. } => ContentError::TooLarge,
            error => ContentError::Blob(error),
        })
    }
}

/// Returns what is to be said of a resource whose access alone says all of it.
fn without_a_look(resource: &Resource) -> Option<Pinned> {
    let access = resource.access.as_ref()?;
    let blob = access.as_local_blob()?;
    let spec = stated(resource);
    let same = spec.is_none_or(|spec| {
        let named = blob.local_reference.parse::<Digest>();
        named.is_ok_and(|named| spec.states(&named))
    });
    same.then(|| Pinned {
        access: Some(access.clone()),
        digest: resource.digest.clone(),
        unchecked: None,
    })
}

/// Returns the digest that is stated for content, unless it is left out on purpose.
fn stated(resource: &Resource) -> Option<&DigestSpec> {
    let digest = resource.digest.as_ref();
    digest.filter(|it| !it.is_excluded() && it.is_complete())
}

/// Returns the access to an image with the digest that its name has now.
fn named(access: &Access, artifact: &Artifact) -> Result<Access, ContentError> {
    let Ok(AccessKind::OciImage(image)) = access.kind() else {
        return Ok(access.clone());
    };
    let mut image: ocm::oci::ImageReference = image.image_reference.parse()?;
    image.digest = Some(artifact.root.digest);
    let mut fields = access.as_json().clone();
    let key = fields
        .keys()
        .find(|key| key.eq_ignore_ascii_case("imageReference"))
        .cloned();
    let key = key.unwrap_or_else(|| "imageReference".to_owned());
    fields.insert(key, image.to_string().into());
    Ok(Access::from_json(serde_json::Value::Object(fields)).unwrap_or_else(|_| access.clone()))
}

/// Returns the layer of an artifact that has no other.
async fn only_layer(artifact: &Artifact) -> Result<BlobRef, ContentError> {
    let reference = Reference::Digest(artifact.root.digest);
    let manifest = artifact
        .store
        .manifest(&artifact.repository, &reference)
        .await?;
    match manifest.parse()? {
        Document::Image(image) => match image.layers.as_slice() {
            [layer] => Ok(artifact.store.blob(&artifact.repository, layer)),
            layers => Err(ContentError::Layers {
                number: layers.len(),
            }),
        },
        Document::Index(_) => Err(ContentError::Index),
    }
}

/// Opens content so that it is checked. A blob that knows its digest does that by itself.
async fn checked(blob: &BlobRef, expected: Option<Digest>) -> Result<ByteStream, blob::Error> {
    let stream = blob.open().await?;
    Ok(match expected {
        Some(digest) if blob.digest() != expected => verify(
            stream,
            Promise {
                size: None,
                digest: Some(digest),
            },
        ),
        _ => stream,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(access: serde_json::Value, digest: Option<DigestSpec>) -> Resource {
        let access = Access::from_json(access).expect("an access");
        let version = "1.0.0".parse().expect("a version");
        let relation = ocm::model::element::Relation::Local;
        Resource {
            digest,
            ..Resource::new("notes", version, "blob", relation, access)
        }
    }

    #[test]
    fn a_local_blob_that_is_named_by_its_digest_needs_no_look() {
        let digest = Digest::sha256(b"notes");
        let access = json!({
            "type": "localBlob",
            "localReference": digest.to_string(),
            "mediaType": "text/plain",
        });
        for (stated, is_enough) in [
            (None, true),
            (Some(DigestSpec::excluded()), true),
            (Some(DigestSpec::generic_blob(&digest)), true),
            (
                Some(DigestSpec::generic_blob(&Digest::sha256(b"other"))),
                false,
            ),
        ] {
            let pinned = without_a_look(&resource(access.clone(), stated.clone()));
            assert_eq!(pinned.is_some(), is_enough, "{stated:?}");
            if let Some(pinned) = pinned {
                assert_eq!(pinned.digest, stated);
            }
        }
        let image = json!({"type": "ociArtifact", "imageReference": "acme.org/notes:1"});
        assert_eq!(without_a_look(&resource(image, None)), None);
    }
}
