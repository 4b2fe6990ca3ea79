//! The objects that deployers have applied: one set for each deployer.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt as _};
use ocm_kube::ObjectKey;
use ocm_kube::apply::{self, Applier, Memory};
use ocm_kube::applyset::{ApplySet, Error, Parent, Report};
use ocm_kube::mapping::Mapping;
use ocm_kube::watches::{self, Owner, OwnerKind, Watches};

use super::metadata::MANAGER;
use crate::api::{Deployer, GROUP};
use crate::reconcile::Reconcile as _;

/// The field manager of what is applied: that of the Go controllers, whose objects are taken over.
const FIELD_MANAGER: &str = "delivery.ocm.software/applyset";

/// What takes care of the sets.
const TOOLING: &str = concat!("ocm/", env!("CARGO_PKG_VERSION"));

/// The sets of all deployers, and what is watched of them.
pub(crate) struct Sets {
    mapping: Mapping,
    applier: Applier,
    watches: Watches,
    /// How objects were left, by the unique identifiers of their deployers.
    memories: Mutex<BTreeMap<String, Arc<Memory>>>,
}

impl Sets {
    pub(crate) fn new(client: Client) -> Self {
        let mapping = Mapping::new(client.clone());
        let options = watches::Options {
            selector: format!("app.kubernetes.io/managed-by={MANAGER}"),
            owner: OwnerKind {
                group: GROUP.to_owned(),
                kind: "Deployer".to_owned(),
                namespaced: false,
            },
        };
        Self {
            applier: Applier::new(
                client.clone(),
                mapping.clone(),
                FIELD_MANAGER,
                apply::Options::default(),
            ),
            watches: Watches::new(client, options),
            mapping,
            memories: Mutex::default(),
        }
    }

    /// Returns the deployers of whose objects somebody else has changed some. For one reader.
    pub(crate) fn changes(&self) -> impl Stream<Item = Owner> + Send + use<> {
        self.watches.changes()
    }

    /// Returns why objects of a deployer are not watched at the moment, by kind.
    pub(crate) fn problems(&self, deployer: &Deployer) -> Vec<(String, String)> {
        let uid = deployer.metadata.uid.as_deref();
        self.watches.problems(uid.unwrap_or_default())
    }

    /// Makes these the objects of a deployer.
    ///
    /// They are watched before the first of them is written, so that nobody changes one unseen.
    ///
    /// `left` is how an earlier process has left them.
    pub(crate) async fn apply(
        &self,
        deployer: &Deployer,
        objects: Vec<DynamicObject>,
        left: Option<String>,
    ) -> Result<Report, Error> {
        let watched = self.resources(objects.iter().filter_map(kind_of)).await;
        let pass = self.watches.begin(&owner(deployer), &watched);
        let memory = self.memory(deployer, left);
        let report = self.set(deployer).apply(objects, &memory).await?;

        let kinds = report.outcomes.iter().map(|outcome| {
            GroupVersionKind::gvk(&outcome.key.group, &outcome.version, &outcome.key.kind)
        });
        let mut watched = self.resources(kinds).await;
        // Those that go are watched until they have gone.
        watched.extend(self.resources_of(&report.terminating).await);
        let applied = report
            .outcomes
            .iter()
            .filter_map(|it| it.result.as_ref().ok());
        pass.end(
            &watched,
            applied.map(|it| (it.uid.as_str(), it.resource_version.as_str())),
        );
        Ok(report)
    }

    /// Deletes all objects of a deployer, and returns those that are still there. Their deployer
    /// hears when they have gone.
    pub(crate) async fn delete(&self, deployer: &Deployer) -> Result<Vec<ObjectKey>, Error> {
        let deployed = deployer.status.iter().flat_map(|it| &it.deployed);
        let kinds = deployed.map(|it| {
            let (group, version) = it
                .api_version
                .rsplit_once('/')
                .unwrap_or(("", &it.api_version));
            GroupVersionKind::gvk(group, version, &it.kind)
        });
        let mut watched = self.resources(kinds).await;
        let pass = self.watches.begin(&owner(deployer), &watched);
        let left = self.set(deployer).delete().await?;
        if left.is_empty() {
            drop(pass);
            self.forget(deployer);
        } else {
            watched.extend(self.resources_of(&left).await);
            pass.end(&watched, []);
        }
        Ok(left)
    }

    /// Forgets a deployer.
    fn forget(&self, deployer: &Deployer) {
        self.forget_uid(deployer.metadata.uid.as_deref().unwrap_or_default());
    }

    fn forget_uid(&self, uid: &str) {
        self.memories().remove(uid);
        self.watches.release(uid);
    }

    /// Forgets the deployers that have gone without a pass, as somebody has taken their finalizers
    /// away. It does so when there are more of them than of those that are there.
    pub(crate) fn forget_gone(&self, there: &Store<Deployer>) {
        if self.memories().len() <= there.len() {
            return;
        }
        let there = there.state();
        let there: BTreeSet<_> = there.iter().map(|it| it.metadata.uid.as_deref()).collect();
        let mut known: Vec<_> = self.memories().keys().cloned().collect();
        known.retain(|uid| !there.contains(&Some(uid)));
        for uid in known {
            self.forget_uid(&uid);
        }
    }

    fn set(&self, deployer: &Deployer) -> ApplySet {
        let parent = Parent {
            resource: ApiResource::erase::<Deployer>(&()),
            namespace: None,
            name: deployer.name_any(),
            uid: deployer.metadata.uid.clone().unwrap_or_default(),
        };
        ApplySet::new(self.applier.clone(), parent, TOOLING)
            .kept_by(Deployer::FINALIZERS)
            .seen_as(deployer.metadata.clone())
    }

    fn memory(&self, deployer: &Deployer, left: Option<String>) -> Arc<Memory> {
        let uid = deployer.metadata.uid.clone().unwrap_or_default();
        let mut memories = self.memories();
        let new = || Arc::new(Memory::of_earlier(left));
        Arc::clone(memories.entry(uid).or_insert_with(new))
    }

    /// Returns what kinds are served as. Those that are not served, or cannot be looked up, are left
    /// out: applying them says why.
    async fn resources(&self, kinds: impl Iterator<Item = GroupVersionKind>) -> Vec<ApiResource> {
        let mut resources: BTreeMap<_, Option<ApiResource>> = BTreeMap::new();
        for kind in kinds {
            let name = (kind.group.clone(), kind.version.clone(), kind.kind.clone());
            if let Entry::Vacant(vacant) = resources.entry(name) {
                let found = self.mapping.find(&kind).await.ok().flatten();
                vacant.insert(found.map(|it| it.resource));
            }
        }
        resources.into_values().flatten().collect()
    }

    async fn resources_of(&self, keys: &[ObjectKey]) -> Vec<ApiResource> {
        let kinds: BTreeSet<_> = keys.iter().map(|it| (&it.group, &it.kind)).collect();
        let mut resources = Vec::new();
        for (group, kind) in kinds {
            if let Ok(Some(mapped)) = self.mapping.find_any_version(group, kind).await {
                resources.push(mapped.resource);
            }
        }
        resources
    }

    fn memories(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Memory>>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owner(deployer: &Deployer) -> Owner {
    Owner {
        uid: deployer.metadata.uid.clone().unwrap_or_default(),
        namespace: None,
        name: deployer.name_any(),
    }
}

/// Returns the kind that an object states.
fn kind_of(object: &DynamicObject) -> Option<GroupVersionKind> {
    GroupVersionKind::try_from(object.types.as_ref()?).ok()
}

#[cfg(test)]
mod tests {
    use kube::Config;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;

    fn deployer(uid: &str) -> Deployer {
        let deployer = json!({
            "apiVersion": "delivery.ocm.software/v1alpha1", "kind": "Deployer",
            "metadata": {"name": uid, "uid": uid}, "spec": {"resourceRef": {"name": "r"}},
        });
        serde_json::from_value(deployer).expect("a deployer")
    }

    #[tokio::test]
    async fn what_is_remembered_of_those_who_have_gone_unseen_is_dropped() {
        // Nobody is asked anything.
        let config = Config::new("http://localhost:1".parse().expect("an address"));
        let sets = Sets::new(Client::try_from(config).expect("a client"));
        let (there, mut writer) = reflector::store();
        for uid in ["a", "b"] {
            sets.memory(&deployer(uid), None);
            writer.apply_watcher_event(&Event::Apply(deployer(uid)));
        }
        let known = || sets.memories().keys().cloned().collect::<Vec<_>>();
        sets.forget_gone(&there);
        assert_eq!(known(), ["a", "b"]);
        writer.apply_watcher_event(&Event::Delete(deployer("a")));
        sets.forget_gone(&there);
        assert_eq!(known(), ["b"]);
    }
}
