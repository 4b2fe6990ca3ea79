//! `toOCI`: an artifact in a registry, taken apart.

use cel::Value as CelValue;
use ocm_digest::Digest;
use ocm_model::access::AccessKind;
use ocm_model::{Access, RepositorySpec, TypedSpec};
use serde_json::Value;

use crate::convert::{from_entries, to_json};

/// A reference to an artifact, in parts. Those that a text does not have are empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OciReference {
    /// The registry, with its port.
    pub registry: String,
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The digest.
    pub digest: String,
}

impl OciReference {
    /// Parses `[scheme://][registry/]repository[:tag][@digest]`, or a digest alone.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |reason: &str| format!("`{text}` is no OCI reference: {reason}");
        let rest = match text.split_once("://") {
            Some(("oci" | "http" | "https", rest)) if !rest.is_empty() => rest,
            Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => {
                return Err(refuse("its scheme is none of http, https and oci"));
            }
            _ => text,
        };
        let (registry, path) = rest.split_once('/').unwrap_or(("", rest));
        if registry.is_empty() && path.parse::<Digest>().is_ok() {
            return Ok(Self {
                digest: path.to_owned(),
                ..Self::default()
            });
        }
        let (path, digest) = path.split_once('@').unwrap_or((path, ""));
        let (repository, tag) = path.split_once(':').unwrap_or((path, ""));
        if !digest.is_empty() && digest.parse::<Digest>().is_err() {
            return Err(refuse("its digest is malformed"));
        }
        if !tag.is_empty() && !is_tag(tag) {
            return Err(refuse("its tag is malformed"));
        }
        if !registry.is_empty() && !is_registry(registry) {
            return Err(refuse("its registry is malformed"));
        }
        if !repository.is_empty() && !is_repository(repository) {
            return Err(refuse("its repository is malformed"));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
        })
    }

    /// The host to connect to: Docker's registry has another one than its name says.
    fn host(&self) -> &str {
        if self.registry == "docker.io" {
            "registry-1.docker.io"
        } else {
            &self.registry
        }
    }

    /// Tag and digest, whichever there are: `tag@digest`.
    fn reference(&self) -> String {
        match (self.tag.as_str(), self.digest.as_str()) {
            ("", digest) => digest.to_owned(),
            (tag, "") => tag.to_owned(),
            (tag, digest) => format!("{tag}@{digest}"),
        }
    }

    fn to_value(&self) -> CelValue {
        let entries = [
            ("host", self.host()),
            ("registry", self.host()),
            ("repository", self.repository.as_str()),
            ("tag", self.tag.as_str()),
            ("digest", self.digest.as_str()),
            ("reference", &self.reference()),
        ];
        from_entries(
            entries
                .into_iter()
                .map(|(key, text)| (key, CelValue::from(text))),
        )
    }
}

/// The function: from a text, or an access that leads to an artifact.
pub(crate) fn to_oci(
    value: &CelValue,
    component: &str,
    repository: &Value,
) -> Result<CelValue, String> {
    let reference = match value {
        CelValue::String(text) => OciReference::parse(text)?,
        CelValue::Map(_) => {
            let access = to_json(value).map_err(|error| error.to_string())?;
            of_access(access, component, repository)?
        }
        other => {
            return Err(format!(
                "expected string or map with OCIImage or localBlob access, got {}",
                other.type_of()
            ));
        }
    };
    Ok(reference.to_value())
}

fn of_access(access: Value, component: &str, repository: &Value) -> Result<OciReference, String> {
    let image = access
        .get("imageReference")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let kind = Access::from_json(access).and_then(|access| access.kind());
    match (kind, image) {
        (Ok(AccessKind::OciImage(image)), _) => OciReference::parse(&image.image_reference),
        (Ok(AccessKind::LocalBlob(blob)), _) => {
            of_local_blob(&blob.local_reference, component, repository)
        }
        // A map with an image reference counts, whatever else is in it.
        (_, Some(image)) => OciReference::parse(&image),
        (Err(error), None) => Err(error.to_string()),
        (Ok(_), None) => Err(
            "expected map with OCIImage access (imageReference) or localBlob \
             access (localReference) or imageReference field"
                .to_owned(),
        ),
    }
}

/// A local blob that is an artifact can be pulled from where the descriptor is.
fn of_local_blob(
    local_reference: &str,
    component: &str,
    repository: &Value,
) -> Result<OciReference, String> {
    let failed = |error: &dyn std::fmt::Display| format!("repository specification: {error}");
    let spec = TypedSpec::from_json(repository.clone()).map_err(|error| failed(&error))?;
    let spec = RepositorySpec::try_from(spec).map_err(|error| failed(&error))?;
    let RepositorySpec::Oci(oci) = spec else {
        return Err("a local blob can be pulled only if its repository is an OCI registry".into());
    };
    let component = component.parse().map_err(|error| failed(&error))?;
    let digest: Digest = local_reference
        .parse()
        .map_err(|_| format!("local reference `{local_reference}` is no digest"))?;
    Ok(OciReference {
        registry: oci.base_url.authority(),
        repository: oci.component_repository(&component),
        tag: String::new(),
        digest: digest.to_string(),
    })
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || b".-".contains(&byte))
}

fn is_registry(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

/// Lower-case parts, with `.`, `_`, `__` or dashes inside of each.
fn is_repository(text: &str) -> bool {
    text.split('/').all(|part| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        bytes.first().is_some_and(|first| is_plain(*first))
            && bytes.last().is_some_and(|last| is_plain(*last))
            && bytes
                .iter()
                .all(|byte| is_plain(*byte) || b"._-".contains(byte))
    })
}
