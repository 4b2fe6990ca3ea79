//! The names of images: as users write them, and as artifacts are called once they are uploaded.

use ocm_constructor::input::InputError;
use ocm_constructor::{InputContext, InputSpec};
use ocm_oci::{ImageReference, RepositoryName};

/// The registry of names that do not say theirs.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Reads the name of an image in the field `path`, as `docker pull` does: what starts with no host
/// is on Docker Hub, and a single word there is one of its official images.
pub(crate) fn image_reference(input: &InputSpec, text: &str) -> Result<ImageReference, InputError> {
    qualified(text).parse().map_err(|error| {
        let reason = format!("`{text}` is not the name of an image: {error}");
        InputError::unusable(input.place_of("path"), reason)
    })
}

fn qualified(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
    match text.split_once('/') {
        Some((first, _)) if is_host(first) => text.to_owned(),
        Some(_) => format!("{DEFAULT_REGISTRY}/{text}"),
        None => format!("{DEFAULT_REGISTRY}/library/{text}"),
    }
}

/// Returns the name under which an artifact may be uploaded: the field `repository`, or `default`;
/// below the name of the component unless it starts with `/`. Its tag is that of the artifact, or
/// the version of the component where that would be none or `latest`.
pub(crate) fn reference_name(
    input: &InputSpec,
    context: &InputContext,
    default: &str,
    tag: Option<&str>,
) -> Result<String, InputError> {
    let given = input.text("repository")?.filter(|text| !text.is_empty());
    let repository = match given.as_deref().unwrap_or(default) {
        absolute if absolute.starts_with('/') => absolute[1..].to_owned(),
        relative => format!("{}/{relative}", context.component.name),
    };
    if given.is_some() {
        repository.parse::<RepositoryName>().map_err(|error| {
            InputError::unusable(input.place_of("repository"), error.to_string())
        })?;
    }
    let tag = tag.filter(|tag| *tag != "latest").map(str::to_owned);
    let tag = tag.unwrap_or_else(|| context.component.version.to_tag());
    Ok(format!("{repository}:{tag}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_host_are_those_of_docker_hub() {
        for (text, expected) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3", "docker.io/library/alpine:3"),
            ("acme/notes:1", "docker.io/acme/notes:1"),
            ("ghcr.io/acme/notes", "ghcr.io/acme/notes"),
            ("localhost/x", "localhost/x"),
            ("reg:5000/x", "reg:5000/x"),
            ("http://reg/x:1", "http://reg/x:1"),
        ] {
            assert_eq!(qualified(text), expected, "{text}");
        }
    }
}
