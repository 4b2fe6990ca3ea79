//! Annotations that tell which resource or source a layer or an artifact is.
//!
//! They inform people and tools; local blobs are found by their digest.

use ocm_model::access::LocalBlob;
use ocm_model::{Descriptor, ElementKind, Identity};
use ocm_oci::Platform;
use serde::Serialize;

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
    pub(super) kind: ElementKind,
    /// The element, with its version.
    pub(super) identity: Identity,
}

/// Returns the resources, then the sources, whose content is a local blob, in their order.
pub(super) fn local_blobs(descriptor: &Descriptor) -> Vec<(Local, LocalBlob)> {
    let local_of = |kind| {
        let contents = descriptor.contents(kind);
        contents.filter_map(move |content| {
            let blob = content.access()?.as_local_blob()?;
            let identity = content.identity();
            Some((Local { kind, identity }, blob))
        })
    };
    let resources = local_of(ElementKind::Resource);
    resources.chain(local_of(ElementKind::Source)).collect()
}

impl Local {
    /// Returns the value of [`ARTIFACT`]: a list with one element.
    pub(super) fn artifact(&self) -> String {
        #[derive(Serialize)]
        struct Named<'a> {
            identity: &'a Identity,
            kind: &'static str,
        }
        let named = Named {
            identity: &self.identity,
            kind: self.kind.as_str(),
        };
        serde_json::to_string(&[named]).expect("texts can be written as JSON")
    }

    /// Returns the platform that the extra identity tells.
    pub(super) fn platform(&self) -> Option<Platform> {
        let is_known = |name| matches!(name, Identity::NAME | Identity::VERSION);
        if self.identity.iter().all(|(name, _)| is_known(name)) {
            return None;
        }
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
        let found = local_blobs(&Descriptor::from_document(document).unwrap());
        found.into_iter().map(|(local, _)| local).collect()
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
