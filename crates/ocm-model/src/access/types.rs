//! The types of access that are known: their names, canonical first, and their fields.
//!
//! This is what the JSON schemas say. Whoever reads takes more: keys in any case, old names of
//! fields, and fields that are not known.

use super::Type;
use crate::schema::{Field, Object, Rule, Shape};

const TEXT: Shape = Shape::Text(Rule::Free);

/// Every type with its table.
pub(super) const ALL: &[(Type, Object)] = &[
    (
        Type::LocalBlob,
        Object::closed(
            "LocalBlob",
            "A blob stored with the component version",
            &[
                of(&["LocalBlob/v1", "localBlob/v1", "LocalBlob", "localBlob"]),
                Field::required("localReference", TEXT),
                // Old data has none.
                Field::expected("mediaType", TEXT),
                Field::optional("referenceName", TEXT),
                Field::optional("globalAccess", Shape::Typed),
            ],
        ),
    ),
    (
        Type::OciImage,
        Object::closed(
            "OCIImage",
            "An artifact in an OCI registry",
            &[
                of(&[
                    "OCIImage/v1",
                    "ociArtifact/v1",
                    "ociRegistry/v1",
                    "ociImage/v1",
                    "OCIArtifact/v1",
                    "ociArtefact/v1",
                    "OCIImage",
                    "ociArtifact",
                    "ociRegistry",
                    "ociImage",
                    "OCIArtifact",
                    "ociArtefact",
                ]),
                Field::required("imageReference", TEXT),
            ],
        ),
    ),
    (
        Type::OciImageLayer,
        Object::closed(
            "OCIImageLayer",
            "One blob in an OCI registry",
            &[
                of(&[
                    "OCIImageLayer/v1",
                    "ociImageLayer/v1",
                    "ociBlob/v1",
                    "OCIImageLayer",
                    "ociImageLayer",
                    "ociBlob",
                ]),
                Field::required("ref", TEXT),
                Field::required("digest", TEXT),
                Field::required("size", Shape::Size),
                Field::optional("mediaType", TEXT),
            ],
        ),
    ),
    (
        Type::Helm,
        Object::closed(
            "Helm",
            "A Helm chart",
            &[
                of(&["Helm/v1", "helm/v1", "Helm", "helm"]),
                Field::required("helmRepository", TEXT),
                Field::required("helmChart", TEXT),
                Field::optional("version", TEXT),
            ],
        ),
    ),
    (
        Type::GitHub,
        Object::closed(
            "GitHub",
            "A commit of a repository on GitHub, as archive",
            &[
                of(&[
                    "GitHub/v1",
                    "GitHub",
                    "github/v1",
                    "github",
                    "gitHub/v1",
                    "gitHub",
                ]),
                Field::required("repoUrl", TEXT),
                Field::optional("apiHostname", TEXT),
                Field::optional("commit", TEXT),
                Field::optional("ref", TEXT),
            ],
        ),
    ),
    (
        Type::Wget,
        Object::closed(
            "Wget",
            "What an HTTP request returns",
            &[
                of(&["Wget/v1", "wget/v1", "Wget", "wget"]),
                Field::required("url", TEXT),
                Field::optional("mediaType", TEXT),
                Field::optional("header", Shape::TextLists),
                Field::optional("verb", TEXT),
                Field::optional("body", TEXT),
                Field::optional("noRedirect", Shape::Flag),
            ],
        ),
    ),
    (
        Type::S3Bucket,
        Object::closed(
            "S3Bucket",
            "An object in an S3 bucket",
            &[
                of(&[
                    "S3Bucket/v1",
                    "s3Bucket/v1",
                    "S3Bucket",
                    "s3Bucket",
                    "S3/v2",
                    "s3/v2",
                    "S3/v1",
                    "s3/v1",
                    "S3",
                    "s3",
                    "S3Bucket/v2",
                    "s3Bucket/v2",
                ]),
                Field::required("bucketName", TEXT),
                Field::required("objectKey", TEXT),
                Field::optional("region", TEXT),
                Field::optional("mediaType", TEXT),
                Field::optional("version", TEXT),
                Field::optional("endpoint", TEXT),
                Field::optional("usePathStyle", Shape::Flag),
            ],
        ),
    ),
    (
        Type::File,
        Object::closed(
            "File",
            "A file of this machine; only inside of a running transfer",
            &[
                of(&["File/v1alpha1"]),
                Field::required("uri", TEXT),
                Field::optional("mediaType", TEXT),
                Field::optional("digest", TEXT),
            ],
        ),
    ),
    (
        Type::None,
        Object::closed(
            "None",
            "No content at all",
            &[of(&["None", "none", "None/v1", "none/v1"])],
        ),
    ),
    (
        Type::Maven,
        Object::closed(
            "Maven",
            "A Maven artifact",
            &[
                of(&["maven/v1", "Maven/v1", "maven", "Maven"]),
                Field::required("repoUrl", TEXT),
                Field::required("groupId", TEXT),
                Field::required("artifactId", TEXT),
                Field::required("version", TEXT),
                Field::optional("classifier", TEXT),
                Field::optional("extension", TEXT),
                Field::optional("mediaType", TEXT),
            ],
        ),
    ),
    (
        Type::Npm,
        Object::closed(
            "Npm",
            "An npm package",
            &[
                of(&["npm/v1", "Npm/v1", "NPM/v1", "npm", "Npm", "NPM"]),
                Field::required("registry", TEXT),
                Field::required("package", TEXT),
                Field::required("version", TEXT),
            ],
        ),
    ),
    (
        Type::Git,
        Object::closed(
            "Git",
            "A commit of a git repository",
            &[
                of(&[
                    "git/v1alpha1",
                    "Git/v1alpha1",
                    "git/v1",
                    "Git/v1",
                    "git",
                    "Git",
                ]),
                Field::required("repository", TEXT),
                Field::optional("ref", TEXT),
                Field::optional("commit", TEXT),
            ],
        ),
    ),
    (
        Type::LocalFilesystemBlob,
        Object::closed(
            "LocalFilesystemBlob",
            "A file of a component archive",
            &[
                of(&["localFilesystemBlob", "localFilesystemBlob/v1"]),
                Field::required("fileName", TEXT),
                Field::optional("mediaType", TEXT),
            ],
        ),
    ),
    (
        Type::LocalOciBlob,
        Object::closed(
            "LocalOciBlob",
            "A blob in the repository of the component version, by its digest",
            &[
                of(&["localOciBlob", "localOciBlob/v1"]),
                Field::required("digest", TEXT),
            ],
        ),
    ),
    (
        Type::RelativeOciReference,
        Object::closed(
            "RelativeOciReference",
            "An artifact in the registry of the component version",
            &[
                of(&["relativeOciReference", "relativeOciReference/v1"]),
                Field::required("reference", TEXT),
            ],
        ),
    ),
    (
        Type::Ocm,
        Object::closed(
            "Ocm",
            "A resource of another component version",
            &[
                of(&["ocm", "ocm/v1"]),
                Field::optional("ocmRepository", Shape::Typed),
                Field::optional("component", TEXT),
                Field::optional("version", TEXT),
                Field::optional("resourceRef", Shape::Any),
            ],
        ),
    ),
];

const fn of(names: &'static [&'static str]) -> Field {
    Field::required("type", Shape::Text(Rule::OneOf(names)))
}

/// Returns all names of a type.
pub(super) fn names(object: &Object) -> &'static [&'static str] {
    match object.fields {
        [
            Field {
                shape: Shape::Text(Rule::OneOf(names)),
                ..
            },
            ..,
        ] => names,
        _ => &[],
    }
}
