//! `Component`: a component of which a version is chosen and verified.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::condition::Condition;
use super::config::{ConfigReference, EffectiveConfig};
use super::reference::{DigestInfo, LocalRef};

/// Which version of a component is wanted, from where, and who must have signed it.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "delivery.ocm.software",
    version = "v1alpha1",
    kind = "Component",
    namespaced,
    status = "ComponentStatus",
    doc = "A component of which a version is chosen and verified.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": "sign is not offered: sign the component version where it is made, with `ocm sign cv`",
    "rule": "!has(self.sign)",
}]))]
pub struct ComponentSpec {
    /// The repository object, in this namespace.
    pub repository_ref: LocalRef,
    /// The name of the component, such as `acme.org/notes`.
    pub component: String,
    /// A version, or a constraint such as `>=1.0.0`.
    pub semver: String,
    /// A regular expression that versions must match, beside the constraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver_filter: Option<String>,
    /// Whether a lower version than the present one may be taken.
    #[serde(default)]
    pub downgrade_policy: DowngradePolicy,
    /// The signatures that must be there, and with which keys they are verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Vec<Verification>>,
    /// Not offered. Signing happens where a component version is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::definition::any_object")]
    pub sign: Option<Value>,
    /// Configuration and credentials, in this order, instead of those of the repository.
    #[serde(default, rename = "ocmConfig", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub ocm_config: Option<Vec<ConfigReference>>,
    /// How often versions are looked for, as a duration such as `10m`.
    pub interval: String,
    /// Whether nothing is done about this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Whether a lower version than the present one may be taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DowngradePolicy {
    /// It may.
    Allow,
    /// It may not.
    #[default]
    Deny,
}

/// A signature, and the key that verifies it: one of a secret and a value.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The name of the signature.
    pub signature: String,
    /// A secret of this namespace that has the key under the name of the signature. A secret with
    /// one entry may call it anything; in one with several, `key` and `public.pem` are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// A public key or a certificate in PEM, encoded in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What is known of a component.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// The generation of the object that was looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The version that was chosen, and verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentInfo>,
    /// The configuration that was used, in its order.
    #[serde(
        default,
        rename = "effectiveOCMConfig",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub effective_ocm_config: Vec<EffectiveConfig>,
}

/// A component version, and where it is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentInfo {
    /// The specification of the repository that has it.
    #[schemars(schema_with = "super::definition::any")]
    pub repository_spec: Value,
    /// The name of the component.
    pub component: String,
    /// The version, as it was published.
    pub version: String,
    /// The digest of the normalised descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestInfo>,
}
