//! `Replication`: a component version, transferred to another repository.

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::component::ComponentInfo;
use super::condition::Condition;
use super::config::{ConfigReference, EffectiveConfig};
use super::reference::{ComponentRef, LocalRef};

/// What is transferred where.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "delivery.ocm.software",
    version = "v1alpha1",
    kind = "Replication",
    namespaced,
    status = "ReplicationStatus",
    doc = "Transfers the version of a component to another repository.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationSpec {
    /// The component object, in this namespace.
    pub component_ref: ComponentRef,
    /// The repository object to transfer to, in this namespace.
    pub target_repository_ref: LocalRef,
    /// Configuration and credentials, in this order, instead of those of the component. Settings
    /// of the transfer are part of it.
    #[serde(default, rename = "ocmConfig", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub ocm_config: Option<Vec<ConfigReference>>,
    /// How often it is looked whether the target still has everything, as a duration such as
    /// `1h`. Without it: when something changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Whether nothing is done about this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What is known of a replication.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationStatus {
    /// The generation of the object that was looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The component version that is transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentInfo>,
    /// The version that was transferred last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transferred_version: Option<String>,
    /// The digest of its descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transferred_digest: Option<String>,
    /// What failed in the last transfer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_failed_transfer_events: Vec<FailedTransferEvent>,
    /// The last transfers in which something moved or failed, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub history: Vec<TransferRecord>,
    /// The configuration that was used, in its order.
    #[serde(
        default,
        rename = "effectiveOCMConfig",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub effective_ocm_config: Vec<EffectiveConfig>,
}

/// A transfer that has ended.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferRecord {
    /// The component.
    pub component: String,
    /// Its version.
    pub version: String,
    /// Where it came from.
    #[schemars(schema_with = "super::definition::any")]
    pub source_repository_spec: Value,
    /// Where it went.
    #[schemars(schema_with = "super::definition::any")]
    pub target_repository_spec: Value,
    /// When its turn came.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub start_time: Timestamp,
    /// When it ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub end_time: Timestamp,
    /// Whether everything is at the target.
    pub success: bool,
    /// What went wrong, if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A step of a transfer that failed.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedTransferEvent {
    /// The step.
    pub id: String,
    /// What it was about.
    pub name: String,
    /// What went wrong.
    pub error: String,
}
