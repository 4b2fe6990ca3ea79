//! What objects that are applied say of where they come from.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;

use crate::api::{ComponentInfo, ResourceInfo};

/// The value of `app.kubernetes.io/managed-by` of all that is applied.
pub const MANAGER: &str = "deployer.delivery.ocm.software";

/// How long the value of a label may be, in bytes.
const LABEL_LIMIT: usize = 63;

/// How long the name of an annotation may be behind its prefix, in bytes.
const NAME_LIMIT: usize = 63;

/// Where objects come from: the resource object and what it stands for, and the deployer.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The name of the deployer.
    pub deployer: &'a str,
    /// The name of the resource object.
    pub resource_name: &'a str,
    /// The unique identifier of the resource object.
    pub resource_uid: &'a str,
    /// The resource.
    pub resource: &'a ResourceInfo,
    /// The component version that contains it.
    pub component: &'a ComponentInfo,
}

impl Origin<'_> {
    /// Writes labels and annotations. The recommended labels of an application are replaced where
    /// the author of a manifest has set them, as the Go controllers do, so that all that a deployer
    /// has applied is found by them; selectors and templates stay as they are.
    pub fn mark(&self, metadata: &mut ObjectMeta) {
        let version = self.resource.version.as_deref().unwrap_or_default();
        let labels = metadata.labels.get_or_insert_default();
        for (name, value) in [
            ("component", self.resource_name),
            ("name", self.resource_name),
            ("version", version),
            ("instance", self.resource_uid),
            ("part-of", self.deployer),
            ("managed-by", MANAGER),
        ] {
            labels.insert(format!("app.kubernetes.io/{name}"), label_value(value));
        }
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.append(&mut self.annotations(version));
    }

    fn annotations(&self, version: &str) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        let mut state = |name: String, value: &str| annotations.insert(name, value.to_owned());
        let identity = |key: &str| format!("identity.resource.delivery.ocm.software/{key}");
        state(identity("name"), &self.resource.name);
        state(identity("version"), version);
        for (key, value) in self.resource.extra_identity.iter().flatten() {
            // A name that no annotation can have would make the API server refuse the object.
            if is_annotation_name(key) {
                state(identity(key), value);
            }
        }
        if let Some(digest) = &self.resource.digest {
            let digest_of = |key: &str| format!("digest.resource.delivery.ocm.software/{key}");
            state(digest_of("value"), &digest.value);
            state(digest_of("hashAlgorithm"), &digest.hash_algorithm);
            state(
                digest_of("normalisationAlgorithm"),
                &digest.normalisation_algorithm,
            );
        }
        let access = self.resource.access.to_string();
        state("resource.delivery.ocm.software/access".to_owned(), &access);
        state(
            "component.delivery.ocm.software/name".to_owned(),
            &self.component.component,
        );
        state(
            "component.delivery.ocm.software/version".to_owned(),
            &self.component.version,
        );
        annotations
    }
}

/// Makes a text the value of a label: at most 63 letters, digits, dots, dashes and underscores,
/// with a letter or digit at both ends. What else there is becomes `_`, as `+` in a version.
fn label_value(text: &str) -> String {
    let is_outer = |sign: char| sign.is_ascii_alphanumeric();
    let allowed = |sign: char| {
        if is_outer(sign) || "._-".contains(sign) {
            sign
        } else {
            '_'
        }
    };
    let value: String = text.chars().map(allowed).take(LABEL_LIMIT).collect();
    value.trim_matches(|sign| !is_outer(sign)).to_owned()
}

fn is_annotation_name(text: &str) -> bool {
    let is_outer = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.len() <= NAME_LIMIT
        && bytes.first().is_some_and(is_outer)
        && bytes.last().is_some_and(is_outer)
        && bytes
            .iter()
            .all(|byte| is_outer(byte) || b"._-".contains(byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::DigestInfo;

    fn resource() -> ResourceInfo {
        ResourceInfo {
            name: "manifests".to_owned(),
            kind: "blob".to_owned(),
            version: Some("1.0.0+build.7".to_owned()),
            extra_identity: Some(BTreeMap::from([
                ("os".to_owned(), "linux".to_owned()),
                ("not/a name".to_owned(), "x".to_owned()),
            ])),
            access: json!({"type": "localBlob/v1"}),
            digest: Some(DigestInfo {
                hash_algorithm: "SHA-256".to_owned(),
                normalisation_algorithm: "genericBlobDigest/v1".to_owned(),
                value: "abc".to_owned(),
            }),
            labels: None,
        }
    }

    fn marked(mut metadata: ObjectMeta) -> ObjectMeta {
        let component = ComponentInfo {
            repository_spec: json!({}),
            component: "acme.org/notes".to_owned(),
            version: "1.0.0".to_owned(),
            digest: None,
        };
        let origin = Origin {
            deployer: "notes",
            resource_name: "notes-manifests",
            resource_uid: "9b2e",
            resource: &resource(),
            component: &component,
        };
        origin.mark(&mut metadata);
        metadata
    }

    #[test]
    fn objects_say_where_they_come_from() {
        let metadata = marked(ObjectMeta::default());
        let labels = json!(metadata.labels);
        assert_eq!(
            labels,
            json!({
                "app.kubernetes.io/component": "notes-manifests",
                "app.kubernetes.io/instance": "9b2e",
                "app.kubernetes.io/managed-by": "deployer.delivery.ocm.software",
                "app.kubernetes.io/name": "notes-manifests",
                "app.kubernetes.io/part-of": "notes",
                "app.kubernetes.io/version": "1.0.0_build.7",
            })
        );
        let annotations = json!(metadata.annotations);
        assert_eq!(
            annotations,
            json!({
                "component.delivery.ocm.software/name": "acme.org/notes",
                "component.delivery.ocm.software/version": "1.0.0",
                "digest.resource.delivery.ocm.software/hashAlgorithm": "SHA-256",
                "digest.resource.delivery.ocm.software/normalisationAlgorithm": "genericBlobDigest/v1",
                "digest.resource.delivery.ocm.software/value": "abc",
                "identity.resource.delivery.ocm.software/name": "manifests",
                "identity.resource.delivery.ocm.software/os": "linux",
                "identity.resource.delivery.ocm.software/version": "1.0.0+build.7",
                "resource.delivery.ocm.software/access": "{\"type\":\"localBlob/v1\"}",
            })
        );
    }

    #[test]
    fn what_the_author_has_written_stays_beside_it() {
        let author = |name: &str| Some(BTreeMap::from([(name.to_owned(), "author".to_owned())]));
        let metadata = marked(ObjectMeta {
            labels: author("team"),
            annotations: author("note"),
            ..ObjectMeta::default()
        });
        assert_eq!(metadata.labels.expect("labels")["team"], "author");
        assert_eq!(metadata.annotations.expect("annotations")["note"], "author");
    }

    #[test]
    fn values_of_labels_are_such() {
        assert_eq!(label_value(""), "");
        assert_eq!(label_value("v1.0"), "v1.0");
        assert_eq!(label_value("-v1+x-"), "v1_x");
        // What is cut off must not leave a dash at the end.
        let long = format!("{}-tail", "a".repeat(62));
        assert_eq!(label_value(&long), "a".repeat(62));
        assert_eq!(label_value("über"), "ber");
    }
}
