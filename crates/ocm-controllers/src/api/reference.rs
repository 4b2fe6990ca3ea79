//! What objects say of each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object in the namespace of the one that names it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LocalRef {
    /// The name of the object.
    #[serde(default)]
    pub name: String,
}

/// A component in the namespace of the object that names it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ComponentRef {
    /// The name of the component object.
    #[serde(default)]
    pub name: String,
    /// The namespace of the component object. It may be stated, and must then be the namespace of
    /// this object: a component of another namespace is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A resource, in whatever namespace.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// The name of the resource object.
    pub name: String,
    /// The namespace of the resource object. A deployer has none of its own, so without it nothing
    /// is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A digest, and how it was computed: the specification's digest info.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DigestInfo {
    /// The hash algorithm, such as `SHA-256`.
    pub hash_algorithm: String,
    /// What was hashed: the normalisation of a descriptor, or of an artifact.
    pub normalisation_algorithm: String,
    /// The digest as lower-case hexadecimal digits.
    pub value: String,
}
