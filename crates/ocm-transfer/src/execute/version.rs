//! Bringing one component version to the target.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_model::descriptor::ElementContent;
use ocm_model::{Access, ComponentVersionId, Descriptor, DigestSpec, ElementKind};
use ocm_oci::{CopyOptions, Moved, Turn, Turns};
use ocm_repository::{Expected, RepositoryRef};

use super::content::{Brought, Mover};
use crate::assess::assess;
use crate::contents::Incoming;
use crate::decide::difference;
use crate::error::{Conflict, ElementId, Error};
use crate::gather::{at, read};
use crate::merge::merge;
use crate::plan::{Action, ElementPlan, VersionPlan};
use crate::progress::TransferProgress;
use crate::report::Note;
use crate::step::Step;
use crate::transfer::Transfer;

/// What it takes to work on component versions.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) transfer: Transfer,
    pub(super) copy: CopyOptions,
    pub(super) progress: Arc<dyn TransferProgress>,
}

/// What was done with a component version.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) action: Action,
    pub(super) notes: Vec<Note>,
}

/// What is to be done with a component version, by the plan or after a second look.
struct Work {
    action: Action,
    expected: Expected,
    /// What the target has, if that is the same content.
    existing: Option<Descriptor>,
    resources: Vec<ElementPlan>,
    sources: Vec<ElementPlan>,
}

/// Content that has to move.
#[derive(Clone)]
struct Piece {
    element: ElementId,
    index: usize,
    access: Access,
    digest: Option<DigestSpec>,
    size: Option<u64>,
    step: Step,
}

impl Worker {
    /// Does nothing about a component version that the target has.
    pub(super) fn skip(&self, index: usize, turn: &Turn) -> Done {
        let done = Done {
            action: Action::Skip,
            notes: Vec::new(),
        };
        self.finish(index, turn, done)
    }

    /// Brings a component version as the plan says. If somebody else has changed the target since,
    /// it is decided anew, once.
    pub(super) async fn transfer_version(&self, index: usize, turn: Turn) -> Result<Done, Error> {
        let plan = &self.transfer.plan.component_versions[index];
        self.progress.started(&plan.id);
        let done = self.bring(plan, &turn).await?;
        Ok(self.finish(index, &turn, done))
    }

    fn finish(&self, index: usize, turn: &Turn, done: Done) -> Done {
        let plan = &self.transfer.plan.component_versions[index];
        turn.pass();
        self.progress.finished(&plan.id, done.action);
        done
    }

    async fn bring(&self, plan: &VersionPlan, turn: &Turn) -> Result<Done, Error> {
        let source = self.transfer.sources.get(&plan.source)?;
        let stored = read(source, &plan.id).await?;
        if stored.stored_digest != plan.source_digest {
            return Err(Error::ChangedSince {
                id: plan.id.clone(),
                location: source.location(),
            });
        }
        let incoming = stored.descriptor;
        let first = match self.planned(plan).await? {
            Some(work) => self.write(source, &incoming, work, turn).await,
            None => Ok(None),
        };
        match first {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => {}
            // What the target has lost again is found out by looking.
            Err(error) if error.is_loss() => {
                tracing::warn!(id = %plan.id, %error, "the target has lost content, which is sent again");
            }
            Err(error) => return Err(error),
        }
        let Some(work) = self.second_look(plan, &incoming).await? else {
            return Ok(Done {
                action: Action::Skip,
                notes: Vec::new(),
            });
        };
        let written = self.write(source, &incoming, work, turn).await?;
        written.ok_or_else(|| {
            let changed = ocm_repository::Error::Changed {
                id: plan.id.clone(),
                location: self.transfer.target.location(),
            };
            Error::repository("write", at(&plan.id, &self.transfer.target), changed)
        })
    }

    /// Returns what the plan says; `None` if the target is not any more what it was about.
    async fn planned(&self, plan: &VersionPlan) -> Result<Option<Work>, Error> {
        let expected = plan
            .target_digest
            .map_or(Expected::Absent, Expected::Stored);
        let mut existing = None;
        if plan.action == Action::Update {
            let stored = match read(&self.transfer.target, &plan.id).await {
                Ok(stored) => stored,
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            };
            if Some(stored.stored_digest) != plan.target_digest {
                return Ok(None);
            }
            existing = Some(stored.descriptor);
        }
        Ok(Some(Work {
            action: plan.action,
            expected,
            existing,
            resources: plan.resources.clone(),
            sources: plan.sources.clone(),
        }))
    }

    /// Decides anew; `None` if there is nothing left to do. Steps stay as they are, but for those
    /// that the target has made unnecessary before.
    async fn second_look(
        &self,
        plan: &VersionPlan,
        incoming: &Descriptor,
    ) -> Result<Option<Work>, Error> {
        let id = incoming.id();
        let (expected, existing) = match read(&self.transfer.target, id).await {
            Ok(stored) => (
                Expected::Stored(stored.stored_digest),
                Some(stored.descriptor),
            ),
            Err(error) if error.is_not_found() => (Expected::Absent, None),
            Err(error) => return Err(error),
        };
        let options = &self.transfer.plan.options;
        let steps = plan.resources.iter().map(|element| &element.step);
        let given = steps.map(|step| (*step != Step::Present).then(|| step.clone()));
        let given: Vec<_> = given.collect();
        let access = &self.transfer.access;
        let assessment = assess(
            existing.as_ref(),
            &Incoming::new(incoming),
            options,
            access,
            &given,
        )
        .map_err(|difference| Error::Conflict {
            target: self.transfer.target.location(),
            conflicts: vec![Conflict {
                id: id.clone(),
                difference,
            }],
        })?;
        if !assessment.beyond_reach.is_empty() {
            return Err(Error::BeyondReach {
                elements: assessment.beyond_reach,
            });
        }
        Ok((assessment.action != Action::Skip).then(|| Work {
            existing: existing.filter(|_| assessment.action == Action::Update),
            action: assessment.action,
            expected,
            resources: assessment.resources,
            sources: assessment.sources,
        }))
    }

    /// Moves the content, then writes the descriptor; `None` if the target was changed meanwhile.
    async fn write(
        &self,
        source: &RepositoryRef,
        incoming: &Descriptor,
        work: Work,
        turn: &Turn,
    ) -> Result<Option<Done>, Error> {
        let id = incoming.id();
        let mut descriptor = match &work.existing {
            None => incoming.clone(),
            Some(existing) => {
                merge(existing, incoming).map_err(|error| Error::plan(error.to_string()))?
            }
        };
        let pieces = pieces(incoming, &work)?;
        let mut notes = kept(id, &work);
        for (piece, moved) in self.move_all(source, id, pieces, turn).await? {
            let access = with_what_was_there(moved.access, work.existing.as_ref(), &piece);
            let set = match piece.element.kind {
                ElementKind::Source => descriptor.set_source_access(piece.index, access),
                _ => descriptor.set_resource_access(piece.index, access),
            };
            set.map_err(|error| Error::plan(error.to_string()))?;
            notes.extend(moved.note.map(|text| note(id, piece.element, text)));
        }
        if let Some(difference) = difference(incoming, &descriptor) {
            return Err(Error::DigestChanged {
                id: id.clone(),
                difference,
            });
        }
        match self.transfer.target.put(&descriptor, work.expected).await {
            Ok(_) => Ok(Some(Done {
                action: work.action,
                notes,
            })),
            Err(ocm_repository::Error::Changed { .. }) => Ok(None),
            Err(error) => Err(Error::repository(
                "write",
                at(id, &self.transfer.target),
                error,
            )),
        }
    }

    /// Moves content, different content side by side, the same one after the other.
    async fn move_all(
        &self,
        source: &RepositoryRef,
        id: &ComponentVersionId,
        pieces: Vec<Piece>,
        turn: &Turn,
    ) -> Result<Vec<(Piece, Brought)>, Error> {
        let mut groups: Vec<Vec<Piece>> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for piece in pieces {
            let what = match piece.access.as_local_blob() {
                Some(blob) => blob.local_reference,
                None => serde_json::to_string(piece.access.as_json()).unwrap_or_default(),
            };
            let group = *known.entry(what).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(piece);
        }
        let turns = Turns::within(Some(turn));
        let moving = groups.into_iter().map(|group| {
            let turn = turns.next();
            let mover = Mover {
                id: id.clone(),
                source: Arc::clone(source),
                target: Arc::clone(&self.transfer.target),
                access: self.transfer.access.clone(),
                copy: self.copy.clone().in_turn(turn.clone()),
                platforms: self.transfer.plan.options.platforms.clone(),
            };
            async move {
                let mut results = Vec::new();
                for piece in group {
                    let moved = mover
                        .bring(
                            &piece.element,
                            &piece.access,
                            piece.digest.as_ref(),
                            &piece.step,
                        )
                        .await?;
                    let done = Moved {
                        planned: piece.size,
                        read: moved.read,
                        outcome: moved.outcome,
                    };
                    self.progress
                        .content_finished(&mover.id, &piece.element, &done);
                    results.push((piece, moved));
                }
                turn.pass();
                Ok::<_, Error>(results)
            }
        });
        let moving: Vec<_> = moving.collect();
        turns.close();
        let mut moved: Vec<(Piece, Brought)> = stream::iter(moving)
            .buffer_unordered(self.copy.parallel())
            .try_concat()
            .await?;
        moved.sort_by_key(|(piece, _)| (piece.element.kind, piece.index));
        Ok(moved)
    }
}

/// Pairs the steps with the elements they are about.
fn pieces(incoming: &Descriptor, work: &Work) -> Result<Vec<Piece>, Error> {
    let lists = [
        (ElementKind::Resource, &work.resources),
        (ElementKind::Source, &work.sources),
    ];
    if lists
        .iter()
        .any(|(kind, plan)| incoming.list(*kind).len() != plan.len())
    {
        let reason = format!(
            "the steps for {} do not fit its resources and sources",
            incoming.id()
        );
        return Err(Error::plan(reason));
    }
    let all = lists.into_iter().flat_map(|(kind, plan)| {
        let contents = incoming.contents(kind).zip(plan).enumerate();
        contents.filter_map(move |(index, (content, plan))| piece(kind, index, content, plan))
    });
    all.collect()
}

fn piece(
    kind: ElementKind,
    index: usize,
    content: ElementContent<'_>,
    plan: &ElementPlan,
) -> Option<Result<Piece, Error>> {
    if !plan.step.moves() {
        return None;
    }
    let element = ElementId {
        kind,
        identity: content.identity(),
    };
    if plan.identity != element.identity {
        return Some(Err(Error::plan(format!(
            "its step for `{}` is about {element}",
            plan.identity
        ))));
    }
    let Some(access) = content.access() else {
        return Some(Err(Error::plan(format!(
            "{element} has no content that could move"
        ))));
    };
    Some(Ok(Piece {
        element,
        index,
        access,
        digest: content.digest(),
        size: plan.size,
        step: plan.step.clone(),
    }))
}

/// Says of images that were brought to an index beside which others had been before, that both are
/// there.
fn with_what_was_there(access: Access, existing: Option<&Descriptor>, piece: &Piece) -> Access {
    let before = existing.and_then(|existing| match piece.element.kind {
        ElementKind::Source => existing.sources().into_iter().nth(piece.index)?.access,
        _ => existing.resources().into_iter().nth(piece.index)?.access,
    });
    let place = |access: &Access| access.clone().with_platforms(None);
    let before = before.filter(|before| place(before) == place(&access));
    let before = before.and_then(|before| before.platforms());
    let (Some(mut platforms), Some(before)) = (access.platforms(), before) else {
        return access;
    };
    platforms.extend(before);
    platforms.sort();
    platforms.dedup();
    access.with_platforms(Some(&platforms))
}

/// Repeats the notes of the plan.
fn kept(id: &ComponentVersionId, work: &Work) -> Vec<Note> {
    let lists = [
        (ElementKind::Resource, &work.resources),
        (ElementKind::Source, &work.sources),
    ];
    let notes = lists.into_iter().flat_map(|(kind, elements)| {
        elements.iter().filter_map(move |element| {
            let identity = element.identity.clone();
            Some(note(
                id,
                ElementId { kind, identity },
                element.note.clone()?,
            ))
        })
    });
    notes.collect()
}

fn note(id: &ComponentVersionId, element: ElementId, text: String) -> Note {
    Note {
        id: id.clone(),
        element: element.kind.as_str(),
        identity: element.identity,
        text,
    }
}
