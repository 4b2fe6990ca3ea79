//! The input `git`.

use async_trait::async_trait;
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_repository::Content;

use super::GitSource;
use super::address::Address;
use super::fetch::Wanted;

/// The input `git`, with `repository`, `ref` and `commit`.
///
/// `repository` is what `git clone` takes; a path is relative to the directory of the constructor
/// file, and inside of it. Without `commit` it is the one that the branch or tag `ref` is at, without
/// both the one that the repository says.
#[derive(Clone, Debug)]
pub struct GitInput {
    source: GitSource,
}

impl GitInput {
    /// Reaches repositories by the given source.
    pub const fn new(source: GitSource) -> Self {
        Self { source }
    }
}

#[async_trait]
impl InputMethod for GitInput {
    fn types(&self) -> &[&'static str] {
        &["git", "Git"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["repository", "ref", "commit"])?;
        let text = input.required_text("repository")?;
        let place = || input.place_of("repository");
        let address = Address::parse(&text)
            .map_err(|error| InputError::unusable(place(), error.to_string()))?;
        let address = match address.local() {
            Some(path) if !text.starts_with("file:") => {
                let path = path.to_string_lossy();
                Address::Local(context.resolve(input, "repository", &path).await?)
            }
            _ => address,
        };
        let (reference, commit) = (input.text("ref")?, input.text("commit")?);
        let wanted = Wanted::new(reference.as_deref(), commit.as_deref()).map_err(|error| {
            let field = if commit.is_some() { "commit" } else { "ref" };
            InputError::unusable(input.place_of(field), error.to_string())
        })?;
        let tree = self.source.tree(&address, &wanted).await;
        let tree = tree.map_err(|source| {
            InputError::backend(place(), "read", format!("{wanted} of {address}"), source)
        })?;
        Ok(Content::Blob(tree).into())
    }
}
