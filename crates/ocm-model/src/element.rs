//! The elements of a component version: resources, sources, references.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::access::Access;
use crate::digest_spec::DigestSpec;
use crate::identity::Identity;
use crate::label::{Label, null_as_default};
use crate::name::ComponentName;
use crate::version::{ComponentVersionId, Version};

/// Which list of a component version an element is in.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ElementKind {
    /// The resources.
    Resource,
    /// The sources.
    Source,
    /// The references to other component versions.
    Reference,
}

impl ElementKind {
    /// All kinds, in the order of a descriptor.
    pub const ALL: [Self; 3] = [Self::Resource, Self::Source, Self::Reference];

    /// Returns the word for one element, such as `resource`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Source => "source",
            Self::Reference => "reference",
        }
    }
}

impl fmt::Display for ElementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a resource belongs to the component version or to somebody else.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// Made with the component.
    Local,
    /// Made elsewhere.
    External,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::External => "external",
        })
    }
}

/// Something a component version delivers (OCM specification, "Resources").
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The name; with the extra identity it is unique among the resources.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The version.
    #[serde(deserialize_with = "lenient_version")]
    pub version: Version,
    /// What it is, such as `ociImage` or `helmChart`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub r#type: String,
    /// Whether it was made with the component. Old data may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// What identifies it beside its name, such as the architecture.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Identity::is_empty"
    )]
    pub extra_identity: Identity,
    /// What else is said about it.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub labels: Vec<Label>,
    /// Which sources it was made from.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub src_refs: Vec<SourceRef>,
    /// How to get at its content.
    pub access: Option<Access>,
    /// The digest of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestSpec>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Resource {
    /// Returns a resource with what every resource has.
    pub fn new(
        name: &str,
        version: Version,
        r#type: &str,
        relation: Relation,
        access: Access,
    ) -> Self {
        Self {
            name: name.to_owned(),
            version,
            r#type: r#type.to_owned(),
            relation: Some(relation),
            extra_identity: Identity::new(),
            labels: Vec::new(),
            src_refs: Vec::new(),
            access: Some(access),
            digest: None,
            extra: Map::new(),
        }
    }
}

/// What a resource was made from (OCM specification, "Sources").
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The name; with the extra identity it is unique among the sources.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The version.
    #[serde(deserialize_with = "lenient_version")]
    pub version: Version,
    /// What it is, such as `git`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub r#type: String,
    /// What identifies it beside its name.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Identity::is_empty"
    )]
    pub extra_identity: Identity,
    /// What else is said about it.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub labels: Vec<Label>,
    /// How to get at its content.
    pub access: Option<Access>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Source {
    /// Returns a source with what every source has.
    pub fn new(name: &str, version: Version, r#type: &str, access: Access) -> Self {
        Self {
            name: name.to_owned(),
            version,
            r#type: r#type.to_owned(),
            extra_identity: Identity::new(),
            labels: Vec::new(),
            access: Some(access),
            extra: Map::new(),
        }
    }
}

/// Another component version that belongs to this one (OCM specification, "References").
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// The name; with the extra identity it is unique among the references.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The version of the other component.
    #[serde(deserialize_with = "lenient_version")]
    pub version: Version,
    /// The other component.
    pub component_name: ComponentName,
    /// What identifies it beside its name.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Identity::is_empty"
    )]
    pub extra_identity: Identity,
    /// What else is said about it. Signatures cover all of these labels.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub labels: Vec<Label>,
    /// The digest of the other component version. Three empty fields, as the Go implementation
    /// writes for none, are read as none.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub digest: Option<DigestSpec>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Reference {
    /// Returns a reference with what every reference has.
    pub fn new(name: &str, component: ComponentVersionId) -> Self {
        Self {
            name: name.to_owned(),
            version: component.version,
            component_name: component.name,
            extra_identity: Identity::new(),
            labels: Vec::new(),
            digest: None,
            extra: Map::new(),
        }
    }

    /// Returns the component version that is meant.
    pub fn component(&self) -> ComponentVersionId {
        ComponentVersionId::new(self.component_name.clone(), self.version.clone())
    }
}

/// Names sources by their identity.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRef {
    /// Attributes that the source has.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Identity::is_empty"
    )]
    pub identity_selector: Identity,
    /// What else is said about it.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub labels: Vec<Label>,
}

/// What resources, sources and references have in common.
pub trait Element {
    /// Which list it is in.
    const KIND: ElementKind;

    /// The name.
    fn name(&self) -> &str;

    /// The version.
    fn version(&self) -> &Version;

    /// What identifies it beside its name.
    fn extra_identity(&self) -> &Identity;

    /// What else is said about it.
    fn labels(&self) -> &[Label];

    /// Returns name and extra identity: the identity of the specification, as long as it is
    /// unique in the list.
    fn base_identity(&self) -> Identity {
        self.extra_identity()
            .clone()
            .with(Identity::NAME, self.name())
    }

    /// Returns name, version and extra identity: the identity as the Go implementation writes it
    /// since its second version.
    fn identity(&self) -> Identity {
        let mut identity = self.base_identity();
        identity.insert(Identity::VERSION, self.version().as_str());
        identity
    }
}

macro_rules! element {
    ($type:ty, $kind:ident) => {
        impl Element for $type {
            const KIND: ElementKind = ElementKind::$kind;

            fn name(&self) -> &str {
                &self.name
            }

            fn version(&self) -> &Version {
                &self.version
            }

            fn extra_identity(&self) -> &Identity {
                &self.extra_identity
            }

            fn labels(&self) -> &[Label] {
                &self.labels
            }
        }
    };
}

element!(Resource, Resource);
element!(Source, Source);
element!(Reference, Reference);

/// Descriptors in the field have versions that the schema does not allow.
fn lenient_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let text = String::deserialize(deserializer)?;
    Version::lenient(&text).map_err(serde::de::Error::custom)
}

fn empty_as_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DigestSpec>, D::Error> {
    let digest: Option<DigestSpec> = Option::deserialize(deserializer)?;
    Ok(digest.filter(|digest| !digest.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_of_an_element_are_kept() {
        let value = json!({
            "name": "image", "version": "1.0.0", "type": "ociImage", "relation": "local",
            "access": {"type": "acme", "x": 1}, "new": {"a": [null]},
        });
        let resource: Resource = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(resource).unwrap(), value);
    }

    #[test]
    fn null_is_read_as_absent() {
        let resource: Resource = serde_json::from_value(json!({
            "name": "image", "version": "latest", "extraIdentity": null, "labels": null,
            "srcRefs": null, "access": null, "digest": null,
        }))
        .unwrap();
        assert_eq!(resource.access, None);
        assert!(resource.labels.is_empty() && !resource.version.is_semver());
    }

    #[test]
    fn an_empty_digest_of_a_reference_is_absent() {
        let reference: Reference = serde_json::from_value(json!({
            "name": "leaf", "componentName": "acme.org/leaf", "version": "1.0.0",
            "digest": {"hashAlgorithm": "", "normalisationAlgorithm": "", "value": ""},
        }))
        .unwrap();
        assert_eq!(reference.digest, None);
        assert_eq!(reference.component().to_string(), "acme.org/leaf:1.0.0");
    }

    #[test]
    fn an_identity_has_the_version_or_not() {
        let mut source = Source::new(
            "code",
            "1.0".parse().unwrap(),
            "git",
            Access::oci_artifact("x"),
        );
        source.extra_identity = Identity::from([("os", "linux")]);
        assert_eq!(source.base_identity().to_string(), "name=code,os=linux");
        assert_eq!(
            source.identity().to_string(),
            "name=code,os=linux,version=1.0"
        );
    }
}
