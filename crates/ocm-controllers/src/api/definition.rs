//! The definitions of the kinds, as a cluster wants them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps,
    JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Component, Deployer, Replication, Repository, Resource};

/// Returns the definitions of all kinds, by name.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let kinds = [
        Component::crd(),
        Deployer::crd(),
        Replication::crd(),
        Repository::crd(),
        Resource::crd(),
    ];
    kinds.into_iter().map(finished).collect()
}

/// Any JSON.
pub(super) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// An object with whatever is in it.
pub(super) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn finished(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        version.additional_printer_columns = Some(columns());
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        {
            without_null(schema);
            schema.title = None;
            if definition.spec.names.kind == "Deployer" {
                // As published; such an object is of no use, and says so.
                schema.required = None;
            }
        }
    }
    definition
}

/// What `kubectl get` shows: how old an object is and, with `-o wide`, what came of it.
fn columns() -> Vec<CustomResourceColumnDefinition> {
    vec![
        CustomResourceColumnDefinition {
            name: "Ready".to_owned(),
            type_: "string".to_owned(),
            json_path: r#".status.conditions[?(@.type=="Ready")].message"#.to_owned(),
            description: Some("What came of the last reconciliation".to_owned()),
            priority: Some(1),
            ..Default::default()
        },
        CustomResourceColumnDefinition {
            name: "Age".to_owned(),
            type_: "date".to_owned(),
            json_path: ".metadata.creationTimestamp".to_owned(),
            description: Some("The age of the object".to_owned()),
            ..Default::default()
        },
    ]
}

/// An optional field is absent or has a value: `null` says neither, and the published definitions
/// do not take it.
fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flatten() {
        without_null(property.1);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => without_null(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(without_null),
        None => {}
    }
}
