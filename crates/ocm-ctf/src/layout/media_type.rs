//! Media types of layouts that are blobs.

/// OCI image layouts in a tar. The bytes tell whether they are compressed.
const OCI_LAYOUTS: [&str; 2] = [
    "application/vnd.ocm.software.oci.layout.v1+tar",
    "application/vnd.ocm.software.oci.layout.v1+tar+gzip",
];

/// What the media types of artifact sets begin with: those of their main artifacts, without the
/// format of the document.
const ARTIFACT_SETS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1",
    "application/vnd.oci.image.index.v1",
    "application/vnd.docker.distribution.manifest.v2",
    "application/vnd.docker.distribution.manifest.list.v2",
];

/// Returns whether a media type is that of an OCI image layout in a tar, compressed or not.
pub fn is_oci_layout(media_type: &str) -> bool {
    OCI_LAYOUTS.contains(&media_type)
}

/// Returns whether a media type is that of an artifact set, the form in which the first Go
/// implementation packs OCI artifacts into blobs.
pub fn is_artifact_set(media_type: &str) -> bool {
    let rest = ARTIFACT_SETS
        .iter()
        .find_map(|start| media_type.strip_prefix(start));
    matches!(rest, Some("+tar" | "+tar+gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_types_of_layouts_are_told_apart() {
        for (text, layout, set) in [
            (
                "application/vnd.ocm.software.oci.layout.v1+tar",
                true,
                false,
            ),
            (
                "application/vnd.ocm.software.oci.layout.v1+tar+gzip",
                true,
                false,
            ),
            ("application/vnd.oci.image.manifest.v1+tar", false, true),
            ("application/vnd.oci.image.index.v1+tar+gzip", false, true),
            (
                "application/vnd.docker.distribution.manifest.v2+tar+gzip",
                false,
                true,
            ),
            (
                "application/vnd.docker.distribution.manifest.list.v2+tar",
                false,
                true,
            ),
            ("application/vnd.oci.image.manifest.v1+json", false, false),
            ("application/x-tar", false, false),
        ] {
            assert_eq!((is_oci_layout(text), is_artifact_set(text)), (layout, set));
        }
    }
}
