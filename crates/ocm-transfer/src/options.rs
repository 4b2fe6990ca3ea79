//! What a transfer is asked to do.

use ocm_oci::PlatformFilter;
use serde::{Deserialize, Serialize};

/// What a transfer is asked to do. The default copies what cannot stay behind, and nothing else:
/// the component versions that were named, with their local blobs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TransferOptions {
    /// Whether references are followed.
    pub recursive: Recursion,
    /// Whether references end at component versions that the target has: these are neither compared
    /// nor looked beyond.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stop_on_existing: bool,
    /// Which resources are copied by value.
    pub copy_resources: ResourceCopy,
    /// Which sources are copied by value.
    pub copy_sources: ResourceCopy,
    /// What resources become that are OCI artifacts.
    pub upload_as: UploadAs,
    /// What happens to component versions that the target has.
    pub existing: Policy,
    /// Access types that are never copied by value, such as `ociArtifact` or `Wget/v1`. A name
    /// without version stands for all of its versions. Local blobs are copied all the same.
    pub omit_access_types: Vec<String>,
    /// The platforms whose images are copied of an index; none are all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<PlatformFilter>,
}

/// Whether references to other component versions are followed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Recursion {
    /// They are not.
    #[default]
    None,
    /// Over so many steps: 1 brings the component versions that the roots refer to.
    Depth(u32),
    /// All the way down.
    Unlimited,
}

impl Recursion {
    /// Returns whether the references of a component version are followed that is so many steps
    /// away from a root.
    pub const fn reaches_beyond(self, steps: u32) -> bool {
        match self {
            Self::None => false,
            Self::Depth(depth) => steps < depth,
            Self::Unlimited => true,
        }
    }
}

/// Which content is copied by value.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceCopy {
    /// Local blobs, which cannot be reached from elsewhere.
    #[default]
    LocalOnly,
    /// Everything whose access is understood.
    All,
}

/// What resources become that are OCI artifacts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UploadAs {
    /// Local blobs of the component version.
    #[default]
    LocalBlob,
    /// OCI artifacts beside the components, with a repository and a tag of their own.
    OciArtifact,
}

/// What happens to component versions that the target has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Policy {
    /// The same content is left alone, and gains the signatures and unsigned parts that are new;
    /// other content is refused.
    #[default]
    Default,
    /// As by default, but other content is replaced.
    Overwrite,
    /// Written as if the target did not have it. Signatures that only the target has are lost.
    Enforce,
    /// Left alone, whatever it is.
    Skip,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_read_as_they_are_written() {
        let options = TransferOptions {
            recursive: Recursion::Depth(2),
            copy_resources: ResourceCopy::All,
            ..TransferOptions::default()
        };
        let value = serde_json::to_value(&options).unwrap();
        assert_eq!(value["recursive"], json!({"depth": 2}));
        assert_eq!(value["copyResources"], "all");
        let again: TransferOptions = serde_json::from_value(value).unwrap();
        assert_eq!(again, options);
        assert!(serde_json::from_value::<TransferOptions>(json!({"recursiv": "none"})).is_err());
    }

    #[test]
    fn a_depth_counts_steps_from_the_roots() {
        assert!(!Recursion::None.reaches_beyond(0));
        assert!(Recursion::Depth(1).reaches_beyond(0));
        assert!(!Recursion::Depth(1).reaches_beyond(1));
        assert!(Recursion::Unlimited.reaches_beyond(u32::MAX));
    }
}
