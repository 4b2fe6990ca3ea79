//! What is said of a resource in the status of its object.

use ocm::model::element::{ElementKind, Resource as Element};
use ocm::model::{Descriptor, DigestSpec};
use serde_json::{Map, Value, json};

use crate::api::{ComponentInfo, DigestInfo, Label, LabelMerge, ResourceInfo};
use crate::resolution::Pinned;

/// Returns a resource as objects state it.
pub(crate) fn info(resource: &Element, pinned: &Pinned) -> ResourceInfo {
    let identity = resource.extra_identity.iter();
    let identity = identity.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let access = pinned.access.as_ref();
    ResourceInfo {
        name: resource.name.clone(),
        kind: resource.r#type.clone(),
        version: Some(resource.version.as_str().to_owned()),
        extra_identity: (!resource.extra_identity.is_empty()).then(|| identity.collect()),
        access: access.map_or_else(|| json!({}), |it| Value::Object(it.as_json().clone())),
        digest: pinned.digest.as_ref().and_then(digest),
        labels: (!resource.labels.is_empty()).then(|| resource.labels.iter().map(label).collect()),
    }
}

fn digest(digest: &DigestSpec) -> Option<DigestInfo> {
    (!digest.is_empty()).then(|| DigestInfo {
        hash_algorithm: digest.hash_algorithm.clone(),
        normalisation_algorithm: digest.normalisation_algorithm.clone(),
        value: digest.value.clone(),
    })
}

fn label(label: &ocm::model::Label) -> Label {
    Label {
        name: label.name.clone(),
        value: label.value.clone(),
        version: label.version.clone(),
        signing: label.signing.then_some(true),
        merge: label.merge.as_ref().map(|merge| LabelMerge {
            algorithm: merge.algorithm.clone(),
            config: merge.config.clone(),
        }),
    }
}

/// Returns a resource as its descriptor has it, for expressions: with the access and the digest
/// that were found.
pub(crate) fn written(descriptor: &Descriptor, index: usize, pinned: &Pinned) -> Value {
    let resources = descriptor.list(ElementKind::Resource);
    let mut resource = resources.get(index).cloned().unwrap_or_default();
    if let Some(fields) = resource.as_object_mut() {
        if let Some(access) = &pinned.access {
            let access = Value::Object(access.as_json().clone());
            fields.insert("access".to_owned(), access);
        }
        if let Some(digest) = &pinned.digest {
            fields.insert("digest".to_owned(), json!(digest));
        }
    }
    resource
}

/// Computes the additional fields of a status; none where none are asked for.
///
/// Expressions may take a while, so they are evaluated where that stops nobody.
pub(crate) async fn additional(
    fields: Option<&Map<String, Value>>,
    resource: Value,
    component: &ComponentInfo,
) -> Result<Option<Map<String, Value>>, ocm_cel::Error> {
    let Some(fields) = fields.filter(|it| !it.is_empty()).cloned() else {
        return Ok(None);
    };
    let ComponentInfo {
        repository_spec,
        component,
        ..
    } = component.clone();
    let evaluated = tokio::task::spawn_blocking(move || {
        let subject = ocm_cel::Subject::new(&resource, &component, &repository_spec)?;
        ocm_cel::evaluate_fields(&fields, &subject)
    });
    match evaluated.await {
        Ok(additional) => Ok(Some(additional?)),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(ocm_cel::Error::Evaluation(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use ocm::model::Access;

    use super::*;

    fn descriptor() -> Descriptor {
        let document = json!({
            "meta": {"schemaVersion": "v2"},
            "component": {
                "name": "acme.org/notes", "version": "1.0.0", "provider": "acme",
                "repositoryContexts": [], "sources": [], "componentReferences": [],
                "resources": [{
                    "name": "image", "version": "1.0.0", "type": "ociImage",
                    "relation": "external", "extraIdentity": {"os": "linux"},
                    "labels": [
                        {"name": "tier", "value": {"of": [1]}, "signing": true, "version": "v1",
                         "merge": {"algorithm": "default", "config": {"overwrite": "none"}}},
                        {"name": "note", "value": "x"},
                    ],
                    "access": {"type": "ociArtifact", "imageReference": "acme.org/notes:1"},
                    "someday": true,
                }],
            },
        });
        Descriptor::from_document(document).expect("a descriptor")
    }

    fn pinned() -> Pinned {
        let access = json!({"type": "ociArtifact", "imageReference": "acme.org/notes:1@sha256:00"});
        let digest = ocm::digest::Digest::sha256(b"image");
        Pinned {
            access: Some(Access::from_json(access).expect("an access")),
            digest: Some(DigestSpec::oci_artifact(&digest)),
            unchecked: None,
        }
    }

    #[test]
    fn a_status_says_all_that_a_descriptor_says_of_a_resource() {
        let resource = &descriptor().resources()[0];
        let info = serde_json::to_value(info(resource, &pinned())).expect("as JSON");
        let digest = ocm::digest::Digest::sha256(b"image").to_hex();
        assert_eq!(
            info,
            json!({
                "name": "image", "type": "ociImage", "version": "1.0.0",
                "extraIdentity": {"os": "linux"},
                "access": {"type": "ociArtifact", "imageReference": "acme.org/notes:1@sha256:00"},
                "digest": {
                    "hashAlgorithm": "SHA-256",
                    "normalisationAlgorithm": "ociArtifactDigest/v1",
                    "value": digest,
                },
                "labels": [
                    {"name": "tier", "value": {"of": [1]}, "signing": true, "version": "v1",
                     "merge": {"algorithm": "default", "config": {"overwrite": "none"}}},
                    {"name": "note", "value": "x"},
                ],
            })
        );
    }

    #[tokio::test]
    async fn expressions_see_the_resource_as_it_is_written_and_what_was_found() {
        let component = ComponentInfo {
            repository_spec: json!({"type": "OCIRegistry", "baseUrl": "http://acme.org"}),
            component: "acme.org/notes".to_owned(),
            version: "1.0.0".to_owned(),
            digest: None,
        };
        let resource = written(&descriptor(), 0, &pinned());
        let fields = json!({
            "someday": "resource.someday",
            "of": {"tag": "resource.access.toOCI().tag", "os": "resource.extraIdentity.os"},
            "hash": "resource.digest.hashAlgorithm",
        });
        let fields = fields.as_object();
        let found = additional(fields, resource, &component).await;
        let error = found.expect_err("a digest that is none").to_string();
        assert_eq!(error, "additional status field \"of.tag\"");

        let mut pinned = pinned();
        pinned.access = descriptor().resources()[0].access.clone();
        let resource = written(&descriptor(), 0, &pinned);
        let found = additional(fields, resource, &component).await;
        assert_eq!(
            found.expect("fields").map(Value::Object),
            Some(json!({
                "someday": true, "of": {"tag": "1", "os": "linux"}, "hash": "SHA-256",
            }))
        );
    }
}
