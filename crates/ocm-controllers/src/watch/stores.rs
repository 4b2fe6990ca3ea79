//! The objects that there are.

use std::sync::Arc;

use kube::runtime::reflector::store::{Writer, WriterDropped};
use kube::runtime::reflector::{self, ObjectRef, Store};

use crate::api::{
    Component, ConditionStatus, ConditionType, Conditions as _, Deployer, EffectiveConfig, GROUP,
    Replication, Repository, Resource,
};
use crate::config::ObjectKey;
use crate::object::{Object, Status as _, is_judged, is_usable};

/// All objects of each kind.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) repositories: Store<Repository>,
    pub(crate) components: Store<Component>,
    pub(crate) resources: Store<Resource>,
    pub(crate) deployers: Store<Deployer>,
    pub(crate) replications: Store<Replication>,
}

/// What fills the stores.
pub(crate) struct Writers {
    pub(crate) repositories: Writer<Repository>,
    pub(crate) components: Writer<Component>,
    pub(crate) resources: Writer<Resource>,
    pub(crate) deployers: Writer<Deployer>,
    pub(crate) replications: Writer<Replication>,
}

/// Makes stores, and what fills them.
pub(crate) fn stores() -> (Stores, Writers) {
    let repositories = reflector::store();
    let components = reflector::store();
    let resources = reflector::store();
    let deployers = reflector::store();
    let replications = reflector::store();
    let stores = Stores {
        repositories: repositories.0,
        components: components.0,
        resources: resources.0,
        deployers: deployers.0,
        replications: replications.0,
    };
    let writers = Writers {
        repositories: repositories.1,
        components: components.1,
        resources: resources.1,
        deployers: deployers.1,
        replications: replications.1,
    };
    (stores, writers)
}

impl Stores {
    /// Waits until all objects are known.
    pub(crate) async fn ready(&self) -> Result<(), WriterDropped> {
        self.repositories.wait_until_ready().await?;
        self.components.wait_until_ready().await?;
        self.resources.wait_until_ready().await?;
        self.deployers.wait_until_ready().await?;
        self.replications.wait_until_ready().await
    }

    /// Returns the effective configuration of an object that is there and was looked at.
    pub(crate) fn effective_config(&self, key: &ObjectKey) -> Option<Vec<EffectiveConfig>> {
        match key.kind.as_str() {
            Repository::KIND => effective(&self.repositories, key),
            Component::KIND => effective(&self.components, key),
            Resource::KIND => effective(&self.resources, key),
            _ => None,
        }
    }
}

/// Returns an object that others may build on, or says why there is none.
pub(crate) fn usable<K: Object>(store: &Store<K>, key: &ObjectKey) -> Result<Arc<K>, String> {
    let Some(object) = store.get(&reference(key)) else {
        let plural = K::plural(&());
        let name = &key.name;
        return Err(format!(
            "failed to locate object: {plural}.{GROUP} \"{name}\" not found"
        ));
    };
    if object.meta().deletion_timestamp.is_some() {
        return Err(format!("object is being deleted: {}", key.path()));
    }
    if !is_usable(&*object) {
        return Err(format!("object is not ready: {}", key.path()));
    }
    Ok(object)
}

/// Tells whether an object is about to be looked at, as it is new or was changed. One that is
/// suspended is not, yet what it was ready with before counts on.
pub(crate) fn is_pending<K: Object>(store: &Store<K>, key: &ObjectKey) -> bool {
    let Some(object) = store.get(&reference(key)) else {
        return false;
    };
    let status = object.status();
    let ready = status.and_then(|it| it.conditions().condition(ConditionType::Ready));
    let was_ready = ready.is_some_and(|it| it.status == ConditionStatus::True);
    object.meta().deletion_timestamp.is_none()
        && !is_usable(&*object)
        && (was_ready || !object.is_suspended() && !is_judged(&*object))
}

fn effective<K: Object>(store: &Store<K>, key: &ObjectKey) -> Option<Vec<EffectiveConfig>> {
    let object = store.get(&reference(key))?;
    object.status()?;
    Some(object.effective_config().to_vec())
}

/// Names an object as its store does.
pub(super) fn reference<K: Object>(key: &ObjectKey) -> ObjectRef<K> {
    let reference = ObjectRef::new(&key.name);
    if key.namespace.is_empty() {
        reference
    } else {
        reference.within(&key.namespace)
    }
}
