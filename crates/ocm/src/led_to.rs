//! Finding components without a list of them.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_model::{ComponentName, Reference};
use ocm_repository::RepositoryRef;

use crate::error::Error;
use crate::remove::{PARALLEL, versions_of_all};
use crate::session::Ocm;

impl Ocm {
    /// Returns components of a place, and all components there to which any version of them leads,
    /// however far down. For places that do not list what they have: a product leads to its parts.
    ///
    /// # Errors
    ///
    /// One of those that are named is not there, or a component version cannot be read.
    pub async fn components_led_to(
        &self,
        repository: &RepositoryRef,
        roots: impl IntoIterator<Item = ComponentName>,
    ) -> Result<BTreeSet<ComponentName>, Error> {
        let mut found: BTreeSet<ComponentName> = roots.into_iter().collect();
        for root in &found {
            // To be missing is an error for what is named, and none for what is referred to.
            repository.versions(root).await?;
        }
        let mut open = found.clone();
        while !open.is_empty() {
            let versions = versions_of_all(repository, std::mem::take(&mut open)).await?;
            let mut read = stream::iter(versions)
                .map(|id| async move {
                    let stored = repository.component_version(&id).await?;
                    let references = stored.descriptor.references();
                    let components = references.iter().map(Reference::component);
                    Ok::<_, Error>(components.map(|id| id.name).collect::<Vec<_>>())
                })
                .buffered(PARALLEL);
            while let Some(components) = read.try_next().await? {
                let fresh = components.into_iter();
                open.extend(fresh.filter(|name| found.insert(name.clone())));
            }
        }
        Ok(found)
    }
}
