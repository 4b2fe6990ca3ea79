//! What is asked of objects of all five kinds.

use std::fmt::Debug;

use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::{
    Component, ComponentStatus, Condition, ConditionType, Conditions as _, ConfigReference,
    Deployer, DeployerStatus, EffectiveConfig, Replication, ReplicationStatus, Repository,
    RepositoryStatus, Resource, ResourceStatus,
};
use crate::config::ObjectKey;

/// An object of ours.
pub(crate) trait Object:
    kube::Resource<DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Serialize
    + Sync
    + 'static
{
    /// Its kind.
    const KIND: &'static str;

    /// What is known of it.
    type Status: Status;

    /// Where objects of a namespace are; for a kind without namespaces, that is empty.
    fn api(client: &Client, namespace: &str) -> Api<Self>;

    fn status(&self) -> Option<&Self::Status>;

    fn is_suspended(&self) -> bool;

    /// How often it is looked at without a change, as it is written.
    fn interval(&self) -> Option<&str> {
        None
    }

    /// The configuration that it states.
    fn stated_config(&self) -> &[ConfigReference];

    /// The objects that it is made from. Their changes are its own business.
    fn parents(&self) -> Vec<ObjectKey>;

    /// What objects that are made from it look at, beside readiness and configuration.
    fn shown(&self) -> Value {
        Value::Null
    }

    /// Names it.
    fn key(&self) -> ObjectKey {
        ObjectKey::new(
            Self::KIND,
            &self.namespace().unwrap_or_default(),
            &self.name_any(),
        )
    }

    /// The configuration that it uses.
    fn effective_config(&self) -> &[EffectiveConfig] {
        self.status().map_or(&[], Status::effective_config)
    }
}

/// The status of an object.
pub(crate) trait Status:
    Clone + Debug + Default + PartialEq + Send + Serialize + Sync
{
    fn conditions(&self) -> &Vec<Condition>;

    fn conditions_mut(&mut self) -> &mut Vec<Condition>;

    /// Says which generation of the object this is about.
    fn observe(&mut self, generation: Option<i64>);

    fn effective_config(&self) -> &[EffectiveConfig];

    /// Tells whether this says something to anybody that another one does not.
    fn is_news_after(&self, before: &Self) -> bool {
        self != before
    }
}

/// Tells whether others may build on an object: it is ready in the generation that it has now, and
/// is not going.
pub(crate) fn is_usable<K: Object>(object: &K) -> bool {
    let meta = object.meta();
    let ready = |status: &K::Status| status.conditions().is_ready(meta.generation);
    meta.deletion_timestamp.is_none() && object.status().is_some_and(ready)
}

/// Tells whether it is known of an object, in the generation that it has now, whether it is ready.
pub(crate) fn is_judged<K: Object>(object: &K) -> bool {
    let status = object.status();
    let ready = status.and_then(|it| it.conditions().condition(ConditionType::Ready));
    ready.is_some_and(|it| it.observed_generation == object.meta().generation)
}

macro_rules! status {
    ($($status:ty $({ $($more:tt)* })?),*) => {$(
        impl Status for $status {
            fn conditions(&self) -> &Vec<Condition> {
                &self.conditions
            }

            fn conditions_mut(&mut self) -> &mut Vec<Condition> {
                &mut self.conditions
            }

            fn observe(&mut self, generation: Option<i64>) {
                self.observed_generation = generation;
            }

            fn effective_config(&self) -> &[EffectiveConfig] {
                &self.effective_ocm_config
            }

            $($($more)*)?
        }
    )*};
}

status!(
    RepositoryStatus,
    ComponentStatus,
    ResourceStatus,
    DeployerStatus {
        fn is_news_after(&self, before: &Self) -> bool {
            Self::is_news_after(self, before)
        }
    },
    ReplicationStatus
);

/// What all kinds have under the same names.
macro_rules! common {
    ($kind:literal, $status:ty, $scope:ident) => {
        const KIND: &'static str = $kind;

        type Status = $status;

        common!($scope);

        fn status(&self) -> Option<&$status> {
            self.status.as_ref()
        }

        fn is_suspended(&self) -> bool {
            self.spec.suspend == Some(true)
        }

        fn stated_config(&self) -> &[ConfigReference] {
            self.spec.ocm_config.as_deref().unwrap_or_default()
        }
    };
    (namespaced) => {
        fn api(client: &Client, namespace: &str) -> Api<Self> {
            Api::namespaced(client.clone(), namespace)
        }
    };
    (cluster) => {
        fn api(client: &Client, _: &str) -> Api<Self> {
            Api::all(client.clone())
        }
    };
}

impl Object for Repository {
    common!("Repository", RepositoryStatus, namespaced);

    fn interval(&self) -> Option<&str> {
        Some(&self.spec.interval)
    }

    fn parents(&self) -> Vec<ObjectKey> {
        Vec::new()
    }
}

impl Object for Component {
    common!("Component", ComponentStatus, namespaced);

    fn interval(&self) -> Option<&str> {
        Some(&self.spec.interval)
    }

    fn parents(&self) -> Vec<ObjectKey> {
        vec![beside(
            self,
            Repository::KIND,
            &self.spec.repository_ref.name,
        )]
    }

    fn shown(&self) -> Value {
        json!(self.status.as_ref().map(|it| &it.component))
    }
}

impl Object for Resource {
    common!("Resource", ResourceStatus, namespaced);

    fn interval(&self) -> Option<&str> {
        self.spec.interval.as_deref()
    }

    fn parents(&self) -> Vec<ObjectKey> {
        vec![beside(self, Component::KIND, &self.spec.component_ref.name)]
    }

    fn shown(&self) -> Value {
        let status = self.status.as_ref();
        json!(status.map(|it| (&it.component, &it.resource)))
    }
}

impl Object for Deployer {
    common!("Deployer", DeployerStatus, cluster);

    fn parents(&self) -> Vec<ObjectKey> {
        let reference = &self.spec.resource_ref;
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        vec![ObjectKey::new(Resource::KIND, namespace, &reference.name)]
    }
}

impl Object for Replication {
    common!("Replication", ReplicationStatus, namespaced);

    fn interval(&self) -> Option<&str> {
        self.spec.interval.as_deref()
    }

    fn parents(&self) -> Vec<ObjectKey> {
        vec![
            beside(self, Component::KIND, &self.spec.component_ref.name),
            beside(
                self,
                Repository::KIND,
                &self.spec.target_repository_ref.name,
            ),
        ]
    }
}

/// Names an object of the same namespace.
pub(crate) fn beside<K: Object>(object: &K, kind: &str, name: &str) -> ObjectKey {
    ObjectKey::new(
        kind,
        object.meta().namespace.as_deref().unwrap_or_default(),
        name,
    )
}
