//! The component index: one manifest, the same everywhere, to which component versions may refer.

use ocm_oci::{Descriptor, EMPTY_CONFIG, ImageManifest, RawManifest, media_type};

/// The artifact type of the component index.
const COMPONENT_INDEX: &str = "application/vnd.ocm.software.component-index.v1+json";

/// The empty content in base64.
const EMPTY_DATA: &str = "e30=";

/// The blanks that are missing here are missing there, and count.
const DESCRIPTION: &str = "This is an OCM component index. It is an empty jsonthat can be used as \
    referrer for OCM component descriptors. It is used as a subjectfor all OCM Component Version \
    Top-Level Manifests and can be used to reference back allOCM Component Versions";

/// Returns the component index: where component versions have it as their subject, asking for its
/// referrers lists them (OCM specification, "OCI storage backend", component index). Its bytes are
/// frozen.
pub fn component_index() -> RawManifest {
    let mut empty = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    empty.data = Some(EMPTY_DATA.to_owned());
    let mut manifest = ImageManifest::new(empty.clone(), vec![empty]);
    manifest.artifact_type = Some(COMPONENT_INDEX.to_owned());
    manifest.annotations = [
        ("org.opencontainers.image.description", DESCRIPTION),
        ("org.opencontainers.image.title", "OCM Component Index V1"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    RawManifest::image(&manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_index_is_the_one_that_everybody_has() {
        let index = component_index().descriptor();
        let expected = "sha256:9717cda41c478af11cba7ed29f4aa3e4882bab769d006788169cbccafc0fcd05";
        assert_eq!(
            (index.digest.to_string().as_str(), index.size),
            (expected, 837)
        );
    }
}
