//! Inputs: where the content of resources and sources comes from that becomes local blobs.
//!
//! An [`InputMethod`] turns a specification of a constructor file into content. Those that need
//! nothing but files are here: `file`, `dir`, `utf8` and `binary`; others are added to
//! [`InputMethods`] by whoever has them.

mod binary;
mod dir;
mod file;
mod utf8;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ocm_model::typed::FieldError;
use ocm_model::{Access, ComponentVersionId, ElementKind, TypeName, Version};
use ocm_repository::Content;

pub use self::binary::BinaryInput;
pub use self::dir::DirInput;
pub use self::file::FileInput;
pub use self::utf8::Utf8Input;
use crate::constructor::InputSpec;
use crate::place::Place;
use crate::reader::{listed, nearest};

/// Turns input specifications of some types into content.
#[async_trait]
pub trait InputMethod: fmt::Debug + Send + Sync {
    /// Returns the names of the types, without versions, the preferred one first.
    fn types(&self) -> &[&'static str];

    /// Returns the content that a specification asks for. Large content is not read before it is
    /// opened.
    ///
    /// # Errors
    ///
    /// The specification is malformed, or what it names is not there.
    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError>;

    /// Returns the size of the content in bytes, if that is known without much work, for those who
    /// want to know how much there is to do. By default it is not.
    async fn size(&self, input: &InputSpec, context: &InputContext) -> Option<u64> {
        let _ = (input, context);
        None
    }
}

/// For which element an input is processed, and what it may use.
#[derive(Clone, Debug)]
pub struct InputContext {
    /// The component version that is being made.
    pub component: ComponentVersionId,
    /// Which list the element is in.
    pub kind: ElementKind,
    /// The name of the element.
    pub name: String,
    /// The version of the element.
    pub version: Version,
    /// The directory that relative paths start at, and that no path leaves.
    pub directory: PathBuf,
}

/// What an input has become.
#[derive(Clone, Debug)]
pub struct InputResult {
    /// The content, or an access to it where the method has put it somewhere itself.
    pub produced: Produced,
    /// A name under which the content may be uploaded elsewhere, such as `charts/notes:1.0.0`.
    pub reference_name: Option<String>,
    /// What its user should know.
    pub warnings: Vec<String>,
}

/// What an input method hands over.
#[derive(Clone, Debug)]
pub enum Produced {
    /// Content that is to become a local blob. A blob has a media type.
    Content(Content),
    /// An access to content that stands somewhere already.
    Access(Access),
}

impl From<Content> for InputResult {
    fn from(content: Content) -> Self {
        Self {
            produced: Produced::Content(content),
            reference_name: None,
            warnings: Vec::new(),
        }
    }
}

/// All input methods that a program has.
///
/// ```
/// use ocm_constructor::input::InputMethods;
///
/// let inputs = InputMethods::files();
/// assert_eq!(inputs.types(), ["file", "dir", "utf8", "binary"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct InputMethods(Vec<Arc<dyn InputMethod>>);

impl InputMethods {
    /// Returns an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the methods of this crate: `file`, `dir`, `utf8`, `binary`.
    pub fn files() -> Self {
        Self::new()
            .with(FileInput)
            .with(DirInput)
            .with(Utf8Input)
            .with(BinaryInput)
    }

    /// Adds a method behind those that are there.
    #[must_use]
    pub fn with(mut self, method: impl InputMethod + 'static) -> Self {
        self.0.push(Arc::new(method));
        self
    }

    /// Returns the preferred names of all types.
    pub fn types(&self) -> Vec<&'static str> {
        let first = |method: &Arc<dyn InputMethod>| method.types().first().copied();
        self.0.iter().filter_map(first).collect()
    }

    /// Finds the method for a specification.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn method(&self, input: &InputSpec) -> Result<&dyn InputMethod, InputError> {
        let text = input.spec.type_text();
        let name = text.parse::<TypeName>().ok();
        let name = name.filter(|name| matches!(name.version(), None | Some("v1")));
        let handles = |method: &&Arc<dyn InputMethod>| {
            name.as_ref()
                .is_some_and(|name| method.types().contains(&name.name()))
        };
        if let Some(method) = self.0.iter().find(handles) {
            return Ok(method.as_ref());
        }
        if name.is_some_and(|name| name.name() == "spiff") {
            let reason = "input type `spiff` is not supported; process the template with spiff \
                          before, and take its output by `file` or `utf8`";
            return Err(InputError::unusable(input.place_of("type"), reason));
        }
        let known = self.types();
        let hint = match nearest(text, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(&known)),
        };
        let reason = format!("input type `{text}` is not known; {hint}");
        Err(InputError::unusable(input.place_of("type"), reason))
    }
}

impl InputSpec {
    /// Refuses fields that a type does not have. `type` need not be given.
    ///
    /// # Errors
    ///
    /// There is another field.
    pub fn check_fields(&self, known: &[&str]) -> Result<(), InputError> {
        let mut keys = self.spec.as_json().keys();
        let Some(other) = keys.find(|key| *key != "type" && !known.contains(&key.as_str())) else {
            return Ok(());
        };
        let hint = match nearest(other, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(known)),
        };
        let reason = format!("is not a field of `{}`; {hint}", self.spec.type_text());
        Err(InputError::unusable(self.place_of(other), reason))
    }

    /// Returns the text in a field.
    ///
    /// # Errors
    ///
    /// The field has another type.
    pub fn text(&self, field: &str) -> Result<Option<String>, InputError> {
        self.spec
            .text(field)
            .map_err(|error| self.field_error(&error))
    }

    /// Returns the text in a field that must be there and not be empty.
    ///
    /// # Errors
    ///
    /// The field is missing, empty, or has another type.
    pub fn required_text(&self, field: &str) -> Result<String, InputError> {
        let text = self
            .spec
            .required_text(field)
            .map_err(|error| self.field_error(&error))?;
        if text.is_empty() {
            return Err(InputError::unusable(
                self.place_of(field),
                "must not be empty",
            ));
        }
        Ok(text)
    }

    /// Returns the flag in a field, `false` if it is absent.
    ///
    /// # Errors
    ///
    /// The field has another type.
    pub fn flag(&self, field: &str) -> Result<bool, InputError> {
        self.spec
            .flag(field)
            .map_err(|error| self.field_error(&error))
    }

    /// Returns the list of texts in a field, empty if it is absent.
    ///
    /// # Errors
    ///
    /// The field has another type.
    pub fn list(&self, field: &str) -> Result<Vec<String>, InputError> {
        let Some(value) = self.spec.field(field) else {
            return Ok(Vec::new());
        };
        let texts = value.as_array().and_then(|items| {
            let text = |item: &serde_json::Value| item.as_str().map(str::to_owned);
            items.iter().map(text).collect()
        });
        texts.ok_or_else(|| InputError::unusable(self.place_of(field), "must be a list of texts"))
    }

    /// Gives an error about a field its place.
    pub fn field_error(&self, error: &FieldError) -> InputError {
        InputError::unusable(self.place_of(&error.field), error.to_string())
    }
}

impl InputContext {
    /// Finds the file or directory that a path of an input names.
    ///
    /// The result is absolute and has no symbolic links; it stands in [`InputContext::directory`].
    ///
    /// # Errors
    ///
    /// There is no such file, or it stands elsewhere.
    pub async fn resolve(
        &self,
        input: &InputSpec,
        field: &str,
        path: &str,
    ) -> Result<PathBuf, InputError> {
        let base = canonical(&self.directory, input, field).await?;
        let found = canonical(&self.directory.join(path), input, field).await?;
        if found.starts_with(&base) {
            return Ok(found);
        }
        Err(InputError::Outside {
            place: input.place_of(field),
            path: PathBuf::from(path),
            directory: self.directory.clone(),
        })
    }
}

async fn canonical(path: &Path, input: &InputSpec, field: &str) -> Result<PathBuf, InputError> {
    tokio::fs::canonicalize(path)
        .await
        .map_err(|source| InputError::File {
            place: input.place_of(field),
            action: "open",
            path: path.to_owned(),
            source,
        })
}

/// Why an input could not be processed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum InputError {
    /// The specification, or what it names, cannot be used.
    #[error("{place}: {reason}")]
    Unusable { place: Place, reason: String },
    /// A file could not be read.
    #[error("{place}: cannot {action} {path}", path = path.display())]
    File {
        place: Place,
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A path leads out of the directory that inputs are confined to.
    #[error(
        "{place}: {path} is not inside of {directory}",
        path = path.display(),
        directory = directory.display()
    )]
    Outside {
        place: Place,
        path: PathBuf,
        directory: PathBuf,
    },
    /// What the content comes from has failed; its own error is the source.
    #[error("{place}: cannot {action} {what}")]
    Backend {
        place: Place,
        action: &'static str,
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl InputError {
    /// Says that a specification, or what it names, cannot be used.
    pub fn unusable(place: Place, reason: impl Into<String>) -> Self {
        Self::Unusable {
            place,
            reason: reason.into(),
        }
    }

    /// Wraps the error of what the content comes from.
    pub fn backend(
        place: Place,
        action: &'static str,
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Backend {
            place,
            action,
            what: what.into(),
            source: source.into(),
        }
    }
}
