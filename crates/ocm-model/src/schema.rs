//! What documents must look like, as tables. A table checks documents, and becomes a JSON schema:
//! both say the same, because there is nothing else that either is made of.
//!
//! ```
//! use ocm_model::schema::{self, Field, Object, Rule, Shape};
//!
//! const NOTE: Object = Object::closed(
//!     "note",
//!     "What somebody has written down",
//!     &[Field::required("text", Shape::Text(Rule::NonEmpty))],
//! );
//!
//! let document = serde_json::json!({"txt": "x"});
//! let found: Vec<String> = schema::check(&NOTE, document.as_object().unwrap())
//!     .iter()
//!     .map(ToString::to_string)
//!     .collect();
//! assert_eq!(found, ["text: is missing", "txt: is not allowed here"]);
//! ```

mod check;
mod export;
mod rule;

use std::fmt;

pub use self::check::{check, check_value};
pub use self::export::to_json_schema;
pub use self::rule::Rule;
use crate::yaml::{Located, Position};

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything, `null` too.
    Any,
    /// A boolean.
    Flag,
    /// A whole number from zero.
    Size,
    /// A text.
    Text(Rule),
    /// A map of texts whose keys are element names.
    Identity,
    /// A map of lists of texts.
    TextLists,
    /// A list.
    List(&'static Self),
    /// An object with known fields.
    Object(&'static Object),
    /// An object with known fields, or a text.
    ObjectOrText(&'static Object),
    /// One of two objects.
    Either(&'static Either),
    /// An object with a type, whatever else it has.
    Typed,
}

impl From<&'static Object> for Shape {
    fn from(object: &'static Object) -> Self {
        Self::Object(object)
    }
}

impl From<&'static Either> for Shape {
    fn from(either: &'static Either) -> Self {
        Self::Either(either)
    }
}

/// Two objects that are told apart by a field which one of them has.
#[derive(Clone, Copy, Debug)]
pub struct Either {
    /// What both are, for people.
    pub about: &'static str,
    /// The field.
    pub key: &'static str,
    /// What has the field.
    pub with: &'static Object,
    /// What has it not.
    pub without: &'static Object,
}

/// What an object must have.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// The name of the definition in a JSON schema.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// The fields that are known, at most [`Object::MAX_FIELDS`].
    pub fields: &'static [Field],
    /// Whether other fields are forbidden.
    pub is_closed: bool,
}

impl Object {
    /// How many fields an object may have.
    pub const MAX_FIELDS: usize = 16;

    /// Returns an object that may have more fields than these.
    pub const fn open(name: &'static str, about: &'static str, fields: &'static [Field]) -> Self {
        assert!(fields.len() <= Self::MAX_FIELDS, "too many fields");
        Self {
            name,
            about,
            fields,
            is_closed: false,
        }
    }

    /// Returns an object that has no other fields.
    pub const fn closed(name: &'static str, about: &'static str, fields: &'static [Field]) -> Self {
        Self {
            is_closed: true,
            ..Self::open(name, about, fields)
        }
    }
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name.
    pub name: &'static str,
    /// What its value must be.
    pub shape: Shape,
    /// Whether it must be there.
    pub need: Need,
    /// Whether `null` may stand for its absence.
    pub is_nullable: bool,
    /// Whether this is an old name, which is read and not published.
    pub is_old: bool,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// It need not.
    Optional,
    /// It must, but a view can do without.
    Expected,
    /// It must.
    Required,
}

impl Field {
    const fn new(name: &'static str, shape: Shape, need: Need) -> Self {
        Self {
            name,
            shape,
            need,
            is_nullable: false,
            is_old: false,
        }
    }

    /// Returns a field that need not be there.
    pub const fn optional(name: &'static str, shape: Shape) -> Self {
        Self::new(name, shape, Need::Optional)
    }

    /// Returns a field that must be there; who reads leniently can do without.
    pub const fn expected(name: &'static str, shape: Shape) -> Self {
        Self::new(name, shape, Need::Expected)
    }

    /// Returns a field that must be there.
    pub const fn required(name: &'static str, shape: Shape) -> Self {
        Self::new(name, shape, Need::Required)
    }

    /// Returns this field such that it may be `null` as well.
    #[must_use]
    pub const fn or_null(self) -> Self {
        Self {
            is_nullable: true,
            ..self
        }
    }

    /// Returns this field as an old name, which JSON schemas do not show.
    #[must_use]
    pub const fn old(self) -> Self {
        Self {
            is_old: true,
            ..self
        }
    }
}

/// A rule that a document breaks.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Violation {
    /// Where, such as `component.resources[2].name`.
    pub path: String,
    /// The same as JSON pointer (RFC 6901), such as `/component/resources/2/name`.
    pub pointer: String,
    /// Where in the text, if it is known.
    pub position: Option<Position>,
    /// What is wrong there.
    pub message: String,
    /// How much it matters.
    pub severity: Severity,
}

/// How much a broken rule matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The document can be used.
    Warning,
    /// The document cannot be used.
    Error,
}

impl Violation {
    pub(crate) fn new(steps: &[Step<'_>], message: String, severity: Severity) -> Self {
        Self {
            path: path_of(steps),
            pointer: pointer_of(steps),
            position: None,
            message,
            severity,
        }
    }

    /// Finds the place in the text of the document.
    pub fn locate(&mut self, text: &Located) {
        self.position = Some(text.position(&self.pointer));
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{position}, at `{}`: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

impl std::error::Error for Violation {}

/// Everything that is wrong with a document; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// How many are shown in a message.
    const SHOWN: usize = 10;

    /// Takes what was found, unless it is nothing.
    ///
    /// # Errors
    ///
    /// Something was found.
    pub fn none(found: Vec<Violation>) -> Result<(), Self> {
        if found.is_empty() {
            return Ok(());
        }
        Err(Self(found))
    }

    /// Returns them.
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().take(Self::SHOWN).enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{violation}")?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Violations {}

/// A step from a value to one in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn path_of(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Index(index) => {
                path.push('[');
                path.push_str(&index.to_string());
                path.push(']');
            }
        }
    }
    if path.is_empty() {
        path.push_str("(root)");
    }
    path
}

fn pointer_of(steps: &[Step<'_>]) -> String {
    let mut pointer = String::new();
    for step in steps {
        pointer.push('/');
        match step {
            Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}
