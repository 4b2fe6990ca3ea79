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
