//! Repositories of component versions, as specification and as text.
//!
//! Users write `ghcr.io/acme`, `./archive` or `ctf::archive.tgz`, configuration files write
//! `{type: OCIRepository/v1, baseUrl: ghcr.io}`. Both become a [`RepositorySpec`]. Whether a text
//! means a registry or an archive is decided by the rules of the Go implementation; beyond these,
//! what exists as a local path is an archive. Looking is left to the caller.

mod guess;
mod oci;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use self::oci::{BaseUrl, OciRepository, ParseBaseUrlError, Scheme};
use crate::json;
use crate::type_name::TypeName;
use crate::typed::{FieldError, TypedSpec};

pub(crate) use self::guess::is_windows_path;
pub(crate) use self::oci::split_scheme;

/// Where component versions are.
///
/// ```
/// use ocm_model::RepositorySpec;
///
/// let registry: RepositorySpec = "https://ghcr.io/acme/components".parse()?;
/// let RepositorySpec::Oci(registry) = registry else { panic!() };
/// assert_eq!(registry.base_url.to_string(), "https://ghcr.io");
/// assert_eq!(registry.sub_path, "acme/components");
///
/// let archive = RepositorySpec::parse("archive.d", |path| path == "archive.d")?;
/// assert!(matches!(archive, RepositorySpec::Ctf(_)));
/// # Ok::<(), ocm_model::repository::ParseRepositoryError>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "TypedSpec", into = "TypedSpec")]
#[non_exhaustive]
pub enum RepositorySpec {
    /// A part of an OCI registry.
    Oci(OciRepository),
    /// An archive in the common transport format.
    Ctf(CtfRepository),
    /// An archive of one component version, as the first Go implementation made them.
    ComponentArchive(ComponentArchiveRepository),
    /// A type that is not known here, kept whole.
    Other(TypedSpec),
}

impl RepositorySpec {
    /// Parses `[type::]location`, or a specification in JSON. `exists` tells whether a text is the
    /// path of an existing file or directory.
    ///
    /// Of the first Go implementation come `+` before all else, which asks to create the
    /// archive, and a format in the type, as in `ctf+tgz::path` or `tgz::path`.
    ///
    /// # Errors
    ///
    /// The type is not known or the location is malformed.
    pub fn parse(text: &str, exists: impl Fn(&str) -> bool) -> Result<Self, ParseRepositoryError> {
        let (create, text) = split_create(text);
        let (kind, location) = split_type(text);
        Ok(Self::of(kind, location, &exists)?.create_if(create))
    }

    pub(crate) fn create_if(mut self, create: bool) -> Self {
        if let (true, Self::Ctf(ctf)) = (create, &mut self) {
            ctf.access_mode = Some(AccessMode::Create);
        }
        self
    }

    pub(crate) fn of(
        kind: Option<&str>,
        location: &str,
        exists: &dyn Fn(&str) -> bool,
    ) -> Result<Self, ParseRepositoryError> {
        if without_scheme(location).is_empty() {
            return Err(ParseRepositoryError::Empty);
        }
        if kind.is_none() && location.starts_with('{') {
            let spec = TypedSpec::from_json(json::parse(location.as_bytes())?)?;
            return spec.try_into();
        }
        match kind.map_or_else(|| Ok(guess::guess(location, exists)), Kind::of)? {
            Kind::Oci => Ok(Self::Oci(location.parse()?)),
            Kind::Ctf(format) => Ok(Self::Ctf(CtfRepository {
                path: without_scheme(location).to_owned(),
                format,
                access_mode: None,
            })),
            Kind::ComponentArchive(format) => {
                Ok(Self::ComponentArchive(ComponentArchiveRepository {
                    path: without_scheme(location).to_owned(),
                    format,
                }))
            }
        }
    }

    /// Returns the specification as an object.
    pub fn to_spec(&self) -> TypedSpec {
        match self {
            Self::Oci(oci) => {
                let sub_path = (!oci.sub_path.is_empty()).then_some(oci.sub_path.as_str());
                TypedSpec::new("OCIRepository/v1")
                    .with("baseUrl", oci.base_url.to_string())
                    .with_some("subPath", sub_path)
                    .with_some(
                        "componentNameMapping",
                        oci.component_name_mapping.as_deref(),
                    )
            }
            Self::Ctf(ctf) => TypedSpec::new("CommonTransportFormat/v1")
                .with("filePath", ctf.path.as_str())
                .with_some("fileFormat", ctf.format.map(CtfFormat::as_str))
                .with_some("accessMode", ctf.access_mode.map(AccessMode::as_str)),
            Self::ComponentArchive(archive) => TypedSpec::new("ComponentArchive/v1")
                .with("filePath", archive.path.as_str())
                .with_some("fileFormat", archive.format.map(CtfFormat::as_str)),
            Self::Other(spec) => spec.clone(),
        }
    }
}

fn without_scheme(path: &str) -> &str {
    path.strip_prefix("file://").unwrap_or(path)
}

/// Cuts off the `+` that asks to create an archive.
pub(crate) fn split_create(text: &str) -> (bool, &str) {
    match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// Cuts `type::` off. Colons in brackets and braces belong to the location.
pub(crate) fn split_type(text: &str) -> (Option<&str>, &str) {
    match text.split_once("::") {
        Some((kind, location)) if !kind.contains(['[', '{']) => (Some(kind), location),
        _ => (None, text),
    }
}

/// What a text means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Oci,
    Ctf(Option<CtfFormat>),
    ComponentArchive(Option<CtfFormat>),
}

impl Kind {
    /// Looks a type up among all names of registries and archives.
    fn of(name: &str) -> Result<Self, ParseRepositoryError> {
        let (plain, format) = match name.split_once('+') {
            Some((plain, format)) => (plain, Some(format)),
            None => (name, None),
        };
        let unknown = || ParseRepositoryError::UnknownType {
            name: name.to_owned(),
        };
        let kind = Self::of_type(plain)
            .or_else(|| CtfFormat::of(plain).map(|format| Self::Ctf(Some(format))))
            .ok_or_else(unknown)?;
        let Some(format) = format else {
            return Ok(kind);
        };
        let format = Some(CtfFormat::of(format).ok_or_else(unknown)?);
        match kind {
            Self::Ctf(None) => Ok(Self::Ctf(format)),
            Self::ComponentArchive(None) => Ok(Self::ComponentArchive(format)),
            _ => Err(unknown()),
        }
    }

    fn of_type(name: &str) -> Option<Self> {
        let name: TypeName = name.parse().ok()?;
        if !matches!(name.version(), None | Some("v1")) {
            return None;
        }
        match name.name() {
            "OCIRepository" | "OCI" | "oci" | "OCIRegistry" | "ociRegistry" => Some(Self::Oci),
            "CommonTransportFormat" | "CTF" | "ctf" => Some(Self::Ctf(None)),
            "ComponentArchive" | "ca" => Some(Self::ComponentArchive(None)),
            _ => None,
        }
    }
}

/// An archive in the common transport format.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CtfRepository {
    /// The path, as it was written.
    pub path: String,
    /// The format, if it was named.
    pub format: Option<CtfFormat>,
    /// What may be done with it, if that was said.
    pub access_mode: Option<AccessMode>,
}

impl CtfRepository {
    /// Returns an archive whose format is told by its name.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            format: None,
            access_mode: None,
        }
    }

    /// Returns whether a format was named that the file name does not tell.
    pub fn is_format_named(&self) -> bool {
        self.format
            .is_some_and(|format| format != CtfFormat::of_path(&self.path))
    }

    /// Returns the format that was named, or that the file name tells.
    pub fn format(&self) -> CtfFormat {
        self.format
            .unwrap_or_else(|| CtfFormat::of_path(&self.path))
    }
}

/// An archive of one component version: its descriptor, and its local blobs as files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ComponentArchiveRepository {
    /// The path, as it was written.
    pub path: String,
    /// The format, if it was named. What the archive is, its content tells.
    pub format: Option<CtfFormat>,
}

impl ComponentArchiveRepository {
    /// Returns the archive at a path.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            format: None,
        }
    }
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CtfFormat {
    /// As a directory.
    Directory,
    /// As a tar file.
    Tar,
    /// As a tar file that is compressed with gzip.
    Tgz,
}

impl CtfFormat {
    /// Returns the name, such as `tgz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Tar => "tar",
            Self::Tgz => "tgz",
        }
    }

    /// Returns the format that a file name tells: `.tar`, `.tgz`, `.tar.gz`, anything else being a
    /// directory.
    pub fn of_path(path: &str) -> Self {
        let path = path.to_ascii_lowercase();
        let formats = [
            (".tgz", Self::Tgz),
            (".tar.gz", Self::Tgz),
            (".tar", Self::Tar),
        ];
        let known = formats
            .into_iter()
            .find(|(suffix, _)| path.ends_with(suffix));
        known.map_or(Self::Directory, |(_, format)| format)
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Directory, Self::Tar, Self::Tgz]
            .into_iter()
            .find(|format| format.as_str() == name)
    }
}

/// What may be done with an archive; each mode allows what those before it allow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AccessMode {
    /// Reading.
    ReadOnly,
    /// Writing, if it exists.
    ReadWrite,
    /// Making it.
    Create,
}

impl AccessMode {
    /// Returns the text in specifications.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readonly",
            Self::ReadWrite => "readwrite",
            Self::Create => "readwrite|create",
        }
    }

    /// Reads names joined by `|`, or the number that the second Go implementation uses.
    fn from_json(value: &Value) -> Option<Self> {
        let one = |name: &str| match name.trim() {
            "readonly" => Some(Self::ReadOnly),
            "readwrite" => Some(Self::ReadWrite),
            "create" => Some(Self::Create),
            _ => None,
        };
        match value {
            Value::String(text) => {
                let modes: Option<Vec<Self>> = text.split('|').map(one).collect();
                modes?.into_iter().max()
            }
            Value::Number(number) => match number.as_u64()? {
                0 => Some(Self::ReadOnly),
                1 => Some(Self::ReadWrite),
                2 => Some(Self::Create),
                _ => None,
            },
            _ => None,
        }
    }
}

impl FromStr for RepositorySpec {
    type Err = ParseRepositoryError;

    /// Parses as if no local path existed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, |_| false)
    }
}

impl fmt::Display for RepositorySpec {
    /// Writes what [`RepositorySpec::parse`] reads, with a type only where it is needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, location) = match self {
            // No location says this.
            Self::Oci(oci) if oci.component_name_mapping.is_some() => {
                return write_json(&self.to_spec(), f);
            }
            Self::Ctf(ctf) if !matches!(ctf.access_mode, None | Some(AccessMode::Create)) => {
                return write_json(&self.to_spec(), f);
            }
            Self::Oci(oci) => ("oci", oci.to_string()),
            Self::Ctf(ctf) if ctf.path.starts_with("file://") => {
                ("ctf", format!("file://{}", ctf.path))
            }
            Self::Ctf(ctf) => ("ctf", ctf.path.clone()),
            Self::ComponentArchive(archive) => {
                // A path that starts as a scheme does would lose it when it is read again.
                let scheme = if archive.path.starts_with("file://") {
                    "file://"
                } else {
                    ""
                };
                let format = archive.format.map(|format| format!("+{}", format.as_str()));
                let format = format.unwrap_or_default();
                return write!(f, "ca{format}::{scheme}{}", archive.path);
            }
            Self::Other(spec) => return write_json(spec, f),
        };
        if let Self::Ctf(ctf) = self {
            if ctf.access_mode == Some(AccessMode::Create) {
                f.write_str("+")?;
            }
            if let Some(format) = ctf.format {
                return write!(f, "ctf+{}::{location}", format.as_str());
            }
        }
        let is_told = match (location.parse(), self) {
            (Ok(Self::Oci(read)), Self::Oci(oci)) => read.to_string() == oci.to_string(),
            (Ok(Self::Ctf(read)), Self::Ctf(ctf)) => read == CtfRepository::new(&ctf.path),
            _ => false,
        };
        if !is_told {
            write!(f, "{kind}::")?;
        }
        f.write_str(&location)
    }
}

fn write_json(spec: &TypedSpec, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bytes = json::compact(&Value::Object(spec.as_json().clone()));
    f.write_str(&String::from_utf8_lossy(&bytes))
}

impl TryFrom<TypedSpec> for RepositorySpec {
    type Error = ParseRepositoryError;

    fn try_from(spec: TypedSpec) -> Result<Self, Self::Error> {
        match Kind::of_type(spec.type_text()) {
            Some(Kind::Oci) => OciRepository::read(&spec).map(Self::Oci),
            Some(Kind::ComponentArchive(_)) => {
                let path = spec.required_text("filePath")?;
                let format = spec.text("fileFormat")?;
                Ok(Self::ComponentArchive(ComponentArchiveRepository {
                    path: without_scheme(&path).to_owned(),
                    format: format.as_deref().and_then(CtfFormat::of),
                }))
            }
            Some(Kind::Ctf(_)) => {
                let path = spec.required_text("filePath")?;
                let format = spec.text("fileFormat")?;
                let access_mode = match spec.field("accessMode") {
                    None => None,
                    Some(value) => Some(
                        AccessMode::from_json(value)
                            .ok_or_else(|| spec.invalid("accessMode", &"it is no access mode"))?,
                    ),
                };
                Ok(Self::Ctf(CtfRepository {
                    path: without_scheme(&path).to_owned(),
                    format: format.as_deref().and_then(CtfFormat::of),
                    access_mode,
                }))
            }
            None => Ok(Self::Other(spec)),
        }
    }
}

impl From<RepositorySpec> for TypedSpec {
    fn from(spec: RepositorySpec) -> Self {
        spec.to_spec()
    }
}

/// Why a text or an object is no repository.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ParseRepositoryError {
    /// There is no location.
    #[error("repository has no location")]
    Empty,
    /// The type before `::` is not known.
    #[error("repository type `{name}` is not known; known are `oci`, `ctf` and `ca`")]
    UnknownType { name: String },
    /// The location of a registry is malformed.
    #[error(transparent)]
    BaseUrl(#[from] ParseBaseUrlError),
    /// What starts with a brace is no JSON.
    #[error("repository specification is not well-formed JSON")]
    Json(#[from] json::Error),
    /// A field of the specification cannot be used.
    #[error("repository specification cannot be used")]
    Field(#[from] FieldError),
}

#[cfg(test)]
mod tests;
