//! What refers to artifacts comes with them, and is found again.

use ocm_digest::Digest;
use ocm_oci::{
    CopyOptions, Descriptor as Entry, RepositoryName, StoreRef, copy_referrers, tag_referrers,
};
use ocm_repository::Error;

use super::OciComponentRepository;

impl OciComponentRepository {
    /// Copies what refers to an artifact that has been added.
    pub(super) async fn bring_referrers(
        &self,
        source: (&StoreRef, &RepositoryName),
        root: &Entry,
        repository: &RepositoryName,
        options: &CopyOptions,
    ) -> Result<(), Error> {
        let copy = async {
            let target = (&self.store, repository);
            for subject in copy_referrers(source, root, target, options).await? {
                self.tag_referrers(repository, &subject).await?;
            }
            Ok::<_, ocm_oci::Error>(())
        };
        copy.await.map_err(|source| {
            Error::backend("copy", format!("referrers of {}", root.digest), source)
        })
    }

    /// Lists what refers to a manifest under a tag, as the Go tools expect it of archives.
    pub(super) async fn tag_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<(), ocm_oci::Error> {
        match self.registry {
            Some(_) => Ok(()),
            None => tag_referrers((&self.store, repository), subject).await,
        }
    }
}
