//! Access specifications: how to get at the content of a resource or source.
//!
//! An [`Access`] keeps its JSON whole. [`Access::kind`] reads the types that are known here, under
//! all the names that the Go implementations have given them; it is data, fetching is left to
//! others.

mod fields;
mod types;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::fields::{
    File, Git, GitHub, Helm, LocalBlob, LocalFilesystemBlob, Maven, Npm, OciImage, OciImageLayer,
    OcmResource, S3Bucket, Wget,
};
use crate::schema::Object;
use crate::typed::{FieldError, TypedSpec};

/// How to get at some content: a typed specification, kept whole.
///
/// ```
/// use ocm_model::access::{Access, AccessKind};
///
/// let access = Access::oci_artifact("ghcr.io/acme/notes:1.0.0");
/// assert_eq!(access.type_text(), "ociArtifact/v1");
/// assert!(matches!(access.kind()?, AccessKind::OciImage(_)));
/// # Ok::<(), ocm_model::typed::FieldError>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Access(TypedSpec);

impl Access {
    /// Takes any typed specification.
    pub const fn new(spec: TypedSpec) -> Self {
        Self(spec)
    }

    /// Takes an object that has a field `type`.
    ///
    /// # Errors
    ///
    /// The value is not such an object.
    pub fn from_json(value: Value) -> Result<Self, FieldError> {
        TypedSpec::from_json(value).map(Self)
    }

    /// Returns the access to a blob that is stored with the component version, `LocalBlob/v1`.
    pub fn local_blob(blob: &LocalBlob) -> Self {
        Self(
            TypedSpec::new("LocalBlob/v1")
                .with("localReference", blob.local_reference.as_str())
                .with("mediaType", blob.media_type.as_str())
                .with_some("referenceName", blob.reference_name.as_deref()),
        )
    }

    /// Says how the content of a local blob is reached by users that do not know component versions.
    #[must_use]
    pub fn with_global_access(self, access: Self) -> Self {
        Self(self.0.with(GLOBAL_ACCESS, access.into_json()))
    }

    /// Returns how the content of a local blob is reached by users that do not know component
    /// versions, as it is written: another access, if all is well.
    pub fn global_access(&self) -> Option<&Value> {
        self.0.field(GLOBAL_ACCESS)
    }

    /// Returns the access to an OCI artifact, `ociArtifact/v1`: the name that all versions of the
    /// Go implementation read.
    pub fn oci_artifact(image_reference: &str) -> Self {
        Self(TypedSpec::new("ociArtifact/v1").with("imageReference", image_reference))
    }

    /// Returns the access to one blob in a repository of an OCI registry, `OCIImageLayer/v1`.
    pub fn oci_image_layer(layer: &OciImageLayer) -> Self {
        Self(
            TypedSpec::new("OCIImageLayer/v1")
                .with("ref", layer.reference.as_str())
                .with("digest", layer.digest.to_string())
                .with("size", layer.size)
                .with_some("mediaType", layer.media_type.as_deref()),
        )
    }

    /// Returns the type as it is written.
    pub fn type_text(&self) -> &str {
        self.0.type_text()
    }

    /// Returns the specification.
    pub const fn as_spec(&self) -> &TypedSpec {
        &self.0
    }

    /// Returns the object.
    pub const fn as_json(&self) -> &Map<String, Value> {
        self.0.as_json()
    }

    /// Returns the object.
    pub fn into_json(self) -> Value {
        self.0.into_json()
    }

    /// Returns the fields, the type being one of them.
    pub fn into_fields(self) -> Map<String, Value> {
        self.0.into()
    }

    /// Returns what specifications of each known type must look like.
    pub fn tables() -> impl Iterator<Item = &'static Object> {
        types::ALL.iter().map(|(_, object)| object)
    }

    /// Tells whether there is no content, under either spelling.
    pub fn is_none(&self) -> bool {
        matches!(Type::of(self.type_text()), Some(Type::None))
    }

    /// Tells whether the content is a blob that is stored with the component version, under the
    /// type that it has now or one of those from before: `localOciBlob`, `localFilesystemBlob`.
    pub fn is_local_blob(&self) -> bool {
        matches!(
            Type::of(self.type_text()),
            Some(Type::LocalBlob | Type::LocalOciBlob | Type::LocalFilesystemBlob)
        )
    }

    /// Tells whether the content is in the repository of the component version, so that the access
    /// says nothing outside of it: a local blob, or an OCI artifact in the same registry.
    pub fn is_local(&self) -> bool {
        let relative = matches!(Type::of(self.type_text()), Some(Type::RelativeOciReference));
        relative || self.is_local_blob()
    }

    /// Returns which images of an index the content has, by the platforms that were asked for when
    /// it was copied; `None` if it has all. The access says so in its field `platforms`.
    pub fn platforms(&self) -> Option<Vec<String>> {
        let texts = self.0.field(PLATFORMS)?.as_array()?.iter();
        texts.map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// Says which images of an index the content has.
    #[must_use]
    pub fn with_platforms(self, platforms: Option<&[String]>) -> Self {
        let is_it = |key: &str| key.eq_ignore_ascii_case(PLATFORMS);
        if platforms.is_none() && !self.as_json().keys().any(|key| is_it(key)) {
            return self;
        }
        let mut fields = self.0.as_json().clone();
        fields.retain(|key, _| !is_it(key));
        if let Some(platforms) = platforms {
            fields.insert(PLATFORMS.to_owned(), platforms.into());
        }
        Self::from_json(Value::Object(fields)).unwrap_or(self)
    }

    /// Returns the local blob, if this is one that can be read, under whichever type.
    pub fn as_local_blob(&self) -> Option<LocalBlob> {
        self.kind().ok()?.into_local_blob()
    }

    /// Reads the fields that the type has.
    ///
    /// # Errors
    ///
    /// A field that the type demands is missing or malformed. A type that is not known is no
    /// error, but [`AccessKind::Unknown`].
    pub fn kind(&self) -> Result<AccessKind, FieldError> {
        let spec = &self.0;
        let Some(known) = Type::of(spec.type_text()) else {
            return Ok(AccessKind::Unknown);
        };
        Ok(match known {
            Type::LocalBlob => AccessKind::LocalBlob(LocalBlob::read(spec)?),
            Type::OciImage => AccessKind::OciImage(OciImage {
                image_reference: spec.required_text("imageReference")?,
            }),
            Type::OciImageLayer => AccessKind::OciImageLayer(OciImageLayer::read(spec)?),
            Type::Helm => AccessKind::Helm(Helm {
                repository: spec.required_text("helmRepository")?,
                chart: spec.required_text("helmChart")?,
                version: spec.text("version")?,
            }),
            Type::GitHub => AccessKind::GitHub(GitHub {
                repo_url: spec.required_text("repoUrl")?,
                api_hostname: spec.text("apiHostname")?,
                commit: spec.text("commit")?,
                reference: spec.text("ref")?,
            }),
            Type::Wget => AccessKind::Wget(Wget::read(spec)?),
            Type::S3Bucket => AccessKind::S3Bucket(S3Bucket::read(spec)?),
            Type::File => AccessKind::File(File {
                uri: spec.required_text("uri")?,
                media_type: spec.text("mediaType")?,
                digest: spec.text("digest")?,
            }),
            Type::None => AccessKind::None,
            Type::Maven => AccessKind::Maven(Maven::read(spec)?),
            Type::Npm => AccessKind::Npm(Npm {
                registry: spec.required_text("registry")?,
                package: spec.required_text("package")?,
                version: spec.required_text("version")?,
            }),
            Type::Git => AccessKind::Git(Git {
                repository: spec.required_text("repository")?,
                reference: spec.text("ref")?,
                commit: spec.text("commit")?,
            }),
            Type::LocalFilesystemBlob => AccessKind::LocalFilesystemBlob(LocalFilesystemBlob {
                file_name: spec.required_text("fileName")?,
                media_type: spec.text("mediaType")?,
            }),
            Type::LocalOciBlob => AccessKind::LocalOciBlob(spec.required_text("digest")?),
            Type::RelativeOciReference => {
                AccessKind::RelativeOciReference(spec.required_text("reference")?)
            }
            Type::Ocm => AccessKind::Ocm(OcmResource {
                repository: spec.field("ocmRepository").cloned(),
                component: spec.text("component")?,
                version: spec.text("version")?,
                resource: spec.field("resourceRef").cloned(),
            }),
        })
    }
}

/// The field of a local blob with another access to the same content.
const GLOBAL_ACCESS: &str = "globalAccess";

/// The field of an access that says which images of an index there are. It is ours, and others
/// leave it alone; no signature covers an access.
const PLATFORMS: &str = "platforms";

/// The types known here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Type {
    LocalBlob,
    OciImage,
    OciImageLayer,
    Helm,
    GitHub,
    Wget,
    S3Bucket,
    File,
    None,
    Maven,
    Npm,
    Git,
    LocalFilesystemBlob,
    LocalOciBlob,
    RelativeOciReference,
    Ocm,
}

impl Type {
    /// Looks a name up among all that the Go implementations and the specification have used.
    fn of(text: &str) -> Option<Self> {
        let known = types::ALL
            .iter()
            .find(|(_, object)| types::names(object).contains(&text));
        known.map(|(known, _)| *known)
    }
}

/// The fields of an access specification, by its type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AccessKind {
    /// A blob stored with the component version.
    LocalBlob(LocalBlob),
    /// An artifact in an OCI registry.
    OciImage(OciImage),
    /// One blob in an OCI registry.
    OciImageLayer(OciImageLayer),
    /// A Helm chart.
    Helm(Helm),
    /// A commit of a repository on GitHub, as archive.
    GitHub(GitHub),
    /// What an HTTP request returns.
    Wget(Wget),
    /// An object in an S3 bucket.
    S3Bucket(S3Bucket),
    /// A file of this machine; only inside of a running transfer.
    File(File),
    /// No content at all.
    None,
    /// A Maven artifact.
    Maven(Maven),
    /// An npm package.
    Npm(Npm),
    /// A commit of a git repository.
    Git(Git),
    /// A file of a component archive.
    LocalFilesystemBlob(LocalFilesystemBlob),
    /// The digest of a blob in the repository of the component version.
    LocalOciBlob(String),
    /// An OCI reference without its registry.
    RelativeOciReference(String),
    /// A resource of another component version.
    Ocm(OcmResource),
    /// A type that is not known here.
    Unknown,
}

impl AccessKind {
    /// Returns the local blob, if this is one, under whichever type.
    pub fn into_local_blob(self) -> Option<LocalBlob> {
        match self {
            Self::LocalBlob(blob) => Some(blob),
            Self::LocalOciBlob(digest) => Some(LocalBlob::of_reference(digest, None)),
            Self::LocalFilesystemBlob(file) => {
                Some(LocalBlob::of_reference(file.file_name, file.media_type))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ocm_digest::Digest;
    use serde_json::json;

    use super::*;
    use crate::schema::{Field, Need, Rule, Shape};

    fn kind(value: Value) -> AccessKind {
        Access::from_json(value).unwrap().kind().unwrap()
    }

    #[test]
    fn platforms_are_stated_beside_what_is_there() {
        let access = Access::oci_artifact("ghcr.io/a/b:1");
        assert_eq!(access.platforms(), None);
        let some = access
            .clone()
            .with_platforms(Some(&["linux/amd64".to_owned()]));
        assert_eq!(some.as_json()["platforms"], json!(["linux/amd64"]));
        assert_eq!(some.platforms(), Some(vec!["linux/amd64".to_owned()]));
        assert_eq!(some.with_platforms(None), access);
        for malformed in [json!("linux/amd64"), json!([1])] {
            let access = json!({"type": "localBlob", "platforms": malformed});
            assert_eq!(Access::from_json(access).unwrap().platforms(), None);
        }
    }

    #[test]
    fn every_name_of_a_type_is_read() {
        for name in ["LocalBlob/v1", "localBlob/v1", "LocalBlob", "localBlob"] {
            let access = json!({"type": name, "localReference": "sha256:0", "mediaType": "a/b"});
            assert!(matches!(kind(access), AccessKind::LocalBlob(_)), "{name}");
        }
        for name in [
            "OCIImage",
            "ociArtifact",
            "ociRegistry",
            "ociImage",
            "OCIArtifact",
        ] {
            for version in ["", "/v1"] {
                let access = json!({"type": format!("{name}{version}"), "imageReference": "a/b:c"});
                assert!(
                    matches!(kind(access), AccessKind::OciImage(_)),
                    "{name}{version}"
                );
            }
        }
        for name in [
            "GitHub/v1",
            "GitHub",
            "github",
            "github/v1",
            "gitHub",
            "gitHub/v1",
        ] {
            let access = json!({"type": name, "repoUrl": "github.com/a/b"});
            assert!(matches!(kind(access), AccessKind::GitHub(_)), "{name}");
        }
        assert_eq!(kind(json!({"type": "none"})), AccessKind::None);
        assert_eq!(kind(json!({"type": "None"})), AccessKind::None);
    }

    #[test]
    fn what_a_table_demands_is_what_reading_demands() {
        for (known, object) in types::ALL {
            let value_of = |field: &Field| match field.shape {
                Shape::Text(Rule::OneOf(names)) => json!(names[0]),
                Shape::Size => json!(3),
                _ if field.name == "digest" => json!(Digest::sha256(b"").to_string()),
                _ => json!("x"),
            };
            let needed = || {
                object
                    .fields
                    .iter()
                    .filter(|field| field.need == Need::Required)
            };
            let whole: Map<String, Value> = needed()
                .map(|field| (field.name.to_owned(), value_of(field)))
                .collect();
            for name in types::names(object) {
                assert_eq!(Type::of(name), Some(*known), "{name}");
                assert!(name.parse::<crate::TypeName>().is_ok(), "{name}");
                let mut access = whole.clone();
                access.insert("type".to_owned(), (*name).into());
                kind(access.into());
            }
            for field in needed().filter(|field| field.name != "type") {
                let mut access = whole.clone();
                access.remove(field.name);
                let access = Access::from_json(access.into()).unwrap();
                assert_eq!(access.kind().unwrap_err().field, field.name);
            }
        }
    }

    #[test]
    fn unknown_types_and_formats_pass_through() {
        for name in ["acme", "acme/v1", "LocalBlob/v2", "not a type name", "File"] {
            let value = json!({"type": name, "x": [1]});
            let access = Access::from_json(value.clone()).unwrap();
            assert_eq!(access.kind().unwrap(), AccessKind::Unknown);
            assert_eq!(access.into_json(), value);
        }
    }

    #[test]
    fn old_spellings_of_fields_are_read() {
        let AccessKind::Wget(wget) = kind(json!({"type": "wget", "URL": "https://acme.org"}))
        else {
            panic!("not wget");
        };
        assert_eq!(wget.url, "https://acme.org");
        let AccessKind::S3Bucket(s3) = kind(json!({"type": "s3/v1", "bucket": "b", "key": "k"}))
        else {
            panic!("not s3");
        };
        assert_eq!(
            (s3.bucket_name.as_str(), s3.object_key.as_str()),
            ("b", "k")
        );
        let file = json!({"type": "localFilesystemBlob", "filename": "x", "mediaType": "a/b"});
        assert!(matches!(kind(file), AccessKind::LocalFilesystemBlob(_)));
    }

    #[test]
    fn what_we_write_is_what_we_read() {
        let digest = Digest::sha256(b"x");
        let mut blob = LocalBlob::new(&digest, "text/plain");
        blob.reference_name = Some("acme/x:1".to_owned());
        let global = Access::oci_artifact("ghcr.io/acme/x:1");
        let access = Access::local_blob(&blob).with_global_access(global.clone());
        assert_eq!(access.as_local_blob().unwrap(), blob);
        assert_eq!(access.global_access(), Some(&global.into_json()));
        assert_eq!(blob.digest(), Some(digest));

        let layer = OciImageLayer {
            reference: "ghcr.io/acme/x".to_owned(),
            digest,
            size: 3,
            media_type: None,
        };
        let access = Access::oci_image_layer(&layer);
        assert_eq!(access.type_text(), "OCIImageLayer/v1");
        assert_eq!(access.kind().unwrap(), AccessKind::OciImageLayer(layer));
    }

    #[test]
    fn a_file_name_is_a_local_reference_too() {
        let digest = Digest::sha256(b"x");
        let mut blob = LocalBlob::new(&digest, "text/plain");
        blob.local_reference = digest.to_string().replace(':', ".");
        assert_eq!(blob.digest(), Some(digest));
        blob.local_reference = "x".to_owned();
        assert_eq!(blob.digest(), None);
    }

    #[test]
    fn what_only_holds_in_its_repository_is_local() {
        let access = |value| Access::from_json(value).unwrap();
        let digest = Digest::sha256(b"x");
        let blob = access(json!({"type": "localOciBlob", "digest": digest}));
        assert!(blob.is_local_blob() && blob.is_local());
        assert_eq!(blob.as_local_blob().unwrap().digest(), Some(digest));
        let file = json!({"type": "localFilesystemBlob", "fileName": "a.txt", "mediaType": "a/b"});
        let file = access(file).as_local_blob().unwrap();
        assert_eq!(
            (file.local_reference.as_str(), file.media_type.as_str()),
            ("a.txt", "a/b")
        );
        let relative = access(json!({"type": "relativeOciReference", "reference": "a/b:1"}));
        assert!(relative.is_local() && !relative.is_local_blob());
        assert_eq!(relative.as_local_blob(), None);
        assert!(!Access::oci_artifact("ghcr.io/a/b:1").is_local());
    }

    #[test]
    fn a_missing_or_malformed_field_is_named() {
        let access = |value| {
            Access::from_json(value)
                .unwrap()
                .kind()
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            access(json!({"type": "helm", "helmChart": "x"})),
            "field `helmRepository` of `helm` is missing"
        );
        assert_eq!(
            access(json!({"type": "ociBlob", "ref": "a/b", "digest": "x", "size": 1})),
            "field `digest` of `ociBlob` is not usable: digest `x` does not name its algorithm, \
             as in `sha256:…`"
        );
        assert_eq!(
            access(
                json!({"type": "ociBlob", "ref": "a/b", "digest": Digest::sha256(b""), "size": -1})
            ),
            "field `size` of `ociBlob` must be a whole number from zero, not a number"
        );
    }

    #[test]
    fn a_chart_has_its_version_in_either_place() {
        let chart = |chart: &str, version: Option<&str>| Helm {
            repository: String::new(),
            chart: chart.to_owned(),
            version: version.map(str::to_owned),
        };
        assert_eq!(chart("a:1", None).chart_version(), Some("1"));
        assert_eq!(chart("a", Some("2")).chart_version(), Some("2"));
        assert_eq!(chart("a:1", Some("2")).chart_name(), "a");
    }
}
