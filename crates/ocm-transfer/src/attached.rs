//! What has been attached to artifacts since the target has them.

use futures::future::try_join;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_model::access::AccessKind;
use ocm_model::{Access, ComponentVersionId, ElementKind};
use ocm_oci::{CopyOptions, ImageReference, lacks_referrers};
use ocm_repository::{Artifact, Content, RepositoryRef, selection_of};

use crate::assess::Assessment;
use crate::contents::Incoming;
use crate::error::Error;
use crate::gather::{Gatherer, at, is_missing};
use crate::plan::Action;

/// How many artifacts of a component version are looked at at a time.
const PARALLEL: usize = 4;

impl Gatherer {
    /// Brings artifacts once more to which something has been attached at the source that the
    /// target lacks: signatures, attestations, bills of materials.
    pub(crate) async fn look_for_attached(
        &self,
        source: &RepositoryRef,
        incoming: &Incoming<'_>,
        assessment: &mut Assessment,
    ) -> Result<(), Error> {
        let id = incoming.id();
        let held = std::mem::take(&mut assessment.held).into_iter();
        let looks = held.filter_map(|held| {
            let access = match held.kind {
                ElementKind::Source => incoming.sources()[held.index].access.clone(),
                _ => incoming.resources()[held.index].access.clone(),
            };
            let access = access.filter(|access| is_asked(source, access))?;
            Some(async move {
                let lacks = self.lacks_attached(source, id, &access, &held.there).await;
                lacks.map(|lacks| lacks.then_some(held))
            })
        });
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffered(PARALLEL);
        let mut is_any_new = false;
        while let Some(held) = looks.try_next().await? {
            let Some(held) = held else { continue };
            is_any_new = true;
            let elements = match held.kind {
                ElementKind::Source => &mut assessment.sources,
                _ => &mut assessment.resources,
            };
            elements[held.index].step = held.step;
        }
        match assessment.action {
            Action::Skip if is_any_new => {
                assessment.action = Action::Update;
                "something was attached to an artifact since the target has it"
                    .clone_into(&mut assessment.reason);
            }
            Action::Skip => {
                assessment.resources.clear();
                assessment.sources.clear();
            }
            _ => {}
        }
        Ok(())
    }

    async fn lacks_attached(
        &self,
        source: &RepositoryRef,
        id: &ComponentVersionId,
        here: &Access,
        there: &Access,
    ) -> Result<bool, Error> {
        let selection = selection_of(there);
        let (here, there) = try_join(
            self.artifact(source, id, here),
            self.artifact(&self.target, id, there),
        )
        .await?;
        let (Some(here), Some(there)) = (here, there) else {
            return Ok(false);
        };
        let options = CopyOptions::new(PARALLEL).with_selection(selection);
        let target = (&there.store, &there.repository);
        let lacks = lacks_referrers(
            (&here.store, &here.repository),
            &here.root,
            target,
            &options,
        );
        match lacks.await {
            Ok(lacks) => Ok(lacks),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => {
                let error = ocm_repository::Error::backend("list", "referrers", error);
                Err(Error::repository("compare", at(id, source), error))
            }
        }
    }

    /// Returns an artifact, if there is one that can be read. What the source lacks need not come
    /// from there; what the target lacks, checking finds.
    async fn artifact(
        &self,
        repository: &RepositoryRef,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Option<Artifact>, Error> {
        match self.access.content_of(repository, id, access).await {
            Ok(Content::Artifact(artifact)) => Ok(Some(*artifact)),
            Ok(Content::Blob(_)) | Err(ocm_repository::Error::UnsupportedAccess { .. }) => Ok(None),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(Error::repository("read", at(id, repository), error)),
        }
    }
}

/// Tells whether content is looked at that the target has: where it is with its component version,
/// or in the same registry. Nobody else is asked, who may be out of reach by now.
fn is_asked(source: &RepositoryRef, access: &Access) -> bool {
    if access.is_local() {
        return true;
    }
    let Ok(AccessKind::OciImage(image)) = access.kind() else {
        return false;
    };
    let Ok(reference) = image.image_reference.parse::<ImageReference>() else {
        return false;
    };
    let location = source.location();
    let place = location
        .split_once("://")
        .map_or(location.as_str(), |(_, place)| place);
    place.split('/').next() == Some(reference.registry.as_str())
}
