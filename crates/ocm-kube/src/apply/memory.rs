//! What was applied before, so that it need not be asked for again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::DynamicObject;
use ocm_digest::Digest;

use super::{Applied, Change, Live};
use crate::object_key::ObjectKey;

/// How the objects of one owner were left the last time.
///
/// An object that is wanted as it was the last time, and of which the API server still has the very
/// version that was left, needs no request. Any change of it, by whomever, gives it another one.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<ObjectKey, Left>>);

#[derive(Debug)]
struct Left {
    fingerprint: Digest,
    applied: Applied,
}

impl Memory {
    /// Returns an object as it was left, if it is still like that and wanted like that.
    pub(super) fn recall(
        &self,
        key: &ObjectKey,
        fingerprint: &Digest,
        live: &Live,
    ) -> Option<Applied> {
        let left = self.lock();
        let left = left.get(key).filter(|it| it.fingerprint == *fingerprint)?;
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
        self.lock().insert(key.clone(), left);
    }

    /// Forgets all objects but these.
    pub(crate) fn retain(&self, keep: impl Fn(&ObjectKey) -> bool) {
        self.lock().retain(|key, _| keep(key));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Identifies what is wanted of an object.
pub(super) fn fingerprint(object: &DynamicObject) -> Digest {
    let bytes = serde_json::to_vec(object).expect("an object is JSON");
    Digest::sha256(bytes)
}
