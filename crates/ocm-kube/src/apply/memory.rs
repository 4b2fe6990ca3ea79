//! What was applied before, so that it need not be asked for again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::DynamicObject;
use ocm_digest::Digest;
use serde_json::json;

use super::plain::is_plain;
use super::{Applied, Change, Live};
use crate::applyset::Recorded;
use crate::health::{Health, State};
use crate::object_key::ObjectKey;

/// How the objects of one owner were left the last time.
///
/// An object that is wanted as it was the last time, and of which the API server still has the very
/// version that was left, needs no request. Any change of it, by whomever, gives it another one.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    left: BTreeMap<ObjectKey, Left>,
    /// How an earlier process has left all objects that are plain.
    earlier: Option<String>,
    /// What was written of the set last, until it is seen.
    recorded: Option<Recorded>,
}

#[derive(Debug)]
struct Left {
    fingerprint: Digest,
    applied: Applied,
}

impl Memory {
    /// Remembers what an earlier process has left, by what its [`Report`] says of it.
    ///
    /// [`Report`]: crate::applyset::Report::left
    pub fn of_earlier(left: Option<String>) -> Self {
        Self(Mutex::new(Known {
            earlier: left,
            ..Known::default()
        }))
    }

    /// Returns an object as it was left, if it is still like that and wanted like that.
    pub(super) fn recall(
        &self,
        key: &ObjectKey,
        fingerprint: &Digest,
        live: &Live,
    ) -> Option<Applied> {
        let known = self.lock();
        let left = { known.left.get(key) }.filter(|it| it.fingerprint == *fingerprint)?;
        let same =
            left.applied.uid == live.uid && left.applied.resource_version == live.resource_version;
        same.then(|| Applied {
            change: Change::Unchanged,
            ..left.applied.clone()
        })
    }

    pub(super) fn remember(&self, key: &ObjectKey, fingerprint: Digest, applied: &Applied) {
        let left = Left {
            fingerprint,
            applied: applied.clone(),
        };
        self.lock().left.insert(key.clone(), left);
    }

    /// Tells whether something is known of an earlier process that was not looked at yet.
    pub(super) fn has_earlier(&self) -> bool {
        self.lock().earlier.is_some()
    }

    /// Remembers these objects, all that are plain of what is wanted, if an earlier process has
    /// left them so.
    pub(super) fn remember_earlier(
        &self,
        id: Option<&str>,
        objects: BTreeMap<ObjectKey, (Digest, &Live)>,
    ) {
        let mut known = self.lock();
        let parts = objects
            .iter()
            .map(|(key, (fingerprint, live))| (key, fingerprint, *live));
        if known.earlier.take() != Some(print(id, parts)) {
            return;
        }
        for (key, (fingerprint, live)) in objects {
            let applied = Applied {
                uid: live.uid.clone(),
                resource_version: live.resource_version.clone(),
                change: Change::Unchanged,
                health: Health::current(),
            };
            let left = Left {
                fingerprint,
                applied,
            };
            known.left.insert(key, left);
        }
    }

    /// Returns what the parent of the set says, by how it is seen, or what was written there since.
    pub(crate) fn recorded(&self, seen: impl FnOnce() -> Recorded) -> Recorded {
        let seen = seen();
        let mut known = self.lock();
        known.recorded.take_if(|it| !it.is_later_than(&seen));
        known.recorded.clone().unwrap_or(seen)
    }

    pub(crate) fn remember_recorded(&self, written: Recorded) {
        self.lock().recorded = Some(written);
    }

    /// Forgets all objects but these.
    pub(crate) fn retain(&self, keep: impl Fn(&ObjectKey) -> bool) {
        self.lock().left.retain(|key, _| keep(key));
    }

    /// Returns how all plain objects were left, if there are such and all of them are ready.
    pub(crate) fn left(&self, id: &str) -> Option<String> {
        let known = self.lock();
        let plain = { known.left.iter() }.filter(|(key, _)| is_plain(&key.group, &key.kind));
        let plain: Vec<_> = plain.collect();
        let ready = |(_, left): &(_, &Left)| left.applied.health.state == State::Current;
        if plain.is_empty() || !plain.iter().all(ready) {
            return None;
        }
        let lives: Vec<_> = { plain.iter() }.map(|(_, it)| it.applied.live()).collect();
        let parts = plain
            .iter()
            .zip(&lives)
            .map(|((key, left), live)| (*key, &left.fingerprint, live));
        Some(print(Some(id), parts))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Identifies what is wanted of an object.
pub(super) fn fingerprint(object: &DynamicObject) -> Digest {
    let bytes = serde_json::to_vec(object).expect("an object is JSON");
    Digest::sha256(bytes)
}

/// Identifies how the objects of a set were left: what was wanted of each, and which version of
/// which object that has become. They come in their order.
fn print<'a>(
    id: Option<&str>,
    objects: impl Iterator<Item = (&'a ObjectKey, &'a Digest, &'a Live)>,
) -> String {
    let objects = objects.map(|(key, fingerprint, live)| {
        json!([
            key.group,
            key.kind,
            key.namespace,
            key.name,
            fingerprint.to_string(),
            live.uid,
            live.resource_version,
        ])
    });
    let objects: Vec<_> = objects.collect();
    Digest::sha256(json!([id, objects]).to_string()).to_string()
}
