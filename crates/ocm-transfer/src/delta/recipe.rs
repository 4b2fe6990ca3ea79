//! How a blob is put together from ranges of other blobs and new bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocm_blob::{BlobRef, MemoryBlob, collect};
use ocm_digest::Digest;
use ocm_oci::{
    Descriptor, Document, EMPTY_CONFIG, Error, ImageManifest, RawManifest, RepositoryName,
    StoreRef, Tag, media_type,
};
use serde::{Deserialize, Serialize};

use super::chunks::LARGEST_BLOB;
use super::state::{StateError, check_type};

/// The media type of a recipe, and the type of the artifact that holds it.
const MEDIA_TYPE: &str = "application/vnd.ocm.software.recipe.v1alpha1+json";

/// The media type of new bytes.
const NEW_BYTES: &str = "application/octet-stream";

/// How a blob is put together.
///
/// ```json
/// {
///   "type": "recipe.ocm.software/v1alpha1",
///   "size": 5000,
///   "sources": ["sha256:…"],
///   "steps": [{"copy": [0, 65536, 4000]}, {"new": 1000}]
/// }
/// ```
///
/// It is the first layer of an artifact in the delta archive. The others are the new bytes, one
/// after the other.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recipe {
    /// Always [`Recipe::TYPE`].
    pub r#type: String,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The blobs of which there are ranges in it.
    pub sources: Vec<Digest>,
    /// Where its bytes come from, in their order.
    pub steps: Vec<RecipeStep>,
}

/// Where the next bytes of a blob come from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RecipeStep {
    /// From a source, by its number, from an offset on, and how many.
    Copy(u32, u64, u64),
    /// The next ones of the new bytes, and how many.
    New(u64),
}

impl RecipeStep {
    /// Returns the number of bytes.
    pub const fn size(self) -> u64 {
        let (Self::Copy(_, _, len) | Self::New(len)) = self;
        len
    }
}

impl Recipe {
    /// The type of the document.
    pub const TYPE: &str = "recipe.ocm.software/v1alpha1";

    /// The largest recipe that is read, in bytes.
    pub const LIMIT: u64 = 8 * 1024 * 1024;

    /// The most steps that are taken. Whoever writes a recipe takes the rest as new.
    pub const MOST_STEPS: usize = 100_000;

    /// Reads a recipe.
    ///
    /// # Errors
    ///
    /// The bytes are none, are too many, or contradict themselves.
    pub fn read(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() as u64 > Self::LIMIT {
            let reason = format!("it has more than {} bytes", Self::LIMIT);
            return Err(StateError::new(reason));
        }
        let recipe: Self =
            serde_json::from_slice(bytes).map_err(|error| StateError::new(error.to_string()))?;
        check_type(&recipe.r#type, Self::TYPE)?;
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), StateError> {
        if self.size > LARGEST_BLOB {
            let reason = format!("it makes more than {LARGEST_BLOB} bytes");
            return Err(StateError::new(reason));
        }
        if self.steps.len() > Self::MOST_STEPS + 1 {
            let reason = format!("it has {} steps", self.steps.len());
            return Err(StateError::new(reason));
        }
        let mut sum: u64 = 0;
        for step in &self.steps {
            if let RecipeStep::Copy(source, offset, len) = *step
                && (source as usize >= self.sources.len() || offset.checked_add(len).is_none())
            {
                let reason = format!("there is nothing to copy at {offset} of source {source}");
                return Err(StateError::new(reason));
            }
            if step.size() == 0 {
                return Err(StateError::new("it has a step of no bytes"));
            }
            sum = sum.saturating_add(step.size());
        }
        if sum != self.size {
            let reason = format!("its steps make {sum} bytes, not {}", self.size);
            return Err(StateError::new(reason));
        }
        Ok(())
    }

    /// Writes the recipe. The same recipe is the same bytes.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers can be written")
    }

    /// Returns how many new bytes it takes.
    pub fn new_bytes(&self) -> u64 {
        let new = |step: &RecipeStep| matches!(step, RecipeStep::New(_)).then_some(step.size());
        self.steps.iter().filter_map(new).sum()
    }

    /// Stores the recipe as an artifact whose other layers are the new bytes, which are there.
    /// Returns the digest of its manifest.
    pub(super) async fn store(
        &self,
        store: &StoreRef,
        (repository, tag): (&RepositoryName, &Tag),
        new_bytes: &[Descriptor],
    ) -> Result<Digest, Error> {
        let text = self.write();
        let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
        let mut layers = vec![Descriptor::of(MEDIA_TYPE, &text)];
        layers.extend_from_slice(new_bytes);
        let mut manifest = ImageManifest::new(config, layers);
        manifest.artifact_type = Some(MEDIA_TYPE.to_owned());
        let manifest = RawManifest::image(&manifest);
        for bytes in [EMPTY_CONFIG.to_vec(), text] {
            let blob: BlobRef = Arc::new(MemoryBlob::new(bytes));
            store.push_blob(repository, &blob).await?;
        }
        store
            .push_manifest(repository, &manifest, Some(tag))
            .await?;
        Ok(manifest.digest())
    }

    /// Reads the recipe of an artifact, and where its new bytes are.
    pub(super) async fn of(
        store: &StoreRef,
        repository: &RepositoryName,
        manifest: Digest,
    ) -> Result<(Self, Vec<Descriptor>), Error> {
        let what = || format!("recipe {manifest} of {}", store.location());
        let document = store
            .manifest(repository, &manifest.into())
            .await?
            .parse()?;
        let Document::Image(image) = document else {
            return Err(Error::malformed(what(), "it is an index"));
        };
        let mut layers = image.layers;
        let is_recipe = layers.first().is_some_and(|it| it.media_type == MEDIA_TYPE);
        if !is_recipe {
            return Err(Error::malformed(what(), "its first layer is none"));
        }
        let new_bytes = layers.split_off(1);
        let failed = |source| Error::blob("read", what(), source);
        let stream = store.blob(repository, &layers[0]).open().await;
        let bytes = collect(stream.map_err(failed)?, Self::LIMIT).await;
        let recipe = Self::read(&bytes.map_err(failed)?);
        let recipe = recipe.map_err(|error| Error::malformed(what(), error.to_string()))?;
        let there = new_bytes.iter().map(|layer| layer.size);
        let there = there.fold(0, u64::saturating_add);
        if there != recipe.new_bytes() {
            let reason = format!("it has {there} new bytes, not {}", recipe.new_bytes());
            return Err(Error::malformed(what(), reason));
        }
        Ok((recipe, new_bytes))
    }
}

/// Names new bytes.
pub(super) fn new_bytes(digest: Digest, size: u64) -> Descriptor {
    Descriptor::new(NEW_BYTES, digest, size)
}

/// A recipe that is being written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    sources: Vec<Digest>,
    numbers: BTreeMap<Digest, u32>,
    steps: Vec<RecipeStep>,
}

impl Draft {
    /// Adds new bytes.
    pub(super) fn add_new(&mut self, len: u64) {
        match self.steps.last_mut() {
            Some(RecipeStep::New(known)) => *known += len,
            _ => self.steps.push(RecipeStep::New(len)),
        }
    }

    /// Adds bytes of a source. Returns `false` if there is no room for another step.
    pub(super) fn add_copy(&mut self, source: Digest, at: u64, len: u64) -> bool {
        let number = self.numbers.get(&source).copied();
        if let (Some(RecipeStep::Copy(last, start, known)), Some(number)) =
            (self.steps.last_mut(), number)
            && *last == number
            && *start + *known == at
        {
            *known += len;
            return true;
        }
        if self.steps.len() >= Recipe::MOST_STEPS {
            return false;
        }
        let number = number.unwrap_or_else(|| {
            let number = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
            self.sources.push(source);
            self.numbers.insert(source, number);
            number
        });
        self.steps.push(RecipeStep::Copy(number, at, len));
        true
    }

    pub(super) fn finish(self) -> Recipe {
        let Self { sources, steps, .. } = self;
        Recipe {
            r#type: Recipe::TYPE.to_owned(),
            size: steps.iter().map(|step| step.size()).sum(),
            sources,
            steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        let (a, b) = (Digest::sha256("a"), Digest::sha256("b"));
        let mut draft = Draft::default();
        draft.add_new(5);
        draft.add_new(6);
        assert!(draft.add_copy(b, 100, 10));
        assert!(draft.add_copy(b, 110, 20));
        assert!(draft.add_copy(b, 0, 1));
        assert!(draft.add_copy(a, 1, 2));
        draft.finish()
    }

    #[test]
    fn a_recipe_reads_as_it_is_written() {
        let recipe = recipe();
        assert_eq!(
            recipe.steps,
            [
                RecipeStep::New(11),
                RecipeStep::Copy(0, 100, 30),
                RecipeStep::Copy(0, 0, 1),
                RecipeStep::Copy(1, 1, 2),
            ]
        );
        assert_eq!((recipe.size, recipe.new_bytes()), (44, 11));
        assert_eq!(Recipe::read(&recipe.write()).unwrap(), recipe);
    }

    #[test]
    fn recipes_that_are_none_are_refused() {
        let with = |change: &dyn Fn(&mut Recipe)| {
            let mut recipe = recipe();
            change(&mut recipe);
            Recipe::read(&recipe.write()).unwrap_err().to_string()
        };
        for (error, reason) in [
            (with(&|it| it.r#type = "x".to_owned()), "its type is `x`"),
            (with(&|it| it.size = 45), "44 bytes, not 45"),
            (with(&|it| it.size = u64::MAX), "more than"),
            (
                with(&|it| it.steps[1] = RecipeStep::Copy(2, 0, 30)),
                "source 2",
            ),
            (
                with(&|it| it.steps[1] = RecipeStep::Copy(0, u64::MAX, 30)),
                "nothing to copy",
            ),
            (with(&|it| it.steps[0] = RecipeStep::New(0)), "no bytes"),
            (
                with(&|it| it.steps = vec![RecipeStep::New(1); 100_002]),
                "100002 steps",
            ),
        ] {
            assert!(error.contains(reason), "{error}");
        }
        for text in ["", "[]", "{\"type\":\"recipe.ocm.software/v1alpha1\"}"] {
            assert!(Recipe::read(text.as_bytes()).is_err());
        }
    }
}
