//! `Resource`: a resource of a component version.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::component::ComponentInfo;
use super::condition::Condition;
use super::config::{ConfigReference, EffectiveConfig};
use super::reference::{ComponentRef, DigestInfo};

/// Which resource of a component is wanted, and what is to be said of it.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "delivery.ocm.software",
    version = "v1alpha1",
    kind = "Resource",
    namespaced,
    status = "ResourceStatus",
    doc = "A resource of a component version.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpec {
    /// The component object, in this namespace.
    pub component_ref: ComponentRef,
    /// Which resource of it.
    pub resource: ResourceSelector,
    /// Whether the content must have the digest that the descriptor states. Without it: it must.
    #[serde(default)]
    pub verification_policy: VerificationPolicy,
    /// Another way to say `verificationPolicy: Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_verify: Option<bool>,
    /// Fields for `status.additional`: expressions in CEL, or objects of such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::definition::any_object")]
    pub additional_status_fields: Option<Map<String, Value>>,
    /// Configuration and credentials, in this order, instead of those of the component.
    #[serde(default, rename = "ocmConfig", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub ocm_config: Option<Vec<ConfigReference>>,
    /// How often the resource is looked at again without a change, as a duration such as `10m`.
    /// Without it: when the component changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Whether nothing is done about this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// How a resource is found.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSelector {
    /// By its identity, possibly in a component that is referred to.
    pub by_reference: ByReference,
}

/// An identity, below a path of references.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ByReference {
    /// The identity of the resource: its name, extra identity and, optionally, version.
    pub resource: BTreeMap<String, String>,
    /// The identities of references that lead to the component version with the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_path: Option<Vec<BTreeMap<String, String>>>,
}

/// Whether content must have its digest.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum VerificationPolicy {
    /// It must.
    #[default]
    Always,
    /// Nobody asks.
    Never,
}

/// What is known of a resource.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// The generation of the object that was looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The resource as the descriptor has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceInfo>,
    /// The component version that contains the resource: where the path of references ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentInfo>,
    /// What the expressions of `additionalStatusFields` came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::definition::any_object")]
    pub additional: Option<Map<String, Value>>,
    /// The configuration that was used, in its order.
    #[serde(
        default,
        rename = "effectiveOCMConfig",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub effective_ocm_config: Vec<EffectiveConfig>,
}

/// A resource as a descriptor has it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceInfo {
    /// Its name.
    pub name: String,
    /// Its type, such as `ociImage`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What identifies it beside its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_identity: Option<BTreeMap<String, String>>,
    /// Where its content is.
    #[schemars(schema_with = "super::definition::any_object")]
    pub access: Value,
    /// The digest of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestInfo>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<Label>>,
}

/// A label of a resource.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its value, whatever that is.
    #[schemars(schema_with = "super::definition::any")]
    pub value: Value,
    /// The version of the format of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether signatures cover it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<bool>,
    /// How two values become one when a component version is transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<LabelMerge>,
}

/// How two values of a label become one.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelMerge {
    /// The name of the algorithm.
    pub algorithm: String,
    /// Its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::definition::any")]
    pub config: Option<Value>,
}
