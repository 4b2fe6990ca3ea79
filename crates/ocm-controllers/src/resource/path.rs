//! Which resource is meant: along a path of references, by identities.
//!
//! An identity that somebody states is compared whole: an attribute that he leaves out must not be
//! there either. Only the version may be left out.

use std::collections::BTreeMap;

use ocm::model::element::{Element, Reference, Resource};
use ocm::model::{ComponentVersionId, Descriptor, DigestSpec, Identity};

/// An identity as an object states it.
type Selector = BTreeMap<String, String>;

/// A component version that a reference leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hop {
    /// Which one.
    pub(crate) id: ComponentVersionId,
    /// The digest that it must have.
    pub(crate) digest: Option<DigestSpec>,
}

/// Finds where a step of a path leads.
///
/// Below a component version of which signatures are verified, the reference must state a digest:
/// without it, nobody has signed what is behind it.
pub(crate) fn hop(
    descriptor: &Descriptor,
    step: usize,
    selector: &Selector,
    is_signed: bool,
) -> Result<Hop, PathError> {
    let references = descriptor.references();
    let found = references.into_iter().find(|it| is_meant(it, selector));
    let found: Reference = found.ok_or_else(|| PathError::NoReference {
        identity: written(selector),
        id: descriptor.id().clone(),
        step: step + 1,
    })?;
    let id = found.component();
    let digest = found
        .digest
        .filter(|it| it.is_complete() && !it.is_excluded());
    if is_signed && digest.is_none() {
        return Err(PathError::NotCovered {
            id: descriptor.id().clone(),
            reference: id,
        });
    }
    Ok(Hop { id, digest })
}

/// Finds a resource, and its place in the list.
pub(crate) fn resource(
    descriptor: &Descriptor,
    selector: &Selector,
) -> Result<(usize, Resource), PathError> {
    let resources = descriptor.resources().into_iter().enumerate();
    let mut meant = resources.filter(|(_, it)| is_meant(it, selector));
    meant.next().ok_or_else(|| PathError::NoResource {
        identity: written(selector),
        id: descriptor.id().clone(),
    })
}

/// Tells whether an identity is that of an element.
fn is_meant(element: &impl Element, selector: &Selector) -> bool {
    let mut identity = element.identity();
    if !selector.contains_key(Identity::VERSION) {
        identity.remove(Identity::VERSION);
    }
    identity
        .iter()
        .eq(selector.iter().map(|(key, value)| (&**key, &**value)))
}

fn written(selector: &Selector) -> Identity {
    selector.clone().into_iter().collect()
}

/// Why no resource is found.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PathError {
    /// A reference is not there.
    #[error(
        "component reference with identity {identity} not found in component {id} at reference path \
         step {step}"
    )]
    NoReference {
        identity: Identity,
        id: ComponentVersionId,
        step: usize,
    },
    /// A reference says nothing of what it leads to.
    #[error(
        "component {id} is verified, but its reference to {reference} states no digest, so that no \
         signature covers what it leads to"
    )]
    NotCovered {
        id: ComponentVersionId,
        reference: ComponentVersionId,
    },
    /// The resource is not there.
    #[error("resource with identity {identity} not found in component {id}")]
    NoResource {
        identity: Identity,
        id: ComponentVersionId,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn descriptor() -> Descriptor {
        let digest = json!({
            "hashAlgorithm": "SHA-256",
            "normalisationAlgorithm": "jsonNormalisation/v4alpha1",
            "value": "00",
        });
        let resource = |version: &str, extra: Value| {
            json!({
                "name": "image", "version": version, "type": "ociImage", "relation": "external",
                "extraIdentity": extra,
                "access": {"type": "ociArtifact", "imageReference": "acme.org/notes:1"},
            })
        };
        let document = json!({
            "meta": {"schemaVersion": "v2"},
            "component": {
                "name": "acme.org/product", "version": "1.0.0", "provider": "acme",
                "repositoryContexts": [],
                "resources": [
                    resource("1.0.0", json!({"os": "linux"})),
                    resource("1.0.0", json!({})),
                    resource("2.0.0", json!({})),
                ],
                "sources": [],
                "componentReferences": [
                    {"name": "notes", "componentName": "acme.org/notes", "version": "1.1.0",
                     "digest": digest},
                    {"name": "notes", "componentName": "acme.org/notes", "version": "2.0.0",
                     "extraIdentity": {"tier": "next"}},
                ],
            },
        });
        Descriptor::from_document(document).expect("a descriptor")
    }

    fn selector(text: &str) -> Selector {
        let identity: Identity = text.parse().expect("an identity");
        let attributes = identity.iter();
        attributes
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_resource_is_found_by_its_whole_identity_and_the_first_of_several_counts() {
        let find = |text| resource(&descriptor(), &selector(text)).map(|(index, _)| index);
        assert_eq!(find("name=image"), Ok(1));
        assert_eq!(find("name=image,version=2.0.0"), Ok(2));
        assert_eq!(find("name=image,os=linux"), Ok(0));
        assert_eq!(find("name=image,os=linux,version=1.0.0"), Ok(0));
        for text in ["name=other", "os=linux", "name=image,os=linux,arch=arm64"] {
            assert!(find(text).is_err(), "{text}");
        }
        let missing = resource(&descriptor(), &selector("name=other,os=linux"));
        assert_eq!(
            missing.expect_err("not there").to_string(),
            "resource with identity name=other,os=linux not found in component \
             acme.org/product:1.0.0"
        );
    }

    #[test]
    fn a_reference_leads_to_a_component_version_with_its_digest() {
        let found = hop(&descriptor(), 0, &selector("name=notes"), true).expect("a reference");
        assert_eq!(found.id.to_string(), "acme.org/notes:1.1.0");
        assert_eq!(found.digest.map(|it| it.value), Some("00".to_owned()));
        let missing = hop(&descriptor(), 1, &selector("name=none"), false);
        assert_eq!(
            missing.expect_err("not there").to_string(),
            "component reference with identity name=none not found in component \
             acme.org/product:1.0.0 at reference path step 2"
        );
    }

    #[test]
    fn a_reference_without_digest_is_not_followed_below_what_is_verified() {
        let next = selector("name=notes,tier=next");
        let found = hop(&descriptor(), 0, &next, false).expect("a reference");
        assert_eq!(found.digest, None);
        let refused = hop(&descriptor(), 0, &next, true).expect_err("refused");
        assert!(matches!(refused, PathError::NotCovered { .. }), "{refused}");
    }
}
