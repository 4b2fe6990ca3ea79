//! `Repository`: a place with component versions.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::condition::Condition;
use super::config::{ConfigReference, EffectiveConfig};

/// A repository of component versions, and how often it is looked at.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "delivery.ocm.software",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    namespaced,
    status = "RepositoryStatus",
    doc = "A repository of component versions.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct RepositorySpec {
    /// The repository specification, such as `{type: OCIRegistry, baseUrl: …}`.
    #[schemars(schema_with = "super::definition::any")]
    pub repository_spec: Value,
    /// How often the repository is looked at, as a duration such as `10m`.
    pub interval: String,
    /// Configuration and credentials, in this order.
    #[serde(default, rename = "ocmConfig", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub ocm_config: Option<Vec<ConfigReference>>,
    /// Whether nothing is done about this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What is known of a repository.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// The generation of the object that was looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The configuration that was used, in its order.
    #[serde(
        default,
        rename = "effectiveOCMConfig",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub effective_ocm_config: Vec<EffectiveConfig>,
}
