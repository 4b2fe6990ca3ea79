//! Input `ociArtifact`: an artifact of a registry becomes a local blob.

mod name;
mod platform;

use std::sync::Arc;

use async_trait::async_trait;
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_oci::Tag;
use ocm_repository::{Artifact, Content};

pub(crate) use self::name::{image_reference, reference_name};
use self::platform::{PlatformFilter, select};
use crate::access::StoreProvider;

/// The input `ociArtifact`, once `ociImage`, with `path`, `repository` and `platforms`.
///
/// `path` is the name of the artifact as `docker` and Podman write it; a name without tag and
/// digest means the version of the component. `platforms`, such as `linux/amd64`, chooses from an
/// index; the artifact then has another digest, that of the smaller index, or of the one image that
/// is left. `repository` is the name
/// under which the artifact may be uploaded, below that of the component unless it starts with `/`.
#[derive(Clone, Debug)]
pub struct OciArtifactInput {
    stores: Arc<dyn StoreProvider>,
}

impl OciArtifactInput {
    /// Reaches registries by the given provider.
    pub const fn new(stores: Arc<dyn StoreProvider>) -> Self {
        Self { stores }
    }
}

#[async_trait]
impl InputMethod for OciArtifactInput {
    fn types(&self) -> &[&'static str] {
        &["ociArtifact", "OCIArtifact", "ociImage", "OCIImage"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["path", "repository", "platforms"])?;
        let path = input.required_text("path")?;
        let filter = platforms(input)?;
        let mut image = image_reference(input, &path)?;
        if image.reference().is_none() {
            let tag = context
                .component
                .version
                .to_tag()
                .parse::<Tag>()
                .map_err(|error| {
                    let reason = format!("has no tag, and the version cannot be one: {error}");
                    InputError::unusable(input.place_of("path"), reason)
                })?;
            image.tag = Some(tag);
        }
        let tag = image.tag.as_ref().map(Tag::as_str);
        let reference_name = reference_name(input, context, &context.name, tag)?;
        let found = async {
            let store = self.stores.store(&image).await?;
            let reference = image
                .reference()
                .ok_or_else(|| ocm_oci::Error::not_found(image.to_string()))?;
            let root = store.resolve(&image.repository, &reference).await?;
            let artifact = Artifact {
                store,
                repository: image.repository.clone(),
                root: root.plain(),
            };
            select(artifact, &filter).await
        };
        let artifact = found.await.map_err(|source| {
            InputError::backend(input.place_of("path"), "read", image.to_string(), source)
        })?;
        Ok(InputResult {
            reference_name: Some(reference_name),
            ..Content::Artifact(Box::new(artifact)).into()
        })
    }
}

fn platforms(input: &InputSpec) -> Result<Vec<PlatformFilter>, InputError> {
    let parse = |text: &String| {
        PlatformFilter::parse(text).ok_or_else(|| {
            let reason = format!("`{text}` is not a platform such as `linux/amd64`");
            InputError::unusable(input.place_of("platforms"), reason)
        })
    };
    input.list("platforms")?.iter().map(parse).collect()
}
