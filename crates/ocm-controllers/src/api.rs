//! The custom resources, version `v1alpha1`.
//!
//! Names of fields, enumerations, messages and reasons are those of the Go controllers, as
//! manifests, graphs of resources and tools that wait for conditions rely on them. A field that
//! exists here alone is optional.

mod component;
mod condition;
mod config;
mod definition;
mod deployer;
mod reason;
mod reference;
mod replication;
mod repository;
mod resource;

pub use component::{
    Component, ComponentInfo, ComponentSpec, ComponentStatus, DowngradePolicy, Verification,
};
pub use condition::{Condition, ConditionStatus, ConditionType, Conditions};
pub use config::{ConfigPolicy, ConfigReference, EffectiveConfig};
pub use definition::definitions;
pub use deployer::{DeployedObject, Deployer, DeployerSpec, DeployerStatus};
pub use reason::Reason;
pub use reference::{ComponentRef, DigestInfo, LocalRef, ResourceRef};
pub use replication::{
    FailedTransferEvent, Replication, ReplicationSpec, ReplicationStatus, TransferRecord,
};
pub use repository::{Repository, RepositorySpec, RepositoryStatus};
pub use resource::{
    ByReference, Label, LabelMerge, Resource, ResourceInfo, ResourceSelector, ResourceSpec,
    ResourceStatus, VerificationPolicy,
};

/// The group of all kinds.
pub const GROUP: &str = "delivery.ocm.software";

/// The only version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// What `apiVersion` says in objects of all kinds.
pub const API_VERSION: &str = "delivery.ocm.software/v1alpha1";
