//! Sets of objects, as [KEP-3659] has them: objects that belong together, and go when they are no longer
//! wanted.
//!
//! A set has a parent, an object that says in a label which set it is, and in annotations where
//! members may be. Members say in a label which set they are of. Before anything is applied, the
//! parent names all places of members old and new; once the old ones are pruned, those of the new
//! ones alone. So nothing is lost track of, whenever a pass is broken off.
//!
//! Members are listed from the API server itself, by their label and without their content: no
//! cache that could lag behind, and nothing kept.
//!
//! [KEP-3659]: https://git.k8s.io/enhancements/keps/sig-cli/3659-kubectl-apply-prune

mod members;
mod recorded;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::{StreamExt as _, stream};
use kube::Resource as _;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions,
};
use ocm_digest::Digest;
use serde_json::json;
use thiserror::Error as ThisError;

use self::members::{Listing, Member};
pub(crate) use self::recorded::Recorded;
use self::scope::Scope;
use crate::api_error::ApiError;
use crate::apply::{Applier, Membership, Memory, Outcome, stage};
use crate::mapping;
use crate::object_key::{ObjectKey, kind_of};

/// The label of a parent with the identifier of its set.
pub const ID_LABEL: &str = "applyset.kubernetes.io/id";

/// The label of a member with the identifier of its set.
pub const PART_OF_LABEL: &str = crate::apply::PART_OF;

const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";

/// A set and its parent.
#[derive(Clone)]
pub struct ApplySet {
    applier: Applier,
    parent: Parent,
    tooling: String,
    /// What keeps the parent while there are members.
    finalizers: Vec<String>,
    /// The parent as it was seen last, where it is watched.
    seen: Option<ObjectMeta>,
}

/// The object that a set belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parent {
    /// How it is addressed.
    pub resource: ApiResource,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its unique identifier.
    pub uid: String,
}

impl Parent {
    /// Returns the identifier of its set.
    pub fn id(&self) -> String {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let ApiResource { kind, group, .. } = &self.resource;
        let name = format!("{}.{namespace}.{kind}.{group}", self.name);
        let digest = Digest::sha256(name);
        let digest = BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes());
        format!("applyset-{digest}-v1")
    }
}

/// What came of applying a set.
#[derive(Debug)]
pub struct Report {
    /// What came of each object that was wanted, in their order.
    pub outcomes: Vec<Outcome>,
    /// Members that are no longer wanted and have been deleted.
    pub pruned: Vec<ObjectKey>,
    /// Members that are no longer wanted and are still being deleted, or go once those have gone.
    pub terminating: Vec<ObjectKey>,
    /// Why members that are no longer wanted may still be there. Empty also where nothing was
    /// pruned because not everything that is wanted could be applied.
    pub prune_errors: Vec<PruneError>,
    /// How the members were left, apart from those of kinds with a status, for the memory of a
    /// [later process](Memory::of_earlier). It says what was wanted, and which version of which
    /// object that has become, so that it holds as long as it fits. `None` if there are no such
    /// members, or not all is applied.
    pub left: Option<String>,
}

impl Report {
    /// Tells whether everything that is wanted has been applied, and nothing else is left to do.
    pub fn is_complete(&self) -> bool {
        self.is_applied() && self.prune_errors.is_empty()
    }

    fn is_applied(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.result.is_ok())
    }
}

impl ApplySet {
    /// A set whose parent says that a tool, such as `ocm/1.0.0`, takes care of it.
    pub fn new(applier: Applier, parent: Parent, tooling: &str) -> Self {
        Self {
            applier,
            parent,
            tooling: tooling.to_owned(),
            finalizers: Vec::new(),
            seen: None,
        }
    }

    /// Gives the parent finalizers, along with what it says of its members before there are any.
    /// Whoever deletes the set takes them away.
    #[must_use]
    pub fn kept_by(mut self, finalizers: &[&str]) -> Self {
        self.finalizers = finalizers.iter().map(|&it| it.to_owned()).collect();
        self
    }

    /// Has the parent not read before objects are applied: this is how it was seen last. What the
    /// [`Memory`] has of it that is later counts.
    #[must_use]
    pub fn seen_as(mut self, parent: ObjectMeta) -> Self {
        self.seen = Some(parent);
        self
    }

    /// Applies objects, and deletes the members of the set that are not among them. If an object
    /// could not be applied, nothing is deleted.
    ///
    /// # Errors
    ///
    /// The parent cannot be read or written. What goes wrong with objects is in the report.
    ///
    /// # Cancellation
    ///
    /// What was applied is found again by the next pass, as the parent names its places before.
    pub async fn apply(
        &self,
        objects: Vec<DynamicObject>,
        memory: &Memory,
    ) -> Result<Report, Error> {
        let recorded = match &self.seen {
            Some(seen) => Some(memory.recorded(|| self.read(seen))),
            None => self.recorded().await?,
        };
        let Some(recorded) = recorded else {
            return Err(self.parent_gone());
        };
        let kinds: Vec<_> = objects.iter().map(kind_of).collect();
        let mut wanted = Scope::default();
        for (kind, object) in kinds.iter().zip(&objects) {
            wanted.add_kind(&kind.group, &kind.kind);
            // Whether a kind that is not served yet has namespaces shows when it is.
            let namespaced = match self.applier.mapping().find(kind).await {
                Ok(Some(mapped)) => mapped.namespaced,
                Ok(None) | Err(_) => true,
            };
            if namespaced {
                let namespace = object.metadata.namespace.as_deref();
                let namespace = namespace.filter(|it| !it.is_empty());
                wanted.add_namespace(namespace.unwrap_or("default"));
            }
        }
        let whole = recorded.scope.union(&wanted);
        let namespace = self.parent.namespace.as_deref();
        if !whole.reads_as(&recorded.scope, namespace) || !recorded.by_us {
            self.record(&whole, memory).await?;
        }
        // A set that has never been recorded has no members yet.
        let listing = if recorded.is_new {
            Listing::default()
        } else {
            Listing::of(&self.applier, &self.parent, &whole, &kinds).await
        };
        let membership = Membership {
            id: Some(self.parent.id()),
            live: listing.live(),
        };
        let outcomes = self.applier.apply_members(objects, &membership, memory);
        let mut report = Report {
            outcomes: outcomes.await,
            pruned: Vec::new(),
            terminating: Vec::new(),
            prune_errors: Vec::new(),
            left: None,
        };
        let keys: BTreeSet<_> = report.outcomes.iter().map(|it| it.key.clone()).collect();
        memory.retain(|key| keys.contains(key));
        if report.is_applied() {
            report.left = memory.left(&self.parent.id());
            self.prune(listing, &keys, &mut report).await;
            if report.prune_errors.is_empty() {
                let left = Scope::of(keys.iter().chain(&report.terminating));
                if !left.reads_as(&whole, namespace) {
                    self.record(&left, memory).await?;
                }
            }
        }
        Ok(report)
    }

    /// Deletes all members, each stage once those after it are gone. Returns the members that are
    /// still there: when they have gone, this goes on. Once there are none, the parent can go.
    ///
    /// # Errors
    ///
    /// The parent cannot be read, or members cannot be listed or deleted.
    pub async fn delete(&self) -> Result<Vec<ObjectKey>, Error> {
        let Some(recorded) = self.recorded().await? else {
            return Ok(Vec::new());
        };
        let listing = Listing::of(&self.applier, &self.parent, &recorded.scope, &[]).await;
        let Listing {
            mut members,
            errors,
        } = listing;
        members.retain(|member| !self.is_parent(member));
        let mut left = Vec::new();
        let mut failures = errors;
        for (_, members) in by_stage(members).into_iter().rev() {
            if !(left.is_empty() && failures.is_empty()) {
                left.extend(members.into_iter().map(|it| it.key));
                continue;
            }
            for (key, gone) in self.delete_members(members).await {
                match gone {
                    Ok(true) => {}
                    Ok(false) => left.push(key),
                    Err(error) => failures.push(error),
                }
            }
        }
        match failures.into_iter().next() {
            Some(error) => Err(Error::Prune(error)),
            None => Ok(left),
        }
    }

    /// Deletes what is no longer wanted, each stage once those after it are gone.
    async fn prune(&self, listing: Listing, wanted: &BTreeSet<ObjectKey>, report: &mut Report) {
        // Kinds that are served by two groups list the same objects twice.
        let applied: BTreeSet<_> = report.outcomes.iter().filter_map(uid).collect();
        let Listing { members, errors } = listing;
        report.prune_errors = errors;
        let unwanted = members.into_iter().filter(|member| {
            let is_wanted = wanted.contains(&member.key) || applied.contains(member.uid.as_str());
            !is_wanted && !self.is_parent(member)
        });
        let unwanted = by_stage(unwanted.collect());
        let mut is_any_left = false;
        for (_, members) in unwanted.into_iter().rev() {
            if is_any_left {
                let waiting = members.into_iter().map(|it| it.key);
                report.terminating.extend(waiting);
                continue;
            }
            for (key, gone) in self.delete_members(members).await {
                is_any_left |= !matches!(gone, Ok(true));
                match gone {
                    Ok(true) => report.pruned.push(key),
                    Ok(false) => report.terminating.push(key),
                    Err(error) => report.prune_errors.push(error),
                }
            }
        }
    }

    /// Deletes members side by side, and says of each whether it is gone.
    async fn delete_members(
        &self,
        members: Vec<Member>,
    ) -> Vec<(ObjectKey, Result<bool, PruneError>)> {
        let work = members.into_iter().map(|member| async move {
            let gone = if member.terminating {
                Ok(false)
            } else {
                self.applier.in_turn(self.delete_member(&member)).await
            };
            let gone = gone.map_err(|source| PruneError::Delete {
                key: member.key.clone(),
                source,
            });
            (member.key, gone)
        });
        let work = stream::iter(work).buffer_unordered(self.applier.parallel());
        work.collect().await
    }

    /// Tells whether somebody has made the parent a member of its own set.
    fn is_parent(&self, member: &Member) -> bool {
        member.uid == self.parent.uid
    }

    async fn delete_member(&self, member: &Member) -> Result<bool, ApiError> {
        let api = self
            .applier
            .api(&member.resource, member.key.namespace.as_deref());
        let mut params = DeleteParams::background();
        params.preconditions = Some(Preconditions {
            uid: Some(member.uid.clone()),
            resource_version: None,
        });
        let deleted = api.delete(&member.key.name, &params).await;
        match deleted.map_err(ApiError::from) {
            Ok(answer) => Ok(answer.is_right()),
            Err(error) if error.is_not_found() => Ok(true),
            // Another object may be there now under its name. Or somebody refuses it in such words.
            Err(error) if error.is_conflict() => {
                let there = api.get_metadata_opt(&member.key.name).await;
                let there = there.map_err(ApiError::from)?;
                match there.and_then(|it| it.metadata.uid) {
                    Some(uid) if uid == member.uid => Err(error),
                    _ => Ok(true),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Reads where members may be; `None` if the parent is gone.
    async fn recorded(&self) -> Result<Option<Recorded>, Error> {
        let api = self
            .applier
            .api(&self.parent.resource, self.parent.namespace.as_deref());
        let parent = self
            .applier
            .in_turn(api.get_metadata_opt(&self.parent.name));
        let parent = parent.await.map_err(|error| self.parent_error(error))?;
        let parent = parent.filter(|it| it.meta().uid.as_deref() == Some(&*self.parent.uid));
        Ok(parent.map(|parent| self.read(&parent.metadata)))
    }

    /// Reads what a parent says of its set.
    fn read(&self, parent: &ObjectMeta) -> Recorded {
        let annotations = parent.annotations.as_ref();
        let annotation = |key| annotations.and_then(|it| it.get(key)).map_or("", |it| it);
        let id = parent.labels.as_ref().and_then(|it| it.get(ID_LABEL));
        let finalizers = parent.finalizers.as_deref().unwrap_or_default();
        Recorded {
            scope: Scope::parse(annotation(KINDS), annotation(NAMESPACES)),
            by_us: id == Some(&self.parent.id())
                && annotation(TOOLING) == self.tooling
                && self.finalizers.iter().all(|it| finalizers.contains(it)),
            is_new: id.is_none() && annotation(TOOLING).is_empty(),
            version: parent.resource_version.clone().unwrap_or_default(),
        }
    }

    /// Writes where members may be.
    async fn record(&self, scope: &Scope, memory: &Memory) -> Result<(), Error> {
        let Parent {
            resource,
            namespace,
            name,
            uid,
        } = &self.parent;
        // What is not stated any more would be taken away.
        let finalizers = Some(&self.finalizers).filter(|it| !it.is_empty());
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                // It must not be made anew where it has gone.
                "uid": uid,
                "labels": {ID_LABEL: self.parent.id()},
                "annotations": {
                    TOOLING: self.tooling,
                    KINDS: scope.kinds(),
                    NAMESPACES: scope.namespaces(namespace.as_deref()),
                },
                "finalizers": finalizers,
            },
        });
        let params = PatchParams::apply(self.applier.manager()).force();
        let api = self.applier.api(resource, namespace.as_deref());
        let patch = Patch::Apply(&patch);
        let written = self
            .applier
            .in_turn(api.patch_metadata(name, &params, &patch));
        let written = written.await.map_err(|error| self.parent_error(error))?;
        memory.remember_recorded(self.read(&written.metadata));
        Ok(())
    }

    fn parent_gone(&self) -> Error {
        Error::ParentGone {
            kind: self.parent.resource.kind.clone(),
            name: self.parent.name.clone(),
        }
    }

    fn parent_error(&self, error: kube::Error) -> Error {
        Error::Parent {
            kind: self.parent.resource.kind.clone(),
            name: self.parent.name.clone(),
            source: error.into(),
        }
    }
}

fn uid(outcome: &Outcome) -> Option<String> {
    outcome.result.as_ref().ok().map(|it| it.uid.clone())
}

fn by_stage(members: Vec<Member>) -> BTreeMap<crate::apply::Stage, Vec<Member>> {
    let mut stages: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for member in members {
        let stage = stage(&member.key.group, &member.key.kind);
        stages.entry(stage).or_default().push(member);
    }
    stages
}

/// Why a set could not be applied or deleted.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The parent cannot be read or written.
    #[error("cannot keep track of the members of {kind} `{name}`")]
    Parent {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What came instead.
        source: ApiError,
    },
    /// The parent has been deleted, or replaced by another one of its name.
    #[error("{kind} `{name}` is no longer there")]
    ParentGone {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Members cannot be deleted.
    #[error(transparent)]
    Prune(PruneError),
}

/// Why members that are no longer wanted may still be there.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum PruneError {
    /// They cannot be looked for.
    #[error("cannot list {kind}")]
    List {
        /// Their kind.
        kind: String,
        /// What came instead.
        source: ApiError,
    },
    /// Their kind cannot be looked up.
    #[error(transparent)]
    Mapping(#[from] mapping::Error),
    /// One cannot be deleted.
    #[error("cannot delete {key}")]
    Delete {
        /// Which one.
        key: ObjectKey,
        /// What came instead.
        source: ApiError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifier_is_that_of_the_specification() {
        let parent = |namespace: Option<&str>| Parent {
            resource: ApiResource {
                group: "delivery.ocm.software".to_owned(),
                version: "v1alpha1".to_owned(),
                api_version: "delivery.ocm.software/v1alpha1".to_owned(),
                kind: "Deployer".to_owned(),
                plural: "deployers".to_owned(),
            },
            namespace: namespace.map(str::to_owned),
            name: "it".to_owned(),
            uid: String::new(),
        };
        // printf %s it..Deployer.delivery.ocm.software | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(
            parent(None).id(),
            "applyset-ZsvKGTbDz88QMdhwKinZQLIbZbGaTuaan_jto5LMX7w-v1"
        );
        assert_eq!(
            parent(Some("a")).id(),
            "applyset-ZXJK1KOhVk1P7yOJDJ7nnqK-BgHwNkKiYYRC4kUVi2M-v1"
        );
    }
}
