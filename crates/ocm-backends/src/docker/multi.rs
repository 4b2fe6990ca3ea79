//! The input `dockermulti`: images for several platforms as one.

use async_trait::async_trait;
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_oci::{ImageIndex, RawManifest};
use ocm_repository::Content;

use super::daemon::DockerDaemon;
use super::input::load;
use crate::assembled::Assembled;
use crate::image::reference_name;

/// The input `dockermulti`, with `variants` and `repository`.
///
/// `variants` are images as the input `docker` takes them, one for each platform. They become an
/// index, in their order, which says what each of them runs on. `repository` is the name under which
/// it may be uploaded, below that of the component unless it starts with `/`.
#[derive(Clone, Debug)]
pub struct DockerMultiInput {
    daemon: DockerDaemon,
}

impl DockerMultiInput {
    /// Asks the given daemon for what is no file.
    pub const fn new(daemon: DockerDaemon) -> Self {
        Self { daemon }
    }
}

#[async_trait]
impl InputMethod for DockerMultiInput {
    fn types(&self) -> &[&'static str] {
        &["dockermulti", "dockerMulti", "DockerMulti"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["variants", "repository"])?;
        let variants = input.list("variants")?;
        if variants.is_empty() {
            let reason = "must name one image for each platform in `variants`";
            return Err(InputError::unusable(input.place_of("variants"), reason));
        }
        let reference_name = reference_name(input, context, &context.name, None)?;
        let mut content = Assembled::new("an image for several platforms");
        let mut entries = Vec::new();
        for variant in &variants {
            let image = load(&self.daemon, input, context, "variants", variant).await?;
            let mut entry = image.root;
            entry.platform =
                Some(image.platform).filter(|platform| !platform.architecture.is_empty());
            entries.push(entry);
            content.merge(image.content);
        }
        let index = RawManifest::index(&ImageIndex::new(entries));
        let root = index.descriptor();
        content.add_manifest(index);
        Ok(InputResult {
            reference_name: Some(reference_name),
            ..Content::Artifact(Box::new(content.artifact(root))).into()
        })
    }
}
