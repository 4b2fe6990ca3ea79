//! Manifests, and what leads to them.

use ocm_digest::Digest;
use ocm_oci::{Error, RawManifest, RepositoryName, Tag};

use crate::client::Condition;
use crate::layout::{self, Stored};
use crate::store::Inner;

impl Inner {
    pub(crate) async fn has_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let key = layout::manifest(repository, digest);
        Ok(self.client.head(&key).await?.is_some())
    }

    /// Returns the blob that a manifest points to; `None` if it points to another manifest.
    async fn child(
        &self,
        repository: &RepositoryName,
        parent: &Digest,
        (digest, is_manifest): (Digest, bool),
    ) -> Result<Option<(Digest, Stored)>, Error> {
        if is_manifest && self.has_manifest(repository, &digest).await? {
            return Ok(None);
        }
        if let Some(stored) = self.linked(repository, &digest).await? {
            return Ok(Some((digest, stored)));
        }
        if !is_manifest && self.has_manifest(repository, &digest).await? {
            return Ok(None);
        }
        Err(Error::Dangling {
            what: format!("manifest {parent} of {repository}"),
            digest,
        })
    }

    /// Stores a manifest and what leads to it, but for the tag.
    pub(crate) async fn store_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        let document = manifest.parse()?;
        let digest = manifest.digest();
        let mut children = Vec::new();
        for child in document.children() {
            // What has an address elsewhere need not be here.
            if child.urls.is_empty() {
                children.push((child.digest, child.is_manifest()));
            }
        }
        let blobs = self
            .each(children, |child| self.child(repository, &digest, child))
            .await?;
        self.list_in_catalog(repository).await?;
        let key = layout::manifest(repository, &digest);
        let written = self.client.put(
            &key,
            manifest.media_type(),
            manifest.bytes().clone(),
            &Condition::Always,
        );
        let refer = async {
            let Some(subject) = document.subject() else {
                return Ok(());
            };
            let Some(referrer) = manifest.as_referrer_of(&subject.digest) else {
                return Ok(());
            };
            let key = layout::referrer(repository, &subject.digest, &digest);
            self.write(&key, &referrer).await
        };
        let note_tag = async {
            let Some(tag) = tag else { return Ok(()) };
            let key = format!("{}{tag}", layout::tagged(repository, &digest));
            self.write(&key, &serde_json::json!({})).await
        };
        futures::try_join!(written, refer, note_tag)?;
        // Whoever collects garbage removes links first and then looks for new manifests. So either
        // it sees this one, or what it has removed is seen here. The bytes stay for much longer.
        self.each(blobs.into_iter().flatten(), async |(digest, stored)| {
            let key = layout::link(repository, &digest);
            if self.client.head(&key).await?.is_none() {
                self.write(&key, &stored).await?;
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
}
