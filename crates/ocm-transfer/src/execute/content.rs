//! Bringing the content of one resource or source to the target.

use std::error::Error as StdError;
use std::sync::Arc;

use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_model::access::AccessKind;
use ocm_model::{Access, ComponentVersionId, DigestSpec};
use ocm_oci::{CopyOptions, Outcome, PlatformFilter, Tag, check_blob};
use ocm_repository::{
    AccessMethods, AddedContent, Content, LocalAccess, RepositoryRef, selection_of,
};

use super::checked::Checked;
use super::expectation::{Check, Expectation, Mismatch, Ready};
use super::packed::{self, Unpacked};
use crate::error::{ElementId, Error};
use crate::platforms::asked_of;
use crate::relocation::{relocated, with_media_type};
use crate::step::Step;

/// What it takes to move the content of a component version.
#[derive(Debug)]
pub(super) struct Mover {
    pub(super) id: ComponentVersionId,
    pub(super) source: RepositoryRef,
    pub(super) target: RepositoryRef,
    pub(super) access: AccessMethods,
    pub(super) copy: CopyOptions,
    /// The platforms whose images are wanted of an index; none are all.
    pub(super) platforms: Vec<PlatformFilter>,
}

/// Content that is at the target.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) access: Access,
    pub(super) note: Option<String>,
    pub(super) outcome: Outcome,
    /// The bytes that were read for it.
    pub(super) read: u64,
}

impl Mover {
    /// Moves content and returns how it is reached from now on.
    pub(super) async fn bring(
        &self,
        element: &ElementId,
        access: &Access,
        digest: Option<&DigestSpec>,
        step: &Step,
    ) -> Result<Brought, Error> {
        let failed = |source| self.failed(element, source);
        let content = self.access.content_of(&self.source, &self.id, access).await;
        let content = content.map_err(failed)?;
        let prepared = Expectation::of(digest).prepare(content).await;
        let Ready {
            mut content,
            check,
            hidden_media_type,
            mut note,
        } = prepared.map_err(|mismatch| match mismatch {
            Mismatch::Digest(actual) => self.mismatch(element, digest, &actual.to_string()),
            Mismatch::Store(error) => self.failed(element, error),
        })?;

        if let (Step::UploadArtifact { .. }, Content::Blob(blob)) = (step, &content)
            && packed::is_free(blob, digest)
            && let Unpacked::Artifact(artifact) = packed::unpack(blob)
                .await
                .map_err(|error| self.failed(element, error))?
        {
            content = Content::Artifact(artifact);
        }
        if let (Step::UploadArtifact { path, .. }, Content::Blob(_)) = (step, &content) {
            note.get_or_insert_with(|| {
                format!("its content is no OCI artifact, so it is a local blob, not at `{path}`")
            });
        }
        let (copy, meter) = self.copy.metered();
        let selection = selection_of(access).of(&self.platforms);
        let copy = copy.with_selection(selection.clone());
        let added = self.add(access, &content, step, &copy).await;
        let added = added.map_err(failed)?;
        self.check(element, digest, check, &added).await?;

        let outcome = added.outcome;
        // A copy that has everything says nothing.
        let asked = asked_of(access, &self.platforms).filter(|_| selection.has_left_out());
        let platforms: Option<Vec<_>> =
            asked.map(|all| all.iter().map(ToString::to_string).collect());
        let access = match step {
            Step::CopyLocalBlob if matches!(access.kind(), Ok(AccessKind::LocalBlob(_))) => {
                let is_artifact = matches!(content, Content::Artifact(_));
                match LocalAccess::of(&added.access) {
                    Some(new) => relocated(access.clone(), new, is_artifact),
                    None => added.access,
                }
            }
            _ => with_media_type(added.access, hidden_media_type),
        };
        let access = access.with_platforms(platforms.as_deref());
        Ok(Brought {
            access,
            note,
            outcome,
            read: meter.bytes(),
        })
    }

    async fn add(
        &self,
        access: &Access,
        content: &Content,
        step: &Step,
        copy: &CopyOptions,
    ) -> Result<AddedContent, ocm_repository::Error> {
        if let (Step::UploadArtifact { path, tag }, Content::Artifact(artifact)) = (step, content) {
            let tag = tag.as_ref().map(Tag::as_str);
            return self
                .target
                .add_artifact(artifact, path.as_str(), tag, copy)
                .await;
        }
        let name = reference_name(access, step);
        self.target
            .add_content(&self.id, content, name.as_deref(), copy)
            .await
    }

    /// Does what is left to be checked once content has moved.
    async fn check(
        &self,
        element: &ElementId,
        digest: Option<&DigestSpec>,
        check: Check,
        added: &AddedContent,
    ) -> Result<(), Error> {
        let (expected, checked) = match check {
            Check::Done => return Ok(()),
            Check::Stored(expected) => (expected, None),
            Check::Read(checked) => match checked.expected() {
                Some(expected) => (expected, Some(checked)),
                None => return self.prove(element, checked).await,
            },
        };
        let stored: Option<Digest> = added.digest.digest().ok();
        match stored.filter(|stored| stored.algorithm() == expected.algorithm()) {
            Some(stored) if stored == expected => Ok(()),
            Some(stored) => Err(self.mismatch(element, digest, &stored.to_string())),
            None => match checked {
                Some(checked) => self.prove(element, checked).await,
                None => Err(self.mismatch(element, digest, &added.digest.value)),
            },
        }
    }

    /// Reads content that the target had already, so that it has not been read on its way there.
    async fn prove(&self, element: &ElementId, checked: Arc<Checked>) -> Result<(), Error> {
        if checked.is_proven() {
            return Ok(());
        }
        let blob: BlobRef = checked;
        let read = check_blob(&blob, &self.copy).await;
        read.map(drop).map_err(|error| self.failed(element, error))
    }

    fn failed(&self, element: &ElementId, source: impl StdError + Send + Sync + 'static) -> Error {
        Error::Content {
            id: self.id.clone(),
            element: element.clone(),
            source: Box::new(source),
        }
    }

    fn mismatch(&self, element: &ElementId, digest: Option<&DigestSpec>, actual: &str) -> Error {
        let expected = digest.and_then(|spec| spec.digest().ok());
        Error::ContentDigest {
            id: self.id.clone(),
            element: element.clone(),
            expected: expected
                .map(|digest| digest.to_string())
                .unwrap_or_default(),
            actual: actual.to_owned(),
        }
    }
}

/// Returns the name under which content may be uploaded elsewhere.
fn reference_name(access: &Access, step: &Step) -> Option<String> {
    match step {
        Step::CopyByValue { reference_name } => reference_name.clone(),
        Step::UploadArtifact { path, tag } => {
            let tag = tag
                .as_ref()
                .map(|tag| format!(":{tag}"))
                .unwrap_or_default();
            Some(format!("{path}{tag}"))
        }
        _ => access.as_local_blob()?.reference_name,
    }
}
