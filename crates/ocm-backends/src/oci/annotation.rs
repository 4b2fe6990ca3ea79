//! Annotations that tell which resource or source a layer or an artifact is.
//!
//! They inform people and tools; local blobs are found by their digest.

use ocm_model::access::LocalBlob;
use ocm_model::element::Element;
use ocm_model::{Descriptor, Identity};
use ocm_oci::Platform;
use serde_json::json;

/// Names the component version that a manifest holds.
pub(super) const COMPONENT_VERSION: &str = "software.ocm.componentversion";
/// Names the program that wrote a manifest.
pub(super) const CREATOR: &str = "software.ocm.creator";
/// Marks the component descriptor among layers and manifests.
pub(super) const DESCRIPTOR: &str = "software.ocm.descriptor";
/// Names the resources and sources that a layer or an artifact is.
pub(super) const ARTIFACT: &str = "software.ocm.artifact";

/// A resource or source whose content is a local blob.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub(super) blob: LocalBlob,
    kind: &'static str,
    identity: Identity,
}

/// Returns the resources, then the sources, whose content is a local blob, in their order.
pub(super) fn local_blobs(descriptor: &Descriptor) -> Vec<Local> {
    let local = |access: Option<&ocm_model::Access>, kind, identity| {
        let blob = access?.as_local_blob()?;
        Some(Local {
            blob,
            kind,
            identity,
        })
    };
    let resources = descriptor.resources();
    let sources = descriptor.sources();
    let resources = resources
        .iter()
        .filter_map(|element| local(element.access.as_ref(), "resource", element.identity()));
    let sources = sources
        .iter()
        .filter_map(|element| local(element.access.as_ref(), "source", element.identity()));
    resources.chain(sources).collect()
}

impl Local {
    /// Returns the value of [`ARTIFACT`]: a list with one element.
    pub(super) fn artifact(&self) -> String {
        let identity: serde_json::Map<_, _> = self
            .identity
            .iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        json!([{"identity": identity, "kind": self.kind}]).to_string()
    }

    /// Returns the platform that the extra identity tells.
    pub(super) fn platform(&self) -> Option<Platform> {
        let field = |name| self.identity.get(name).map(str::to_owned);
        let platform = Platform {
            architecture: field("architecture").unwrap_or_default(),
            os: field("os").unwrap_or_default(),
            variant: field("variant"),
            os_version: field("os.version"),
            os_features: self
                .identity
                .get("os.features")
                .map(|list| list.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            ..Platform::default()
        };
        (platform != Platform::default()).then_some(platform)
    }
}

#[cfg(test)]
mod tests {
    use ocm_model::descriptor::Descriptor;
    use serde_json::{Value, json};

    use super::*;

    /// Returns the local blobs of a descriptor with one resource and one source.
    fn locals(resource: &Value, source: &Value) -> Vec<Local> {
        let access = json!({"type": "localBlob", "localReference": "sha256:0", "mediaType": "a/b"});
        let complete = |element: &Value| {
            let mut element = element.clone();
            element["type"] = "blob".into();
            element["relation"] = "local".into();
            element["access"] = access.clone();
            element
        };
        let document = json!({
            "meta": {"schemaVersion": "v2"},
            "component": {
                "name": "acme.org/x", "version": "1.0.0", "provider": "acme",
                "resources": [complete(resource)], "sources": [complete(source)],
            },
        });
        local_blobs(&Descriptor::from_document(document).unwrap())
    }

    #[test]
    fn artifacts_are_named_as_the_go_tools_do() {
        for (element, identity) in [
            (
                json!({"name": "test", "version": "1.0.0"}),
                r#"{"name":"test","version":"1.0.0"}"#,
            ),
            (
                json!({"version": "2.0.0", "name": "test2", "extraIdentity": {"os": "linux", "arch": "amd64"}}),
                r#"{"arch":"amd64","name":"test2","os":"linux","version":"2.0.0"}"#,
            ),
        ] {
            let found: Vec<String> = locals(&element, &element)
                .iter()
                .map(Local::artifact)
                .collect();
            let expected = ["resource", "source"]
                .map(|kind| format!(r#"[{{"identity":{identity},"kind":"{kind}"}}]"#));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn platforms_are_told_by_the_extra_identity() {
        let element = json!({
            "name": "test", "version": "1.0.0",
            "extraIdentity": {
                "architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1",
                "os.features": "a,b", "role": "server",
            },
        });
        let plain =
            json!({"name": "test", "version": "1.0.0", "extraIdentity": {"role": "server"}});
        let platforms: Vec<Option<Platform>> = locals(&element, &plain)
            .iter()
            .map(Local::platform)
            .collect();
        let expected = Platform {
            architecture: "arm".to_owned(),
            os: "linux".to_owned(),
            variant: Some("v7".to_owned()),
            os_version: Some("1".to_owned()),
            os_features: vec!["a".to_owned(), "b".to_owned()],
            ..Platform::default()
        };
        assert_eq!(platforms, [Some(expected), None]);
    }
}
