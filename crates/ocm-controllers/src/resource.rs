//! Reconciles `Resource`: finds a resource of a component version, and what is to be said of it.

mod info;
mod locate;
mod path;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::api::{Component, ComponentInfo, Reason, Resource, ResourceStatus};
use crate::component::warnings;
use crate::config::ObjectKey;
use crate::object::{Object, beside};
use crate::reconcile::{
    ConfigSources, Context, Done, Failure, Reconcile, Retry, Shared, parse_interval,
};
use crate::resolution::Pinned;
use crate::watch::{is_pending, usable};

pub(crate) use self::locate::{Located, is_strict, locate};

/// The reason of the event about content that nobody has compared with its digest.
const NOT_CHECKED: &str = "ContentNotChecked";

impl Reconcile for Resource {
    const FINALIZERS: &'static [&'static str] = &["finalizers.ocm.software/resource"];
    const LABEL: &'static str = "resource";
    const DEPENDENTS: Option<&'static str> = Some("deployers");
    const ANNOTATION: &'static str = "resource_version";

    type Services = ();

    /// A deployer that goes does not keep what it waits for itself.
    fn keepers(&self, shared: &Shared) -> Vec<ObjectKey> {
        let mut keepers = shared.relations.keepers(&self.key());
        keepers.retain(|keeper| !self.is_awaited_by(keeper, shared));
        keepers
    }

    async fn reconcile(
        &self,
        context: &Context<Self>,
        status: &mut ResourceStatus,
    ) -> Result<Done, Failure> {
        self.check()?;
        let component = self.component(context)?;
        let chosen = chosen(&component)?;
        let sources = ConfigSources {
            parent: component.effective_config(),
            ..ConfigSources::default()
        };
        let effective = context.effective(self, sources)?;
        status.effective_ocm_config.clone_from(&effective);
        let config = context.load(self, &effective, Reason::GetComponentVersionFailed);
        let config = config.await?;
        let located = locate(context, self, &component, chosen, self, config).await?;
        let pinned = self.pin(context, &located).await?;

        let containing = containing(chosen, &located);
        let resource = info::written(&located.found().descriptor, located.index, &pinned);
        let fields = self.spec.additional_status_fields.as_ref();
        let additional = info::additional(fields, resource, &containing).await;
        // What was found before stays whole where it cannot be replaced whole.
        let additional =
            additional.map_err(|error| Failure::new(Reason::StatusSetFailed, &error, false))?;
        status.resource = Some(info::info(&located.resource, &pinned));
        status.component = Some(containing);
        status.additional = additional;
        Ok(Done {
            warnings: events(&located, &pinned),
            ..Done::new(format!("Applied version {}", located.resource.version))
        })
    }
}

impl Resource {
    /// Tells whether a deployer that goes waits for this object to go: it has applied this one, or
    /// one that this one keeps.
    fn is_awaited_by(&self, deployer: &ObjectKey, shared: &Shared) -> bool {
        let stores = &shared.stores;
        let Some(deployer) = stores.deployers.get(&ObjectRef::new(&deployer.name)) else {
            return false;
        };
        if deployer.metadata.deletion_timestamp.is_none() {
            return false;
        }
        let uid = deployer.uid().unwrap_or_default();
        let is_of_it = |references: &[OwnerReference]| references.iter().any(|it| it.uid == uid);
        let namespace = self.namespace().unwrap_or_default();
        let component = ObjectRef::new(&self.spec.component_ref.name).within(&namespace);
        let component = stores.components.get(&component);
        let repository = component.as_ref().and_then(|it| {
            let repository = ObjectRef::new(&it.spec.repository_ref.name);
            stores.repositories.get(&repository.within(&namespace))
        });
        is_of_it(self.owner_references())
            || component.is_some_and(|it| is_of_it(it.owner_references()))
            || repository.is_some_and(|it| is_of_it(it.owner_references()))
    }

    fn check(&self) -> Result<(), Failure> {
        if let Some(interval) = &self.spec.interval {
            parse_interval(interval)
                .map_err(|message| Failure::text(Reason::InvalidSpecification, message))?;
        }
        let elsewhere = self.spec.component_ref.namespace.as_deref();
        let elsewhere = elsewhere.filter(|it| !it.is_empty());
        if elsewhere.is_some() && elsewhere != self.namespace().as_deref() {
            let message = "componentRef.namespace must be the namespace of this object";
            return Err(Failure::text(Reason::InvalidSpecification, message));
        }
        Ok(())
    }

    /// Returns the component object, if it can be used. If not, it is watched.
    pub(crate) fn component<K: Reconcile>(
        &self,
        context: &Context<K>,
    ) -> Result<Arc<Component>, Failure> {
        let key = beside(self, Component::KIND, &self.spec.component_ref.name);
        available(&context.shared.stores.components, &key)
    }

    /// Finds out what the resource is; whether it is what its digest says, unless nobody asks.
    async fn pin(&self, context: &Context<Self>, located: &Located) -> Result<Pinned, Failure> {
        if !is_strict(self) {
            return Ok(Pinned {
                access: located.resource.access.clone(),
                digest: located.resource.digest.clone(),
                unchecked: None,
            });
        }
        let ticket = context.shared.resolutions.pin(&located.content());
        let pinned = context.wait(self, ticket).await?;
        pinned.map_err(|error| {
            Failure::new(Reason::GetOcmResourceFailed, &*error, error.is_transient())
        })
    }
}

/// Returns an object that others build on, or says why they cannot. While it is about to be looked
/// at after a change, what was built on it before holds.
pub(crate) fn available<K: Object>(store: &Store<K>, key: &ObjectKey) -> Result<Arc<K>, Failure> {
    usable(store, key).map_err(|message| {
        let failure = Failure::text(Reason::ResourceIsNotAvailable, message);
        if is_pending(store, key) {
            return Failure {
                retry: Retry::WhenJudged,
                ..failure
            };
        }
        failure
    })
}

/// Returns the version that a component object has chosen.
pub(crate) fn chosen(component: &Component) -> Result<&ComponentInfo, Failure> {
    let status = component.status.as_ref();
    status.and_then(|it| it.component.as_ref()).ok_or_else(|| {
        let message = "repository spec in component status must not be nil";
        Failure::text(Reason::ResourceIsNotAvailable, message)
    })
}

/// Returns the component version that has the resource, as objects state it.
pub(crate) fn containing(chosen: &ComponentInfo, located: &Located) -> ComponentInfo {
    let id = located.found().descriptor.id();
    ComponentInfo {
        repository_spec: chosen.repository_spec.clone(),
        component: id.name.as_str().to_owned(),
        version: id.version.as_str().to_owned(),
        digest: None,
    }
}

fn events(located: &Located, pinned: &Pinned) -> Vec<(&'static str, String)> {
    let mut events = Vec::new();
    for resolved in &located.way {
        events.extend(warnings(resolved.descriptor.id(), resolved));
    }
    if let Some(reason) = &pinned.unchecked {
        let message = format!("the content has not been compared with its digest: {reason}");
        events.push((NOT_CHECKED, message));
    }
    events
}
