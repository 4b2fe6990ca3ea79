//! Signatures, as component descriptors keep them. Making and checking them is left to others.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest_spec::DigestSpec;
use crate::identity::Identity;
use crate::label::null_as_default;

/// A signature of a component version (OCM specification, "Signatures").
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Signature {
    /// The name; unique in the descriptor.
    pub name: String,
    /// The digest of the normalised descriptor: what was signed.
    pub digest: DigestSpec,
    /// The signature itself.
    pub signature: SignatureInfo,
    /// Who testifies when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampSpec>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a signature algorithm has made.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignatureInfo {
    /// The algorithm, such as `RSASSA-PSS`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub algorithm: String,
    /// The value, written as the media type says.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: String,
    /// The media type of the value.
    #[serde(default, deserialize_with = "null_as_default")]
    pub media_type: String,
    /// Who signed, as a distinguished name (RFC 2253) or free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A testimony of when a signature was made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TimestampSpec {
    /// The timestamp of RFC 3161, as PEM.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: String,
    /// The time in it (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The digests of a component version somewhere below, kept in the root of a signed tree.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NestedDigest {
    /// The component.
    pub name: String,
    /// Its version.
    #[serde(default, deserialize_with = "null_as_default")]
    pub version: String,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestSpec>,
    /// The digests of its resources.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource_digests: Vec<NestedResourceDigest>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The digest of a resource of a component version somewhere below.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NestedResourceDigest {
    /// The name of the resource.
    pub name: String,
    /// Its version.
    #[serde(default, deserialize_with = "null_as_default")]
    pub version: String,
    /// What else identifies it.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Identity::is_empty"
    )]
    pub extra_identity: Identity,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestSpec>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
