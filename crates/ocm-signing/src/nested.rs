//! Digests of a whole tree that its root keeps for the component versions below.
//!
//! A tree can be signed without a change of the component versions that it refers to: their digests
//! and those of their resources stand in the `nestedDigests` of the root (mode `top` of the first
//! version of OCM). The signature covers them like digests that stand where they belong, so whoever
//! verifies puts them there before.

use ocm_model::signature::NestedResourceDigest;
use ocm_model::{Descriptor, DigestSpec, Element as _, NestedDigest, Resource};
use serde_json::Map;
use thiserror::Error;

/// Returns a descriptor with the digests that the root of its tree keeps for it.
///
/// # Errors
///
/// The root keeps another digest than the descriptor states.
pub fn with_kept(descriptor: &Descriptor, kept: &[NestedDigest]) -> Result<Descriptor, Error> {
    let mut result = descriptor.clone();
    let id = descriptor.id();
    let contradicts = |element: &str| Error {
        element: element.to_owned(),
        id: id.to_string(),
    };
    let find = |name: &str, version: &str| {
        let mut all = kept.iter();
        all.find(|it| it.name == name && it.version == version)
    };
    for (index, reference) in descriptor.references().iter().enumerate() {
        let component = reference.component();
        let kept = find(component.name.as_str(), component.version.as_str());
        let Some(kept) = kept.and_then(|it| it.digest.as_ref()) else {
            continue;
        };
        match reference.digest.as_ref().filter(|it| it.is_complete()) {
            None => result
                .set_reference_digest(index, kept)
                .expect("the index is that of a reference"),
            Some(stated) if contradict(stated, kept) => return Err(contradicts(&reference.name)),
            Some(_) => {}
        }
    }
    let Some(kept) = find(id.name.as_str(), id.version.as_str()) else {
        return Ok(result);
    };
    for (index, resource) in descriptor.resources().iter().enumerate() {
        let digests = &kept.resource_digests;
        let Some(kept) = digests.iter().find(|it| is_of(it, resource)) else {
            continue;
        };
        let Some(kept) = &kept.digest else {
            continue;
        };
        match resource.digest.as_ref().filter(|it| it.is_complete()) {
            Some(stated) if contradict(stated, kept) => {
                return Err(contradicts(&resource.identity().to_string()));
            }
            // Of two digests under different algorithms the signature covers the one that is kept.
            _ => result
                .set_resource_digest(index, kept)
                .expect("the index is that of a resource"),
        }
    }
    Ok(result)
}

/// Returns what a root keeps for a component version whose elements have their digests.
pub fn to_keep(descriptor: &Descriptor, digest: DigestSpec) -> NestedDigest {
    let resources = descriptor.resources().into_iter();
    let resource_digests = resources
        .filter(|it| it.access.as_ref().is_none_or(|access| !access.is_none()))
        .filter_map(|resource| {
            let digest = resource.digest.clone()?;
            Some(NestedResourceDigest {
                name: resource.name.clone(),
                version: resource.version.to_string(),
                extra_identity: resource.extra_identity,
                digest: Some(digest),
                extra: Map::new(),
            })
        });
    NestedDigest {
        name: descriptor.id().name.to_string(),
        version: descriptor.id().version.to_string(),
        digest: Some(digest),
        resource_digests: resource_digests.collect(),
        extra: Map::new(),
    }
}

fn is_of(kept: &NestedResourceDigest, resource: &Resource) -> bool {
    kept.name == resource.name
        && kept.version == resource.version.as_str()
        && kept.extra_identity == resource.extra_identity
}

/// Tells whether two digests cannot both be right: those under different algorithms can.
fn contradict(one: &DigestSpec, other: &DigestSpec) -> bool {
    match (one.digest(), other.digest()) {
        (Ok(digest), Ok(expected)) => {
            one.normalisation_algorithm == other.normalisation_algorithm
                && digest.algorithm() == expected.algorithm()
                && digest != expected
        }
        _ => one != other,
    }
}

/// A root keeps another digest than a descriptor states.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{element}` of {id} has another digest than the root of the signed tree keeps for it")]
pub struct Error {
    /// The reference or resource.
    pub element: String,
    /// The component version that has it.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use ocm_digest::Digest;
    use serde_json::{Value, json};

    use super::*;

    fn digest(content: &str) -> DigestSpec {
        DigestSpec::generic_blob(&Digest::sha256(content))
    }

    fn descriptor(resource: &Value, reference: &Value) -> Descriptor {
        let document = json!({
            "meta": {"schemaVersion": "v2"},
            "component": {
                "name": "acme.org/middle", "version": "1.0.0", "provider": "acme.org",
                "repositoryContexts": [], "sources": [],
                "resources": [{
                    "name": "data", "version": "1.0.0", "type": "blob", "relation": "external",
                    "extraIdentity": {"os": "linux"},
                    "access": {"type": "wget", "url": "https://acme.org"}, "digest": resource,
                }],
                "componentReferences": [{
                    "name": "leaf", "componentName": "acme.org/leaf", "version": "1.0.0",
                    "digest": reference,
                }],
            },
        });
        Descriptor::from_document(document).unwrap()
    }

    fn kept() -> Vec<NestedDigest> {
        let leaf = json!({"name": "acme.org/leaf", "version": "1.0.0", "digest": digest("leaf")});
        let resource = |os: &str, content| {
            json!({
                "name": "data", "version": "1.0.0", "extraIdentity": {"os": os},
                "digest": digest(content),
            })
        };
        let middle = json!({
            "name": "acme.org/middle", "version": "1.0.0", "digest": digest("middle"),
            "resourceDigests": [resource("darwin", "other"), resource("linux", "data")],
        });
        serde_json::from_value(json!([leaf, middle])).unwrap()
    }

    #[test]
    fn digests_that_are_kept_come_to_where_they_belong() {
        let filled = with_kept(&descriptor(&Value::Null, &Value::Null), &kept()).unwrap();
        assert_eq!(filled.resources()[0].digest, Some(digest("data")));
        assert_eq!(filled.references()[0].digest, Some(digest("leaf")));
        let keeps = to_keep(&filled, digest("middle"));
        assert_eq!(keeps.resource_digests[0].digest, Some(digest("data")));
        let again = with_kept(&descriptor(&Value::Null, &Value::Null), &[keeps]).unwrap();
        assert_eq!(again.resources()[0].digest, Some(digest("data")));
    }

    #[test]
    fn what_is_not_kept_stays_as_it_is() {
        let before = descriptor(&json!(digest("data")), &Value::Null);
        assert_eq!(with_kept(&before, &[]).unwrap(), before);
    }

    #[test]
    fn a_digest_that_contradicts_the_stated_one_is_refused() {
        let other = json!(digest("evil"));
        for wrong in [
            descriptor(&other, &Value::Null),
            descriptor(&Value::Null, &other),
        ] {
            assert!(with_kept(&wrong, &kept()).is_err());
        }
    }

    #[test]
    fn of_digests_under_two_algorithms_the_kept_one_is_covered() {
        let sha512 = ocm_digest::HashAlgorithm::Sha512.digest(b"data");
        let stated = json!(DigestSpec::generic_blob(&sha512));
        let filled = with_kept(&descriptor(&stated, &Value::Null), &kept()).unwrap();
        assert_eq!(filled.resources()[0].digest, Some(digest("data")));
    }
}
