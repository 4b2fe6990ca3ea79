//! Objects applied in one pass, in an order in which they can be.
//!
//! Namespaces come first, then definitions of kinds, which are awaited until their kinds are
//! served, then rights, configuration, all else, and at last what steps in between requests. Within
//! a stage objects are applied side by side. What fails with one object says its outcome; the
//! others are applied all the same.
//!
//! An object is written by server-side apply with one field manager, so that the fields of others
//! stay as they are. The API server writes nothing where nothing changes, yet works through each
//! request; a [`Memory`] saves the requests themselves where the object is as it was left, also by
//! an earlier process where that is certain.

mod error;
mod memory;
mod plain;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};
use ocm_digest::Digest;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::api_error::ApiError;
use crate::health::{Health, State, health};
use crate::mapping::{self, Mapped, Mapping};
use crate::object_key::{ObjectKey, kind_of};
use crate::turns::Turns;

pub use self::error::Error;
pub use self::memory::Memory;
use self::plain::is_plain;
pub(crate) use self::stage::{Stage, stage};

/// Applies objects. Clones share the bound on requests.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    mapping: Mapping,
    manager: String,
    options: Options,
    requests: Arc<Turns>,
}

/// How objects are applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// How many objects are applied at a time by one call.
    pub parallel: usize,
    /// How many requests go on at a time by all calls: each has a connection, and more of them make
    /// the API server no quicker.
    pub requests: usize,
    /// How long it may take until a kind that has been defined is served.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallel: 8,
            requests: 16,
            patience: Duration::from_secs(30),
        }
    }
}

/// What came of one object.
#[derive(Debug)]
pub struct Outcome {
    /// The object, with the namespace that it is in.
    pub key: ObjectKey,
    /// The version of its kind that was applied.
    pub version: String,
    /// How it went.
    pub result: Result<Applied, Error>,
}

impl Outcome {
    /// Returns what `apiVersion` says in the object.
    pub fn api_version(&self) -> String {
        GroupVersionKind::gvk(&self.key.group, &self.version, &self.key.kind).api_version()
    }
}

/// An object as the API server has it now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Applied {
    /// Its unique identifier.
    pub uid: String,
    /// The version of all of it.
    pub resource_version: String,
    /// What was done.
    pub change: Change,
    /// Whether it is ready.
    pub health: Health,
}

impl Applied {
    fn live(&self) -> Live {
        Live {
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
        }
    }
}

/// What was done to an object.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there without being one of ours.
    Adopted,
    /// It was one of ours and has changed.
    Configured,
    /// It is as it was.
    Unchanged,
}

/// What is known of the objects of a set before they are applied.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    /// The identifier of the set, which objects have in their label.
    pub(crate) id: Option<String>,
    pub(crate) live: BTreeMap<ObjectKey, Live>,
}

/// An object of the set, as it is listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Live {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

/// The label that says of which set an object is.
pub(crate) const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// For how long a request counts among those that go on at a time. What steps in between requests in
/// the API server may take longer with some.
const TURN: Duration = Duration::from_secs(1);

/// A resource version that no object has. The API server refuses to change an object of another
/// version than is stated, and makes one that is not there.
const NO_VERSION: &str = "1";

impl Applier {
    /// Applies with a field manager, which is the name under which the API server keeps what was
    /// applied.
    pub fn new(client: Client, mapping: Mapping, manager: &str, options: Options) -> Self {
        Self {
            client,
            mapping,
            manager: manager.to_owned(),
            options,
            requests: Arc::new(Turns::new(options.requests, TURN)),
        }
    }

    /// Applies objects that are no set: nothing is known of them before, nothing is pruned.
    ///
    /// The outcomes are in the order of the objects.
    pub async fn apply(&self, objects: Vec<DynamicObject>) -> Vec<Outcome> {
        let nothing = Membership::default();
        self.apply_members(objects, &nothing, &Memory::default())
            .await
    }

    pub(crate) async fn apply_members(
        &self,
        objects: Vec<DynamicObject>,
        membership: &Membership,
        memory: &Memory,
    ) -> Vec<Outcome> {
        if memory.has_earlier() {
            self.recall_earlier(&objects, membership, memory).await;
        }
        let wanted: Vec<_> = objects.iter().map(kind_of).collect();
        let mut stages: BTreeMap<Stage, Vec<(usize, DynamicObject)>> = BTreeMap::new();
        for (index, object) in objects.into_iter().enumerate() {
            let kind = &wanted[index];
            let stage = stage(&kind.group, &kind.kind);
            stages.entry(stage).or_default().push((index, object));
        }
        let mut seen = BTreeSet::new();
        let mut outcomes = Vec::new();
        let mut defined = BTreeSet::new();
        for (stage, objects) in stages {
            let mut placed = Vec::new();
            let mut defines = BTreeMap::new();
            for (index, object) in objects {
                if stage == Stage::Definitions {
                    defines.insert(index, defined_kind(&object));
                }
                match self.place(object).await {
                    Ok(object) if seen.insert(object.key.clone()) => placed.push((index, object)),
                    Ok(object) => outcomes.push((index, object.fails(Error::Twice))),
                    Err(outcome) => outcomes.push((index, outcome)),
                }
            }
            let work = placed.into_iter().map(|(index, object)| {
                let fresh = defined.contains(&(object.key.group.clone(), object.key.kind.clone()));
                async move {
                    let outcome = self.apply_one(object, fresh, membership, memory).await;
                    (index, outcome)
                }
            });
            let applied = stream::iter(work).buffer_unordered(self.options.parallel.max(1));
            let mut applied: Vec<_> = applied.collect().await;
            if stage == Stage::Definitions {
                for (index, outcome) in &mut applied {
                    let Some(Some((group, kind))) = defines.remove(index) else {
                        continue;
                    };
                    let wanted = wanted.iter();
                    let wanted = wanted.filter(|it| it.group == group && it.kind == kind);
                    self.await_served(outcome, wanted).await;
                    defined.insert((group, kind));
                }
            }
            outcomes.append(&mut applied);
        }
        outcomes.sort_unstable_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Remembers what an earlier process has left, unless something is different: one object of
    /// another version, one that is missing, or one that is wanted otherwise.
    async fn recall_earlier(
        &self,
        objects: &[DynamicObject],
        membership: &Membership,
        memory: &Memory,
    ) {
        let mut there = BTreeMap::new();
        for object in objects {
            let kind = kind_of(object);
            if !is_plain(&kind.group, &kind.kind) {
                continue;
            }
            let Ok(Some(mapped)) = self.mapping.find(&kind).await else {
                return;
            };
            let mut key = ObjectKey::of(object);
            default_namespace(&mut key.namespace, mapped.namespaced);
            let Some(live) = membership.live.get(&key) else {
                return;
            };
            there.insert(key, (memory::fingerprint(object), live));
        }
        memory.remember_earlier(membership.id.as_deref(), there);
    }

    /// Finds the resource of an object, and gives it the namespace that it has by default.
    async fn place(&self, mut object: DynamicObject) -> Result<Placed, Outcome> {
        let kind = kind_of(&object);
        let failed = |object: &DynamicObject, error| Outcome {
            key: ObjectKey::of(object),
            version: kind.version.clone(),
            result: Err(error),
        };
        let Mapped {
            resource,
            namespaced,
        } = match self.mapping.find(&kind).await {
            Ok(Some(mapped)) => mapped,
            Ok(None) => {
                let kind = mapping::display(&kind);
                return Err(failed(&object, Error::UnknownKind { kind }));
            }
            Err(error) => return Err(failed(&object, error.into())),
        };
        let fingerprint = memory::fingerprint(&object);
        default_namespace(&mut object.metadata.namespace, namespaced);
        Ok(Placed {
            key: ObjectKey::of(&object),
            resource,
            fingerprint,
            object,
        })
    }

    async fn apply_one(
        &self,
        mut placed: Placed,
        fresh: bool,
        membership: &Membership,
        memory: &Memory,
    ) -> Outcome {
        if let Some(id) = &membership.id {
            let labels = placed.object.labels_mut();
            labels.insert(PART_OF.to_owned(), id.clone());
        }
        let live = membership.live.get(&placed.key);
        let recalled = live.and_then(|it| memory.recall(&placed.key, &placed.fingerprint, it));
        if let Some(applied) = recalled {
            return placed.ends(Ok(applied));
        }
        let deadline = Instant::now() + self.options.patience;
        let mut pause = Duration::from_millis(20);
        let result = loop {
            let write = self.write(&placed, live, membership);
            match self.in_turn(write).await {
                // The API server serves a new kind on one connection earlier than on another.
                Err(Error::Api(error))
                    if fresh && error.is_not_found() && Instant::now() < deadline =>
                {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
                result => break result,
            }
        };
        match &result {
            Ok(applied) => {
                memory.remember(&placed.key, placed.fingerprint, applied);
            }
            Err(Error::Api(error)) if error.is_not_found() => {
                let resource = &placed.resource;
                self.mapping.forget(&resource.group, &resource.version);
            }
            Err(_) => {}
        }
        placed.ends(result)
    }

    async fn write(
        &self,
        placed: &Placed,
        live: Option<&Live>,
        membership: &Membership,
    ) -> Result<Applied, Error> {
        let api = self.api(&placed.resource, placed.key.namespace.as_deref());
        let mut adopts = false;
        let before = if let Some(live) = live {
            Some(live.resource_version.clone())
        } else {
            if membership.id.is_some()
                && let Some(created) = self.create(&api, placed).await?
            {
                return Ok(placed.applied(&created, Change::Created));
            }
            let existing = api.get_metadata_opt(&placed.key.name).await;
            let existing = existing.map_err(ApiError::from)?;
            if let Some(existing) = &existing {
                let of = existing.labels().get(PART_OF);
                placed.refuse_foreign(of, membership)?;
                adopts = of.is_none() && membership.id.is_some();
            }
            existing.and_then(|it| it.resource_version())
        };
        let written = self.patch(&api, placed, &placed.object).await;
        let written = written.map_err(ApiError::from)?;
        let change = match before {
            None => Change::Created,
            Some(_) if adopts => Change::Adopted,
            before if before == written.resource_version() => Change::Unchanged,
            Some(_) => Change::Configured,
        };
        Ok(placed.applied(&written, change))
    }

    /// Makes an object, unless there is one of its name already, in one request. Returns `None`
    /// where it has to be looked what is there.
    async fn create(
        &self,
        api: &Api<DynamicObject>,
        placed: &Placed,
    ) -> Result<Option<DynamicObject>, ApiError> {
        let mut object = placed.object.clone();
        object.metadata.resource_version = Some(NO_VERSION.to_owned());
        match self.patch(api, placed, &object).await {
            Ok(created) => Ok(Some(created)),
            // Whatever else it may be about is said again.
            Err(kube::Error::Api(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Applies an object; of a plain one the answer is the metadata alone.
    async fn patch(
        &self,
        api: &Api<DynamicObject>,
        placed: &Placed,
        object: &DynamicObject,
    ) -> kube::Result<DynamicObject> {
        let mut params = PatchParams::apply(&self.manager).force();
        // Fields that a kind does not have are refused all the same. To be warned of those that are
        // there twice, the API server would read what we have written once more.
        params.field_validation = Some(ValidationDirective::Ignore);
        let (name, patch) = (&placed.key.name, Patch::Apply(object));
        if !is_plain(&placed.key.group, &placed.key.kind) {
            return api.patch(name, &params, &patch).await;
        }
        let written = api.patch_metadata(name, &params, &patch).await?;
        Ok(DynamicObject {
            types: written.types,
            metadata: written.metadata,
            data: Value::Null,
        })
    }

    /// Asks the API server something when it is its turn.
    pub(crate) async fn in_turn<T>(&self, request: impl Future<Output = T>) -> T {
        self.requests.take(request).await
    }

    /// Waits until a definition is established, and its kind is served in the versions that are
    /// wanted.
    async fn await_served<'a>(
        &self,
        outcome: &mut Outcome,
        wanted: impl Iterator<Item = &'a GroupVersionKind>,
    ) {
        let Ok(applied) = &mut outcome.result else {
            return;
        };
        match self.serve(&outcome.key, applied, wanted).await {
            Ok(()) => applied.health = Health::current(),
            Err(error) => outcome.result = Err(error),
        }
    }

    async fn serve<'a>(
        &self,
        definition: &ObjectKey,
        applied: &Applied,
        wanted: impl Iterator<Item = &'a GroupVersionKind>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.options.patience;
        let established = applied.health.state == State::Current;
        if !established {
            self.await_established(definition).await?;
        }
        let unchanged = established && applied.change == Change::Unchanged;
        let mut versions = BTreeSet::new();
        for kind in wanted {
            if !versions.insert(&kind.version) {
                continue;
            }
            // What was known of it before may be about an earlier definition.
            if !(unchanged && matches!(self.mapping.find(kind).await, Ok(Some(_)))) {
                let patience = deadline.saturating_duration_since(Instant::now());
                self.mapping.await_kind(kind, patience).await?;
            }
        }
        Ok(())
    }

    async fn await_established(&self, definition: &ObjectKey) -> Result<(), Error> {
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let api = self.api(&resource, None);
        let settled = |object: Option<&DynamicObject>| {
            health(&definition.group, &definition.kind, object).state != State::InProgress
        };
        let settled = await_condition(api, &definition.name, settled);
        let Ok(last) = timeout(self.options.patience, settled).await else {
            let why = " in time".to_owned();
            return Err(Error::NotEstablished { why });
        };
        let last = last.map_err(|error| Error::Watch(Box::new(error)))?;
        let health = health(&definition.group, &definition.kind, last.as_ref());
        if health.state == State::Current {
            return Ok(());
        }
        let why = format!(": {}", health.message);
        Err(Error::NotEstablished { why })
    }

    pub(crate) fn api(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
    ) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    pub(crate) const fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    pub(crate) fn manager(&self) -> &str {
        &self.manager
    }

    pub(crate) fn parallel(&self) -> usize {
        self.options.parallel.max(1)
    }
}

/// Returns group and kind of what a definition defines.
fn defined_kind(definition: &DynamicObject) -> Option<(String, String)> {
    let text = |pointer| {
        let value = definition.data.pointer(pointer)?;
        value.as_str().map(str::to_owned)
    };
    Some((text("/spec/group")?, text("/spec/names/kind")?))
}

/// Gives an object of a kind with namespaces the one that it is in where it states none.
fn default_namespace(namespace: &mut Option<String>, namespaced: bool) {
    if !namespaced {
        *namespace = None;
    } else if namespace.as_ref().is_none_or(String::is_empty) {
        *namespace = Some("default".to_owned());
    }
}

/// An object, and where it goes.
struct Placed {
    key: ObjectKey,
    resource: ApiResource,
    /// What is wanted of it.
    fingerprint: Digest,
    object: DynamicObject,
}

impl Placed {
    fn ends(self, result: Result<Applied, Error>) -> Outcome {
        Outcome {
            key: self.key,
            version: self.resource.version,
            result,
        }
    }

    fn fails(self, error: Error) -> Outcome {
        self.ends(Err(error))
    }

    fn applied(&self, written: &DynamicObject, change: Change) -> Applied {
        Applied {
            uid: written.uid().unwrap_or_default(),
            resource_version: written.resource_version().unwrap_or_default(),
            change,
            health: health(&self.key.group, &self.key.kind, Some(written)),
        }
    }

    /// An object is of one set at most.
    fn refuse_foreign(&self, of: Option<&String>, membership: &Membership) -> Result<(), Error> {
        match (of, &membership.id) {
            (Some(current), Some(id)) if current != id => Err(Error::OtherSet {
                path: self.key.path(),
                kind: format!(
                    "{}/{}, Kind={}",
                    self.resource.group, self.resource.version, self.resource.kind
                ),
                current: current.clone(),
                id: id.clone(),
            }),
            _ => Ok(()),
        }
    }
}
