//! The fields of each type of access.

use std::collections::BTreeMap;

use ocm_digest::Digest;
use serde_json::Value;

use crate::typed::{FieldError, TypedSpec};

/// A blob stored with the component version.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalBlob {
    /// What the repository knows the blob by: its digest, or the name of a file.
    pub local_reference: String,
    /// The media type; empty in some old data.
    pub media_type: String,
    /// The name under which the blob may be uploaded elsewhere, such as `acme/notes:1.0.0`.
    pub reference_name: Option<String>,
}

impl LocalBlob {
    /// Returns a local blob that is known by its digest.
    pub fn new(digest: &Digest, media_type: &str) -> Self {
        Self::of_reference(digest.to_string(), Some(media_type.to_owned()))
    }

    /// Returns what the types of before say of a local blob.
    pub(super) fn of_reference(local_reference: String, media_type: Option<String>) -> Self {
        Self {
            local_reference,
            media_type: media_type.unwrap_or_default(),
            reference_name: None,
        }
    }

    /// Returns the digest that the local reference states, as `sha256:…` or as the file name
    /// `sha256.…`.
    pub fn digest(&self) -> Option<Digest> {
        let reference = &self.local_reference;
        reference
            .parse()
            .ok()
            .or_else(|| reference.replacen('.', ":", 1).parse().ok())
    }

    pub(super) fn read(spec: &TypedSpec) -> Result<Self, FieldError> {
        Ok(Self {
            local_reference: spec.required_text("localReference")?,
            media_type: spec.text("mediaType")?.unwrap_or_default(),
            reference_name: spec.text("referenceName")?.filter(|name| !name.is_empty()),
        })
    }
}

/// An artifact in an OCI registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OciImage {
    /// Registry, repository, and tag or digest or both.
    pub image_reference: String,
}

/// One blob in an OCI registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OciImageLayer {
    /// Registry and repository.
    pub reference: String,
    /// The digest of the blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: Option<String>,
}

impl OciImageLayer {
    pub(super) fn read(spec: &TypedSpec) -> Result<Self, FieldError> {
        let digest = spec.required_text("digest")?;
        // The page of the specification calls the field `imageReference`; both codes use `ref`.
        let reference = match spec.text("ref")? {
            Some(reference) => reference,
            None => match spec.text("imageReference")? {
                Some(reference) => reference,
                None => spec.required_text("ref")?,
            },
        };
        Ok(Self {
            reference,
            digest: digest
                .parse()
                .map_err(|error| spec.invalid("digest", &error))?,
            size: spec.required_size("size")?,
            media_type: spec.text("mediaType")?,
        })
    }
}

/// A Helm chart in a chart repository or an OCI registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Helm {
    /// The repository, such as `https://charts.acme.org` or `oci://ghcr.io/acme/charts`.
    pub repository: String,
    /// The chart, `name` or `name:version`.
    pub chart: String,
    /// The version, if it is not part of the chart.
    pub version: Option<String>,
}

impl Helm {
    /// Returns the name of the chart without version.
    pub fn chart_name(&self) -> &str {
        self.chart
            .split_once(':')
            .map_or(self.chart.as_str(), |(name, _)| name)
    }

    /// Returns the version, wherever it stands.
    pub fn chart_version(&self) -> Option<&str> {
        let in_chart = self.chart.split_once(':').map(|(_, version)| version);
        in_chart
            .or(self.version.as_deref())
            .filter(|version| !version.is_empty())
    }
}

/// A commit of a repository on GitHub.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GitHub {
    /// The repository, such as `https://github.com/acme/notes`.
    pub repo_url: String,
    /// The host of the API, if it cannot be told from the repository.
    pub api_hostname: Option<String>,
    /// The commit, in 40 hexadecimal digits.
    pub commit: Option<String>,
    /// A branch or tag.
    pub reference: Option<String>,
}

/// What an HTTP request returns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wget {
    /// The address.
    pub url: String,
    /// The media type, if the answer does not say it.
    pub media_type: Option<String>,
    /// Header fields of the request.
    pub header: BTreeMap<String, Vec<String>>,
    /// The method, `GET` if absent.
    pub verb: Option<String>,
    /// The body of the request, in base64.
    pub body: Option<String>,
    /// Whether redirects must not be followed.
    pub no_redirect: bool,
}

impl Wget {
    pub(super) fn read(spec: &TypedSpec) -> Result<Self, FieldError> {
        Ok(Self {
            url: spec.required_text("url")?,
            media_type: spec.text("mediaType")?,
            header: spec.texts("header")?,
            verb: spec.text("verb")?,
            body: spec.text("body")?,
            no_redirect: spec.flag("noRedirect")?,
        })
    }
}

/// An object in an S3 bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct S3Bucket {
    /// The bucket.
    pub bucket_name: String,
    /// The key of the object.
    pub object_key: String,
    /// The region.
    pub region: Option<String>,
    /// The media type.
    pub media_type: Option<String>,
    /// The version of the object.
    pub version: Option<String>,
    /// The address of the service, if it is not that of AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path in place of the host.
    pub use_path_style: bool,
}

impl S3Bucket {
    pub(super) fn read(spec: &TypedSpec) -> Result<Self, FieldError> {
        let either = |name: &str, old: &str| match spec.text(old)? {
            Some(text) if spec.field(name).is_none() => Ok(text),
            _ => spec.required_text(name),
        };
        Ok(Self {
            bucket_name: either("bucketName", "bucket")?,
            object_key: either("objectKey", "key")?,
            region: spec.text("region")?,
            media_type: spec.text("mediaType")?,
            version: spec.text("version")?,
            endpoint: spec.text("endpoint")?,
            use_path_style: spec.flag("usePathStyle")?,
        })
    }
}

/// A file of this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// The file, `file://…`.
    pub uri: String,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
}

/// A Maven artifact, or all of its files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Maven {
    /// The repository.
    pub repo_url: String,
    /// The group.
    pub group_id: String,
    /// The artifact.
    pub artifact_id: String,
    /// The version.
    pub version: String,
    /// The classifier, such as `sources`.
    pub classifier: Option<String>,
    /// The extension, such as `jar`.
    pub extension: Option<String>,
    /// The media type.
    pub media_type: Option<String>,
}

impl Maven {
    pub(super) fn read(spec: &TypedSpec) -> Result<Self, FieldError> {
        Ok(Self {
            repo_url: spec.required_text("repoUrl")?,
            group_id: spec.required_text("groupId")?,
            artifact_id: spec.required_text("artifactId")?,
            version: spec.required_text("version")?,
            classifier: spec.text("classifier")?,
            extension: spec.text("extension")?,
            media_type: spec.text("mediaType")?,
        })
    }
}

/// An npm package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Npm {
    /// The registry.
    pub registry: String,
    /// The package.
    pub package: String,
    /// The version.
    pub version: String,
}

/// A commit of a git repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Git {
    /// The repository.
    pub repository: String,
    /// A branch or tag.
    pub reference: Option<String>,
    /// The commit.
    pub commit: Option<String>,
}

/// A file of a component archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalFilesystemBlob {
    /// The name of the file among the blobs.
    pub file_name: String,
    /// Its media type.
    pub media_type: Option<String>,
}

/// A resource of another component version.
#[derive(Clone, Debug, PartialEq)]
pub struct OcmResource {
    /// The repository, if it is another one.
    pub repository: Option<Value>,
    /// The component, if it is another one.
    pub component: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Which resource, relative to the component version.
    pub resource: Option<Value>,
}
