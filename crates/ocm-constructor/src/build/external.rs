//! Bringing component versions along that are referred to and stand elsewhere.

use std::collections::BTreeSet;

use ocm_model::{ComponentVersionId, Descriptor, DigestSpec};
use ocm_repository::{Expected, RepositoryRef};

use super::references::{Found, Referenced};
use super::{Build, BuildError, ExternalPolicy, printed};
use crate::place::Place;

/// A step of the walk over references.
enum Step {
    Enter(Found),
    /// Everything below has been listed.
    Leave(RepositoryRef, Descriptor),
}

impl Build<'_> {
    /// Copies what is referred to and not in the target, if the options ask for it.
    pub(super) async fn copy_externals(
        &self,
        referenced: &Referenced,
    ) -> Result<Vec<ComponentVersionId>, BuildError> {
        let mut copied = Vec::new();
        if self.options.external == ExternalPolicy::Skip {
            return Ok(copied);
        }
        let mut seen = BTreeSet::new();
        for component in self.components {
            for entry in &component.references {
                let Some(found) = referenced.0.get(&entry.element.component()) else {
                    continue;
                };
                let order = self.order(found.clone(), &entry.place, &mut seen).await?;
                for (from, descriptor) in order {
                    self.copy(&from, &descriptor, &entry.place).await?;
                    copied.push(descriptor.id().clone());
                }
            }
        }
        Ok(copied)
    }

    /// Lists what has to be copied, children before parents. What the target has is whole, and
    /// what is in the file is going to be written.
    async fn order(
        &self,
        root: Found,
        place: &Place,
        seen: &mut BTreeSet<ComponentVersionId>,
    ) -> Result<Vec<(RepositoryRef, Descriptor)>, BuildError> {
        let mut order = Vec::new();
        let mut pending = vec![Step::Enter(root)];
        while let Some(step) = pending.pop() {
            let found = match step {
                Step::Enter(found) => found,
                Step::Leave(from, descriptor) => {
                    order.push((from, descriptor));
                    continue;
                }
            };
            let Some(from) = found.elsewhere else {
                continue;
            };
            if !seen.insert(found.descriptor.id().clone()) {
                continue;
            }
            let references = found.descriptor.references();
            pending.push(Step::Leave(from, found.descriptor));
            for reference in references {
                let child = reference.component();
                let in_file = self
                    .components
                    .iter()
                    .any(|component| component.id == child);
                if !in_file && !seen.contains(&child) {
                    pending.push(Step::Enter(self.find(&child, place).await?));
                }
            }
        }
        Ok(order)
    }

    async fn copy(
        &self,
        from: &RepositoryRef,
        source: &Descriptor,
        place: &Place,
    ) -> Result<(), BuildError> {
        let id = source.id();
        let mut descriptor = source.clone();
        let failed = |action| {
            move |source| BuildError::Repository {
                action,
                what: id.to_string(),
                source,
            }
        };
        let resources = source
            .resources()
            .into_iter()
            .map(|resource| (true, resource.name, resource.access, resource.digest));
        let sources = source
            .sources()
            .into_iter()
            .map(|source| (false, source.name, source.access, None));
        let (mut resource_index, mut source_index) = (0, 0);
        for (is_resource, name, access, digest) in resources.chain(sources) {
            let index = if is_resource {
                &mut resource_index
            } else {
                &mut source_index
            };
            let at = std::mem::replace(index, *index + 1);
            let Some(access) = access.filter(ocm_model::Access::is_local) else {
                continue;
            };
            let content = from
                .local_content(id, &access)
                .await
                .map_err(failed("read"))?;
            let local = access.as_local_blob();
            let reference_name = local.and_then(|local| local.reference_name);
            let added = self
                .target
                .add_content(id, &content, reference_name.as_deref(), &self.options.copy)
                .await
                .map_err(failed("copy"))?;
            if let Some(expected) = digest.filter(|digest| !agrees(digest, &added.digest)) {
                return Err(BuildError::DigestMismatch {
                    place: place.clone(),
                    what: format!("resource `{name}` of {id}"),
                    expected: printed(&expected),
                    actual: printed(&added.digest),
                });
            }
            let changed = if is_resource {
                descriptor.set_resource_access(at, added.access)
            } else {
                descriptor.set_source_access(at, added.access)
            };
            changed.map_err(|error| {
                let what = id.to_string();
                let source = ocm_repository::Error::backend("change", what.clone(), error);
                failed("copy")(source)
            })?;
        }
        let written = self.target.put(&descriptor, Expected::Absent).await;
        written.map_err(failed("write")).map(drop)
    }
}

/// Whether a digest of the source is that of the copy, as far as both are of the same algorithm.
fn agrees(expected: &DigestSpec, actual: &DigestSpec) -> bool {
    expected.algorithm() != actual.algorithm()
        || actual.digest().is_ok_and(|digest| expected.states(&digest))
}
