//! `Deployer`: manifests of a resource, applied to this cluster.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::config::{ConfigReference, EffectiveConfig};
use super::reference::ResourceRef;

/// Whose manifests are applied.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "delivery.ocm.software",
    version = "v1alpha1",
    kind = "Deployer",
    status = "DeployerStatus",
    doc = "Applies the manifests that a resource contains.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct DeployerSpec {
    /// The resource object.
    pub resource_ref: ResourceRef,
    /// Configuration and credentials, in this order, instead of those of the resource.
    #[serde(default, rename = "ocmConfig", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub ocm_config: Option<Vec<ConfigReference>>,
    /// Whether nothing is done about this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What is known of a deployer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployerStatus {
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
    /// All objects that are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployed: Vec<DeployedObject>,
    /// What was applied, and how it was left, as a digest. While the objects are still like that, they
    /// are not applied again when the controllers start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_digest: Option<String>,
}

impl DeployerStatus {
    /// Tells whether this says something else than another one, whatever the digest is.
    pub(crate) fn is_news_after(&self, before: &Self) -> bool {
        let mut without = self.clone();
        without.applied_digest.clone_from(&before.applied_digest);
        without != *before
    }
}

/// An object that is applied.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployedObject {
    /// Its API version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its unique identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}
