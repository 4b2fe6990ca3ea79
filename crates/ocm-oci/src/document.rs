//! The documents of the OCI image specification.
//!
//! Annotations are sorted and unknown fields are kept, so that the same document gives the same
//! bytes. Fields stand in the order in which the Go tools write them.

mod outline;

use std::collections::BTreeMap;

use bytes::Bytes;
use ocm_blob::Promise;
use ocm_digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::outline::ABOUT;
pub use self::outline::{Link, Outline};

use crate::error::Error;

/// Media types of the OCI and Docker image specifications.
pub mod media_type {
    /// An image manifest.
    pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image configuration.
    pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer: tar, compressed with gzip.
    pub const LAYER_TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// The empty descriptor (`{}`).
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker's image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

    /// Every media type that a registry may store as a manifest.
    pub const MANIFESTS: [&str; 4] = [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

    /// Returns whether a media type is an image manifest, OCI or Docker.
    pub fn is_image(text: &str) -> bool {
        matches!(text, IMAGE_MANIFEST | DOCKER_MANIFEST)
    }

    /// Returns whether a media type is an index of manifests, OCI or Docker.
    pub fn is_index(text: &str) -> bool {
        matches!(text, IMAGE_INDEX | DOCKER_LIST)
    }

    /// Returns whether a media type is a manifest of any kind.
    pub fn is_manifest(text: &str) -> bool {
        is_image(text) || is_index(text)
    }
}

/// The bytes of the empty configuration.
pub const EMPTY_CONFIG: &[u8] = b"{}";

/// What points to content: its media type, digest and size.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    #[serde(default)]
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// Where else the content can be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// The content itself, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the content runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What the content is, where that is a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Fields that this program does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Descriptor {
    /// Points to content.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
            extra: Map::new(),
        }
    }

    /// Points to bytes that are in memory.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// Adds an annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Returns whether this points to a manifest or an index.
    pub fn is_manifest(&self) -> bool {
        media_type::is_manifest(&self.media_type)
    }

    /// Returns what the content promises to be, for whoever reads it.
    pub const fn promise(&self) -> Promise {
        Promise {
            size: Some(self.size),
            digest: Some(self.digest),
        }
    }

    /// Returns media type, digest and size alone.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self::new(self.media_type.clone(), self.digest, self.size)
    }
}

/// What an image runs on. Go always writes architecture and system once any is set.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Platform {
    /// The processor architecture in Go's names, such as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system in Go's names, such as `linux`.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields that this program does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An image manifest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers in their order.
    #[serde(default, deserialize_with = "null_as_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Fields that this program does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ImageManifest {
    /// Makes a manifest without artifact type, subject and annotations.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
            extra: Map::new(),
        }
    }
}

/// An index of manifests.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests in their order.
    #[serde(default, deserialize_with = "null_as_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Fields that this program does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ImageIndex {
    /// Makes an index without artifact type, subject and annotations.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
            extra: Map::new(),
        }
    }
}

/// A manifest as it is stored: bytes that its digest names, and their media type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawManifest {
    bytes: Bytes,
    media_type: String,
    digest: Digest,
}

/// What a manifest says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Document {
    /// An image manifest, OCI or Docker.
    Image(Box<ImageManifest>),
    /// An index, OCI or Docker.
    Index(Box<ImageIndex>),
}

impl RawManifest {
    /// The size beyond which a manifest is refused, in bytes. Registries have the same limit.
    pub const LIMIT: u64 = 4 * 1024 * 1024;

    /// Takes bytes as they are. An empty media type is replaced by the one in the document.
    pub fn new(bytes: impl Into<Bytes>, media_type: impl Into<String>) -> Self {
        let bytes = bytes.into();
        let mut media_type = media_type.into();
        if media_type.is_empty() {
            media_type = sniff(&bytes);
        }
        Self {
            digest: Digest::sha256(&bytes),
            bytes,
            media_type,
        }
    }

    /// Writes an image manifest.
    pub fn image(manifest: &ImageManifest) -> Self {
        let media_type = manifest
            .media_type
            .as_deref()
            .unwrap_or(media_type::IMAGE_MANIFEST);
        Self::new(to_json(manifest), media_type)
    }

    /// Writes an index.
    pub fn index(index: &ImageIndex) -> Self {
        let media_type = index
            .media_type
            .as_deref()
            .unwrap_or(media_type::IMAGE_INDEX);
        Self::new(to_json(index), media_type)
    }

    /// Names the manifest by another algorithm than SHA-256, after checking that it fits.
    ///
    /// # Errors
    ///
    /// The bytes have another digest.
    pub fn with_digest(mut self, expected: Digest) -> Result<Self, Error> {
        let actual = expected.algorithm().digest(&self.bytes);
        if actual != expected {
            return Err(Error::DigestMismatch {
                what: "manifest".to_owned(),
                expected,
                actual,
            });
        }
        self.digest = expected;
        Ok(self)
    }

    /// Returns the stored bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the media type.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Returns the digest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns what points to this manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            self.media_type.clone(),
            self.digest,
            self.bytes.len() as u64,
        )
    }

    /// Returns what points to this manifest if it refers to `subject`, as a list of referrers
    /// shows it: with artifact type and annotations (OCI distribution specification, "Listing
    /// Referrers"). A manifest that cannot be read refers to nothing.
    pub fn as_referrer_of(&self, subject: &Digest) -> Option<Descriptor> {
        let document = self.parse().ok()?;
        if document.subject()?.digest != *subject {
            return None;
        }
        let mut descriptor = self.descriptor();
        descriptor.artifact_type = document.artifact_type().map(str::to_owned);
        descriptor.annotations.clone_from(document.annotations());
        Some(descriptor)
    }

    /// Reads the document.
    ///
    /// # Errors
    ///
    /// It is no JSON, lacks required fields, or is neither manifest nor index.
    pub fn parse(&self) -> Result<Document, Error> {
        self.read(Document::Image, Document::Index)
    }

    /// Reads what the document points to, and no more.
    ///
    /// # Errors
    ///
    /// As [`RawManifest::parse`], as far as it is read.
    pub fn outline(&self) -> Result<Outline<'_>, Error> {
        self.read::<outline::Image<'_>, outline::Index<'_>, _>(Outline::from, Outline::from)
    }

    /// Reads the document as that which its media type says.
    fn read<'a, I, L, T>(
        &'a self,
        image: impl FnOnce(I) -> T,
        index: impl FnOnce(L) -> T,
    ) -> Result<T, Error>
    where
        I: Deserialize<'a>,
        L: Deserialize<'a>,
    {
        let malformed =
            |reason: String| Error::malformed(format!("manifest {}", self.digest), reason);
        if !is_sparse(&self.bytes) {
            return Err(malformed(format!("it has more than {MAX_VALUES} values")));
        }
        let read = if media_type::is_index(&self.media_type) {
            serde_json::from_slice(&self.bytes).map(index)
        } else if media_type::is_image(&self.media_type) {
            serde_json::from_slice(&self.bytes).map(image)
        } else {
            let media_type = &self.media_type;
            return Err(malformed(format!(
                "media type `{media_type}` is no manifest"
            )));
        };
        read.map_err(|error| malformed(error.to_string()))
    }
}

/// How many values a manifest may have: those of the longest lists of layers that fit into
/// [`RawManifest::LIMIT`].
const MAX_VALUES: usize = 200_000;

/// Returns whether a document has so few values that it takes little more memory than its bytes.
/// Each but the first stands after one of three characters.
fn is_sparse(bytes: &[u8]) -> bool {
    // So short a document cannot have more.
    if bytes.len() <= MAX_VALUES {
        return true;
    }
    let (mut is_text, mut is_escaped, mut values) = (false, false, 0);
    for byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => values += 1,
            _ => {}
        }
    }
    values <= MAX_VALUES
}

impl Document {
    /// Returns everything that the document points to, in its order, without the subject.
    pub fn children(&self) -> Vec<&Descriptor> {
        match self {
            Self::Image(image) => std::iter::once(&image.config)
                .chain(&image.layers)
                .collect(),
            Self::Index(index) => index.manifests.iter().collect(),
        }
    }

    /// Returns the manifest that the document refers to.
    pub const fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// Returns the annotations of the document itself.
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Image(image) => &image.annotations,
            Self::Index(index) => &index.annotations,
        }
    }

    /// Returns what the artifact is: its artifact type, else the media type of its configuration.
    pub fn artifact_type(&self) -> Option<&str> {
        match self {
            Self::Image(image) => image
                .artifact_type
                .as_deref()
                .or(Some(image.config.media_type.as_str())),
            Self::Index(index) => index.artifact_type.as_deref(),
        }
    }
}

/// Reads the media type that a manifest gives itself, or guesses it from its fields.
fn sniff(bytes: &[u8]) -> String {
    let fields: Map<String, Value> = if is_sparse(bytes) {
        serde_json::from_slice(bytes).unwrap_or_default()
    } else {
        Map::new()
    };
    match fields.get("mediaType") {
        Some(Value::String(text)) => text.clone(),
        _ if fields.contains_key("manifests") => media_type::IMAGE_INDEX.to_owned(),
        _ => media_type::IMAGE_MANIFEST.to_owned(),
    }
}

/// Serialises a document of ours. Its types hold text and numbers only, which always serialise.
fn to_json(document: &impl Serialize) -> Vec<u8> {
    const TYPICAL: usize = 2048;
    let mut bytes = Vec::with_capacity(TYPICAL);
    serde_json::to_writer(&mut bytes, document)
        .expect("a document of texts and numbers serialises");
    bytes
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_with_too_many_values_is_not_read() {
        let manifest = |values: usize| {
            let zeros = "0,".repeat(values);
            let text = format!(r#"{{"schemaVersion":2,"manifests":[],"a":[{zeros}0]}}"#);
            RawManifest::new(text.into_bytes(), media_type::IMAGE_INDEX)
        };
        assert!(manifest(MAX_VALUES - 10).parse().is_ok());
        let error = manifest(MAX_VALUES).parse().unwrap_err().to_string();
        assert!(error.ends_with("it has more than 200000 values"), "{error}");
        let text = ",[{".repeat(MAX_VALUES);
        let text = format!(r#"{{"schemaVersion":2,"manifests":[],"a":"\"{text}"}}"#);
        let manifest = RawManifest::new(text.into_bytes(), media_type::IMAGE_INDEX);
        assert!(manifest.parse().is_ok());
    }

    #[test]
    fn a_manifest_writes_the_bytes_it_read() {
        let text = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"a/b","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[],"annotations":{"a":"1","b":"2"},"x":1}"#;
        let raw = RawManifest::new(&text[..], "");
        assert_eq!(raw.media_type(), media_type::IMAGE_MANIFEST);
        let Document::Image(image) = raw.parse().unwrap() else {
            panic!("an image")
        };
        assert_eq!(RawManifest::image(&image).bytes(), &text[..]);
    }

    #[test]
    fn a_document_without_media_type_is_told_by_its_fields() {
        let index = RawManifest::new(&br#"{"schemaVersion":2,"manifests":null}"#[..], "");
        assert_eq!(index.media_type(), media_type::IMAGE_INDEX);
        assert_eq!(index.parse().unwrap().children().len(), 0);
    }

    #[test]
    fn malformed_documents_are_errors() {
        for (bytes, media_type) in [
            (&b"{"[..], media_type::IMAGE_MANIFEST),
            (br#"{"schemaVersion":2}"#, media_type::IMAGE_MANIFEST),
            (
                br#"{"schemaVersion":2,"manifests":[{"digest":"x","size":1}]}"#,
                media_type::IMAGE_INDEX,
            ),
            (b"{}", "text/plain"),
        ] {
            let raw = RawManifest::new(bytes, media_type);
            assert!(raw.parse().is_err() && raw.outline().is_err());
        }
        let deep = RawManifest::new("[".repeat(100_000), media_type::IMAGE_INDEX);
        assert!(deep.parse().is_err() && deep.outline().is_err());
    }
}
