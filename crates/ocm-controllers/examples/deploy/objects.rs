//! The objects that are delivered, and those that deliver them.

use std::fmt::Write as _;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use ocm_controllers::api::{Component, Deployer, Repository, Resource};
use serde_json::{Value, json};

use crate::Shape;

/// Where everything is that has a namespace.
pub(crate) const NAMESPACE: &str = "bench";

/// How many objects are made at a time.
const MAKING: usize = 16;

/// How the objects of a run differ from those of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<'a> {
    /// The name of the repository object, with which all names begin.
    pub(crate) name: &'a str,
    /// Where its registry is.
    pub(crate) host: &'a str,
    pub(crate) semver: &'a str,
    pub(crate) interval: &'a str,
}

pub(crate) fn component_name(number: usize) -> String {
    format!("bench.example.org/c{number:04}")
}

/// The name of a config map of a component.
pub(crate) fn map_name(component: usize, map: usize) -> String {
    format!("c{component:04}-{map:02}")
}

/// The manifest of a component: config maps, each with a text that names the version.
pub(crate) fn manifest(component: usize, maps: usize, version: &str) -> String {
    let mut text = String::new();
    for map in 0..maps {
        let name = map_name(component, map);
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: \
             {NAMESPACE}\ndata:\n  version: {version}\n  text: the settings of {name}, which are \
             as long as settings usually are\n"
        );
    }
    text
}

/// Makes the objects that deliver: a repository, components, resources and deployers.
pub(crate) async fn make(client: &Client, kind: Kind<'_>, shape: Shape) -> Result<()> {
    let Kind { name, .. } = kind;
    let mut objects = vec![object(
        &ApiResource::erase::<Repository>(&()),
        name,
        &json!({
            "repositorySpec": {"type": "OCIRegistry", "baseUrl": format!("http://{}", kind.host)},
            "interval": kind.interval,
        }),
    )];
    objects.extend((0..shape.components).map(|number| {
        let spec = json!({
            "repositoryRef": {"name": name},
            "component": component_name(number),
            "semver": kind.semver,
            "interval": kind.interval,
        });
        let resource = ApiResource::erase::<Component>(&());
        object(&resource, &format!("{name}-c{number:04}"), &spec)
    }));
    objects.extend((0..shape.resources).map(|number| {
        let component = number % shape.components.max(1);
        let spec = json!({
            "componentRef": {"name": format!("{name}-c{component:04}")},
            "resource": {"byReference": {"resource": {"name": "manifests"}}},
        });
        let resource = ApiResource::erase::<Resource>(&());
        object(&resource, &format!("{name}-r{number:04}"), &spec)
    }));
    objects.extend((0..shape.deployers).map(|number| {
        let reference = json!({"name": format!("{name}-r{number:04}"), "namespace": NAMESPACE});
        let spec = json!({"resourceRef": reference});
        let resource = ApiResource::erase::<Deployer>(&());
        object(&resource, &format!("{name}-d{number:04}"), &spec)
    }));
    apply(client, objects, MAKING).await
}

fn object(resource: &ApiResource, name: &str, spec: &Value) -> DynamicObject {
    let mut object = DynamicObject::new(name, resource).data(json!({"spec": spec}));
    if resource.kind != "Deployer" {
        object.metadata.namespace = Some(NAMESPACE.to_owned());
    }
    object
}

/// Applies objects, so many at a time.
pub(crate) async fn apply(
    client: &Client,
    objects: Vec<DynamicObject>,
    parallel: usize,
) -> Result<()> {
    let applying = objects.into_iter().map(|object| apply_one(client, object));
    let mut applying = stream::iter(applying).buffer_unordered(parallel);
    while applying.try_next().await?.is_some() {}
    Ok(())
}

pub(crate) async fn apply_one(client: &Client, object: DynamicObject) -> Result<()> {
    let types = object.types.clone().unwrap_or_default();
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api = api_of(client.clone(), &resource, object.namespace().as_deref());
    let params = PatchParams::apply("bench").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object))
        .await?;
    Ok(())
}

/// Where objects of a kind are that are in a namespace, or in none.
pub(crate) fn api_of(
    client: Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}
