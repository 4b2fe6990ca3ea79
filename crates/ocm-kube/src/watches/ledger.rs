//! What is known of objects and owners: pure book-keeping, without the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::api::{ApiResource, ObjectMeta};
use ocm_digest::Digest;
use serde_json::json;

use super::{Owner, OwnerKind};
use crate::resource_version::is_newer;

/// A kind of objects.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Kind {
    group: String,
    version: String,
    name: String,
}

impl Kind {
    pub(super) fn of(resource: &ApiResource) -> Self {
        Self {
            group: resource.group.clone(),
            version: resource.version.clone(),
            name: resource.kind.clone(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    owner: OwnerKind,
    kinds: BTreeMap<Kind, Watched>,
    /// Objects by their unique identifiers.
    objects: BTreeMap<String, Object>,
    /// The versions in which owners have left objects, by their unique identifiers.
    left: BTreeMap<String, Left>,
    /// What has changed of owners that are in a pass: versions, or none of what has gone.
    held: BTreeMap<Owner, BTreeMap<String, Option<String>>>,
    waiting: BTreeSet<Owner>,
}

/// What is known of a kind.
#[derive(Debug, Default)]
struct Watched {
    /// The unique identifiers of the owners that have such objects.
    users: BTreeSet<String>,
    /// The objects that have been listed so far, while they are.
    listed: Option<BTreeSet<String>>,
    problem: Option<String>,
}

#[derive(Debug)]
struct Object {
    kind: Kind,
    owner: Arc<Owner>,
    /// All that matters of it.
    print: Digest,
}

#[derive(Debug)]
struct Left {
    owner_uid: String,
    version: String,
}

impl Ledger {
    pub(super) const fn new(owner: OwnerKind) -> Self {
        Self {
            owner,
            kinds: BTreeMap::new(),
            objects: BTreeMap::new(),
            left: BTreeMap::new(),
            held: BTreeMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Takes out an owner that something has changed for.
    pub(super) fn next(&mut self) -> Option<Owner> {
        self.waiting.pop_first()
    }

    pub(super) fn has_next(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// An owner has objects of a kind.
    pub(super) fn join(&mut self, kind: &Kind, owner_uid: &str) {
        let watched = self.kinds.entry(kind.clone()).or_default();
        watched.users.insert(owner_uid.to_owned());
    }

    /// An owner has objects of these kinds alone; returns the kinds that nobody has any more.
    pub(super) fn leave(&mut self, owner_uid: &str, keep: &BTreeSet<Kind>) -> Vec<Kind> {
        if keep.is_empty() {
            self.left.retain(|_, left| left.owner_uid != owner_uid);
            self.waiting.retain(|owner| owner.uid != owner_uid);
        }
        let mut unused = Vec::new();
        self.kinds.retain(|kind, watched| {
            if !keep.contains(kind) && watched.users.remove(owner_uid) && watched.users.is_empty() {
                unused.push(kind.clone());
                return false;
            }
            true
        });
        self.objects
            .retain(|_, object| !unused.contains(&object.kind));
        unused
    }

    pub(super) fn problems(&self, owner_uid: &str) -> Vec<(String, String)> {
        let used = self.kinds.iter();
        let used = used.filter(|(_, watched)| watched.users.contains(owner_uid));
        let problems = used.filter_map(|(kind, watched)| {
            let problem = watched.problem.clone()?;
            Some((kind.name.clone(), problem))
        });
        problems.collect()
    }

    /// Holds back what changes for an owner.
    pub(super) fn hold(&mut self, owner: &Owner) {
        self.held.entry(owner.clone()).or_default();
    }

    /// An owner has left its objects in these versions.
    pub(super) fn resume<'a>(
        &mut self,
        owner: &Owner,
        left: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let mut now: BTreeMap<_, _> = left.into_iter().collect();
        let held = self.held.remove(owner).unwrap_or_default();
        for (uid, version) in held {
            let left = now.get(uid.as_str()).copied();
            let ours = match (&version, left) {
                (Some(version), Some(left)) => !is_newer(version, left),
                _ => false,
            };
            if !ours {
                self.waiting.insert(owner.clone());
            }
        }
        if now.is_empty() {
            return;
        }
        self.left
            .retain(|uid, left| left.owner_uid != owner.uid || now.contains_key(uid.as_str()));
        while let Some((uid, version)) = now.pop_first() {
            let left = Left {
                owner_uid: owner.uid.clone(),
                version: version.to_owned(),
            };
            self.left.insert(uid.to_owned(), left);
        }
    }

    /// All objects of a kind will be seen.
    pub(super) fn listing(&mut self, kind: &Kind) {
        if let Some(watched) = self.kinds.get_mut(kind) {
            watched.listed = Some(BTreeSet::new());
        }
    }

    /// All objects of a kind have been seen; the others have gone.
    pub(super) fn listed(&mut self, kind: &Kind) {
        let Some(watched) = self.kinds.get_mut(kind) else {
            return;
        };
        watched.problem = None;
        let listed = watched.listed.take().unwrap_or_default();
        let gone = self
            .objects
            .iter()
            .filter(|(uid, object)| object.kind == *kind && !listed.contains(uid.as_str()));
        let gone: Vec<_> = gone.map(|(uid, _)| uid.clone()).collect();
        for uid in gone {
            self.remove(&uid);
        }
    }

    /// An object is like this now.
    pub(super) fn seen(&mut self, kind: &Kind, object: &ObjectMeta) {
        let (Some(uid), Some(version)) = (&object.uid, &object.resource_version) else {
            return;
        };
        let Some(watched) = self.kinds.get_mut(kind) else {
            return;
        };
        watched.problem = None;
        if let Some(listed) = &mut watched.listed {
            listed.insert(uid.clone());
        }
        let Some(owner) = self.owner_of(object) else {
            // It was taken away from its owner.
            return self.remove(uid);
        };
        let print = print(object);
        let before = self.objects.get(uid);
        let same = before.is_some_and(|it| it.print == print && *it.owner == owner);
        if same {
            return;
        }
        let first = before.is_none();
        if let Some(before) = before.filter(|it| *it.owner != owner) {
            let before = Arc::clone(&before.owner);
            self.changed(&before, kind, uid, Some(version));
        }
        self.changed_unless_left(&owner, kind, uid, version, first);
        let object = Object {
            kind: kind.clone(),
            owner: Arc::new(owner),
            print,
        };
        self.objects.insert(uid.clone(), object);
    }

    /// An object has gone.
    pub(super) fn gone(&mut self, object: &ObjectMeta) {
        if let Some(uid) = &object.uid {
            self.remove(uid);
        }
    }

    /// A kind cannot be watched at the moment.
    pub(super) fn failed(&mut self, kind: &Kind, problem: String) {
        if let Some(watched) = self.kinds.get_mut(kind) {
            watched.problem = Some(problem);
        }
    }

    fn remove(&mut self, uid: &str) {
        self.left.remove(uid);
        if let Some(Object { kind, owner, .. }) = self.objects.remove(uid) {
            self.changed(&owner, &kind, uid, None);
        }
    }

    fn changed_unless_left(
        &mut self,
        owner: &Owner,
        kind: &Kind,
        uid: &str,
        version: &str,
        first: bool,
    ) {
        // What an owner has not left since this process began is not known to have changed: the
        // owner will look at it anyway.
        let unknown = first && !self.left.contains_key(uid) && self.is_listing(kind);
        let left = self.left.get(uid);
        if unknown && !self.held.contains_key(owner) {
            return;
        }
        if left.is_none_or(|left| is_newer(version, &left.version)) {
            self.changed(owner, kind, uid, Some(version));
        }
    }

    fn is_listing(&self, kind: &Kind) -> bool {
        let watched = self.kinds.get(kind);
        watched.is_some_and(|it| it.listed.is_some())
    }

    fn changed(&mut self, owner: &Owner, kind: &Kind, uid: &str, version: Option<&str>) {
        let watched = self.kinds.get(kind);
        if !watched.is_some_and(|it| it.users.contains(&owner.uid)) {
            return;
        }
        match self.held.get_mut(owner) {
            Some(held) => {
                held.insert(uid.to_owned(), version.map(str::to_owned));
            }
            None => {
                self.waiting.insert(owner.clone());
            }
        }
    }

    /// The controller of an object, if it is an owner.
    fn owner_of(&self, object: &ObjectMeta) -> Option<Owner> {
        let references = object.owner_references.iter().flatten();
        let mut controllers = references.filter(|it| it.controller == Some(true));
        let reference = controllers.find(|it| {
            let group = it.api_version.rsplit_once('/').map_or("", |it| it.0);
            group == self.owner.group && it.kind == self.owner.kind
        })?;
        Some(Owner {
            uid: reference.uid.clone(),
            // An owner is in the namespace of its objects, or in none.
            namespace: self
                .owner
                .namespaced
                .then(|| object.namespace.clone())
                .flatten(),
            name: reference.name.clone(),
        })
    }
}

/// All that matters of an object. Kinds that do not count generations have no status worth leaving
/// out, so for them each version counts.
fn print(object: &ObjectMeta) -> Digest {
    let generation = object.generation.map(|it| it.to_string());
    let content = json!([
        generation.as_ref().or(object.resource_version.as_ref()),
        object.labels,
        object.annotations,
        object.owner_references,
        object.deletion_timestamp,
        object.finalizers,
    ]);
    Digest::sha256(content.to_string())
}

#[cfg(test)]
mod tests;
