//! Configuration that objects bring along, and hand on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::LocalRef;

/// Whether configuration is handed on to objects that refer to this one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ConfigPolicy {
    /// It is.
    #[default]
    Propagate,
    /// It is for this object alone.
    DoNotPropagate,
}

/// Where configuration comes from: a secret, a config map, or what another object uses.
///
/// The short forms `secretRef` and `configMapRef` stand for the same with a kind.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "message": "state one of kind with name, secretRef, and configMapRef",
        "rule": "(has(self.kind) ? 1 : 0) + (has(self.secretRef) ? 1 : 0) + (has(self.configMapRef) ? 1 : 0) == 1 \
            && has(self.kind) == has(self.name) && (has(self.kind) || !has(self.apiVersion) && !has(self.__namespace__))",
    },
    {
        "message": KINDS,
        "rule": "!has(self.kind) || ((!has(self.apiVersion) || self.apiVersion == '' || self.apiVersion == 'v1') \
            && (self.kind == 'Secret' || self.kind == 'ConfigMap')) \
            || (self.apiVersion == 'delivery.ocm.software/v1alpha1' && (self.kind == 'Repository' \
            || self.kind == 'Component' || self.kind == 'Resource' || self.kind == 'Replication'))",
    },
]))]
pub struct ConfigReference {
    /// The API version of the object. Without it, the object is a secret or a config map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The kind of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of the object, if it is not that of the one that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A secret, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// A config map, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalRef>,
    /// Whether objects that refer to this one use the configuration, too.
    #[serde(default)]
    pub policy: ConfigPolicy,
}

/// A secret or config map that was used.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": KINDS,
    "rule": "((!has(self.apiVersion) || self.apiVersion == '' || self.apiVersion == 'v1') \
        && (self.kind == 'Secret' || self.kind == 'ConfigMap')) \
        || (self.apiVersion == 'delivery.ocm.software/v1alpha1' && (self.kind == 'Repository' \
        || self.kind == 'Component' || self.kind == 'Resource' || self.kind == 'Replication'))",
}]))]
pub struct EffectiveConfig {
    /// The API version of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The kind of the object.
    pub kind: String,
    /// The name of the object.
    pub name: String,
    /// The namespace of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether objects that refer to this one use the configuration, too.
    #[serde(default)]
    pub policy: ConfigPolicy,
}

/// What the API server answers to other kinds; the text of the Go controllers.
const KINDS: &str = "apiVersion must be one of \"v1\" with kind \"Secret\" or \"ConfigMap\" or \
    \"delivery.ocm.software/v1alpha1\" with the kind of an OCM kubernetes object";
