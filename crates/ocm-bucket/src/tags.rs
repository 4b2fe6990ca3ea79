//! Tags: what they point to, and how of several who move one at the same time one does.

use bytes::Bytes;
use ocm_digest::Digest;
use ocm_oci::{Descriptor, Error, RawManifest, Reference, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use crate::client::Condition;
use crate::layout::{self, JSON};
use crate::store::{Inner, random};

/// How often a tag is looked at again that others write to.
const ATTEMPTS: usize = 8;

/// What a tag points to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pointer {
    #[serde(flatten)]
    pub(crate) manifest: Descriptor,
    /// Tells two writes of the same apart.
    write: String,
}

impl Inner {
    pub(crate) async fn digest_of(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Digest, Error> {
        match reference {
            Reference::Digest(digest) => Ok(*digest),
            Reference::Tag(tag) => {
                let pointer = self.pointer(repository, tag).await?;
                let (pointer, _) = pointer.ok_or_else(|| missing(repository, reference))?;
                Ok(pointer.manifest.digest)
            }
        }
    }

    pub(crate) async fn pointer(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<(Pointer, String)>, Error> {
        let key = layout::tag(repository, tag);
        let Some(object) = self.client.get(&key, layout::LIMIT).await? else {
            return Ok(None);
        };
        let pointer = layout::from_json(self.client.what(&key), &object.bytes)?;
        Ok(Some((pointer, object.tag)))
    }

    /// Makes a tag point to a manifest that is there, if the condition holds.
    pub(crate) async fn point(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: &Tag,
        condition: &Condition,
    ) -> Result<bool, Error> {
        let pointer = Pointer {
            manifest: manifest.descriptor(),
            write: random()?,
        };
        let key = layout::tag(repository, tag);
        let json = layout::to_json(&pointer)?;
        if self
            .client
            .put(&key, JSON, json, condition)
            .await?
            .is_some()
        {
            return Ok(true);
        }
        // The answer to an attempt that had worked may have been lost.
        let now = self.pointer(repository, tag).await?;
        Ok(now.is_some_and(|(now, _)| now.write == pointer.write))
    }

    /// Removes a tag, unless it points to something else than `only`; returns whether it was there.
    pub(crate) async fn remove_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        only: Option<&Digest>,
    ) -> Result<bool, Error> {
        let key = layout::tag(repository, tag);
        for _ in 0..ATTEMPTS {
            match self.pointer(repository, tag).await? {
                None => return Ok(false),
                Some((now, _)) if only.is_some_and(|only| now.manifest.digest != *only) => {
                    return Ok(false);
                }
                Some((_, version)) => {
                    if self.client.delete_if(&key, &version).await? {
                        return Ok(true);
                    }
                }
            }
        }
        Err(changed(repository, tag))
    }

    pub(crate) async fn has_conditional_writes(&self) -> Result<bool, Error> {
        let found = self.conditional.get_or_try_init(|| async {
            let found = self.try_conditions().await?;
            if !found {
                tracing::warn!(
                    bucket = self.client.name(),
                    "the server of the bucket has no conditional writes; of two that replace a \
                     tag at the same time, the last one wins"
                );
            }
            Ok(found)
        });
        found.await.copied()
    }

    async fn try_conditions(&self) -> Result<bool, Error> {
        let key = format!("{}{}", layout::PROBES, random()?);
        let put = async |condition| {
            let written = self
                .client
                .put(&key, JSON, Bytes::from_static(b"{}"), &condition);
            match written.await {
                Ok(tag) => Ok(tag.is_some()),
                // The server knows the header, and not what to do.
                Err(Error::Remote {
                    status: Some(400 | 501),
                    ..
                }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        let first = put(Condition::Absent).await?;
        let second = put(Condition::Absent).await?;
        let other = "\"00000000000000000000000000000000\"".to_owned();
        let third = put(Condition::Is(other)).await?;
        self.client.delete(&key).await?;
        Ok(first && !second && !third)
    }
}

pub(crate) fn changed(repository: &RepositoryName, tag: &Tag) -> Error {
    Error::Changed {
        what: format!("{repository}:{tag}"),
    }
}

pub(crate) fn missing(repository: &RepositoryName, reference: &Reference) -> Error {
    Error::not_found(format!("{repository}:{reference}"))
}
