//! Looking at one part.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;

use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_model::{Access, ComponentVersionId, DigestSpec};
use ocm_oci::{
    CopyOptions, Depth, Descriptor as Entry, Moved, Outcome, Referrer, Selection, Survey,
    check_blob, list_referrers, look_at, survey,
};
use ocm_repository::{AccessMethods, Artifact, Content, selection_of};
use ocm_signing::references::RestateError;

use super::{Item, Part, PartKind, PartOutcome};
use crate::error::Error;
use crate::kind::{Kind, causes, reason_of};
use crate::stated::{as_stated, states_artifact};
use crate::verify::content::{Read, read};

/// How many artifacts may refer to those of one component version, directly or not.
const MAX_REFERRERS: usize = 100_000;

type Source = Box<dyn StdError + Send + Sync>;

/// Of what in an artifact referrers are looked for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Within {
    Everything,
    Root,
}

/// How parts are looked at.
pub(super) struct Look {
    pub(super) methods: AccessMethods,
    pub(super) depth: Depth,
    pub(super) only_local: bool,
    pub(super) copy: CopyOptions,
}

impl Look {
    /// Looks at the content of a resource or a source, and returns it if it is an artifact.
    pub(super) async fn at(&self, item: &Item) -> (PartOutcome, Option<Artifact>) {
        let Some(access) = item.access.as_ref().filter(|access| !access.is_none()) else {
            return (PartOutcome::Empty, None);
        };
        // Sources have no digests, so that one elsewhere could be anything.
        let is_left_alone = self.only_local || item.kind == PartKind::Source;
        if is_left_alone && !access.is_local() {
            return (PartOutcome::Elsewhere, None);
        }
        let content = self
            .methods
            .content_of(&item.repository, &item.component, access)
            .await;
        match content {
            Err(error) => (outcome_of(&error), None),
            Ok(Content::Artifact(artifact)) => {
                let selection = selection_of(access);
                let outcome = self.at_stated_artifact(&artifact, item.digest.as_ref(), selection);
                (outcome.await, Some(*artifact))
            }
            Ok(Content::Blob(blob)) => {
                let outcome = self.at_blob(item, access, blob).await;
                (
                    outcome.unwrap_or_else(|error| outcome_of(error.as_ref())),
                    None,
                )
            }
        }
    }

    async fn at_stated_artifact(
        &self,
        artifact: &Artifact,
        spec: Option<&DigestSpec>,
        selection: Selection,
    ) -> PartOutcome {
        let actual = artifact.root.digest;
        match expected(spec) {
            Ok(Some(expected)) if expected != actual => has_other(&expected, &actual),
            Ok(_) => {
                self.at_artifact(artifact, &BTreeSet::new(), selection)
                    .await
            }
            Err(outcome) => outcome,
        }
    }

    /// Looks at everything that belongs to an artifact, except for some of it.
    pub(super) async fn at_artifact(
        &self,
        artifact: &Artifact,
        except: &BTreeSet<Digest>,
        selection: Selection,
    ) -> PartOutcome {
        let Artifact {
            store,
            repository,
            root,
        } = artifact;
        let options = self.copy.clone().with_selection(selection);
        match survey(store, repository, root, except, self.depth, &options).await {
            Ok(survey) => self.outcome_of_survey(&survey),
            Err(error) => outcome_of(&error),
        }
    }

    async fn at_blob(
        &self,
        item: &Item,
        access: &Access,
        blob: BlobRef,
    ) -> Result<PartOutcome, Source> {
        let spec = item.digest.as_ref().filter(|spec| !spec.is_excluded());
        let expected = match expected(spec) {
            Ok(expected) => expected,
            Err(outcome) => return Ok(outcome),
        };
        if self.depth == Depth::Content {
            let content = as_stated(Content::Blob(BlobRef::clone(&blob)), spec).await?;
            let Some(expected) = expected else {
                let size = check_blob(&blob, &self.copy).await?;
                return Ok(PartOutcome::Verified { size });
            };
            return Ok(match read(&content, expected, &self.copy).await? {
                Read::Right { size } => PartOutcome::Verified { size },
                Read::Other { digest } => has_other(&expected, &digest),
            });
        }
        // An artifact in a blob has the digest of the artifact.
        let is_of_blob = !spec.is_some_and(states_artifact);
        if let (Some(expected), Some(actual)) = (expected, blob.digest())
            && is_of_blob
            && expected.algorithm() == actual.algorithm()
            && expected != actual
        {
            return Ok(has_other(&expected, &actual));
        }
        if let (true, Some(digest), Some(size)) = (access.is_local(), blob.digest(), blob.size())
            && let Some(artifact) = &item.stored
        {
            let media_type = blob.media_type().unwrap_or_default();
            let entry = Entry::new(media_type, digest, size);
            let (store, repository) = (&artifact.store, &artifact.repository);
            look_at(store, repository, &entry, self.depth, &self.copy).await?;
        } else {
            // Who opens it, is told when it is not there.
            drop(blob.open().await?);
        }
        Ok(PartOutcome::Present { size: blob.size() })
    }

    /// Looks at what refers to artifacts, to what is in them, and to what refers to that.
    ///
    /// What is in the `stored` form of a component version is among the artifacts already.
    pub(super) async fn at_referrers(
        &self,
        artifacts: Vec<(ComponentVersionId, Artifact)>,
        stored: Vec<(ComponentVersionId, Artifact)>,
    ) -> Vec<Part> {
        let artifacts = artifacts.into_iter().map(|it| (it, Within::Everything));
        let stored = stored.into_iter().map(|it| (it, Within::Root));
        let mut parts = Vec::new();
        let mut seen = BTreeSet::new();
        for ((id, artifact), within) in artifacts.chain(stored) {
            let part =
                |name: String, outcome| Part::new(id.clone(), PartKind::Referrer, name, outcome);
            let place = |digest| {
                (
                    artifact.store.location(),
                    artifact.repository.clone(),
                    digest,
                )
            };
            if !seen.insert(place(artifact.root.digest)) {
                continue;
            }
            let referrers = match self.referrers_of(&artifact, within).await {
                Ok(referrers) => referrers,
                Err(error) => {
                    let name = format!("referrers of {}", artifact.root.digest);
                    parts.push(part(name, outcome_of(&error)));
                    continue;
                }
            };
            for Referrer { manifest, tag } in referrers {
                if parts.len() >= MAX_REFERRERS {
                    let reason = format!("there are more than {MAX_REFERRERS}");
                    let name = format!("referrers of {}", artifact.root.digest);
                    parts.push(part(name, PartOutcome::Wrong { reason }));
                    return parts;
                }
                if !seen.insert(place(manifest.digest)) {
                    continue;
                }
                let name = match (&tag, &manifest.artifact_type) {
                    (Some(tag), _) => tag.as_str().to_owned(),
                    (None, Some(kind)) => format!("{} ({kind})", manifest.digest),
                    (None, None) => manifest.digest.to_string(),
                };
                let referrer = Artifact {
                    root: manifest,
                    ..artifact.clone()
                };
                let outcome = self
                    .at_artifact(&referrer, &BTreeSet::new(), Selection::all())
                    .await;
                parts.push(part(name, outcome));
            }
        }
        parts
    }

    async fn referrers_of(
        &self,
        artifact: &Artifact,
        within: Within,
    ) -> Result<Vec<Referrer>, ocm_oci::Error> {
        let place = (&artifact.store, &artifact.repository);
        let mut found = Vec::new();
        let mut roots = vec![artifact.root.clone()];
        if within == Within::Root {
            roots = artifact
                .store
                .referrers(place.1, &artifact.root.digest)
                .await?;
            found.extend(roots.iter().map(|entry| Referrer {
                manifest: entry.clone(),
                tag: None,
            }));
        }
        for root in &roots {
            let listed = list_referrers(place, root, &self.copy).await?;
            found.extend(listed.into_iter().flat_map(|(_, new)| new));
        }
        Ok(found)
    }

    fn outcome_of_survey(&self, survey: &Survey) -> PartOutcome {
        let size = survey.size;
        if survey.faults.is_empty() {
            return match self.depth {
                Depth::Presence => PartOutcome::Present { size: Some(size) },
                Depth::Content => PartOutcome::Verified { size },
            };
        }
        let outcomes: Vec<PartOutcome> = survey.faults.iter().map(|it| outcome_of(it)).collect();
        let is_wrong = (outcomes.iter()).any(|it| matches!(it, PartOutcome::Wrong { .. }));
        let reasons: Vec<String> = survey.faults.iter().map(|it| reason_of(it)).collect();
        let reason = reasons.join("; ");
        if is_wrong {
            PartOutcome::Wrong { reason }
        } else {
            PartOutcome::Missing { reason }
        }
    }
}

/// Says for progress what was done with a part.
pub(super) fn moved(outcome: &PartOutcome) -> Moved {
    let (read, outcome) = match outcome {
        PartOutcome::Verified { size } => (*size, Outcome::Copied),
        _ => (0, Outcome::Existed),
    };
    Moved {
        planned: None,
        read,
        outcome,
    }
}

/// Returns the digest that content should have.
fn expected(spec: Option<&DigestSpec>) -> Result<Option<Digest>, PartOutcome> {
    let spec = spec.filter(|spec| !spec.is_excluded() && spec.is_complete());
    let digest = spec.map(DigestSpec::digest).transpose();
    digest.map_err(|error| PartOutcome::Wrong {
        reason: error.to_string(),
    })
}

fn has_other(expected: &Digest, actual: &Digest) -> PartOutcome {
    PartOutcome::Wrong {
        reason: format!("it has digest {actual}, stated is {expected}"),
    }
}

/// Says what an error makes of the part that it is about.
pub(super) fn outcome_of(error: &(dyn StdError + 'static)) -> PartOutcome {
    let reason = reason_of(error);
    if causes(error).any(is_missing) {
        return PartOutcome::Missing { reason };
    }
    match Kind::of(error) {
        Kind::NotFound => PartOutcome::Missing { reason },
        Kind::VerificationFailed => PartOutcome::Wrong { reason },
        _ if causes(error).any(is_malformed) => PartOutcome::Wrong { reason },
        kind => PartOutcome::Unreadable { reason, kind },
    }
}

/// Content that is promised and missing is a failed verification elsewhere; here it is told apart.
fn is_missing(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref().is_some_and(|error: &ocm_oci::Error| {
        error.is_not_found() || matches!(error, ocm_oci::Error::Dangling { .. })
    }) || (error.downcast_ref()).is_some_and(|error: &ocm_repository::Error| {
        error.is_not_found() || matches!(error, ocm_repository::Error::NoLocalBlob { .. })
    }) || (error.downcast_ref())
        .is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::NotFound)
}

fn is_malformed(error: &(dyn StdError + 'static)) -> bool {
    (error.downcast_ref()).is_some_and(|error: &ocm_oci::Error| {
        matches!(
            error,
            ocm_oci::Error::Malformed { .. } | ocm_oci::Error::TooLarge { .. }
        )
    }) || (error.downcast_ref()).is_some_and(|error: &ocm_repository::Error| {
        matches!(error, ocm_repository::Error::Malformed { .. })
    }) || (error.downcast_ref())
        .is_some_and(|error: &ocm_blob::Error| matches!(error, ocm_blob::Error::Malformed { .. }))
        || (error.downcast_ref())
            .is_some_and(|error: &RestateError| matches!(error, RestateError::TooDeep { .. }))
        || (error.downcast_ref()).is_some_and(|error: &Error| matches!(error, Error::Cycle { .. }))
}
