//! A packaged chart, and the OCI artifact it becomes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use ocm_blob::{BlobRef, Bytes, Counted, FileBlob, MemoryBlob, OpenFile, TarBlob, TarScan};
use ocm_model::{Version, json, yaml};
use ocm_oci::{Descriptor, ImageIndex, ImageManifest, RawManifest};
use serde_json::Value;

/// The largest packaged chart, in bytes.
pub const MAX_SIZE: u64 = 100 * 1024 * 1024;

/// The largest `Chart.yaml`, in bytes.
const MAX_METADATA: u64 = 1024 * 1024;

/// How much of a packaged chart is decompressed to find `Chart.yaml`, in bytes.
const MAX_CONTENT: u64 = 1024 * 1024 * 1024;

/// The media type of a packaged chart.
pub(crate) const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
const LAYOUT: &str = "application/vnd.ocm.software.oci.layout.v1+tar";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A packaged chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The name in `Chart.yaml`.
    pub name: String,
    /// The version in `Chart.yaml`.
    pub version: Version,
    metadata: Value,
    content: BlobRef,
    provenance: Option<Bytes>,
}

impl Chart {
    /// Opens a packaged chart.
    ///
    /// # Errors
    ///
    /// The file is no chart, or too large.
    pub fn open(path: &Path) -> Result<Self, ChartError> {
        let file = OpenFile::open(path).map_err(|source| ChartError::file(path, source))?;
        let digest = hash(&file).map_err(|source| ChartError::file(path, source))?;
        let metadata = find_metadata(&file)?;
        let blob = FileBlob::open_path(path).map_err(|source| ChartError::file(path, source))?;
        Self::new(metadata, Arc::new(blob.with_digest(digest)))
    }

    /// Takes a packaged chart in a file that is held open, and may have no name any more.
    pub(super) fn of_file(file: &OpenFile) -> Result<Self, ChartError> {
        let failed = |source| ChartError::file(file.path(), source);
        let digest = hash(file).map_err(failed)?;
        let size = file.size().map_err(failed)?;
        let blob = file.blob(0, size).with_digest(digest);
        Self::new(find_metadata(file)?, Arc::new(blob))
    }

    fn new(metadata: Value, content: BlobRef) -> Result<Self, ChartError> {
        let (name, version) = check(&metadata)?;
        Ok(Self {
            name,
            version,
            metadata,
            content,
            provenance: None,
        })
    }

    /// Adds the signature of the chart.
    #[must_use]
    pub fn with_provenance(mut self, provenance: impl Into<Bytes>) -> Self {
        self.provenance = Some(provenance.into());
        self
    }

    /// Returns the packaged chart. Its size and digest are known.
    pub const fn content(&self) -> &BlobRef {
        &self.content
    }

    /// Returns the tag under which Helm keeps the chart in a registry: a `+` becomes `_`.
    pub fn tag(&self) -> String {
        self.version.as_str().replace('+', "_")
    }

    /// Returns the OCI artifact as an OCI layout. The same chart gives the same bytes.
    ///
    /// # Errors
    ///
    /// The content has no known size or digest.
    pub fn layout(&self) -> Result<BlobRef, ocm_blob::Error> {
        let config = Bytes::from(json::compact(&self.metadata));
        let (Some(digest), Some(size)) = (self.content.digest(), self.content.size()) else {
            let reason = "its size and digest are not known";
            return Err(ocm_blob::Error::malformed("packaged chart", reason));
        };
        let mut blobs = vec![
            (Descriptor::of(CONFIG, &config), memory(config)),
            (
                Descriptor::new(CONTENT, digest, size),
                Arc::clone(&self.content),
            ),
        ];
        if let Some(provenance) = &self.provenance {
            let descriptor = Descriptor::of(PROVENANCE, provenance);
            blobs.push((descriptor, memory(provenance.clone())));
        }
        let layers = blobs[1..].iter().map(|(descriptor, _)| descriptor.clone());
        let mut manifest = ImageManifest::new(blobs[0].0.clone(), layers.collect());
        for (key, field) in [
            ("title", "name"),
            ("version", "version"),
            ("description", "description"),
        ] {
            if let Some(text) = self.metadata[field].as_str() {
                let key = format!("org.opencontainers.image.{key}");
                manifest.annotations.insert(key, text.to_owned());
            }
        }
        let manifest = RawManifest::image(&manifest);
        let entry = manifest.descriptor().with_annotation(REF_NAME, self.tag());
        let index = RawManifest::index(&ImageIndex::new(vec![entry]));
        blobs.push((manifest.descriptor(), memory(manifest.bytes().clone())));

        let mut layout = TarBlob::new().with_media_type(LAYOUT);
        let version = Bytes::from_static(br#"{"imageLayoutVersion":"1.0.0"}"#);
        layout.add_file("oci-layout", 0o644, memory(version))?;
        layout.add_file("index.json", 0o644, memory(index.bytes().clone()))?;
        for (descriptor, blob) in blobs {
            let path = format!("blobs/sha256/{}", descriptor.digest.to_hex());
            layout.add_file(&path, 0o644, blob)?;
        }
        Ok(Arc::new(layout))
    }
}

fn memory(bytes: Bytes) -> BlobRef {
    Arc::new(MemoryBlob::new(bytes))
}

/// Hashes a file of bounded size.
fn hash(file: &OpenFile) -> Result<ocm_digest::Digest, ocm_blob::Error> {
    let size = file.size()?;
    if size > MAX_SIZE {
        return Err(ocm_blob::Error::TooLarge { limit: MAX_SIZE });
    }
    let mut counted = Counted::default();
    while counted.size() < size {
        let want = (size - counted.size()).min(ocm_blob::CHUNK as u64);
        let want = usize::try_from(want).unwrap_or(ocm_blob::CHUNK);
        counted.update(&file.read_at(counted.size(), want)?);
    }
    Ok(counted.finish().0)
}

/// Finds `Chart.yaml` of the topmost chart in a packaged chart.
fn find_metadata(file: &OpenFile) -> Result<Value, ChartError> {
    let failed = |source| ChartError::file(file.path(), source);
    let io = |source| failed(ocm_blob::Error::file("read", file.path(), source));
    let mut reader = File::try_clone(file.file()).map_err(io)?;
    std::io::Seek::rewind(&mut reader).map_err(io)?;
    let content = MultiGzDecoder::new(reader).take(MAX_CONTENT);
    let mut scan = TarScan::stream(content);
    while let Some(entry) = scan.next_entry().map_err(failed)? {
        let mut parts = entry.path.split('/');
        if parts.nth(1) == Some("Chart.yaml") && parts.next().is_none() {
            let mut text = String::new();
            scan.content()
                .take(MAX_METADATA)
                .read_to_string(&mut text)
                .map_err(io)?;
            return parse(&text);
        }
    }
    Err(ChartError::NoMetadata)
}

/// Reads `Chart.yaml`. Without format it has the oldest one, as in Helm.
pub(super) fn parse(text: &str) -> Result<Value, ChartError> {
    let mut metadata = yaml::parse(text).map_err(|source| ChartError::Yaml { source })?;
    if let Some(fields) = metadata.as_object_mut()
        && fields.get("apiVersion").is_none_or(Value::is_null)
    {
        fields.insert("apiVersion".to_owned(), "v1".into());
    }
    Ok(metadata)
}

/// Checks what Helm demands of `Chart.yaml`, and returns name and version.
pub(super) fn check(metadata: &Value) -> Result<(String, Version), ChartError> {
    let field = |name: &'static str| match metadata.get(name).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(ChartError::Field { name }),
    };
    let api = field("apiVersion")?;
    if !matches!(api, "v1" | "v2") {
        return Err(ChartError::ApiVersion {
            version: api.to_owned(),
        });
    }
    let name = field("name")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.bytes().all(allowed) || matches!(name, "." | "..") {
        return Err(ChartError::Name {
            name: name.to_owned(),
        });
    }
    let version = field("version")?;
    let parsed: Version = version.parse().map_err(|_| ChartError::Version {
        version: version.to_owned(),
    })?;
    Ok((name.to_owned(), parsed))
}

/// Why something is not a Helm chart.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ChartError {
    /// The file cannot be read, or is no archive.
    #[error("{path} cannot be read as a packaged chart")]
    File {
        path: String,
        #[source]
        source: ocm_blob::Error,
    },
    /// There is no `Chart.yaml`.
    #[error("there is no Chart.yaml in the chart")]
    NoMetadata,
    /// `Chart.yaml` is no YAML.
    #[error("Chart.yaml is not well-formed")]
    Yaml {
        #[source]
        source: yaml::Error,
    },
    /// A field is missing or no text.
    #[error("Chart.yaml has no text in the field `{name}`")]
    Field { name: &'static str },
    /// The format is not known.
    #[error("Chart.yaml has the apiVersion `{version}`; known are `v1` and `v2`")]
    ApiVersion { version: String },
    /// The name cannot be that of a file.
    #[error("Chart.yaml has the name `{name}`, which is not letters, digits, `.`, `_` and `-`")]
    Name { name: String },
    /// The version has no meaning.
    #[error("Chart.yaml has the version `{version}`, which is not a semantic version")]
    Version { version: String },
    /// A file of the chart cannot be packaged.
    #[error("{path} cannot be packaged: {reason}")]
    Entry { path: String, reason: String },
}

impl ChartError {
    pub(super) fn file(path: &Path, source: ocm_blob::Error) -> Self {
        Self::File {
            path: path.display().to_string(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let checked = parse(text).and_then(|metadata| check(&metadata));
        checked.unwrap_err().to_string()
    }

    #[test]
    fn what_helm_demands_is_demanded() {
        let (name, version) =
            check(&parse("apiVersion: v2\nname: a.b_C-1\nversion: 1.0.0+x").unwrap()).unwrap();
        assert_eq!((name.as_str(), version.as_str()), ("a.b_C-1", "1.0.0+x"));
        for (text, expected) in [
            ("[]", "Chart.yaml has no text in the field `apiVersion`"),
            ("name: 1", "Chart.yaml has no text in the field `name`"),
            (
                "apiVersion: v2\nname: x",
                "Chart.yaml has no text in the field `version`",
            ),
            (
                "apiVersion: v2\nversion: 1.0.0",
                "Chart.yaml has no text in the field `name`",
            ),
            (
                "apiVersion: v3",
                "Chart.yaml has the apiVersion `v3`; known are `v1` and `v2`",
            ),
            (
                "{apiVersion: v2, name: ../x, version: 1.0.0}",
                "Chart.yaml has the name `../x`, which is not letters, digits, `.`, `_` and `-`",
            ),
            (
                "{apiVersion: v2, name: x, version: latest}",
                "Chart.yaml has the version `latest`, which is not a semantic version",
            ),
            ("{", "Chart.yaml is not well-formed"),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }
}
