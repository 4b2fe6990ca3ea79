//! From a component object to a resource: what both resources and deployers begin with.

use kube::ResourceExt as _;
use ocm::model::element::Resource as Element;
use ocm::model::{ComponentName, ComponentVersionId, Version};

use super::path;
use crate::api::{ByReference, Component, ComponentInfo, Reason, Resource, VerificationPolicy};
use crate::config::Loaded;
use crate::keys;
use crate::reconcile::{Context, Failure, Reconcile};
use crate::repository::decode;
use crate::resolution::{Place, Resolved, Wanted, WantedContent};

/// A resource, and the component version that has it.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// Where component versions are read, and how.
    pub(crate) place: Place,
    /// The component versions on the way, the one that has the resource last.
    pub(crate) way: Vec<Resolved>,
    /// The place of the resource in the list.
    pub(crate) index: usize,
    /// The resource.
    pub(crate) resource: Element,
    /// Whether signatures were verified that have to cover the resource.
    pub(crate) is_signed: bool,
}

impl Located {
    /// The component version that has the resource.
    pub(crate) fn found(&self) -> &Resolved {
        self.way.last().expect("the component itself is on the way")
    }

    /// The content of the resource.
    pub(crate) fn content(&self) -> WantedContent {
        WantedContent {
            place: self.place.clone(),
            found: self.found().clone(),
            resource: self.resource.clone(),
        }
    }
}

/// Finds the resource that a resource object names, in the version that its component object has
/// chosen, for whichever object wants it.
///
/// The component version is the one whose signatures hold, and each one behind a reference has the
/// digest that the reference states.
pub(crate) async fn locate<K: Reconcile>(
    context: &Context<K>,
    asking: &K,
    component: &Component,
    info: &ComponentInfo,
    resource: &Resource,
    config: Loaded,
) -> Result<Located, Failure> {
    let place = Place {
        config,
        repository: decode(&info.repository_spec)?,
    };
    let verifying = verifying(context, component).await?;
    let is_signed = !verifying.is_empty() && is_strict(resource);
    let root = Wanted {
        place: place.clone(),
        id: id_of(info)?,
        verifying,
        digest: None,
    };
    let root = resolve(context, asking, &root, Reason::GetComponentVersionFailed).await?;
    let mut way = vec![root];
    let ByReference {
        resource: selector,
        reference_path,
    } = &resource.spec.resource.by_reference;
    for (step, reference) in reference_path.iter().flatten().enumerate() {
        let from = &way[step].descriptor;
        let hop = path::hop(from, step, reference, is_signed).map_err(|error| not_found(&error))?;
        let wanted = Wanted {
            place: place.clone(),
            id: hop.id,
            verifying: Vec::new(),
            digest: hop.digest,
        };
        way.push(resolve(context, asking, &wanted, Reason::GetOcmResourceFailed).await?);
    }
    let descriptor = &way[way.len() - 1].descriptor;
    let (index, resource) =
        path::resource(descriptor, selector).map_err(|error| not_found(&error))?;
    Ok(Located {
        place,
        way,
        index,
        resource,
        is_signed,
    })
}

/// Tells whether content must have its digest, and be covered by what is verified.
pub(crate) fn is_strict(resource: &Resource) -> bool {
    resource.spec.verification_policy == VerificationPolicy::Always
        && resource.spec.skip_verify != Some(true)
}

/// Returns the component version that a component object has chosen.
fn id_of(info: &ComponentInfo) -> Result<ComponentVersionId, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(Reason::GetComponentVersionFailed, error, false)
    };
    let name: ComponentName = info
        .component
        .parse()
        .map_err(|error: ocm::model::name::ParseComponentNameError| failed(&error))?;
    let version = Version::lenient(&info.version).map_err(|error| failed(&error))?;
    Ok(ComponentVersionId::new(name, version))
}

async fn verifying<K: Reconcile>(
    context: &Context<K>,
    component: &Component,
) -> Result<Vec<keys::Verifying>, Failure> {
    let namespace = component.namespace().unwrap_or_default();
    let stated = component.spec.verify.as_deref().unwrap_or_default();
    let _request = context.shared.request().await;
    let keys = keys::read(&context.shared.client, &namespace, stated).await;
    keys.map_err(|error| {
        let transient = error.is_transient();
        Failure::new(Reason::GetComponentVersionFailed, &error, transient)
    })
}

async fn resolve<K: Reconcile>(
    context: &Context<K>,
    asking: &K,
    wanted: &Wanted,
    reason: Reason,
) -> Result<Resolved, Failure> {
    let ticket = context.shared.resolutions.component_version(wanted);
    let resolved = context.wait(asking, ticket).await?;
    resolved.map_err(|error| Failure::new(reason, &*error, error.is_transient()))
}

fn not_found(error: &path::PathError) -> Failure {
    Failure::new(Reason::GetOcmResourceFailed, error, false)
}
